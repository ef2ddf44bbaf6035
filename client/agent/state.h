/* state.h: what the agent keeps between its turns, and what one turn works with. Nothing in memory is needed to go on
 * after a crash: that is in the node's folder.
 *
 *     DIR/.done/PROFILE    the serial for which all was done: installed, and whoever reads it restarted
 *     DIR/.done/CA         the SHA-256 of the bundle for which that was done
 *     DIR/.done/KEY        the generation of a key that control planes share, for which that was done
 *
 * What the folder has and .done has not is done (again): hooks may run twice, and never not at all. */
#ifndef ENSIGN_CLIENT_AGENT_STATE_H
#define ENSIGN_CLIENT_AGENT_STATE_H

#include "client/agent/agent.h"
#include "client/agent/schedule.h"
#include "client/agent/service.h"
#include "client/agent/settings.h"
#include "client/install_node.h"

enum { DETAIL_SIZE = 256 };

enum tracked_state { TRACKED_INSTALLED, TRACKED_SERVED, TRACKED_WAITING, TRACKED_FAILED, TRACKED_NOT_SERVED };
extern const char *const tracked_state_words[]; /* as the API has them */

/* A certificate, a CA bundle, or a key that is shared, of this node. */
struct tracked {
    char name[PROFILE_NAME_MAX + 1];
    bool bundle, shared;
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
    int64_t marked_at;  /* of one that is shared: since when the service asks for another one; 0: it does not */
};

struct agent {
    const struct agent_options *options;
    struct profiles profiles;
    struct settings settings;
    char cluster[CLUSTER_NAME_MAX + 1], node[DNS_NAME_MAX + 1]; /* empty until the service said them */
    struct tracked tracked[CATALOGUE_NODE_ITEMS_MAX];
    size_t tracked_count;
    struct answers answers;
    char revision[REVISION_TEXT_MAX + 1];
    json_t *seen_to;  /* what the last whole turn was about, but for certificates; NULL */
    unsigned hurries; /* answers in a row for which this node did not have to wait */
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

/* ---- tracked.c ---- */

/* Reads the set of this profile, and when it is due. ERR_ABSENT: there is none. */
MUST_USE enum err tracked_look(const struct turn *turn, const struct profile *profile, struct tracked *tracked,
                               struct fault *f);
/* Whether it is due, and when; as which `due_at` is kept. */
struct schedule tracked_schedule(const struct turn *turn, struct tracked *tracked, const struct order *mark);
void tracked_renewed(const struct turn *turn, struct tracked *tracked);
/* How it went: what is wrong is logged when it is new, and once an hour. */
void tracked_success(struct tracked *tracked);
void tracked_trouble(const struct turn *turn, struct tracked *tracked, const struct fault *why);
/* When what failed may be tried again, and whether that is still to come. */
int64_t tracked_retry_at(const struct agent *agent, const struct tracked *tracked);
bool tracked_backed_off(const struct agent *agent, const struct tracked *tracked, int64_t now);
/* Looks whether the certificate is shown where it is served. */
void tracked_served(const struct turn *turn, struct tracked *tracked);

/* ---- server_change.c ---- */

/* Whether a kubeconfig may get its server of now.
 *   done  what was in use of it: its serial and its server
 * ERR_CONFLICT (CODE_PENDING): that one cannot be used yet, or not by all the API servers behind it. */
MUST_USE enum err server_change_check(const struct turn *turn, const struct catalogue_item *item,
                                      const struct tracked *tracked, const char *done, struct fault *f);

/* ---- certificate.c, shared.c ---- */

/* All that is to be done now for a certificate, a bundle, or what control planes share. What failed is kept in
 * `tracked` and logged. */
void certificate_turn(const struct turn *turn, const struct catalogue_item *item, struct tracked *tracked);
void bundle_turn(const struct turn *turn, const struct catalogue_item *item, struct tracked *tracked);
void shared_turn(const struct turn *turn, const struct catalogue_item *item, struct tracked *tracked);

/* Whether there is something to do about what this node shares with others: it has to take it, or another waits. */
bool shared_waits(const struct agent *agent, const struct caller_place *caller);

/* ---- report.c ---- */

/* Sends what is new since the last report. */
MUST_USE enum err report_turn(struct agent *agent, const struct caller_place *caller, struct fault *f);
MUST_USE enum err metrics_write(const struct agent *agent, struct fault *f);

#endif
