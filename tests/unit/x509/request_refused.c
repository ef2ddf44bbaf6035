#include "ca/x509/request.h"

#include <string.h>

#include "ca/base/encode.h"
#include "ca/x509/der.h"
#include "tests/unit/x509/fixture.h"

static void extensions_that_are_malformed(void **state)
{
    (void)state;
    static const struct {
        const char *label;
        struct span oid, value;
    } table[] = {
        {"SAN: nothing", RAW(SAN_OID), RAW("")},
        {"SAN: left-over bytes", RAW(SAN_OID),
         RAW("\x30\x03\x82\x01"
             "a\0")},
        {"SAN: cut", RAW(SAN_OID), RAW("\x30\x03\x82\x01")},
        {"SAN: indefinite length", RAW(SAN_OID),
         RAW("\x30\x80\x82\x01"
             "a\0\0")},
        {"SAN: long length", RAW(SAN_OID),
         RAW("\x30\x81\x03\x82\x01"
             "a")},
        {"SAN: string in pieces", RAW(SAN_OID),
         RAW("\x30\x05\xa2\x03\x16\x01"
             "a")},
        {"SAN: unknown choice", RAW(SAN_OID),
         RAW("\x30\x03\x8f\x01"
             "a")},
        {"key usage: a SEQUENCE", RAW(KEY_USAGE_OID), RAW("\x30\0")},
        {"key usage: trailing zero bits", RAW(KEY_USAGE_OID), RAW("\x03\x02\0\x80")},
        {"key usage: a trailing zero byte", RAW(KEY_USAGE_OID), RAW("\x03\x03\x07\x80\0")},
        {"key usage: a tenth bit", RAW(KEY_USAGE_OID), RAW("\x03\x03\x06\x80\x40")},
        {"key usage: padding that is not zero", RAW(KEY_USAGE_OID), RAW("\x03\x02\x07\xff")},
        {"extended: an INTEGER", RAW(EXTENDED_OID), RAW("\x30\x03\x02\x01\x01")},
        {"extended: an OID with a padded arc", RAW(EXTENDED_OID), RAW("\x30\x05\x06\x03\x2a\x80\x01")},
        {"basic: explicit FALSE", RAW(BASIC_OID), RAW("\x30\x03\x01\x01\0")},
        {"basic: BOOLEAN of two bytes", RAW(BASIC_OID), RAW("\x30\x04\x01\x02\xff\xff")},
        {"basic: left-over bytes", RAW(BASIC_OID), RAW("\x30\0\0")},
    };
    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        AUTO(bytes) der = {0};
        AUTO(request) request = {0};
        extension_csr(table[i].oid, false, table[i].value, &der);
        if (request_parse(bytes_span(&der), &request, &fault) == OK)
            fail_msg("%s is accepted", table[i].label);
        assert_int_equal(fault.code, CODE_MALFORMED_CSR);
        fault_clear(&fault);
    }
}

/* ---- attributes ---- */

#define EXTENSION_REQUEST "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x09\x0e"
#define ONE_EXTENSION                                                                                                  \
    "\x30\x0e\x30\x0c\x06\x03\x55\x1d\x11\x04\x05\x30\x03\x82\x01"                                                     \
    "a"

static void attributes(void **state)
{
    (void)state;
    static const struct {
        const char *label;
        struct span attributes;
        const char *excess; /* NULL: malformed; "": fine */
    } table[] = {
        {"control", RAW("\x30\x1d" EXTENSION_REQUEST "\x31\x10" ONE_EXTENSION), ""},
        {"challengePassword",
         RAW("\x30\x14\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x09\x07\x31\x07\x0c\x05"
             "hush!"),
         "attribute challengePassword"},
        {"unknown", RAW("\x30\x09\x06\x02\x2a\x03\x31\x03\x0c\x01x"), "attribute 1.2.3"},
        {"no value", RAW("\x30\x0d" EXTENSION_REQUEST "\x31\x00"), NULL},
        {"two values", RAW("\x30\x0f" EXTENSION_REQUEST "\x31\x02\x30\0\x30\0"), NULL},
        {"value is no SEQUENCE", RAW("\x30\x0f" EXTENSION_REQUEST "\x31\x02\x05\0"), NULL},
        {"value is no Extensions", RAW("\x30\x12" EXTENSION_REQUEST "\x31\x05\x30\x03\x02\x01\0"), NULL},
        {"twice",
         RAW("\x30\x1d" EXTENSION_REQUEST "\x31\x10" ONE_EXTENSION "\x30\x1d" EXTENSION_REQUEST
             "\x31\x10" ONE_EXTENSION),
         NULL},
        {"unsorted",
         RAW("\x30\x1d" EXTENSION_REQUEST "\x31\x10" ONE_EXTENSION "\x30\x09\x06\x02\x2a\x03\x31\x03\x0c\x01x"), NULL},
        {"critical in BER",
         RAW("\x30\x20" EXTENSION_REQUEST
             "\x31\x13\x30\x11\x30\x0f\x06\x03\x55\x1d\x11\x01\x01\x01\x04\x05\x30\x03\x82\x01"
             "a"),
         NULL},
        {"critical FALSE written out",
         RAW("\x30\x20" EXTENSION_REQUEST
             "\x31\x13\x30\x11\x30\x0f\x06\x03\x55\x1d\x11\x01\x01\0\x04\x05\x30\x03\x82\x01"
             "a"),
         NULL},
    };
    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        AUTO(bytes) der = {0};
        AUTO(request) request = {0};
        csr_make(test_key(KEY_ECDSA_P256), &(struct csr){.attributes = table[i].attributes}, &der);
        if (table[i].excess) {
            expect_excess(table[i].label, bytes_span(&der), table[i].excess[0] ? table[i].excess : NULL);
            continue;
        }
        if (request_parse(bytes_span(&der), &request, &fault) == OK)
            fail_msg("%s is accepted", table[i].label);
        assert_int_equal(fault.code, CODE_MALFORMED_CSR);
        fault_clear(&fault);
    }
}

static void password_is_not_shown(void **state)
{
    (void)state;
    AUTO(bytes) der = {0};
    AUTO(request) request = {0};
    csr_make(test_key(KEY_ECDSA_P256),
             &(struct csr){.attributes = RAW("\x30\x14\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x09\x07\x31\x07\x0c\x05"
                                             "hush!")},
             &der);
    expect(request_parse(bytes_span(&der), &request, &fault), OK);
    assert_null(strstr(request.excess[0], "hush"));
}

/* ---- signatures ---- */

#define RSA_OID(last) RAW("\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01" last "\x05\0")

static void signature_algorithms(void **state)
{
    (void)state;
    static const struct {
        const char *label;
        enum key_algorithm key;
        struct span algorithm;
        const EVP_MD *(*digest)(void);
        bool pss;
        enum code code;
    } table[] = {
        {"control", KEY_RSA_2048, RSA_OID("\x0b"), EVP_sha256, false, CODE_NONE},
        {"MD5", KEY_RSA_2048, RSA_OID("\x04"), EVP_md5, false, CODE_MALFORMED_CSR},
        {"SHA-1", KEY_RSA_2048, RSA_OID("\x05"), EVP_sha1, false, CODE_MALFORMED_CSR},
        {"SHA-224", KEY_RSA_2048, RSA_OID("\x0e"), EVP_sha224, false, CODE_MALFORMED_CSR},
        {"PSS", KEY_RSA_2048, RAW("\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a\x30\0"), EVP_sha256, true,
         CODE_MALFORMED_CSR},
        {"PSS that says PKCS#1", KEY_RSA_2048, RSA_OID("\x0b"), EVP_sha256, true, CODE_PROOF_OF_POSSESSION},
        {"SHA-512 that says SHA-256", KEY_RSA_2048, RSA_OID("\x0b"), EVP_sha512, false, CODE_PROOF_OF_POSSESSION},
        {"no NULL", KEY_RSA_2048, RAW("\x30\x0b\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b"), EVP_sha256, false,
         CODE_MALFORMED_CSR},
        {"ECDSA OID of an RSA key", KEY_RSA_2048, RAW("\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02"), EVP_sha256,
         false, CODE_MALFORMED_CSR},
        {"RSA OID of an EC key", KEY_ECDSA_P256, RSA_OID("\x0b"), EVP_sha256, false, CODE_MALFORMED_CSR},
        {"ECDSA with SHA-1", KEY_ECDSA_P256, RAW("\x30\x09\x06\x07\x2a\x86\x48\xce\x3d\x04\x01"), EVP_sha1, false,
         CODE_MALFORMED_CSR},
        {"ECDSA with NULL", KEY_ECDSA_P256, RAW("\x30\x0c\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02\x05\0"), EVP_sha256,
         false, CODE_MALFORMED_CSR},
        {"no algorithm", KEY_ECDSA_P256, RAW("\x30\0"), EVP_sha256, false, CODE_MALFORMED_CSR},
    };
    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        AUTO(bytes) der = {0};
        AUTO(request) request = {0};
        csr_make(test_key(table[i].key),
                 &(struct csr){.algorithm = table[i].algorithm, .digest = table[i].digest(), .pss = table[i].pss},
                 &der);
        enum err err = request_parse(bytes_span(&der), &request, &fault);
        if (fault.code != table[i].code)
            fail_msg("%s: %s", table[i].label, err == OK ? "accepted" : fault.text);
        fault_clear(&fault);
    }
}

/* The request of one key, signed by another. */
static void another_signer(void **state)
{
    (void)state;
    AUTO(bytes) spki = {0}, der = {0};
    AUTO(request) request = {0};
    CLEANUP(EVP_PKEY_auto) EVP_PKEY *other = NULL;
    expect(key_generate(KEY_ECDSA_P256, &other, &fault), OK);
    expect(key_spki(other, &spki, &fault), OK);
    csr_make(test_key(KEY_ECDSA_P256), &(struct csr){.spki = bytes_span(&spki)}, &der);
    expect_code(request_parse(bytes_span(&der), &request, &fault), CODE_PROOF_OF_POSSESSION);
}

static void weak_keys(void **state)
{
    (void)state;
    CLEANUP(EVP_PKEY_auto) EVP_PKEY *small = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)1024);
    CLEANUP(EVP_PKEY_auto) EVP_PKEY *curve = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-521");
    EVP_PKEY *keys[] = {small, curve};
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        AUTO(bytes) der = {0};
        AUTO(request) request = {0};
        csr_make(keys[i], &(struct csr){0}, &der);
        expect_code(request_parse(bytes_span(&der), &request, &fault), CODE_WEAK_KEY);
    }
}

/* ---- the outside ---- */

static void structure(void **state)
{
    (void)state;
    struct csr table[] = {
        {.version = RAW("\x02\x01\x01")},
        {.version = RAW("\x02\x01\x02")},
        {.version = RAW("\x02\x01\xff")},
        {.version = RAW("\x02\x02\0\0")},
        {.version = RAW("\x02\x09\x01\0\0\0\0\0\0\0\0")},
        {.version = RAW("\x05\0")},
        {.subject = RAW("\x30\x80\0\0")},
        {.subject = RAW("\x31\0")},
        {.spki = RAW("\x30\0")},
        {.unused_bits = 1},
        {.unused_bits = 8},
    };
    AUTO(bytes) good = {0};
    AUTO(request) request = {0};
    csr_make(test_key(KEY_ECDSA_P256), &(struct csr){0}, &good);
    expect(request_parse(bytes_span(&good), &request, &fault), OK);
    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        AUTO(bytes) der = {0};
        AUTO(request) bad = {0};
        csr_make(test_key(KEY_ECDSA_P256), &table[i], &der);
        expect_code(request_parse(bytes_span(&der), &bad, &fault), CODE_MALFORMED_CSR);
    }
}

static void cut_and_extended(void **state)
{
    (void)state;
    AUTO(bytes) good = {0}, longer = {0};
    AUTO(request) request = {0};
    csr_make(test_key(KEY_ECDSA_P256), &(struct csr){0}, &good);
    for (size_t size = 0; size < good.size; size++)
        expect_code(request_parse(span(good.data, size), &request, &fault), CODE_MALFORMED_CSR);
    bytes_append_span(&longer, bytes_span(&good));
    bytes_append(&longer, "", 1);
    expect_code(request_parse(bytes_span(&longer), &request, &fault), CODE_MALFORMED_CSR);

    AUTO(bytes) huge = {0};
    for (unsigned i = 0; i <= REQUEST_SIZE_MAX; i++)
        bytes_append(&huge, "\x30", 1);
    expect_code(request_parse(bytes_span(&huge), &request, &fault), CODE_TOO_LARGE);
    huge.size--;
    expect_code(request_parse(bytes_span(&huge), &request, &fault), CODE_MALFORMED_CSR);
}

/* The same request in BER: DER and nothing else is accepted, at each of the outer levels. */
static void not_der(void **state)
{
    (void)state;
    AUTO(bytes) good = {0}, ber = {0};
    AUTO(request) request = {0};
    csr_make(test_key(KEY_ECDSA_P256), &(struct csr){0}, &good);
    struct signed_object object;
    assert_true(signed_object_decode(bytes_span(&good), &object));
    size_t head = (size_t)(object.body.data - good.data);
    bytes_append_span(&ber, RAW("\x30\x80")); /* indefinite length */
    bytes_append(&ber, good.data + head, good.size - head);
    bytes_append_span(&ber, RAW("\0\0"));
    expect_code(request_parse(bytes_span(&ber), &request, &fault), CODE_MALFORMED_CSR);
    bytes_clear(&ber);
    size_t rest = good.size - head; /* a length with a leading zero byte */
    uint8_t length[] = {0x30, 0x83, 0, (uint8_t)(rest >> 8), (uint8_t)rest};
    bytes_append(&ber, length, sizeof length);
    bytes_append(&ber, good.data + head, rest);
    expect_code(request_parse(bytes_span(&ber), &request, &fault), CODE_MALFORMED_CSR);
}

/* Whatever bit is turned, the request is refused: it is signed, and its encoding is unique. */
static void every_bit(void **state)
{
    (void)state;
    AUTO(bytes) good = {0}, bad = {0};
    extension_csr(RAW(SAN_OID), false,
                  RAW("\x30\x03\x82\x01"
                      "a"),
                  &good);
    expect(bytes_copy(bytes_span(&good), &bad, &fault), OK);
    for (size_t bit = 0; bit < 8 * good.size; bit++) {
        AUTO(request) request = {0};
        bad.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        if (request_parse(bytes_span(&bad), &request, &fault) == OK)
            fail_msg("bit %zu of byte %zu", bit % 8, bit / 8);
        bad.data[bit / 8] = good.data[bit / 8];
        fault_clear(&fault);
    }
}

static void pem(void **state)
{
    (void)state;
    AUTO(bytes) der = {0}, good = {0}, twice = {0}, label = {0};
    AUTO(request) request = {0};
    csr_make(test_key(KEY_ECDSA_P256), &(struct csr){0}, &der);
    pem_append(&good, "CERTIFICATE REQUEST", bytes_span(&der));
    pem_append(&label, "CERTIFICATE", bytes_span(&der));
    bytes_append_span(&twice, bytes_span(&good));
    bytes_append_span(&twice, bytes_span(&good));
    expect_code(request_parse_pem(bytes_span(&twice), &request, &fault), CODE_MALFORMED_CSR);
    expect_code(request_parse_pem(bytes_span(&label), &request, &fault), CODE_MALFORMED_CSR);
    expect_code(request_parse_pem(RAW(""), &request, &fault), CODE_MALFORMED_CSR);
    expect_code(request_parse_pem(RAW("hello"), &request, &fault), CODE_MALFORMED_CSR);
    expect(request_parse_pem(bytes_span(&good), &request, &fault), OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(extensions_that_are_malformed),
        cmocka_unit_test(attributes),
        cmocka_unit_test(password_is_not_shown),
        cmocka_unit_test(signature_algorithms),
        cmocka_unit_test(another_signer),
        cmocka_unit_test(weak_keys),
        cmocka_unit_test(structure),
        cmocka_unit_test(cut_and_extended),
        cmocka_unit_test(not_der),
        cmocka_unit_test(every_bit),
        cmocka_unit_test(pem),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
