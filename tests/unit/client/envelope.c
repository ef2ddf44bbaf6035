/* Sealing keys and envelopes: what opens, and that nothing else does. */
#include "client/envelope.h"

#include <stdio.h>
#include <string.h>

#include "ca/base/pack.h"
#include "client/files.h"
#include "client/keys.h"
#include "tests/unit/client/fixture.h"
#include "tests/unit/client/pki.h"

enum { NOW = 1800000000, DAY = 86400 };

static struct pair ca_key, other_ca_key, one_key, two_key;
static struct sealing_pair receiver_pair, other_pair;
static struct bytes private_pem, shared_spki, other_spki;

static void shared_key_make(struct bytes *ret_pem, struct bytes *ret_spki)
{
    struct fault f = {0};
    CLEANUP(EVP_PKEY_auto) EVP_PKEY *key = NULL;
    assert_int_equal(key_make_pem(KEY_ECDSA_P256, ret_pem, &f), OK);
    assert_int_equal(key_read_pem(bytes_span(ret_pem), &key, &f), OK);
    assert_int_equal(key_spki(key, ret_spki, &f), OK);
}

static int keys_make(void **state)
{
    (void)state;
    struct fault f = {0};
    AUTO(bytes) other_pem = {0};
    pair_make(&ca_key);
    pair_make(&other_ca_key);
    pair_make(&one_key);
    pair_make(&two_key);
    assert_int_equal(sealing_pair_make(&receiver_pair, &f), OK);
    assert_int_equal(sealing_pair_make(&other_pair, &f), OK);
    shared_key_make(&private_pem, &shared_spki);
    shared_key_make(&other_pem, &other_spki);
    return 0;
}

static int keys_drop(void **state)
{
    (void)state;
    pair_drop(&ca_key);
    pair_drop(&other_ca_key);
    pair_drop(&one_key);
    pair_drop(&two_key);
    bytes_free(&private_pem);
    bytes_free(&shared_spki);
    bytes_free(&other_spki);
    return 0;
}

/* A node's identity certificate, PEM. */
static void identity_write(const char *node, const struct pair *key, const struct pair *ca, int64_t not_after,
                           struct bytes *out)
{
    struct certificate_content content = {.key_usage = USAGE_DIGITAL_SIGNATURE,
                                          .extended_key_usage = EXTENDED_CLIENT_AUTH,
                                          .not_before = NOW - DAY,
                                          .not_after = not_after};
    snprintf(content.subject.common_name, sizeof content.subject.common_name, "%s", node);
    pair_certificate_write(&content, &key->public_key, ca, "service-ca", NOW, out);
}

static struct certificate identity(const char *node, const struct pair *key)
{
    struct fault f = {0};
    AUTO(bytes) pem = {0};
    struct certificate certificate = {0};
    identity_write(node, key, &ca_key, NOW + DAY, &pem);
    assert_int_equal(certificate_parse_pem(bytes_span(&pem), &certificate, &f), OK);
    return certificate;
}

static struct signer_identity signer(const char *node, const struct pair *key)
{
    return (struct signer_identity){node, key->key, KEY_ECDSA_P256};
}

/* ---- who signs ---- */

static void only_a_valid_identity_of_the_pinned_ca_is_taken(void **state)
{
    (void)state;
    static const struct {
        const char *what, *node;
        const struct pair *ca, *shown_ca;
        int64_t not_after;
        bool good;
    } rows[] = {
        {"the node's own", "one", &ca_key, &ca_key, NOW + DAY, true},
        {"another node's", "two", &ca_key, &ca_key, NOW + DAY, false},
        {"of another CA", "one", &other_ca_key, &ca_key, NOW + DAY, false},
        {"of another CA, which is shown", "one", &other_ca_key, &other_ca_key, NOW + DAY, false},
        {"expired", "one", &ca_key, &ca_key, NOW - 1, false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct fault f = {0};
        AUTO(bytes) pem = {0};
        AUTO(bytes) ca_pem = {0};
        AUTO(certificate) certificate = {0};
        identity_write(rows[i].node, &one_key, rows[i].ca, rows[i].not_after, &pem);
        pair_ca_write(rows[i].shown_ca, "service-ca", NOW, &ca_pem);
        enum err err = signer_read(bytes_span(&pem), "one", bytes_span(&ca_pem), ca_key.public_key.spki_sha256, NOW,
                                   &certificate, &f);
        if ((err == OK) != rows[i].good)
            fail_msg("%s: %s", rows[i].what, f.text);
        if (!rows[i].good)
            assert_int_equal(f.code, CODE_UNTRUSTED);
    }
}

static void a_sealing_key_is_taken_only_as_it_was_signed(void **state)
{
    (void)state;
    struct fault f = {0};
    AUTO(bytes) signature = {0};
    AUTO(certificate) one = identity("one", &one_key);
    AUTO(certificate) two = identity("two", &two_key);
    const struct signer_identity sender = signer("one", &one_key);
    assert_int_equal(sealing_key_sign(&sender, "lab", receiver_pair.public_key, &signature, &f), OK);
    const struct {
        const char *what;
        const struct certificate *signer;
        const char *cluster, *node;
        const uint8_t *key;
        bool good;
    } rows[] = {
        {"as signed", &one, "lab", "one", receiver_pair.public_key, true},
        {"another signer", &two, "lab", "one", receiver_pair.public_key, false},
        {"another cluster", &one, "live", "one", receiver_pair.public_key, false},
        {"another node", &one, "lab", "two", receiver_pair.public_key, false},
        {"another key", &one, "lab", "one", other_pair.public_key, false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct fault why = {0};
        enum err err =
            sealing_key_check(rows[i].signer, rows[i].cluster, rows[i].node, rows[i].key, bytes_span(&signature), &why);
        if ((err == OK) != rows[i].good || (!rows[i].good && why.code != CODE_UNTRUSTED))
            fail_msg("%s: %s", rows[i].what, why.text);
    }
}

/* ---- envelopes ---- */

static struct envelope_subject subject_right(void)
{
    return (struct envelope_subject){"lab", "sa", 3, "two", receiver_pair.public_key, bytes_span(&shared_spki)};
}

static enum err envelope_try(const struct pair *key, const char *sender, const struct envelope_subject *subject,
                             const struct bytes *sealed, const struct bytes *signature, const struct sealing_pair *pair,
                             struct fault *f)
{
    AUTO(certificate) certificate = identity(sender, key);
    CLEANUP(secret_cleanup) struct bytes opened = {0};
    enum err err =
        envelope_open(&certificate, sender, subject, bytes_span(sealed), bytes_span(signature), pair, &opened, f);
    if (err == OK)
        assert_true(span_equal(bytes_span(&opened), bytes_span(&private_pem)));
    return err;
}

static void an_envelope_opens_only_as_what_it_was_sealed(void **state)
{
    (void)state;
    struct fault f = {0};
    AUTO(bytes) sealed = {0};
    AUTO(bytes) signature = {0};
    const struct signer_identity sender = signer("one", &one_key);
    const struct envelope_subject right = subject_right();
    const struct {
        const char *what;
        struct envelope_subject subject;
        const struct pair *key;
        const char *sender;
        const struct sealing_pair *pair;
        bool good;
    } rows[] = {
        {"as sealed", right, &one_key, "one", &receiver_pair, true},
        {"another cluster",
         {"live", "sa", 3, "two", receiver_pair.public_key, right.spki},
         &one_key,
         "one",
         &receiver_pair,
         false},
        {"another name",
         {"lab", "sb", 3, "two", receiver_pair.public_key, right.spki},
         &one_key,
         "one",
         &receiver_pair,
         false},
        {"generation before",
         {"lab", "sa", 2, "two", receiver_pair.public_key, right.spki},
         &one_key,
         "one",
         &receiver_pair,
         false},
        {"generation after",
         {"lab", "sa", 4, "two", receiver_pair.public_key, right.spki},
         &one_key,
         "one",
         &receiver_pair,
         false},
        {"another receiver",
         {"lab", "sa", 3, "three", receiver_pair.public_key, right.spki},
         &one_key,
         "one",
         &receiver_pair,
         false},
        {"another sealing key",
         {"lab", "sa", 3, "two", other_pair.public_key, right.spki},
         &one_key,
         "one",
         &receiver_pair,
         false},
        {"another public key",
         {"lab", "sa", 3, "two", receiver_pair.public_key, bytes_span(&other_spki)},
         &one_key,
         "one",
         &receiver_pair,
         false},
        {"another signer", right, &two_key, "one", &receiver_pair, false},
        {"another sender", right, &one_key, "two", &receiver_pair, false},
        {"opened by another", right, &one_key, "one", &other_pair, false},
    };
    assert_int_equal(envelope_seal(&sender, &right, bytes_span(&private_pem), &sealed, &signature, &f), OK);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct fault why = {0};
        enum err err =
            envelope_try(rows[i].key, rows[i].sender, &rows[i].subject, &sealed, &signature, rows[i].pair, &why);
        if ((err == OK) != rows[i].good || (!rows[i].good && why.code != CODE_UNTRUSTED))
            fail_msg("%s: %s", rows[i].what, why.text);
    }
}

/* Who can sign, but not open, cannot pass off another's sealed bytes as something else. */
static void sealed_bytes_signed_again_are_refused(void **state)
{
    (void)state;
    struct fault f = {0};
    AUTO(bytes) sealed = {0};
    AUTO(bytes) signature = {0};
    AUTO(bytes) forged = {0};
    const struct signer_identity sender = signer("one", &one_key);
    const struct envelope_subject right = subject_right();
    struct envelope_subject newer = right;
    newer.generation++;
    assert_int_equal(envelope_seal(&sender, &right, bytes_span(&private_pem), &sealed, &signature, &f), OK);
    /* The signature that envelope_seal() makes over the newer subject is over other sealed bytes; so it is made here as
     * pack.h has it. */
    AUTO(bytes) text = {0};
    pack_text(&text, "ensign shared key envelope v1");
    pack_text(&text, newer.cluster);
    pack_text(&text, newer.name);
    pack_u32(&text, newer.generation);
    pack_text(&text, newer.receiver);
    pack_fixed(&text, span(newer.sealing_key, SEALING_KEY_SIZE));
    pack_span(&text, newer.spki);
    pack_text(&text, "one");
    pack_span(&text, bytes_span(&sealed));
    assert_int_equal(key_sign(one_key.key, KEY_ECDSA_P256, bytes_span(&text), &forged, &f), OK);
    assert_int_equal(envelope_try(&one_key, "one", &newer, &sealed, &forged, &receiver_pair, &f), ERR_AUTH);
    assert_non_null(strstr(f.text, "sealed as another one")); /* the signature was good */
}

static void an_envelope_with_another_key_is_refused(void **state)
{
    (void)state;
    struct fault f = {0};
    AUTO(bytes) sealed = {0};
    AUTO(bytes) signature = {0};
    const struct signer_identity sender = signer("one", &one_key);
    struct envelope_subject subject = subject_right();
    subject.spki = bytes_span(&other_spki);
    assert_int_equal(envelope_seal(&sender, &subject, bytes_span(&private_pem), &sealed, &signature, &f), OK);
    assert_int_equal(envelope_try(&one_key, "one", &subject, &sealed, &signature, &receiver_pair, &f), ERR_AUTH);
    assert_non_null(strstr(f.text, "another key"));
}

static void every_changed_bit_is_found(void **state)
{
    (void)state;
    struct fault f = {0};
    AUTO(bytes) sealed = {0};
    AUTO(bytes) signature = {0};
    const struct signer_identity sender = signer("one", &one_key);
    const struct envelope_subject right = subject_right();
    assert_int_equal(envelope_seal(&sender, &right, bytes_span(&private_pem), &sealed, &signature, &f), OK);
    assert_int_equal(envelope_try(&one_key, "one", &right, &sealed, &signature, &receiver_pair, &f), OK);
    struct bytes *parts[] = {&sealed, &signature};
    for (size_t part = 0; part < ARRAY_SIZE(parts); part++)
        for (size_t i = 0; i < parts[part]->size; i += 7) {
            struct fault why = {0};
            parts[part]->data[i] ^= 1;
            assert_int_equal(envelope_try(&one_key, "one", &right, &sealed, &signature, &receiver_pair, &why),
                             ERR_AUTH);
            parts[part]->data[i] ^= 1;
        }
    AUTO(bytes) empty = {0};
    assert_int_equal(envelope_try(&one_key, "one", &right, &empty, &signature, &receiver_pair, &f), ERR_AUTH);
}

/* ---- the file of a sealing key ---- */

static void a_pair_is_read_as_it_was_written(void **state)
{
    (void)state;
    struct fault f = {0};
    AUTO(bytes) text = {0};
    struct sealing_pair pair;
    sealing_pair_write(&receiver_pair, &text);
    assert_int_equal(sealing_pair_read(bytes_span(&text), &pair, &f), OK);
    assert_memory_equal(&pair, &receiver_pair, sizeof pair);
    static const char *const wrong[] = {"", "\n", "abc", "not base64url!",
                                        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"};
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        struct fault why = {0};
        assert_int_equal(sealing_pair_read(span_text(wrong[i]), &pair, &why), ERR_INPUT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_a_valid_identity_of_the_pinned_ca_is_taken),
        cmocka_unit_test(a_sealing_key_is_taken_only_as_it_was_signed),
        cmocka_unit_test(an_envelope_opens_only_as_what_it_was_sealed),
        cmocka_unit_test(sealed_bytes_signed_again_are_refused),
        cmocka_unit_test(an_envelope_with_another_key_is_refused),
        cmocka_unit_test(every_changed_bit_is_found),
        cmocka_unit_test(a_pair_is_read_as_it_was_written),
    };
    return cmocka_run_group_tests(tests, keys_make, keys_drop);
}
