#include "ca/x509/draft.h"

#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "tests/unit/x509/fixture.h"

AUTO_POINTER(X509, X509_free)

static void add_extension(X509 *x509, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, x509, x509, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    assert_non_null(extension);
    X509_add_ext(x509, extension, -1);
    X509_EXTENSION_free(extension);
}
static void drop_extension(X509 *x509, int nid)
{
    X509_EXTENSION_free(X509_delete_ext(x509, X509_get_ext_by_NID(x509, nid, -1)));
}
static void turn_critical(X509 *x509, int nid)
{
    X509_EXTENSION *extension = X509_get_ext(x509, X509_get_ext_by_NID(x509, nid, -1));
    X509_EXTENSION_set_critical(extension, !X509_EXTENSION_get_critical(extension));
}
static void extension_bytes(X509 *x509, int nid, struct span value)
{
    X509_EXTENSION *extension = X509_get_ext(x509, X509_get_ext_by_NID(x509, nid, -1));
    ASN1_OCTET_STRING *string = ASN1_OCTET_STRING_new();
    ASN1_OCTET_STRING_set(string, value.data, (int)value.size);
    X509_EXTENSION_set_data(extension, string);
    ASN1_OCTET_STRING_free(string);
}

static void nothing(X509 *x509)
{
    X509_set_version(x509, X509_VERSION_3);
}
static void version_1(X509 *x509)
{
    X509_set_version(x509, X509_VERSION_1);
}
static void serial_negative(X509 *x509)
{
    ASN1_INTEGER *value = ASN1_INTEGER_new();
    ASN1_INTEGER_set(value, -5);
    X509_set_serialNumber(x509, value);
    ASN1_INTEGER_free(value);
}
static void unknown_extension(X509 *x509)
{
    add_extension(x509, NID_netscape_comment, "hello");
}
static void name_constraints(X509 *x509)
{
    add_extension(x509, NID_name_constraints, "permitted;DNS:a");
}
static void crl_distribution(X509 *x509)
{
    add_extension(x509, NID_crl_distribution_points, "URI:http://a/");
}
static void two_key_usages(X509 *x509)
{
    add_extension(x509, NID_key_usage, "critical,digitalSignature");
}
static void other_order(X509 *x509)
{
    X509_EXTENSION *first = X509_delete_ext(x509, 0);
    X509_add_ext(x509, first, -1);
    X509_EXTENSION_free(first);
}
static void no_basic_constraints(X509 *x509)
{
    drop_extension(x509, NID_basic_constraints);
}
static void no_key_usage(X509 *x509)
{
    drop_extension(x509, NID_key_usage);
}
static void no_purposes(X509 *x509)
{
    drop_extension(x509, NID_ext_key_usage);
}
static void no_subject_key_identifier(X509 *x509)
{
    drop_extension(x509, NID_subject_key_identifier);
}
static void no_authority_key_identifier(X509 *x509)
{
    drop_extension(x509, NID_authority_key_identifier);
}
static void basic_not_critical(X509 *x509)
{
    turn_critical(x509, NID_basic_constraints);
}
static void usage_not_critical(X509 *x509)
{
    turn_critical(x509, NID_key_usage);
}
static void names_critical(X509 *x509)
{
    turn_critical(x509, NID_subject_alt_name);
}
static void path_length(X509 *x509)
{
    extension_bytes(x509, NID_basic_constraints, RAW("\x30\x03\x02\x01\0"));
}
static void authority(X509 *x509)
{
    extension_bytes(x509, NID_basic_constraints, RAW("\x30\x03\x01\x01\xff"));
}
static void usage_with_zero_bits(X509 *x509)
{
    extension_bytes(x509, NID_key_usage, RAW("\x03\x02\x00\x80"));
}
static void usage_of_a_ca(X509 *x509)
{
    extension_bytes(x509, NID_key_usage, RAW("\x03\x02\x01\x86"));
}
static void purpose_unknown(X509 *x509)
{
    extension_bytes(x509, NID_ext_key_usage,
                    RAW("\x30\x14\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x01\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x03"));
}
static void purposes_in_other_order(X509 *x509)
{
    extension_bytes(x509, NID_ext_key_usage,
                    RAW("\x30\x14\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x02\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x01"));
}
static void other_subject_key_identifier(X509 *x509)
{
    extension_bytes(x509, NID_subject_key_identifier,
                    RAW("\x04\x14"
                        "01234567890123456789"));
}
static void short_authority_key_identifier(X509 *x509)
{
    extension_bytes(x509, NID_authority_key_identifier, RAW("\x30\x03\x80\x01x"));
}
static void authority_key_identifier_with_serial(X509 *x509)
{
    extension_bytes(x509, NID_authority_key_identifier,
                    RAW("\x30\x19\x80\x14"
                        "01234567890123456789\x82\x01\x01"));
}
static void names_bytes(X509 *x509, const char *value, size_t size)
{
    extension_bytes(x509, NID_subject_alt_name, span(value, size));
}
static void name_upper_case(X509 *x509)
{
    names_bytes(x509,
                "\x30\x03\x82\x01"
                "A",
                5);
}
static void name_wildcard(X509 *x509)
{
    names_bytes(x509, "\x30\x05\x82\x03*.a", 7);
}
static void name_with_nul(X509 *x509)
{
    names_bytes(x509,
                "\x30\x05\x82\x03"
                "a\0b",
                7);
}
static void name_twice(X509 *x509)
{
    names_bytes(x509,
                "\x30\x06\x82\x01"
                "a\x82\x01"
                "a",
                8);
}
static void name_e_mail(X509 *x509)
{
    names_bytes(x509,
                "\x30\x05\x81\x03"
                "a@b",
                7);
}
static void names_none(X509 *x509)
{
    names_bytes(x509, "\x30\x00", 2);
}
static void addresses_first(X509 *x509)
{
    names_bytes(x509,
                "\x30\x09\x87\x04\x0a\0\0\1\x82\x01"
                "a",
                11);
}
static void names_with_more_bytes(X509 *x509)
{
    names_bytes(x509,
                "\x30\x03\x82\x01"
                "a\0",
                6);
}
static void subject_with_unit(X509 *x509)
{
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x509), "OU", MBSTRING_UTF8, (const uint8_t *)"u", 1, -1, 0);
}
static void subject_name_first(X509 *x509)
{
    X509_NAME *name = X509_get_subject_name(x509);
    X509_NAME_ENTRY_free(X509_NAME_delete_entry(name, 0));
    X509_NAME_add_entry_by_txt(name, "O", MBSTRING_ASC, (const uint8_t *)"o", 1, -1, 0);
}
static void subject_as_utf8(X509 *x509)
{
    X509_NAME *name = X509_get_subject_name(x509);
    X509_NAME_ENTRY_free(X509_NAME_delete_entry(name, 1));
    X509_NAME_add_entry_by_NID(name, NID_commonName, V_ASN1_UTF8STRING, (const uint8_t *)"a", 1, -1, 0);
}
static void signature_sha1(X509 *x509)
{
    X509_ALGOR *algorithm = (X509_ALGOR *)X509_get0_tbs_sigalg(x509);
    X509_ALGOR_set0(algorithm, OBJ_nid2obj(NID_ecdsa_with_SHA1), V_ASN1_UNDEF, NULL);
}
static void no_issuer(X509 *x509)
{
    X509_NAME *empty = X509_NAME_new();
    X509_set_issuer_name(x509, empty);
    X509_NAME_free(empty);
}
static void generalized_time(X509 *x509)
{
    ASN1_TIME *time = ASN1_TIME_new();
    ASN1_TIME_set_string(time, "20280101000000Z");
    X509_set1_notAfter(x509, time);
    ASN1_TIME_free(time);
}
static void time_without_seconds(X509 *x509)
{
    ASN1_TIME *time = ASN1_STRING_type_new(V_ASN1_UTCTIME);
    ASN1_STRING_set(time, "2801010000Z", -1);
    X509_set1_notAfter(x509, time);
    ASN1_TIME_free(time);
}
static void ends_before_it_begins(X509 *x509)
{
    ASN1_TIME *time = ASN1_TIME_set(NULL, FIXTURE_START - 1);
    X509_set1_notAfter(x509, time);
    ASN1_TIME_free(time);
}

static void drafts_that_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *label;
        void (*change)(X509 *x509);
    } table[] = {
#define ROW(change) {#change, change}
        ROW(version_1),
        ROW(serial_negative),
        ROW(unknown_extension),
        ROW(name_constraints),
        ROW(crl_distribution),
        ROW(two_key_usages),
        ROW(other_order),
        ROW(no_basic_constraints),
        ROW(no_key_usage),
        ROW(no_purposes),
        ROW(no_subject_key_identifier),
        ROW(no_authority_key_identifier),
        ROW(basic_not_critical),
        ROW(usage_not_critical),
        ROW(names_critical),
        ROW(path_length),
        ROW(authority),
        ROW(usage_with_zero_bits),
        ROW(usage_of_a_ca),
        ROW(purpose_unknown),
        ROW(purposes_in_other_order),
        ROW(other_subject_key_identifier),
        ROW(short_authority_key_identifier),
        ROW(authority_key_identifier_with_serial),
        ROW(name_upper_case),
        ROW(name_wildcard),
        ROW(name_with_nul),
        ROW(name_twice),
        ROW(name_e_mail),
        ROW(names_none),
        ROW(addresses_first),
        ROW(names_with_more_bytes),
        ROW(subject_with_unit),
        ROW(subject_name_first),
        ROW(subject_as_utf8),
        ROW(signature_sha1),
        ROW(no_issuer),
        ROW(generalized_time),
        ROW(time_without_seconds),
        ROW(ends_before_it_begins),
#undef ROW
    };
    AUTO(certificate_content) content = {0};
    AUTO(certificate) good = {0};
    leaf_content(&content);
    content_sign(&content, &etcd_ca, &etcd_ca.key, &good);
    for (size_t i = 0; i <= ARRAY_SIZE(table); i++) {
        CLEANUP(X509_auto) X509 *x509 = openssl_parse(bytes_span(&good.der));
        bool control = i == ARRAY_SIZE(table); /* encoded again by OpenSSL, unchanged */
        AUTO(draft) draft = {0};
        unsigned char *der = NULL;
        control ? nothing(x509) : table[i].change(x509);
        int size = i2d_re_X509_tbs(x509, &der);
        enum err err = draft_parse(span(der, (size_t)size), &draft, &fault);
        OPENSSL_free(der);
        if (!control && err != ERR_INPUT)
            fail_msg("%s: error %d", table[i].label, (int)err);
        if (control)
            expect(err, OK);
        fault_clear(&fault);
    }
}

/* A changed bit is refused, or changes a value that may be another: then building it again gives these bytes. */
static void every_bit(void **state)
{
    (void)state;
    static const uint8_t serial[SERIAL_SIZE] = {0x0b, 1};
    AUTO(certificate_content) content = {0};
    AUTO(bytes) draft = {0};
    AUTO(draft) first = {0};
    leaf_content(&content);
    expect(draft_build(&content, &etcd_ca.issuer, &etcd_ca.key, serial, &draft, &fault), OK);
    expect(draft_parse(bytes_span(&draft), &first, &fault), OK);
    size_t accepted = 0, refused = 0;
    for (size_t bit = 0; bit < 8 * draft.size; bit++) {
        AUTO(draft) other = {0};
        draft.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        if (draft_parse(bytes_span(&draft), &other, &fault) == OK) {
            accepted++;
            assert_false(other.content.authority);
            assert_true(span_equal(other.spki, etcd_ca.key.spki));
        } else {
            refused++;
        }
        fault_clear(&fault);
        draft.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_true(accepted > 0 && refused > accepted);
    for (size_t size = 0; size < draft.size; size++) {
        AUTO(draft) cut = {0};
        expect(draft_parse(span(draft.data, size), &cut, &fault), ERR_INPUT);
    }
    bytes_append(&draft, "", 1);
    AUTO(draft) longer = {0};
    expect_code(draft_parse(bytes_span(&draft), &longer, &fault), CODE_MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(drafts_that_are_refused),
        cmocka_unit_test(every_bit),
    };
    return cmocka_run_group_tests(tests, etcd_ca_setup, etcd_ca_teardown);
}
