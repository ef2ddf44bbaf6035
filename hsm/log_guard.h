/* log_guard.h: no two histories of one audit log. Remembers, for each log key, the last checkpoint that this process
 * signed. Bounded; beyond LOGS_MAX keys it refuses.  Threads: safe. */
#ifndef ENSIGN_HSM_LOG_GUARD_H
#define ENSIGN_HSM_LOG_GUARD_H

#include <pthread.h>

#include "hsm/key.h"

enum { LOGS_MAX = 64 };

struct log_guard {
    pthread_mutex_t lock;
    size_t count;
    struct {
        uint8_t public_key[LOG_PUBLIC_KEY_SIZE];
        struct checkpoint last;
    } logs[LOGS_MAX];
};

/* ERR_DENIED (CODE_POLICY_DENIED) for a checkpoint that is smaller than the last one, or as large but different. */
MUST_USE enum err log_guard_sign(struct log_guard *guard, const struct key *key, struct span text,
                                 uint8_t ret_signature[LOG_SIGNATURE_SIZE], struct fault *f);

#endif
