/* removal.h: what takes a node out of a running cluster, in which order and by which hosts.  Threads: pure. */
#ifndef ENSIGN_CLIENT_BOOTSTRAP_REMOVAL_H
#define ENSIGN_CLIENT_BOOTSTRAP_REMOVAL_H

#include "client/bootstrap/step.h"

enum { REMOVAL_STEPS_MAX = 4, REMOVAL_INPUT_SIZE = 2 * DNS_NAME_MAX };

struct removal_step {
    const struct step_kind *kind;
    size_t host; /* which does it */
    const char *why;
    char input[REMOVAL_INPUT_SIZE]; /* of the step's function; empty: it reads none */
};

struct removal {
    struct removal_step steps[REMOVAL_STEPS_MAX];
    size_t count;
};

/* The steps, in their order.
 *   views  of all hosts, in the order of the cluster file; those without facts did not answer
 *   lost   the host is gone for good: nothing is done there
 *   force  pods that nothing replaces are ended, too
 * Errors: ERR_STATE what is left would be no cluster, or nobody is there to do it; the host does not answer though it
 * is not lost, or is in the cluster though it is. */
MUST_USE enum err removal_plan(const struct step_view *views, size_t count, const struct node_entry *node, bool lost,
                               bool force, struct removal *ret_removal, struct fault *f);

#endif
