#include "client/envelope.h"

#include <openssl/crypto.h>
#include <sodium.h>
#include <string.h>

#include "ca/base/encode.h"
#include "ca/base/pack.h"
#include "client/files.h"
#include "client/keys.h"

static const char sealing_key_text[] = "ensign sealing key v1";
static const char content_text[] = "ensign shared key v1";
static const char envelope_text[] = "ensign shared key envelope v1";

enum { CONTENT_MAX = 8000 }; /* an RSA key of 4096 bits has 3,300 in PEM; the service takes 8,192 when sealed */

static enum err sodium_ready(struct fault *f)
{
    return sodium_init() >= 0 ? OK : fault_set(f, CODE_CRYPTO, "libsodium does not start");
}

/* ---- sealing keys ---- */

enum err sealing_pair_make(struct sealing_pair *ret_pair, struct fault *f)
{
    TRY(sodium_ready(f));
    crypto_box_keypair(ret_pair->public_key, ret_pair->private_key);
    return OK;
}

void sealing_pair_cleanup(struct sealing_pair *pair)
{
    OPENSSL_cleanse(pair, sizeof *pair);
}

void sealing_pair_write(const struct sealing_pair *pair, struct bytes *out)
{
    base64url_append(out, SPAN_OF(pair->private_key));
    bytes_append_text(out, "\n");
}

enum err sealing_pair_read(struct span text, struct sealing_pair *ret_pair, struct fault *f)
{
    TRY(sodium_ready(f));
    CLEANUP(secret_cleanup) struct bytes data = {0};
    struct fault ignored = {0}; /* its text might quote the key */
    if (text.size > 0 && text.data[text.size - 1] == '\n')
        text.size--;
    if (base64url_decode(text, &data, &ignored) != OK || data.size != SEALING_KEY_SIZE)
        return fault_set(f, CODE_INVALID, "this is no X25519 private key: 43 characters of base64url are expected");
    memcpy(ret_pair->private_key, data.data, SEALING_KEY_SIZE);
    crypto_scalarmult_base(ret_pair->public_key, ret_pair->private_key);
    return OK;
}

/* ---- who signs ---- */

enum err signer_read(struct span pem, const char *node, struct span service_ca_pem, const uint8_t *pin, int64_t now,
                     struct certificate *ret_certificate, struct fault *f)
{
    AUTO(certificate) certificate = {0};
    AUTO(certificate) ca = {0};
    TRY(certificate_parse_pem(pem, &certificate, f));
    TRY(certificate_parse_pem(service_ca_pem, &ca, f));
    if (CRYPTO_memcmp(ca.public_key.spki_sha256, pin, SHA256_SIZE) != 0)
        return fault_set(f, CODE_UNTRUSTED, "the service shows another CA than the pinned one");
    TRY(certificate_check_issuer(&certificate, &ca, now, f));
    if (strcmp(certificate.body.content.subject.common_name, node) != 0)
        return fault_set(f, CODE_UNTRUSTED, "the identity of \"%s\" is shown for that of \"%s\"",
                         certificate.body.content.subject.common_name, node);
    *ret_certificate = certificate;
    certificate = (struct certificate){0};
    return OK;
}

/* As the key signs: any other algorithm is not what we wrote. */
static enum err signature_check(const struct certificate *signer, const struct bytes *text, struct span signature,
                                const char *what, const char *node, struct fault *f)
{
    struct fault why = {0};
    TRY(bytes_check(text, f));
    if (public_key_verify(&signer->public_key, signature_algorithm(signer->public_key.algorithm), bytes_span(text),
                          signature, &why) == OK)
        return OK;
    return fault_set(f, why.code == CODE_NO_MEMORY ? why.code : CODE_UNTRUSTED,
                     "%s is not signed by \"%s\": somebody put it in the place of the right one", what, node);
}

static void sealing_key_append(const char *cluster, const char *node, const uint8_t public_key[SEALING_KEY_SIZE],
                               struct bytes *out)
{
    pack_text(out, sealing_key_text);
    pack_text(out, cluster);
    pack_text(out, node);
    pack_fixed(out, span(public_key, SEALING_KEY_SIZE));
}

enum err sealing_key_sign(const struct signer_identity *identity, const char *cluster,
                          const uint8_t public_key[SEALING_KEY_SIZE], struct bytes *ret_signature, struct fault *f)
{
    AUTO(bytes) text = {0};
    sealing_key_append(cluster, identity->node, public_key, &text);
    TRY(bytes_check(&text, f));
    return key_sign(identity->key, identity->algorithm, bytes_span(&text), ret_signature, f);
}

enum err sealing_key_check(const struct certificate *signer, const char *cluster, const char *node,
                           const uint8_t public_key[SEALING_KEY_SIZE], struct span signature, struct fault *f)
{
    AUTO(bytes) text = {0};
    sealing_key_append(cluster, node, public_key, &text);
    return signature_check(signer, &text, signature, "the sealing key", node, f);
}

/* ---- envelopes ---- */

static void subject_append(const char *word, const struct envelope_subject *subject, struct bytes *out)
{
    pack_text(out, word);
    pack_text(out, subject->cluster);
    pack_text(out, subject->name);
    pack_u32(out, subject->generation);
    pack_text(out, subject->receiver);
    pack_fixed(out, span(subject->sealing_key, SEALING_KEY_SIZE));
    pack_span(out, subject->spki);
}

/* What the sender signs. */
static void envelope_append(const struct envelope_subject *subject, const char *sender, struct span sealed,
                            struct bytes *out)
{
    subject_append(envelope_text, subject, out);
    pack_text(out, sender);
    pack_span(out, sealed);
}

static enum err content_seal(const struct envelope_subject *subject, struct span private_pem, struct bytes *ret_sealed,
                             struct fault *f)
{
    CLEANUP(secret_cleanup) struct bytes content = {0};
    subject_append(content_text, subject, &content);
    pack_span(&content, private_pem);
    TRY(bytes_check(&content, f));
    uint8_t sealed[CONTENT_MAX + crypto_box_SEALBYTES];
    if (content.size > CONTENT_MAX)
        return fault_set(f, CODE_TOO_LARGE, "a shared key of %zu bytes is too large", private_pem.size);
    if (crypto_box_seal(sealed, content.data, content.size, subject->sealing_key) != 0)
        return fault_set(f, CODE_UNTRUSTED, "the sealing key of \"%s\" is none", subject->receiver);
    return bytes_copy(span(sealed, content.size + crypto_box_SEALBYTES), ret_sealed, f);
}

enum err envelope_seal(const struct signer_identity *sender, const struct envelope_subject *subject,
                       struct span private_pem, struct bytes *ret_sealed, struct bytes *ret_signature, struct fault *f)
{
    AUTO(bytes) sealed = {0};
    AUTO(bytes) text = {0};
    TRY(sodium_ready(f));
    TRY(content_seal(subject, private_pem, &sealed, f));
    envelope_append(subject, sender->node, bytes_span(&sealed), &text);
    TRY(bytes_check(&text, f));
    TRY(key_sign(sender->key, sender->algorithm, bytes_span(&text), ret_signature, f));
    return bytes_give(&sealed, ret_sealed, f);
}

/* What is sealed begins with this subject, and the key in it is the subject's. */
static enum err content_check(const struct envelope_subject *subject, const struct bytes *content,
                              struct bytes *ret_private_pem, struct fault *f)
{
    AUTO(bytes) wanted = {0};
    subject_append(content_text, subject, &wanted);
    TRY(bytes_check(&wanted, f));
    if (!span_starts(bytes_span(content), bytes_span(&wanted)))
        return fault_set(f, CODE_UNTRUSTED, "the envelope was sealed as another one");
    struct unpack in = unpack_begin(span(content->data + wanted.size, content->size - wanted.size));
    struct span pem = unpack_span(&in);
    TRY(unpack_finish(&in, "an envelope", f));
    CLEANUP(EVP_PKEY_auto) EVP_PKEY *key = NULL;
    AUTO(bytes) spki = {0};
    TRY(key_read_pem(pem, &key, f));
    TRY(key_spki(key, &spki, f));
    if (!span_equal(bytes_span(&spki), subject->spki))
        return fault_set(f, CODE_UNTRUSTED, "the envelope holds another key than the shared one");
    return bytes_copy(pem, ret_private_pem, f);
}

enum err envelope_open(const struct certificate *sender, const char *sender_node,
                       const struct envelope_subject *subject, struct span sealed, struct span signature,
                       const struct sealing_pair *pair, struct bytes *ret_private_pem, struct fault *f)
{
    AUTO(bytes) text = {0};
    TRY(sodium_ready(f));
    envelope_append(subject, sender_node, sealed, &text);
    TRY(signature_check(sender, &text, signature, "the envelope", sender_node, f));
    if (sealed.size < crypto_box_SEALBYTES)
        return fault_set(f, CODE_UNTRUSTED, "the envelope is too short");
    CLEANUP(secret_cleanup) struct bytes content = {0};
    TRY(bytes_copy(span(sealed.data, sealed.size - crypto_box_SEALBYTES), &content, f));
    if (crypto_box_seal_open(content.data, sealed.data, sealed.size, pair->public_key, pair->private_key) != 0)
        return fault_set(f, CODE_UNTRUSTED, "the envelope is not sealed to this key");
    return content_check(subject, &content, ret_private_pem, f);
}
