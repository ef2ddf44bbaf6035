"""What a node's agent is answered, by who is not the service, or is no longer itself: nothing of it is installed, what was
there stays, the trouble is told, and with the right answers all goes on."""
import base64
import json
import pathlib
import tempfile
import time
import unittest

from lib import der
from lib.agents import NodeRoot, loopback_network
from lib.keys import Key
from lib.man_in_the_middle import Middle
from lib.service import Client, Service, run

EXAMPLE, CLUSTER, NODE = 'vagrant-external-etcd.yaml', 'vagrant', 'etcdone'
PROFILES = {'node-identity', 'etcd-member', 'etcd-healthcheck-client'}
CRL = 'etc/etcd/pki/crl.der'
HUGE = 50 << 20
SECONDS_MAX = 60  # of a run that is answered with what is huge


def issuing(change):
    """Of the answers that bring a certificate: as JSON, changed."""
    def changed(method, path, status, body):
        if method == 'POST' and path.endswith('/certificates') and status in (200, 201):
            return status, json.dumps(change(json.loads(body))).encode()
        return None
    return changed


def crl(change):
    def changed(_, path, status, body):
        return (status, change(body)) if path.endswith('/crl') and status == 200 else None
    return changed


class Answers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.service = Service().init()
        cls.addClassCleanup(cls.service.__exit__)
        cls.service.start()
        network = loopback_network()
        cls.service.create_cluster(EXAMPLE, [('192.168.29.', network)])
        other = (cls.service.folder / EXAMPLE).read_text().replace('name: vagrant', 'name: other').replace(network, '10.8.0.')
        (cls.service.folder / 'other.yaml').write_text(other)
        cls.service.ensign('cluster', 'create', '-f', cls.service.folder / 'other.yaml')

    def setUp(self):
        folder = pathlib.Path(tempfile.mkdtemp(dir=self.service.folder))
        self.node = NodeRoot(self.service, CLUSTER, NODE, folder).enroll('--lifetime', '1h')
        self.node.settings(lifetime='1h')
        self.assertEqual(self.node.once(ahead=None)[0], 0)

    def there(self):
        """All that programs read."""
        return self.node.serials(), self.node.set_pairs(), self.node.installed_pairs(), (self.node.root / CRL).read_bytes()

    def refused(self, text, change=None, tls=None):
        """What it said of a turn in which everything is due."""
        before, begun = self.there(), time.monotonic()
        with Middle(self.node, change, tls) as middle:
            code, said = self.node.once()
        self.assertLess(time.monotonic() - begun, SECONDS_MAX)
        self.assertNotEqual(code, 0, said)
        self.assertIn(text, said)
        self.assertEqual(self.there(), before)
        return middle

    def goes_on(self):
        """The control: the same without who changes something."""
        before = self.node.serials()
        with Middle(self.node) as middle:
            code, said = self.node.once()
        self.assertEqual(code, 0, said)
        self.assertEqual({profile for profile, number in self.node.serials().items() if before[profile] != number}, PROFILES)
        self.assertEqual(len(middle.requests('POST', '/certificates')), len(PROFILES))

    def failed(self):
        return {profile for profile, entry in self.node.deployed().items() if entry['state'] == 'failed'}

    # ---- who it is ----

    def test_A9_another_pin(self):
        path = self.node.root / 'mallory.pem'
        run('openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2',
            '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost', '-keyout', path, '-out',
            path.with_suffix('.crt'))
        with open(path, 'a') as file:
            file.write(path.with_suffix('.crt').read_text())
        middle = self.refused('its CA does not have the pinned key', tls=path)
        self.assertEqual(middle.asked, [], 'it heard nothing')
        self.goes_on()

    # ---- certificates ----

    def issued(self, csr, profile='etcd-member', cluster=CLUSTER, node=NODE, **more):
        client = Client(self.service, self.service.context_file)
        status, answer, _ = client.post(f'/v1/clusters/{cluster}/certificates',
                                        {'profile': profile, 'csr': csr, 'node': node, **more})
        client.connection.close()
        self.assertEqual(status, 201, answer)
        return answer

    def test_another_certificate(self):
        """Each is a good one, but not what was asked for."""
        for what, more, text in (
                ('of another key', {}, 'this is not the key that was asked for'),
                ('of another node', {'node': 'etcdtwo'}, 'where the profile has'),
                ('of another CA', {'cluster': 'other'}, 'this is not the key that was asked for'),
                ('of another profile', {'profile': 'etcd-healthcheck-client'}, 'where the profile has')):
            with self.subTest(what):
                other = self.issued(der.request(Key()), **more)
                self.refused(text, issuing(lambda _, other=other: other))
                self.assertEqual(self.failed(), PROFILES)
        self.goes_on()
        self.assertEqual(self.failed(), set())

    def instead(self, issue):
        """Answers to what is asked for a certificate: issue(body) says which."""
        def given(path, body):
            if not path.endswith('/certificates') or body['profile'] == 'node-identity':
                return None
            return 201, json.dumps(issue(body)).encode()
        return given

    def check_ours(self, issue, text):
        """Of a good certificate for our key, but not ours: only the identity is renewed."""
        before = self.there()
        with Middle(self.node, instead=self.instead(issue)):
            code, said = self.node.once()
        self.assertNotEqual(code, 0, said)
        self.assertIn(text, said)
        now = self.there()
        self.assertEqual(now[2:], before[2:])
        self.assertEqual([profile for profile in PROFILES if now[0][profile] != before[0][profile]], ['node-identity'])
        self.assertEqual(self.failed(), PROFILES - {'node-identity'})

    def test_another_ca_for_our_key(self):
        """The same key, subject and usages, from the CA of another cluster: no member of this one trusts it."""
        self.check_ours(lambda body: self.issued(body['csr'], body['profile'], 'other', lifetime_seconds=3600),
                        'does not hold the CA')

    def test_expired(self):
        """For the agent, whose clock is ahead."""
        self.check_ours(lambda body: self.issued(body['csr'], body['profile'], lifetime_seconds=60), 'expired')

    def test_broken(self):
        half = lambda text: text[:len(text) // 2]
        for what, change in (
                ('half a certificate', lambda answer: {**answer, 'certificate': half(answer['certificate'])}),
                ('half a chain', lambda answer: {**answer, 'chain': half(answer['chain'])}),
                ('a number', lambda answer: {**answer, 'bundle': 7}),
                ('a list', lambda answer: [answer]),
                ('a key', lambda answer: {**answer, 'certificate': Key().pem.decode()})):
            with self.subTest(what):
                self.refused('', issuing(change))
                self.assertEqual(self.failed(), PROFILES)
        self.goes_on()

    def test_cut_and_huge(self):
        cut = lambda method, path, status, body: (status, body[:-20]) if path.endswith('/certificates') else None
        self.refused('', cut)
        huge = issuing(lambda answer: {**answer, 'chain': answer['chain'] + ' ' * HUGE})
        self.refused('is larger than', huge)
        self.goes_on()

    def test_what_is_to_be_done(self):
        """A broken answer about work stops the turn; unknown certificates and marks of other serials mean nothing."""
        work = lambda data: lambda method, path, status, body: (200, data) if '/work?' in path else None
        for data in (b'[]', b'{"revision": 7, "poll_seconds": 0}', b'{"revision": "' + b'x' * 4096 + b'"}',
                     b'{"revision": "a", "poll_seconds": -1}', b'[' * 100000):
            with self.subTest(data[:30]):
                self.refused('', work(data))
        self.assertEqual(self.node.once(ahead=None)[0], 0)
        before = self.there()
        marks = [{'profile': profile, 'serial': '0' * 40, 'renew': {'reason': 'rotation'}} for profile in PROFILES]
        for entries in (marks, [7], [{'profile': 7}], {'a': 1}, [{'profile': 'etcd-member', 'serial': 5, 'renew': 5}]):
            data = json.dumps({'revision': 'a', 'poll_seconds': 0, 'certificates': entries}).encode()
            with Middle(self.node, work(data)):
                code, said = self.node.once(ahead=None)
            self.assertEqual((code, self.there()), (0, before), said)
        self.goes_on()

    # ---- CRLs ----

    def test_crls(self):
        pem = lambda data: ('-----BEGIN X509 CRL-----\n' + base64.encodebytes(data).decode()
                            + '-----END X509 CRL-----\n').encode()
        admin = Client(self.service, self.service.context_file)
        stranger = admin.get('/v1/clusters/other/authorities/etcd-ca/crl')[1]
        earlier = (self.node.root / CRL).read_bytes()
        member = self.issued(der.request(Key()))
        status, answer, _ = admin.post(f'/v1/certificates/{member["serial"]}/revocation', {'reason': 'keyCompromise'})
        self.assertEqual(status, 200, answer)
        code, said = self.node.once(ahead=None)
        newer = (self.node.root / CRL).read_bytes()
        self.assertNotEqual(newer, earlier, said)
        for what, change, text in (
                ('cut', lambda data: data[:-1], 'not a CRL in DER'), ('empty', lambda _: b'', ''),
                ('more', lambda data: data + b'\0', 'not a CRL in DER'), ('PEM', pem, 'not a CRL in DER'),
                ('of another cluster', lambda _: stranger, 'no CA of the cluster signed'),
                ('another signature', lambda data: data[:-1] + bytes([data[-1] ^ 1]), 'no CA of the cluster signed'),
                ('of before', lambda _: earlier, 'is here already'), ('huge', lambda data: data + b'\0' * HUGE, 'larger than')):
            with self.subTest(what):
                with Middle(self.node, crl(change)):
                    _, said = self.node.once(ahead=None)
                self.assertIn(text, said)
                self.assertEqual((self.node.root / CRL).read_bytes(), newer)


if __name__ == '__main__':
    unittest.main(verbosity=2)
