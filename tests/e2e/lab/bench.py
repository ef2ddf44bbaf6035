#!/usr/bin/env python3
"""The lab itself (tests/lib/lab.py), so that what it says of others can be believed: hosts lose their power and come back,
networks are cut and heal, what changes is seen, a planted CA key is found, and nothing is left, even after a kill -9."""
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

from lib import lab  # noqa: E402
from lib.service import ROOT, is_running, wait_for  # noqa: E402

KILLED = """
from lib import lab
lab.enter()
with lab.Lab('external-haproxy', ['lb']) as it:
    print('up', flush=True)
    it.hosts['lb'].run('sleep', '600', timeout=None)
"""
VALUES = [pathlib.Path('/proc/sys') / name for name in ('net/netfilter/nf_conntrack_max', 'fs/inotify/max_user_instances')]


def machine():
    """What a lab could leave on the machine: mounts, networks, files, cgroups, values of the kernel's."""
    mounts = [line for line in pathlib.Path('/proc/self/mounts').read_text().splitlines() if str(lab.LAB) in line]
    networks = sorted(os.listdir('/run/netns')) if os.path.isdir('/run/netns') else []
    cgroups = subprocess.run(['find', '/sys/fs/cgroup', '-type', 'd', '-name', 'lab'], capture_output=True, text=True,
                             check=False).stdout
    return {'mounts': mounts, 'networks': networks, 'files': lab.RUN.exists(), 'cgroups': cgroups,
            'values': [path.read_text() for path in VALUES], 'etc': os.path.exists('/etc/netns')}


def descendants(pid):
    found, todo = [], [pid]
    while todo:
        each = todo.pop()
        children = pathlib.Path(f'/proc/{each}/task/{each}/children')
        todo += [int(word) for word in children.read_text().split()] if children.exists() else []
        found.append(each)
    return found


def killed():
    """Before this test has a lab: another test of it is killed, and all that was there ends with it."""
    before = machine()
    script = pathlib.Path(tempfile.mkdtemp(), 'killed.py')
    script.write_text(KILLED)
    environment = dict(os.environ, PYTHONPATH=str(ROOT / 'tests'))
    process = subprocess.Popen([sys.executable, str(script)], env=environment, stdout=subprocess.PIPE, text=True)
    try:
        while line := process.stdout.readline():
            if line == 'up\n':
                break
        assert line == 'up\n', 'the lab of the other test did not come up'
        there = descendants(process.pid)
        assert len(there) > 10, there
        assert machine()['files'] and machine()['cgroups'], 'a lab that leaves no trace while it runs proves nothing'
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        shutil.rmtree(script.parent)
    wait_for('its processes to end', lambda: not any(is_running(pid) for pid in there), 30)
    wait_for('the guard to have swept', lambda: machine() == before, 30)
    print(f'killed: {len(there)} processes ended, nothing left')


class Bench(lab.Case):
    @classmethod
    def setUpClass(cls):
        cls.lab = cls.enterClassContext(lab.Lab('external-haproxy', ['etcdone', 'lb']))
        cls.lab.serve()
        cls.etcd, cls.lb = cls.lab.hosts['etcdone'], cls.lab.hosts['lb']

    def ssh(self, host, **more):
        return self.lab.ssh(host, 'cat /proc/sys/kernel/hostname', check=False, **more)

    def test_runs_commands(self):
        self.assertEqual('etcdone\n', self.etcd.run('hostname').stdout)
        self.assertEqual('a b', self.etcd.sh('cat', input='a b').stdout)
        self.assertEqual(3, self.etcd.sh('exit 3', check=False).returncode)
        self.assertEqual('', self.etcd.states())
        self.assertIn('ssh', self.etcd.journal('ssh'))

    def test_ssh_knows_the_hosts(self):
        for user, number in (('root', '0\n'), ('ops', '1000\n')):
            self.assertEqual(number, self.lab.ssh('etcdone', 'id -u', user=user).stdout)
        self.assertEqual('0\n', self.lab.ssh('lb', 'sudo -n id -u', user='ops').stdout)
        self.assertEqual('lb\n', self.ssh(self.lb.address).stdout)

    def test_only_an_operator_is_on_the_bastion(self):
        self.assertIn('operator', self.lab.ensign('whoami').stdout)
        self.assertEqual(3, self.lab.ensign('cluster', 'create', '-f', self.lab.file, check=False).returncode)

    def test_network(self):
        self.etcd.cut()
        self.assertEqual(255, self.ssh('etcdone').returncode)
        self.etcd.heal()
        wait_for('the network', lambda: self.ssh('etcdone').stdout == 'etcdone\n', 20)

    def test_power(self):
        self.lb.put('/root/kept', 'this')
        boot, leader = self.lb.run('stat', '-c', '%y', '/run/systemd').stdout, self.lb.leader
        self.lb.run('systemctl', 'start', 'haproxy')
        self.lb.power_cut()
        self.assertFalse(is_running(leader))
        self.assertFalse([path for path in pathlib.Path('/proc').glob('[0-9]*/cgroup') if '/lab/lb' in self.text(path)])
        self.lb.boot()
        self.assertEqual('this', self.lb.read('/root/kept'))
        self.assertNotEqual(boot, self.lb.run('stat', '-c', '%y', '/run/systemd').stdout)
        self.assertEqual('lb\n', self.ssh('lb').stdout)
        self.lb.run('rm', '/root/kept')

    @staticmethod
    def text(path):
        try:
            return path.read_text()
        except OSError:
            return ''

    def test_changes_are_seen(self):
        self.lb.run('systemctl', 'start', 'haproxy')
        before = self.lab.snapshot()
        self.assertTrue(any('haproxy' in what for what in before['lb']), before['lb'])
        self.assertEqual([], self.lab.changes(before))
        self.lb.sh('cp -p /etc/haproxy/haproxy.cfg /etc/haproxy/x && mv /etc/haproxy/x /etc/haproxy/haproxy.cfg')  # the same
        self.etcd.put('/etc/kubernetes/new', '')
        self.lb.run('systemctl', 'restart', 'haproxy')
        seen = ' '.join(self.lab.changes(before))
        for each in ('lb /etc/haproxy/haproxy.cfg', 'etcdone /etc/kubernetes/new: absent', 'lb haproxy '):
            self.assertIn(each, seen)
        self.etcd.run('rm', '/etc/kubernetes/new')
        self.lb.run('systemctl', 'stop', 'haproxy')

    def test_a_planted_authority_key_is_found(self):
        self.assertEqual([], self.lab.leaked_authority_keys())
        self.etcd.sh('mkdir -p /root/pki && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=x '
                     '-keyout /root/pki/ca.key -out /root/pki/ca.crt 2> /dev/null')
        self.lb.put('/run/admin.conf', 'users:\n- user:\n    client-key-data: '
                    + self.etcd.sh('base64 -w 0 /root/pki/ca.key').stdout + '\n')
        planted = lab.public_key_of(self.etcd.read('/root/pki/ca.crt').encode())
        own, self.lab.authority_keys = self.lab.authority_keys, lambda: {'planted': planted}
        try:
            self.assertEqual(['etcdone /root/pki/ca.key: planted', 'lb /run/admin.conf: planted'],
                             self.lab.leaked_authority_keys())
        finally:
            self.lab.authority_keys = own
            self.etcd.run('rm', '-r', '/root/pki')
            self.lb.run('rm', '/run/admin.conf')

    def test_repository(self):
        """What a host lacks then, apt gets from the bastion, and takes from nobody else."""
        self.lab.publish()
        self.assertEqual(127, self.etcd.sh('kubeadm version', check=False).returncode)
        self.assertRegex(self.lab.document(repository=True), r'kubernetes: \{source: "deb http://192.168.29.4/ ./", keyFile')
        self.etcd.put('/etc/apt/keyrings/lab.asc', self.lab.bastion.read('/srv/repository.asc'))
        line = self.lab.repository_source().replace('deb ', 'deb [signed-by=/etc/apt/keyrings/lab.asc] ')
        self.etcd.put('/etc/apt/sources.list', self.lab.repository_source() + '\n')
        self.assertNotEqual(0, self.etcd.run('apt-get', 'update', '--error-on=any', check=False).returncode)
        self.etcd.put('/etc/apt/sources.list', line + '\n')
        self.etcd.run('apt-get', 'update', '--error-on=any')
        self.etcd.run('apt-get', 'install', '-y', '-q', 'kubeadm=1.20.2-1.1')
        self.assertTrue(re.match(r'v1\.20\.2', self.etcd.run('kubeadm', 'version', '-o', 'short').stdout))
        self.etcd.run('systemctl', 'cat', 'kubelet')


if __name__ == '__main__':
    if 'ENSIGN_OWN_NAMESPACES' not in os.environ and not lab.missing():
        killed()
    lab.enter()
    unittest.main()
