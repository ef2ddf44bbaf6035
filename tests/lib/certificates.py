"""What a certificate says, as OpenSSL reads it, and what the catalogue says of it, in the same words."""
import ipaddress
import re

from lib.service import run

KEY_USAGE = {'Digital Signature': 'digitalSignature', 'Key Encipherment': 'keyEncipherment'}
EXTENDED = {'TLS Web Server Authentication': 'serverAuth', 'TLS Web Client Authentication': 'clientAuth'}


def said(pem):
    """pem: the text. Names and addresses as sets, their order says nothing; an unknown usage stands as it is."""
    text = run('openssl', 'x509', '-noout', '-subject', '-nameopt', 'sep_multiline,sname', '-ext',
               'subjectAltName,keyUsage,extendedKeyUsage', input=pem).stdout
    listed = {title: items.split(', ') for title, items in re.findall(r'X509v3 (.*?): .*\n +(.*)', text)}
    names = listed.get('Subject Alternative Name', [])
    return {
        'common_name': re.findall(r'^ +CN=(.*)', text, re.M),
        'organizations': re.findall(r'^ +O=(.*)', text, re.M),
        'dns': {name[4:] for name in names if name.startswith('DNS:')},
        'addresses': {ipaddress.ip_address(name[11:]) for name in names if name.startswith('IP Address:')},
        'key_usage': {KEY_USAGE.get(usage, usage) for usage in listed.get('Key Usage', [])},
        'extended_key_usage': {EXTENDED.get(usage, usage) for usage in listed.get('Extended Key Usage', [])},
    }


def catalogued(certificate):
    """certificate: that member of a catalogue's item"""
    return {
        'common_name': [certificate['subject']['common_name']],
        'organizations': certificate['subject']['organizations'],
        'dns': set(certificate['dns']),
        'addresses': {ipaddress.ip_address(address) for address in certificate['addresses']},
        'key_usage': set(certificate['key_usage']),
        'extended_key_usage': set(certificate['extended_key_usage']),
    }
