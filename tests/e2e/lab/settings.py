#!/usr/bin/env python3
"""A cluster that runs, whose file changes: settings of its control planes, some of which do not work, and another load
balancer at another address. Somebody writes all the time. Prints what it saw."""
import json
import pathlib
import re
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

from lib import lab  # noqa: E402
from lib.bringup import ADMIN, Bringup  # noqa: E402
from lib.service import wait_for  # noqa: E402

MASTERS, WORKER, OLD, NEW = ('masterone', 'mastertwo'), 'workerone', 'lb', 'etcdtwo'
NODES, NEW_NODES = ('etcdone', *MASTERS, WORKER, OLD), ('etcdone', *MASTERS, WORKER, NEW)
OLD_ADDRESS, NEW_ADDRESS = '192.168.29.81', '192.168.29.62'
SETTINGS, MANIFESTS = '/etc/kubernetes/ensign-control-plane.yaml', '/etc/kubernetes/manifests'
KEPT = f'apiServer: {{certSANs: [{OLD_ADDRESS}]}}\n'


def inflight(value, timeout='4m'):
    """Settings of two components"""
    line = '  cni: {bridge: true}\n'
    return [(line, f'{line}  kubeadm: {{controlPlaneTimeout: {timeout}, apiServer: {{extraArgs: {{max-requests-inflight: '
                   f'"{value}"}}}}, scheduler: {{extraArgs: {{v: "1"}}}}}}\n')]


def moved(kept=KEPT):
    """Another host is the load balancer, and the endpoint is there."""
    return [(f'controlPlaneEndpoint: {OLD_ADDRESS}:6443\n', f'controlPlaneEndpoint: {NEW_ADDRESS}:6443\n{kept}'),
            (f'addresses: [{NEW_ADDRESS}]\n    roles: [etcd]', f'addresses: [{NEW_ADDRESS}]\n    roles: [load-balancer]')]


class Settings(lab.Case):
    @classmethod
    def setUpClass(cls):
        cls.lab = cls.enterClassContext(Bringup('external-haproxy', (*NODES, NEW)))
        cls.lab.serve(ensign=True, nodes=NODES)
        cls.made = cls.lab.apply()

    def write(self, nodes, edits):
        self.lab.write(ensign=True, nodes=nodes, edits=edits)

    def manifest(self, name, component='kube-apiserver'):
        return self.lab.hosts[name].read(f'{MANIFESTS}/{component}.yaml')

    def config_map(self, namespace, name):
        return self.lab.kubectl('-n', namespace, 'get', 'configmap', name, '-o', 'yaml').stdout

    def check_again(self):
        """Nothing is left to be done. The pods of kube-proxy may still be replaced, one after the other."""
        self.lab.kubectl('-n', 'kube-system', 'rollout', 'status', 'daemonset', 'kube-proxy', '--timeout', '100s')
        self.assertEqual([], self.lab.plan())
        before = self.lab.snapshot()
        self.assertIn('nothing was to be done', self.lab.apply().text)
        self.assertEqual([], self.lab.changes(before))

    # ---- settings ----

    def test_1_a_bring_up_needs_none_of_it(self):
        for words in ('settings', 'show its names', 'name their server'):
            self.assertNotIn(words, self.made.text)
        self.check_again()

    def test_2_settings(self):
        self.write(NODES, inflight(500))
        self.assertEqual([('init', name, f'{SETTINGS} differs') for name in MASTERS], self.lab.plan())
        etcd = self.lab.hosts['etcdone'].run('pgrep', '-x', 'etcd').stdout
        with self.lab.writing('settings of two control planes'):
            self.lab.apply()
        for name in MASTERS:
            self.assertIn('--max-requests-inflight=500', self.manifest(name))
            self.assertIn('--v=1', self.manifest(name, 'kube-scheduler'))
            self.assertIn('--max-requests-inflight=500', self.lab.hosts[name].run('pgrep', '-af', 'kube-apiserver').stdout)
        self.assertIn('max-requests-inflight: "500"', self.config_map('kube-system', 'kubeadm-config'))
        self.assertEqual(etcd, self.lab.hosts['etcdone'].run('pgrep', '-x', 'etcd').stdout)
        self.assertTrue(all(self.lab.nodes().values()))
        self.check_again()

    def test_3_killed_in_between(self):
        self.write(NODES, inflight(600))
        with self.lab.applying() as running:
            self.assertEqual('masterone', running.wait_begun('settings'))
            running.kill()
        self.lab.apply()
        for name in MASTERS:
            self.assertIn('--max-requests-inflight=600', self.manifest(name))
        self.check_again()

    def test_4_settings_that_do_not_work(self):
        """The second control plane does not get them, and others mend what the first one has."""
        self.write(NODES, inflight('many', '40s'))
        failed = self.lab.apply(check=False)
        self.assertEqual(1, failed.code, failed.text)
        self.assertIn('invalid argument "many"', failed.text)
        self.assertIn('--max-requests-inflight=600', self.manifest('mastertwo'))
        self.assertTrue(all(self.lab.nodes().values()))
        self.write(NODES, inflight(500))
        self.lab.apply()
        self.assertIn('--max-requests-inflight=500', self.manifest('masterone'))
        self.check_again()

    # ---- another load balancer ----

    def servers(self, name):
        conf = {ADMIN, '/etc/kubernetes/kubelet.conf'} if name in MASTERS else {'/etc/kubernetes/kubelet.conf'}
        return {re.search(r'server: "?(\S+?)"?\n', self.lab.hosts[name].read(path))[1] for path in conf}

    def shown(self, master, name):
        """curl's exit code: whether this API server shows a certificate for that name"""
        address = self.lab.hosts[master].address
        return self.lab.hosts[master].run('curl', '-sS', '-o', '/dev/null', '--cacert', '/etc/kubernetes/pki/ca.crt',
                                          '--connect-to', f'::{address}:6443', f'https://{name}:6443/livez', check=False).returncode

    def renewed(self, since):
        """Whether each node has said since then that it lives"""
        items = json.loads(self.lab.kubectl('-n', 'kube-node-lease', 'get', 'leases', '-o', 'json').stdout)['items']
        return len(items) == 3 and all(item['spec']['renewTime'][:19] > since for item in items)

    def connected(self, address):
        """Connections of nodes to that address, those of their pods included"""
        return [line for name in (*MASTERS, WORKER)
                for line in self.lab.hosts[name].run('ss', '-Htn', 'dst', address).stdout.splitlines()]

    def test_5_another_load_balancer(self):
        with self.lab.writing('another load balancer', address=self.lab.hosts['mastertwo'].address):
            self.write(NEW_NODES, [*inflight(500), *moved()])
            planned = {(stage, node) for stage, node, _ in self.lab.plan()}
            made = self.lab.apply()
        print(f'another load balancer took {made.seconds:.0f} s', flush=True)
        self.assertLessEqual({('load-balancer', node) for node in (NEW, *MASTERS, WORKER)} | {('enrol', NEW)} |
                             {('init', name) for name in MASTERS}, planned)
        for name in MASTERS:
            self.assertEqual([0, 0], [self.shown(name, address) for address in (OLD_ADDRESS, NEW_ADDRESS)])
        for name in (*MASTERS, WORKER):
            self.assertEqual({f'https://{NEW_ADDRESS}:6443'}, self.servers(name), name)
        for namespace, name in (('kube-public', 'cluster-info'), ('kube-system', 'kube-proxy'), ('kube-system', 'kubeadm-config')):
            text = self.config_map(namespace, name)
            self.assertIn(f'{NEW_ADDRESS}:6443', text, name)
            self.assertNotIn(f'{OLD_ADDRESS}:6443', text, name)
        self.assertTrue(all(self.lab.nodes().values()))
        self.check_again()

    def test_6_the_one_before_goes(self):
        wait_for('nobody to be connected to it', lambda: not self.connected(OLD_ADDRESS), 180)
        self.lab.hosts[OLD].cut()
        since = time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime())
        wait_for('all nodes to renew their leases', lambda: self.renewed(since), 60)
        self.assertTrue(all(self.lab.nodes().values()))
        self.assertTrue(self.lab.well(), self.lab.status())

    def test_7_its_name_goes(self):
        self.write(NEW_NODES, [*inflight(500), *moved(kept='')])
        self.lab.apply()
        for name in MASTERS:  # an API server reads its certificate again within two minutes
            wait_for(f'the old name to go from {name}', lambda: self.shown(name, OLD_ADDRESS) == 60, 180)
            self.assertEqual(0, self.shown(name, NEW_ADDRESS))
        self.assertNotIn(OLD_ADDRESS, self.config_map('kube-system', 'kubeadm-config'))
        self.check_again()


if __name__ == '__main__':
    lab.enter()
    unittest.main()
