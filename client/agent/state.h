/* state.h: what the agent keeps between its turns, and what one turn works with. Nothing in memory is needed to go on
 * after a crash: that is in the node's folder.
 *
 *     DIR/.done/PROFILE    the serial for which all was done: installed, and whoever reads it restarted
 *     DIR/.done/CA         the SHA-256 of the bundle for which that was done
 *
 * What the folder has and .done has not is done (again): hooks may run twice, and never not at all. */
#ifndef ENSIGN_CLIENT_AGENT_STATE_H
#define ENSIGN_CLIENT_AGENT_STATE_H

#include "client/agent/agent.h"
#include "client/agent/service.h"
#include "client/agent/settings.h"
#include "client/install_node.h"

enum { DETAIL_SIZE = 256 };

enum tracked_state { TRACKED_INSTALLED, TRACKED_SERVED, TRACKED_WAITING, TRACKED_FAILED, TRACKED_NOT_SERVED };
extern const char *const tracked_state_words[]; /* as the API has them */

/* A certificate, or a CA bundle, of this node. */
struct tracked {
    char name[PROFILE_NAME_MAX + 1];
    bool bundle;
    char serial[SERIAL_TEXT_SIZE]; /* of the set; empty: none */
    int64_t issued_at, not_after;
    struct bytes der;
    enum tracked_state state;
    char served_serial[SERIAL_TEXT_SIZE]; /* seen; or empty */
    char detail[DETAIL_SIZE];             /* of what failed; or empty */
    enum code code;                       /* of the same; CODE_NONE */
    unsigned failures;                    /* in a row */
    int64_t failed_at, due_at;
    int64_t renewed_at; /* by this process: seconds since boot; 0: not yet */
    int64_t said_at;    /* when its trouble was last logged */
};

struct agent {
    const struct agent_options *options;
    struct profiles profiles;
    struct settings settings;
    char cluster[CLUSTER_NAME_MAX + 1], node[DNS_NAME_MAX + 1]; /* empty until the service said them */
    struct tracked tracked[CATALOGUE_NODE_ITEMS_MAX];
    size_t tracked_count;
    char revision[REVISION_TEXT_MAX + 1];
    const char *shared[ENROLMENT_SHARED_MAX]; /* keys, with other control planes */
    size_t shared_count;
    int64_t crl_number;
    int64_t turn_at, contact_at; /* last whole turn; last answer of the service */
    uint64_t renewals, failures;
    json_t *reported; /* what the service has; NULL */
    int64_t identity_said_at;
};

/* One turn; all is borrowed from its frame. */
struct turn {
    struct agent *agent;
    int sets, root; /* opened; root -1: nothing is installed */
    struct session *session;
    const struct enrolment *enrolment;
    const struct install_node *node; /* of the whole node: its catalogue and bundles */
    const struct orders *orders;
    int64_t now;
};

bool agent_stopped(void);

/* Waits; less when the agent is to stop. */
void agent_sleep(int64_t milliseconds);

/* ---- progress.c ---- */

/* Empty when nothing was done yet. */
MUST_USE enum err done_read(const struct turn *turn, const char *name, struct bytes *ret_what, struct fault *f);
MUST_USE enum err done_write(const struct turn *turn, const char *name, const char *what, struct fault *f);

/* ---- restart.c ---- */

/* Runs what follows a change of these items: under the lease that it needs, and until the program is healthy again.
 * ERR_CONFLICT (CODE_PENDING): another node has the lease. */
MUST_USE enum err hooks_run(const struct turn *turn, const char *name, const struct hook *hooks, size_t count,
                            struct fault *f);

/* This node's own "address:port". */
void endpoint_own(const struct turn *turn, unsigned port, char ret_endpoint[ENDPOINT_TEXT_MAX + 1]);

/* ---- certificate.c ---- */

/* All that is to be done now for a certificate, or for a bundle. What failed is kept in `tracked` and logged. */
void certificate_turn(const struct turn *turn, const struct catalogue_item *item, struct tracked *tracked);
void bundle_turn(const struct turn *turn, const struct catalogue_item *item, struct tracked *tracked);

/* When what failed may be tried again. */
int64_t tracked_retry_at(const struct agent *agent, const struct tracked *tracked);

/* ---- report.c ---- */

/* Sends what is new since the last report. */
MUST_USE enum err report_turn(struct agent *agent, const struct caller_place *caller, struct fault *f);
MUST_USE enum err metrics_write(const struct agent *agent, struct fault *f);

/* ---- shared.c ---- */

/* What this node has of it. */
void shared_note(struct agent *agent, const struct catalogue *catalogue);
/* Takes, hands on and renews what the control planes share, when there is something to do. */
MUST_USE enum err shared_turn(const struct agent *agent, const struct caller_place *caller, int sets, struct fault *f);

#endif
