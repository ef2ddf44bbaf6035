#!/usr/bin/env python3
"""`ensign cluster apply` on hosts without Kubernetes: kubeadm, kubelet, kubectl and cri-tools come from an apt repository
on the bastion, signed by the key that the cluster file names, are held, and make a cluster: one control plane with its
own etcd, and a worker. Then another revision of the packages comes by `ensign cluster upgrade`."""
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

from lib import lab  # noqa: E402
from lib.bringup import Bringup  # noqa: E402

NODES = ('masterone', 'workerone')
PROGRAMS = ('kubeadm', 'kubelet', 'kubectl', 'crictl')
HELD = {'kubeadm', 'kubelet', 'kubectl'}
# One control plane with its own etcd, and no load balancer.
SMALL = [('192.168.29.81:6443', '192.168.29.51:6443'), ('  loadBalancer: {kind: haproxy}\n', ''),
         ('  topology: external\n  certificates: member\n  apiserverClient: shared\n', '  topology: stacked\n'),
         ('roles: [control-plane]', 'roles: [etcd, control-plane]')]


class Repository(lab.Case):
    @classmethod
    def setUpClass(cls):
        cls.lab = cls.enterClassContext(Bringup('external-haproxy', NODES))
        cls.lab.publish()
        cls.lab.serve(repository=True, ensign=True, nodes=NODES, edits=SMALL)

    def test_1_brings_up(self):
        for name in NODES:
            self.assertEqual('', self.lab.hosts[name].sh(f'command -v {" ".join(PROGRAMS)}', check=False).stdout)
        self.assertIn(('prepare', 'workerone', 'there is no kubelet'), self.lab.plan())
        made = self.lab.apply()
        print(f'from a repository: {made.seconds:.1f} s', flush=True)
        self.assertEqual(dict.fromkeys(NODES, True), self.lab.nodes())
        for name in NODES:
            host = self.lab.hosts[name]
            self.assertEqual(HELD, set(host.run('apt-mark', 'showhold').stdout.split()))
            for program in PROGRAMS:
                self.assertTrue(host.run('dpkg', '-S', f'/usr/bin/{program}').stdout, program)
            self.assertIn('1.20.2-1.1', host.run('dpkg-query', '-W', 'kubelet').stdout)

    def test_2_again_changes_nothing(self):
        before = self.lab.snapshot()
        self.assertIn('nothing was to be done', self.lab.apply().text)
        self.assertEqual([], self.lab.changes(before))
        self.assertTrue(self.lab.well())

    def test_3_upgrades_to_another_package(self):
        """Of the same version, which is all that runs here. The file on the bastion has it before the service does."""
        self.lab.publish_more('1.20.2-1.2')
        edits = [*SMALL, ('1.20.2-1.1', '1.20.2-1.2')]
        self.lab.place(repository=True, ensign=True, nodes=NODES, edits=edits)
        self.assertEqual(6, self.lab.apply(check=False).code, 'another file than the service has')
        made = self.lab.apply('--to', '1.20.2', '--force', words=('cluster', 'upgrade'))
        print(f'to other packages: {made.seconds:.1f} s', flush=True)
        for name in NODES:
            host = self.lab.hosts[name]
            for package in ('kubeadm', 'kubelet', 'kubectl'):
                self.assertIn('1.20.2-1.2', host.run('dpkg-query', '-W', package).stdout)
            self.assertEqual(HELD, set(host.run('apt-mark', 'showhold').stdout.split()))
            running = host.sh('readlink /proc/$(systemctl show -p MainPID --value kubelet)/exe').stdout.strip()
            self.assertEqual('/usr/bin/kubelet', running, 'and not one that was deleted')
        self.lab.write(repository=True, ensign=True, nodes=NODES, edits=edits)
        before = self.lab.snapshot()
        self.assertIn('nothing was to be done', self.lab.apply().text)
        self.assertEqual([], self.lab.changes(before))
        self.assertTrue(self.lab.well())
        wrong = self.lab.look('upgrade', '--to', '1.21.0', check=False)
        self.assertEqual(1, wrong.returncode, wrong.stderr)
        self.assertIn('"1.20.2-1.2" is no package of 1.21.0', wrong.stderr)

    def test_4_takes_them_from_nobody_else(self):
        """The same repository with another signature: nothing is installed, and what apt says is shown."""
        self.lab.look('reset', '--yes')
        for name in NODES:
            self.lab.hosts[name].sh('apt-mark unhold kubelet kubeadm kubectl; rm -rf /var/lib/apt/lists/*; '
                                    'dpkg --purge kubeadm kubelet kubectl cri-tools')
        self.lab.bastion.sh('cd /srv/repository && sed -i "s/^Date: .*/Date: Thu, 01 Jan 2026 00:00:00 UTC/" InRelease')
        refused = self.lab.apply(check=False)
        self.assertEqual(1, refused.code, refused.text)
        self.assertRegex(refused.text, 'BADSIG|invalid|not signed')
        for name in NODES:
            self.assertEqual('', self.lab.hosts[name].sh('command -v kubelet', check=False).stdout)


if __name__ == '__main__':
    lab.enter()
    unittest.main(verbosity=2)
