#!/usr/bin/env python3
"""`ensign cluster apply` beside plain kubeadm, and what comes after: another apply, a changed file, hosts that are
down, a rotation and power cuts under load, a worker that is taken back. Prints what it saw.

Both bring-ups start from hosts that were just made, in one run on one machine, which may be busy with other things: the
ratio is printed and fails only where it is out of all proportion."""
import pathlib
import re
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

from lib import lab  # noqa: E402
from lib.bringup import MARKS, Bringup, kubeadm_seconds  # noqa: E402
from lib.service import wait_for  # noqa: E402

BACK_SECONDS = 180
# Writes at the moment of a power cut: those under way on the host, and those that the load balancer still sends there.
FAILED_MAX = 40
PASSWORD = 'only for the lab'


class Apply(lab.Case):
    @classmethod
    def setUpClass(cls):
        cls.by_kubeadm = kubeadm_seconds('external-haproxy')
        cls.lab = cls.enterClassContext(Bringup('external-haproxy'))
        cls.lab.serve(ensign=True)

    def same(self, before):
        self.assertEqual([], self.lab.changes(before))

    def check_status_without(self, name):
        """One that does not answer; 40 s later the first control plane says that not all nodes are Ready, too."""
        code, nodes = self.lab.status()
        ill = {node: health for node, (health, _) in nodes.items() if health != 'ok'}
        self.assertEqual(1, code, nodes)
        self.assertIn(name, ill)
        if name != 'masterone' and 'Ready' in ill.get('masterone', ''):
            del ill['masterone']
        self.assertEqual([name], list(ill), nodes)

    # ---- from hosts to a cluster ----

    def test_01_refuses_what_is_not_fit(self):
        """All hosts at once, and nothing is changed."""
        hosts = self.lab.hosts
        hosts['etcdtwo'].cut()
        hosts['masterone'].put('/usr/local/bin/date', '#!/bin/sh\nexec /bin/date -d "10 minutes ago" "$@"\n', 0o755)
        hosts['workerone'].run('kubeadm', 'init', 'phase', 'control-plane', 'all', '--kubernetes-version', 'v1.20.2')
        before = {name: host.disk() for name, host in self.lab.cluster_hosts.items()}
        refused = self.lab.apply(check=False)
        self.assertEqual(before, {name: host.disk() for name, host in self.lab.cluster_hosts.items()})
        self.assertEqual(1, refused.code, refused.text)
        for fault in (r'etcdtwo.*unreachable', r'masterone.*clock', r'workerone.*cluster'):
            self.assertRegex(refused.text, fault)
        hosts['etcdtwo'].heal()
        hosts['masterone'].run('rm', '/usr/local/bin/date')
        hosts['workerone'].sh('rm -r /etc/kubernetes/manifests/*')
        self.assertEqual(set(), self.lab.issued())
        wait_for('the network', lambda: self.lab.ssh('etcdtwo', 'true', check=False).returncode == 0, 20)

    def test_02_brings_up(self):
        self.lab.apply_beside(self.by_kubeadm)
        self.assertEqual(dict.fromkeys(('masterone', 'mastertwo', 'masterthree', 'workerone'), True), self.lab.nodes())

    def test_03_again_changes_nothing(self):
        before, issued = self.lab.snapshot(), self.lab.issued()
        self.assertGreater(len(issued), 30)
        again = self.lab.apply()
        print(f'apply again: {again.seconds:.1f} s', flush=True)
        self.assertIn('nothing was to be done', again.text)
        self.assertEqual([], self.lab.plan())
        code, nodes = self.lab.status()
        self.assertEqual((0, {('ok', '')}), (code, set(nodes.values())), nodes)
        self.same(before)
        self.assertEqual(issued, self.lab.issued())

    def test_04_no_authority_key_on_any_host(self):
        """The search itself is proved by bench.py; here, one that is planted on a host of the cluster is found."""
        self.assertEqual([], self.lab.leaked_authority_keys())
        host = self.lab.hosts['masterone']
        host.sh('mkdir /root/planted && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes '
                '-subj /CN=x -keyout /root/planted/ca.key -out /root/planted/ca.crt 2> /dev/null')
        own = self.lab.authority_keys
        public = lab.public_key_of(host.read('/root/planted/ca.crt').encode())
        self.lab.authority_keys = lambda: {**own(), 'planted': public}
        try:
            self.assertEqual(['masterone /root/planted/ca.key: planted'], self.lab.leaked_authority_keys())
        finally:
            self.lab.authority_keys = own
            host.run('rm', '-r', '/root/planted')

    def test_05_a_changed_file_is_mended_alone(self):
        host, path = self.lab.hosts['lb'], '/etc/haproxy/haproxy.cfg'
        content = host.read(path)
        host.put(path, content.replace('retries 2', 'retries 7'))
        before = self.lab.snapshot()
        self.assertEqual([('load-balancer', 'lb', f'{path} differs')], self.lab.plan())
        self.lab.apply()
        self.assertEqual(content, host.read(path))
        changed = [line for line in self.lab.changes(before) if not re.match(r'lb (/etc/haproxy/|haproxy \d)', line)]
        self.assertEqual([], changed)
        self.assertTrue(self.lab.well())

    def test_06_a_host_that_is_down(self):
        self.lab.hosts['workerone'].cut()
        before, issued = self.lab.snapshot(), self.lab.issued()
        try:
            self.assertEqual(1, self.lab.look('plan', check=False).returncode)
            refused = self.lab.apply(check=False)
            self.assertEqual(1, refused.code, refused.text)
            self.assertRegex(refused.text, 'workerone +error +unreachable')
            self.check_status_without('workerone')
            self.same(before)
            self.assertEqual(issued, self.lab.issued())
        finally:
            self.lab.hosts['workerone'].heal()
        wait_for('it to be well again', self.lab.well, BACK_SECONDS)

    # ---- while it runs ----

    def test_07_rotation(self):
        before = self.lab.issued()
        with self.lab.writing('rotation', FAILED_MAX):
            began = time.monotonic()
            result = self.lab.ensign('rotate', 'vagrant', '--wait', '--timeout', '5m', check=False, timeout=400)
            print(f'rotate --wait: code {result.returncode} after {time.monotonic() - began:.0f} s, '
                  f'{len(self.lab.issued() - before)} certificates', flush=True)
        self.assertEqual(0, result.returncode, result.stdout + result.stderr)
        self.assertTrue(all(self.lab.nodes().values()))
        self.assertTrue(self.lab.well(), self.lab.status())

    def test_08_power_cuts(self):
        for name in ('etcdtwo', 'mastertwo', 'workerone'):
            with self.subTest(name), self.lab.writing(f'power cut of {name}', FAILED_MAX) as writer:
                self.power_cut(name, writer)

    def power_cut(self, name, writer):
        self.lab.hosts[name].power_cut()
        count = len(writer.acknowledged)
        wait_for('writes after it', lambda: len(writer.acknowledged) > count + 50, 60)
        self.check_status_without(name)
        began = time.monotonic()
        self.lab.boot(name)
        wait_for(f'{name} to be well again', self.lab.well, BACK_SECONDS)
        wait_for('all nodes to be Ready', lambda: all(self.lab.nodes().values()), BACK_SECONDS)
        print(f'{name} was well again {time.monotonic() - began:.0f} s after its boot', flush=True)

    # ---- and back ----

    def test_09_a_worker_is_taken_back_and_joins_again(self):
        before, others = self.lab.issued(), self.lab.snapshot()
        self.lab.look('reset', '--host', 'workerone', '--yes')
        host = self.lab.hosts['workerone']
        for path in ('/etc/ensign/node', '/etc/kubernetes/kubelet.conf', '/var/lib/kubelet/config.yaml', MARKS):
            self.assertFalse(host.path(path).exists(), path)
        self.assertEqual({'workerone'}, {node for _, node, _ in self.lab.plan()})
        again = self.lab.apply()
        new = self.lab.issued() - before
        print(f'a worker joined again: {again.seconds:.1f} s, {len(new)} certificates', flush=True)
        self.assertGreaterEqual(len(new), 2)
        self.assertEqual([], [line for line in self.lab.changes(others) if not line.startswith('workerone ')])
        self.assertTrue(all(self.lab.nodes().values()))
        self.assertTrue(self.lab.well())

    def test_10_by_sudo(self):
        """As a user who is not root: without a password and with one, after all was taken back by the same user."""
        self.lab.write(user='ops', ensign=True)
        self.assertIn('nothing was to be done', self.lab.apply().text)
        for host in self.lab.cluster_hosts.values():
            host.run('chpasswd', input=f'ops:{PASSWORD}\n')
            host.put('/etc/sudoers.d/ops', 'ops ALL=(ALL) ALL\n', 0o440)
        asked = self.lab.apply(check=False)
        self.assertEqual(2, asked.code, asked.text)
        self.assertIn('--sudo-password-file', asked.text)
        self.lab.bastion.put('/root/password', PASSWORD + '\n', 0o600)
        self.lab.options = ['--sudo-password-file', '/root/password']
        self.lab.look('reset', '--host', 'workerone', '--yes')
        again = self.lab.apply()
        self.assertNotIn(PASSWORD, again.text)
        self.assertTrue(self.lab.well())
        for name, host in {**self.lab.cluster_hosts, 'bastion': self.lab.bastion}.items():
            found = host.run('grep', '-rlF', PASSWORD, '/var/log', '/tmp', '/root/.local', '/home', check=False).stdout
            self.assertEqual('', found, name)


if __name__ == '__main__':
    lab.enter()
    unittest.main(verbosity=2)
