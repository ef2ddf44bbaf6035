#!/usr/bin/env python3
"""The catalogue against the real kubeadm: what it makes for the first control plane of each example cluster, and where,
is what the catalogue says. What differs on purpose is listed here with its reason, and must differ."""
import copy
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent.parent))
from lib import kubernetes
from lib.certificates import catalogued, said
from lib.service import Service

EXAMPLES = {'haproxy-stacked-etcd.yaml': 'stacked', 'nginx-keepalived-external-etcd.yaml': 'external',
            'vagrant-external-etcd.yaml': 'external'}
PKI = '/etc/kubernetes/pki/'
CLIENT, HEALTHCHECK = f'{PKI}apiserver-etcd-client.crt', f'{PKI}etcd/healthcheck-client.crt'

# The key of a CA stays in the service.
ONLY_KUBEADM = {'external': {f'{PKI}ca.key', f'{PKI}front-proxy-ca.key'},
                'stacked': {f'{PKI}ca.key', f'{PKI}front-proxy-ca.key', f'{PKI}etcd/ca.key'}}
# What belongs to an external etcd kubeadm wants to be given, wherever it lies.
ONLY_ENSIGN = {'external': {'etcd-ca', 'apiserver-etcd-client'}, 'stacked': set()}
# These keys are for ECDSA, which cannot encipher keys (RFC 5480 section 3); kubeadm's are for RSA.
KEY_USAGE = {'key_usage': ({'digitalSignature', 'keyEncipherment'}, {'digitalSignature'})}
# etcd does not look at organizations, and to an API server this one means the masters of the cluster; later kubeadms
# leave it out, too.
ORGANIZATIONS = {'organizations': (['system:masters'], [])}
DIFFERENT = {CLIENT: {**KEY_USAGE, **ORGANIZATIONS}, HEALTHCHECK: {**KEY_USAGE, **ORGANIZATIONS}}


def made(host, path):
    """What is to be compared of one of kubeadm's files."""
    fields = {'mode': host.files()[path][0]}
    if path.endswith('.conf'):
        fields['server'], pem = kubernetes.kubeconfig(host.path(path))
        fields |= said(pem)
    elif path.endswith('.crt') and not path.endswith('ca.crt'):
        fields |= said(host.path(path).read_text())
    return fields


def listed(item, file):
    """The same of one file of the catalogue."""
    fields = {'mode': f'0o{file["mode"].lstrip("0")}'}
    if item['kind'] == 'kubeconfig':
        fields['server'] = item['server']
    if 'certificate' in item and not file['path'].endswith('.key'):
        fields |= catalogued(item['certificate'])
    return fields


def differences(host, items):
    """path -> field -> (kubeadm's, the catalogue's), of the files that both have; items: path -> (item, file)"""
    found = {}
    for path in set(host.files()) & set(items):
        theirs, ours = made(host, path), listed(*items[path])
        fields = {field: (theirs.get(field), ours.get(field)) for field in theirs.keys() | ours.keys()
                  if theirs.get(field) != ours.get(field)}
        if fields:
            found[path] = fields
    return found


class Certificates(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.service = Service().init()
        cls.addClassCleanup(cls.service.__exit__)
        cls.service.start()
        cls.made = {example: cls.make(example) for example in EXAMPLES}

    @classmethod
    def make(cls, example):
        """A host with what kubeadm makes for it, and what the catalogue has there."""
        cluster, catalogue = kubernetes.example_cluster(cls.service, example)
        host = kubernetes.Host(cls.service.folder / catalogue['cluster'])
        host.configure(cluster, catalogue)
        host.kubeadm('init', 'phase', 'certs', 'all')
        host.kubeadm('init', 'phase', 'kubeconfig', 'all')
        node = kubernetes.first_control_plane(cluster)['name']
        items = {file['path']: (item, file) for item in catalogue['items'] if item['node'] == node
                 for file in item['files'] if file['path'].startswith('/etc/kubernetes/')}
        return host, items

    def test_the_paths_are_kubeadms(self):
        for example, topology in EXAMPLES.items():
            host, items = self.made[example]
            with self.subTest(example):
                self.assertEqual(set(host.files()) - set(items), ONLY_KUBEADM[topology])
                self.assertEqual({items[path][0]['name'] for path in set(items) - set(host.files())}, ONLY_ENSIGN[topology])

    def test_the_contents_are_kubeadms(self):
        compared = 0
        for example in EXAMPLES:
            host, items = self.made[example]
            leaves = {path for path in set(host.files()) & set(items)
                      if 'certificate' in items[path][0] and not path.endswith('.key')}
            compared += len(leaves)
            with self.subTest(example):
                self.assertEqual(differences(host, items), {path: DIFFERENT.get(path, KEY_USAGE) for path in leaves})
        print(f'{compared} certificates of kubeadm are as the catalogue has them')
        self.assertGreaterEqual(compared, 25)

    def test_what_is_wrong_in_a_catalogue_is_found(self):
        host, items = self.made['vagrant-external-etcd.yaml']
        apiserver, admin = f'{PKI}apiserver.crt', '/etc/kubernetes/admin.conf'
        for path, change in [
                (apiserver, lambda item, file: item['certificate']['dns'].pop()),
                (apiserver, lambda item, file: item['certificate']['addresses'].append('192.0.2.1')),
                (apiserver, lambda item, file: item['certificate']['extended_key_usage'].append('clientAuth')),
                (apiserver, lambda item, file: file.update(mode='0600')),
                (admin, lambda item, file: item['certificate']['subject'].update(common_name='admin')),
                (admin, lambda item, file: item.update(server='https://192.168.29.51:6443'))]:
            wrong = copy.deepcopy(items)
            change(*wrong[path])
            self.assertNotEqual(differences(host, wrong), differences(host, items))


if __name__ == '__main__':
    kubernetes.needs()
    unittest.main(warnings='ignore')
