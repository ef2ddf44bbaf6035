"""Clusters that exist: their CAs in the layouts of kubeadm, cfssl and openssl, with certificates that were issued before;
what is refused; and that a CA key is nowhere but in the signer."""
import base64
import ctypes
import ctypes.util
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

from lib import audit, der
from lib.keys import Key
from lib.service import ENSIGN, ENSIGND, run
from lib.world import Case, issue

YEARS = ('-days', '3650')
KUBEADM = ('-addext', 'keyUsage=critical,digitalSignature,keyEncipherment,keyCertSign', '-set_serial', '0')
EXAMPLE = 'vagrant-external-etcd.yaml'
PIECE, OVERLAP = 4 << 20, 4096
CFSSL_CA = {'CN': 'etcd-ca', 'key': {'algo': 'ecdsa', 'size': 256}, 'ca': {'expiry': '87600h'},
            'names': [{'C': 'IN', 'ST': 'Delhi', 'L': 'Delhi', 'O': 'Example', 'OU': 'etcd'}]}


def openssl(*arguments, **more):
    return run('openssl', *arguments, **more).stdout


def make_ca(path, name, *more, key='rsa:2048', key_path=None):
    """path: of the certificate"""
    key_path = key_path or path.with_suffix('.key')
    path.parent.mkdir(parents=True, exist_ok=True)
    openssl('req', '-x509', '-newkey', *key.split(), '-nodes', '-subj', f'/CN={name}', *YEARS, '-keyout', key_path,
            '-out', path, *more)
    key_path.chmod(0o600)


def make_leaf(ca, path, name):
    with tempfile.TemporaryDirectory() as folder:
        csr, key = pathlib.Path(folder, 'csr'), pathlib.Path(folder, 'key')
        openssl('req', '-newkey', 'rsa:2048', '-nodes', '-subj', f'/CN={name}', '-keyout', key, '-out', csr)
        openssl('x509', '-req', '-in', csr, '-CA', ca, '-CAkey', key_of(ca), '-set_serial', '4711', *YEARS, '-out', path)


def key_of(ca):
    return ca.with_suffix('.key') if ca.suffix == '.crt' else ca.with_name(ca.stem + '-key.pem')


def kubeadm_layout(folder):
    make_ca(folder / 'ca.crt', 'kubernetes', *KUBEADM)
    make_ca(folder / 'front-proxy-ca.crt', 'front-proxy-ca', *KUBEADM)
    make_ca(folder / 'etcd/ca.crt', 'etcd-ca', *KUBEADM)
    make_leaf(folder / 'ca.crt', folder / 'apiserver.crt', 'kube-apiserver')
    make_leaf(folder / 'etcd/ca.crt', folder / 'etcd/server.crt', 'etcdone')
    (folder / 'sa.pub').write_text('no certificate')
    return {'etcd-ca': folder / 'etcd/ca.crt', 'kubernetes': folder / 'ca.crt'}


def cfssl_layout(folder):
    made = json.loads(run('cfssl', 'gencert', '-initca', '-', input=json.dumps(CFSSL_CA)).stdout)
    (folder / 'etcd').mkdir(parents=True)
    (folder / 'etcd/ca.pem').write_text(made['cert'])
    (folder / 'etcd/ca-key.pem').touch(mode=0o600)
    (folder / 'etcd/ca-key.pem').write_text(made['key'])
    make_ca(folder / 'pki/ca.pem', 'kubernetes', '-addext', 'basicConstraints=critical,CA:TRUE,pathlen:1', key='rsa:3072',
            key_path=folder / 'pki/ca-key.pem')
    make_leaf(folder / 'etcd/ca.pem', folder / 'etcd/member.pem', 'etcdone')
    return {'etcd-ca': folder / 'etcd/ca.pem', 'kubernetes': folder / 'pki/ca.pem'}


def openssl_layout(folder):
    """As by hand: `openssl req -x509` with its defaults, so without keyUsage; on P-384 and P-256."""
    p384, p256 = 'ec -pkeyopt ec_paramgen_curve:P-384', 'ec -pkeyopt ec_paramgen_curve:P-256'
    make_ca(folder / 'etcd/etcd-ca.crt', 'my etcd', key=p384)
    make_ca(folder / 'pki/ca.crt', 'my cluster', '-addext', 'subjectAltName=DNS:kubernetes,email:a@example.com', key=p256)
    make_ca(folder / 'pki/front-proxy-ca.crt', 'front proxy', key=p256)
    make_leaf(folder / 'etcd/etcd-ca.crt', folder / 'etcd/etcdone.crt', 'etcdone')
    return {'etcd-ca': folder / 'etcd/etcd-ca.crt', 'kubernetes': folder / 'pki/ca.crt'}


def shown(certificate, *what):
    return openssl('x509', '-in', certificate, '-noout', *what)


class Adopt(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.service = cls.world.service
        cls.count = 0

    def setUp(self):
        type(self).count += 1
        self.name = f'adopted{self.count}'
        self.folder = self.service.folder / self.name
        self.folder.mkdir()
        self.file = self.service.folder / f'{self.name}.yaml'
        text = pathlib.Path(__file__).parents[2].joinpath('policies/examples', EXAMPLE).read_text()
        self.file.write_text(re.sub('^name: .*', f'name: {self.name}', text, flags=re.M))

    def adopt(self, *more, check=True):
        return self.service.ensign('cluster', 'adopt', '-f', self.file, *more, check=check)

    def refused_with(self, text, *more):
        result = self.adopt(*more, check=False)
        self.assertNotEqual(result.returncode, 0, result.stdout)
        self.assertIn(text, result.stderr)
        self.assertEqual(self.admin.get(f'/v1/clusters/{self.name}')[0], 404)  # nothing half-written
        return result

    def bundle(self, authority):
        path = self.folder / f'{authority}.bundle'
        self.service.ensign('ca', 'bundle', '--cluster', self.name, '--authority', authority, '--out', path)
        return path

    def event(self, name):
        events = [json.loads(leaf) for leaf in audit.leaves(self.admin)]
        return [event for event in events if event['event'] == name and event.get('cluster') == self.name][-1]

    def certificate(self, node, profile):
        """Issued by the service, verified against the file of the CA and nothing else."""
        status, answer = issue(self.admin, der.request(Key()), cluster=self.name, node=node, profile=profile)
        self.assertEqual(status, 201, answer)
        path = self.folder / f'{node}-{profile}.issued'
        path.write_text(answer['certificate'])
        return path

    def works(self, cas):
        """Old and new leaves verify against the very same file, and carry its key identifier."""
        for authority, node, profile in (('etcd-ca', 'etcdone', 'etcd-member'), ('kubernetes', 'masterone', 'apiserver')):
            ca = cas[authority]
            self.assertEqual(self.bundle(authority).read_text(), openssl('x509', '-in', ca))
            leaf = self.certificate(node, profile)
            openssl('verify', '-CAfile', ca, leaf)
            keyid = shown(ca, '-ext', 'subjectKeyIdentifier').splitlines()[1].strip()
            self.assertIn(keyid, shown(leaf, '-ext', 'authorityKeyIdentifier'))
            for old in list(ca.parent.glob('*.crt')) + list(ca.parent.glob('*.pem')):
                if 'CERTIFICATE' in old.read_text() and 'CA:TRUE' not in shown(old, '-text'):
                    openssl('verify', '-CAfile', ca, old)

    def test_kubeadm(self):
        cas = kubeadm_layout(self.folder)
        result = self.adopt('--pki', self.folder, '-o', 'json')
        found = {item['file']: item for item in json.loads(result.stdout)['items']}
        self.assertEqual({file: item['authority'] for file, item in found.items()},
                         {'apiserver.crt': 'kubernetes', 'etcd/server.crt': 'etcd-ca'})
        self.assertEqual(found['apiserver.crt']['subject'], 'CN=kube-apiserver')
        self.works(cas)
        event = self.event('cluster.adopted')
        self.assertEqual(event['imported'], ['etcd-ca', 'kubernetes', 'front-proxy-ca'])
        fingerprint = shown(cas['kubernetes'], '-fingerprint', '-sha256').split('=')[1].strip().replace(':', '').lower()
        self.assertEqual(event['kubernetes_sha256'], fingerprint)
        self.assertEqual({(item['file'], item['serial']) for item in event['certificates']},
                         {('apiserver.crt', '1267'), ('etcd/server.crt', '1267')})
        self.assertEqual(self.adopt('--pki', self.folder, '-o', 'json').stdout, result.stdout)  # again: nothing changes

    def test_cfssl(self):
        cas = cfssl_layout(self.folder)
        where = ('--pki', self.folder / 'pki', '--etcd-pki', self.folder / 'etcd')
        self.refused_with('front-proxy-ca: no certificate of this CA', *where)
        result = self.adopt(*where, '--generate-missing')
        self.assertRegex(result.stdout, r'etcd/member.pem +CN=etcdone +CN=etcd-ca,OU=etcd')
        self.works(cas)
        self.assertEqual(self.event('cluster.adopted')['imported'], ['etcd-ca', 'kubernetes'])

    def test_openssl(self):
        cas = openssl_layout(self.folder)
        self.adopt('--pki', self.folder / 'pki', '--etcd-pki', self.folder / 'etcd')
        self.works(cas)
        self.enrol('etcdone')

    def enrol(self, node):
        """The client, too, accepts what such a CA issues."""
        token = self.service.folder / f'{self.name}.token'
        self.service.ensign('token', 'create', '--cluster', self.name, '--node', node, '--out', token)
        result = self.service.ensign('enroll', '--server', f'https://localhost:{self.service.port}', '--token-file', token,
                                     '--out', self.folder / 'node')
        self.assertIn('etcd-member: issued', result.stdout + result.stderr)

    def test_restart_keeps_them(self):
        cas = kubeadm_layout(self.folder)
        self.adopt('--pki', self.folder)
        self.service.kill('signer', 'server')
        self.admin.connection = None
        self.service.wait_ready()
        self.works(cas)

    def test_reissue(self):
        cas = kubeadm_layout(self.folder)
        self.adopt('--pki', self.folder)
        before = self.certificate('etcdone', 'etcd-member')
        crl = f'/v1/clusters/{self.name}/authorities/etcd-ca/crl'
        answer = self.refused(self.admin, 'GET', crl, 409, 'conflict')
        self.assertIn('ensign ca reissue', answer['detail'])
        serial = shown(before, '-serial').split('=')[1].strip().lower().zfill(40)
        status, answer, _ = self.admin.post(f'/v1/certificates/{serial}/revocation', {'reason': 'superseded'})
        self.assertEqual((status, answer['crl']), (200, None))
        self.assertIn('ensign ca reissue', answer['crl_problem'])
        reissue = ('ca', 'reissue', '--cluster', self.name, '--authority', 'etcd-ca', '-o', 'json')
        first = self.service.ensign(*reissue).stdout
        self.assertEqual(self.service.ensign(*reissue).stdout, first)  # it may sign CRLs now
        blocks = re.findall('-----BEGIN.*?END CERTIFICATE-----\n', self.bundle('etcd-ca').read_text(), re.S)
        self.assertEqual(len(blocks), 2)
        self.assertEqual(blocks[1], openssl('x509', '-in', cas['etcd-ca']))
        new = self.folder / 'new.pem'
        new.write_text(blocks[0])
        self.assertIn('CRL Sign', shown(new, '-ext', 'keyUsage'))
        for what in ('-subject', '-pubkey', '-enddate'):
            self.assertEqual(shown(new, what), shown(cas['etcd-ca'], what))
        self.assertNotEqual(shown(new, '-serial'), shown(cas['etcd-ca'], '-serial'))
        after = self.certificate('etcdtwo', 'etcd-member')
        for leaf in (before, after, self.folder / 'etcd/server.crt'):
            for ca in (new, cas['etcd-ca']):
                openssl('verify', '-CAfile', ca, leaf)
        self.assertEqual(self.event('authority.reissued')['authority'], 'etcd-ca')
        file = self.folder / 'crl'
        file.write_bytes(self.admin.get(crl)[1])
        self.assertIn(bytes.fromhex(serial), file.read_bytes())
        for ca in (new, cas['etcd-ca']):  # the key is the same
            self.assertIn('verify OK', run('openssl', 'crl', '-inform', 'DER', '-in', file, '-noout', '-verify', '-CAfile',
                                           ca).stderr)

    def key_forms(self, kind, key, passphrase):
        """form -> (file, whether it is encrypted): what openssl writes of one key, and of an EC key by hand."""
        encrypt = ('-aes256', '-passout', f'file:{passphrase}')
        traditional = {'rsa': ('rsa', '-traditional'), 'ec': ('ec',)}[kind]
        forms = {'pkcs8': ('pkey',), 'pkcs8 encrypted': ('pkcs8', '-topk8', '-v2', 'aes-256-cbc', *encrypt[1:]),
                 'traditional': traditional, 'traditional encrypted': (*traditional, *encrypt)}
        files = {}
        for form, convert in forms.items():
            files[form] = self.folder / f'{kind} {form}.key'
            openssl(*convert, '-in', key, '-out', files[form])
        if kind == 'ec':  # `openssl ecparam -genkey` writes the curve before the key
            files['with parameters'] = self.folder / 'parameters.key'
            files['with parameters'].write_text(openssl('ecparam', '-name', 'prime256v1') + files['traditional'].read_text())
        for file in files.values():
            file.chmod(0o600)
        return files

    def test_import(self):
        passphrase = self.folder / 'passphrase'
        passphrase.touch(mode=0o600)
        passphrase.write_text('correct horse\n')
        self.service.ensign('cluster', 'create', '-f', self.file)
        for authority, kind, key, node, profile in (
                ('kubernetes', 'rsa', 'rsa:2048', 'masterone', 'apiserver'),
                ('front-proxy-ca', 'ec', 'ec -pkeyopt ec_paramgen_curve:P-256', 'masterone', 'front-proxy-client')):
            ca = self.folder / f'{authority}.crt'
            make_ca(ca, authority, *KUBEADM, key=key)
            forms = self.key_forms(kind, ca.with_suffix('.key'), passphrase)
            self.assertEqual(len(forms), {'rsa': 4, 'ec': 5}[kind])
            command = ('ca', 'import', '--cluster', self.name, '--authority', authority, '--certificate', ca, '-o', 'json')
            shows = set()
            for form, file in forms.items():
                with self.subTest(form, kind=kind):
                    if 'encrypted' in form:
                        none = self.service.ensign(*command, '--key', file, check=False)
                        self.assertIn('has a passphrase', none.stderr)
                        wrong = self.service.ensign(*command, '--key', file, '--passphrase-file', self.file_of('wrong'),
                                                    check=False)
                        self.assertIn('does not open', wrong.stderr)
                        self.assertEqual((none.returncode, wrong.returncode), (1, 1))
                    shows.add(self.service.ensign(*command, '--key', file, '--passphrase-file', passphrase).stdout)
            self.assertEqual(len(shows), 1)  # the first imported it
            self.assertEqual(self.bundle(authority).read_text().count('BEGIN'), 2)
            openssl('verify', '-CAfile', ca, self.certificate(node, profile))
        make_ca(self.folder / 'late.crt', 'etcd-ca')
        self.certificate('etcdone', 'etcd-member')
        late = self.service.ensign('ca', 'import', '--cluster', self.name, '--authority', 'etcd-ca', '--certificate',
                                   self.folder / 'late.crt', '--key', self.folder / 'late.key', check=False)
        self.assertEqual(late.returncode, 6)
        self.assertIn('has issued certificates', late.stderr)

    def test_each_form_of_a_key_is_sealed_and_used(self):
        """A form that is sent again changes nothing: here each is the first of a cluster of its own."""
        passphrase = self.file_of('correct horse')
        for kind, key in (('rsa', 'rsa:2048'), ('ec', 'ec -pkeyopt ec_paramgen_curve:P-384')):
            name = f'{self.name}{kind}'
            ca = self.folder / f'{kind}.crt'
            for number, form in enumerate(('pkcs8', 'pkcs8 encrypted', 'traditional', 'traditional encrypted')):
                with self.subTest(form, kind=kind):
                    make_ca(ca, 'kubernetes', *KUBEADM, key=key)
                    file = self.file.with_name(f'{name}{number}.yaml')
                    file.write_text(self.file.read_text().replace(f'name: {self.name}\n', f'name: {name}{number}\n'))
                    self.service.ensign('cluster', 'create', '-f', file)
                    self.service.ensign('ca', 'import', '--cluster', f'{name}{number}', '--authority', 'kubernetes',
                                        '--certificate', ca, '--passphrase-file', passphrase, '--key',
                                        self.key_forms(kind, ca.with_suffix('.key'), passphrase)[form])
                    status, answer = issue(self.admin, der.request(Key()), cluster=f'{name}{number}', node='masterone',
                                           profile='apiserver')
                    self.assertEqual(status, 201, answer)
                    run('openssl', 'verify', '-CAfile', ca, input=answer['certificate'])

    def test_a_folder_of_cfssls_alone_with_a_passphrase(self):
        """All three CAs of cfssl's in one folder, RSA and EC, the keys encrypted since."""
        passphrase = self.file_of('correct horse')
        pki = self.folder / 'pki'
        for stem, name, key in (('ca', 'kubernetes', {'algo': 'rsa', 'size': 2048}),
                                ('front-proxy-ca', 'front-proxy-ca', {'algo': 'ecdsa', 'size': 256}),
                                ('etcd/ca', 'etcd-ca', {'algo': 'ecdsa', 'size': 384})):
            made = json.loads(run('cfssl', 'gencert', '-initca', '-', input=json.dumps({'CN': name, 'key': key})).stdout)
            path = pki / f'{stem}.pem'
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(made['cert'])
            run('openssl', 'pkcs8', '-topk8', '-passout', f'file:{passphrase}', '-out', key_of(path), input=made['key'])
            key_of(path).chmod(0o600)
        self.refused_with('has a passphrase', '--pki', pki)
        self.adopt('--pki', pki, '--passphrase-file', passphrase)
        self.works({'etcd-ca': pki / 'etcd/ca.pem', 'kubernetes': pki / 'ca.pem'})

    def file_of(self, text):
        path = self.folder / 'a file'
        path.touch(mode=0o600)
        path.write_text(text)
        return path

    def test_refused(self):
        """Each by one change of a layout that is fine; nothing is there afterwards."""
        kubeadm_layout(self.folder / 'good')
        def expired(folder):
            faked = ('faketime', '2020-01-01 00:00:00', 'openssl')
            run(*faked, 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=kubernetes', '-days', '30', '-keyout',
                folder / 'ca.key', '-out', folder / 'ca.crt')
        def leaf(folder):
            make_ca(folder / 'ca.crt', 'x', '-addext', 'basicConstraints=critical,CA:FALSE')
        cases = [
            ('another key', lambda folder: shutil.copy(folder / 'etcd/ca.key', folder / 'ca.key'), 'CA "kubernetes"', 'not that of'),
            ('no key', lambda folder: (folder / 'etcd/ca.key').unlink(), 'etcd-ca', 'without its key'),
            ('an open key', lambda folder: (folder / 'ca.key').chmod(0o644), 'ca.key', 'open to other users'),
            ('no certificate', lambda folder: (folder / 'front-proxy-ca.crt').unlink(), 'front-proxy-ca', 'no certificate'),
            ('garbage for a key', lambda folder: (folder / 'ca.key').write_text('x'), 'ca.key', 'no private key'),
            ('garbage for a certificate', lambda folder: (folder / 'ca.crt').write_text('x'), 'ca.crt', 'no certificate'),
            ('expired', expired, 'CA "kubernetes"', 'expired at'),
            ('a leaf', leaf, 'CA "kubernetes"', 'not a CA'),
            ('a curve', lambda folder: make_ca(folder / 'ca.crt', 'x', key='ec -pkeyopt ec_paramgen_curve:secp521r1'),
             'ca.crt', 'secp521r1'),
            ('RSA-1024', lambda folder: make_ca(folder / 'ca.crt', 'x', key='rsa:1024'), 'ca.crt', '1024 bits'),
            ('other names', lambda folder: make_ca(folder / 'etcd/ca.crt', 'x', '-addext',
                                                   'nameConstraints=critical,permitted;DNS:example.org'),
             'CA "etcd-ca"', 'etcd-member certificate of etcdone'),
        ]
        for what, spoil, where, why in cases:
            with self.subTest(what):
                folder = self.folder / what.replace(' ', '-')
                shutil.copytree(self.folder / 'good', folder)
                spoil(folder)
                result = self.refused_with(where, '--pki', folder)
                self.assertIn(why, result.stderr)
        self.adopt('--pki', self.folder / 'good')  # the control
        other = self.file.with_name('other.yaml')
        other.write_text(self.file.read_text().replace(self.name, self.name + 'b'))
        taken = self.service.ensign('cluster', 'adopt', '-f', other, '--pki', self.folder / 'good', check=False)
        self.assertIn('a CA of another cluster', taken.stderr)
        self.assertEqual(taken.returncode, 6)

    def test_bodies(self):
        """What no client of ours sends."""
        self.service.ensign('cluster', 'create', '-f', self.file)
        path = f'/v1/clusters/{self.name}/authorities'
        _, bundle, _ = self.admin.get(f'{path}/etcd-ca/bundle')
        make_ca(self.folder / 'ca.crt', 'kubernetes')
        good = {'name': 'kubernetes', 'certificate': (self.folder / 'ca.crt').read_text(), 'key': 'AAAA'}
        for change, code in (({'name': 'service-ca'}, 'invalid'), ({'key': '!'}, 'invalid'), ({'more': 1}, 'invalid'),
                             ({'certificate': 'x'}, 'invalid'), ({'key': ''}, 'invalid'), ({'key': 'A' * 400}, 'conflict')):
            with self.subTest(change):
                self.refused(self.admin, 'POST', path, 409 if code == 'conflict' else 400, code, good | change)
        document = self.admin.get(f'/v1/clusters/{self.name}')[1]['document'] | {'name': self.name + 'c'}
        for adopt in ({}, {'authorities': {}}, {'authorities': [good, good]}, {'authorities': [good]},
                      {'authorities': [], 'certificates': [{'file': 'a', 'serial': 'x', 'sha256': '00' * 32}]}):
            with self.subTest(adopt):
                self.refused(self.admin, 'POST', '/v1/clusters', 400, 'invalid', {'cluster': document, 'adopt': adopt})
        self.refused(self.admin, 'POST', f'/v1/clusters/{self.name}/authorities/none/reissue', 404, 'not_found', {})

    def seal(self, plain):
        """As the client does, to the key of the signer that runs now."""
        status, answer, _ = self.admin.get('/v1/import-key')
        self.assertEqual(status, 200)
        sodium = ctypes.CDLL(ctypes.util.find_library('sodium'))
        box = ctypes.create_string_buffer(len(plain) + 48)
        sodium.crypto_box_seal(box, plain, ctypes.c_ulonglong(len(plain)), base64.b64decode(answer['public_key']))
        return base64.b64encode(box.raw).decode()

    def test_box_for_a_signer_that_is_gone(self):
        self.service.ensign('cluster', 'create', '-f', self.file)
        make_ca(self.folder / 'ca.crt', 'kubernetes')
        key = der_of(self.folder / 'ca.key')
        body = {'name': 'kubernetes', 'certificate': (self.folder / 'ca.crt').read_text(), 'key': self.seal(key)}
        self.service.kill('signer')
        self.service.wait_ready()
        path = f'/v1/clusters/{self.name}/authorities'
        before = self.admin.get(path)[1]
        answer = self.refused(self.admin, 'POST', path, 409, 'conflict', body)
        self.assertIn('seal again', answer['detail'])
        self.assertEqual(self.admin.get(path)[1], before)
        self.assertEqual(self.admin.post(path, body | {'key': self.seal(key)})[0], 201)

    # ---- the key is nowhere else ----

    def scalar_forms(self, key):
        text = openssl('pkey', '-in', key, '-noout', '-text')
        number = bytes.fromhex(re.search(r'priv:\n((?:\s+[0-9a-f:]+\n)+)', text)[1].replace(':', '').replace('\n', '').replace(' ', ''))
        scalar = number[-32:]
        return (scalar, scalar[::-1], scalar.hex().encode(), der_of(key))

    def memory(self, pid):
        """All that can be read, in pieces with an overlap. A mapping ends where the file behind it does."""
        with open(f'/proc/{pid}/maps') as maps, open(f'/proc/{pid}/mem', 'rb', 0) as memory:
            for line in maps:
                at, end, mode = re.match(r'([0-9a-f]+)-([0-9a-f]+) (\S+)', line).groups()
                at, end = int(at, 16), int(end, 16)
                while mode[0] == 'r' and at < end:
                    try:
                        chunk = os.pread(memory.fileno(), min(PIECE, end - at), at)
                    except (OSError, OverflowError):  # of the kernel's own
                        break
                    if not chunk:
                        break
                    yield chunk
                    at += PIECE - OVERLAP

    @unittest.skipIf(os.geteuid() != 0, 'only root may read the memory of ensignd')
    @unittest.skipIf(b'__asan_init' in pathlib.Path(ENSIGND).read_bytes(), 'the shadow of all memory is too large to read')
    def test_key_is_in_the_signer_alone(self):
        kubeadm_layout(self.folder)
        p256 = 'ec -pkeyopt ec_paramgen_curve:P-256'
        make_ca(self.folder / 'etcd/ca.crt', 'etcd-ca', key=p256)
        forms = self.scalar_forms(self.folder / 'etcd/ca.key')
        trace = self.folder / 'argv'
        environment = dict(os.environ, ENSIGN_CONTEXT=str(self.service.context_file))
        subprocess.run(['strace', '-f', '-v', '-s', '9999', '-e', 'trace=execve', '-o', trace, ENSIGN, 'cluster', 'adopt', '-f',
                        self.file, '--pki', self.folder], check=True, capture_output=True, env=environment)
        self.assertIn(b'cluster', trace.read_bytes())
        def holds(chunks):
            return any(form in chunk for chunk in chunks for form in forms)
        self.certificate('etcdone', 'etcd-member')  # so that the signer opens it
        self.assertTrue(holds(self.memory(self.service.pid('signer'))))  # the control: it is found where it is
        for part in ('server', 'supervisor'):
            self.assertFalse(holds(self.memory(self.service.pid(part))), part)
        places = {'log': (self.service.folder / 'ensignd.log').read_bytes(), 'argv': trace.read_bytes(),
                  'audit': b'\n'.join(audit.leaves(self.admin)),
                  'database': next(self.service.state.rglob('data.mdb')).read_bytes()}
        for name, data in places.items():
            with self.subTest(name):
                self.assertFalse(holds([data]))
        self.assertIn(self.name.encode(), places['audit'])


def der_of(key):
    return subprocess.run(['openssl', 'pkcs8', '-topk8', '-nocrypt', '-outform', 'DER', '-in', key], capture_output=True,
                          check=True).stdout


if __name__ == '__main__':
    unittest.main(warnings='ignore')
