#!/usr/bin/env python3
"""`ensign agent` under systemd, as it is installed: on three members of etcd, a control plane that kubeadm has made on
Ensign's certificates, and a worker. All that is in use is replaced, and who reads it only at the start is restarted by
systemctl and crictl from within the hardened unit."""
import json
import pathlib
import re
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

from lib import lab  # noqa: E402
from lib.service import BUILD, run, wait_for  # noqa: E402

ETCD = ('etcdone', 'etcdtwo', 'etcdthree')
MASTER, WORKER, LB = 'masterone', 'workerone', 'lb'
NODES = (*ETCD, MASTER, WORKER)
RESTARTED, UNTOUCHED = ('kube-controller-manager', 'kube-scheduler'), 'kube-apiserver'
SHARED = 'apiserver-etcd-client'
WRONG = ('"level":"error"', 'denied', 'not permitted', 'Read-only', 'SIGSYS', 'core-dump', 'Failed', 'exited with')
SCORES = {'ensign-agent.service': 2.0, 'ensign-agent-once.service': 2.0}


def rendered(file):
    """{node: {path: (text, mode)}}"""
    nodes = {}
    for each in json.loads(run(BUILD / 'tests/golden/rendered', file, '1.20.2', 'crl').stdout):
        nodes.setdefault(each['node'], {})[each['path']] = (each['text'], int(each['mode'], 8))
    return nodes


class Agents(lab.Case):
    @classmethod
    def setUpClass(cls):
        cls.lab = cls.enterClassContext(lab.Lab('external-haproxy', [*NODES, LB]))
        cls.lab.serve()
        cls.master, cls.worker = cls.lab.hosts[MASTER], cls.lab.hosts[WORKER]
        cls.furnish()
        for name in NODES:
            cls.lab.enroll(name)
        cls.start_etcd()
        cls.start_control_plane()
        for name in NODES:
            cls.lab.hosts[name].run('systemctl', 'enable', '--now', 'ensign-agent')

    @classmethod
    def furnish(cls):
        file = cls.lab.folder / 'cluster.yaml'
        file.write_text(cls.lab.document())
        for name, files in rendered(file).items():
            for path, (text, mode) in files.items() if name in cls.lab.hosts else ():
                cls.lab.hosts[name].put(path, text, mode)

    @classmethod
    def start_etcd(cls):
        for name in ETCD:
            host = cls.lab.hosts[name]
            host.run('ensign', 'agent', '--once')  # it fetches the CRL
            host.sh('install -d -o etcd -g etcd -m 700 /var/lib/etcd; systemctl daemon-reload; '
                    'systemctl enable --now --no-block etcd')
        for name in ETCD:
            wait_for(f'etcd on {name}', lambda host=cls.lab.hosts[name]: 'true' in host.sh(
                'curl -s http://127.0.0.1:2381/health', check=False).stdout, 60)

    @classmethod
    def start_control_plane(cls):
        cls.lab.hosts[LB].sh('systemctl enable --now haproxy; systemctl restart haproxy')
        cls.master.sh('sysctl -q -p /etc/sysctl.d/90-ensign.conf; systemctl enable --now containerd kubelet')
        made = cls.master.run('kubeadm', 'init', '--config', '/etc/kubernetes/kubeadm.yaml', '--skip-phases=addon', timeout=280,
                              check=False)
        assert made.returncode == 0, made.stdout + made.stderr + cls.master.journal('kubelet', lines=60)
        wait_for('the node to be Ready', lambda: ' Ready ' in cls.kubectl('get', 'nodes', check=False).stdout, 60)

    @classmethod
    def kubectl(cls, *words, **more):
        return cls.master.run('kubectl', '--kubeconfig', '/etc/kubernetes/admin.conf', *words, **more)

    def certificates(self, *more):
        """{(node, certificate): (state, deployed)}"""
        lines = self.lab.ensign('cluster', 'certificates', 'vagrant', '-o', 'table', *more).stdout.splitlines()[1:]
        return {tuple(line.split()[:2]): tuple(line.split()[2:4]) for line in lines}

    def unused(self):
        """What is not reported, of these nodes; what control planes share is no one node's."""
        return {what: states for what, states in self.certificates().items()
                if what[0] in NODES and what[1] != SHARED and states[1] not in ('installed', 'served')}

    def containers(self):
        label = 'io.kubernetes.container.name={}'
        return {name: self.master.run('crictl', 'ps', '--quiet', '--label', label.format(name)).stdout.split()
                for name in (*RESTARTED, UNTOUCHED)}

    def main_pid(self, host, unit):
        return int(host.run('systemctl', 'show', '-p', 'MainPID', '--value', unit).stdout)

    def is_active(self, host, unit):
        return host.run('systemctl', 'is-active', unit, check=False).stdout.strip()

    def check_journals(self):
        """Nothing of an agent's went wrong, was killed or was forbidden."""
        for name in NODES:
            host = self.lab.hosts[name]
            journal = host.journal('ensign-agent', lines='all')
            self.assertIn('Started', journal)
            for wrong in WRONG:
                self.assertNotIn(wrong, journal, name)

    def test_1_they_run(self):
        for name in NODES:
            host = self.lab.hosts[name]
            self.assertEqual('active', self.is_active(host, 'ensign-agent'), host.journal('ensign-agent'))
        wait_for('all to be reported', lambda: not self.unused(), 60)
        self.assertEqual('served', self.certificates()[('etcdone', 'etcd-member')][1])
        self.check_journals()
        for unit, most in SCORES.items():
            said = self.worker.run('systemd-analyze', 'security', '--no-pager', unit).stdout.splitlines()[-1]
            print(said.strip())
            self.assertLessEqual(float(re.search(r'(\d+\.\d) ', said)[1]), most)

    def test_2_all_is_replaced(self):
        before, kubelets = self.containers(), {host: self.main_pid(host, 'kubelet') for host in (self.master,)}
        self.assertEqual([1, 1, 1], [len(ids) for ids in before.values()])
        etcd = {name: self.main_pid(self.lab.hosts[name], 'etcd') for name in ETCD}
        for name in NODES:
            done = self.lab.ensign('rotate', 'vagrant', '--node', name, '--wait', '--timeout', '2m', check=False)
            self.assertEqual(0, done.returncode, done.stdout + done.stderr + self.lab.hosts[name].journal('ensign-agent'))
            print(f'{name}: {len(re.findall(": (?:installed|served) ", done.stdout + done.stderr))} replaced')
        after = self.containers()
        for name in RESTARTED:
            self.assertNotEqual(before[name], after[name], name)
        self.assertEqual(before[UNTOUCHED], after[UNTOUCHED], 'it reads its certificates by itself')
        self.assertEqual(etcd, {name: self.main_pid(self.lab.hosts[name], 'etcd') for name in ETCD})
        for host, pid in kubelets.items():
            self.assertEqual('active', self.is_active(host, 'kubelet'))
            self.assertNotEqual(pid, self.main_pid(host, 'kubelet'), 'systemctl restart from within the unit')
        wait_for('the control plane', lambda: self.kubectl('get', '--raw', '/readyz', check=False).stdout == 'ok', 60)
        self.check_journals()

    def test_3_it_is_restarted(self):
        host = self.lab.hosts['etcdone']
        pid = self.main_pid(host, 'ensign-agent')
        host.run('kill', '-KILL', pid)
        wait_for('another one', lambda: self.main_pid(host, 'ensign-agent') not in (0, pid), 20)
        pid = self.main_pid(host, 'ensign-agent')
        host.run('systemctl', 'restart', 'ensign-agent')
        self.assertNotIn(self.main_pid(host, 'ensign-agent'), (0, pid))

    def test_4_by_a_timer(self):
        self.worker.run('systemctl', 'disable', '--now', 'ensign-agent')
        self.worker.run('systemctl', 'enable', '--now', 'ensign-agent.timer')
        self.assertEqual('active', self.is_active(self.worker, 'ensign-agent.timer'))
        self.assertIn('ensign-agent-once.service', self.worker.run('systemctl', 'list-timers', '--no-pager').stdout)
        self.lab.ensign('rotate', 'vagrant', '--node', WORKER)
        serial = 'openssl x509 -noout -serial -in /etc/ensign/node/node-identity/tls.crt'
        before = self.worker.sh(serial).stdout
        self.worker.run('systemctl', 'start', 'ensign-agent-once')
        shown = self.worker.run('systemctl', 'show', '-p', 'Result', '--value', 'ensign-agent-once').stdout
        self.assertEqual('success', shown.strip())
        self.assertNotEqual(before, self.worker.sh(serial).stdout)

    def test_5_after_a_power_cut(self):
        host = self.lab.hosts['etcdtwo']
        host.power_cut()
        host.boot()
        for unit in ('etcd', 'ensign-agent'):
            wait_for(unit, lambda unit=unit: self.is_active(host, unit) == 'active', 60)
        self.assertEqual('', host.states())

    def test_6_no_authority_key_is_anywhere(self):
        keys = [path for path, _ in self.master.private_keys()]
        self.assertIn('/etc/kubernetes/admin.conf', keys)
        self.assertEqual([], self.lab.leaked_authority_keys())


if __name__ == '__main__':
    lab.enter()
    unittest.main()
