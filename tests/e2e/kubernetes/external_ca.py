#!/usr/bin/env python3
"""kubeadm's external CA mode on a first control plane from Ensign, which has no CA key: kubeadm takes every file as it
is, says that their CA is external, and refuses a set that is not whole or not of this CA."""
import pathlib
import re
import shutil
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent.parent))
from lib import kubernetes
from lib.service import Service

# The second with one apiserver-etcd-client for all API servers, and kubeconfigs that name their PEMs.
EXAMPLES = {'haproxy-stacked-etcd.yaml': [], 'vagrant-external-etcd.yaml': [('\netcd:\n', '\nkubeconfigs: files\netcd:\n')]}
PKI = '/etc/kubernetes/pki/'
NAMED = re.compile(f'{PKI}(kubelet|controller-manager|scheduler)-client.(crt|key)')
# What kubeadm renews where it has the CA's key.
RENEWABLE = ['apiserver', 'apiserver-kubelet-client', 'front-proxy-client', 'admin.conf', 'controller-manager.conf',
             'scheduler.conf']
CAS = {'ca': 'API server is not signed by corresponding CA',
       'front-proxy-ca': 'front-proxy client is not signed by corresponding CA', 'etcd/ca': 'certificate etcd/server not signed by CA certificate etcd/ca'}
PHASES = [('init', 'phase', 'certs', 'all'), ('init', 'phase', 'kubeconfig', 'all')]


def looked_for(host):
    """The files that kubeadm looks for, beside the CAs: it leaves alone the client that it is given for an external
    etcd, what kubeconfigs name, and CRLs."""
    stacked = host.path(f'{PKI}etcd/server.crt').exists()
    return [path for path in sorted(host.files()) if path.startswith('/etc/kubernetes/') and not path.endswith('ca.crt')
            and '/sa.' not in path and not path.endswith('.der') and not NAMED.fullmatch(path) and (stacked or 'etcd-client' not in path)]


def phases(host):
    """(whether kubeadm takes all as it is, what it prints)"""
    output = ''
    for phase in PHASES:
        result = host.kubeadm(*phase, check=False)
        output += result.stdout + result.stderr
        if result.returncode != 0:
            return False, output
    return True, output


class ExternalCa(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.service = Service().init()
        cls.addClassCleanup(cls.service.__exit__)
        cls.service.start()
        cls.hosts = [cls.control_plane(example, replace) for example, replace in EXAMPLES.items()]

    @classmethod
    def control_plane(cls, example, replace):
        cluster, catalogue = kubernetes.example_cluster(cls.service, example, replace)
        host = kubernetes.Host(cls.service.folder / catalogue['cluster'])
        host.configure(cluster, catalogue)
        kubernetes.enrol(cls.service, catalogue['cluster'], kubernetes.first_control_plane(cluster)['name'], host.root)
        return host

    def refused(self, host, path, content, reason):
        """With that content, or without the file if it is None, of a copy."""
        with tempfile.TemporaryDirectory(dir=self.service.folder) as folder:
            copy = kubernetes.Host(pathlib.Path(folder, 'host'))
            shutil.copytree(host.root, copy.root, dirs_exist_ok=True)
            if content is None:
                copy.path(path).unlink()
            else:
                copy.path(path).write_text(content)
            before = copy.files()
            taken, output = phases(copy)
            self.assertFalse(taken, f'kubeadm takes {path}')
            self.assertRegex(output, reason)
            self.assertEqual(copy.files(), before)

    def test_kubeadm_takes_all_and_changes_nothing(self):
        for host in self.hosts:
            with self.subTest(host.root.name):
                before = host.files()
                self.assertFalse([path for path in before if path.endswith('ca.key')])
                taken, output = phases(host)
                self.assertTrue(taken, output)
                self.assertIn('Using existing ca keyless certificate authority', output)
                self.assertIn('Using existing front-proxy-ca keyless certificate authority', output)
                self.assertNotIn('Generating', output)
                self.assertEqual(host.files(), before)

    def test_kubeadm_renews_nothing(self):
        """It says so by name; for etcd's own, kubeadm 1.20 knows no external CA and asks for the key. (For its
        `certs check-expiration` see expiration.py.)"""
        stacked, external = self.hosts
        for host in self.hosts:
            with self.subTest(host.root.name):
                before = host.files()
                for name in RENEWABLE:
                    renewed = host.kubeadm('certs', 'renew', name)
                    self.assertRegex(renewed.stdout, r"^Detected external (ca|front-proxy-ca), .* can't be renewed\n$")
                self.assertEqual(host.files(), before)
        self.assertIn("etcd/ca.key: no such file", stacked.kubeadm('certs', 'renew', 'etcd-server', check=False).stderr)
        self.assertEqual(external.kubeadm('certs', 'renew', 'all').stdout.count("can't be renewed"), len(RENEWABLE))

    def test_a_set_that_is_not_whole_is_refused(self):
        refused = 0
        for host in self.hosts:
            for path in looked_for(host):
                with self.subTest(host.root.name, path=path):
                    self.refused(host, path, None, f'{path}: no such file|{path.replace(".crt", ".key")}: no such file|'
                                 'etcd/ca.key: no such file')
                    refused += 1
        self.assertEqual(refused, (6 + 8 + 4) + (6 + 4))

    def test_another_ca_in_front_is_refused(self):
        """kubeadm looks at the first certificate of a bundle only."""
        stacked, external = self.hosts
        other = lambda host, ca: host.path(f'{PKI}{ca}.crt').read_text()
        for host, another in (stacked, external), (external, stacked):
            for ca, reason in CAS.items():
                if ca == 'etcd/ca' and host is external:
                    continue
                with self.subTest(host.root.name, ca=ca):
                    self.refused(host, f'{PKI}{ca}.crt', other(another, ca) + other(host, ca), reason)

    def test_another_cas_certificate_is_refused(self):
        stacked, external = self.hosts
        for path, reason in [(f'{PKI}apiserver.crt', 'API server is not signed by corresponding CA'),
                             ('/etc/kubernetes/admin.conf', 'admin.conf" exists already but has got the wrong CA cert')]:
            with self.subTest(path):
                self.refused(external, path, stacked.path(path).read_text(), reason)


if __name__ == '__main__':
    kubernetes.needs()
    unittest.main(warnings='ignore')
