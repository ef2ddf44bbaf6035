/* Checkpoints: the text that is read is the text that is written; a note of the harness's own key verifies exactly when
 * its text is a checkpoint of that log, and no other note does. */
#include "ca/log/checkpoint.h"

#include <sodium.h>
#include <string.h>

#include "ca/base/encode.h"
#include "tests/fuzz/fuzz.h"

enum { TEXT, NOTE, VERIFIER, CHOICES };

static const char origin[] = "example.com/log";

struct log_key {
    uint8_t public_key[LOG_PUBLIC_KEY_SIZE], private_key[crypto_sign_SECRETKEYBYTES];
    char verifier[LOG_VERIFIER_TEXT_MAX + 1];
};

static const struct log_key *log_key(void)
{
    static const uint8_t seed[crypto_sign_SEEDBYTES] = {7};
    static struct log_key key;
    crypto_sign_seed_keypair(key.public_key, key.private_key, seed);
    log_verifier_text(origin, key.public_key, key.verifier);
    return &key;
}

/* Any text, signed. */
static void note_make(struct span text, struct bytes *out)
{
    const struct log_key *key = log_key();
    struct checkpoint checkpoint = {.size = 0};
    uint8_t signature[LOG_SIGNATURE_SIZE];
    AUTO(bytes) note = {0}, unsigned_text = {0};
    strcpy(checkpoint.origin, origin);
    crypto_sign_detached(signature, NULL, text.data, text.size, key->private_key);
    checkpoint_note(&checkpoint, key->public_key, signature, &note);
    checkpoint_text(&checkpoint, &unsigned_text);
    bytes_append_span(out, text);
    bytes_append(out, note.data + unsigned_text.size, note.size - unsigned_text.size);
}

static void text_hold(struct span text)
{
    struct checkpoint checkpoint, verified;
    AUTO(bytes) again = {0}, note = {0};
    struct fault *f = fuzz_fault();
    fuzz_fresh(&checkpoint, sizeof checkpoint);
    bool good = fuzz_kept(checkpoint_parse_text(text, &checkpoint, f), f, &checkpoint, sizeof checkpoint);
    if (good) {
        checkpoint_text(&checkpoint, &again);
        HOLDS(span_equal(bytes_span(&again), text));
    }
    note_make(text, &note);
    f = fuzz_fault();
    fuzz_fresh(&verified, sizeof verified);
    bool verifies = fuzz_kept(checkpoint_verify(bytes_span(&note), log_key()->verifier, &verified, f), f, &verified,
                              sizeof verified);
    if (!memmem(text.data, text.size, "\n\n", 2)) /* which ends the text of a note */
        HOLDS(verifies == (good && strcmp(checkpoint.origin, origin) == 0));
    HOLDS(!verifies || good);
}

/* What verifies begins with a text that verifies with its own signature: another would be a forgery. */
static void note_hold(struct span note)
{
    struct checkpoint checkpoint;
    struct fault *f = fuzz_fault();
    AUTO(bytes) text = {0}, own = {0};
    fuzz_fresh(&checkpoint, sizeof checkpoint);
    if (!fuzz_kept(checkpoint_verify(note, log_key()->verifier, &checkpoint, f), f, &checkpoint, sizeof checkpoint))
        return;
    checkpoint_text(&checkpoint, &text);
    note_make(bytes_span(&text), &own);
    HOLDS(span_starts(note, bytes_span(&text)) && strcmp(checkpoint.origin, origin) == 0);
    HOLDS(memmem(note.data, note.size, own.data + text.size + 1, own.size - text.size - 1));
}

static void verifier_hold(const char *verifier)
{
    struct checkpoint checkpoint = {.size = 1};
    struct fault *f = fuzz_fault();
    AUTO(bytes) text = {0}, note = {0};
    strcpy(checkpoint.origin, origin);
    checkpoint_text(&checkpoint, &text);
    note_make(bytes_span(&text), &note);
    fuzz_fresh(&checkpoint, sizeof checkpoint);
    if (fuzz_kept(checkpoint_verify(bytes_span(&note), verifier, &checkpoint, f), f, &checkpoint, sizeof checkpoint))
        HOLDS(strcmp(verifier, log_key()->verifier) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = span(data, size);
    uint8_t choice = fuzz_choice(&input, CHOICES);
    AUTO(bytes) text = {0};
    fuzz_must(bytes_copy(input, &text, fuzz_fault()), fuzz_fault());
    (void)log_origin_valid(bytes_text(&text));
    if (choice == TEXT)
        text_hold(input);
    else if (choice == NOTE)
        note_hold(input);
    else
        verifier_hold(bytes_text(&text));
    return 0;
}

void fuzz_seeds(void)
{
    struct checkpoint checkpoint = {.size = UINT64_MAX};
    AUTO(bytes) text = {0}, note = {0};
    strcpy(checkpoint.origin, origin);
    checkpoint_text(&checkpoint, &text);
    note_make(bytes_span(&text), &note);
    fuzz_seed_choice(TEXT, bytes_span(&text));
    fuzz_seed_choice(NOTE, bytes_span(&note));
    bytes_append_text(&note, "\xe2\x80\x94 witness AAAAAAAA\n");
    fuzz_seed_choice(NOTE, bytes_span(&note));
    fuzz_seed_choice(VERIFIER, span_text(log_key()->verifier));
    fuzz_seed_choice(TEXT, span_text("a\n0\nAAAA\n"));
}
