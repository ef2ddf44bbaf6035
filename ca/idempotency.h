/* idempotency.h: a request that is sent twice is done once: draft-ietf-httpapi-idempotency-key-header.
 *
 * A caller makes up a key for a request that makes something. The answer is kept for a day, written by the very commit
 * that makes it; the same request with the same key gets it again, byte for byte, from the same caller only. A refusal,
 * or a request that makes nothing, leaves nothing and is decided anew.
 *
 *     AUTO(idempotency) idempotency = {.answer = …};
 *     TRY(idempotency_begin(ca, caller, key, method, path, body, &idempotency, f));
 *     enum err err = idempotency_find(ca, &idempotency, &record, f);     the answer that is kept; ERR_ABSENT: make it
 *     issue(), token_create(), cluster_create()                          with idempotency, which they attach
 */
#ifndef ENSIGN_CA_IDEMPOTENCY_H
#define ENSIGN_CA_IDEMPOTENCY_H

#include <pthread.h>

#include "ca/ledger.h"

enum {
    IDEMPOTENCY_KEY_MAX = 128,
    IDEMPOTENCY_SECONDS = 86400,
    IDEMPOTENCY_LOCKS = 64, /* a key waits for another one's request with a chance of 1 in this many */
};

struct ca;

/* Makes the answer to be kept: status, location and body. made is what was made: see issue.h and ca.h. Runs on the
 * committer's thread, where all others wait for it. */
typedef enum err idempotency_answer(void *context, const void *made, struct answer_record *ret_answer, struct fault *f);

struct idempotency {
    idempotency_answer *answer; /* of the caller, with its context */
    void *context;

    /* idempotency.c's own: */
    pthread_mutex_t *held;
    int64_t now;
    uint8_t id[SHA256_SIZE], request_sha256[SHA256_SIZE];
    const void *made;
    size_t write; /* of the change, which is completed */
};

/* Waits while a request with the same key is in progress. ERR_INPUT: the key is not 1..128 printable characters. */
MUST_USE enum err idempotency_begin(struct ca *ca, const struct caller *caller, const char *key, const char *method,
                                    const char *path, struct span body, struct idempotency *idempotency,
                                    struct fault *f);
/* ERR_ABSENT: nothing is kept; ERR_CONFLICT (CODE_IDEMPOTENCY_MISMATCH): for another request. */
MUST_USE enum err idempotency_find(struct ca *ca, const struct idempotency *idempotency,
                                   struct answer_record *ret_record, struct fault *f);
/* The commit of this change keeps the answer about made, which is borrowed until then; no other change has kept one.
 * An answer beyond the store's limit fails it (CODE_TOO_LARGE). idempotency may be NULL: nothing is kept. */
void idempotency_attach(struct idempotency *idempotency, const void *made, struct change *change);
/* Lets the next request with this key in. */
void idempotency_cleanup(struct idempotency *idempotency);

/* Removes the answers of the day before yesterday and earlier, in small commits. */
MUST_USE enum err idempotency_expire(struct ca *ca, size_t *ret_removed, struct fault *f);

#endif
