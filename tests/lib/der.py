"""Certification requests as attackers write them: DER piece by piece, so that nothing is too odd to be sent."""
import base64
import textwrap

SEQUENCE, SET, INTEGER, BIT_STRING, OCTET_STRING, OID = 0x30, 0x31, 0x02, 0x03, 0x04, 0x06
UTF8, PRINTABLE, IA5, BMP = 0x0c, 0x13, 0x16, 0x1e
EMAIL_NAME, DNS_NAME, URI_NAME, IP_NAME = 0x81, 0x82, 0x86, 0x87
OTHER_NAME = 0xa0

COMMON_NAME, ORGANIZATION, EMAIL_ADDRESS = '2.5.4.3', '2.5.4.10', '1.2.840.113549.1.9.1'
EXTENSION_REQUEST = '1.2.840.113549.1.9.14'
SUBJECT_ALT_NAME, BASIC_CONSTRAINTS = '2.5.29.17', '2.5.29.19'
KEY_USAGE, EXTENDED_KEY_USAGE, NAME_CONSTRAINTS = '2.5.29.15', '2.5.29.37', '2.5.29.30'
SERVER_AUTH, CLIENT_AUTH, CODE_SIGNING = '1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2', '1.3.6.1.5.5.7.3.3'
ECDSA_SHA256, RSA_SHA256 = '1.2.840.10045.4.3.2', '1.2.840.113549.1.1.11'


def tlv(tag, *parts):
    content = b''.join(parts)
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, 'big')
    return bytes([tag, 0x80 | len(length)]) + length + content


def oid(text):
    first, second, *rest = (int(arc) for arc in text.split('.'))
    content = b''
    for arc in [first * 40 + second] + rest:
        septets = [arc & 0x7f]
        while arc > 0x7f:
            arc >>= 7
            septets.append(0x80 | arc & 0x7f)
        content += bytes(reversed(septets))
    return tlv(OID, content)


def integer(value):
    return tlv(INTEGER, value.to_bytes(value.bit_length() // 8 + 1, 'big'))


def bits(data):
    return tlv(BIT_STRING, b'\0', data)


def attribute(kind, value, tag=UTF8):
    """One RDN of a name."""
    return tlv(SET, tlv(SEQUENCE, oid(kind), tlv(tag, value)))


def name(*rdns):
    return tlv(SEQUENCE, *rdns)


def extension(kind, value, critical=False):
    return tlv(SEQUENCE, oid(kind), bytes.fromhex('0101ff') if critical else b'', tlv(OCTET_STRING, value))


def alternative_names(*names):
    """names: (tag, content)"""
    return extension(SUBJECT_ALT_NAME, tlv(SEQUENCE, *(tlv(tag, content) for tag, content in names)))


def extended_key_usage(*usages):
    return extension(EXTENDED_KEY_USAGE, tlv(SEQUENCE, *(oid(usage) for usage in usages)))


def extension_request(*extensions):
    return tlv(SEQUENCE, oid(EXTENSION_REQUEST), tlv(SET, tlv(SEQUENCE, *extensions)))


def request(key, subject=name(), extensions=(), attributes=None, version=0, signer=None):
    """PEM of a PKCS#10 request for `key`, signed by it or by `signer`. attributes: instead of the extensions'."""
    if attributes is None:
        attributes = [extension_request(*extensions)] if extensions else []
    body = tlv(SEQUENCE, integer(version), subject, key.spki, tlv(0xa0, *attributes))
    signer = signer or key
    return pem('CERTIFICATE REQUEST', tlv(SEQUENCE, body, signer.algorithm, bits(signer.sign(body))))


def pem(label, der):
    lines = '\n'.join(textwrap.wrap(base64.b64encode(der).decode(), 64))
    return f'-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n'


def pem_der(text):
    """The DER of the first block."""
    return base64.b64decode(text.split('-----')[2])


def children(der):
    """(tag, content) of each element of a constructed value."""
    found, content = [], element(der)[1]
    while content:
        tag, inner, content = element(content)
        found.append((tag, inner))
    return found


def element(der):
    """tag, content and what is behind the first element."""
    size, at = der[1], 2
    if size & 0x80:
        at += size & 0x7f
        size = int.from_bytes(der[2:at], 'big')
    return der[0], der[at:at + size], der[at + size:]
