/* plan.h: what is to be done on which host, in the order in which it is done: a pure function of the cluster file, of
 * what it names on this machine, and of what the hosts say. */
#ifndef ENSIGN_CLIENT_BOOTSTRAP_PLAN_H
#define ENSIGN_CLIENT_BOOTSTRAP_PLAN_H

#include "client/bootstrap/step.h"

struct plan_row {
    const struct step_kind *kind;
    size_t host; /* index of the view */
    char why[STEP_WHY_SIZE];
};

struct plan {
    struct plan_row *rows;
    size_t count, capacity;
};

/* NULL: all. */
struct plan_choice {
    const char *stage, *node;
};
/* A stage's word or a node's name; NULL: all. ERR_INPUT (CODE_USAGE): neither. */
MUST_USE enum err plan_choose(const struct cluster *cluster, const char *only, struct plan_choice *ret_choice,
                              struct fault *f);
bool plan_chosen(const struct plan_choice *choice, const struct step_kind *kind, const struct node_entry *node);

/* Nothing for hosts that did not answer. */
MUST_USE enum err plan_make(const struct step_view *views, size_t count, const struct plan_choice *choice,
                            struct plan *ret_plan, struct fault *f);
MUST_USE enum err plan_add(struct plan *plan, const struct plan_row *row, struct fault *f);
void plan_cleanup(struct plan *plan);

/* The row of this step on this host, or NULL. */
const struct plan_row *plan_find(const struct plan *plan, const struct step_kind *kind, size_t host);

#endif
