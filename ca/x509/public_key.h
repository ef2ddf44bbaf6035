/* public_key.h: a SubjectPublicKeyInfo, kept as opaque DER (RFC 5280 §4.1.2.7), and whether anybody should use it.
 *
 * OpenSSL 3.0's key decoder is slow; keys are made from their numbers with EVP_PKEY_fromdata() instead.
 * Threads: pure. */
#ifndef ENSIGN_CA_X509_PUBLIC_KEY_H
#define ENSIGN_CA_X509_PUBLIC_KEY_H

#include <openssl/evp.h>

#include "ca/base/span.h"

AUTO_POINTER(EVP_PKEY, EVP_PKEY_free)

enum key_algorithm {
    KEY_NONE,
    KEY_ECDSA_P256, /* signs with SHA-256 */
    KEY_ECDSA_P384, /* signs with SHA-384 */
    KEY_RSA_2048,   /* PKCS#1 v1.5 with SHA-256, RSA_3072 and RSA_4096 too */
    KEY_RSA_3072,
    KEY_RSA_4096,
    KEY_ALGORITHM_COUNT
};
enum { SHA256_SIZE = 32, KEY_IDENTIFIER_SIZE = 20 };

const char *key_algorithm_name(enum key_algorithm algorithm); /* "ecdsa-p256", "rsa-2048" */
enum key_algorithm key_algorithm_by_name(const char *name);   /* KEY_NONE when unknown */
bool key_algorithm_is_rsa(enum key_algorithm algorithm);

struct public_key {
    struct span spki; /* borrowed DER */
    enum key_algorithm algorithm;
    uint8_t spki_sha256[SHA256_SIZE];            /* Kubernetes' and our pins are over this DER */
    uint8_t key_identifier[KEY_IDENTIFIER_SIZE]; /* leftmost 160 bits of SHA-256 of the bit string: RFC 7093 §2 (1) */
};

/* Parses and judges.
 * ERR_INPUT  CODE_WEAK_KEY   RSA of another size than 2048, 3072, 4096; even or with a small factor; e < 65537, even or
 *                            over 64 bits; ROCA fingerprint (CVE-2017-15361); primes too close (Fermat); all found are
 *                            reasons
 *            CODE_WEAK_KEY   EC with explicit parameters, off the curve, infinity, compressed, or another curve
 *            CODE_MALFORMED_CSR  not DER, left-over bytes, unused bits, wrong parameters
 * ERR_UNSUPPORTED  a key that is neither RSA nor on an elliptic curve (Ed25519, which kubeadm refuses) */
MUST_USE enum err public_key_parse(struct span spki, struct public_key *ret_key, struct fault *f);

/* Parses without the costly part of judging: the form, the curve or the size are right, but the key may be weak. For
 * the signer, whose drafts hold keys that were judged when their requests came in. */
MUST_USE enum err public_key_read(struct span spki, struct public_key *ret_key, struct fault *f);

/* An EVP_PKEY of a key that public_key_parse() accepted. */
MUST_USE enum err public_key_evp(const struct public_key *key, EVP_PKEY **ret_key, struct fault *f);

/* The signatureAlgorithm that a key signs with, as DER AlgorithmIdentifier; static. Empty for KEY_NONE. */
struct span signature_algorithm(enum key_algorithm algorithm);
const EVP_MD *signature_digest(enum key_algorithm algorithm);

/* Verifies a PKCS#10 or certificate signature: `algorithm` DER must be what the key signs with, or the same with
 * another SHA-2 digest, else ERR_INPUT (CODE_MALFORMED_CSR). ERR_INPUT (CODE_PROOF_OF_POSSESSION) when it does not
 * verify. */
MUST_USE enum err public_key_verify(const struct public_key *key, struct span algorithm, struct span data,
                                    struct span signature, struct fault *f);

/* public_key_parse() and public_key_verify() of what the key itself has signed, at the price of one EVP_PKEY. */
struct signed_object;
MUST_USE enum err public_key_parse_proven(struct span spki, const struct signed_object *object,
                                          struct public_key *ret_key, struct fault *f);

/* Makes a key pair (used by the client for a node's keys and by the signer for a CA's). */
MUST_USE enum err key_generate(enum key_algorithm algorithm, EVP_PKEY **ret_key, struct fault *f);
/* Signs as signature_algorithm() says. */
MUST_USE enum err key_sign(EVP_PKEY *key, enum key_algorithm algorithm, struct span data, struct bytes *ret_signature,
                           struct fault *f);
MUST_USE enum err key_spki(EVP_PKEY *key, struct bytes *ret_spki, struct fault *f);

#endif
