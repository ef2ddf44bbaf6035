/* signer.h: the process that alone holds private CA keys, and how the server asks it.
 *
 * One SOCK_SEQPACKET socket pair; one message is one request or its answer (signer_message.h describes them). Several
 * threads of the signer, one per core, take messages from the same socket. Requests carry the sealed blobs that they
 * need, so the signer keeps nothing but a cache of opened keys; it can be killed at any time.
 *
 * Verbs: make authority, make log key, sign certificates (a batch), sign a CRL, sign a checkpoint; and to import a CA:
 * tell the import key, import authority, reissue authority. */
#ifndef ENSIGN_HSM_SIGNER_H
#define ENSIGN_HSM_SIGNER_H

#include "ca/base/histogram.h"
#include "ca/log/checkpoint.h"
#include "ca/x509/grant.h"
#include "hsm/import.h"

/* ---- the process ---- */

/* Opens the seal, locks memory, forbids dumps, gives up what it does not need (sandbox.h), writes one byte 'R' to
 * ready_fd, then serves until the other end of fd is closed; SIGINT and SIGTERM are ignored. Runs in a process of its
 * own, which has no other threads and ends with this call: it returns only on failure, and f says why. fd and ready_fd
 * are above 2. */
MUST_USE enum err signer_run(int fd, int ready_fd, const struct seal_config *config, const char *state,
                             struct fault *f);

/* ---- the server's side ---- */

struct signer; /* thread-safe */

MUST_USE enum err signer_new(struct signer **ret_signer, struct fault *f);
void signer_attach(struct signer *signer, int take_fd); /* a new channel; waiting calls on the old one fail */
bool signer_up(struct signer *signer);
/* True once for a signer that did not answer in time. Its channel was given up, so that no other call waits for it; but
 * its process may live, and somebody has to end it before there is another. */
bool signer_take_stuck(struct signer *signer);
void signer_free(struct signer *signer);

/* All calls: ERR_IO (CODE_SIGNER_DOWN) when there is no signer, it dies, or it does not answer in 30 s. */

MUST_USE enum err signer_make_authority(struct signer *signer, enum key_algorithm algorithm,
                                        const struct certificate_content *content, const struct grant *grant,
                                        const uint8_t serial[SERIAL_SIZE], struct bytes *ret_blob,
                                        struct bytes *ret_certificate, struct fault *f);
MUST_USE enum err signer_make_log(struct signer *signer, const char *origin, struct bytes *ret_blob,
                                  uint8_t ret_public_key[LOG_PUBLIC_KEY_SIZE], struct fault *f);

/* What CA keys are sealed to on their way here (hsm/import.h): made when the signer starts, so the answer is another
 * one after each start. */
MUST_USE enum err signer_import_key(struct signer *signer, uint8_t ret_public_key[IMPORT_PUBLIC_KEY_SIZE],
                                    struct fault *f);
/* The blob of a CA key that others made. Errors: those of key_import_authority(); CODE_CONFLICT for a box that was
 * sealed to another import key. */
struct import_request;
MUST_USE enum err signer_import_authority(struct signer *signer, const struct import_request *request,
                                          struct bytes *ret_blob, struct fault *f);
/* Another self-signed certificate for the key of a blob: as key_reissue_authority(). */
MUST_USE enum err signer_reissue_authority(struct signer *signer, struct span blob, const uint8_t serial[SERIAL_SIZE],
                                           int64_t not_before, struct bytes *ret_certificate, struct fault *f);

struct signing {
    struct span blob, draft;  /* borrowed */
    struct bytes certificate; /* out: owned; empty when it failed */
    struct fault *fault;      /* out: filled when it failed; the caller's */
    enum err err;             /* out */
};
/* Signs them all, in as few messages as their size allows, spread over the signer's threads. Fails as a whole only
 * when the signer is down; else each signing has its own result. */
MUST_USE enum err signer_sign(struct signer *signer, struct signing *signings, size_t count, struct fault *f);

/* Signs a CRL (crl_build) with the key of a CA, after the signer has looked it over (lint.h). Errors: those of
 * key_sign_crl(); ERR_LIMIT (CODE_TOO_LARGE) when it does not fit into a message. */
MUST_USE enum err signer_sign_crl(struct signer *signer, struct span blob, struct span draft, struct bytes *ret_crl,
                                  struct fault *f);

/* How long those calls of signer_sign() took that were answered: one observation per batch. */
const struct histogram *signer_sign_durations(const struct signer *signer);

/* The signer refuses a text whose origin is not the grant's, or that is smaller than, or equal in size but different
 * from, one that this process signed before (a fork). */
MUST_USE enum err signer_sign_checkpoint(struct signer *signer, struct span blob, struct span text,
                                         uint8_t ret_signature[LOG_SIGNATURE_SIZE], struct fault *f);

#endif
