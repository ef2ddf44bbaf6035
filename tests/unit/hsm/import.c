/* CAs that others made, as openssl, cfssl and kubeadm make them and as nobody should: which the signer takes, and what
 * they sign then. */
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <sodium.h>
#include <string.h>
#include <time.h>

#include "ca/x509/foreign.h"
#include "hsm/key.h"
#include "hsm/signer_message.h"
#include "tests/unit/hsm/fixture.h"

AUTO_POINTER(X509, X509_free)

enum { DAY = 86400 };

static struct house house;
static struct seal seal;
static struct signer *signer;
static pid_t process;
static EVP_PKEY *own_key, *other_key;

static int group_setup(void **state)
{
    (void)state;
    struct fault f = {0};
    house_open(&house);
    assert_ok(seal_open(&house.config, house.state, &seal, &f), &f);
    assert_ok(signer_new(&signer, &f), &f);
    signer_attach(signer, signer_start(&house, &process));
    assert_ok(key_generate(KEY_ECDSA_P256, &own_key, &f), &f);
    assert_ok(key_generate(KEY_ECDSA_P256, &other_key, &f), &f);
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    signer_free(signer);
    signer_kill(process);
    seal_cleanup(&seal);
    house_close(&house);
    EVP_PKEY_free(own_key);
    EVP_PKEY_free(other_key);
    return 0;
}

/* ---- certificates, by OpenSSL alone ---- */

struct foreign {
    const char *basic, *usage, *identifier; /* extensions; NULL: without */
    int more_nid;                           /* one more, 0: none */
    const char *more;
    int begins_days, ends_days; /* from now */
    bool other_issuer, other_signer;
    EVP_PKEY *key; /* NULL: own_key */
};
#define OPENSSL_CA .basic = "critical,CA:TRUE", .identifier = "hash", .ends_days = 3650
#define KUBEADM_CA OPENSSL_CA, .usage = "critical,digitalSignature,keyEncipherment,keyCertSign"

static void foreign_extend(X509 *x509, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, x509, x509, NULL, NULL, 0);
    if (!value)
        return;
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    assert_non_null(extension);
    assert_int_equal(X509_add_ext(x509, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

static void entry_add(X509_NAME *name, const char *field, const char *text)
{
    assert_int_equal(X509_NAME_add_entry_by_txt(name, field, MBSTRING_ASC, (const uint8_t *)text, -1, -1, 0), 1);
}

/* Serial 0, as kubeadm's CAs had it for years, and a name with attributes that Ensign does not write. */
static void foreign_certificate(const struct foreign *foreign, struct bytes *ret_der)
{
    CLEANUP(X509_auto) X509 *x509 = X509_new();
    EVP_PKEY *key = foreign->key ? foreign->key : own_key;
    X509_NAME *name = X509_get_subject_name(x509);
    entry_add(name, "C", "IN");
    entry_add(name, "OU", "a unit");
    entry_add(name, "CN", "kubernetes");
    X509_set_version(x509, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(x509), 0);
    X509_gmtime_adj(X509_getm_notBefore(x509), (long)foreign->begins_days * DAY);
    X509_gmtime_adj(X509_getm_notAfter(x509), (long)foreign->ends_days * DAY);
    X509_set_pubkey(x509, key);
    X509_set_issuer_name(x509, name);
    if (foreign->other_issuer)
        entry_add(X509_get_issuer_name(x509), "CN", "another");
    foreign_extend(x509, NID_basic_constraints, foreign->basic);
    foreign_extend(x509, NID_key_usage, foreign->usage);
    foreign_extend(x509, NID_subject_key_identifier, foreign->identifier);
    if (foreign->more_nid)
        foreign_extend(x509, foreign->more_nid, foreign->more);
    assert_true(X509_sign(x509, foreign->other_signer ? other_key : key,
                          EVP_PKEY_is_a(key, "ED25519") ? NULL : EVP_sha256()) > 0);
    uint8_t *der = NULL;
    int size = i2d_X509(x509, &der);
    assert_true(size > 0);
    bytes_append(ret_der, der, (size_t)size);
    OPENSSL_free(der);
}

/* ---- which certificates are taken ---- */

static enum err foreign_judge(const struct foreign *foreign, struct fault *f)
{
    AUTO(bytes) der = {0};
    AUTO(certificate) certificate = {0};
    foreign_certificate(foreign, &der);
    TRY(certificate_parse_authority(bytes_span(&der), &certificate, f));
    return foreign_authority_check(&certificate, EXTENDED_SERVER_AUTH | EXTENDED_CLIENT_AUTH, time(NULL), f);
}

static void test_certificates(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        struct foreign foreign;
        enum code expected;
        const char *text; /* in the fault's line */
    } cases[] = {
        {"openssl's, without keyUsage", {OPENSSL_CA}, CODE_NONE, ""},
        {"kubeadm's", {KUBEADM_CA}, CODE_NONE, ""},
        {"with pathlen 0", {.basic = "critical,CA:TRUE,pathlen:0", .ends_days = 1}, CODE_NONE, ""},
        {"without a key identifier", {.basic = "critical,CA:TRUE", .ends_days = 1}, CODE_NONE, ""},
        {"for TLS only", {KUBEADM_CA, .more_nid = NID_ext_key_usage, .more = "serverAuth,clientAuth"}, CODE_NONE, ""},
        {"without basicConstraints", {.identifier = "hash", .ends_days = 1}, CODE_INVALID, "not a CA"},
        {"a leaf", {.basic = "CA:FALSE", .ends_days = 1}, CODE_INVALID, "not a CA"},
        {"that signs CRLs only",
         {.basic = "critical,CA:TRUE", .usage = "cRLSign", .ends_days = 1},
         CODE_INVALID,
         "keyCertSign"},
        {"expired", {.basic = "critical,CA:TRUE", .begins_days = -9, .ends_days = -1}, CODE_INVALID, "expired at"},
        {"of tomorrow", {KUBEADM_CA, .begins_days = 1}, CODE_INVALID, "not valid before"},
        {"issued by another", {KUBEADM_CA, .other_issuer = true}, CODE_INVALID, "another CA"},
        {"signed by another key", {KUBEADM_CA, .other_signer = true}, CODE_INVALID, "own key"},
        {"for servers only",
         {KUBEADM_CA, .more_nid = NID_ext_key_usage, .more = "serverAuth"},
         CODE_INVALID,
         "only for certificates for"},
        {"for e-mail only",
         {KUBEADM_CA, .more_nid = NID_ext_key_usage, .more = "emailProtection"},
         CODE_UNSUPPORTED,
         "other usages"},
        {"with a long key identifier",
         {.basic = "critical,CA:TRUE", .identifier = "00:11:22", .ends_days = 1},
         CODE_UNSUPPORTED,
         "20 bytes"},
        {"with an unknown critical extension",
         {KUBEADM_CA, .more_nid = NID_policy_constraints, .more = "critical,requireExplicitPolicy:1"},
         CODE_UNSUPPORTED,
         "critical extension"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct fault f = {0};
        char line[1024];
        foreign_judge(&cases[i].foreign, &f) == OK ? (void)0 : fault_line(&f, line, sizeof line);
        if (f.code != cases[i].expected || (f.code != CODE_NONE && !strstr(line, cases[i].text)))
            fail_msg("%s: %s, %s", cases[i].what, code_name(f.code), f.code ? line : "");
    }
}

/* All that is wrong at once. */
static void test_all_reasons(void **state)
{
    (void)state;
    struct fault f = {0};
    const struct foreign foreign = {
        .basic = "CA:FALSE", .usage = "cRLSign", .ends_days = -1, .begins_days = -2, .other_issuer = true};
    assert_int_equal(foreign_judge(&foreign, &f), ERR_INPUT);
    assert_int_equal(f.reasons_count, 4);
}

static void test_weak_keys(void **state)
{
    (void)state;
    EVP_PKEY *keys[] = {EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)1024),
                        EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2056), EVP_EC_gen("secp256k1"),
                        EVP_EC_gen("P-521"), EVP_PKEY_Q_keygen(NULL, NULL, "ED25519")};
    static const enum code expected[] = {CODE_WEAK_KEY, CODE_WEAK_KEY, CODE_WEAK_KEY, CODE_WEAK_KEY, CODE_UNSUPPORTED};
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        struct fault f = {0};
        const struct foreign foreign = {KUBEADM_CA, .key = keys[i]};
        assert_non_null(keys[i]);
        assert_int_not_equal(foreign_judge(&foreign, &f), OK);
        assert_string_equal(code_name(f.code), code_name(expected[i]));
        EVP_PKEY_free(keys[i]);
    }
}

/* ---- name constraints ---- */

static void test_name_constraints(void **state)
{
    (void)state;
    static const struct {
        const char *constraints;
        enum code expected;
    } cases[] = {
        {"permitted;DNS:example.com", CODE_NONE},
        {"critical,permitted;DNS:example.com,permitted;IP:192.0.2.0/255.255.255.0", CODE_NONE},
        {"permitted;DNS:example.org", CODE_INVALID},
        {"critical,excluded;DNS:one.example.com", CODE_INVALID},
        {"excluded;IP:192.0.2.0/255.255.255.0", CODE_INVALID},
        {"permitted;IP:198.51.100.0/255.255.255.0", CODE_INVALID},
    };
    struct fault f = {0};
    struct address address;
    AUTO(certificate_content) leaf = {.key_usage = USAGE_DIGITAL_SIGNATURE, .extended_key_usage = EXTENDED_SERVER_AUTH};
    strcpy(leaf.subject.common_name, "one");
    assert_ok(alternative_names_add_dns(&leaf.names, "one.example.com", &f), &f);
    assert_ok(address_parse("192.0.2.61", &address, &f), &f);
    assert_ok(alternative_names_add_address(&leaf.names, &address, &f), &f);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        AUTO(bytes) der = {0};
        AUTO(certificate) certificate = {0};
        const struct foreign foreign = {KUBEADM_CA, .more_nid = NID_name_constraints, .more = cases[i].constraints};
        foreign_certificate(&foreign, &der);
        assert_ok(certificate_parse_authority(bytes_span(&der), &certificate, &f), &f);
        assert_true(foreign_constrained(&certificate));
        if (foreign_names_check(&certificate, &leaf, &f) == OK)
            assert_int_equal(cases[i].expected, CODE_NONE);
        assert_string_equal(code_name(f.code), code_name(cases[i].expected));
        fault_clear(&f);
    }
}

/* ---- which keys are taken ---- */

static void own_certificate(struct bytes *ret_der, struct certificate *ret_certificate)
{
    struct fault f = {0};
    const struct foreign foreign = {KUBEADM_CA};
    foreign_certificate(&foreign, ret_der);
    assert_ok(certificate_parse_authority(bytes_span(ret_der), ret_certificate, &f), &f);
}

static void secret_of(struct span plain, struct secret *ret_secret)
{
    struct fault f = {0};
    assert_ok(secret_new(plain.size + 1, ret_secret, &f), &f); /* never of no bytes */
    memcpy(ret_secret->data, plain.data, plain.size);
    ret_secret->size = plain.size;
}

static void test_keys_refused(void **state)
{
    (void)state;
    enum { OWN, OTHER, SHORT, LONG, GARBAGE, CURVE, COUNT };
    static const enum code expected[COUNT] = {CODE_NONE,      CODE_INVALID,   CODE_MALFORMED,
                                              CODE_MALFORMED, CODE_MALFORMED, CODE_INVALID};
    const struct grant grant = {.extended_key_usage = EXTENDED_SERVER_AUTH, .lifetime_max_seconds = DAY};
    struct bytes keys[COUNT] = {0};
    AUTO(bytes) der = {0};
    AUTO(certificate) certificate = {0};
    EVP_PKEY *curve = EVP_EC_gen("P-384");
    own_certificate(&der, &certificate);
    key_pkcs8(own_key, &keys[OWN]);
    key_pkcs8(other_key, &keys[OTHER]);
    key_pkcs8(curve, &keys[CURVE]);
    bytes_append(&keys[SHORT], keys[OWN].data, keys[OWN].size - 1);
    bytes_append_span(&keys[LONG], bytes_span(&keys[OWN]));
    bytes_append(&keys[LONG], "", 1);
    bytes_append_text(&keys[GARBAGE], "-----BEGIN PRIVATE KEY-----");
    for (size_t i = 0; i < COUNT; i++) {
        struct fault f = {0};
        AUTO(bytes) blob = {0};
        AUTO(secret) pkcs8 = {0};
        secret_of(bytes_span(&keys[i]), &pkcs8);
        enum err err = key_import_authority(&seal, &pkcs8, &certificate, &grant, &blob, &f);
        assert_string_equal(code_name(f.code), code_name(expected[i]));
        assert_int_equal(err == OK, blob.size > 0);
        bytes_free(&keys[i]);
    }
    EVP_PKEY_free(curve);
}

static void test_boxes(void **state)
{
    (void)state;
    struct fault f = {0};
    AUTO(bytes) box = {0};
    AUTO(secret) plain = {0};
    AUTO(import_key) key = {0}, next = {0};
    assert_ok(import_key_new(&key, &f), &f);
    assert_ok(import_key_new(&next, &f), &f); /* as of a signer that was started again */
    box_make(key.public_key, span_text("a key"), &box);
    assert_ok(import_key_open(&key, bytes_span(&box), &plain, &f), &f);
    assert_true(span_equal(span(plain.data, plain.size), span_text("a key")));
    AUTO(secret) none = {0};
    assert_fault(import_key_open(&next, bytes_span(&box), &none, &f), &f, CODE_CONFLICT);
    box.data[box.size - 1] ^= 1;
    assert_fault(import_key_open(&key, bytes_span(&box), &none, &f), &f, CODE_CONFLICT);
    static const uint8_t large[64 * 1024];
    assert_fault(import_key_open(&key, SPAN_OF(large), &none, &f), &f, CODE_INVALID);
    assert_fault(import_key_open(&key, span(box.data, crypto_box_SEALBYTES), &none, &f), &f, CODE_INVALID);
    assert_fault(import_key_open(&key, span(NULL, 0), &none, &f), &f, CODE_INVALID);
    assert_null(none.data);
}

/* ---- what an imported CA signs ---- */

static void signer_import(const struct bytes *certificate, EVP_PKEY *key, struct bytes *ret_blob)
{
    struct fault f = {0};
    AUTO(bytes) pkcs8 = {0}, box = {0};
    uint8_t public_key[IMPORT_PUBLIC_KEY_SIZE];
    key_pkcs8(key, &pkcs8);
    assert_ok(signer_import_key(signer, public_key, &f), &f);
    box_make(public_key, bytes_span(&pkcs8), &box);
    const struct import_request request = {.certificate = bytes_span(certificate),
                                           .box = bytes_span(&box),
                                           .extended_key_usage = EXTENDED_SERVER_AUTH,
                                           .lifetime_max_seconds = 30 * (int64_t)DAY,
                                           .now = time(NULL)};
    assert_ok(signer_import_authority(signer, &request, ret_blob, &f), &f);
}

static void leaf_sign(struct span blob, const struct certificate *ca, struct certificate *ret_leaf)
{
    struct fault f = {0}, why = {0};
    AUTO(bytes) draft = {0};
    struct certificate_content content;
    struct authority authority = {.issuer = {.name = ca->body.subject_name, .algorithm = ca->public_key.algorithm}};
    memcpy(authority.issuer.key_identifier, ca->body.subject_key_identifier, KEY_IDENTIFIER_SIZE);
    leaf_content("one", &content);
    draft_make(&authority, &content, &draft);
    struct signing signing = {.blob = blob, .draft = bytes_span(&draft), .fault = &why};
    assert_ok(signer_sign(signer, &signing, 1, &f), &f);
    assert_ok(signing.err, &why);
    assert_ok(certificate_parse(bytes_span(&signing.certificate), ret_leaf, &f), &f);
    bytes_free(&signing.certificate);
}

static void assert_verifies(const struct certificate *leaf, const struct certificate *ca)
{
    struct fault f = {0};
    const uint8_t *at = leaf->der.data;
    CLEANUP(EVP_PKEY_auto) EVP_PKEY *key = NULL;
    CLEANUP(X509_auto) X509 *x509 = d2i_X509(NULL, &at, (long)leaf->der.size);
    assert_ok(certificate_check_issuer(leaf, ca, time(NULL), &f), &f);
    assert_ok(public_key_evp(&ca->public_key, &key, &f), &f);
    assert_int_equal(X509_verify(x509, key), 1);
}

static void test_signs_and_is_reissued(void **state)
{
    (void)state;
    for (enum key_algorithm algorithm = KEY_NONE + 1; algorithm < KEY_ALGORITHM_COUNT; algorithm++) {
        struct fault f = {0};
        CLEANUP(EVP_PKEY_auto) EVP_PKEY *key = NULL;
        AUTO(bytes) der = {0}, blob = {0}, again_der = {0};
        AUTO(certificate) ca = {0}, again = {0}, leaf = {0};
        uint8_t serial[SERIAL_SIZE];
        assert_ok(key_generate(algorithm, &key, &f), &f);
        const struct foreign foreign = {KUBEADM_CA, .key = key};
        foreign_certificate(&foreign, &der);
        assert_ok(certificate_parse_authority(bytes_span(&der), &ca, &f), &f);
        /* SHA-1 of the key, not what Ensign would write */
        assert_memory_not_equal(ca.body.subject_key_identifier, ca.public_key.key_identifier, KEY_IDENTIFIER_SIZE);
        signer_import(&der, key, &blob);
        leaf_sign(bytes_span(&blob), &ca, &leaf);
        assert_memory_equal(leaf.body.authority_key_identifier, ca.body.subject_key_identifier, KEY_IDENTIFIER_SIZE);
        assert_verifies(&leaf, &ca);

        serial_make(time(NULL), 0, serial);
        assert_ok(signer_reissue_authority(signer, bytes_span(&blob), serial, time(NULL) - 300, &again_der, &f), &f);
        assert_ok(certificate_parse_authority(bytes_span(&again_der), &again, &f), &f);
        assert_true(again.body.content.key_usage & USAGE_CRL_SIGN && !(ca.body.content.key_usage & USAGE_CRL_SIGN));
        assert_true(span_equal(again.body.subject_name, ca.body.subject_name));
        assert_true(span_equal(again.body.spki, ca.body.spki));
        assert_memory_equal(again.body.subject_key_identifier, ca.body.subject_key_identifier, KEY_IDENTIFIER_SIZE);
        assert_memory_equal(again.body.serial, serial, SERIAL_SIZE);
        assert_int_equal(again.body.content.not_after, ca.body.content.not_after);
        assert_verifies(&leaf, &again);
        assert_verifies(&again, &again);
    }
}

/* The grant holds for an imported key, too, and a log's key is no CA's. */
static void test_limits(void **state)
{
    (void)state;
    struct fault f = {0}, why = {0};
    AUTO(bytes) der = {0}, blob = {0}, log = {0}, draft = {0}, none = {0};
    AUTO(certificate) ca = {0};
    struct certificate_content content;
    uint8_t public_key[LOG_PUBLIC_KEY_SIZE];
    const uint8_t serial[SERIAL_SIZE] = {1};
    own_certificate(&der, &ca);
    signer_import(&der, own_key, &blob);
    struct authority authority = {.issuer = {.name = ca.body.subject_name, .algorithm = ca.public_key.algorithm}};
    memcpy(authority.issuer.key_identifier, ca.body.subject_key_identifier, KEY_IDENTIFIER_SIZE);
    leaf_content("one", &content);
    content.extended_key_usage = EXTENDED_CLIENT_AUTH;
    draft_make(&authority, &content, &draft);
    struct signing signing = {.blob = bytes_span(&blob), .draft = bytes_span(&draft), .fault = &why};
    assert_ok(signer_sign(signer, &signing, 1, &f), &f);
    assert_int_equal(signing.err, ERR_DENIED);
    assert_ok(signer_make_log(signer, "a.example", &log, public_key, &f), &f);
    assert_fault(signer_reissue_authority(signer, bytes_span(&log), serial, 1, &none, &f), &f, CODE_POLICY_DENIED);
    assert_fault(signer_reissue_authority(signer, bytes_span(&blob), serial, INT64_C(4102444800), &none, &f), &f,
                 CODE_INVALID); /* it would begin after its end */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_certificates), cmocka_unit_test(test_all_reasons),
        cmocka_unit_test(test_weak_keys),    cmocka_unit_test(test_name_constraints),
        cmocka_unit_test(test_keys_refused), cmocka_unit_test(test_boxes),
        cmocka_unit_test(test_limits),       cmocka_unit_test(test_signs_and_is_reissued),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
