"""What nodes of the example clusters get by `ensign enroll` is what the catalogue says: the same profiles, subjects,
names and usages, from the right CA, good for what they are for; and again, nothing changes."""
import json
import os
import pathlib
import unittest

from lib.certificates import catalogued, said
from lib.service import Service, run

CATALOGUE = pathlib.Path(os.environ['ENSIGN_BUILD']) / 'tests/golden/catalogue'
# example, its version, the version in its place, nodes
CLUSTERS = [
    ('vagrant-external-etcd.yaml', '1.35', '1.28', ('etcdone', 'masterone', 'mastertwo', 'workerone', 'lb')),
    ('nginx-keepalived-external-etcd.yaml', '1.28.2', '1.35.5', ('k8smaster1.isociel.com',)),
    ('haproxy-stacked-etcd.yaml', '1.30', '1.35', ('controlplane1', 'controlplane3')),
]
PURPOSE = {'serverAuth': 'sslserver', 'clientAuth': 'sslclient'}


class Catalogue(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.service = Service().init()
        cls.addClassCleanup(cls.service.__exit__)
        cls.service.start()
        cls.custodians = {}  # cluster -> folder of the control plane that made its shared keys

    def enroll(self, cluster, node, folder):
        token = folder.with_suffix('.token')
        if not token.exists():
            token.touch(0o600)
            token.write_text(self.service.token(cluster, node))
        server = f'https://localhost:{self.service.port}'
        result = self.service.ensign('enroll', '--server', server, '--token-file', token, '--out', folder, '--timeout', '1s',
                                     check=False)
        self.assertIn(result.returncode, (0, 7), result.stderr)
        lines = result.stderr.splitlines()
        if result.returncode == 7:  # another control plane has the keys, and seals them for this one
            self.service.ensign('shared-key', 'sync', '--out', self.custodians[cluster])
            self.assertIn('sync', lines.pop())
            lines += self.service.ensign('shared-key', 'sync', '--out', folder).stderr.splitlines()
        elif any(line.startswith('sa: ') for line in lines):
            self.custodians.setdefault(cluster, folder)
        return lines

    def check_certificate(self, item, folder):
        self.assertEqual(said((folder / 'tls.crt').read_text()), catalogued(item['certificate']))
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
        shared = {item['name'] for item in catalogue['items'] if item['node'] == node and item['shared']}
        self.assertEqual({line.split(':')[0] for line in lines}, set(items) | shared)
        self.assertTrue(all(': issued ' in line or line.split(':')[0] in shared for line in lines), lines)
        for name, item in items.items():
            with self.subTest(node=node, profile=name):
                self.check_certificate(item, folder / name)
        again = self.enroll(catalogue['cluster'], node, folder)
        self.assertEqual(sorted(again), sorted(f'{name}: unchanged' for name in set(items) | shared))
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
