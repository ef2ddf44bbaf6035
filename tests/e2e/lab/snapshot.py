#!/usr/bin/env python3
"""`ensign etcd snapshot save` and `restore`: what was changed since a snapshot is as it was then, on external and on
stacked etcd, after the command was killed at each of its steps, and where members have lost their data. A file that is
not whole changes nothing."""
import json
import pathlib
import signal
import stat
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

from lib import lab  # noqa: E402
from lib.bringup import Bringup  # noqa: E402
from lib.service import wait_for  # noqa: E402

DATA = '/var/lib/etcd'
SECRET = 'plaintext-of-a-secret'
ONE, TWO = '/root/one.db', '/root/two.db'
# One control plane without a load balancer
ALONE = [('192.168.29.81:6443', '192.168.29.51:6443'), ('  loadBalancer: {kind: haproxy}\n', '')]
STACKED = [*ALONE, ('  topology: external\n  certificates: member\n  apiserverClient: shared\n', '  topology: stacked\n'),
           ('roles: [control-plane]', 'roles: [etcd, control-plane]')]
# In their order; the command is killed when the first host has come to the end of one.
TITLES = ('make new data of the snapshot', 'stop API server, controller manager and scheduler', 'stop etcd',
          'put the new data in the place of the old', 'start etcd', 'read back what etcd has',
          'start API server, controller manager and scheduler', 'restart the kubelet', 'restart what runs in kube-system',
          'start the agent and tidy up')


class Snapshots(lab.Case):
    @classmethod
    def bring_up(cls, nodes, edits):
        cls.lab = cls.enterClassContext(Bringup('external-haproxy', nodes))
        cls.lab.serve(ensign=True, nodes=nodes, edits=edits)
        cls.lab.apply()

    def etcd(self, *words, **how):
        return self.lab.bastion.run('ensign', 'etcd', 'snapshot', words[0], '-f', self.lab.file, *words[1:], timeout=900, **how)

    def saved(self, path):
        self.lab.kubectl('create', 'configmap', 'kept', '--from-literal=a=then')
        self.lab.kubectl('create', 'configmap', 'dropped', '--from-literal=a=then')
        self.lab.kubectl('create', 'secret', 'generic', 'secret', f'--from-literal=a={SECRET}')
        self.etcd('save', path, '--force')

    def change(self):
        self.lab.kubectl('patch', 'configmap', 'kept', '-p', '{"data": {"a": "now"}}')
        self.lab.kubectl('create', 'configmap', 'added', '--from-literal=a=now')
        self.lab.kubectl('delete', 'configmap', 'dropped')

    def configmaps(self):
        """name -> its value"""
        items = json.loads(self.lab.kubectl('get', 'configmaps', '-o', 'json').stdout)['items']
        return {item['metadata']['name']: item['data'].get('a') for item in items if item['metadata']['name'] != 'kube-root-ca.crt'}

    def as_then(self):
        self.assertEqual({'kept': 'then', 'dropped': 'then'}, self.configmaps())

    def well(self):
        """The cluster is as the file has it, and what controllers do goes on."""
        wait_for('all to be well', self.lab.well, 120)
        self.assertEqual({True}, set(self.lab.nodes().values()))
        before = self.lab.snapshot()
        self.assertIn('nothing was to be done', self.lab.apply().text)
        self.assertEqual([], self.lab.changes(before))
        self.lab.kubectl('create', 'namespace', 'new')
        wait_for('a service account', lambda: self.lab.kubectl('-n', 'new', 'get', 'serviceaccount', 'default', check=False).returncode == 0, 60)
        self.lab.kubectl('delete', 'namespace', 'new')

    def aside(self, name):
        return sorted(self.lab.hosts[name].sh(f'ls -d {DATA}.before-restore-* 2>/dev/null || true').stdout.split())

    def nothing_left(self):
        for name, host in self.lab.cluster_hosts.items():
            self.assertEqual('', host.sh(f'ls -d {DATA}.ensign-restore /etc/kubernetes/ensign-restore /var/lib/ensign-apply/* 2>/dev/null || true').stdout, name)

    def restored(self, path):
        done = self.etcd('restore', path, '--yes', '-o', 'json')
        members = json.loads(done.stdout)['items']
        self.assertEqual(1, len({(member['keys'], member['hash']) for member in members}), members)
        self.as_then()
        self.nothing_left()
        return members


class External(Snapshots):
    MEMBERS = ('etcdone', 'etcdtwo', 'etcdthree')

    @classmethod
    def setUpClass(cls):
        cls.bring_up((*cls.MEMBERS, 'masterone', 'workerone'), ALONE)

    def test_1_save(self):
        self.saved(ONE)
        bastion = self.lab.bastion
        self.assertEqual(0o600, stat.S_IMODE(bastion.path(ONE).stat().st_mode))
        self.assertIn(SECRET.encode(), bastion.path(ONE).read_bytes())
        refused = self.etcd('save', ONE, check=False)
        self.assertEqual(6, refused.returncode, refused.stderr)
        told = json.loads(self.etcd('save', TWO, '-o', 'json').stdout)
        self.assertGreater(told['revision'], 100)
        self.assertEqual(told['sha256'], bastion.run('sha256sum', TWO).stdout.split()[0])
        content = bastion.path(TWO).read_bytes()
        self.assertEqual(told['bytes'], len(content))
        kept = f'grep -rl {SECRET} /root/.local /var/lib/ensign-apply /tmp 2>/dev/null || true'
        for host in self.lab.hosts.values():
            self.assertEqual('', host.sh(kept).stdout, host.name)
        self.nothing_left()

    def test_2_a_file_that_is_not_whole(self):
        before = self.lab.snapshot()
        for name, edit, text in (('flipped.db', 'printf x | dd of=flipped.db bs=1 seek=70000 conv=notrunc', 'damaged'),
                                 ('cut.db', 'truncate -s -5000 cut.db', 'cut'),
                                 ('other.db', 'cp /etc/passwd other.db && chmod 600 other.db', 'no snapshot of etcd'),
                                 ('open.db', 'chmod 644 open.db', 'open to other users')):
            self.lab.bastion.sh(f'cd /root; cp {ONE} {name}; chmod 600 {name}; {edit}')
            refused = self.etcd('restore', f'/root/{name}', '--yes', check=False)
            self.assertEqual(1, refused.returncode, name)
            self.assertIn(text, refused.stderr)
        unsure = self.etcd('restore', ONE, check=False)
        self.assertEqual(2, unsure.returncode, unsure.stderr)
        self.assertIn('stop etcd', unsure.stdout)
        self.assertEqual([], self.lab.changes(before))

    def test_3_restore(self):
        self.change()
        members = self.restored(ONE)
        self.assertEqual(set(self.MEMBERS), {member['member'] for member in members})
        self.well()
        for name in self.MEMBERS:
            self.assertEqual(1, len(self.aside(name)))

    def killed(self, title):
        with self.lab.applying(ONE, '--yes', words=('etcd', 'snapshot', 'restore')) as running:
            wait_for(title, lambda: f': {title}: done' in running.text or running.process.poll() is not None, 300)
            running.kill()
        self.assertEqual(-signal.SIGKILL, running.code, f'{title}\n{running.text}')
        print(f'killed {running.seconds:.1f} s after its start, behind: {title}', flush=True)

    def between_the_renames(self, name):
        """As if it had lost its power there; when it is back, etcd is not."""
        host = self.lab.hosts[name]
        begun = host.read(f'{DATA}.ensign-restore/prepared').split()[0]
        host.sh(f'mkdir -m 700 {DATA}.before-restore-{begun}; mv {DATA}/member {DATA}.before-restore-{begun}/')
        host.power_cut()
        self.lab.boot(name)
        self.assertEqual('', host.sh('pgrep -x etcd || true').stdout)

    def test_4_killed_at_each_step(self):
        self.change()
        before = {name: len(self.aside(name)) for name in self.MEMBERS}
        for title in TITLES:
            self.killed(title)
            if title == 'stop etcd':
                self.between_the_renames('etcdtwo')
                refused = self.lab.apply(check=False)
                self.assertEqual(1, refused.code, refused.text)
                self.assertIn('ensign etcd snapshot restore', refused.text)
        self.restored(ONE)
        for name in self.MEMBERS:
            self.assertLessEqual(len(self.aside(name)), before[name] + 2)  # the last run may have begun anew
            for folder in self.aside(name):
                self.lab.hosts[name].sh(f'test -s {folder}/member/snap/db')
        self.well()

    def test_5_members_without_data(self):
        """And one that has them on a disk of its own, which cannot be renamed"""
        self.change()
        for name in self.MEMBERS:
            self.lab.hosts[name].sh(f'systemctl stop etcd; rm -rf {DATA}.*')
        for name in self.MEMBERS[:2]:
            self.lab.hosts[name].sh(f'rm -rf {DATA}')
        self.lab.hosts['etcdthree'].sh(f'mv {DATA} {DATA}-old; install -d -m 700 {DATA}; mount -t tmpfs -o mode=700 etcd {DATA}; '
                                       f'cp -a {DATA}-old/. {DATA}; chown etcd:etcd {DATA}; rm -rf {DATA}-old')
        self.restored(ONE)
        self.assertEqual([], self.aside('etcdone'))
        self.lab.hosts['etcdthree'].sh(f'test -s {DATA}/before-restore-*/member/snap/db; test ! -e {DATA}/ensign-restore')
        self.well()


class Stacked(Snapshots):
    @classmethod
    def setUpClass(cls):
        cls.bring_up(('masterone', 'workerone'), STACKED)
        cls.lab.hosts['masterone'].sh('mv /usr/bin/etcdctl /usr/bin/etcdctl.away')  # as a host without etcd's packages

    def test_1_restore(self):
        self.saved(ONE)
        self.change()
        self.restored(ONE)
        self.well()
        self.assertEqual(1, len(self.aside('masterone')))

    def test_2_without_data(self):
        """And so without a process of etcd to take its tools of"""
        host = self.lab.hosts['masterone']
        self.change()
        host.sh('mv /etc/kubernetes/manifests/etcd.yaml /root/')
        wait_for('etcd to end', lambda: host.sh('pgrep -x etcd || true').stdout == '', 60)
        host.sh(f'rm -rf {DATA} {DATA}.*; mv /root/etcd.yaml /etc/kubernetes/manifests/')
        self.restored(ONE)
        self.well()


if __name__ == '__main__':
    lab.enter()
    unittest.main(verbosity=2)
