/* runner.h: one step on many hosts at the same time. Progress is on standard error: on a terminal a line per host that
 * changes, else a line when a host is done. All hosts are tried; what failed is reported at once. */
#ifndef ENSIGN_CLIENT_BOOTSTRAP_RUNNER_H
#define ENSIGN_CLIENT_BOOTSTRAP_RUNNER_H

#include "client/bootstrap/ssh.h"

/* On one host, in a thread of its own. */
typedef enum err host_step(void *context, size_t host, int log, struct fault *f);

struct runner {
    struct ssh *ssh;
    size_t parallel; /* hosts at the same time; > 0 */
    int logs;        /* folder, see host_log.h */
};

/* What each host came to. */
struct outcome {
    enum err err;
    struct fault fault;
};

/* ret_outcomes  one per host of runner->ssh, filled by this call; owned array, free()
 * Hosts whose entry in `skip` (NULL: none) is true are left out, as OK.
 * Errors: only what keeps the step from running at all. */
MUST_USE enum err run_on_hosts(const struct runner *runner, const char *title, const bool *skip, host_step *step,
                               void *context, struct outcome **ret_outcomes, struct fault *f);

/* How many failed; their faults become reasons of f. */
size_t outcomes_collect(const struct ssh *ssh, const struct outcome *outcomes, struct fault *f);

#endif
