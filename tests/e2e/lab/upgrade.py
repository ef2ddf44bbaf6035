#!/usr/bin/env python3
"""`ensign cluster upgrade` on two control planes and a worker, with a member of etcd of their own: to the version that they
have (--force), which is all that runs here. Under load, killed in the middle of a node, with a pod in the way. Prints what
it saw."""
import pathlib
import re
import signal
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

from lib import lab  # noqa: E402
from lib.bringup import ADMIN, MARKS, Bringup  # noqa: E402
from lib.service import wait_for  # noqa: E402
from lib.writer import NAMESPACE, Writer  # noqa: E402

ORDER = ['masterone', 'mastertwo', 'workerone']
NODES = ['etcdone', 'masterone', 'mastertwo', 'lb', 'workerone']
VERSION, PAUSE = '1.20.2', 'k8s.gcr.io/pause:3.2'
ENDPOINT = ('192.168.29.81', 6443)
FAILED_MAX, GAP_MAX_SECONDS = 20, 10
# As one from 1.31 on does to a control plane's.
KUBEADM_THAT_MEDDLES = """#!/bin/sh
/usr/bin/kubeadm "$@" || exit $?
[ "$1" != upgrade ] || sed -i 's,server: .*,server: https://127.0.0.1:6443,' /etc/kubernetes/kubelet.conf
"""
MANIFESTS, SAVED = '/etc/kubernetes/manifests', '/etc/kubernetes/tmp/kubeadm-backup-manifests-for-the-test'


class Upgrade(lab.Case):
    @classmethod
    def setUpClass(cls):
        cls.lab = cls.enterClassContext(Bringup('external-haproxy', NODES))
        cls.lab.serve(ensign=True, nodes=NODES)
        cls.lab.apply()
        cls.lab.kubectl('create', 'deployment', 'ship', f'--image={PAUSE}', '--replicas=3')
        cls.lab.kubectl('rollout', 'status', 'deployment', 'ship', '--timeout', '120s')

    def upgrade(self, *more, **how):
        return self.lab.apply('--to', VERSION, *more, words=('cluster', 'upgrade'), **how)

    def done(self, text):
        """The nodes that were upgraded, in their order."""
        return re.findall(r'([\w-]+): finish: done', text)

    def cordoned(self):
        shown = self.lab.kubectl('get', 'nodes', '-o', 'jsonpath={range .items[?(@.spec.unschedulable)]}{.metadata.name} {end}')
        return shown.stdout.split()

    def pods(self):
        return set(self.lab.kubectl('get', 'pods', '-l', 'app=ship', '-o', 'name').stdout.split())

    def kubelets(self):
        return {name: self.lab.hosts[name].run('systemctl', 'show', '-p', 'MainPID', '--value', 'kubelet').stdout for name in ORDER}

    def check_clean(self):
        """Nothing is left of an upgrade, and the cluster is as `apply` has it."""
        self.assertEqual([], self.cordoned())
        self.assertNotIn('ensign/', self.lab.kubectl('get', 'nodes', '-o', 'jsonpath={.items[*].metadata.annotations}').stdout)
        self.assertEqual({}, self.lab.marks())
        for name in ORDER:
            self.assertFalse(self.lab.hosts[name].path(f'{MARKS}/kubelet.conf').exists(), name)
        versions = self.lab.kubectl('get', 'nodes', '-o', 'jsonpath={.items[*].status.nodeInfo.kubeletVersion}').stdout
        self.assertEqual({f'v{VERSION}'}, set(versions.split()))
        wait_for('all to be well', self.lab.well, 60)

    def test_1_refuses(self):
        before = self.lab.snapshot()
        for more, why in ((('--to', '1.21.0'), r'masterone: .*install kubeadm, kubelet and kubectl 1\.21\.0'),
                          (('--to', '1.22.0'), r'mastertwo: .*one minor version at a time'),
                          (('--to', '1.20.1'), r'workerone: .*takes no version back'),
                          (('--to', '1.21'), 'with its patch')):
            refused = self.lab.look('upgrade', *more, check=False)
            self.assertIn(refused.returncode, (1, 2))
            self.assertRegex(refused.stderr, why)
        self.lab.hosts['workerone'].run('systemctl', 'stop', 'kubelet')
        refused = self.upgrade('--force', check=False)
        self.lab.hosts['workerone'].run('systemctl', 'start', 'kubelet')
        self.assertEqual(1, refused.code, refused.text)
        self.assertRegex(refused.text, 'workerone: expected the kubelet to be healthy')
        self.assertIn('nothing was changed', refused.text)
        wait_for('all to be well again', self.lab.well, 120)
        self.assertEqual([], [line for line in self.lab.changes(before) if not line.startswith('workerone kubelet')])
        self.assertEqual({}, self.lab.marks())

    def test_2_upgrades_under_load(self):
        pods, kubelets = self.pods(), self.kubelets()
        self.lab.kubectl('create', 'namespace', NAMESPACE)
        writer = Writer(self.lab.bastion, ENDPOINT, self.lab.hosts['masterone'].read(ADMIN), self.lab.folder)
        writer.start()
        wait_for('the first writes', lambda: len(writer.acknowledged) > 10, 30)
        made = self.upgrade('--force')
        writer.stop()
        lost = {number for number, _ in writer.acknowledged} - writer.there()
        print(f'upgrade of {len(ORDER)} nodes: {made.seconds:.0f} s; {writer.number} writes, {len(writer.failed)} failed, '
              f'longest gap {writer.longest_gap():.1f} s, lost {len(lost)}', flush=True)
        self.assertEqual(ORDER, self.done(made.text), made.text)
        self.assertEqual(set(), lost)
        self.assertLessEqual(len(writer.failed), FAILED_MAX, writer.failed[:4])
        self.assertLess(writer.longest_gap(), GAP_MAX_SECONDS)
        self.assertFalse(pods & self.pods(), 'each of them was evicted')
        after = self.kubelets()
        self.assertFalse([name for name in ORDER if kubelets[name] == after[name]], 'each of them was restarted')
        self.check_clean()

    def test_3_again_changes_nothing(self):
        before, issued = self.lab.snapshot(), self.lab.issued()
        self.assertIn('nothing was to be done: all nodes have', self.upgrade().text)
        self.assertIn('nothing was to be done', self.lab.apply().text)
        self.assertEqual([], self.lab.changes(before))
        self.assertEqual(issued, self.lab.issued())

    def test_4_killed_on_a_drained_node(self):
        with self.lab.applying('--to', VERSION, '--force', words=('cluster', 'upgrade')) as running:
            self.assertEqual('masterone', running.wait_begun('upgrade_kubelet'), running.text)
            running.kill()
        self.assertEqual(-signal.SIGKILL, running.code)
        self.assertEqual(['masterone'], self.cordoned())
        host = self.lab.hosts['masterone']
        host.run('flock', '/run/ensign-apply.lock', 'true')  # what it left running there
        # As a power cut leaves it between two renames of kubeadm's.
        host.sh(f'mkdir -p {SAVED} && mv {MANIFESTS}/kube-scheduler.yaml {SAVED}')
        again = self.upgrade()
        print(f'the rest of one node: {again.seconds:.0f} s', flush=True)
        self.assertEqual(['masterone'], self.done(again.text), again.text)
        self.assertTrue(host.path(f'{MANIFESTS}/kube-scheduler.yaml').exists())
        host.run('rm', '-r', SAVED)
        self.check_clean()

    def test_5_a_pod_in_the_way(self):
        """And a node that an administrator has cordoned, and a kubeadm that writes to the kubelet's kubeconfig. Only this
        node is gone on with: it has the mark."""
        host = self.lab.hosts['workerone']
        host.put('/usr/local/bin/kubeadm', KUBEADM_THAT_MEDDLES, 0o755)
        conf = host.files()['/etc/kubernetes/kubelet.conf'][:4]
        host.put(f'{MARKS}/upgrading.begun', '', 0o600)
        lonely = f'{{"spec": {{"nodeName": "workerone", "containers": [{{"name": "lonely", "image": "{PAUSE}"}}]}}}}'
        self.lab.kubectl('run', 'lonely', f'--image={PAUSE}', '--restart=Never', f'--overrides={lonely}')
        refused = self.upgrade(check=False)
        self.assertEqual(1, refused.code, refused.text)
        self.assertRegex(refused.text, r'(?s)default/lonely.*--drain-force|--drain-force.*default/lonely')
        self.assertEqual([], self.cordoned(), 'it takes pods again')
        self.assertIn('lonely', self.lab.kubectl('get', 'pods', '-o', 'name').stdout)
        self.lab.kubectl('cordon', 'workerone')
        again = self.upgrade('--drain-force')
        self.assertEqual(['workerone'], self.done(again.text), again.text)
        self.assertNotIn('lonely', self.lab.kubectl('get', 'pods', '-o', 'name').stdout)
        self.assertEqual(['workerone'], self.cordoned(), 'somebody else has cordoned it')
        self.lab.kubectl('uncordon', 'workerone')
        self.assertEqual(conf, host.files()['/etc/kubernetes/kubelet.conf'][:4])
        self.assertIn('put /etc/kubernetes/kubelet.conf back', self.lab.bastion.read('/root/.local/state/ensign/vagrant/workerone.log'))
        host.run('rm', '/usr/local/bin/kubeadm')
        self.check_clean()


if __name__ == '__main__':
    lab.enter()
    unittest.main(verbosity=2)
