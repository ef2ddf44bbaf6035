#include "hsm/log_guard.h"

#include <inttypes.h>
#include <string.h>

/* The place of the key, which is guard->count when it has none yet. */
static size_t log_find(const struct log_guard *guard, const uint8_t *public_key)
{
    size_t i = 0;
    while (i < guard->count && memcmp(guard->logs[i].public_key, public_key, LOG_PUBLIC_KEY_SIZE) != 0)
        i++;
    return i;
}

static enum err follow_check(const struct checkpoint *last, const struct checkpoint *next, struct fault *f)
{
    if (next->size < last->size)
        return fault_set(f, CODE_POLICY_DENIED,
                         "a checkpoint of size %" PRIu64 " was signed already: %" PRIu64 " would take leaves back",
                         last->size, next->size);
    if (next->size == last->size && !span_equal(SPAN_OF(next->root.data), SPAN_OF(last->root.data)))
        return fault_set(f, CODE_POLICY_DENIED,
                         "another checkpoint of size %" PRIu64 " was signed already: the log would fork", last->size);
    return OK;
}

/* Under the lock. */
static enum err log_advance(struct log_guard *guard, const uint8_t *public_key, const struct checkpoint *next,
                            struct fault *f)
{
    size_t i = log_find(guard, public_key);
    if (i == LOGS_MAX)
        return fault_set(f, CODE_UNSUPPORTED, "one signer signs for at most %d audit logs", LOGS_MAX);
    if (i < guard->count) {
        TRY(follow_check(&guard->logs[i].last, next, f));
    } else {
        memcpy(guard->logs[i].public_key, public_key, LOG_PUBLIC_KEY_SIZE);
        guard->count++;
    }
    guard->logs[i].last = *next;
    return OK;
}

enum err log_guard_sign(struct log_guard *guard, const struct key *key, struct span text,
                        uint8_t ret_signature[LOG_SIGNATURE_SIZE], struct fault *f)
{
    struct checkpoint next;
    uint8_t signature[LOG_SIGNATURE_SIZE]; /* nobody gets it before the guard agrees */
    TRY(key_sign_checkpoint(key, text, signature, f));
    TRY(checkpoint_parse_text(text, &next, f));
    pthread_mutex_lock(&guard->lock);
    enum err err = log_advance(guard, key_log_public(key), &next, f);
    pthread_mutex_unlock(&guard->lock);
    if (err == OK)
        memcpy(ret_signature, signature, sizeof signature);
    return err;
}
