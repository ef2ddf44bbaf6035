#include "hsm/key.h"

#include <openssl/err.h>
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

static void grant_judge(const struct grant *grant, struct fault *f)
{
    if (grant->extended_key_usage & ~(unsigned)(EXTENDED_SERVER_AUTH | EXTENDED_CLIENT_AUTH))
        fault_reason(f, "/grant/extended_key_usage", "has unknown bits");
    if (grant->lifetime_max_seconds <= 0)
        fault_reason(f, "/grant/lifetime_max_seconds", "must be positive");
}

static enum err authority_check(const struct certificate_content *content, const struct grant *grant, struct fault *f)
{
    if (!content->authority)
        fault_reason(f, "/authority", "must be true");
    grant_judge(grant, f);
    return fault_if_reasons(f, CODE_INVALID, "this is not a CA that the signer makes");
}

/* The grant of a CA. issuer_name is borrowed. */
static struct grant authority_grant(const struct grant *asked, const struct issuer *issuer, int64_t not_after)
{
    struct grant grant = {.kind = GRANT_AUTHORITY,
                          .issuer_name = {.data = (uint8_t *)(uintptr_t)issuer->name.data, .size = issuer->name.size},
                          .algorithm = issuer->algorithm,
                          .extended_key_usage = asked->extended_key_usage,
                          .lifetime_max_seconds = asked->lifetime_max_seconds,
                          .not_after = not_after};
    memcpy(grant.key_identifier, issuer->key_identifier, sizeof grant.key_identifier);
    return grant;
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

    struct issuer issuer = {.name = bytes_span(&name), .algorithm = algorithm};
    memcpy(issuer.key_identifier, public_key.key_identifier, sizeof issuer.key_identifier);
    struct grant sealed = authority_grant(grant, &issuer, content->not_after);
    AUTO(secret) private_key = {0};
    TRY(private_key_encode(key, &private_key, f));
    TRY(key_seal(seal, &sealed, &private_key, &blob, f));
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

/* NULL when it is not a private key in PKCS#8, and nothing else. */
static EVP_PKEY *pkcs8_decode(struct span der)
{
    const uint8_t *end = der.data;
    CLEANUP(PKCS8_PRIV_KEY_INFO_auto)
    PKCS8_PRIV_KEY_INFO *info = d2i_PKCS8_PRIV_KEY_INFO(NULL, &end, (long)der.size);
    return info && end == der.data + der.size ? EVP_PKCS82PKEY(info) : NULL;
}

static enum err authority_decode(struct span der, EVP_PKEY **ret_key, struct fault *f)
{
    EVP_PKEY *key = pkcs8_decode(der);
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

/* ---- importing ---- */

/* That the public half is the certificate's, and that the private half belongs to it: what it signs verifies. */
static enum err pair_check(EVP_PKEY *key, const struct certificate *certificate, struct fault *f)
{
    AUTO(bytes) spki = {0}, signature = {0};
    const struct public_key *public_key = &certificate->public_key;
    TRY(key_spki(key, &spki, f));
    if (!span_equal(bytes_span(&spki), public_key->spki))
        return fault_set(f, CODE_INVALID, "the private key is not that of this CA certificate: give the pair");
    struct fault why = {0};
    if (key_sign(key, public_key->algorithm, certificate->body_der, &signature, &why) != OK ||
        public_key_verify(public_key, signature_algorithm(public_key->algorithm), certificate->body_der,
                          bytes_span(&signature), &why) != OK)
        return fault_set(f, CODE_INVALID, "the private key is damaged: what it signs does not verify");
    return OK;
}

enum err key_import_authority(const struct seal *seal, const struct secret *pkcs8,
                              const struct certificate *certificate, const struct grant *grant, struct bytes *ret_blob,
                              struct fault *f)
{
    grant_judge(grant, f);
    TRY(fault_if_reasons(f, CODE_INVALID, "this is not a CA that the signer imports"));
    CLEANUP(EVP_PKEY_auto) EVP_PKEY *key = pkcs8_decode(span(pkcs8->data, pkcs8->size));
    if (!key) {
        ERR_clear_error();
        return fault_set(f, CODE_MALFORMED, "what was sealed to the signer is no private key in PKCS#8 (RFC 5208)");
    }
    TRY(pair_check(key, certificate, f));
    struct issuer issuer = {.name = certificate->body.subject_name, .algorithm = certificate->public_key.algorithm};
    memcpy(issuer.key_identifier, certificate->body.subject_key_identifier, sizeof issuer.key_identifier);
    struct grant sealed = authority_grant(grant, &issuer, certificate->body.content.not_after);
    AUTO(secret) private_key = {0};
    TRY(private_key_encode(key, &private_key, f));
    return key_seal(seal, &sealed, &private_key, ret_blob, f);
}

/* ---- signing ---- */

enum err key_reissue_authority(const struct key *key, const uint8_t serial[SERIAL_SIZE], int64_t not_before,
                               struct bytes *ret_certificate, struct fault *f)
{
    const struct grant *grant = &key->grant;
    if (grant->kind != GRANT_AUTHORITY)
        return fault_set(f, CODE_POLICY_DENIED, "this key is not that of a CA");
    AUTO(bytes) spki = {0}, draft = {0};
    struct public_key public_key;
    struct issuer issuer = {.name = bytes_span(&grant->issuer_name), .algorithm = grant->algorithm};
    memcpy(issuer.key_identifier, grant->key_identifier, sizeof issuer.key_identifier);
    TRY(key_spki(key->authority, &spki, f));
    TRY(public_key_read(bytes_span(&spki), &public_key, f));
    TRY(draft_build_again(&issuer, &public_key, serial, not_before, grant->not_after, &draft, f));
    return draft_sign(bytes_span(&draft), key->authority, grant->algorithm, ret_certificate, f);
}

enum err key_sign_certificate(const struct key *key, struct span draft, struct bytes *ret_certificate, struct fault *f)
{
    TRY(lint_draft(&key->grant, draft, f));
    return draft_sign(draft, key->authority, key->grant.algorithm, ret_certificate, f);
}

enum err key_sign_crl(const struct key *key, struct span draft, struct bytes *ret_crl, struct fault *f)
{
    TRY(lint_crl(&key->grant, draft, f));
    return draft_sign(draft, key->authority, key->grant.algorithm, ret_crl, f);
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
