#include "ca/x509/crl.h"

#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "ca/x509/grant.h"
#include "tests/unit/x509/fixture.h"

AUTO_POINTER(X509_CRL, X509_CRL_free)

static struct crl crl_of(const struct ca *ca, struct crl_entry *entries, size_t count)
{
    struct crl crl = {.signature_algorithm = signature_algorithm(ca->algorithm),
                      .issuer_name = bytes_span(&ca->name),
                      .number = 7,
                      .this_update = FIXTURE_START,
                      .next_update = FIXTURE_START + FIXTURE_DAY,
                      .entries = entries,
                      .entries_count = count};
    memcpy(crl.authority_key_identifier, ca->issuer.key_identifier, KEY_IDENTIFIER_SIZE);
    return crl;
}

static void entries_fill(struct crl_entry *entries, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        entries[i] = (struct crl_entry){.serial = {0x0c, (uint8_t)(i >> 8), (uint8_t)i},
                                        .revoked_at = FIXTURE_START - (int64_t)i,
                                        .reason = i % 6 == 0 ? 9 : (uint8_t)(i % 6)};
    }
}

static void sign(const struct ca *ca, struct span draft, struct bytes *ret_der)
{
    expect(draft_sign(draft, test_key(ca->algorithm), ca->algorithm, ret_der, &fault), OK);
}

static X509_CRL *openssl_read(const struct bytes *der)
{
    const uint8_t *end = der->data;
    X509_CRL *crl = d2i_X509_CRL(NULL, &end, (long)der->size);
    assert_non_null(crl);
    assert_ptr_equal(end, der->data + der->size);
    return crl;
}

/* By OpenSSL alone: signature, number, entries; then our reader, which gives the same back. */
static void every_algorithm(void **state)
{
    (void)state;
    for (enum key_algorithm i = KEY_NONE + 1; i < KEY_ALGORITHM_COUNT; i++) {
        AUTO(ca) ca;
        AUTO(bytes) draft = {0};
        AUTO(bytes) der = {0};
        AUTO(crl) again = {0};
        struct crl_entry entries[20];
        ca_make(i, "kubernetes", true, &ca);
        entries_fill(entries, ARRAY_SIZE(entries));
        struct crl crl = crl_of(&ca, entries, ARRAY_SIZE(entries));
        expect(crl_build(&crl, &draft, &fault), OK);
        sign(&ca, bytes_span(&draft), &der);
        CLEANUP(X509_CRL_auto) X509_CRL *read = openssl_read(&der);
        assert_int_equal(X509_CRL_verify(read, test_key(i)), 1);
        assert_int_equal(X509_CRL_get_version(read), X509_CRL_VERSION_2);
        assert_int_equal(sk_X509_REVOKED_num(X509_CRL_get_REVOKED(read)), ARRAY_SIZE(entries));
        X509_REVOKED *first = sk_X509_REVOKED_value(X509_CRL_get_REVOKED(read), 0);
        ASN1_ENUMERATED *reason = X509_REVOKED_get_ext_d2i(first, NID_crl_reason, NULL, NULL);
        assert_int_equal(ASN1_ENUMERATED_get(reason), 9);
        ASN1_ENUMERATED_free(reason);

        expect(crl_parse_signed(bytes_span(&der), &again, &fault), OK);
        assert_int_equal(again.number, 7);
        assert_int_equal(again.this_update, crl.this_update);
        assert_int_equal(again.next_update, crl.next_update);
        assert_int_equal(again.entries_count, ARRAY_SIZE(entries));
        for (size_t j = 0; j < ARRAY_SIZE(entries); j++) {
            assert_memory_equal(again.entries[j].serial, entries[j].serial, SERIAL_SIZE);
            assert_int_equal(again.entries[j].revoked_at, entries[j].revoked_at);
            assert_int_equal(again.entries[j].reason, entries[j].reason);
        }
        assert_non_null(crl_find(&again, entries[13].serial));
        entries[13].serial[19] = 1;
        assert_null(crl_find(&again, entries[13].serial));
    }
}

/* An empty list is none at all; "unspecified" is not written. */
static void what_is_left_out(void **state)
{
    (void)state;
    AUTO(bytes) draft = {0};
    AUTO(bytes) der = {0};
    AUTO(bytes) with = {0};
    AUTO(crl) again = {0};
    struct crl_entry entry = {.serial = {1}, .revoked_at = FIXTURE_START};
    struct crl crl = crl_of(&etcd_ca, NULL, 0);
    expect(crl_build(&crl, &draft, &fault), OK);
    sign(&etcd_ca, bytes_span(&draft), &der);
    CLEANUP(X509_CRL_auto) X509_CRL *read = openssl_read(&der);
    assert_null(X509_CRL_get_REVOKED(read));
    crl.entries = &entry;
    crl.entries_count = 1;
    expect(crl_build(&crl, &with, &fault), OK);
    bytes_free(&der);
    sign(&etcd_ca, bytes_span(&with), &der);
    CLEANUP(X509_CRL_auto) X509_CRL *one = openssl_read(&der);
    assert_int_equal(X509_REVOKED_get_ext_count(sk_X509_REVOKED_value(X509_CRL_get_REVOKED(one), 0)), 0);
    expect(crl_parse(bytes_span(&with), &again, &fault), OK);
    assert_int_equal(again.entries[0].reason, 0);
}

/* As many as there may be fit into a message to the signer, also with the times of after 2049. */
static void the_largest(void **state)
{
    (void)state;
    enum { MESSAGE_SIZE_MAX = 192 * 1024, BLOB_MAX = 8 * 1024, YEAR_2060 = 90 * 365 };
    AUTO(bytes) draft = {0};
    AUTO(crl) again = {0};
    struct crl_entry *entries = calloc(CRL_ENTRIES_MAX + 1, sizeof *entries);
    assert_non_null(entries);
    entries_fill(entries, CRL_ENTRIES_MAX + 1);
    for (size_t i = 0; i <= CRL_ENTRIES_MAX; i++)
        entries[i].revoked_at = YEAR_2060 * FIXTURE_DAY, entries[i].reason = 1;
    struct crl crl = crl_of(&etcd_ca, entries, CRL_ENTRIES_MAX);
    crl.this_update = YEAR_2060 * FIXTURE_DAY;
    crl.next_update = crl.this_update + FIXTURE_DAY;
    expect(crl_build(&crl, &draft, &fault), OK);
    assert_true(draft.size + BLOB_MAX < MESSAGE_SIZE_MAX);
    expect(crl_parse(bytes_span(&draft), &again, &fault), OK);
    crl.entries_count++;
    bytes_free(&draft);
    expect_code(crl_build(&crl, &draft, &fault), CODE_TOO_LARGE);
    free(entries);
}

static void what_cannot_be(void **state)
{
    (void)state;
    struct crl_entry good[2];
    entries_fill(good, 2);
    struct crl crl = crl_of(&etcd_ca, good, 2), wrong[8];
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
        wrong[i] = crl;
    wrong[0].number = 0;
    wrong[1].next_update = wrong[1].this_update;
    wrong[2].this_update = -1;
    static struct crl_entry rows[5][2];
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        memcpy(rows[i], good, sizeof good);
        wrong[3 + i].entries = rows[i];
    }
    rows[0][1] = rows[0][0];                    /* twice */
    rows[1][0] = good[1], rows[1][1] = good[0]; /* out of order */
    rows[2][0].serial[0] = 0;                   /* shorter */
    rows[3][1].serial[0] = 0x80;                /* negative */
    rows[4][0].reason = 6;                      /* certificateHold */
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        AUTO(bytes) draft = {0};
        expect_code(crl_build(&wrong[i], &draft, &fault), CODE_INTERNAL);
    }
}

/* Each byte that is changed or missing is refused, or read as something else than before. */
static void what_is_damaged(void **state)
{
    (void)state;
    AUTO(bytes) draft = {0};
    struct crl_entry entries[2];
    entries_fill(entries, 2);
    struct crl crl = crl_of(&etcd_ca, entries, 2);
    expect(crl_build(&crl, &draft, &fault), OK);
    size_t refused = 0;
    for (size_t i = 0; i < draft.size; i++) {
        AUTO(crl) read = {0};
        AUTO(bytes) again = {0};
        draft.data[i] ^= 0x41;
        enum err err = crl_parse(bytes_span(&draft), &read, &fault);
        if (err == OK) {
            expect(crl_build(&read, &again, &fault), OK);
            assert_true(span_equal(bytes_span(&again), bytes_span(&draft)));
        } else {
            assert_int_equal(err, ERR_INPUT);
            refused++;
        }
        fault_clear(&fault);
        draft.data[i] ^= 0x41;
        AUTO(crl) cut = {0};
        expect(crl_parse(span(draft.data, i), &cut, &fault), ERR_INPUT);
    }
    assert_in_range(refused, draft.size / 3, draft.size - 1);
}

static void what_the_key_may_sign(void **state)
{
    (void)state;
    AUTO(ca) other;
    ca_make(KEY_ECDSA_P384, "other", true, &other);
    AUTO(grant) grant = {.kind = GRANT_AUTHORITY, .algorithm = etcd_ca.algorithm};
    expect(bytes_copy(bytes_span(&etcd_ca.name), &grant.issuer_name, &fault), OK);
    memcpy(grant.key_identifier, etcd_ca.issuer.key_identifier, KEY_IDENTIFIER_SIZE);
    struct crl good = crl_of(&etcd_ca, NULL, 0), wrong = crl_of(&other, NULL, 0);
    expect(grant_check_crl(&grant, &good, &fault), OK);
    expect(grant_check_crl(&grant, &wrong, &fault), ERR_DENIED);
    wrong = good;
    wrong.next_update = wrong.this_update + CRL_LIFE_MAX_SECONDS + 1;
    expect(grant_check_crl(&grant, &wrong, &fault), ERR_DENIED);
    grant.kind = GRANT_LOG;
    expect(grant_check_crl(&grant, &good, &fault), ERR_DENIED);
}

static void reasons(void **state)
{
    (void)state;
    uint8_t code = 0;
    for (size_t i = 0; crl_reason_words[i]; i++) {
        assert_true(crl_reason_by_word(crl_reason_words[i], &code));
        assert_string_equal(crl_reason_word(code), crl_reason_words[i]);
    }
    assert_int_equal(code, 9);
    assert_false(crl_reason_by_word("certificateHold", &code));
    assert_null(crl_reason_word(6));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_algorithm), cmocka_unit_test(what_is_left_out), cmocka_unit_test(the_largest),
        cmocka_unit_test(what_cannot_be),  cmocka_unit_test(what_is_damaged),  cmocka_unit_test(what_the_key_may_sign),
        cmocka_unit_test(reasons),
    };
    return cmocka_run_group_tests(tests, etcd_ca_setup, etcd_ca_teardown);
}
