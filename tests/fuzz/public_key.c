/* A SubjectPublicKeyInfo that is accepted is one that OpenSSL reads as the same key and writes as the same bytes. */
#include "ca/x509/public_key.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "tests/unit/x509/fixture.h"

static void openssl_agrees(const struct public_key *key, struct span spki)
{
    const uint8_t *end = spki.data;
    CLEANUP(EVP_PKEY_auto) EVP_PKEY *theirs = d2i_PUBKEY(NULL, &end, (long)spki.size);
    CLEANUP(EVP_PKEY_auto) EVP_PKEY *ours = NULL;
    AUTO(bytes) again = {0};
    struct fault *f = fuzz_fault();
    HOLDS(theirs && end == spki.data + spki.size);
    fuzz_must(public_key_evp(key, &ours, f), f);
    HOLDS(EVP_PKEY_eq(ours, theirs) == 1);
    fuzz_must(key_spki(theirs, &again, f), f);
    HOLDS(span_equal(bytes_span(&again), spki));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span spki = span(data, size);
    struct public_key read, parsed;
    struct fault *f = fuzz_fault();
    fuzz_fresh(&read, sizeof read);
    bool readable = fuzz_kept(public_key_read(spki, &read, f), f, &read, sizeof read);
    f = fuzz_fault();
    fuzz_fresh(&parsed, sizeof parsed);
    if (!fuzz_kept(public_key_parse(spki, &parsed, f), f, &parsed, sizeof parsed))
        return 0;
    HOLDS(readable && read.algorithm == parsed.algorithm && span_equal(parsed.spki, spki));
    HOLDS(memcmp(read.key_identifier, parsed.key_identifier, KEY_IDENTIFIER_SIZE) == 0);
    HOLDS(memcmp(read.spki_sha256, parsed.spki_sha256, SHA256_SIZE) == 0);
    openssl_agrees(&parsed, spki);
    return 0;
}

void fuzz_seeds(void)
{
    for (enum key_algorithm i = KEY_ECDSA_P256; i <= KEY_RSA_2048; i++) {
        AUTO(bytes) spki = {0};
        expect(key_spki(test_key(i), &spki, &fault), OK);
        fuzz_seed(bytes_span(&spki));
    }
    CLEANUP(EVP_PKEY_auto) EVP_PKEY *ed25519 = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    AUTO(bytes) spki = {0};
    expect(key_spki(ed25519, &spki, &fault), OK);
    fuzz_seed(bytes_span(&spki));
}
