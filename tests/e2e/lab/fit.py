#!/usr/bin/env python3
"""`ensign cluster check` from the bastion: eight hosts that are fit, and then each with a fault of its own, all at once.

A host cannot have a time of its own here (there is no namespace for it): its `date` lies in the place of its clock."""
import json
import os
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

from lib import lab  # noqa: E402
from lib.service import wait_for  # noqa: E402

SUDO = {'/home/ops/.sudo_as_admin_successful'}  # Debian's sudo notes there that it was used once


class Fit(lab.Case):
    @classmethod
    def setUpClass(cls):
        cls.lab = cls.enterClassContext(lab.Lab('external-haproxy'))
        cls.lab.serve()

    def check(self, *more, **variant):
        """(exit code, [(node, check)] of the errors, the answer); and that no host was changed"""
        self.lab.place(**variant)
        before = {name: host.disk() for name, host in self.lab.cluster_hosts.items()}
        result = self.lab.ensign('cluster', 'check', '-f', self.lab.file, '-o', 'json', *more, check=False)
        after = {name: host.disk() for name, host in self.lab.cluster_hosts.items()}
        for name in before:
            changed = {path for path, _ in before[name].items() ^ after[name].items()} - SUDO
            self.assertEqual(set(), changed, name)
        self.assertTrue(result.stdout, result.stderr)
        answer = json.loads(result.stdout)
        errors = sorted((item['node'], item['check']) for item in answer['items'] if item['level'] == 'error')
        return result.returncode, errors, answer

    def test_1_fit(self):
        for user in ('root', 'ops'):
            code, errors, answer = self.check(user=user)
            self.assertEqual((0, []), (code, errors))
            facts = {host['node']: host['facts'] for host in answer['hosts']}
            self.assertEqual(set(self.lab.cluster_hosts), set(facts))
            versions = dict(row[:2] for row in facts['masterone']['versions'])
            self.assertEqual('v1.20.2', versions['kubeadm'])
            self.assertIn('containerd', versions)

    def test_2_keys_of_the_cluster_file(self):
        """Nobody knows the hosts; the cluster file does, or does not."""
        self.lab.bastion.run('mv', '/root/.ssh/known_hosts', '/root/.ssh/aside')
        try:
            code, errors, _ = self.check()
            self.assertEqual((1, sorted((name, 'untrusted') for name in self.lab.cluster_hosts)), (code, errors))
            self.assertEqual((0, []), self.check(pinned=True)[:2])
        finally:
            self.lab.bastion.run('mv', '/root/.ssh/aside', '/root/.ssh/known_hosts')

    def test_3_what_changes_a_host_is_seen(self):
        host = self.lab.hosts['lb']
        before = host.disk()
        host.put('/root/new', '')
        self.assertIn('/root/new', {path for path, _ in before.items() ^ host.disk().items()})
        host.run('rm', '/root/new')

    def test_4_faults(self):
        hosts = self.lab.hosts
        hosts['etcdone'].cut()
        hosts['etcdtwo'].run('systemd-run', '--quiet', 'socat', 'TCP-LISTEN:2379,fork', 'STDOUT')
        hosts['etcdthree'].sh('mkdir -p /var/lib/etcd && mount -t tmpfs -o size=64m full /var/lib/etcd')
        hosts['masterone'].put('/usr/local/bin/date', '#!/bin/sh\nexec /bin/date -d "10 minutes ago" "$@"\n', 0o755)
        hosts['mastertwo'].run('kubeadm', 'init', 'phase', 'control-plane', 'all', '--kubernetes-version', 'v1.20.2')
        hosts['masterthree'].run('kubeadm', 'init', 'phase', 'certs', 'ca', '--kubernetes-version', 'v1.20.2')
        hosts['workerone'].sh('rm /etc/os-release; sed "s/^VERSION_ID=.*/VERSION_ID=11/" /usr/lib/os-release > /etc/os-release')
        hosts['lb'].sh('rm /etc/ssh/ssh_host_ed25519_key*; ssh-keygen -q -t ed25519 -N "" -f /etc/ssh/ssh_host_ed25519_key; '
                       'systemctl restart ssh')
        wait_for('the port to be taken', lambda: '2379' in hosts['etcdtwo'].run('ss', '-Hlnt').stdout, 20)
        code, errors, answer = self.check('--context', lab.CONTEXT)
        self.assertEqual((1, [
            ('etcdone', 'unreachable'), ('etcdthree', 'disk'), ('etcdtwo', 'port'), ('lb', 'untrusted'), ('masterone', 'clock'),
            ('masterthree', 'cluster'), ('mastertwo', 'cluster'), ('workerone', 'system')]), (code, errors), answer['items'])
        for item in answer['items']:
            if item['level'] == 'error':
                print('{node}: {check}: {seen}; {remedy}'.format(**item))
        self.repaired()

    def repaired(self):
        """As a person would, by what was said; then they are fit again."""
        hosts = self.lab.hosts
        hosts['etcdone'].heal()
        hosts['etcdtwo'].run('pkill', '-x', 'socat')
        hosts['etcdthree'].run('umount', '/var/lib/etcd')
        hosts['masterone'].run('rm', '/usr/local/bin/date')
        for name in ('mastertwo', 'masterthree'):
            hosts[name].sh('rm -rf /etc/kubernetes/manifests/* /etc/kubernetes/pki')
        hosts['workerone'].sh('ln -sfn ../usr/lib/os-release /etc/os-release')
        self.lab.bastion.put('/root/.ssh/known_hosts', self.lab.known_hosts(), 0o600)
        wait_for('the network', lambda: self.lab.ssh('etcdone', 'true', check=False).returncode == 0, 20)
        self.assertEqual((0, []), self.check()[:2])


if __name__ == '__main__':
    lab.enter()
    unittest.main()
