"""Key pairs: good ones by openssl, and weak ones made here for the purpose."""
import hashlib
import math
import random
import subprocess
import tempfile

from lib import der

SHA256_PREFIX = bytes.fromhex('3031300d060960864801650304020105000420')  # RFC 8017 section 9.2
EC_PUBLIC_KEY, PRIME256V1 = '1.2.840.10045.2.1', '1.2.840.10045.3.1.7'


def openssl(*arguments, data=None):
    return subprocess.run(['openssl', *arguments], input=data, capture_output=True, check=True).stdout


class Key:
    """A key of openssl's: this one, or a new one. options: of `openssl genpkey -algorithm ALGORITHM`."""

    def __init__(self, *options, algorithm='EC', pem=None):
        options = options or ('ec_paramgen_curve:P-256',)
        words = [word for option in options for word in ('-pkeyopt', option)]
        self.pem = pem or openssl('genpkey', '-algorithm', algorithm, *words)
        self.spki = openssl('pkey', '-pubout', '-outform', 'DER', data=self.pem)
        if algorithm == 'RSA':
            self.algorithm = der.tlv(der.SEQUENCE, der.oid(der.RSA_SHA256), b'\x05\0')
        else:
            self.algorithm = der.tlv(der.SEQUENCE, der.oid(der.ECDSA_SHA256))

    def sign(self, data, digest='sha256'):
        with tempfile.NamedTemporaryFile() as file:
            file.write(self.pem)
            file.flush()
            return openssl('dgst', f'-{digest}', '-sign', file.name, data=data)


class RsaKey:
    """An RSA key from its primes."""

    algorithm = der.tlv(der.SEQUENCE, der.oid(der.RSA_SHA256), b'\x05\0')

    def __init__(self, *primes, exponent=65537):
        self.modulus = math.prod(primes)
        self.private = pow(exponent, -1, math.prod(prime - 1 for prime in primes))
        algorithm = der.tlv(der.SEQUENCE, der.oid('1.2.840.113549.1.1.1'), b'\x05\0')
        public = der.tlv(der.SEQUENCE, der.integer(self.modulus), der.integer(exponent))
        self.spki = der.tlv(der.SEQUENCE, algorithm, der.bits(public))

    def sign(self, data):
        size = (self.modulus.bit_length() + 7) // 8
        digest = SHA256_PREFIX + hashlib.sha256(data).digest()
        padded = b'\0\1' + b'\xff' * (size - len(digest) - 3) + b'\0' + digest
        return pow(int.from_bytes(padded, 'big'), self.private, self.modulus).to_bytes(size, 'big')


class ForeignKey:
    """A public key whose private half nobody here has; signed by an honest key instead."""

    def __init__(self, spki):
        self.spki, self.signer = spki, Key()
        self.algorithm, self.sign = self.signer.algorithm, self.signer.sign


def p256_of_scalar(scalar):
    """The key whose private half is known. RFC 5915 section 3."""
    parameters = der.tlv(0xa0, der.oid(PRIME256V1))
    private = der.tlv(der.SEQUENCE, der.integer(1), der.tlv(der.OCTET_STRING, scalar), parameters)
    return Key(pem=openssl('ec', '-inform', 'DER', data=private))


def p256_spki(point):
    algorithm = der.tlv(der.SEQUENCE, der.oid(EC_PUBLIC_KEY), der.oid(PRIME256V1))
    return der.tlv(der.SEQUENCE, algorithm, der.bits(point))


def explicit_key():
    """P-256 with its parameters written out (CVE-2020-0601 began so)."""
    return Key('ec_paramgen_curve:P-256', 'ec_param_enc:explicit')


def off_curve_key():
    point = Key().spki[-65:]
    return ForeignKey(p256_spki(point[:-1] + bytes([point[-1] ^ 1])))


def compressed_key():
    point = Key().spki[-65:]
    return ForeignKey(p256_spki(bytes([2 + point[-1] % 2]) + point[1:33]))


def is_prime(number, rounds=12):
    if any(number % small == 0 for small in SMALL_PRIMES if number != small):
        return False
    odd, twos = number - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for _ in range(rounds):
        witness = pow(random.randrange(2, number - 1), odd, number)
        powers = [pow(witness, 1 << i, number) for i in range(twos)]
        if witness != 1 and number - 1 not in powers:
            return False
    return True


def small_primes(limit):
    sieve = bytearray([1]) * limit
    for number in range(2, math.isqrt(limit) + 1):
        if sieve[number]:
            sieve[number * number::number] = bytes(len(sieve[number * number::number]))
    return [number for number in range(2, limit) if sieve[number]]


SMALL_PRIMES = small_primes(2000)


def next_prime(number):
    number |= 1
    while not is_prime(number) or (number - 1) % 65537 == 0:
        number += 2
    return number


def random_prime(size):
    return next_prime(random.getrandbits(size) | 3 << size - 2)


def fermat_key():
    """Two primes next to each other: factored by one square root."""
    first = random_prime(1024)
    return RsaKey(first, next_prime(first + 2))


def small_factor_key():
    """A modulus of 2048 bits with a factor that trial division finds."""
    factor, size = 1009, 2048 - 1009 .bit_length()
    while True:
        key = RsaKey(factor, random_prime(size))
        if key.modulus.bit_length() == 2048:
            return key
        size += 1


def roca_prime(size=1024):
    """As the chips of CVE-2017-15361 made them: k * M + (65537^a mod M), M the product of the first 126 primes."""
    product = math.prod(SMALL_PRIMES[:126])
    while True:
        k = random.randrange((3 << size - 2) // product, (1 << size) // product)
        candidate = k * product + pow(65537, random.randrange(1, product), product)
        if candidate.bit_length() == size and is_prime(candidate) and (candidate - 1) % 65537:
            return candidate


def roca_key():
    return RsaKey(roca_prime(), roca_prime())
