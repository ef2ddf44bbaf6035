#!/usr/bin/env python3
"""`kubeadm certs check-expiration` on control planes from Ensign, which have no CA key. kubeadm 1.20.2 prints its table
for the certificates in /etc/kubernetes/pki, row by row as managed externally, but not while there is a kubeconfig: to read
one it loads the CA with its key (LoadCertificateAuthority in kubeConfigReadWriter.Read), and that the CA is external it
takes from the absence of that very file (UsingExternalCA). Patch releases since December 2021 load the certificate alone,
and later ones know, too, that etcd's CA may be external (IsExternallyManaged here does not)."""
import datetime
import pathlib
import re
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent.parent))
from lib import kubernetes
from lib.service import Service, run

EXAMPLES = {'external': 'vagrant-external-etcd.yaml', 'stacked': 'haproxy-stacked-etcd.yaml'}
OWN_CLIENTS = [('apiserverClient: shared', 'apiserverClient: perControlPlane')]
PKI, CONF = '/etc/kubernetes/pki/', '/etc/kubernetes/'
KUBECONFIGS = ('admin.conf', 'controller-manager.conf', 'scheduler.conf')
STOPS = f"couldn't load the private key file {PKI}ca.key: open {PKI}ca.key: no such file or directory"
# name in the table -> its file, its CA there, and the CA's file
KUBERNETES = {'apiserver': ('apiserver', 'ca'), 'apiserver-kubelet-client': ('apiserver-kubelet-client', 'ca'),
              'front-proxy-client': ('front-proxy-client', 'front-proxy-ca')}
ETCD = {'apiserver-etcd-client': ('apiserver-etcd-client', 'etcd-ca'),
        'etcd-healthcheck-client': ('etcd/healthcheck-client', 'etcd-ca'), 'etcd-peer': ('etcd/peer', 'etcd-ca'),
        'etcd-server': ('etcd/server', 'etcd-ca')}
CAS = {'ca': 'ca', 'front-proxy-ca': 'front-proxy-ca', 'etcd-ca': 'etcd/ca'}


def table(text):
    """(certificates, CAs): name -> the other columns; None for one that is missing"""
    found = []
    for line in text.splitlines():
        if line.startswith('CERTIFICATE'):
            found.append({})
        elif line.startswith('!MISSING! '):
            found[-1][line.split()[1]] = None
        elif found and line.strip():
            name, expires, _, *more = re.split(r' {2,}', line.strip())
            found[-1][name] = (expires, *more)
    return tuple(found)


def expires(host, path):
    end = run('openssl', 'x509', '-noout', '-enddate', '-in', host.path(path)).stdout.split('=')[1].strip()
    return datetime.datetime.strptime(end, '%b %d %H:%M:%S %Y %Z').strftime('%b %d, %Y %H:%M UTC')


def expected(host, stacked, managed, kubeconfigs):
    """managed: what the last column says for each CA. kubeconfigs: their rows"""
    leaves = {name: (expires(host, f'{PKI}{file}.crt'), ca, managed[ca])
              for name, (file, ca) in (KUBERNETES | (ETCD if stacked else {})).items()}
    cas = {name: (expires(host, f'{PKI}{file}.crt'), managed[name])
           for name, file in CAS.items() if stacked or name != 'etcd-ca'}
    return leaves | kubeconfigs, cas


class Expiration(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.service = Service().init()
        cls.addClassCleanup(cls.service.__exit__)
        cls.service.start()
        cls.ours, cls.kubeadms = {}, {}
        for topology, example in EXAMPLES.items():
            cluster, catalogue = kubernetes.example_cluster(cls.service, example,
                                                            OWN_CLIENTS if topology == 'external' else ())
            cls.ours[topology], cls.kubeadms[topology] = (kubernetes.Host(cls.service.folder / f'{whose}-{topology}')
                                                          for whose in ('ours', 'kubeadms'))
            for host in (cls.ours[topology], cls.kubeadms[topology]):
                host.configure(cluster, catalogue)
            cls.enroll(cls.ours[topology], catalogue['cluster'], kubernetes.first_control_plane(cluster)['name'])
            for phase in ('certs', 'kubeconfig'):
                cls.kubeadms[topology].kubeadm('init', 'phase', phase, 'all')

    @classmethod
    def enroll(cls, host, cluster, node):
        token = cls.service.folder / f'{node}.token'
        cls.service.ensign('token', 'create', '--cluster', cluster, '--node', node, '--out', token)
        cls.service.ensign('enroll', '--server', f'https://localhost:{cls.service.port}', '--token-file', token, '--root',
                           host.root)

    def check(self, host, check=True):
        return host.kubeadm('certs', 'check-expiration', check=check)

    def without_kubeconfigs(self, host):
        for name in KUBECONFIGS:
            path = host.path(CONF + name)
            hidden = path.with_suffix('.hidden')
            path.rename(hidden)
            self.addCleanup(hidden.rename, path)

    def test_1_the_control_with_the_keys(self):
        """kubeadm's own, with its CA keys: all rows are there, and it would renew each."""
        for topology, host in self.kubeadms.items():
            with self.subTest(topology):
                certificates, cas = table(self.check(host).stdout)
                configs = {name: certificates.pop(name) for name in KUBECONFIGS}
                self.assertEqual({row[-1] for row in configs.values()}, {'no'})
                no = dict.fromkeys(CAS, 'no')
                self.assertEqual((certificates, cas), expected(host, topology == 'stacked', no, {}))

    def test_2_a_kubeconfig_stops_it_without_the_key(self):
        """Whoever made the files: the control is what kubeadm made, with which it has just done."""
        for topology in EXAMPLES:
            for host in (self.ours[topology], self.kubeadms[topology]):
                for key in host.path(PKI).rglob('ca.key'):
                    key.unlink()
                for key in host.path(PKI).rglob('front-proxy-ca.key'):
                    key.unlink()
                with self.subTest(host.root.name):
                    stopped = self.check(host, check=False)
                    self.assertEqual(stopped.returncode, 1)
                    self.assertIn(STOPS, stopped.stderr)
                    self.assertEqual(stopped.stdout.count('CERTIFICATE'), 0)

    def test_3_all_else_is_managed_externally(self):
        managed = {'ca': 'yes', 'front-proxy-ca': 'yes', 'etcd-ca': 'no'}
        for topology in EXAMPLES:
            for host in (self.ours[topology], self.kubeadms[topology]):
                with self.subTest(host.root.name):
                    self.without_kubeconfigs(host)
                    rows = table(self.check(host).stdout)
                    self.assertEqual(rows, expected(host, topology == 'stacked', managed, dict.fromkeys(KUBECONFIGS)))


if __name__ == '__main__':
    kubernetes.needs()
    unittest.main(warnings='ignore')
