#!/usr/bin/env python3
"""A cluster that kubeadm made is adopted and goes on: its CA keys move into the service, its programs run on as they are,
then on certificates from Ensign beside old ones. With etcd on the control plane, and with an external one of cfssl's."""
import base64
import json
import pathlib
import re
import shutil
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent.parent))
from lib import kubernetes
from lib.control_plane import PKI
from lib.keys import openssl
from lib.running import ADDRESSES, ENDPOINT, Running
from lib.service import run

CONFLICT = 6
NEW_KEY = ('-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes')
PEM = re.compile(rb'-----BEGIN ([A-Z ]+)-----\n.*?\n-----END \1-----\n', re.S)
CA_KEYS = {'stacked': {'ca.key', 'front-proxy-ca.key', 'etcd/ca.key'}, 'external': {'ca.key', 'front-proxy-ca.key'}}
LEAVES = {'apiserver.crt': 'kubernetes', 'apiserver-kubelet-client.crt': 'kubernetes',
          'front-proxy-client.crt': 'front-proxy-ca'}
ETCD_LEAVES = {
    'stacked': {'apiserver-etcd-client.crt': 'etcd-ca', 'etcd/healthcheck-client.crt': 'etcd-ca',
                'etcd/peer.crt': 'etcd-ca', 'etcd/server.crt': 'etcd-ca'},
    'external': {'apiserver-etcd-client.crt': 'etcd-ca', 'etcd/etcdone.pem': 'etcd-ca', 'etcd/masterone.pem': 'etcd-ca'}}


def pems(content):
    """(label, PEM) of all in a file, those of a kubeconfig too."""
    embedded = [base64.b64decode(word) for word in re.findall(rb'-data: (\S+)', content)]
    for text in (content, *embedded):
        for match in PEM.finditer(text):
            yield match[1].decode(), match[0]


def public_of_keys(folders):
    """file -> SubjectPublicKeyInfo of each private key in it"""
    found = {}
    for folder in folders:
        for path in sorted(path for path in folder.rglob('*') if path.is_file() and not path.is_symlink()):
            for label, pem in pems(path.read_bytes()):
                if label.endswith('PRIVATE KEY'):
                    found.setdefault(str(path), []).append(openssl('pkey', '-pubout', '-outform', 'DER', data=pem))
    return found


def public_of_certificate(pem):
    return openssl('pkey', '-pubin', '-outform', 'DER', data=openssl('x509', '-noout', '-pubkey', data=pem))


def serials(host):
    """path -> serial of each leaf on the host"""
    found = {}
    for path, (_, _, content) in host.files().items():
        for label, pem in pems(content):
            if label == 'CERTIFICATE' and b'CA:TRUE' not in openssl('x509', '-noout', '-text', data=pem):
                found[path] = openssl('x509', '-noout', '-serial', data=pem)
    return found


def copy_of(host, folder):
    copy = kubernetes.Host(folder)
    shutil.copytree(host.root, copy.root, dirs_exist_ok=True)
    return copy


def leaf(ca, name, out, names=''):
    """A certificate for clients and servers that this CA issues; ca: its files without their endings."""
    with tempfile.TemporaryDirectory() as folder:
        csr, extensions = pathlib.Path(folder, 'csr'), pathlib.Path(folder, 'extensions')
        extensions.write_text('extendedKeyUsage=serverAuth,clientAuth\n' + (f'subjectAltName={names}\n' if names else ''))
        openssl('req', *NEW_KEY, '-subj', name, '-keyout', out.with_suffix('.key'), '-out', csr)
        openssl('x509', '-req', '-in', csr, '-CA', f'{ca}.crt', '-CAkey', f'{ca}.key', '-set_serial', '4711', '-days', '30',
                '-extfile', extensions, '-out', out)


class Adopted:
    """In this order; each step is on what the one before left. topology: set by who inherits"""

    @classmethod
    def setUpClass(cls):
        cls.running = running = Running(cls.topology)
        cls.addClassCleanup(running.close)
        running.service.start()
        running.make()
        running.start()
        folder = running.service.folder
        cls.before = copy_of(running.master, folder / 'before')  # CA keys too: what tests make with them is their control
        cls.ship, cls.served = running.ship(running.master), running.served()
        cls.folders = [host.root for host in running.hosts.values()] + ([running.cfssl.folder] if running.cfssl else [])
        cls.authorities = {public_of_certificate(path.read_bytes()) for folder in cls.folders
                           for path in [*folder.rglob('*ca.crt'), *folder.rglob('ca.pem')]}

    def ensign(self, *arguments, **more):
        return self.running.service.ensign(*arguments, **more)

    def ca_keys(self):
        return {path for path, keys in public_of_keys(self.folders).items() if self.authorities & set(keys)}

    def enroll(self, node, host, check=True):
        token = self.running.service.folder / f'{node}.token'
        if not token.exists():
            self.ensign('token', 'create', '--cluster', self.topology, '--node', node, '--out', token)
        return self.ensign('enroll', '--server', f'https://localhost:{self.running.service.port}', '--token-file', token,
                           '--root', host.root, '--timeout', '10s', check=check)

    def listed(self, *command):
        return json.loads(self.ensign(*command, '-o', 'json').stdout)['items']

    def states(self):
        return [item['state'] for item in self.listed('cluster', 'certificates', self.topology)]

    def works(self, *hosts):
        """With the admin.conf and etcd client of each."""
        for host in hosts:
            self.assertEqual(self.running.ship(host), self.ship)
            self.assertTrue(self.running.etcd_healthy(host))

    # ---- the steps ----

    def test_1_the_keys_move_and_all_runs_on(self):
        running = self.running
        self.assertEqual(self.ship, 'Ensign')
        pids, on_disk = running.pids(), serials(running.master)
        self.assertEqual(len(pids), 4)
        external = ['--etcd-pki', running.cfssl.folder] if running.cfssl else []
        answer = self.ensign('cluster', 'adopt', '-f', running.file, '--pki', running.master.path(PKI), *external).stdout
        found = {line.split()[0]: line.split() for line in answer.splitlines()[1:]}
        self.assertEqual(set(found), set(LEAVES | ETCD_LEAVES[self.topology]))
        for file, authority in (LEAVES | ETCD_LEAVES[self.topology]).items():
            self.assertIn(authority, found[file])
        expected = {str(running.master.path(PKI + name)) for name in CA_KEYS[self.topology]}
        expected |= {str(running.cfssl.folder / 'ca-key.pem')} if running.cfssl else set()
        self.assertEqual(self.ca_keys(), expected)  # the control: they are found where they are
        for path in expected:
            pathlib.Path(path).unlink()
        self.assertEqual(self.ca_keys(), set())
        print(f'{self.topology}: {len(public_of_keys(self.folders))} files with keys, none of a CA')
        self.assertEqual((running.pids(), running.served(), serials(running.master)), (pids, self.served, on_disk))
        self.assertEqual(set(self.states()), {'missing'})  # what was found is in the log; none of it is Ensign's
        self.works(running.master)

    def test_3_all_is_replaced_without_force(self):
        running = self.running
        old = {name: serials(host) for name, host in running.hosts.items()}
        keys = {path: running.master.path(PKI + path).read_bytes() for path in ('ca.crt', 'sa.key', 'sa.pub')}
        for name, host in running.hosts.items():
            said = self.enroll(name, host).stderr
            new = serials(host)
            with self.subTest(name):
                self.assertLessEqual(set(old[name]), set(new))
                self.assertEqual([path for path in old[name] if old[name][path] == new[path]], [], said)
            self.assertNotIn('installed /', self.enroll(name, host).stderr)
        self.assertEqual({path: running.master.path(PKI + path).read_bytes() for path in keys}, keys)
        self.assertEqual(self.ca_keys(), set())
        self.assertEqual(set(self.states()), {'ok'})
        self.assertEqual(len(self.listed('certificate', 'list', '--cluster', self.topology)), len(self.states()))
        self.works(running.master, self.before)  # nobody was started again yet, and both are good for those that run

    def test_4_programs_on_new_certificates_take_old_clients(self):
        running = self.running
        running.write_manifests()
        self.assertIn('--cluster-signing-key-file=', running.options('kube-controller-manager'))  # its CA is external
        running.restart()
        self.assertEqual([old == new for old, new in zip(self.served, running.served())], [False, False])
        self.works(running.master, self.before)

    def test_5_kubeadm_takes_the_tree(self):
        host = self.running.master
        before = host.files()
        said = ''.join(host.kubeadm('init', 'phase', phase, 'all').stdout for phase in ('certs', 'kubeconfig'))
        self.assertIn('Using existing ca keyless certificate authority', said)
        self.assertNotIn('Generating', said)
        self.assertEqual(host.files(), before)


class Stacked(Adopted, unittest.TestCase):
    topology = 'stacked'

    def who(self, certificate):
        """What the API server makes of the client of this certificate: the status."""
        return run('curl', '-sk', '-o', '/dev/null', '-w', '%{http_code}', '--cert', certificate, '--key',
                   certificate.with_suffix('.key'), f'https://{ENDPOINT}:6443/api/v1/nodes').stdout

    def test_2_what_the_cluster_would_lose_is_not_replaced(self):
        """Each on a copy, by one file that is not what kubeadm made."""
        other = self.running.service.folder / 'other'
        openssl('req', '-x509', *NEW_KEY, '-subj', '/CN=kubernetes', '-days', '30', '-keyout',
                f'{other}.key', '-out', f'{other}.crt')
        own = self.before.path(f'{PKI}ca')
        conf = lambda old, new: lambda path: path.write_text(path.read_text().replace(old, new))
        def put(ca, name, names=''):
            return lambda path: leaf(ca, name, path, names)
        cases = [('apiserver.crt', put(own, '/CN=kube-apiserver', 'DNS:ship.example.com'), 'DNS:ship.example.com'),
                 ('apiserver.crt', put(own, '/CN=kube-apiserver', 'IP:198.51.100.7'), '198.51.100.7'),
                 ('apiserver.crt', put(other, '/CN=kube-apiserver'), 'no kubernetes CA of this cluster issued it'),
                 ('front-proxy-client.crt', put(own, '/CN=front-proxy-client'), 'no front-proxy-ca CA of this cluster'),
                 ('apiserver-kubelet-client.crt', put(own, '/CN=sailor'), 'its common name is not'),
                 ('apiserver.key', lambda path: shutil.copy(f'{other}.key', path), 'not the key of the certificate'),
                 ('ca.crt', lambda path: path.write_bytes(path.read_bytes() + pathlib.Path(f'{other}.crt').read_bytes()),
                  'not among the cluster'),
                 ('../admin.conf', conf(ENDPOINT, '192.0.2.81'), 'its server is not'),
                 ('../admin.conf', conf('preferences: {}', 'preferences: {}\nextensions: []'), 'more or less than')]
        for number, (file, spoil, why) in enumerate(cases):
            with self.subTest(file, why=why):
                copy = copy_of(self.running.master, self.running.service.folder / f'copy{number}')
                path = copy.path(PKI + file).resolve()
                spoil(path)
                before = copy.files()
                refused = self.enroll('masterone', copy, check=False)
                self.assertEqual(refused.returncode, CONFLICT, refused.stdout + refused.stderr)
                self.assertIn(str(path).removeprefix(str(copy.root)), refused.stderr)
                self.assertIn(why, refused.stderr)
                self.assertEqual(copy.files(), before)

    def test_6_a_ca_with_another_certificate_is_the_same_ca(self):
        """kubeadm's may not sign CRLs. The one that may has its name and key: clients of before are let in by it alone,
        and behind the original. The control: a CA that has only its name."""
        running, ca = self.running, self.running.master.path(f'{PKI}ca.crt')
        original = ca.read_text()
        self.ensign('ca', 'reissue', '--cluster', self.topology, '--authority', 'kubernetes')
        bundle = self.ensign('ca', 'bundle', '--cluster', self.topology, '--authority', 'kubernetes').stdout
        again = bundle.removesuffix(original)
        self.assertEqual((again + original, again.count('BEGIN')), (bundle, 1))
        self.assertIn('CRL Sign', run('openssl', 'x509', '-noout', '-ext', 'keyUsage', input=again).stdout)
        folder = running.service.folder
        openssl('req', '-x509', *NEW_KEY, '-subj', '/CN=kubernetes', '-days', '30', '-keyout',
                folder / 'false.key', '-out', folder / 'false.crt')
        leaf(folder / 'false', '/O=system:masters/CN=kubernetes-admin', folder / 'false-admin.crt')
        leaf(self.before.path(f'{PKI}ca'), '/O=system:masters/CN=kubernetes-admin', folder / 'true-admin.crt')
        for program in ('kube-scheduler', 'kube-controller-manager'):
            running.programs.stop(program)  # they end with their API server
        for content in (again, original + again):
            ca.write_text(content)
            running.programs.stop('kube-apiserver')
            running.start_api_server()
            self.works(running.master, self.before)
            self.assertEqual([self.who(folder / f'{which}-admin.crt') for which in ('true', 'false')], ['200', '401'])


class External(Adopted, unittest.TestCase):
    topology = 'external'


if __name__ == '__main__':
    kubernetes.needs('etcd', 'etcdctl', 'cfssl', 'curl', 'unshare', 'ip')
    kubernetes.own_network(*ADDRESSES)
    unittest.main(warnings='ignore')
