/* Sealed blobs: what was sealed is opened again, one changed byte is refused, and any plaintext (which only a holder of
 * the seal key can make) is read as a key or refused; no key does what the other kind does. */
#include <sodium.h>
#include <string.h>

#include "hsm/key.h"
#include "tests/fuzz/fuzz.h"

enum { OPEN, CHANGE, RAW_BLOB, CHOICES };

static const struct seal *test_seal(void)
{
    static struct seal seal;
    if (!seal.key.data) {
        HOLDS(sodium_init() >= 0);
        fuzz_must(secret_new(crypto_aead_xchacha20poly1305_ietf_KEYBYTES, &seal.key, fuzz_fault()), fuzz_fault());
        memset(seal.key.data, 7, seal.key.size);
    }
    return &seal;
}

static void wrap(struct span plain, struct bytes *ret_blob)
{
    AUTO(secret) secret = {0};
    fuzz_must(secret_new(plain.size, &secret, fuzz_fault()), fuzz_fault());
    if (plain.size)
        memcpy(secret.data, plain.data, plain.size);
    fuzz_must(seal_wrap(test_seal(), &secret, ret_blob, fuzz_fault()), fuzz_fault());
}

static void key_hold(const struct key *key)
{
    AUTO(bytes) certificate = {0};
    uint8_t signature[LOG_SIGNATURE_SIZE];
    HOLDS(key_sign_certificate(key, SPAN_OF("no draft"), &certificate, fuzz_fault()) != OK);
    HOLDS(key_sign_checkpoint(key, SPAN_OF("no checkpoint"), signature, fuzz_fault()) != OK);
}

static void open_hold(struct span plain)
{
    AUTO(bytes) blob = {0};
    AUTO(secret) again = {0};
    struct key *key;
    struct fault *f = fuzz_fault();
    wrap(plain, &blob);
    fuzz_must(seal_unwrap(test_seal(), bytes_span(&blob), &again, f), f);
    HOLDS(span_equal(span(again.data, again.size), plain));
    fuzz_fresh(&key, sizeof key);
    if (!fuzz_kept(key_open(test_seal(), bytes_span(&blob), &key, f), f, &key, sizeof key))
        return;
    key_hold(key);
    key_free(key);
}

/* The input: which byte (u16), how it is changed (u8), the plaintext. */
static void change_hold(struct span input)
{
    struct unpack in = unpack_begin(input);
    AUTO(bytes) blob = {0};
    struct secret again;
    size_t at = unpack_u16(&in);
    uint8_t change = unpack_u8(&in);
    struct fault *f = fuzz_fault();
    wrap(in.rest, &blob);
    blob.data[at % blob.size] ^= change ? change : 1;
    fuzz_fresh(&again, sizeof again);
    HOLDS(!fuzz_kept(seal_unwrap(test_seal(), bytes_span(&blob), &again, f), f, &again, sizeof again));
}

static void raw_hold(struct span blob)
{
    struct key *key;
    struct fault *f = fuzz_fault();
    fuzz_fresh(&key, sizeof key);
    HOLDS(!fuzz_kept(key_open(test_seal(), blob, &key, f), f, &key, sizeof key));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = span(data, size);
    uint8_t choice = fuzz_choice(&input, CHOICES);
    if (choice == OPEN)
        open_hold(input);
    else if (choice == CHANGE)
        change_hold(input);
    else
        raw_hold(input);
    return 0;
}

static void plain_seed(struct span blob)
{
    AUTO(secret) plain = {0};
    fuzz_must(seal_unwrap(test_seal(), blob, &plain, fuzz_fault()), fuzz_fault());
    fuzz_seed_choice(OPEN, span(plain.data, plain.size));
}

static void authority_seed(enum key_algorithm algorithm)
{
    static const uint8_t serial[SERIAL_SIZE] = {1};
    const struct certificate_content content = {.subject = {.common_name = "etcd-ca"},
                                                .key_usage =
                                                    USAGE_DIGITAL_SIGNATURE | USAGE_KEY_CERT_SIGN | USAGE_CRL_SIGN,
                                                .not_before = 1800000000,
                                                .not_after = 1900000000,
                                                .authority = true};
    const struct grant grant = {.extended_key_usage = EXTENDED_SERVER_AUTH, .lifetime_max_seconds = 60};
    AUTO(bytes) blob = {0}, certificate = {0};
    struct fault *f = fuzz_fault();
    fuzz_must(key_make_authority(test_seal(), algorithm, &content, &grant, serial, &blob, &certificate, f), f);
    plain_seed(bytes_span(&blob));
}

void fuzz_seeds(void)
{
    AUTO(bytes) blob = {0};
    uint8_t public_key[LOG_PUBLIC_KEY_SIZE];
    fuzz_must(key_make_log(test_seal(), "example/log", &blob, public_key, fuzz_fault()), fuzz_fault());
    plain_seed(bytes_span(&blob));
    authority_seed(KEY_ECDSA_P256);
    authority_seed(KEY_RSA_2048);
    fuzz_seed_choice(CHANGE, SPAN_OF("\0\x20\1plaintext"));
    fuzz_seed_choice(CHANGE, SPAN_OF("\0"));
    fuzz_seed_choice(RAW_BLOB, bytes_span(&blob).size ? SPAN_OF("\1"
                                                                "0123456789012345678901234567890123456789012345678")
                                                      : SPAN_OF(""));
}
