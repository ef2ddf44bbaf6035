#!/usr/bin/env python3
"""kubeadm's configuration of client/render/ in the real kubeadm 1.20 (v1beta2): it knows every member, takes the files of a
control plane from Ensign by it, and gives the control plane the options that the cluster file asks for and an external CA
needs. Of v1beta3 and v1beta4, which no kubeadm here reads, tests/golden/rendered/ has the text and tests/e2e/rendered.py
the form."""
import json
import pathlib
import re
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent.parent))
from lib import kubernetes
from lib.service import BUILD, ROOT, Service, run

PATH = '/etc/kubernetes/kubeadm.yaml'
EXAMPLES = {name: ROOT / f'policies/examples/{name}.yaml' for name in
            ('vagrant-external-etcd', 'nginx-keepalived-external-etcd', 'haproxy-stacked-etcd')}
CLUSTERS = [*EXAMPLES.values(), ROOT / 'tests/golden/kube-vip-bridge.yaml']
FILES_MIN = 20
SIGNING = {'cluster-signing-cert-file', 'cluster-signing-key-file'}


def rendered(cluster, *words):
    """{node: text}"""
    files = json.loads(run(BUILD / 'tests/golden/rendered', cluster, kubernetes.VERSION, *words).stdout)
    return {file['node']: file['text'] for file in files if file['path'] == PATH}


class Strict(unittest.TestCase):
    """kubeadm only warns of a member that it does not know."""

    def said(self, text):
        with tempfile.TemporaryDirectory() as folder:
            old = pathlib.Path(folder, 'old.yaml')
            old.write_text(text.replace('kubeConfigPath: /etc/kubernetes/kubelet.conf', f'kubeConfigPath: {old}'))  # there
            result = run(kubernetes.BIN / 'kubeadm', 'config', 'migrate', '--old-config', old, '--new-config',
                         pathlib.Path(folder, 'new.yaml'), check=False)
            return result.stdout + result.stderr if result.returncode == 0 else f'refused: {result.stderr}'

    def test_every_member_is_known(self):
        texts = [text for cluster in CLUSTERS for words in (['token'], ['crl']) for text in rendered(cluster, *words).values()]
        self.assertGreater(len(texts), FILES_MIN)
        for text in texts:
            self.assertEqual(self.said(text), '', text)

    def test_controls(self):
        text = rendered(CLUSTERS[1], 'token')['k8smaster1.isociel.com']
        for before, after in {'bindPort': 'bindPorts', 'mode: ipvs': 'modes: ipvs', 'cgroupDriver': 'cgroupDrivers',
                              'kubeadm.k8s.io/v1beta2': 'kubeadm.k8s.io/v1beta9',
                              'podSubnet: "100': 'podSubnet: "1000'}.items():
            self.assertIn(before, text)
            self.assertNotEqual(self.said(text.replace(before, after)), '', after)


class ControlPlane(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.service = Service().init()
        cls.addClassCleanup(cls.service.__exit__)
        cls.service.start()

    def host(self, example):
        """The first control plane, with all of its files; kubeadm has written its manifests."""
        cluster, catalogue = kubernetes.example_cluster(self.service, f'{example}.yaml')
        node = kubernetes.first_control_plane(cluster)['name']
        host = kubernetes.Host(self.service.folder / cluster['name'])
        kubernetes.enrol(self.service, catalogue['cluster'], node, host.root)
        host.path('/kubeadm.yaml').write_text(rendered(EXAMPLES[example], 'crl')[node])
        before = host.files()
        for phase in ('certs', 'kubeconfig', 'control-plane'):
            host.kubeadm('init', 'phase', phase, 'all')
        after = {path: file for path, file in host.files().items() if '/manifests/' not in path}
        self.assertEqual(after, before)
        return host

    def options(self, host, program):
        text = host.path(f'/etc/kubernetes/manifests/{program}.yaml').read_text()
        return dict(re.findall(r'^ +- --([a-z-]+)=(.*)$', text, re.M))

    def test_external(self):
        host = self.host('nginx-keepalived-external-etcd')
        manager, apiserver = self.options(host, 'kube-controller-manager'), self.options(host, 'kube-apiserver')
        self.assertEqual({manager[name] for name in SIGNING}, {''})
        self.assertEqual(manager['node-cidr-mask-size'], '24')
        self.assertEqual(manager['cluster-cidr'], '100.64.0.0/10')
        self.assertEqual(manager['cluster-name'], 'k8s-cluster1')
        self.assertEqual(apiserver['etcd-servers'], 'https://192.168.13.35:2379,https://192.168.13.36:2379,'
                                                    'https://192.168.13.37:2379')
        self.assertEqual(apiserver['etcd-cafile'], '/etc/kubernetes/pki/etcd/etcd-ca.crt')
        self.assertEqual(apiserver['advertise-address'], '192.168.13.61')
        # Control: where the CA's key lies beside it, kubeadm has the controller manager sign.
        host.path('/etc/kubernetes/pki/ca.key').write_bytes(host.path('/etc/kubernetes/pki/apiserver.key').read_bytes())
        host.kubeadm('init', 'phase', 'control-plane', 'controller-manager')
        self.assertNotIn('', {self.options(host, 'kube-controller-manager')[name] for name in SIGNING})

    def test_stacked(self):
        host = self.host('haproxy-stacked-etcd')
        self.assertEqual({self.options(host, 'kube-controller-manager')[name] for name in SIGNING}, {''})
        host.kubeadm('init', 'phase', 'etcd', 'local')
        etcd = self.options(host, 'etcd')
        for name in ('client-crl-file', 'peer-crl-file'):
            self.assertEqual(etcd[name], '/etc/kubernetes/pki/etcd/crl.der')
        self.assertEqual(etcd['data-dir'], '/var/lib/etcd')
        # The pod sees the file.
        self.assertIn('mountPath: /etc/kubernetes/pki/etcd\n', host.path('/etc/kubernetes/manifests/etcd.yaml').read_text())


kubernetes.needs()
if __name__ == '__main__':
    unittest.main(verbosity=2)
