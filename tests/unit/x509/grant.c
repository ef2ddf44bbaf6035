#include "ca/x509/grant.h"

#include <string.h>

#include "tests/unit/x509/fixture.h"

static const int64_t start = 1800000000, day = 86400;

/* A draft that the grant allows; each test breaks one thing. */
struct scene {
    struct grant grant;
    struct draft draft;
    struct bytes spki, issuer_name, der;
};

static void scene_cleanup(struct scene *scene)
{
    grant_cleanup(&scene->grant);
    draft_cleanup(&scene->draft);
    bytes_free(&scene->spki);
    bytes_free(&scene->issuer_name);
    bytes_free(&scene->der);
}

static void scene_make(struct scene *scene)
{
    static const uint8_t serial[SERIAL_SIZE] = {0x0b, 1};
    const struct distinguished_name issuer_name = {"etcd-ca", {{0}}, 0};
    const struct certificate_content content = {.subject = {"kube-apiserver-etcd-client", {{0}}, 0},
                                                .key_usage = USAGE_DIGITAL_SIGNATURE,
                                                .extended_key_usage = EXTENDED_CLIENT_AUTH,
                                                .not_before = start - 300,
                                                .not_after = start + 365 * day};
    struct public_key key;
    *scene = (struct scene){.grant = {.kind = GRANT_AUTHORITY,
                                      .algorithm = KEY_ECDSA_P256,
                                      .extended_key_usage = EXTENDED_CLIENT_AUTH,
                                      .lifetime_max_seconds = 365 * day + 300,
                                      .not_after = start + 365 * day}};
    expect(key_spki(test_key(KEY_ECDSA_P256), &scene->spki, &fault), OK);
    expect(public_key_parse(bytes_span(&scene->spki), &key, &fault), OK);
    expect(distinguished_name_encode(&issuer_name, &scene->grant.issuer_name, &fault), OK);
    expect(bytes_copy(bytes_span(&scene->grant.issuer_name), &scene->issuer_name, &fault), OK);
    memcpy(scene->grant.key_identifier, key.key_identifier, KEY_IDENTIFIER_SIZE);
    struct issuer issuer = {.name = bytes_span(&scene->issuer_name), .algorithm = KEY_ECDSA_P256};
    memcpy(issuer.key_identifier, key.key_identifier, KEY_IDENTIFIER_SIZE);
    expect(draft_build(&content, &issuer, &key, serial, &scene->der, &fault), OK);
    expect(draft_parse(bytes_span(&scene->der), &scene->draft, &fault), OK);
}

static void change_nothing(struct scene *scene)
{
    assert_int_equal(scene->grant.kind, GRANT_AUTHORITY);
}
static void other_issuer(struct scene *scene)
{
    scene->grant.issuer_name.data[scene->grant.issuer_name.size - 1] ^= 1;
}
static void other_algorithm(struct scene *scene)
{
    scene->grant.algorithm = KEY_ECDSA_P384;
}
static void other_key(struct scene *scene)
{
    scene->grant.key_identifier[19] ^= 1;
}
static void no_authority_key(struct scene *scene)
{
    scene->draft.has_authority_key_identifier = false;
}
static void no_subject_key(struct scene *scene)
{
    scene->draft.has_subject_key_identifier = false;
}
static void a_ca(struct scene *scene)
{
    scene->draft.content.authority = true;
}
static void certificate_signer(struct scene *scene)
{
    scene->draft.content.key_usage |= USAGE_KEY_CERT_SIGN;
}
static void crl_signer(struct scene *scene)
{
    scene->draft.content.key_usage |= USAGE_CRL_SIGN;
}
static void more_usage(struct scene *scene)
{
    scene->draft.content.extended_key_usage |= EXTENDED_SERVER_AUTH;
}
static void no_usage(struct scene *scene)
{
    scene->draft.content.extended_key_usage = 0;
}
static void too_long(struct scene *scene)
{
    scene->draft.content.not_before--;
}
static void beyond_the_ca(struct scene *scene)
{
    scene->grant.not_after--;
}
static void backwards(struct scene *scene)
{
    scene->draft.content.not_after = scene->draft.content.not_before - 1;
}
static void negative_serial(struct scene *scene)
{
    scene->draft.serial[0] = 0x80;
}
static void short_serial(struct scene *scene)
{
    scene->draft.serial[0] = 0;
}

static void rules(void **state)
{
    (void)state;
    static const struct {
        const char *label;
        void (*change)(struct scene *scene);
        const char *pointer; /* of the only reason; NULL: granted */
    } table[] = {
        {"control", change_nothing, NULL},
        {"issuer", other_issuer, "/issuer"},
        {"algorithm", other_algorithm, "/signature"},
        {"key", other_key, "/authorityKeyIdentifier"},
        {"no authority key identifier", no_authority_key, "/authorityKeyIdentifier"},
        {"no subject key identifier", no_subject_key, "/subjectKeyIdentifier"},
        {"a CA", a_ca, "/basicConstraints"},
        {"keyCertSign", certificate_signer, "/basicConstraints"},
        {"cRLSign", crl_signer, "/basicConstraints"},
        {"serverAuth", more_usage, "/extendedKeyUsage"},
        {"no extended usage", no_usage, "/extendedKeyUsage"},
        {"one second too long", too_long, "/validity"},
        {"one second beyond the CA", beyond_the_ca, "/validity/notAfter"},
        {"backwards", backwards, "/validity"},
        {"negative serial", negative_serial, "/serialNumber"},
        {"short serial", short_serial, "/serialNumber"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        AUTO(scene) scene;
        scene_make(&scene);
        table[i].change(&scene);
        enum err err = grant_check(&scene.grant, &scene.draft, &fault);
        if (!table[i].pointer) {
            expect(err, OK);
            continue;
        }
        if (err != ERR_DENIED || fault.reasons_count != 1 || strcmp(fault.reasons[0].pointer, table[i].pointer) != 0)
            fail_msg("%s: error %d, %zu reasons, the first: %s", table[i].label, (int)err, fault.reasons_count,
                     fault.reasons[0].pointer);
        fault_clear(&fault);
    }
}

static void every_reason_at_once(void **state)
{
    (void)state;
    AUTO(scene) scene;
    scene_make(&scene);
    other_issuer(&scene);
    more_usage(&scene);
    beyond_the_ca(&scene);
    assert_int_equal(grant_check(&scene.grant, &scene.draft, &fault), ERR_DENIED);
    assert_int_equal(fault.reasons_count, 3);
    fault_clear(&fault);
}

static void log_keys_sign_no_certificates(void **state)
{
    (void)state;
    AUTO(scene) scene;
    scene_make(&scene);
    scene.grant.kind = GRANT_LOG;
    expect_code(grant_check(&scene.grant, &scene.draft, &fault), CODE_POLICY_DENIED);
}

static void packed(void **state)
{
    (void)state;
    AUTO(scene) scene;
    AUTO(bytes) row = {0}, row_again = {0};
    AUTO(grant) again = {0};
    scene_make(&scene);
    strcpy(scene.grant.origin, "ensign.example/log");
    grant_pack(&scene.grant, &row);
    struct unpack in = unpack_begin(bytes_span(&row));
    expect(grant_unpack(&in, &again, &fault), OK);
    expect(unpack_finish(&in, "grant", &fault), OK);
    grant_pack(&again, &row_again);
    assert_true(span_equal(bytes_span(&row), bytes_span(&row_again)));
    assert_string_equal(again.origin, "ensign.example/log");
    assert_int_equal(again.not_after, scene.grant.not_after);
    expect(grant_check(&again, &scene.draft, &fault), OK);
}

static void packed_and_damaged(void **state)
{
    (void)state;
    AUTO(scene) scene;
    AUTO(bytes) row = {0};
    AUTO(grant) again = {0};
    scene_make(&scene);
    grant_pack(&scene.grant, &row);
    for (size_t size = 0; size < row.size; size++) {
        struct unpack in = unpack_begin(span(row.data, size));
        expect_code(grant_unpack(&in, &again, &fault), CODE_DAMAGED);
    }
    static const uint8_t kinds[] = {0, 3, 255};
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        row.data[0] = kinds[i];
        struct unpack in = unpack_begin(bytes_span(&row));
        expect_code(grant_unpack(&in, &again, &fault), CODE_DAMAGED);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules),
        cmocka_unit_test(every_reason_at_once),
        cmocka_unit_test(log_keys_sign_no_certificates),
        cmocka_unit_test(packed),
        cmocka_unit_test(packed_and_damaged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
