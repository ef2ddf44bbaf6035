#include "ca/x509/draft.h"

#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "ca/base/encode.h"
#include "ca/x509/certificate.h"
#include "tests/unit/x509/fixture.h"

AUTO_POINTER(X509, X509_free)
AUTO_POINTER(X509_STORE, X509_STORE_free)
AUTO_POINTER(X509_STORE_CTX, X509_STORE_CTX_free)

static const int64_t start = FIXTURE_START, year_2049 = 2500000000, year_2060 = 2840140800;
static const uint8_t serial[SERIAL_SIZE] = {0x0b, 1, 2, 3, 0x80};

static int openssl_verify(struct span ca, struct span leaf, int purpose, int64_t now)
{
    CLEANUP(X509_auto) X509 *issuer = openssl_parse(ca), *subject = openssl_parse(leaf);
    CLEANUP(X509_STORE_auto) X509_STORE *store = X509_STORE_new();
    CLEANUP(X509_STORE_CTX_auto) X509_STORE_CTX *context = X509_STORE_CTX_new();
    X509_STORE_add_cert(store, issuer);
    X509_STORE_CTX_init(context, store, subject, NULL);
    X509_VERIFY_PARAM *parameters = X509_STORE_CTX_get0_param(context);
    X509_VERIFY_PARAM_set_flags(parameters, X509_V_FLAG_X509_STRICT | X509_V_FLAG_CHECK_SS_SIGNATURE);
    X509_VERIFY_PARAM_set_time(parameters, now);
    X509_VERIFY_PARAM_set_purpose(parameters, purpose);
    X509_verify_cert(context);
    return X509_STORE_CTX_get_error(context);
}

/* ---- good certificates ---- */

static void every_algorithm(void **state)
{
    (void)state;
    for (enum key_algorithm i = KEY_NONE + 1; i < KEY_ALGORITHM_COUNT; i++) {
        AUTO(ca) ca;
        AUTO(certificate_content) content = {0};
        AUTO(certificate) leaf = {0};
        ca_make(i, "kubernetes", i % 2, &ca);
        leaf_content(&content);
        content_sign(&content, &ca, &etcd_ca.key, &leaf);

        assert_memory_equal(&leaf.body.content.subject, &content.subject, sizeof content.subject);
        assert_int_equal(leaf.body.content.names.dns_count, 2);
        assert_string_equal(leaf.body.content.names.dns[1], "localhost");
        assert_true(alternative_names_has_address(&leaf.body.content.names, &content.names.addresses[1]));
        assert_int_equal(leaf.body.content.key_usage, content.key_usage);
        assert_int_equal(leaf.body.content.extended_key_usage, content.extended_key_usage);
        assert_int_equal(leaf.body.content.not_before, content.not_before);
        assert_int_equal(leaf.body.content.not_after, content.not_after);
        assert_memory_equal(leaf.body.serial, serial, SERIAL_SIZE);
        assert_false(leaf.body.content.authority);
        assert_true(ca.certificate.body.content.authority);
        assert_false(ca.certificate.body.has_authority_key_identifier);

        struct span ca_der = bytes_span(&ca.certificate.der), leaf_der = bytes_span(&leaf.der);
        assert_int_equal(openssl_verify(ca_der, leaf_der, X509_PURPOSE_SSL_SERVER, start), X509_V_OK);
        assert_int_equal(openssl_verify(ca_der, leaf_der, X509_PURPOSE_SSL_CLIENT, start), X509_V_OK);
        assert_int_equal(openssl_verify(ca_der, ca_der, X509_PURPOSE_ANY, start), X509_V_OK);
        assert_int_equal(openssl_verify(ca_der, leaf_der, X509_PURPOSE_SSL_SERVER, start - 1),
                         X509_V_ERR_CERT_NOT_YET_VALID);
        CLEANUP(X509_auto) X509 *x509 = openssl_parse(leaf_der);
        assert_int_equal(X509_check_host(x509, "etcdone", 0, 0, NULL), 1);
        assert_int_equal(X509_check_host(x509, "etcdtwo", 0, 0, NULL), 0);
        assert_int_equal(X509_check_ip_asc(x509, "192.168.61.1", 0), 1);

        expect(certificate_check_issuer(&leaf, &ca.certificate, start, &fault), OK);
        expect(certificate_check_issuer(&leaf, &ca.certificate, content.not_after, &fault), OK);
        expect(certificate_check_issuer(&ca.certificate, &ca.certificate, start, &fault), OK);
        AUTO(bytes) pem = {0};
        AUTO(certificate) again = {0};
        pem_append(&pem, "CERTIFICATE", leaf_der);
        expect(certificate_parse_pem(bytes_span(&pem), &again, &fault), OK);
        assert_memory_equal(again.sha256, leaf.sha256, SHA256_SIZE);
    }
}

static void extensions_expect(const struct certificate *certificate, const int *nids, size_t count, int critical_count)
{
    CLEANUP(X509_auto) X509 *x509 = openssl_parse(bytes_span(&certificate->der));
    assert_int_equal(X509_get_version(x509), X509_VERSION_3);
    assert_int_equal(X509_get_ext_count(x509), count);
    for (int i = 0; i < (int)count; i++) {
        X509_EXTENSION *extension = X509_get_ext(x509, i);
        assert_int_equal(OBJ_obj2nid(X509_EXTENSION_get_object(extension)), nids[i]);
        bool names_alone = nids[i] == NID_subject_alt_name && critical_count > 2;
        assert_int_equal(X509_EXTENSION_get_critical(extension), i < 2 || names_alone);
    }
}

static void extensions_and_their_order(void **state)
{
    (void)state;
    static const int authority[] = {NID_basic_constraints, NID_key_usage, NID_subject_key_identifier,
                                    NID_subject_alt_name};
    static const int leaf[] = {
        NID_basic_constraints,        NID_key_usage,       NID_ext_key_usage, NID_subject_key_identifier,
        NID_authority_key_identifier, NID_subject_alt_name};
    AUTO(certificate_content) content = {0};
    AUTO(certificate) named = {0}, client = {0}, nameless = {0};
    leaf_content(&content);
    extensions_expect(&etcd_ca.certificate, authority, 4, 2);
    content_sign(&content, &etcd_ca, &etcd_ca.key, &named);
    extensions_expect(&named, leaf, 6, 2);
    struct certificate_content no_subject = content, no_names = content;
    no_subject.subject = (struct distinguished_name){0};
    content_sign(&no_subject, &etcd_ca, &etcd_ca.key, &nameless);
    extensions_expect(&nameless, leaf, 6, 3);
    no_names.names = (struct alternative_names){0};
    content_sign(&no_names, &etcd_ca, &etcd_ca.key, &client);
    extensions_expect(&client, leaf, 5, 2);
    /* KeyUsage without trailing zero bits: BIT STRING of one byte with seven unused bits. */
    assert_non_null(memmem(named.der.data, named.der.size, "\x55\x1d\x0f\x01\x01\xff\x04\x04\x03\x02\x07\x80", 12));
    assert_non_null(memmem(etcd_ca.certificate.der.data, etcd_ca.certificate.der.size,
                           "\x55\x1d\x0f\x01\x01\xff\x04\x04\x03\x02\x01\x86", 12));
}

static void times(void **state)
{
    (void)state;
    AUTO(certificate_content) content = {0};
    AUTO(certificate) certificate = {0};
    leaf_content(&content);
    content.not_before = year_2049;
    content.not_after = year_2060;
    content_sign(&content, &etcd_ca, &etcd_ca.key, &certificate);
    CLEANUP(X509_auto) X509 *x509 = openssl_parse(bytes_span(&certificate.der));
    assert_int_equal(ASN1_STRING_type(X509_get0_notBefore(x509)), V_ASN1_UTCTIME);
    assert_int_equal(ASN1_STRING_type(X509_get0_notAfter(x509)), V_ASN1_GENERALIZEDTIME);
    assert_int_equal(certificate.body.content.not_after, year_2060);

    static const struct {
        int64_t not_before, not_after;
        bool possible;
    } table[] = {{2524607999, 2524608000, true}, /* the last second of 2049 */
                 {0, 0, true},
                 {0, 253402300799, true},
                 {0, 253402300800, false},
                 {-1, 0, false},
                 {1, 0, false}};
    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        AUTO(bytes) draft = {0};
        content.not_before = table[i].not_before;
        content.not_after = table[i].not_after;
        enum err err = draft_build(&content, &etcd_ca.issuer, &etcd_ca.key, serial, &draft, &fault);
        if (!table[i].possible) {
            expect_code(err, CODE_INVALID);
            continue;
        }
        AUTO(draft) again = {0};
        expect(draft_parse(bytes_span(&draft), &again, &fault), OK);
        assert_int_equal(again.content.not_after, table[i].not_after);
    }
}

static void serials(void **state)
{
    (void)state;
    uint8_t a[SERIAL_SIZE], b[SERIAL_SIZE];
    serial_make(1577836800 + 0x01020304, 500000000, a);
    serial_make(1577836800 + 0x01020304, 500000000, b);
    assert_memory_equal(a, "\x01\x02\x03\x04\x80\x00", 6);
    assert_memory_equal(a, b, 6);
    assert_memory_not_equal(a + 6, b + 6, 14);
    serial_make(1577836800, 999999999, a);
    assert_memory_equal(a, "\0\0\0\0\xff\xff", 6);
    serial_make(3692217600, 0, a); /* 2087 */
    assert_true(a[0] < 0x80);

    static const uint8_t table[][SERIAL_SIZE] = {{0x7f}, {0, 0x80}, {0, 0x7f}, {[SERIAL_SIZE - 1] = 1}};
    static const uint8_t bad[][SERIAL_SIZE] = {{0}, {0x80}, {0xff}};
    AUTO(certificate_content) content = {0};
    leaf_content(&content);
    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        AUTO(bytes) draft = {0};
        AUTO(draft) again = {0};
        expect(draft_build(&content, &etcd_ca.issuer, &etcd_ca.key, table[i], &draft, &fault), OK);
        expect(draft_parse(bytes_span(&draft), &again, &fault), OK);
        assert_memory_equal(again.serial, table[i], SERIAL_SIZE);
    }
    AUTO(bytes) draft = {0};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        expect_code(draft_build(&content, &etcd_ca.issuer, &etcd_ca.key, bad[i], &draft, &fault), CODE_INTERNAL);
}

/* ---- what is not built ---- */

static void leaf_of_nobody(struct certificate_content *content)
{
    alternative_names_cleanup(&content->names);
    content->subject = (struct distinguished_name){0};
}
static void leaf_without_usage(struct certificate_content *content)
{
    content->key_usage = 0;
}
static void leaf_that_signs_certificates(struct certificate_content *content)
{
    content->key_usage |= USAGE_KEY_CERT_SIGN;
}
static void leaf_that_signs_crls(struct certificate_content *content)
{
    content->key_usage |= USAGE_CRL_SIGN;
}
static void leaf_with_a_tenth_usage(struct certificate_content *content)
{
    content->key_usage |= 1 << 9;
}
static void leaf_without_purpose(struct certificate_content *content)
{
    content->extended_key_usage = 0;
}
static void leaf_with_a_third_purpose(struct certificate_content *content)
{
    content->extended_key_usage |= 4;
}
static void ca_with_leaf_usages(struct certificate_content *content)
{
    content->authority = true;
    alternative_names_cleanup(&content->names);
}
static void ca_with_purposes(struct certificate_content *content)
{
    ca_with_leaf_usages(content);
    content->key_usage = CA_USAGE;
}
static void ca_with_other_names(struct certificate_content *content)
{
    content->authority = true;
    content->key_usage = CA_USAGE;
    content->extended_key_usage = 0;
}
static void ca_of_nobody(struct certificate_content *content)
{
    ca_with_other_names(content);
    leaf_of_nobody(content);
}

static void content_that_no_decision_makes(void **state)
{
    (void)state;
    void (*const table[])(struct certificate_content *) = {leaf_of_nobody,
                                                           leaf_without_usage,
                                                           leaf_that_signs_certificates,
                                                           leaf_that_signs_crls,
                                                           leaf_with_a_tenth_usage,
                                                           leaf_without_purpose,
                                                           leaf_with_a_third_purpose,
                                                           ca_with_leaf_usages,
                                                           ca_with_purposes,
                                                           ca_with_other_names,
                                                           ca_of_nobody};
    AUTO(bytes) draft = {0};
    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        AUTO(certificate_content) content = {0};
        leaf_content(&content);
        table[i](&content);
        if (draft_build(&content, &etcd_ca.issuer, &etcd_ca.key, serial, &draft, &fault) != ERR_BUG)
            fail_msg("row %zu: %s", i, fault.text);
        fault_clear(&fault);
    }
}

/* ---- certificates ---- */

static void issuer_expect(const struct certificate *certificate, const struct certificate *issuer, int64_t now,
                          const char *pointer)
{
    assert_int_equal(certificate_check_issuer(certificate, issuer, now, &fault), ERR_AUTH);
    assert_int_equal(fault.code, CODE_UNTRUSTED);
    for (size_t i = 0; i < fault.reasons_count; i++)
        if (strcmp(fault.reasons[i].pointer, pointer) == 0) {
            fault_clear(&fault);
            return;
        }
    fail_msg("no reason for %s", pointer);
}

static void issuers(void **state)
{
    (void)state;
    AUTO(ca) same_name, same_key;
    AUTO(certificate_content) content = {0};
    AUTO(certificate) leaf = {0};
    ca_make(KEY_ECDSA_P384, "etcd-ca", true, &same_name);
    ca_make(KEY_ECDSA_P256, "kubernetes", true, &same_key);
    leaf_content(&content);
    content_sign(&content, &etcd_ca, &etcd_ca.key, &leaf);
    expect(certificate_check_issuer(&leaf, &etcd_ca.certificate, start, &fault), OK);
    issuer_expect(&leaf, &same_key.certificate, start, "/issuer");
    issuer_expect(&leaf, &same_name.certificate, start, "/authorityKeyIdentifier");
    issuer_expect(&leaf, &same_name.certificate, start, "/signature");
    issuer_expect(&leaf, &leaf, start, "/issuer");
    issuer_expect(&leaf, &etcd_ca.certificate, start - 1, "/validity/notBefore");
    issuer_expect(&leaf, &etcd_ca.certificate, content.not_after + 1, "/validity/notAfter");

    AUTO(certificate) forged = {0};
    leaf.der.data[leaf.der.size - 1] ^= 1;
    expect(certificate_parse(bytes_span(&leaf.der), &forged, &fault), OK);
    issuer_expect(&forged, &etcd_ca.certificate, start, "/signature");
}

static void certificates_that_are_malformed(void **state)
{
    (void)state;
    AUTO(certificate) certificate = {0};
    AUTO(bytes) longer = {0}, other = {0};
    struct span good = bytes_span(&etcd_ca.certificate.der);
    for (size_t size = 0; size < good.size; size++)
        expect_code(certificate_parse(span(good.data, size), &certificate, &fault), CODE_MALFORMED);
    bytes_append_span(&longer, good);
    bytes_append(&longer, "", 1);
    expect_code(certificate_parse(bytes_span(&longer), &certificate, &fault), CODE_MALFORMED);
    expect(certificate_assemble(etcd_ca.certificate.body_der, KEY_ECDSA_P384, etcd_ca.certificate.signature, &other,
                                &fault),
           OK);
    expect_code(certificate_parse(bytes_span(&other), &certificate, &fault), CODE_MALFORMED);
}

/* As any library makes it: version 3, but a serial of one byte. */
static void foreign_certificate(struct bytes *out)
{
    X509 *foreign = X509_new();
    unsigned char *der = NULL;
    assert_non_null(foreign);
    assert_true(X509_set_version(foreign, 2) && ASN1_INTEGER_set(X509_get_serialNumber(foreign), 1) &&
                X509_gmtime_adj(X509_getm_notBefore(foreign), 0) && X509_gmtime_adj(X509_getm_notAfter(foreign), 60) &&
                X509_set_pubkey(foreign, test_key(KEY_ECDSA_P256)) &&
                X509_sign(foreign, test_key(KEY_ECDSA_P256), EVP_sha256()) > 0);
    int size = i2d_X509(foreign, &der);
    assert_true(size > 0);
    bytes_append(out, der, (size_t)size);
    OPENSSL_free(der);
    X509_free(foreign);
}

static void serial_of_a_certificate(void **state)
{
    (void)state;
    uint8_t found[SERIAL_SIZE], untouched[SERIAL_SIZE] = {0};
    AUTO(bytes) foreign = {0};
    struct span good = bytes_span(&etcd_ca.certificate.der);
    expect(certificate_serial(good, found, &fault), OK);
    assert_memory_equal(found, etcd_ca.certificate.body.serial, SERIAL_SIZE);
    memset(found, 0, sizeof found);
    for (size_t size = 0; size < good.size; size++)
        expect_code(certificate_serial(span(good.data, size), found, &fault), CODE_MALFORMED);
    foreign_certificate(&foreign);
    expect_code(certificate_serial(bytes_span(&foreign), found, &fault), CODE_MALFORMED);
    assert_memory_equal(found, untouched, SERIAL_SIZE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_algorithm),
        cmocka_unit_test(extensions_and_their_order),
        cmocka_unit_test(times),
        cmocka_unit_test(serials),
        cmocka_unit_test(content_that_no_decision_makes),
        cmocka_unit_test(issuers),
        cmocka_unit_test(certificates_that_are_malformed),
        cmocka_unit_test(serial_of_a_certificate),
    };
    return cmocka_run_group_tests(tests, etcd_ca_setup, etcd_ca_teardown);
}
