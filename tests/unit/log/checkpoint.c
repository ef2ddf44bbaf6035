#include "ca/log/checkpoint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "ca/base/encode.h"

/* The key and the note of golang.org/x/mod/sumdb/note, the reference implementation of signed notes. */
static const char PETER_VERIFIER[] = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
static const char PETER_SIGNER[] = "AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
static const char PETER_NOTE[] =
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "\xe2\x80\x94 PeterNeumann "
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

#define ROOT "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I="
#define DASH "\xe2\x80\x94 "

struct signer {
    uint8_t public_key[LOG_PUBLIC_KEY_SIZE];
    uint8_t secret_key[crypto_sign_SECRETKEYBYTES];
};

static void signer_make(uint8_t seed_byte, struct signer *ret_signer)
{
    uint8_t seed[crypto_sign_SEEDBYTES];
    memset(seed, seed_byte, sizeof seed);
    assert_int_equal(crypto_sign_seed_keypair(ret_signer->public_key, ret_signer->secret_key, seed), 0);
}

static void peter_make(struct signer *ret_signer)
{
    struct fault f = {0};
    AUTO(bytes) typed_seed = {0};
    assert_int_equal(base64_decode(span_text(PETER_SIGNER), &typed_seed, &f), OK);
    assert_int_equal(typed_seed.size, 1 + crypto_sign_SEEDBYTES);
    crypto_sign_seed_keypair(ret_signer->public_key, ret_signer->secret_key, typed_seed.data + 1);
}

/* A note of any text, so that a signature can stand under a text that is no checkpoint. */
static void note_make(const char *text, const char *name, const struct signer *signer, struct bytes *out)
{
    struct checkpoint named = {0};
    uint8_t signature[LOG_SIGNATURE_SIZE];
    AUTO(bytes) note = {0};
    crypto_sign_detached(signature, NULL, (const uint8_t *)text, strlen(text), signer->secret_key);
    strcpy(named.origin, name);
    checkpoint_note(&named, signer->public_key, signature, &note);
    bytes_append_text(out, text);
    bytes_append_text(out, strstr(bytes_text(&note), "\n\n") + 1);
}

static enum code verify(struct span note, const char *verifier)
{
    struct fault f = {0};
    struct checkpoint untouched, checkpoint;
    memset(&untouched, 0xaa, sizeof untouched);
    checkpoint = untouched;
    enum err err = checkpoint_verify(note, verifier, &checkpoint, &f);
    assert_int_equal(err, code_err(f.code));
    if (err != OK)
        assert_memory_equal(&checkpoint, &untouched, sizeof checkpoint);
    return f.code;
}

static void the_reference_verifier_and_signature_come_out_the_same(void **state)
{
    (void)state;
    struct signer peter;
    char verifier[LOG_VERIFIER_TEXT_MAX + 1];
    AUTO(bytes) note = {0};
    peter_make(&peter);
    log_verifier_text("PeterNeumann", peter.public_key, verifier);
    assert_string_equal(verifier, PETER_VERIFIER);

    AUTO(bytes) text = {0};
    bytes_append(&text, PETER_NOTE, (size_t)(strstr(PETER_NOTE, "\n\n") + 1 - PETER_NOTE));
    note_make(bytes_text(&text), "PeterNeumann", &peter, &note);
    assert_string_equal(bytes_text(&note), PETER_NOTE);
}

/* Its signature is good, but the text is no checkpoint; with one letter changed the signature is no longer good. */
static void the_reference_note_is_signed_but_no_checkpoint(void **state)
{
    (void)state;
    char changed[sizeof PETER_NOTE];
    memcpy(changed, PETER_NOTE, sizeof changed);
    changed[0] = 'i';
    assert_int_equal(verify(span_text(PETER_NOTE), PETER_VERIFIER), CODE_MALFORMED);
    assert_int_equal(verify(span_text(changed), PETER_VERIFIER), CODE_UNTRUSTED);
}

static void texts_are_read_as_written(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {0, 1, 20852163, INT64_MAX, UINT64_MAX};
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        struct fault f = {0};
        struct checkpoint checkpoint = {.origin = "ensign.example/log", .size = sizes[i], .root = {{7, 8, 9}}}, again;
        AUTO(bytes) text = {0};
        checkpoint_text(&checkpoint, &text);
        assert_int_equal(checkpoint_parse_text(bytes_span(&text), &again, &f), OK);
        assert_string_equal(again.origin, checkpoint.origin);
        assert_int_equal(again.size, checkpoint.size);
        assert_memory_equal(again.root.data, checkpoint.root.data, MERKLE_HASH_SIZE);
    }
}

static void other_texts_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum code code;
    } rows[] = {
        {"ensign.example/log\n5\n" ROOT "\n", CODE_NONE}, /* control */
        {"", CODE_MALFORMED},
        {"\n", CODE_MALFORMED},
        {"ensign.example/log\n5\n" ROOT, CODE_MALFORMED},
        {"ensign.example/log\r\n5\n" ROOT "\n", CODE_MALFORMED},
        {"\n5\n" ROOT "\n", CODE_MALFORMED},
        {"ensign example\n5\n" ROOT "\n", CODE_MALFORMED},
        {"ensign+example\n5\n" ROOT "\n", CODE_MALFORMED},
        {"ensign\xc2\xa0"
         "example\n5\n" ROOT "\n",
         CODE_MALFORMED},
        {"ensign.example/log\n\n" ROOT "\n", CODE_MALFORMED},
        {"ensign.example/log\n05\n" ROOT "\n", CODE_MALFORMED},
        {"ensign.example/log\n+5\n" ROOT "\n", CODE_MALFORMED},
        {"ensign.example/log\n-5\n" ROOT "\n", CODE_MALFORMED},
        {"ensign.example/log\n 5\n" ROOT "\n", CODE_MALFORMED},
        {"ensign.example/log\n0x5\n" ROOT "\n", CODE_MALFORMED},
        {"ensign.example/log\n18446744073709551616\n" ROOT "\n", CODE_MALFORMED},
        {"ensign.example/log\n99999999999999999999999999\n" ROOT "\n", CODE_MALFORMED},
        {"ensign.example/log\n5\n\n", CODE_MALFORMED},
        {"ensign.example/log\n5\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2=\n", CODE_MALFORMED},
        {"ensign.example/log\n5\nCsUYapGGPo4dkMgIAUqom_Xajj7h2fB2MPA3j2jxq2I=\n", CODE_MALFORMED},
        {"ensign.example/log\n5\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2J=\n", CODE_MALFORMED},
        {"ensign.example/log\n5\n" ROOT "\nextension\n", CODE_MALFORMED},
        {"ensign.example/log\n5\n" ROOT "\n\n", CODE_MALFORMED},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct fault f = {0};
        struct checkpoint checkpoint;
        enum err err = checkpoint_parse_text(span_text(rows[i].text), &checkpoint, &f);
        if (f.code != rows[i].code)
            print_error("%s", rows[i].text);
        assert_int_equal(f.code, rows[i].code);
        assert_int_equal(err, code_err(rows[i].code));
    }
    static const char with_nul[] = "ensign\0example\n5\n" ROOT "\n";
    struct fault f = {0};
    struct checkpoint checkpoint;
    assert_int_equal(checkpoint_parse_text(span(with_nul, sizeof with_nul - 1), &checkpoint, &f), ERR_INPUT);
}

static void origins_are_checked(void **state)
{
    (void)state;
    char longest[LOG_ORIGIN_MAX + 2];
    memset(longest, 'a', sizeof longest);
    longest[LOG_ORIGIN_MAX + 1] = '\0';
    assert_false(log_origin_valid(longest));
    longest[LOG_ORIGIN_MAX] = '\0';
    assert_true(log_origin_valid(longest));

    static const char *const bad[] = {"",
                                      "a b",
                                      "a+b",
                                      "a\tb",
                                      "a\nb",
                                      "a\x7f",
                                      ("a\xe2\x80\x83"
                                       "b"),
                                      " a",
                                      "a "};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_false(log_origin_valid(bad[i]));
    assert_true(log_origin_valid("ensign.example/log-1~"));
}

#define TEXT_5 "ensign.example/log\n5\n" ROOT "\n"
static const char NAME[] = "ensign.example/log";

static void signed_checkpoints_are_verified(void **state)
{
    (void)state;
    struct signer signer;
    struct fault f = {0};
    struct checkpoint checkpoint;
    char verifier[LOG_VERIFIER_TEXT_MAX + 1];
    AUTO(bytes) note = {0};
    signer_make(1, &signer);
    log_verifier_text(NAME, signer.public_key, verifier);
    note_make(TEXT_5, NAME, &signer, &note);
    assert_int_equal(checkpoint_verify(bytes_span(&note), verifier, &checkpoint, &f), OK);
    assert_string_equal(checkpoint.origin, NAME);
    assert_int_equal(checkpoint.size, 5);
}

/* Every bit of a note counts, up to those that make another key of its signature line. */
static void no_changed_note_is_accepted(void **state)
{
    (void)state;
    struct signer signer;
    char verifier[LOG_VERIFIER_TEXT_MAX + 1];
    AUTO(bytes) note = {0};
    signer_make(1, &signer);
    log_verifier_text(NAME, signer.public_key, verifier);
    note_make(TEXT_5, NAME, &signer, &note);
    assert_int_equal(verify(bytes_span(&note), verifier), CODE_NONE);
    for (size_t i = 0; i < note.size * 8; i++) {
        note.data[i / 8] ^= (uint8_t)(1 << i % 8);
        assert_int_not_equal(verify(bytes_span(&note), verifier), CODE_NONE);
        note.data[i / 8] ^= (uint8_t)(1 << i % 8);
    }
    for (size_t size = 0; size < note.size; size++)
        assert_int_not_equal(verify(span(note.data, size), verifier), CODE_NONE);
}

/* The name that is in the text, the name and the key that sign it, and what a verifier for NAME and key 1 says. */
static void only_the_key_of_the_log_counts(void **state)
{
    (void)state;
    static const struct {
        const char *text, *name;
        uint8_t key;
        enum code code;
    } rows[] = {
        {TEXT_5, "ensign.example/log", 1, CODE_NONE}, /* control */
        {TEXT_5, "ensign.example/log", 2, CODE_UNTRUSTED},
        {TEXT_5, "ensign.example/other", 1, CODE_UNTRUSTED},
        {"ensign.example/other\n5\n" ROOT "\n", "ensign.example/log", 1, CODE_UNTRUSTED},
        {"ensign.example/log\n5\n" ROOT "\nmore\n", "ensign.example/log", 1, CODE_MALFORMED},
    };
    struct signer trusted;
    char verifier[LOG_VERIFIER_TEXT_MAX + 1];
    signer_make(1, &trusted);
    log_verifier_text(NAME, trusted.public_key, verifier);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct signer signer;
        AUTO(bytes) note = {0};
        signer_make(rows[i].key, &signer);
        note_make(rows[i].text, rows[i].name, &signer, &note);
        assert_int_equal(verify(bytes_span(&note), verifier), rows[i].code);
    }
}

static void witnesses_may_sign_too(void **state)
{
    (void)state;
    static const char unknown[] = DASH "witness.example +vjK1gEBAQEBAQEBAQEBAQ==\n";
    struct signer signer;
    char verifier[LOG_VERIFIER_TEXT_MAX + 1];
    AUTO(bytes) note = {0};
    signer_make(1, &signer);
    log_verifier_text(NAME, signer.public_key, verifier);
    note_make(TEXT_5, NAME, &signer, &note);
    const char *own_line = strstr(bytes_text(&note), "\n\n") + 2;

    const struct {
        const char *lines[3];
        enum code code;
    } rows[] = {
        {{own_line, unknown}, CODE_NONE},
        {{unknown, own_line}, CODE_NONE},
        {{own_line, own_line}, CODE_NONE},
        {{unknown}, CODE_UNTRUSTED},
        {{""}, CODE_UNTRUSTED},
        {{own_line, "witness.example +vjK1gEB\n"}, CODE_MALFORMED},
        {{own_line, DASH "witness.example\n"}, CODE_MALFORMED},
        {{own_line, DASH "witness.example ####\n"}, CODE_MALFORMED},
        {{own_line, DASH " +vjK1gEB\n"}, CODE_MALFORMED},
        {{own_line, DASH "witness.example +vjK1g==\n"}, CODE_MALFORMED},
        {{own_line, "\n"}, CODE_MALFORMED},
        {{own_line, DASH "witness.example +vjK1gEB"}, CODE_MALFORMED},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        AUTO(bytes) whole = {0};
        bytes_append_text(&whole, TEXT_5 "\n");
        for (size_t line = 0; line < 3 && rows[i].lines[line]; line++)
            bytes_append_text(&whole, rows[i].lines[line]);
        assert_int_equal(verify(bytes_span(&whole), verifier), rows[i].code);
    }
}

static void mangled_verifiers_are_refused(void **state)
{
    (void)state;
    struct signer signer;
    char verifier[LOG_VERIFIER_TEXT_MAX + 1];
    AUTO(bytes) note = {0};
    signer_make(1, &signer);
    log_verifier_text(NAME, signer.public_key, verifier);
    note_make(TEXT_5, NAME, &signer, &note);
    assert_int_equal(verify(bytes_span(&note), verifier), CODE_NONE);
    for (size_t i = 0; verifier[i]; i++) {
        char *whole = strdup(verifier);
        verifier[i]++;
        assert_int_equal(verify(bytes_span(&note), verifier), CODE_MALFORMED);
        verifier[i]--;
        whole[i] = '\0';
        assert_int_equal(verify(bytes_span(&note), whole), CODE_MALFORMED);
        assert_int_equal(verify(bytes_span(&note), verifier + i + 1), CODE_MALFORMED);
        free(whole);
    }
    static const char *const bad[] = {
        "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==", /* longer, id adjusted */
        "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",         /* other type, id adjusted */
        "PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(verify(bytes_span(&note), bad[i]), CODE_MALFORMED);
}

int main(void)
{
    if (sodium_init() < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_reference_verifier_and_signature_come_out_the_same),
        cmocka_unit_test(the_reference_note_is_signed_but_no_checkpoint),
        cmocka_unit_test(texts_are_read_as_written),
        cmocka_unit_test(other_texts_are_refused),
        cmocka_unit_test(origins_are_checked),
        cmocka_unit_test(signed_checkpoints_are_verified),
        cmocka_unit_test(no_changed_note_is_accepted),
        cmocka_unit_test(only_the_key_of_the_log_counts),
        cmocka_unit_test(witnesses_may_sign_too),
        cmocka_unit_test(mangled_verifiers_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
