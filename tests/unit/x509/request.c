#include "ca/x509/request.h"

#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "ca/base/encode.h"
#include "ca/x509/der.h"
#include "tests/unit/x509/fixture.h"

/* ---- good requests ---- */

static void made_and_parsed(void **state)
{
    (void)state;
    const struct distinguished_name subject = {"etcdone", {"a", "b"}, 2};
    AUTO(alternative_names) names = {0};
    struct address address;
    expect(address_parse("192.168.61.1", &address, &fault), OK);
    expect(alternative_names_add_dns(&names, "etcdone", &fault), OK);
    expect(alternative_names_add_address(&names, &address, &fault), OK);
    for (enum key_algorithm i = KEY_NONE + 1; i < KEY_ALGORITHM_COUNT; i++) {
        AUTO(bytes) der = {0}, pem = {0};
        AUTO(request) request = {0}, again = {0};
        expect(request_make(test_key(i), &subject, &names, &der, &fault), OK);
        expect(request_parse(bytes_span(&der), &request, &fault), OK);
        assert_int_equal(request.public_key.algorithm, i);
        assert_true(distinguished_name_equal(&request.subject, &subject));
        assert_true(alternative_names_has_dns(&request.names, "etcdone"));
        assert_true(alternative_names_has_address(&request.names, &address));
        assert_int_equal(request.names.dns_count + request.names.addresses_count, 2);
        assert_int_equal(request.excess_count, 0);
        assert_false(request.has_key_usage || request.has_extended_key_usage);
        assert_true(span_equal(bytes_span(&request.der), bytes_span(&der)));

        const unsigned char *at = der.data; /* OpenSSL's own parser agrees */
        X509_REQ *other = d2i_X509_REQ(NULL, &at, (long)der.size);
        assert_int_equal(X509_REQ_verify(other, test_key(i)), 1);
        X509_REQ_free(other);

        pem_append(&pem, i % 2 ? "CERTIFICATE REQUEST" : "NEW CERTIFICATE REQUEST", bytes_span(&der));
        expect(request_parse_pem(bytes_span(&pem), &again, &fault), OK);
        assert_true(span_equal(bytes_span(&again.der), bytes_span(&der)));
    }
}

/* A request that OpenSSL made, with usages, signed with each digest. */
static void from_openssl(void **state)
{
    (void)state;
    static const struct {
        enum key_algorithm algorithm;
        const EVP_MD *(*digest)(void);
    } table[] = {{KEY_ECDSA_P256, EVP_sha256}, {KEY_ECDSA_P256, EVP_sha384}, {KEY_ECDSA_P256, EVP_sha512},
                 {KEY_ECDSA_P384, EVP_sha256}, {KEY_ECDSA_P384, EVP_sha384}, {KEY_RSA_2048, EVP_sha256},
                 {KEY_RSA_2048, EVP_sha384},   {KEY_RSA_2048, EVP_sha512},   {KEY_RSA_3072, EVP_sha256}};
    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        X509_REQ *made = X509_REQ_new();
        X509_NAME_add_entry_by_txt(X509_REQ_get_subject_name(made), "CN", MBSTRING_ASC, (const uint8_t *)"n", -1, -1,
                                   0);
        X509_REQ_set_pubkey(made, test_key(table[i].algorithm));
        STACK_OF(X509_EXTENSION) *list = sk_X509_EXTENSION_new_null();
        sk_X509_EXTENSION_push(list, X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints, "critical,CA:FALSE"));
        sk_X509_EXTENSION_push(list, X509V3_EXT_conf_nid(NULL, NULL, NID_key_usage, "digitalSignature,decipherOnly"));
        sk_X509_EXTENSION_push(list, X509V3_EXT_conf_nid(NULL, NULL, NID_ext_key_usage, "clientAuth,serverAuth"));
        sk_X509_EXTENSION_push(list, X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "DNS:n,IP:::1"));
        X509_REQ_add_extensions(made, list);
        sk_X509_EXTENSION_pop_free(list, X509_EXTENSION_free);
        assert_true(X509_REQ_sign(made, test_key(table[i].algorithm), table[i].digest()) > 0);
        unsigned char *der = NULL;
        int size = i2d_X509_REQ(made, &der);
        AUTO(request) request = {0};
        expect(request_parse(span(der, (size_t)size), &request, &fault), OK);
        assert_int_equal(request.excess_count, 0);
        assert_true(request.has_key_usage && request.has_extended_key_usage);
        assert_int_equal(request.key_usage, USAGE_DIGITAL_SIGNATURE | USAGE_DECIPHER_ONLY);
        assert_int_equal(request.extended_key_usage, EXTENDED_CLIENT_AUTH | EXTENDED_SERVER_AUTH);
        assert_string_equal(request.subject.common_name, "n");
        OPENSSL_free(der);
        X509_REQ_free(made);
    }
}

static void no_subject_and_no_attributes(void **state)
{
    (void)state;
    AUTO(bytes) der = {0};
    AUTO(request) request = {0};
    expect(request_make(test_key(KEY_ECDSA_P256), &(struct distinguished_name){0}, NULL, &der, &fault), OK);
    expect(request_parse(bytes_span(&der), &request, &fault), OK);
    assert_true(distinguished_name_empty(&request.subject) && alternative_names_empty(&request.names));
}

/* ---- excess ---- */

#define A63 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static void alternative_names(void **state)
{
    (void)state;
    static const struct {
        const char *label;
        uint8_t tag;
        struct span value;
        const char *excess;
    } table[] = {
        {"control: DNS", 0x82, RAW("etcdone"), NULL},
        {"control: IPv4", 0x87, RAW("\x0a\0\0\x01"), NULL},
        {"control: IPv6", 0x87, RAW("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01"), NULL},
        {"NUL inside", 0x82, RAW("etcdone\0.evil"), "dNSName \"etcdone\\x00.evil\""},
        {"NUL at the end", 0x82, RAW("etcdone\0"), "etcdone\\x00"},
        {"NUL alone", 0x82, RAW("\0"), "\\x00"},
        {"empty", 0x82, RAW(""), "dNSName \"\""},
        {"upper case", 0x82, RAW("EtcdOne"), "EtcdOne"},
        {"trailing dot", 0x82, RAW("etcdone."), "etcdone."},
        {"leading dot", 0x82, RAW(".example"), ".example"},
        {"wildcard", 0x82, RAW("*.example"), "*.example"},
        {"bare wildcard", 0x82, RAW("*"), "*"},
        {"underscore", 0x82, RAW("etcd_one"), "etcd_one"},
        {"space", 0x82, RAW("a b"), "a b"},
        {"leading space", 0x82, RAW(" a"), " a"},
        {"newline", 0x82, RAW("a\nb"), "a\\x0ab"},
        {"carriage return", 0x82, RAW("a\r"), "a\\x0d"},
        {"escape sequence", 0x82, RAW("\x1b[31m"), "\\x1b[31m"},
        {"delete", 0x82, RAW("a\x7f"), "a\\x7f"},
        {"Latin 1", 0x82, RAW("b\xfc"), "b\\xfc"},
        {"UTF-8 homograph", 0x82, RAW("\xd0\xb5tcdone"), "\\xd0\\xb5tcdone"},
        {"IPv4 as DNS", 0x82, RAW("10.0.0.1"), "10.0.0.1"},
        {"short IPv4 as DNS", 0x82, RAW("10.1"), "10.1"},
        {"number as DNS", 0x82, RAW("167772161"), "167772161"},
        {"hexadecimal as DNS", 0x82, RAW("0x0a000001"), "0x0a000001"},
        {"IPv6 as DNS", 0x82, RAW("::1"), "::1"},
        {"port", 0x82, RAW("etcdone:2379"), "etcdone:2379"},
        {"quote", 0x82, RAW("a\"b"), "a\\x22b"},
        {"backslash", 0x82, RAW("a\\x00"), "a\\x5cx00"},
        {"percent", 0x82, RAW("%n%s"), "%n%s"},
        {"hyphen first", 0x82, RAW("-a"), "-a"},
        {"label of 64", 0x82, RAW(A63 "a"), "..."},
        {"name of 255", 0x82, RAW(A63 "." A63 "." A63 "." A63), "..."},
        {"IPv4 of 3 bytes", 0x87, RAW("\x0a\0\0"), "iPAddress \"\\x0a\\x00\\x00\""},
        {"IPv4 with mask", 0x87, RAW("\x0a\0\0\0\xff\0\0\0"), "not 4 or 16 bytes"},
        {"IP of 0 bytes", 0x87, RAW(""), "iPAddress \"\""},
        {"IP of 17 bytes", 0x87, RAW("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0"), "iPAddress"},
        {"IP as text", 0x87, RAW("10.0.0.1"), "10.0.0.1"},
        {"IPv4-mapped", 0x87, RAW("\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\0\0\1"), "\"::ffff:10.0.0.1\": IPv4-mapped"},
        {"e-mail", 0x81, RAW("root@example"), "rfc822Name \"root@example\""},
        {"e-mail with a newline", 0x81, RAW("a\n@b"), "rfc822Name \"a\\x0a@b\""},
        {"URI", 0x86, RAW("spiffe://example/admin"), "uniformResourceIdentifier \"spiffe://example/admin\""},
        {"otherName", 0xa0, RAW("\x06\x03\x2a\x03\x04\xa0\x03\x0c\x01x"), "otherName \""},
        {"directoryName", 0xa4,
         RAW("\x30\x0e\x31\x0c\x30\x0a\x06\x03\x55\x04\x03\x0c\x03"
             "adm"),
         "directoryName \""},
        {"registeredID", 0x88, RAW("\x2a\x03\x04"), "registeredID \""},
    };
    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        AUTO(bytes) name = {0}, names = {0}, der = {0};
        tlv(&name, table[i].tag, table[i].value);
        tlv(&names, 0x30, bytes_span(&name));
        extension_csr(RAW(SAN_OID), false, bytes_span(&names), &der);
        expect_excess(table[i].label, bytes_span(&der), table[i].excess);
    }
}

static void extensions(void **state)
{
    (void)state;
    static const struct {
        const char *label;
        struct span oid;
        bool critical;
        struct span value;
        const char *excess;
    } table[] = {
        {"control: critical SAN", RAW(SAN_OID), true,
         RAW("\x30\x03\x82\x01"
             "a"),
         NULL},
        {"control: not a CA", RAW(BASIC_OID), true, RAW("\x30\0"), NULL},
        {"control: key usage", RAW(KEY_USAGE_OID), true, RAW("\x03\x02\x05\xa0"), NULL},
        {"a CA", RAW(BASIC_OID), true, RAW("\x30\x03\x01\x01\xff"), "basicConstraints of a CA"},
        {"a CA, not critical", RAW(BASIC_OID), false, RAW("\x30\x03\x01\x01\xff"), "basicConstraints of a CA"},
        {"a CA in BER", RAW(BASIC_OID), true, RAW("\x30\x03\x01\x01\x01"), "basicConstraints of a CA"},
        {"a path length", RAW(BASIC_OID), true, RAW("\x30\x03\x02\x01\0"), "basicConstraints of a CA"},
        {"DNS twice", RAW(SAN_OID), false,
         RAW("\x30\x06\x82\x01"
             "a\x82\x01"
             "a"),
         "dNSName \"a\": twice"},
        {"IP twice", RAW(SAN_OID), false, RAW("\x30\x0c\x87\x04\x0a\0\0\1\x87\x04\x0a\0\0\1"), "\"10.0.0.1\": twice"},
        {"codeSigning", RAW(EXTENDED_OID), false, RAW("\x30\x0a\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x03"),
         "extended key usage 1.3.6.1.5.5.7.3.3"},
        {"any extended key usage", RAW(EXTENDED_OID), false, RAW("\x30\x06\x06\x04\x55\x1d\x25\x00"), "2.5.29.37.0"},
        {"serverAuth twice", RAW(EXTENDED_OID), false,
         RAW("\x30\x14\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x01\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x01"), "twice"},
        {"name constraints", RAW("\x55\x1d\x1e"), true, RAW("\x30\0"), "extension 2.5.29.30"},
        {"subject key identifier", RAW("\x55\x1d\x0e"), false, RAW("\x04\x01x"), "extension 2.5.29.14"},
        {"policies", RAW("\x55\x1d\x20"), false, RAW("\x30\x06\x30\x04\x06\x02\x2a\x03"), "extension 2.5.29.32"},
        {"a private one", RAW("\x2b\x06\x01\x04\x01\x83\xe8\x59\x01"), false, RAW("\x05\0"),
         "extension 1.3.6.1.4.1.62553.1"},
        {"issuer alternative name", RAW("\x55\x1d\x12"), false,
         RAW("\x30\x03\x82\x01"
             "a"),
         "extension 2.5.29.18"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        AUTO(bytes) der = {0};
        extension_csr(table[i].oid, table[i].critical, table[i].value, &der);
        expect_excess(table[i].label, bytes_span(&der), table[i].excess);
    }
}

static void extension_twice(void **state)
{
    (void)state;
    AUTO(bytes) list = {0}, attributes = {0}, der = {0};
    extension_append(&list, RAW(SAN_OID), false,
                     RAW("\x30\x03\x82\x01"
                         "a"));
    extension_append(&list, RAW(SAN_OID), false,
                     RAW("\x30\x03\x82\x01"
                         "b"));
    extension_request_append(&attributes, bytes_span(&list));
    csr_make(test_key(KEY_ECDSA_P256), &(struct csr){.attributes = bytes_span(&attributes)}, &der);
    expect_excess("twice", bytes_span(&der), "twice the extension 2.5.29.17");
}

static void subjects(void **state)
{
    (void)state;
    static const struct {
        const char *label;
        struct span rdns; /* content of the Name */
        const char *excess;
    } table[] = {
        {"control: CN", RAW("\x31\x0a\x30\x08\x06\x03\x55\x04\x03\x0c\x01n"), NULL},
        {"control: CN before O",
         RAW("\x31\x0a\x30\x08\x06\x03\x55\x04\x03\x0c\x01n\x31\x0a\x30\x08\x06\x03\x55\x04\x0a\x13\x01o"), NULL},
        {"two CNs", RAW("\x31\x0a\x30\x08\x06\x03\x55\x04\x03\x0c\x01n\x31\x0a\x30\x08\x06\x03\x55\x04\x03\x0c\x01m"),
         "attribute commonName"},
        {"country",
         RAW("\x31\x0b\x30\x09\x06\x03\x55\x04\x06\x13\x02"
             "DE"),
         "attribute countryName"},
        {"organizational unit", RAW("\x31\x0a\x30\x08\x06\x03\x55\x04\x0b\x0c\x01u"),
         "attribute organizationalUnitName"},
        {"UID", RAW("\x31\x11\x30\x0f\x06\x0a\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x01\x0c\x01u"), "attribute userId"},
        {"e-mail",
         RAW("\x31\x12\x30\x10\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x09\x01\x16\x03"
             "a@b"),
         "emailAddress"},
        {"an unknown attribute", RAW("\x31\x09\x30\x07\x06\x02\x2a\x03\x0c\x01x"), "attribute 1.2.3"},
        {"BMPString", RAW("\x31\x0b\x30\x09\x06\x03\x55\x04\x03\x1e\x02\0n"), "PrintableString"},
        {"TeletexString", RAW("\x31\x0a\x30\x08\x06\x03\x55\x04\x03\x14\x01n"), "PrintableString"},
        {"IA5String", RAW("\x31\x0a\x30\x08\x06\x03\x55\x04\x03\x16\x01n"), "PrintableString"},
        {"control character", RAW("\x31\x0b\x30\x09\x06\x03\x55\x04\x03\x0c\x02n\n"), "control"},
        {"NUL", RAW("\x31\x0c\x30\x0a\x06\x03\x55\x04\x03\x0c\x03n\0m"), "control"},
        {"UTF-8 that is not", RAW("\x31\x0b\x30\x09\x06\x03\x55\x04\x03\x0c\x02n\xff"), "UTF-8"},
        {"right-to-left override", RAW("\x31\x0d\x30\x0b\x06\x03\x55\x04\x03\x0c\x04n\xe2\x80\xae"), "control"},
        {"PrintableString with *", RAW("\x31\x0a\x30\x08\x06\x03\x55\x04\x03\x13\x01*"), "PrintableString"},
        {"empty CN", RAW("\x31\x09\x30\x07\x06\x03\x55\x04\x03\x0c\x00"), "1 to 64"},
        {"CN of 65", RAW("\x31\x4a\x30\x48\x06\x03\x55\x04\x03\x0c\x41" A63 "aa"), "1 to 64"},
        {"an RDN without attributes", RAW("\x31\0"), "0 attributes in one RDN"},
        {"CN and O in one RDN",
         RAW("\x31\x14\x30\x08\x06\x03\x55\x04\x03\x0c\x01n\x30\x08\x06\x03\x55\x04\x0a\x0c\x01o"), "in one RDN"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        AUTO(bytes) subject = {0}, der = {0};
        tlv(&subject, 0x30, table[i].rdns);
        csr_make(test_key(KEY_ECDSA_P256), &(struct csr){.subject = bytes_span(&subject)}, &der);
        expect_excess(table[i].label, bytes_span(&der), table[i].excess);
    }
}

static void everything_is_told(void **state)
{
    (void)state;
    AUTO(bytes) list = {0}, attributes = {0}, der = {0};
    extension_append(&list, RAW(BASIC_OID), true, RAW("\x30\x03\x01\x01\xff"));
    extension_append(&list, RAW(SAN_OID), false,
                     RAW("\x30\x09\x82\x01"
                         "A\x82\x01*\x82\x01"
                         "a"));
    extension_append(&list, RAW("\x55\x1d\x1e"), true, RAW("\x30\0"));
    extension_request_append(&attributes, bytes_span(&list));
    csr_make(test_key(KEY_ECDSA_P256),
             &(struct csr){.attributes = bytes_span(&attributes),
                           .subject = RAW("\x30\x0d\x31\x0b\x30\x09\x06\x03\x55\x04\x06\x13\x02"
                                          "DE")},
             &der);
    AUTO(request) request = {0};
    expect(request_parse(bytes_span(&der), &request, &fault), OK);
    assert_int_equal(request.excess_count, 5);
    assert_true(alternative_names_has_dns(&request.names, "a"));
}

static void too_much_excess(void **state)
{
    (void)state;
    for (unsigned count = REQUEST_EXCESS_MAX; count <= REQUEST_EXCESS_MAX + 1; count++) {
        AUTO(bytes) list = {0}, names = {0}, attributes = {0}, der = {0};
        AUTO(request) request = {0};
        for (unsigned i = 0; i < count; i++)
            bytes_append_span(&list, RAW("\x82\x01*"));
        tlv(&names, 0x30, bytes_span(&list));
        bytes_clear(&list);
        extension_append(&list, RAW(SAN_OID), false, bytes_span(&names));
        extension_request_append(&attributes, bytes_span(&list));
        csr_make(test_key(KEY_ECDSA_P256), &(struct csr){.attributes = bytes_span(&attributes)}, &der);
        enum err err = request_parse(bytes_span(&der), &request, &fault);
        if (count == REQUEST_EXCESS_MAX)
            expect(err, OK);
        else
            expect_code(err, CODE_MALFORMED_CSR);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(made_and_parsed),
        cmocka_unit_test(from_openssl),
        cmocka_unit_test(no_subject_and_no_attributes),
        cmocka_unit_test(alternative_names),
        cmocka_unit_test(extensions),
        cmocka_unit_test(extension_twice),
        cmocka_unit_test(subjects),
        cmocka_unit_test(everything_is_told),
        cmocka_unit_test(too_much_excess),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
