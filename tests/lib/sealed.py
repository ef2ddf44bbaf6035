"""What a stolen database holds when its seal key was stolen, too."""
import ctypes


def unsealed(data, key):
    """The plaintexts of all that is sealed with this key: a length of four bytes, version 1, nonce 24, ciphertext."""
    sodium = ctypes.CDLL('libsodium.so.23')
    purpose = b'ensign sealed key v1'
    for at in range(len(data) - 5):
        if data[at:at + 2] != b'\0\0' or data[at + 4] != 1:
            continue
        size = int.from_bytes(data[at:at + 4], 'big')
        blob = data[at + 5:at + 4 + size]
        if not 64 < size < 8192 or len(blob) != size - 1:
            continue
        plain = ctypes.create_string_buffer(size)
        length = ctypes.c_ulonglong()
        if sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(
                plain, ctypes.byref(length), None, blob[24:], ctypes.c_ulonglong(len(blob) - 24), purpose,
                ctypes.c_ulonglong(len(purpose)), blob[:24], key) == 0:
            yield plain.raw[:length.value]


def p256_scalars(plain):
    """The private scalars of the PKCS#8 structures in these bytes: ECPrivateKey version 1, OCTET STRING of 32."""
    marker = bytes.fromhex('0201010420')
    at = plain.find(marker)
    while at >= 0:
        yield plain[at + len(marker):at + len(marker) + 32]
        at = plain.find(marker, at + 1)
