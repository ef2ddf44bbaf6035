"""Certification requests of attackers: more than is granted, odd names, weak keys, no proof of possession."""
import unittest

import der
import keys
from der import alternative_names, attribute, extension, name, tlv
from keys import Key
from world import Case, issue

ADDRESS = bytes([10, 9, 0, 61])
# otherName of a Microsoft UPN, which logs in on some systems
UPN = der.oid('1.3.6.1.4.1.311.20.2.3') + tlv(0xa0, tlv(der.UTF8, b'root@example.com'))

# what, extensions, pointer of the reason
EXCESS = [
    ('CA:TRUE', [extension(der.BASIC_CONSTRAINTS, tlv(der.SEQUENCE, b'\x01\x01\xff'), True)], '/csr/extensions'),
    ('keyCertSign', [extension(der.KEY_USAGE, bytes.fromhex('03020204'), True)], '/csr/keyUsage'),
    ('codeSigning', [der.extended_key_usage(der.CODE_SIGNING)], '/csr/extensions'),
    ('any extended key usage', [der.extended_key_usage('2.5.29.37.0')], '/csr/extensions'),
    ('name constraints', [extension(der.NAME_CONSTRAINTS, tlv(der.SEQUENCE))], '/csr/extensions'),
    ('an unknown extension', [extension('1.2.3.4.5', b'\x05\0')], '/csr/extensions'),
    ("another node's name", [alternative_names((der.DNS_NAME, b'etcdtwo'))], '/csr/subjectAltName'),
    ("another node's address", [alternative_names((der.IP_NAME, bytes([10, 9, 0, 62])))], '/csr/subjectAltName'),
    ('a foreign name beside its own',
     [alternative_names((der.DNS_NAME, b'etcdone'), (der.DNS_NAME, b'kubernetes'))], '/csr/subjectAltName'),
]

# A3: names that are nearly right, or of another kind
ODD_NAMES = [
    ('NUL', der.DNS_NAME, b'etcdone\0.evil.example'),
    ('control character', der.DNS_NAME, b'etcdone\n'),
    ('not IA5', der.DNS_NAME, 'etcd\u00f6ne'.encode()),
    ('homograph', der.DNS_NAME, '\u0435tcdone'.encode()),
    ('upper case', der.DNS_NAME, b'ETCDONE'),
    ('trailing dot', der.DNS_NAME, b'etcdone.'),
    ('wildcard', der.DNS_NAME, b'*'),
    ('wildcard label', der.DNS_NAME, b'*.example.com'),
    ('address as DNS name', der.DNS_NAME, b'10.9.0.61'),
    ('empty', der.DNS_NAME, b''),
    ('address of 5 bytes', der.IP_NAME, ADDRESS + b'\0'),
    ('IPv4-mapped IPv6', der.IP_NAME, b'\0' * 10 + b'\xff\xff' + ADDRESS),
    ('otherName', der.OTHER_NAME, UPN),
    ('e-mail', der.EMAIL_NAME, b'root@etcdone'),
    ('URI', der.URI_NAME, b'https://etcdone'),
]

ODD_SUBJECTS = [
    ('another node', name(attribute(der.COMMON_NAME, b'etcdtwo'))),
    ('system:masters', name(attribute(der.ORGANIZATION, b'system:masters'), attribute(der.COMMON_NAME, b'etcdone'))),
    ('NUL', name(attribute(der.COMMON_NAME, b'etcdone\0'))),
    ('upper case', name(attribute(der.COMMON_NAME, b'EtcdOne'))),
    ('BMPString', name(attribute(der.COMMON_NAME, 'etcdone'.encode('utf-16-be'), der.BMP))),
    ('two common names', name(attribute(der.COMMON_NAME, b'etcdone'), attribute(der.COMMON_NAME, b'etcdone'))),
    ('e-mail address', name(attribute(der.EMAIL_ADDRESS, b'a@b', der.IA5), attribute(der.COMMON_NAME, b'etcdone'))),
    ('homograph', name(attribute(der.COMMON_NAME, '\u0435tcdone'.encode()))),
]

WEAK_KEYS = [
    ('RSA 1024', lambda: Key('rsa_keygen_bits:1024', algorithm='RSA')),
    ('RSA with e = 3', lambda: Key('rsa_keygen_bits:2048', 'rsa_keygen_pubexp:3', algorithm='RSA')),
    ('ROCA', keys.roca_key),
    ('Fermat', keys.fermat_key),
    ('small factor', keys.small_factor_key),
    ('explicit parameters', keys.explicit_key),
    ('off the curve', keys.off_curve_key),
    ('the point at infinity', lambda: keys.ForeignKey(keys.p256_spki(b'\0'))),
    ('P-224', lambda: Key('ec_paramgen_curve:P-224')),
    ('secp256k1', lambda: Key('ec_paramgen_curve:secp256k1')),
]


class Requests(Case):
    def denied(self, csr, profile='etcd-member'):
        """Refused by policy, with reasons, and in the audit log."""
        before = len(self.denials())
        answer = self.not_issued(self.client, csr, 403, 'policy_denied', profile)
        self.assertTrue(answer['errors'])
        self.assertEqual(len(self.denials()), before + 1)
        return answer

    def setUp(self):
        self.client = self.world.token_client()

    def test_good_requests_are_granted(self):
        """The control: the same machinery, nothing odd in it."""
        good = [
            der.request(Key()),
            der.request(Key(), name(attribute(der.COMMON_NAME, b'etcdone'))),
            der.request(Key(), extensions=[alternative_names((der.DNS_NAME, b'etcdone'), (der.IP_NAME, ADDRESS))]),
            der.request(Key(), extensions=[der.extended_key_usage(der.SERVER_AUTH)]),
            der.request(Key('rsa_keygen_bits:2048', algorithm='RSA')),
        ]
        for csr in good:
            self.issued(self.world.token_client(), csr)

    def test_excess_is_refused(self):
        for what, extensions, pointer in EXCESS:
            with self.subTest(what):
                self.assertIn(pointer, self.pointers(self.denied(der.request(Key(), extensions=extensions))))

    def test_all_excess_is_told_at_once(self):
        csr = der.request(Key(), name(attribute(der.COMMON_NAME, b'etcdtwo')),
                          [extensions[0] for what, extensions, _ in EXCESS
                           if what in ('CA:TRUE', 'keyCertSign', "another node's address")])
        self.assertEqual(self.pointers(self.denied(csr)),
                         {'/csr/subject', '/csr/extensions', '/csr/keyUsage', '/csr/subjectAltName'})

    def test_client_is_no_server(self):
        self.client = self.world.token_client('masterone')
        csr = der.request(Key(), extensions=[der.extended_key_usage(der.SERVER_AUTH, der.CLIENT_AUTH),
                                             alternative_names((der.DNS_NAME, b'masterone'))])
        self.assertEqual(self.pointers(self.denied(csr, 'apiserver-etcd-client')),
                         {'/csr/extendedKeyUsage', '/csr/subjectAltName'})
        answer = self.issued(self.client, der.request(Key()), 'apiserver-etcd-client')
        self.assertEqual((answer['extended_key_usage'], answer['dns'], answer['addresses']), (['clientAuth'], [], []))

    def test_after_refusals_the_token_is_good_still(self):
        self.denied(der.request(Key(), extensions=EXCESS[0][1]))
        answer = self.issued(self.client, der.request(Key()))
        text = keys.openssl('x509', '-noout', '-text', data=answer['certificate'].encode()).decode()
        self.assertIn('CA:FALSE', text)

    def test_duplicates_are_malformed(self):
        san = alternative_names((der.DNS_NAME, b'etcdone'))
        twice = der.extension_request(san)
        for what, csr in (('extension', der.request(Key(), extensions=[san, san])),
                          ('attribute', der.request(Key(), attributes=[twice, twice]))):
            with self.subTest(what):
                status, answer = issue(self.client, csr)
                self.assertIn((status, answer['code']), {(400, 'malformed_csr'), (403, 'policy_denied')}, answer)

    def test_odd_names(self):
        for what, tag, content in ODD_NAMES:
            with self.subTest(what):
                self.refused_somehow(der.request(Key(), extensions=[alternative_names((tag, content))]))

    def test_odd_subjects(self):
        for what, subject in ODD_SUBJECTS:
            with self.subTest(what):
                self.refused_somehow(der.request(Key(), subject))

    def refused_somehow(self, csr):
        """By the parser or by policy: never issued."""
        status, answer = issue(self.client, csr)
        self.assertIn((status, answer.get('code')), {(400, 'malformed_csr'), (403, 'policy_denied')}, answer)
        self.problem(answer, status, answer['code'])

    def test_other_profiles(self):
        """A2: an etcd member is no client of the API server, nor the service itself."""
        for profile in ('apiserver-etcd-client', 'service', 'identity'):
            with self.subTest(profile):
                self.denied(der.request(Key()), profile)
        self.assertIn(('certificate vagrant apiserver-etcd-client etcdone', 'policy_denied'),
                      {(event['what'], event['code']) for event in self.denials()})
        self.issued(self.world.token_client('masterone'), der.request(Key()), 'apiserver-etcd-client')

    def test_weak_keys(self):
        for what, make in WEAK_KEYS:
            with self.subTest(what):
                self.not_issued(self.client, der.request(make()), 400, 'weak_key')

    def test_compressed_points(self):
        status, answer = issue(self.client, der.request(keys.compressed_key()))
        self.assertEqual((status, answer['code']), (400, 'weak_key'), answer)

    def test_proof_of_possession(self):
        """A7: a request for somebody else's key."""
        mine, victim = Key(), Key()
        self.not_issued(self.client, der.request(victim, signer=mine), 400, 'proof_of_possession')
        self.issued(self.client, der.request(victim))

    def test_other_malformed_requests(self):
        good = der.request(Key())
        body = der.pem_der(good)
        cases = {
            'version 1': der.request(Key(), version=1),
            'bytes behind': der.pem('CERTIFICATE REQUEST', body + b'\0'),
            'cut': der.pem('CERTIFICATE REQUEST', body[:-1]),
            'another label': good.replace('CERTIFICATE REQUEST', 'PRIVATE KEY'),
            'two blocks': good + good,
            'no PEM': 'hello',
            'empty': '',
        }
        for what, csr in cases.items():
            with self.subTest(what):
                status, answer = issue(self.client, csr)
                self.assertEqual(status, 400, answer)
                self.assertIn(answer['code'], {'malformed_csr', 'malformed'})


if __name__ == '__main__':
    unittest.main(warnings='ignore')
