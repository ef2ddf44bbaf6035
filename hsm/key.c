#include "hsm/key.h"

#include <openssl/x509.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "hsm/lint.h"

enum { PLAINTEXT_VERSION = 1 };

AUTO_POINTER(PKCS8_PRIV_KEY_INFO, PKCS8_PRIV_KEY_INFO_free)

struct key {
    struct grant grant;
    EVP_PKEY *authority;   /* GRANT_AUTHORITY */
    struct secret log_key; /* GRANT_LOG: libsodium's form, seed ‖ public key */
};

void key_free(struct key *key)
{
    if (!key)
        return;
    grant_cleanup(&key->grant);
    EVP_PKEY_free(key->authority);
    secret_cleanup(&key->log_key);
    free(key);
}

void key_auto(struct key **key)
{
    key_free(*key);
}

const uint8_t *key_log_public(const struct key *key)
{
    return key->log_key.data + crypto_sign_SEEDBYTES;
}

/* ---- making ---- */

/* The private part is written to guarded memory only: the head is packed apart from it. */
static enum err key_seal(const struct seal *seal, const struct grant *grant, const struct secret *private_key,
                         struct bytes *ret_blob, struct fault *f)
{
    AUTO(bytes) head = {0};
    pack_u8(&head, PLAINTEXT_VERSION);
    grant_pack(grant, &head);
    pack_u32(&head, (uint32_t)private_key->size);
    TRY(bytes_check(&head, f));

    AUTO(secret) plain = {0};
    TRY(secret_new(head.size + private_key->size, &plain, f));
    memcpy(plain.data, head.data, head.size);
    memcpy(plain.data + head.size, private_key->data, private_key->size);
    return seal_wrap(seal, &plain, ret_blob, f);
}

static enum err private_key_encode(EVP_PKEY *key, struct secret *ret_der, struct fault *f)
{
    CLEANUP(PKCS8_PRIV_KEY_INFO_auto) PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(key);
    int size = info ? i2d_PKCS8_PRIV_KEY_INFO(info, NULL) : -1;
    if (size < 0)
        return fault_openssl(f, "a private key cannot be encoded");
    TRY(secret_new((size_t)size, ret_der, f));
    uint8_t *end = ret_der->data;
    i2d_PKCS8_PRIV_KEY_INFO(info, &end);
    return OK;
}

/* The self-signed certificate of a new key. */
static enum err certificate_make(EVP_PKEY *key, const struct certificate_content *content, const struct issuer *issuer,
                                 const struct public_key *public_key, const uint8_t serial[SERIAL_SIZE],
                                 struct bytes *ret_certificate, struct fault *f)
{
    AUTO(bytes) draft = {0};
    TRY(draft_build(content, issuer, public_key, serial, &draft, f));
    return draft_sign(bytes_span(&draft), key, issuer->algorithm, ret_certificate, f);
}

static enum err authority_check(const struct certificate_content *content, const struct grant *grant, struct fault *f)
{
    if (!content->authority)
        fault_reason(f, "/authority", "must be true");
    if (grant->extended_key_usage & ~(unsigned)(EXTENDED_SERVER_AUTH | EXTENDED_CLIENT_AUTH))
        fault_reason(f, "/grant/extended_key_usage", "has unknown bits");
    if (grant->lifetime_max_seconds <= 0)
        fault_reason(f, "/grant/lifetime_max_seconds", "must be positive");
    return fault_if_reasons(f, CODE_INVALID, "this is not a CA that the signer makes");
}

enum err key_make_authority(const struct seal *seal, enum key_algorithm algorithm,
                            const struct certificate_content *content, const struct grant *grant,
                            const uint8_t serial[SERIAL_SIZE], struct bytes *ret_blob, struct bytes *ret_certificate,
                            struct fault *f)
{
    TRY(authority_check(content, grant, f));
    CLEANUP(EVP_PKEY_auto) EVP_PKEY *key = NULL;
    AUTO(bytes) name = {0}, spki = {0}, blob = {0};
    struct public_key public_key;
    TRY(distinguished_name_encode(&content->subject, &name, f));
    TRY(key_generate(algorithm, &key, f));
    TRY(key_spki(key, &spki, f));
    TRY(public_key_parse(bytes_span(&spki), &public_key, f));

    struct grant sealed = {.kind = GRANT_AUTHORITY,
                           .issuer_name = name, /* borrowed */
                           .algorithm = algorithm,
                           .extended_key_usage = grant->extended_key_usage,
                           .lifetime_max_seconds = grant->lifetime_max_seconds,
                           .not_after = content->not_after};
    memcpy(sealed.key_identifier, public_key.key_identifier, sizeof sealed.key_identifier);
    AUTO(secret) private_key = {0};
    TRY(private_key_encode(key, &private_key, f));
    TRY(key_seal(seal, &sealed, &private_key, &blob, f));

    struct issuer issuer = {.name = bytes_span(&name), .algorithm = algorithm};
    memcpy(issuer.key_identifier, public_key.key_identifier, sizeof issuer.key_identifier);
    TRY(certificate_make(key, content, &issuer, &public_key, serial, ret_certificate, f));
    *ret_blob = blob;
    blob = (struct bytes){0};
    return OK;
}

enum err key_make_log(const struct seal *seal, const char *origin, struct bytes *ret_blob,
                      uint8_t ret_public_key[LOG_PUBLIC_KEY_SIZE], struct fault *f)
{
    if (!log_origin_valid(origin))
        return fault_set(f, CODE_INVALID, "an audit log's origin is one word without '+', of at most %d characters",
                         LOG_ORIGIN_MAX);
    struct grant grant = {.kind = GRANT_LOG};
    memcpy(grant.origin, origin, strlen(origin) + 1);
    AUTO(secret) seed = {0}, key = {0};
    TRY(secret_new(crypto_sign_SEEDBYTES, &seed, f));
    TRY(secret_new(crypto_sign_SECRETKEYBYTES, &key, f));
    randombytes_buf(seed.data, seed.size);
    uint8_t public_key[LOG_PUBLIC_KEY_SIZE];
    crypto_sign_seed_keypair(public_key, key.data, seed.data);
    TRY(key_seal(seal, &grant, &seed, ret_blob, f));
    memcpy(ret_public_key, public_key, sizeof public_key);
    return OK;
}

/* ---- opening ---- */

static enum err authority_decode(struct span der, EVP_PKEY **ret_key, struct fault *f)
{
    const uint8_t *end = der.data;
    CLEANUP(PKCS8_PRIV_KEY_INFO_auto)
    PKCS8_PRIV_KEY_INFO *info = d2i_PKCS8_PRIV_KEY_INFO(NULL, &end, (long)der.size);
    EVP_PKEY *key = info && end == der.data + der.size ? EVP_PKCS82PKEY(info) : NULL;
    if (!key)
        return fault_openssl(f, "a sealed CA key cannot be read");
    *ret_key = key;
    return OK;
}

static enum err log_decode(struct span seed, struct secret *ret_key, struct fault *f)
{
    if (seed.size != crypto_sign_SEEDBYTES)
        return fault_set(f, CODE_DAMAGED, "a sealed log key is of %zu bytes", seed.size);
    TRY(secret_new(crypto_sign_SECRETKEYBYTES, ret_key, f));
    uint8_t public_key[LOG_PUBLIC_KEY_SIZE];
    crypto_sign_seed_keypair(public_key, ret_key->data, seed.data);
    return OK;
}

static enum err key_read(struct unpack *in, struct key *key, struct fault *f)
{
    if (unpack_u8(in) != PLAINTEXT_VERSION)
        return fault_set(f, CODE_DAMAGED, "a sealed key is of an unknown version");
    TRY(grant_unpack(in, &key->grant, f));
    struct span private_key = unpack_span(in);
    TRY(unpack_finish(in, "a sealed key", f));
    if (key->grant.kind == GRANT_LOG)
        return log_decode(private_key, &key->log_key, f);
    return authority_decode(private_key, &key->authority, f);
}

enum err key_open(const struct seal *seal, struct span blob, struct key **ret_key, struct fault *f)
{
    AUTO(secret) plain = {0};
    TRY(seal_unwrap(seal, blob, &plain, f));
    CLEANUP(key_auto) struct key *key = calloc(1, sizeof *key);
    if (!key)
        return fault_no_memory(f);
    struct unpack in = unpack_begin(span(plain.data, plain.size));
    TRY(key_read(&in, key, f));
    *ret_key = TAKE(key);
    return OK;
}

/* ---- signing ---- */

enum err key_sign_certificate(const struct key *key, struct span draft, struct bytes *ret_certificate, struct fault *f)
{
    TRY(lint_draft(&key->grant, draft, f));
    return draft_sign(draft, key->authority, key->grant.algorithm, ret_certificate, f);
}

enum err key_sign_checkpoint(const struct key *key, struct span text, uint8_t ret_signature[LOG_SIGNATURE_SIZE],
                             struct fault *f)
{
    if (key->grant.kind != GRANT_LOG)
        return fault_set(f, CODE_POLICY_DENIED, "this key does not sign checkpoints");
    struct checkpoint checkpoint;
    TRY(checkpoint_parse_text(text, &checkpoint, f));
    if (strcmp(checkpoint.origin, key->grant.origin) != 0)
        return fault_set(f, CODE_POLICY_DENIED, "this key signs checkpoints of %s, not of %s", key->grant.origin,
                         checkpoint.origin);
    crypto_sign_detached(ret_signature, NULL, text.data, text.size, key->log_key.data);
    return OK;
}
