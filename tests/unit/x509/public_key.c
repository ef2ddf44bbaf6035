#include "ca/x509/public_key.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/x509.h>
#include <string.h>

#include "ca/base/encode.h"
#include "ca/x509/rsa.h"
#include "tests/unit/x509/fixture.h"

static void algorithms(void **state)
{
    (void)state;
    for (enum key_algorithm i = KEY_NONE + 1; i < KEY_ALGORITHM_COUNT; i++) {
        assert_int_equal(key_algorithm_by_name(key_algorithm_name(i)), i);
        assert_int_equal(key_algorithm_is_rsa(i), strncmp(key_algorithm_name(i), "rsa-", 4) == 0);
        assert_true(signature_algorithm(i).size > 0);
    }
    assert_int_equal(key_algorithm_by_name("ed25519"), KEY_NONE);
    assert_int_equal(key_algorithm_by_name("none"), KEY_NONE);
    assert_int_equal(signature_algorithm(KEY_NONE).size, 0);
    assert_null(signature_digest(KEY_NONE));
}

/* Every algorithm: parsed, hashed as OpenSSL does, signs, verifies, and does not verify anything else. */
static void good_keys(void **state)
{
    (void)state;
    for (enum key_algorithm i = KEY_NONE + 1; i < KEY_ALGORITHM_COUNT; i++) {
        AUTO(bytes) spki = {0}, signature = {0};
        CLEANUP(EVP_PKEY_auto) EVP_PKEY *evp = NULL;
        struct public_key key;
        uint8_t hash[SHA256_SIZE];
        expect(key_spki(test_key(i), &spki, &fault), OK);
        expect(public_key_parse(bytes_span(&spki), &key, &fault), OK);
        assert_int_equal(key.algorithm, i);
        EVP_Digest(spki.data, spki.size, hash, NULL, EVP_sha256(), NULL);
        assert_memory_equal(hash, key.spki_sha256, sizeof hash);
        expect(public_key_evp(&key, &evp, &fault), OK);
        assert_int_equal(EVP_PKEY_eq(evp, test_key(i)), 1);

        expect(key_sign(test_key(i), i, RAW("data"), &signature, &fault), OK);
        struct span algorithm = signature_algorithm(i);
        expect(public_key_verify(&key, algorithm, RAW("data"), bytes_span(&signature), &fault), OK);
        expect_code(public_key_verify(&key, algorithm, RAW("date"), bytes_span(&signature), &fault),
                    CODE_PROOF_OF_POSSESSION);
        expect_code(public_key_verify(&key, algorithm, RAW("data"), RAW("x"), &fault), CODE_PROOF_OF_POSSESSION);
        expect_code(public_key_verify(&key, RAW("\x30\x00"), RAW("data"), bytes_span(&signature), &fault),
                    CODE_MALFORMED_CSR);
        signature.data[signature.size - 1] ^= 1;
        expect_code(public_key_verify(&key, algorithm, RAW("data"), bytes_span(&signature), &fault),
                    CODE_PROOF_OF_POSSESSION);
    }
}

/* RFC 7093 §2 (1) of the public key of RFC 6979 §A.2.5. */
static void key_identifier(void **state)
{
    (void)state;
    static const char hex[] = "3059301306072a8648ce3d020106082a8648ce3d03010703420004"
                              "60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6"
                              "7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299";
    uint8_t spki[91], hash[SHA256_SIZE];
    struct public_key key;
    expect(hex_decode(hex, spki, sizeof spki, &fault), OK);
    expect(public_key_parse(SPAN_OF(spki), &key, &fault), OK);
    EVP_Digest(spki + 26, 65, hash, NULL, EVP_sha256(), NULL);
    assert_memory_equal(key.key_identifier, hash, KEY_IDENTIFIER_SIZE);
    struct public_key again = {0};
    expect(public_key_read(SPAN_OF(spki), &again, &fault), OK);
    assert_memory_equal(&again, &key, sizeof key);
}

/* ---- elliptic curves ---- */

#define EC_OID "\x06\x07\x2a\x86\x48\xce\x3d\x02\x01"
#define P256_OID "\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07"

static void spki_make(struct span algorithm, struct span bits, struct bytes *out)
{
    AUTO(bytes) content = {0};
    tlv(&content, 0x30, algorithm);
    tlv(&content, 0x03, bits);
    tlv(out, 0x30, bytes_span(&content));
}

static void ec_expect(struct span algorithm, struct span bits, enum code code)
{
    AUTO(bytes) spki = {0};
    struct public_key key;
    spki_make(algorithm, bits, &spki);
    expect_code(public_key_parse(bytes_span(&spki), &key, &fault), code);
}

static void bad_points(void **state)
{
    (void)state;
    AUTO(bytes) good = {0};
    expect(key_spki(test_key(KEY_ECDSA_P256), &good, &fault), OK);
    struct span named = RAW(EC_OID P256_OID), infinity = RAW("\0\0");
    uint8_t bits[66], other[66], compressed[34];
    memcpy(bits, good.data + 25, sizeof bits); /* the count of unused bits, 04, X, Y */

    AUTO(bytes) again = {0};
    struct public_key key;
    spki_make(named, SPAN_OF(bits), &again); /* control: the pieces make a good key */
    expect(public_key_parse(bytes_span(&again), &key, &fault), OK);

    ec_expect(named, infinity, CODE_WEAK_KEY);
    memcpy(compressed, bits, sizeof compressed);
    compressed[1] = bits[65] & 1 ? 3 : 2;
    ec_expect(named, SPAN_OF(compressed), CODE_WEAK_KEY);
    memcpy(other, bits, sizeof other);
    other[65] ^= 1; /* off the curve */
    ec_expect(named, SPAN_OF(other), CODE_WEAK_KEY);
    memset(other + 2, 0xff, 64); /* coordinates beyond the prime */
    ec_expect(named, SPAN_OF(other), CODE_WEAK_KEY);
    memset(other + 2, 0, 64);
    ec_expect(named, SPAN_OF(other), CODE_WEAK_KEY);
    memcpy(other, bits, sizeof other);
    other[1] = bits[65] & 1 ? 7 : 6; /* the hybrid form of X9.62 */
    ec_expect(named, SPAN_OF(other), CODE_MALFORMED_CSR);
    ec_expect(named, span(bits, 65), CODE_MALFORMED_CSR);
    ec_expect(named, span(bits, 1), CODE_MALFORMED_CSR);
    memcpy(other, bits, sizeof other);
    other[0] = 1, other[65] &= 0xfe; /* one unused bit */
    ec_expect(named, SPAN_OF(other), CODE_MALFORMED_CSR);
    ec_expect(RAW(EC_OID), SPAN_OF(bits), CODE_MALFORMED_CSR);
    ec_expect(RAW(EC_OID "\x05\x00"), SPAN_OF(bits), CODE_MALFORMED_CSR);
    ec_expect(RAW(EC_OID P256_OID "\x05\x00"), SPAN_OF(bits), CODE_MALFORMED_CSR);
    ec_expect(RAW(EC_OID "\x06\x05\x2b\x81\x04\x00\x22"), SPAN_OF(bits), CODE_MALFORMED_CSR); /* named P-384 */
}

static void bad_curves(void **state)
{
    (void)state;
    static const char *const curves[] = {"secp256k1", "P-224", "P-521", "brainpoolP256r1"};
    struct public_key key;
    for (size_t i = 0; i < ARRAY_SIZE(curves); i++) {
        CLEANUP(EVP_PKEY_auto) EVP_PKEY *evp = EVP_PKEY_Q_keygen(NULL, NULL, "EC", curves[i]);
        AUTO(bytes) spki = {0};
        expect(key_spki(evp, &spki, &fault), OK);
        expect_code(public_key_parse(bytes_span(&spki), &key, &fault), CODE_WEAK_KEY);
    }
    CLEANUP(EVP_PKEY_auto) EVP_PKEY *evp = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    assert_int_equal(EVP_PKEY_set_utf8_string_param(evp, OSSL_PKEY_PARAM_EC_ENCODING, "explicit"), 1);
    AUTO(bytes) explicit = {0};
    expect(key_spki(evp, &explicit, &fault), OK);
    assert_true(explicit.size > 200);
    expect_code(public_key_parse(bytes_span(&explicit), &key, &fault), CODE_WEAK_KEY);

    CLEANUP(EVP_PKEY_auto) EVP_PKEY *edwards = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    AUTO(bytes) spki = {0};
    expect(key_spki(edwards, &spki, &fault), OK);
    expect_code(public_key_parse(bytes_span(&spki), &key, &fault), CODE_UNSUPPORTED);
}

static void not_der(void **state)
{
    (void)state;
    AUTO(bytes) good = {0}, bad = {0};
    struct public_key key;
    expect(key_spki(test_key(KEY_ECDSA_P256), &good, &fault), OK);
    for (size_t size = 0; size < good.size; size++)
        expect_code(public_key_parse(span(good.data, size), &key, &fault), CODE_MALFORMED_CSR);
    bytes_append_span(&bad, bytes_span(&good));
    bytes_append(&bad, "", 1);
    expect_code(public_key_parse(bytes_span(&bad), &key, &fault), CODE_MALFORMED_CSR);
    bytes_clear(&bad);
    bytes_append_span(&bad, RAW("\x30\x81\x59")); /* a length in more bytes than needed */
    bytes_append(&bad, good.data + 2, good.size - 2);
    expect_code(public_key_parse(bytes_span(&bad), &key, &fault), CODE_MALFORMED_CSR);
    bytes_clear(&bad);
    bytes_append_span(&bad, RAW("\x30\x80"));
    bytes_append(&bad, good.data + 2, good.size - 2);
    bytes_append_span(&bad, RAW("\0\0"));
    expect_code(public_key_parse(bytes_span(&bad), &key, &fault), CODE_MALFORMED_CSR);
}

/* ---- RSA ---- */

AUTO_POINTER(BIGNUM, BN_free)
AUTO_POINTER(BN_CTX, BN_CTX_free)

static BIGNUM *good_modulus(void)
{
    BIGNUM *n = NULL;
    assert_int_equal(EVP_PKEY_get_bn_param(test_key(KEY_RSA_2048), OSSL_PKEY_PARAM_RSA_N, &n), 1);
    return n;
}

/* Judged, with exactly one reason, which holds this text; no reason when it is NULL. */
static void rsa_expect(const BIGNUM *n, BN_ULONG exponent, const char *reason)
{
    CLEANUP(BIGNUM_auto) BIGNUM *e = BN_new();
    BN_set_word(e, exponent);
    fault_clear(&fault);
    assert_int_equal(rsa_judge(n, e, &fault), OK);
    if (!reason) {
        assert_int_equal(fault.reasons_count, 0);
        return;
    }
    assert_int_equal(fault.reasons_count, 1);
    if (!strstr(fault.reasons[0].text, reason))
        fail_msg("\"%s\" does not say \"%s\"", fault.reasons[0].text, reason);
    fault_clear(&fault);
}

static void rsa_control(void **state)
{
    (void)state;
    CLEANUP(BIGNUM_auto) BIGNUM *n = good_modulus();
    rsa_expect(n, 65537, NULL);
    rsa_expect(n, 0xffffffffffffffffU, NULL);
    rsa_expect(n, 65539, NULL);
}

static void rsa_exponents(void **state)
{
    (void)state;
    CLEANUP(BIGNUM_auto) BIGNUM *n = good_modulus(), *e = BN_new();
    rsa_expect(n, 3, "smaller than 65537");
    rsa_expect(n, 1, "smaller than 65537");
    rsa_expect(n, 65535, "smaller than 65537");
    rsa_expect(n, 65538, "even");
    BN_set_bit(e, 64);
    BN_add_word(e, 1);
    assert_int_equal(rsa_judge(n, e, &fault), OK);
    assert_int_equal(fault.reasons_count, 1);
    fault_clear(&fault);
    BN_zero(e); /* too small and even: both are said */
    assert_int_equal(rsa_judge(n, e, &fault), OK);
    assert_int_equal(fault.reasons_count, 2);
    fault_clear(&fault);
}

static void rsa_sizes(void **state)
{
    (void)state;
    static const struct {
        int bits;
        bool accepted;
    } table[] = {{512, false},  {1024, false}, {2047, false}, {2049, false}, {2048, true},  {3072, true},
                 {3071, false}, {4096, true},  {4097, false}, {8192, false}, {16384, false}};
    CLEANUP(BN_CTX_auto) BN_CTX *context = BN_CTX_new();
    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        /* 2^(bits-1) + a bit in the middle + x, for an x that makes no other weakness */
        CLEANUP(BIGNUM_auto) BIGNUM *n = BN_new(), *gcd = BN_new(), *small = BN_new();
        BN_one(small);
        for (BN_ULONG prime = 3; prime < 4096; prime += 2)
            BN_mul_word(small, prime);
        BN_set_bit(n, table[i].bits - 1);
        BN_set_bit(n, table[i].bits * 2 / 3);
        BN_set_bit(n, table[i].bits / 3 + 1);
        BN_add_word(n, 1);
        do {
            BN_add_word(n, 2);
            BN_gcd(gcd, n, small, context);
        } while (!BN_is_one(gcd));
        rsa_expect(n, 65537, table[i].accepted ? NULL : "2048, 3072 and 4096 are accepted");
    }
    CLEANUP(BIGNUM_auto) BIGNUM *zero = BN_new(), *e = BN_new();
    BN_set_word(e, 65537);
    assert_int_equal(rsa_judge(zero, e, &fault), OK);
    assert_true(fault.reasons_count > 0);
    fault_clear(&fault);
}

static bool has_factor_below(const BIGNUM *n, BN_ULONG limit)
{
    for (BN_ULONG factor = 2; factor < limit; factor++)
        if (BN_mod_word(n, factor) == 0)
            return true;
    return false;
}

/* The good modulus, moved to a number below it whose smallest factor is the divisor. */
static void rsa_small_factors(void **state)
{
    (void)state;
    static const BN_ULONG divisors[] = {2, 3, 5, 7, 257, 997, 4093};
    for (size_t i = 0; i < ARRAY_SIZE(divisors); i++) {
        CLEANUP(BIGNUM_auto) BIGNUM *n = good_modulus();
        char reason[64];
        BN_sub_word(n, BN_mod_word(n, divisors[i]));
        while (has_factor_below(n, divisors[i]))
            BN_sub_word(n, divisors[i]);
        snprintf(reason, sizeof reason, "can be divided by %lu", (unsigned long)divisors[i]);
        rsa_expect(n, 65537, reason);
    }
}

/* Primes of the form k*M + (65537^a mod M), with M the product of the first 126 primes, as the paper gives it. */
static BIGNUM *roca_prime(unsigned long start, BN_ULONG a, BN_CTX *context)
{
    CLEANUP(BIGNUM_auto) BIGNUM *m = BN_new(), *power = BN_new(), *base = BN_new(), *exponent = BN_new();
    BIGNUM *prime = BN_new();
    unsigned found = 0;
    BN_one(m);
    for (BN_ULONG candidate = 2; found < 126; candidate++) {
        bool composite = false;
        for (BN_ULONG divisor = 2; divisor * divisor <= candidate; divisor++)
            composite |= candidate % divisor == 0;
        if (!composite) {
            BN_mul_word(m, candidate);
            found++;
        }
    }
    BN_set_word(base, 65537);
    BN_set_word(exponent, a);
    assert_int_equal(BN_mod_exp(power, base, exponent, m, context), 1);
    BN_copy(prime, m);
    BN_mul_word(prime, start);
    BN_add(prime, prime, power);
    while (BN_check_prime(prime, context, NULL) != 1)
        BN_add(prime, prime, m);
    return prime;
}

static void rsa_roca(void **state)
{
    (void)state;
    CLEANUP(BN_CTX_auto) BN_CTX *context = BN_CTX_new();
    CLEANUP(BIGNUM_auto) BIGNUM *p = roca_prime(0x1f000000000000, 123456789, context);
    CLEANUP(BIGNUM_auto) BIGNUM *q = roca_prime(0x1c123456789abc, 987654321, context);
    CLEANUP(BIGNUM_auto) BIGNUM *n = BN_new();
    BN_mul(n, p, q, context);
    rsa_expect(n, 65537, "ROCA");
}

static void rsa_close_primes(void **state)
{
    (void)state;
    CLEANUP(BN_CTX_auto) BN_CTX *context = BN_CTX_new();
    CLEANUP(BIGNUM_auto) BIGNUM *p = BN_new(), *q = BN_new(), *n = BN_new();
    assert_int_equal(BN_generate_prime_ex2(p, 1024, 0, NULL, NULL, NULL, context), 1);
    BN_sqr(n, p, context);
    rsa_expect(n, 65537, "Fermat"); /* one prime, twice */
    BN_copy(q, p);
    do
        BN_add_word(q, 2);
    while (BN_check_prime(q, context, NULL) != 1);
    BN_mul(n, p, q, context);
    rsa_expect(n, 65537, "Fermat");
    /* Far enough apart for 100 rounds not to find them: 2^600. */
    CLEANUP(BIGNUM_auto) BIGNUM *distance = BN_new();
    BN_set_bit(distance, 600);
    BN_sub(q, p, distance);
    while (BN_check_prime(q, context, NULL) != 1)
        BN_sub_word(q, 2);
    BN_mul(n, p, q, context);
    rsa_expect(n, 65537, NULL);
}

#define RSA_OID "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01"

static void rsa_encodings(void **state)
{
    (void)state;
    AUTO(bytes) good = {0};
    struct public_key key;
    expect(key_spki(test_key(KEY_RSA_2048), &good, &fault), OK);
    struct span bits = span(good.data + good.size - 271, 271); /* unused bits, SEQUENCE of n and e */
    static const struct {
        struct span algorithm;
        enum code code;
    } table[] = {{RAW(RSA_OID "\x05\x00"), CODE_NONE},
                 {RAW(RSA_OID), CODE_MALFORMED_CSR},
                 {RAW(RSA_OID "\x30\x00"), CODE_MALFORMED_CSR},
                 {RAW("\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a"), CODE_UNSUPPORTED}}; /* an RSA-PSS key */
    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        AUTO(bytes) spki = {0};
        spki_make(table[i].algorithm, bits, &spki);
        enum err err = public_key_parse(bytes_span(&spki), &key, &fault);
        if (table[i].code == CODE_NONE)
            expect(err, OK);
        else
            expect_code(err, table[i].code);
    }
    struct span numbers[] = {RAW("\0\x30\x06\x02\x01\xff\x02\x01\x03"),   /* a negative modulus */
                             RAW("\0\x30\x07\x02\x02\0\x7f\x02\x01\x03"), /* a leading zero */
                             RAW("\0\x30\x03\x02\x01\x7f"), RAW("\0\x04\x01\x7f"),
                             RAW("\0\x30\x09\x02\x01\x7f\x02\x01\x03\x02\x01\x03")};
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
        ec_expect(RAW(RSA_OID "\x05\x00"), numbers[i], CODE_MALFORMED_CSR);
    ec_expect(RAW(RSA_OID "\x05\x00"), RAW("\0\x30\x06\x02\x01\x7f\x02\x01\x03"), CODE_WEAK_KEY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(algorithms),        cmocka_unit_test(good_keys),     cmocka_unit_test(key_identifier),
        cmocka_unit_test(bad_points),        cmocka_unit_test(bad_curves),    cmocka_unit_test(not_der),
        cmocka_unit_test(rsa_control),       cmocka_unit_test(rsa_exponents), cmocka_unit_test(rsa_sizes),
        cmocka_unit_test(rsa_small_factors), cmocka_unit_test(rsa_roca),      cmocka_unit_test(rsa_close_primes),
        cmocka_unit_test(rsa_encodings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
