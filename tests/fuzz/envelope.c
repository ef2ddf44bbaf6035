/* Envelopes and sealing keys: whatever a sender with a good identity signs and seals is opened as the key that was
 * shared, or refused; what another has signed is refused; the text of a sealing key comes out as it went in. */
#include "client/envelope.h"

#include <sodium.h>
#include <string.h>

#include "ca/base/pack.h"
#include "client/files.h"
#include "client/keys.h"
#include "tests/fuzz/fuzz.h"

enum { SEAL, CONTENT, SEALED, SIGNATURE, PAIR, SIGNER, CHOICES };

static struct {
    EVP_PKEY *key;
    struct certificate certificate; /* of the sender: the key is all that counts here */
    struct sealing_pair pair;       /* the receiver's */
    struct bytes private_pem, spki; /* the shared key */
} test;

static void test_make(void)
{
    static struct bytes spki;
    CLEANUP(EVP_PKEY_auto) EVP_PKEY *shared = NULL;
    struct fault *f = fuzz_fault();
    if (test.key)
        return;
    fuzz_must(key_generate(KEY_ECDSA_P256, &test.key, f), f);
    fuzz_must(key_spki(test.key, &spki, f), f);
    fuzz_must(public_key_parse(bytes_span(&spki), &test.certificate.public_key, f), f);
    fuzz_must(sealing_pair_make(&test.pair, f), f);
    fuzz_must(key_make_pem(KEY_ECDSA_P256, &test.private_pem, f), f);
    fuzz_must(key_read_pem(bytes_span(&test.private_pem), &shared, f), f);
    fuzz_must(key_spki(shared, &test.spki, f), f);
}

static struct envelope_subject subject(void)
{
    return (struct envelope_subject){"lab", "sa", 1, "mastertwo", test.pair.public_key, bytes_span(&test.spki)};
}

/* As client/envelope.c has it; the seed with the right content is the control that it is the same. */
static void subject_append(const char *word, struct bytes *out)
{
    const struct envelope_subject what = subject();
    pack_text(out, word);
    pack_text(out, what.cluster);
    pack_text(out, what.name);
    pack_u32(out, what.generation);
    pack_text(out, what.receiver);
    pack_fixed(out, span(what.sealing_key, SEALING_KEY_SIZE));
    pack_span(out, what.spki);
}

static void sealed_sign(struct span sealed, struct bytes *ret_signature)
{
    AUTO(bytes) text = {0};
    subject_append("ensign shared key envelope v1", &text);
    pack_text(&text, "masterone");
    pack_span(&text, sealed);
    fuzz_must(key_sign(test.key, KEY_ECDSA_P256, bytes_span(&text), ret_signature, fuzz_fault()), fuzz_fault());
}

/* True when it was opened, which only the shared key itself is. */
static bool opens(struct span sealed, struct span signature)
{
    const struct envelope_subject what = subject();
    struct bytes pem;
    struct fault *f = fuzz_fault();
    fuzz_fresh(&pem, sizeof pem);
    if (!fuzz_kept(envelope_open(&test.certificate, "masterone", &what, sealed, signature, &test.pair, &pem, f), f,
                   &pem, sizeof pem))
        return false;
    CLEANUP(EVP_PKEY_auto) EVP_PKEY *key = NULL;
    AUTO(bytes) spki = {0};
    fuzz_must(key_read_pem(bytes_span(&pem), &key, f), f);
    fuzz_must(key_spki(key, &spki, f), f);
    HOLDS(span_equal(bytes_span(&spki), bytes_span(&test.spki)));
    secret_cleanup(&pem);
    return true;
}

static void seal_hold(struct span pem)
{
    const struct signer_identity sender = {"masterone", test.key, KEY_ECDSA_P256};
    const struct envelope_subject what = subject();
    AUTO(bytes) sealed = {0}, signature = {0};
    struct fault *f = fuzz_fault();
    if (envelope_seal(&sender, &what, pem, &sealed, &signature, f) != OK) {
        HOLDS(f->code == CODE_TOO_LARGE);
        return;
    }
    bool opened = opens(bytes_span(&sealed), bytes_span(&signature));
    HOLDS(opened || !span_equal(pem, bytes_span(&test.private_pem)));
}

/* Sealed to the receiver and signed by the sender, with anything in it. */
static bool content_opens(struct span content)
{
    AUTO(bytes) sealed = {0}, signature = {0};
    uint8_t *box = malloc(content.size + crypto_box_SEALBYTES);
    HOLDS(box && crypto_box_seal(box, content.data, content.size, test.pair.public_key) == 0);
    bytes_append(&sealed, box, content.size + crypto_box_SEALBYTES);
    free(box);
    sealed_sign(bytes_span(&sealed), &signature);
    return opens(bytes_span(&sealed), bytes_span(&signature));
}

/* The input is what stands behind the subject. */
static void content_hold(struct span tail)
{
    AUTO(bytes) content = {0};
    subject_append("ensign shared key v1", &content);
    bytes_append_span(&content, tail);
    content_opens(bytes_span(&content));
    HOLDS(!content_opens(tail) || span_starts(tail, span(content.data, content.size - tail.size)));
}

static void sealed_hold(struct span sealed)
{
    AUTO(bytes) signature = {0};
    sealed_sign(sealed, &signature);
    HOLDS(!opens(sealed, bytes_span(&signature)));
}

static void signature_hold(struct span signature)
{
    const struct signer_identity sender = {"masterone", test.key, KEY_ECDSA_P256};
    const struct envelope_subject what = subject();
    AUTO(bytes) sealed = {0}, good = {0};
    fuzz_must(envelope_seal(&sender, &what, bytes_span(&test.private_pem), &sealed, &good, fuzz_fault()), fuzz_fault());
    HOLDS(opens(bytes_span(&sealed), bytes_span(&good)));
    HOLDS(!opens(bytes_span(&sealed), signature));
    struct fault *f = fuzz_fault();
    HOLDS(sealing_key_check(&test.certificate, "lab", "masterone", test.pair.public_key, signature, f) == ERR_AUTH);
}

static void pair_hold(struct span text)
{
    struct sealing_pair pair, again;
    AUTO(bytes) written = {0};
    struct fault *f = fuzz_fault();
    fuzz_fresh(&pair, sizeof pair);
    if (!fuzz_kept(sealing_pair_read(text, &pair, f), f, &pair, sizeof pair))
        return;
    sealing_pair_write(&pair, &written);
    fuzz_must(sealing_pair_read(bytes_span(&written), &again, f), f);
    HOLDS(memcmp(&pair, &again, sizeof pair) == 0);
}

static void signer_hold(struct span pem)
{
    static const uint8_t pin[SHA256_SIZE];
    struct certificate certificate;
    struct fault *f = fuzz_fault();
    fuzz_fresh(&certificate, sizeof certificate);
    HOLDS(!fuzz_kept(signer_read(pem, "masterone", pem, pin, 1800000000, &certificate, f), f, &certificate,
                     sizeof certificate));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const holds[CHOICES])(struct span input) = {
        [SEAL] = seal_hold, [CONTENT] = content_hold,     [SEALED] = sealed_hold,
        [PAIR] = pair_hold, [SIGNATURE] = signature_hold, [SIGNER] = signer_hold};
    struct span input = span(data, size);
    uint8_t choice = fuzz_choice(&input, CHOICES);
    test_make();
    holds[choice](input);
    return 0;
}

void fuzz_seeds(void)
{
    AUTO(bytes) content = {0}, tail = {0}, text = {0};
    test_make();
    pack_span(&tail, bytes_span(&test.private_pem));
    subject_append("ensign shared key v1", &content);
    bytes_append_span(&content, bytes_span(&tail));
    HOLDS(content_opens(bytes_span(&content)));
    fuzz_seed_choice(SEAL, bytes_span(&test.private_pem));
    fuzz_seed_choice(CONTENT, bytes_span(&tail));
    fuzz_seed_choice(CONTENT, bytes_span(&content));
    fuzz_seed_choice(SEALED, bytes_span(&content));
    fuzz_seed_choice(SIGNATURE, SPAN_OF("\x30\x06\x02\x01\x01\x02\x01\x01"));
    sealing_pair_write(&test.pair, &text);
    fuzz_seed_choice(PAIR, bytes_span(&text));
    fuzz_seed_choice(SIGNER, span_text("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"));
}
