"""What nodes of the example clusters get by `ensign enroll` is what the catalogue says: the same profiles, subjects,
names and usages, from the right CA, good for what they are for; and again, nothing changes."""
import json
import os
import pathlib
import re
import unittest

from lib.service import Service, run

CATALOGUE = pathlib.Path(os.environ['ENSIGN_BUILD']) / 'tests/golden/catalogue'
# example, its version, the version in its place, nodes
CLUSTERS = [
    ('vagrant-external-etcd.yaml', '1.35', '1.28', ('etcdone', 'masterone', 'mastertwo', 'workerone', 'lb')),
    ('nginx-keepalived-external-etcd.yaml', '1.28.2', '1.35.5', ('k8smaster1.isociel.com',)),
    ('haproxy-stacked-etcd.yaml', '1.30', '1.35', ('controlplane1', 'controlplane3')),
]
EXTENDED = {'serverAuth': 'TLS Web Server Authentication', 'clientAuth': 'TLS Web Client Authentication'}
PURPOSE = {'serverAuth': 'sslserver', 'clientAuth': 'sslclient'}


def shown(certificate):
    """Subject, names and usages as OpenSSL reads them."""
    text = run('openssl', 'x509', '-in', certificate, '-noout', '-subject', '-nameopt', 'sep_multiline,sname', '-ext',
               'subjectAltName,extendedKeyUsage').stdout
    after = lambda title: re.search(rf'{title}: \n +(.*)', text)
    names = after('Subject Alternative Name')
    items = names.group(1).split(', ') if names else []
    return {'common_name': re.findall(r'^ +CN=(.*)', text, re.M), 'organizations': re.findall(r'^ +O=(.*)', text, re.M),
            'dns': [item[4:] for item in items if item.startswith('DNS:')],
            'addresses': [item[11:] for item in items if item.startswith('IP Address:')],
            'extended_key_usage': after('Extended Key Usage').group(1).split(', ')}


def wanted(item):
    content = item['certificate']
    addresses = ['0:0:0:0:0:0:0:1' if text == '::1' else text for text in content['addresses']]
    return {'common_name': [content['subject']['common_name']], 'organizations': content['subject']['organizations'],
            'dns': content['dns'], 'addresses': addresses,
            'extended_key_usage': [EXTENDED[usage] for usage in content['extended_key_usage']]}


class Catalogue(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.service = Service().init()
        cls.addClassCleanup(cls.service.__exit__)
        cls.service.start()

    def enroll(self, cluster, node, folder):
        token = folder.with_suffix('.token')
        if not token.exists():
            token.touch(0o600)
            token.write_text(self.service.token(cluster, node))
        server = f'https://localhost:{self.service.port}'
        result = self.service.ensign('enroll', '--server', server, '--token-file', token, '--out', folder)
        return result.stderr.splitlines()

    def check_certificate(self, item, folder):
        self.assertEqual(shown(folder / 'tls.crt'), wanted(item))
        for usage, purpose in PURPOSE.items():
            good = usage in item['certificate']['extended_key_usage']
            verified = run('openssl', 'verify', '-purpose', purpose, '-CAfile', folder / 'ca.crt', folder / 'tls.crt',
                           check=False)
            self.assertEqual(verified.returncode == 0, good, verified.stderr)
        issuer = run('openssl', 'x509', '-in', folder / 'tls.crt', '-noout', '-issuer').stdout
        self.assertIn(item['authority'], issuer)

    def check_node(self, catalogue, node):
        folder = self.service.folder / node
        items = {item['name']: item for item in catalogue['items'] if item['node'] == node and 'certificate' in item}
        lines = self.enroll(catalogue['cluster'], node, folder)
        self.assertEqual({line.split(':')[0] for line in lines}, set(items))
        self.assertTrue(all(': issued ' in line for line in lines), lines)
        for name, item in items.items():
            with self.subTest(node=node, profile=name):
                self.check_certificate(item, folder / name)
        again = self.enroll(catalogue['cluster'], node, folder)
        self.assertEqual(sorted(again), sorted(f'{name}: unchanged' for name in items))
        return len(items)

    def test_enrolled_nodes_have_what_the_catalogue_lists(self):
        checked = 0
        for example, before, version, nodes in CLUSTERS:
            replace = [(f'kubernetesVersion: "{before}"', f'kubernetesVersion: "{version}"')]
            path = self.service.create_cluster(example, replace)
            catalogue = json.loads(run(CATALOGUE, path, version).stdout)
            self.assertEqual(catalogue['kubernetes'], version)
            for node in nodes:
                checked += self.check_node(catalogue, node)
        print(f'{checked} certificates are as the catalogue has them')
        self.assertGreater(checked, 50)


if __name__ == '__main__':
    unittest.main(warnings='ignore')
