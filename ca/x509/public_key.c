#include "ca/x509/public_key.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <sodium.h>
#include <string.h>

#include "ca/x509/der.h"
#include "ca/x509/rsa.h"

AUTO_POINTER(BIGNUM, BN_free)
AUTO_POINTER(EVP_MD_CTX, EVP_MD_CTX_free)
AUTO_POINTER(EVP_PKEY_CTX, EVP_PKEY_CTX_free)
AUTO_POINTER(OSSL_PARAM, OSSL_PARAM_free)
AUTO_POINTER(OSSL_PARAM_BLD, OSSL_PARAM_BLD_free)
AUTO_POINTER(X509_ALGOR, X509_ALGOR_free)

/* ---- the algorithms ---- */

enum signature_scheme { ECDSA_SHA256, ECDSA_SHA384, ECDSA_SHA512, RSA_SHA256, RSA_SHA384, RSA_SHA512 };

/* AlgorithmIdentifiers: RFC 5758 §3.2 (no parameters) and RFC 4055 §5 (NULL). */
#define OID_ECDSA_SHA2(last)                                                                                           \
    {                                                                                                                  \
        0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, last                                         \
    }
#define OID_RSA_SHA2(last)                                                                                             \
    {                                                                                                                  \
        0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, last, 0x05, 0x00                       \
    }

static const struct {
    bool rsa;
    const EVP_MD *(*digest)(void);
    size_t der_size;
    uint8_t der[15];
} schemes[] = {
    [ECDSA_SHA256] = {false, EVP_sha256, 12, OID_ECDSA_SHA2(2)},
    [ECDSA_SHA384] = {false, EVP_sha384, 12, OID_ECDSA_SHA2(3)},
    [ECDSA_SHA512] = {false, EVP_sha512, 12, OID_ECDSA_SHA2(4)},
    [RSA_SHA256] = {true, EVP_sha256, 15, OID_RSA_SHA2(11)},
    [RSA_SHA384] = {true, EVP_sha384, 15, OID_RSA_SHA2(12)},
    [RSA_SHA512] = {true, EVP_sha512, 15, OID_RSA_SHA2(13)},
};

static const struct {
    const char *name;
    int rsa_bits;  /* of the modulus; 0: not RSA */
    int curve_nid; /* 0: not an elliptic curve */
    const char *curve;
    size_t coordinate_size;       /* of a point, in bytes */
    enum signature_scheme scheme; /* what such a key signs with */
} algorithms[KEY_ALGORITHM_COUNT] = {
    [KEY_ECDSA_P256] = {"ecdsa-p256", 0, NID_X9_62_prime256v1, SN_X9_62_prime256v1, 32, ECDSA_SHA256},
    [KEY_ECDSA_P384] = {"ecdsa-p384", 0, NID_secp384r1, SN_secp384r1, 48, ECDSA_SHA384},
    [KEY_RSA_2048] = {"rsa-2048", 2048, 0, NULL, 0, RSA_SHA256},
    [KEY_RSA_3072] = {"rsa-3072", 3072, 0, NULL, 0, RSA_SHA256},
    [KEY_RSA_4096] = {"rsa-4096", 4096, 0, NULL, 0, RSA_SHA256},
};

const char *key_algorithm_name(enum key_algorithm algorithm)
{
    return algorithm == KEY_NONE ? "none" : algorithms[algorithm].name;
}

enum key_algorithm key_algorithm_by_name(const char *name)
{
    for (enum key_algorithm i = KEY_NONE + 1; i < KEY_ALGORITHM_COUNT; i++)
        if (strcmp(algorithms[i].name, name) == 0)
            return i;
    return KEY_NONE;
}

bool key_algorithm_is_rsa(enum key_algorithm algorithm)
{
    return algorithms[algorithm].rsa_bits != 0;
}

/* One of rsa_bits and curve_nid is 0. */
static enum key_algorithm algorithm_find(int rsa_bits, int curve_nid)
{
    for (enum key_algorithm i = KEY_NONE + 1; i < KEY_ALGORITHM_COUNT; i++)
        if (algorithms[i].rsa_bits == rsa_bits && algorithms[i].curve_nid == curve_nid)
            return i;
    return KEY_NONE;
}

struct span signature_algorithm(enum key_algorithm algorithm)
{
    if (algorithm == KEY_NONE)
        return span(NULL, 0);
    enum signature_scheme scheme = algorithms[algorithm].scheme;
    return span(schemes[scheme].der, schemes[scheme].der_size);
}

const EVP_MD *signature_digest(enum key_algorithm algorithm)
{
    return algorithm == KEY_NONE ? NULL : schemes[algorithms[algorithm].scheme].digest();
}

/* ---- SubjectPublicKeyInfo ---- */

typedef struct {
    X509_ALGOR *algorithm;
    ASN1_OCTET_STRING *key; /* raw: see DER_RAW_BITS */
} SPKI;

ASN1_SEQUENCE(SPKI) = {
    ASN1_SIMPLE(SPKI, algorithm, X509_ALGOR),
    DER_RAW_BITS(SPKI, key),
} DER_SEQUENCE_END(SPKI);

typedef struct {
    BIGNUM *n, *e;
} RSA_NUMBERS;

ASN1_SEQUENCE(RSA_NUMBERS) = {
    ASN1_SIMPLE(RSA_NUMBERS, n, BIGNUM),
    ASN1_SIMPLE(RSA_NUMBERS, e, BIGNUM),
} DER_SEQUENCE_END(RSA_NUMBERS);

/* The bits of a SubjectPublicKeyInfo and its algorithm. */
static enum err spki_decode(struct span der, SPKI **ret_spki, struct span *ret_bits, struct fault *f)
{
    CLEANUP(SPKI_auto) SPKI *spki = der_decode(der, ASN1_ITEM_rptr(SPKI));
    if (!spki || !der_raw_bits(der_locate(der, spki->key), ret_bits))
        return fault_set(f, CODE_MALFORMED_CSR, "SubjectPublicKeyInfo is not DER (RFC 5280 §4.1.2.7)");
    *ret_spki = TAKE(spki);
    return OK;
}

static enum err evp_make(const char *type, OSSL_PARAM_BLD *numbers, EVP_PKEY **ret_key, struct fault *f)
{
    CLEANUP(OSSL_PARAM_auto) OSSL_PARAM *parameters = OSSL_PARAM_BLD_to_param(numbers);
    CLEANUP(EVP_PKEY_CTX_auto) EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    EVP_PKEY *key = NULL;
    if (!parameters || !context || EVP_PKEY_fromdata_init(context) != 1 ||
        EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, parameters) != 1)
        return fault_openssl(f, "cannot make a public key");
    *ret_key = key;
    return OK;
}

/* What all keys on a curve have in common. Making the curve costs more than the point, so each is made once. */
static EVP_PKEY *curve_keys[KEY_ALGORITHM_COUNT];
static pthread_once_t curve_keys_made = PTHREAD_ONCE_INIT;

static void curve_keys_make(void)
{
    for (enum key_algorithm i = KEY_NONE + 1; i < KEY_ALGORITHM_COUNT; i++) {
        OSSL_PARAM group[] = {
            OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, (char *)(uintptr_t)algorithms[i].curve, 0),
            OSSL_PARAM_construct_end()};
        CLEANUP(EVP_PKEY_CTX_auto) EVP_PKEY_CTX *context = NULL;
        if (algorithms[i].curve && (context = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL)) &&
            EVP_PKEY_fromdata_init(context) == 1)
            EVP_PKEY_fromdata(context, &curve_keys[i], EVP_PKEY_KEY_PARAMETERS, group);
    }
}

static enum err ec_evp(enum key_algorithm algorithm, struct span point, EVP_PKEY **ret_key, struct fault *f)
{
    pthread_once(&curve_keys_made, curve_keys_make);
    CLEANUP(EVP_PKEY_auto) EVP_PKEY *key = curve_keys[algorithm] ? EVP_PKEY_dup(curve_keys[algorithm]) : NULL;
    if (!key || EVP_PKEY_set1_encoded_public_key(key, point.data, point.size) != 1)
        return fault_openssl(f, "cannot make a public key");
    *ret_key = TAKE(key);
    return OK;
}

static enum err rsa_evp(const RSA_NUMBERS *rsa, EVP_PKEY **ret_key, struct fault *f)
{
    CLEANUP(OSSL_PARAM_BLD_auto) OSSL_PARAM_BLD *numbers = OSSL_PARAM_BLD_new();
    if (!numbers || !OSSL_PARAM_BLD_push_BN(numbers, OSSL_PKEY_PARAM_RSA_N, rsa->n) ||
        !OSSL_PARAM_BLD_push_BN(numbers, OSSL_PKEY_PARAM_RSA_E, rsa->e))
        return fault_openssl(f, "cannot make a public key");
    return evp_make("RSA", numbers, ret_key, f);
}

/* ---- judging ----
 *
 * Without a ret_evp only the form is looked at: a point may be off its curve, an RSA key of a good size weak. */

/* The form of an elliptic curve point (SEC 1 §2.3.3); whether it is on the curve shows when OpenSSL makes the key. */
static enum err point_judge(enum key_algorithm algorithm, struct span point, EVP_PKEY **ret_evp, struct fault *f)
{
    size_t coordinate = algorithms[algorithm].coordinate_size;
    if (point.size == 1 && point.data[0] == 0)
        return fault_set(f, CODE_WEAK_KEY, "the public key is the point at infinity (SEC 1 §2.3.4)");
    if (point.size == 1 + coordinate && (point.data[0] | 1) == 3)
        return fault_set(f, CODE_WEAK_KEY, "a compressed point: send it uncompressed (RFC 5480 §2.2)");
    if (point.size != 1 + 2 * coordinate || point.data[0] != 4)
        return fault_set(f, CODE_MALFORMED_CSR, "not an uncompressed point of the curve %s (RFC 5480 §2.2)",
                         algorithms[algorithm].curve);
    struct fault first = {0};
    if (!ret_evp || ec_evp(algorithm, point, ret_evp, &first) == OK)
        return OK;
    enum err err = ec_evp(algorithm, point, ret_evp, f); /* twice: see evp_verify() */
    if (err == OK || err == ERR_NOMEM)
        return err;
    return fault_set(f, CODE_WEAK_KEY, "the public key is not a point on the curve %s", algorithms[algorithm].curve);
}

static enum err ec_judge(int parameter_type, const void *parameter, struct span point,
                         enum key_algorithm *ret_algorithm, EVP_PKEY **ret_evp, struct fault *f)
{
    if (parameter_type == V_ASN1_SEQUENCE)
        return fault_set(f, CODE_WEAK_KEY, "explicit elliptic curve parameters: name the curve (RFC 5480 §2.1.1)");
    if (parameter_type != V_ASN1_OBJECT)
        return fault_set(f, CODE_MALFORMED_CSR, "an elliptic curve key without a named curve (RFC 5480 §2.1.1)");
    enum key_algorithm algorithm = algorithm_find(0, OBJ_obj2nid(parameter));
    if (algorithm == KEY_NONE) {
        char curve[64];
        OBJ_obj2txt(curve, sizeof curve, parameter, 0);
        return fault_set(f, CODE_WEAK_KEY, "the elliptic curve %s: prime256v1 and secp384r1 are accepted", curve);
    }
    TRY(point_judge(algorithm, point, ret_evp, f));
    *ret_algorithm = algorithm;
    return OK;
}

static enum err rsa_key_judge(int parameter_type, struct span bits, enum key_algorithm *ret_algorithm,
                              EVP_PKEY **ret_evp, struct fault *f)
{
    CLEANUP(RSA_NUMBERS_auto) RSA_NUMBERS *rsa = der_decode(bits, ASN1_ITEM_rptr(RSA_NUMBERS));
    if (parameter_type != V_ASN1_NULL || !rsa)
        return fault_set(f, CODE_MALFORMED_CSR, "not an RSA public key in DER (RFC 8017 §A.1.1, RFC 3279 §2.3.1)");
    if (ret_evp)
        TRY(rsa_judge(rsa->n, rsa->e, f));
    TRY(fault_if_reasons(f, CODE_WEAK_KEY, "the RSA key is weak: make a new one"));
    enum key_algorithm algorithm = algorithm_find(BN_num_bits(rsa->n), 0);
    if (algorithm == KEY_NONE)
        return fault_set(f, CODE_WEAK_KEY, "an RSA key of %d bits", BN_num_bits(rsa->n));
    if (ret_evp)
        TRY(rsa_evp(rsa, ret_evp, f));
    *ret_algorithm = algorithm;
    return OK;
}

static enum err spki_judge(const SPKI *spki, struct span bits, enum key_algorithm *ret_algorithm, EVP_PKEY **ret_evp,
                           struct fault *f)
{
    const ASN1_OBJECT *type = NULL;
    const void *parameter = NULL;
    int parameter_type = V_ASN1_UNDEF;
    X509_ALGOR_get0(&type, &parameter_type, &parameter, spki->algorithm);
    switch (OBJ_obj2nid(type)) {
    case NID_X9_62_id_ecPublicKey:
        return ec_judge(parameter_type, parameter, bits, ret_algorithm, ret_evp, f);
    case NID_rsaEncryption:
        return rsa_key_judge(parameter_type, bits, ret_algorithm, ret_evp, f);
    default: {
        char name[64];
        OBJ_obj2txt(name, sizeof name, type, 0);
        return fault_set(f, CODE_UNSUPPORTED, "a public key of the type %s: ECDSA and RSA keys are accepted", name);
    }
    }
}

/* The key, and the EVP_PKEY that judging it made anyway. */
static enum err key_parse(struct span der, struct public_key *ret_key, EVP_PKEY **ret_evp, struct fault *f)
{
    CLEANUP(SPKI_auto) SPKI *spki = NULL;
    struct span bits;
    TRY(spki_decode(der, &spki, &bits, f));
    struct public_key key = {.spki = der};
    TRY(spki_judge(spki, bits, &key.algorithm, ret_evp, f));
    uint8_t hash[SHA256_SIZE];
    crypto_hash_sha256(hash, bits.data, bits.size);
    memcpy(key.key_identifier, hash, KEY_IDENTIFIER_SIZE);
    crypto_hash_sha256(key.spki_sha256, der.data, der.size);
    *ret_key = key;
    return OK;
}

enum err public_key_parse(struct span spki, struct public_key *ret_key, struct fault *f)
{
    CLEANUP(EVP_PKEY_auto) EVP_PKEY *evp = NULL;
    return key_parse(spki, ret_key, &evp, f);
}

enum err public_key_read(struct span spki, struct public_key *ret_key, struct fault *f)
{
    return key_parse(spki, ret_key, NULL, f);
}

enum err public_key_evp(const struct public_key *key, EVP_PKEY **ret_key, struct fault *f)
{
    CLEANUP(SPKI_auto) SPKI *spki = NULL;
    struct span bits;
    TRY(spki_decode(key->spki, &spki, &bits, f));
    if (!key_algorithm_is_rsa(key->algorithm))
        return ec_evp(key->algorithm, bits, ret_key, f);
    CLEANUP(RSA_NUMBERS_auto) RSA_NUMBERS *rsa = der_decode(bits, ASN1_ITEM_rptr(RSA_NUMBERS));
    if (!rsa)
        return fault_set(f, CODE_INTERNAL, "an RSA key that was accepted does not parse");
    return rsa_evp(rsa, ret_key, f);
}

/* ---- signatures ---- */

static enum err scheme_refuse(struct span algorithm, struct fault *f)
{
    const unsigned char *at = algorithm.data;
    CLEANUP(X509_ALGOR_auto) X509_ALGOR *value = d2i_X509_ALGOR(NULL, &at, (long)algorithm.size);
    const ASN1_OBJECT *type = NULL;
    if (value)
        X509_ALGOR_get0(&type, NULL, NULL, value);
    char name[64] = "unknown";
    if (type)
        OBJ_obj2txt(name, sizeof name, type, 0);
    return fault_set(f, CODE_MALFORMED_CSR,
                     "the signature algorithm %s is not accepted for this key: sign with SHA-256, SHA-384 or SHA-512, "
                     "by ECDSA (RFC 5758 §3.2) or RSA PKCS#1 v1.5 (RFC 4055 §5)",
                     name);
}

static enum err scheme_find(enum key_algorithm key, struct span algorithm, const EVP_MD **ret_digest, struct fault *f)
{
    for (size_t i = 0; i < ARRAY_SIZE(schemes); i++)
        if (schemes[i].rsa == key_algorithm_is_rsa(key) &&
            span_equal(algorithm, span(schemes[i].der, schemes[i].der_size))) {
            *ret_digest = schemes[i].digest();
            return OK;
        }
    return scheme_refuse(algorithm, f);
}

static enum err verify_once(EVP_PKEY *evp, const EVP_MD *digest, const struct signed_object *object, bool *ret_verified,
                            struct fault *f)
{
    CLEANUP(EVP_MD_CTX_auto) EVP_MD_CTX *context = EVP_MD_CTX_new();
    if (!context || EVP_DigestVerifyInit(context, NULL, digest, NULL, evp) != 1)
        return fault_openssl(f, "cannot verify a signature");
    *ret_verified = EVP_DigestVerify(context, object->signature.data, object->signature.size, object->body.data,
                                     object->body.size) == 1;
    return OK;
}

/* Twice before the answer is no: in some places OpenSSL takes an allocation that fails for a signature that does not
 * verify, and leaves no word of it. */
static enum err evp_verify(EVP_PKEY *evp, enum key_algorithm key, const struct signed_object *object, struct fault *f)
{
    const EVP_MD *digest = NULL;
    bool verified = false;
    TRY(scheme_find(key, object->algorithm, &digest, f));
    for (int i = 0; i < 2 && !verified; i++)
        TRY(verify_once(evp, digest, object, &verified, f));
    return verified ? OK : fault_set(f, CODE_PROOF_OF_POSSESSION, "the signature does not verify under the public key");
}

enum err public_key_verify(const struct public_key *key, struct span algorithm, struct span data, struct span signature,
                           struct fault *f)
{
    CLEANUP(EVP_PKEY_auto) EVP_PKEY *evp = NULL;
    TRY(public_key_evp(key, &evp, f));
    struct signed_object object = {.body = data, .algorithm = algorithm, .signature = signature};
    return evp_verify(evp, key->algorithm, &object, f);
}

enum err public_key_parse_proven(struct span spki, const struct signed_object *object, struct public_key *ret_key,
                                 struct fault *f)
{
    CLEANUP(EVP_PKEY_auto) EVP_PKEY *evp = NULL;
    struct public_key key;
    TRY(key_parse(spki, &key, &evp, f));
    TRY(evp_verify(evp, key.algorithm, object, f));
    *ret_key = key;
    return OK;
}

enum err key_sign(EVP_PKEY *key, enum key_algorithm algorithm, struct span data, struct bytes *ret_signature,
                  struct fault *f)
{
    uint8_t signature[4096 / 8];
    size_t size = sizeof signature;
    CLEANUP(EVP_MD_CTX_auto) EVP_MD_CTX *context = EVP_MD_CTX_new();
    if (!context || EVP_DigestSignInit(context, NULL, signature_digest(algorithm), NULL, key) != 1 ||
        EVP_DigestSign(context, signature, &size, data.data, data.size) != 1 || size > sizeof signature)
        return fault_openssl(f, "cannot sign"); /* OpenSSL 3.0 calls ECDSA without memory a success, of 4 GiB */
    return bytes_copy(span(signature, size), ret_signature, f);
}

enum err key_generate(enum key_algorithm algorithm, EVP_PKEY **ret_key, struct fault *f)
{
    if (algorithm == KEY_NONE)
        return fault_set(f, CODE_INTERNAL, "a key of no algorithm");
    EVP_PKEY *key = key_algorithm_is_rsa(algorithm)
                        ? EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)algorithms[algorithm].rsa_bits)
                        : EVP_PKEY_Q_keygen(NULL, NULL, "EC", algorithms[algorithm].curve);
    if (!key)
        return fault_openssl(f, "cannot make a key pair");
    *ret_key = key;
    return OK;
}

enum err key_spki(EVP_PKEY *key, struct bytes *ret_spki, struct fault *f)
{
    unsigned char *der = NULL;
    int size = i2d_PUBKEY(key, &der);
    if (size <= 0)
        return fault_openssl(f, "cannot encode a public key");
    enum err err = bytes_copy(span(der, (size_t)size), ret_spki, f);
    OPENSSL_free(der);
    return err;
}
