/* Keys and their grants: what stands in the blob is what the key signs, and nobody can change it. */
#include <sodium.h>
#include <string.h>
#include <time.h>

#include "hsm/key.h"
#include "hsm/key_cache.h"
#include "tests/unit/hsm/fixture.h"

enum { DAY = 86400 };

static struct house house;
static struct seal seal;

static int group_setup(void **state)
{
    (void)state;
    struct fault f = {0};
    house_open(&house);
    assert_ok(seal_open(&house.config, house.state, &seal, &f), &f);
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    seal_cleanup(&seal);
    house_close(&house);
    return 0;
}

/* A CA whose key is made here, without a signer. */
static void local_authority(enum key_algorithm algorithm, unsigned extended_key_usage, struct authority *ret_authority)
{
    struct fault f = {0};
    struct certificate_content content;
    struct grant grant;
    uint8_t serial[SERIAL_SIZE];
    *ret_authority = (struct authority){0};
    authority_content(&content, &grant);
    grant.extended_key_usage = extended_key_usage;
    serial_make(time(NULL), 0, serial);
    assert_ok(key_make_authority(&seal, algorithm, &content, &grant, serial, &ret_authority->blob,
                                 &ret_authority->certificate, &f),
              &f);
    authority_read(ret_authority);
}

static void test_each_algorithm(void **state)
{
    (void)state;
    for (enum key_algorithm algorithm = KEY_NONE + 1; algorithm < KEY_ALGORITHM_COUNT; algorithm++) {
        struct fault f = {0};
        CLEANUP(authority_cleanup) struct authority authority;
        CLEANUP(key_auto) struct key *key = NULL;
        AUTO(bytes) draft = {0}, certificate = {0};
        local_authority(algorithm, EXTENDED_SERVER_AUTH, &authority);
        assert_int_equal(authority.issuer.algorithm, algorithm);
        assert_ok(key_open(&seal, bytes_span(&authority.blob), &key, &f), &f);
        leaf_draft(&authority, "etcdone", &draft);
        assert_ok(key_sign_certificate(key, bytes_span(&draft), &certificate, &f), &f);
        assert_true(certificate_good(&authority, bytes_span(&draft), bytes_span(&certificate)));
    }
}

static void test_authority_refused(void **state)
{
    (void)state;
    static const struct {
        bool authority;
        unsigned extended_key_usage;
        int64_t lifetime;
    } cases[] = {
        {false, EXTENDED_SERVER_AUTH, DAY},
        {true, 1U << 5, DAY},
        {true, EXTENDED_SERVER_AUTH, 0},
        {true, EXTENDED_SERVER_AUTH, -1},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct fault f = {0};
        struct certificate_content content;
        struct grant grant;
        const uint8_t serial[SERIAL_SIZE] = {1};
        struct bytes blob = {0}, certificate = {0};
        authority_content(&content, &grant);
        content.authority = cases[i].authority;
        grant.extended_key_usage = cases[i].extended_key_usage;
        grant.lifetime_max_seconds = cases[i].lifetime;
        assert_fault(key_make_authority(&seal, KEY_ECDSA_P256, &content, &grant, serial, &blob, &certificate, &f), &f,
                     CODE_INVALID);
        assert_null(blob.data);
        assert_null(certificate.data);
    }
}

/* Each row spoils one thing of a draft that is fine without it. */
static void spoil_nothing(struct certificate_content *content)
{
    (void)content;
}
static void spoil_usage(struct certificate_content *content)
{
    content->extended_key_usage |= EXTENDED_CLIENT_AUTH;
}
static void spoil_lifetime(struct certificate_content *content)
{
    content->not_after = content->not_before + 30 * (int64_t)DAY + 1;
}
static void spoil_end(struct certificate_content *content)
{
    content->not_before += 3649 * (int64_t)DAY;
    content->not_after = content->not_before + 2 * (int64_t)DAY;
}
static void spoil_authority(struct certificate_content *content)
{
    content->authority = true;
    content->key_usage = USAGE_DIGITAL_SIGNATURE | USAGE_KEY_CERT_SIGN | USAGE_CRL_SIGN;
    content->extended_key_usage = 0;
}

static void test_grant_holds(void **state)
{
    (void)state;
    static const struct {
        void (*spoil)(struct certificate_content *content);
        bool allowed;
    } cases[] = {
        {spoil_nothing, true}, {spoil_usage, false},     {spoil_lifetime, false},
        {spoil_end, false},    {spoil_authority, false},
    };
    struct fault f = {0};
    CLEANUP(authority_cleanup) struct authority authority;
    CLEANUP(key_auto) struct key *key = NULL;
    local_authority(KEY_ECDSA_P256, EXTENDED_SERVER_AUTH, &authority);
    assert_ok(key_open(&seal, bytes_span(&authority.blob), &key, &f), &f);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct certificate_content content;
        AUTO(bytes) draft = {0}, certificate = {0};
        leaf_content("etcdone", &content);
        cases[i].spoil(&content);
        draft_make(&authority, &content, &draft);
        enum err err = key_sign_certificate(key, bytes_span(&draft), &certificate, &f);
        assert_int_equal(err, cases[i].allowed ? OK : ERR_DENIED);
        assert_int_equal(certificate.size > 0, cases[i].allowed);
        fault_clear(&f);
    }
}

static void test_draft_of_another_issuer_refused(void **state)
{
    (void)state;
    struct fault f = {0};
    CLEANUP(authority_cleanup) struct authority ours, theirs;
    CLEANUP(key_auto) struct key *key = NULL;
    AUTO(bytes) draft = {0};
    struct bytes certificate = {0};
    local_authority(KEY_ECDSA_P256, EXTENDED_SERVER_AUTH, &ours);
    local_authority(KEY_ECDSA_P256, EXTENDED_SERVER_AUTH, &theirs);
    assert_ok(key_open(&seal, bytes_span(&ours.blob), &key, &f), &f);
    leaf_draft(&theirs, "etcdone", &draft); /* the same name, another key identifier */
    assert_fault(key_sign_certificate(key, bytes_span(&draft), &certificate, &f), &f, CODE_POLICY_DENIED);
    assert_int_not_equal(key_sign_certificate(key, span_text("not a draft"), &certificate, &f), OK);
    assert_int_not_equal(key_sign_certificate(key, span(NULL, 0), &certificate, &f), OK);
    assert_null(certificate.data);
}

/* Two blobs that differ in their grants alone, cut and put together in every place: none opens but the whole ones. */
static void test_grants_cannot_be_swapped(void **state)
{
    (void)state;
    struct fault f = {0};
    CLEANUP(authority_cleanup) struct authority narrow, wide;
    local_authority(KEY_ECDSA_P256, EXTENDED_SERVER_AUTH, &narrow);
    local_authority(KEY_ECDSA_P256, EXTENDED_SERVER_AUTH | EXTENDED_CLIENT_AUTH, &wide);
    assert_int_equal(narrow.blob.size, wide.blob.size);
    size_t size = wide.blob.size, opened = 0;
    for (size_t cut = 0; cut <= size; cut++) {
        AUTO(bytes) mixed = {0};
        CLEANUP(key_auto) struct key *key = NULL;
        bytes_append(&mixed, wide.blob.data, cut);
        bytes_append(&mixed, narrow.blob.data + cut, size - cut);
        if (key_open(&seal, bytes_span(&mixed), &key, &f) != OK)
            continue;
        opened++;
        assert_true(span_equal(bytes_span(&mixed), bytes_span(&wide.blob)) ||
                    span_equal(bytes_span(&mixed), bytes_span(&narrow.blob)));
    }
    assert_in_range(opened, 2, 3); /* three, because byte 0 is the version of both */
}

static void test_blob_bits(void **state)
{
    (void)state;
    struct fault f = {0};
    struct key *key = NULL;
    CLEANUP(authority_cleanup) struct authority authority;
    local_authority(KEY_ECDSA_P256, EXTENDED_SERVER_AUTH, &authority);
    for (size_t bit = 0; bit < 8 * authority.blob.size; bit++) {
        authority.blob.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_fault(key_open(&seal, bytes_span(&authority.blob), &key, &f), &f, CODE_DAMAGED);
        authority.blob.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_ok(key_open(&seal, bytes_span(&authority.blob), &key, &f), &f);
    key_free(key);
}

static void test_log_key(void **state)
{
    (void)state;
    struct fault f = {0};
    CLEANUP(key_auto) struct key *log = NULL, *other = NULL;
    CLEANUP(authority_cleanup) struct authority authority;
    AUTO(bytes) blob = {0}, text = {0}, foreign = {0}, draft = {0};
    uint8_t public_key[LOG_PUBLIC_KEY_SIZE], signature[LOG_SIGNATURE_SIZE];
    struct bytes certificate = {0};
    assert_ok(key_make_log(&seal, "ensign.example/log", &blob, public_key, &f), &f);
    assert_ok(key_open(&seal, bytes_span(&blob), &log, &f), &f);
    assert_memory_equal(key_log_public(log), public_key, sizeof public_key);

    struct checkpoint checkpoint = {.origin = "ensign.example/log", .size = 5};
    checkpoint_text(&checkpoint, &text);
    assert_ok(key_sign_checkpoint(log, bytes_span(&text), signature, &f), &f);
    assert_int_equal(crypto_sign_verify_detached(signature, text.data, text.size, public_key), 0);

    checkpoint = (struct checkpoint){.origin = "other.example/log", .size = 5};
    checkpoint_text(&checkpoint, &foreign);
    assert_fault(key_sign_checkpoint(log, bytes_span(&foreign), signature, &f), &f, CODE_POLICY_DENIED);
    assert_int_not_equal(key_sign_checkpoint(log, span_text("anything else"), signature, &f), OK);
    fault_clear(&f);

    local_authority(KEY_ECDSA_P256, EXTENDED_SERVER_AUTH, &authority);
    assert_ok(key_open(&seal, bytes_span(&authority.blob), &other, &f), &f);
    assert_fault(key_sign_checkpoint(other, bytes_span(&text), signature, &f), &f, CODE_POLICY_DENIED);
    leaf_draft(&authority, "etcdone", &draft);
    assert_fault(key_sign_certificate(log, bytes_span(&draft), &certificate, &f), &f, CODE_POLICY_DENIED);
    assert_fault(key_make_log(&seal, "two words", &blob, public_key, &f), &f, CODE_INVALID);
}

/* A key that was pushed out of the cache is good for as long as somebody has it. */
static void test_cache(void **state)
{
    (void)state;
    enum { KEYS = 1500 };
    struct fault f = {0};
    struct key_cache *cache = NULL;
    struct cached_key *first = NULL, *again = NULL;
    AUTO(bytes) blob = {0};
    uint8_t public_key[LOG_PUBLIC_KEY_SIZE], other_key[LOG_PUBLIC_KEY_SIZE];
    assert_ok(key_cache_new(&seal, &cache, &f), &f);
    assert_ok(key_make_log(&seal, "first", &blob, public_key, &f), &f);
    assert_ok(key_cache_get(cache, bytes_span(&blob), &first, &f), &f);
    assert_ok(key_cache_get(cache, bytes_span(&blob), &again, &f), &f);
    assert_ptr_equal(first, again);
    key_cache_release(cache, again);

    for (size_t i = 0; i < KEYS; i++) {
        AUTO(bytes) other = {0};
        struct cached_key *opened = NULL;
        assert_ok(key_make_log(&seal, "other", &other, other_key, &f), &f);
        assert_ok(key_cache_get(cache, bytes_span(&other), &opened, &f), &f);
        assert_memory_equal(key_log_public(cached_key(opened)), other_key, sizeof other_key);
        key_cache_release(cache, opened);
    }
    assert_memory_equal(key_log_public(cached_key(first)), public_key, sizeof public_key);
    assert_ok(key_cache_get(cache, bytes_span(&blob), &again, &f), &f);
    assert_memory_equal(key_log_public(cached_key(again)), public_key, sizeof public_key);
    assert_fault(key_cache_get(cache, span_text("no blob"), &(struct cached_key *){NULL}, &f), &f, CODE_DAMAGED);
    key_cache_release(cache, first);
    key_cache_release(cache, again);
    key_cache_free(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_algorithm),
        cmocka_unit_test(test_authority_refused),
        cmocka_unit_test(test_grant_holds),
        cmocka_unit_test(test_draft_of_another_issuer_refused),
        cmocka_unit_test(test_grants_cannot_be_swapped),
        cmocka_unit_test(test_blob_bits),
        cmocka_unit_test(test_log_key),
        cmocka_unit_test(test_cache),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
