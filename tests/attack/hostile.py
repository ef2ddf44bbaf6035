"""Certification requests that must get nothing, each with the answer that it must get. Generated, so that every rule of
every profile is broken once, and a bad name stands at every place of a long list.

A row is made for `etcdone` of the cluster `vagrant` unless its body says otherwise (lib/world.py, LONG_NODE below).
"""
import collections

from lib import der
from lib import keys
from lib.der import alternative_names, attribute, extension, integer, name, oid, tlv
from lib.keys import Key

Row = collections.namedtuple('Row', 'what csr status code fragment caller body route')

DENIED, MALFORMED, WEAK = (403, 'policy_denied'), (400, 'malformed_csr'), (400, 'weak_key')
POSSESSION, UNSUPPORTED = (400, 'proof_of_possession'), (400, 'unsupported')
NOT_FOUND, TOO_LARGE = (404, 'not_found'), (413, 'too_large')

LONG_NODE = {'name': 'etcdlong', 'hostnames': [f'etcdlong{i}.example.com' for i in range(16)],
             'addresses': [f'10.7.1.{i}' for i in range(1, 17)], 'roles': ['etcd']}

ONE = bytes([10, 9, 0, 61])
TWO = bytes([10, 9, 0, 62])
# otherName of a Microsoft UPN, which logs in on some systems
UPN = der.oid('1.3.6.1.4.1.311.20.2.3') + tlv(0xa0, tlv(der.UTF8, b'root@example.com'))
CA_TRUE = extension(der.BASIC_CONSTRAINTS, tlv(der.SEQUENCE, b'\x01\x01\xff'), True)
CERT_SIGN = extension(der.KEY_USAGE, bytes.fromhex('03020204'), True)
UNSTRUCTURED_NAME, CHALLENGE_PASSWORD = '1.2.840.113549.1.9.2', '1.2.840.113549.1.9.7'
MICROSOFT_EXTENSIONS = '1.3.6.1.4.1.311.2.1.14'


def row(what, csr, expected, fragment, caller='token', route='certificates', **body):
    return Row(what, csr, *expected, fragment, caller, {'profile': 'etcd-member'} | body, route)


def names(*items):
    return [alternative_names(*items)]


def common_name(text):
    return name(attribute(der.COMMON_NAME, text.encode()))


# ---- every rule of every profile, broken once ----

# profile: token's node, a node of another role, key usage that it does not give, extended key usage that it does not give
ETCD = ('etcdone', 'masterone')
NODE_PROFILES = {
    'etcd-member': ETCD, 'etcd-server': ETCD, 'etcd-peer': ETCD, 'etcd-healthcheck-client': ETCD,
    'node-identity': ('etcdone', None),
} | {profile: ('masterone', 'etcdone') for profile in (
    'apiserver-etcd-client', 'apiserver', 'apiserver-kubelet-client', 'front-proxy-client', 'admin', 'super-admin',
    'kubelet', 'controller-manager', 'scheduler')}
CLIENT_ONLY = {*NODE_PROFILES, 'identity'} - {'etcd-member', 'etcd-server', 'etcd-peer', 'apiserver'}

# what, subject, extensions, fragment: too much for any profile
TOO_MUCH = [
    ('CN of another', common_name('etcdtwo'), [], 'asks for "CN=etcdtwo"'),
    ('O=system:masters', name(attribute(der.ORGANIZATION, b'system:masters')), [], 'O=system:masters'),
    ("another node's name", name(), names((der.DNS_NAME, b'etcdtwo')), 'etcdtwo'),
    ("another node's address", name(), names((der.IP_NAME, TWO)), 'address 10.9.0.62'),
    ('a name of nobody', name(), names((der.DNS_NAME, b'kubernetes.default.svc.evil')), 'is none that this profile gives'),
    ('an e-mail address', name(), names((der.EMAIL_NAME, b'root@etcdone')), 'only dNSName and iPAddress'),
    ('a URI', name(), names((der.URI_NAME, b'spiffe://etcdone/etcd')), 'only dNSName and iPAddress'),
    ('an otherName', name(), names((der.OTHER_NAME, UPN)), 'only dNSName and iPAddress'),
    ('keyCertSign', name(), [CERT_SIGN], 'asks for keyCertSign'),
    ('codeSigning', name(), [der.extended_key_usage(der.CODE_SIGNING)], 'extended key usage 1.3.6.1.5.5.7.3.3'),
    ('CA:TRUE', name(), [CA_TRUE], 'basicConstraints of a CA'),
]


def too_much(profile, **more):
    for what, subject, extensions, fragment in TOO_MUCH:
        yield row(f'{profile}: {what}', der.request(Key(), subject, extensions), DENIED, fragment, profile=profile, **more)
    if profile in CLIENT_ONLY:
        server = [der.extended_key_usage(der.SERVER_AUTH, der.CLIENT_AUTH)]
        yield row(f'{profile}: serverAuth', der.request(Key(), extensions=server), DENIED, 'asks for serverAuth',
                  profile=profile, **more)
    if profile == 'apiserver':
        client = [der.extended_key_usage(der.SERVER_AUTH, der.CLIENT_AUTH)]
        yield row(f'{profile}: clientAuth', der.request(Key(), extensions=client), DENIED, 'asks for clientAuth',
                  profile=profile, **more)
    for seconds in (1, 2 ** 30):
        yield row(f'{profile}: {seconds} s', der.request(Key()), DENIED, 'gives between 60s', profile=profile,
                  lifetime_seconds=seconds, **more)


def profiles():
    for profile, (node, other) in NODE_PROFILES.items():
        yield from too_much(profile, caller=f'token {node}')
        yield row(f'{profile}: another node', der.request(Key()), DENIED, 'this caller is for node', profile=profile,
                  caller=f'token {node}', node='etcdtwo')
        yield row(f'{profile}: no node', der.request(Key()), DENIED, 'the inventory has no node "nowhere"', caller='admin',
                  profile=profile, node='nowhere')
        yield row(f'{profile}: another cluster', der.request(Key()), NOT_FOUND, 'no cluster "long"', profile=profile,
                  caller=f'token {node}', route='long')
        yield row(f'{profile}: P-521', der.request(Key('ec_paramgen_curve:P-521')), WEAK, 'secp521r1', profile=profile,
                  caller=f'token {node}')
        if other:
            yield row(f'{profile}: another role', der.request(Key()), DENIED, 'is for nodes with the role', profile=profile,
                      caller=f'token {other}')
    yield from too_much('service', caller='admin')
    rsa = der.request(Key('rsa_keygen_bits:2048', algorithm='RSA'))
    yield row('service: RSA', rsa, DENIED, 'does not take rsa-2048 keys', caller='admin', profile='service')
    yield row('service', der.request(Key()), DENIED, 'is for service to ask for', caller='admin', profile='service')
    yield row('identity', der.request(Key()), DENIED, 'is for admin to ask for', profile='identity')


def identities():
    """By an admin, whose own route it is: the rules of the profile hold for him, too."""
    for item in too_much('identity', caller='admin', route='identities'):
        body = {member: value for member, value in item.body.items() if member != 'profile'}
        yield item._replace(body=body | {'name': 'somebody', 'role': 'auditor'})


# ---- one bad name at each place of a long list ----

def long_list():
    good = [(der.DNS_NAME, text.encode()) for text in [LONG_NODE['name'], *LONG_NODE['hostnames'], 'localhost']]
    good += [(der.IP_NAME, bytes(int(part) for part in text.split('.')))
             for text in [*LONG_NODE['addresses'], '127.0.0.1']]
    return good + [(der.IP_NAME, bytes(15) + b'\1')]


def positions():
    good = long_list()
    for place in range(len(good) + 1):
        bad = (der.DNS_NAME, b'etcdlong16.example.com') if place % 2 else (der.IP_NAME, bytes([10, 7, 1, 17]))
        listed = good[:place] + [bad] + good[place:]
        fragment = 'etcdlong16.example.com is none' if place % 2 else '10.7.1.17 is none'
        yield row(f'a bad name at place {place} of {len(listed)}', der.request(Key(), extensions=names(*listed)), DENIED,
                  fragment, caller='token etcdlong', route='long')


# ---- ASN.1 ----

def raw(key, version=integer(0), subject=name(), attributes=tlv(0xa0), spki=None, algorithm=None, bits=der.bits, sign=None,
        behind=b''):
    """DER of a request whose parts are given, signed all the same."""
    body = tlv(der.SEQUENCE, version, subject, spki or key.spki, attributes)
    signature = (sign or key.sign)(body)
    return tlv(der.SEQUENCE, body, algorithm or key.algorithm, bits(signature), behind)


def pem(data, label='CERTIFICATE REQUEST'):
    return der.pem(label, data)


def content(data):
    return der.element(data)[1]


def long_form(data, size_bytes):
    """The same element with a length of that many bytes, more than it needs."""
    inner = content(data)
    return data[:1] + bytes([0x80 | size_bytes]) + len(inner).to_bytes(size_bytes, 'big') + inner


def extensions_of(data):
    """An extensionRequest with this DER as its only value."""
    return tlv(0xa0, tlv(der.SEQUENCE, oid(der.EXTENSION_REQUEST), tlv(der.SET, data)))


def malformed():
    """what, DER, fragment: not DER, or not a request"""
    key = Key()
    good = raw(key)
    outer, info = 'not a certification request in DER', 'not a CertificationRequestInfo in DER'
    requested = 'extensionRequest'
    yield 'indefinite length', b'\x30\x80' + content(good) + b'\0\0', outer
    yield 'a byte behind', good + b'\0', outer
    yield 'a NULL inside behind', raw(key, behind=b'\5\0'), outer
    yield 'cut', good[:-1], outer
    yield 'length in 2 bytes more', long_form(good, 4), outer
    yield 'length of 4 GiB', b'\x30\x84\xff\xff\xff\xff' + content(good), outer
    yield 'a SET', b'\x31' + good[1:], outer
    yield 'tag in the long form', b'\x3f\x10' + good[1:], outer
    yield 'empty SEQUENCE', b'\x30\0', outer
    yield 'only zeros', bytes(64), outer
    yield 'nested 2000 deep', nested(2000), outer
    yield 'signature with unused bits', raw(key, bits=lambda data: tlv(der.BIT_STRING, b'\1', data[:-1] + b'\0')), outer
    yield 'signature in an OCTET STRING', raw(key, bits=lambda data: tlv(der.OCTET_STRING, data)), outer
    yield 'version 1', raw(key, version=integer(1)), 'version'
    yield 'version -1', raw(key, version=b'\2\1\xff'), 'version'
    yield 'version of 65 bits', raw(key, version=integer(1 << 64)), 'version'
    yield 'version with a zero before', raw(key, version=b'\2\2\0\0'), info
    yield 'version of no bytes', raw(key, version=b'\2\0'), info
    yield 'version with a long length', raw(key, version=b'\2\x81\1\0'), info
    yield 'no version', raw(key, version=b''), info
    yield 'subject is a SET', raw(key, subject=b'\x31\0'), info
    yield 'subject of indefinite length', raw(key, subject=b'\x30\x80\0\0'), 'not a Name in DER'
    yield 'key info with unused bits', raw(key, spki=unused_bits(key.spki)), 'SubjectPublicKeyInfo'
    yield 'key info with a long length', raw(key, spki=long_form(key.spki, 2)), ''
    yield 'key info with bytes behind', raw(key, spki=tlv(der.SEQUENCE, content(key.spki), b'\5\0')), 'SubjectPublicKeyInfo'
    yield 'two sets of attributes', raw(key, attributes=tlv(0xa0) * 2), info
    san = der.extension_request(*names((der.DNS_NAME, b'etcdone')))
    other = tlv(der.SEQUENCE, oid(UNSTRUCTURED_NAME), tlv(der.SET, tlv(der.UTF8, b'x')))
    yield 'an attribute twice', raw(key, attributes=tlv(0xa0, san, san)), 'an attribute twice'
    yield 'attributes out of order', raw(key, attributes=tlv(0xa0, *sorted([san, other], reverse=True))), info
    yield 'extensionRequest of two values', raw(key, attributes=tlv(0xa0, tlv(
        der.SEQUENCE, oid(der.EXTENSION_REQUEST), tlv(der.SET, b'\x30\0', b'\x30\0')))), requested
    yield 'extensionRequest of none', raw(key, attributes=tlv(0xa0, tlv(
        der.SEQUENCE, oid(der.EXTENSION_REQUEST), tlv(der.SET)))), requested
    yield 'extensionRequest of NULL', raw(key, attributes=extensions_of(b'\5\0')), requested
    yield from malformed_extensions(key)


def malformed_extensions(key):
    requested = 'extensionRequest is not Extensions in DER'
    for what, item, fragment in [
            ('critical 0x01', tlv(der.SEQUENCE, oid(der.KEY_USAGE), b'\1\1\1', tlv(4, b'\3\2\7\x80')), requested),
            ('critical FALSE written', tlv(der.SEQUENCE, oid(der.KEY_USAGE), b'\1\1\0', tlv(4, b'\3\2\7\x80')), requested),
            ('an extension without value', tlv(der.SEQUENCE, oid(der.KEY_USAGE)), requested),
            ('keyUsage with a zero byte', extension(der.KEY_USAGE, b'\3\3\0\x80\0'), 'keyUsage'),
            ('keyUsage with unused bits set', extension(der.KEY_USAGE, b'\3\2\7\xff'), 'keyUsage'),
            ('keyUsage of a tenth bit', extension(der.KEY_USAGE, b'\3\3\6\x80\x40'), 'keyUsage'),
            ('keyUsage is an INTEGER', extension(der.KEY_USAGE, b'\2\1\x80'), 'keyUsage'),
            ('CA:FALSE written', extension(der.BASIC_CONSTRAINTS, b'\x30\3\1\1\0'), 'basicConstraints'),
            ('basicConstraints with a byte behind', extension(der.BASIC_CONSTRAINTS, b'\x30\0\0'), 'basicConstraints'),
            ('extendedKeyUsage of a text', extension(der.EXTENDED_KEY_USAGE, tlv(0x30, tlv(0xc, b'x'))), 'extendedKeyUsage'),
            ('subjectAltName with a byte behind', extension(
                der.SUBJECT_ALT_NAME, tlv(0x30, tlv(der.DNS_NAME, b'etcdone')) + b'\0'), 'subjectAltName'),
            ('subjectAltName of an unknown kind', extension(der.SUBJECT_ALT_NAME, tlv(0x30, tlv(0x8f, b'x'))),
             'subjectAltName'),
            ('subjectAltName of indefinite length', extension(
                der.SUBJECT_ALT_NAME, b'\x30\x80' + tlv(der.DNS_NAME, b'etcdone') + b'\0\0'), 'subjectAltName')]:
        yield what, raw(key, attributes=extensions_of(tlv(der.SEQUENCE, item))), fragment


def nested(depth):
    data = b''
    for _ in range(depth):
        data = tlv(der.SEQUENCE, data)
    return data


def unused_bits(spki):
    """The last bit of the key is said not to be there."""
    algorithm, (_, key_bits) = der.children(spki)
    return tlv(der.SEQUENCE, tlv(*algorithm), tlv(der.BIT_STRING, b'\1', key_bits[1:-1], bytes([key_bits[-1] & 0xfe])))


def asn1():
    for what, data, fragment in malformed():
        yield row(what, pem(data), MALFORMED, fragment)
    good = der.request(Key())
    for what, text, fragment in [
            ('another label', good.replace('CERTIFICATE REQUEST', 'CERTIFICATE'), 'CERTIFICATE REQUEST'),
            ('two blocks', good + good, 'more than one PEM block'), ('no PEM', 'hello', 'expected a PEM block'),
            ('nothing', '', 'expected a PEM block'), ('a certificate behind', good + good.replace(' REQUEST', ''), 'more than'),
            ('no end', good[:good.index('-----END')], 'PEM'), ('no base64', good.replace('M', '*', 1), '')]:
        yield row(f'PEM: {what}', text, (400, None), fragment)
    yield row('16 KiB of attributes', pem(raw(Key(), attributes=tlv(0xa0, tlv(
        der.SEQUENCE, oid(UNSTRUCTURED_NAME), tlv(der.SET, tlv(der.UTF8, b'x' * 16384)))))), TOO_LARGE, 'are the most')


# ---- names ----

# Names that are nearly right, or of another kind
ODD_NAMES = [
    ('NUL', der.DNS_NAME, b'etcdone\0.evil.example', r'etcdone\x00.evil.example'),
    ('control character', der.DNS_NAME, b'etcdone\n', r'etcdone\x0a'),
    ('not IA5', der.DNS_NAME, 'etcd\u00f6ne'.encode(), r'etcd\xc3\xb6ne'),
    ('homograph', der.DNS_NAME, '\u0435tcdone'.encode(), r'\xd0\xb5tcdone'),
    ('upper case', der.DNS_NAME, b'ETCDONE', 'not lower-case'),
    ('trailing dot', der.DNS_NAME, b'etcdone.', 'not lower-case'),
    ('leading dot', der.DNS_NAME, b'.etcdone', 'not lower-case'),
    ('blank', der.DNS_NAME, b'etcdone ', 'not lower-case'),
    ('underscore', der.DNS_NAME, b'etcd_one', 'not lower-case'),
    ('hyphen first', der.DNS_NAME, b'-etcdone', 'not lower-case'),
    ('wildcard', der.DNS_NAME, b'*', 'not lower-case'),
    ('wildcard label', der.DNS_NAME, b'*.example.com', 'not lower-case'),
    ('address as DNS name', der.DNS_NAME, b'10.9.0.61', 'not lower-case'),
    ('hexadecimal address', der.DNS_NAME, b'0x0a09003d', 'not lower-case'),
    ('empty', der.DNS_NAME, b'', 'not lower-case'),
    ('254 bytes', der.DNS_NAME, (b'a' * 63 + b'.') * 3 + b'b' * 62, 'not lower-case'),
    ('a label of 64', der.DNS_NAME, b'a' * 64, 'not lower-case'),
    ('punycode', der.DNS_NAME, b'xn--tcdone-m1a', 'is none that this profile gives'),
    ('address of 5 bytes', der.IP_NAME, ONE + b'\0', 'not 4 or 16 bytes'),
    ('address with a mask', der.IP_NAME, ONE + b'\xff\xff\xff\xff', 'not 4 or 16 bytes'),
    ('address of no bytes', der.IP_NAME, b'', 'not 4 or 16 bytes'),
    ('address as text', der.IP_NAME, b'10.9.0.61', 'not 4 or 16 bytes'),
    ('IPv4-mapped IPv6', der.IP_NAME, b'\0' * 10 + b'\xff\xff' + ONE, 'IPv4-mapped'),
    ('otherName', der.OTHER_NAME, UPN, 'only dNSName and iPAddress'),
    ('directoryName', 0xa4, common_name('etcdone'), 'only dNSName and iPAddress'),
    ('registeredID', 0x88, content(oid('1.2.3')), 'only dNSName and iPAddress'),
    ('e-mail', der.EMAIL_NAME, b'root@etcdone', 'only dNSName and iPAddress'),
    ('URI', der.URI_NAME, b'https://etcdone', 'only dNSName and iPAddress'),
]

ODD_SUBJECTS = [
    ('another node', common_name('etcdtwo'), 'CN=etcdtwo'),
    ('system:masters', name(attribute(der.ORGANIZATION, b'system:masters'), attribute(der.COMMON_NAME, b'etcdone')),
     'system:masters'),
    ('NUL', common_name('etcdone\0'), 'without control characters'),
    ('line feed', common_name('etcdone\n'), 'without control characters'),
    ('right-to-left override', common_name('\u202eetcdone'), 'without control characters'),
    ('zero width space', common_name('etcd\u200bone'), 'without control characters'),
    ('not UTF-8', name(attribute(der.COMMON_NAME, b'etcdone\xff')), 'UTF-8'),
    ('65 bytes', common_name('e' * 65), '64 bytes'),
    ('empty', common_name(''), '1 to 64 bytes'),
    ('upper case', common_name('EtcdOne'), 'CN=EtcdOne'),
    ('trailing dot', common_name('etcdone.'), 'CN=etcdone.'),
    ('homograph', common_name('\u0435tcdone'), 'asks for'),
    ('BMPString', name(attribute(der.COMMON_NAME, 'etcdone'.encode('utf-16-be'), der.BMP)), 'UTF8String'),
    ('IA5String', name(attribute(der.COMMON_NAME, b'etcdone', der.IA5)), 'UTF8String'),
    ('no PrintableString', name(attribute(der.COMMON_NAME, b'etcd_one', der.PRINTABLE)), 'PrintableString'),
    ('two common names', name(*[attribute(der.COMMON_NAME, b'etcdone')] * 2), 'one CN'),
    ('nine organizations', name(*[attribute(der.ORGANIZATION, b'o%d' % i) for i in range(9)]), 'up to 8'),
    ('two attributes in one RDN', name(tlv(der.SET, *sorted(
        content(attribute(kind, b'etcdone')) for kind in (der.COMMON_NAME, der.ORGANIZATION)))), 'one RDN'),
    ('e-mail address', name(attribute(der.EMAIL_ADDRESS, b'a@b', der.IA5), attribute(der.COMMON_NAME, b'etcdone')),
     'only O'),
]

EXCESS = [
    ('any extended key usage', [der.extended_key_usage('2.5.29.37.0')], '2.5.29.37.0'),
    ('an extended key usage twice', [der.extended_key_usage(der.CLIENT_AUTH, der.CLIENT_AUTH)], 'twice'),
    ('a path length', [extension(der.BASIC_CONSTRAINTS, tlv(der.SEQUENCE, b'\x01\x01\xff', integer(0)))], 'of a CA'),
    ('cRLSign', [extension(der.KEY_USAGE, bytes.fromhex('03020102'))], 'cRLSign'),
    ('name constraints', [extension(der.NAME_CONSTRAINTS, tlv(der.SEQUENCE))], '2.5.29.30'),
    ('an unknown extension', [extension('1.2.3.4.5', b'\x05\0')], '1.2.3.4.5'),
    ('an unknown critical extension', [extension('1.2.3.4.5', b'\x05\0', True)], '1.2.3.4.5'),
    ('a certificate policy', [extension('2.5.29.32', tlv(0x30, tlv(0x30, oid('2.5.29.32.0'))))], '2.5.29.32'),
    ('an authority key identifier', [extension('2.5.29.35', tlv(0x30, tlv(0x80, bytes(20))))], '2.5.29.35'),
    ('an extension twice', names((der.DNS_NAME, b'etcdone')) * 2, 'twice the extension'),
    ('a name twice', names((der.DNS_NAME, b'etcdone'), (der.DNS_NAME, b'etcdone')), 'twice'),
    ('a foreign name beside its own', names((der.DNS_NAME, b'etcdone'), (der.DNS_NAME, b'kubernetes')), 'kubernetes'),
]


def named():
    for what, tag, text, fragment in ODD_NAMES:
        yield row(f'subjectAltName: {what}', der.request(Key(), extensions=names((tag, text))), DENIED, fragment)
    for what, subject, fragment in ODD_SUBJECTS:
        yield row(f'subject: {what}', der.request(Key(), subject), DENIED, fragment)
    for what, extensions, fragment in EXCESS:
        yield row(what, der.request(Key(), extensions=extensions), DENIED, fragment)
    for what, kind in (('challengePassword', CHALLENGE_PASSWORD), ('unstructuredName', UNSTRUCTURED_NAME),
                       ("Microsoft's extensions", MICROSOFT_EXTENSIONS)):
        value = tlv(der.SEQUENCE, oid(kind), tlv(der.SET, tlv(der.UTF8, b'secret')))
        yield row(what, der.request(Key(), attributes=[value]), DENIED,
                  'challengePassword' if kind == CHALLENGE_PASSWORD else kind)
    many = [extension(f'1.2.3.4.{i}', b'\x05\0') for i in range(40)]
    yield row('40 unknown extensions', der.request(Key(), extensions=many), MALFORMED, 'more than 32 things')
    crowd = names(*[(der.DNS_NAME, b'n%d' % i) for i in range(201)])
    yield row('201 names', der.request(Key(), extensions=crowd), TOO_LARGE, 'more than 200')


# ---- keys ----

def even_key():
    return keys.RsaKey(2, keys.random_prime(2047))


WEAK_KEYS = [
    ('RSA 1024', lambda: Key('rsa_keygen_bits:1024', algorithm='RSA'), '1024 bits'),
    ('RSA 1536', lambda: Key('rsa_keygen_bits:1536', algorithm='RSA'), '1536 bits'),
    ('RSA 2047', lambda: Key('rsa_keygen_bits:2047', algorithm='RSA'), '2047 bits'),
    ('RSA with e = 3', lambda: Key('rsa_keygen_bits:2048', 'rsa_keygen_pubexp:3', algorithm='RSA'), 'smaller than 65537'),
    ('even modulus', even_key, 'divided by 2'),
    ('ROCA', keys.roca_key, 'ROCA'),
    ('Fermat', keys.fermat_key, "Fermat's method"),
    ('small factor', keys.small_factor_key, 'divided by 1009'),
    ('explicit parameters', keys.explicit_key, 'explicit'),
    ('off the curve', keys.off_curve_key, 'not a point on the curve'),
    ('the point at infinity', lambda: keys.ForeignKey(keys.p256_spki(b'\0')), 'infinity'),
    ('zero coordinates', lambda: keys.ForeignKey(keys.p256_spki(b'\4' + bytes(64))), 'not a point on the curve'),
    ('compressed point', keys.compressed_key, 'compressed'),
    ('P-224', lambda: Key('ec_paramgen_curve:P-224'), 'secp224r1'),
    ('P-521', lambda: Key('ec_paramgen_curve:P-521'), 'secp521r1'),
    ('secp256k1', lambda: Key('ec_paramgen_curve:secp256k1'), 'secp256k1'),
    ('brainpool', lambda: Key('ec_paramgen_curve:brainpoolP256r1'), 'brainpoolP256r1'),
]


class OtherDigest:
    """A key that signs with another digest, as openssl calls it."""

    def __init__(self, key, digest, algorithm):
        self.spki, self.key, self.digest = key.spki, key, digest
        self.algorithm = tlv(der.SEQUENCE, oid(algorithm), b'\5\0' if algorithm.startswith('1.2.840.113549') else b'')

    def sign(self, data):
        return self.key.sign(data, self.digest)


def proofs():
    rsa, ec = Key('rsa_keygen_bits:2048', algorithm='RSA'), Key()
    for what, key in (('MD5', OtherDigest(rsa, 'md5', '1.2.840.113549.1.1.4')),
                      ('SHA-1', OtherDigest(rsa, 'sha1', '1.2.840.113549.1.1.5')),
                      ('ECDSA with SHA-1', OtherDigest(ec, 'sha1', '1.2.840.10045.4.1'))):
        yield row(f'signed with {what}', der.request(key), MALFORMED, 'signature algorithm')
    yield row('signed with SHA-1, said to be SHA-256', der.request(OtherDigest(ec, 'sha1', der.ECDSA_SHA256)), POSSESSION,
              'does not verify')
    yield row("signed by another's key", der.request(Key(), signer=ec), POSSESSION, 'does not verify')
    yield row('the algorithm of another key', der.request(OtherDigest(ec, 'sha256', der.RSA_SHA256)), MALFORMED,
              'signature algorithm')
    good = raw(ec)
    flipped = good.replace(ec.spki, Key().spki)
    yield row('another key put in', pem(flipped), POSSESSION, 'does not verify')
    named_body = der.pem_der(der.request(ec, common_name('etcdone')))
    yield row('another name put in', pem(named_body.replace(b'etcdone', b'etcdtwo')), POSSESSION, 'does not verify')
    yield row('signature of nothing', pem(raw(ec, sign=lambda body: b'')), MALFORMED, 'not a certification request in DER')
    yield row('signature of zeros', pem(raw(ec, sign=lambda body: bytes.fromhex('3006020100020100'))), POSSESSION,
              'does not verify')


def keyed():
    for what, make, fragment in WEAK_KEYS:
        yield row(what, der.request(make()), WEAK, fragment)
    edwards = keys.openssl('genpkey', '-algorithm', 'ED25519')
    spki = keys.openssl('pkey', '-pubout', '-outform', 'DER', data=edwards)
    yield row('Ed25519', der.request(keys.ForeignKey(spki)), UNSUPPORTED, 'ED25519')
    yield from proofs()


def rows():
    for part in (profiles, identities, positions, asn1, named, keyed):
        yield from part()
