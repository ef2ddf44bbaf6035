/* key.h: a private CA or log key, by URI. `sealed:` keys are blobs that the store holds and the signer opens;
 * pkcs11: and tpm2: come later behind the same functions.
 *
 * The plaintext of a sealed blob is: version 1 ‖ grant (grant_pack) ‖ pack_span(PKCS#8 DER, or for the log the 32-byte
 * Ed25519 seed). Only hsm/ includes this header. */
#ifndef ENSIGN_HSM_KEY_H
#define ENSIGN_HSM_KEY_H

#include "ca/log/checkpoint.h"
#include "ca/x509/certificate.h"
#include "ca/x509/grant.h"
#include "hsm/seal.h"

struct key; /* grant and private key, in memory of the signer */

/* Makes a CA key and its self-signed certificate.
 *   content    of the CA certificate (authority true); its not_after and subject go into the grant
 *   grant      extended_key_usage and lifetime_max_seconds are taken from it, the rest is filled in */
MUST_USE enum err key_make_authority(const struct seal *seal, enum key_algorithm algorithm,
                                     const struct certificate_content *content, const struct grant *grant,
                                     const uint8_t serial[SERIAL_SIZE], struct bytes *ret_blob,
                                     struct bytes *ret_certificate, struct fault *f);
/* Seals a CA key that others made.
 *   pkcs8        DER
 *   certificate  of that CA, after foreign_authority_check(): name, key identifier and end of the grant are its
 *   grant        as above
 * ERR_INPUT  CODE_MALFORMED: not a private key; CODE_INVALID: not the key of this certificate */
MUST_USE enum err key_import_authority(const struct seal *seal, const struct secret *pkcs8,
                                       const struct certificate *certificate, const struct grant *grant,
                                       struct bytes *ret_blob, struct fault *f);
/* Another certificate for the same CA, with all that the grant says: the name, the key identifier and the end are what
 * they were, so that nothing is valid longer than before. It may sign CRLs, too. ERR_DENIED for a log's key. */
MUST_USE enum err key_reissue_authority(const struct key *key, const uint8_t serial[SERIAL_SIZE], int64_t not_before,
                                        struct bytes *ret_certificate, struct fault *f);
MUST_USE enum err key_make_log(const struct seal *seal, const char *origin, struct bytes *ret_blob,
                               uint8_t ret_public_key[LOG_PUBLIC_KEY_SIZE], struct fault *f);

MUST_USE enum err key_open(const struct seal *seal, struct span blob, struct key **ret_key, struct fault *f);
const uint8_t *key_log_public(const struct key *key); /* of a GRANT_LOG: LOG_PUBLIC_KEY_SIZE bytes */

/* Looks the draft over (lint.h) and signs it. */
MUST_USE enum err key_sign_certificate(const struct key *key, struct span draft, struct bytes *ret_certificate,
                                       struct fault *f);
/* Looks the draft of a CRL over (lint.h) and signs it. */
MUST_USE enum err key_sign_crl(const struct key *key, struct span draft, struct bytes *ret_crl, struct fault *f);
/* ERR_DENIED (CODE_POLICY_DENIED) when the key is not a log's or the text has another origin. */
MUST_USE enum err key_sign_checkpoint(const struct key *key, struct span text,
                                      uint8_t ret_signature[LOG_SIGNATURE_SIZE], struct fault *f);
void key_free(struct key *key);  /* NULL is fine */
void key_auto(struct key **key); /* for CLEANUP() */

#endif
