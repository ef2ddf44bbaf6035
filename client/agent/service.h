/* service.h: what the agent asks of the service, beside certificates: work, reports, leases. A service that does not
 * have one of these yet (ERR_ABSENT) is got along with: by time alone, unseen, without leases. */
#ifndef ENSIGN_CLIENT_AGENT_SERVICE_H
#define ENSIGN_CLIENT_AGENT_SERVICE_H

#include "client/session.h"

enum { REVISION_TEXT_MAX = 127 };

/* Who asks. Borrowed. */
struct caller_place {
    struct session *session;
    const char *cluster, *node;
};

/* ---- work ---- */

struct orders {
    struct document *answer; /* NULL: the service has no such route */
    char revision[REVISION_TEXT_MAX + 1];
    int64_t poll_seconds; /* how long to stay away */
};
void orders_cleanup(struct orders *orders);

/* From the service's answer. Pure. */
MUST_USE enum err orders_read(struct document *take_answer, struct orders *ret_orders, struct fault *f);

/* Waits until the revision is another one than `seen`, or the time is over. */
MUST_USE enum err orders_fetch(const struct caller_place *caller, const char *seen, int64_t wait_seconds,
                               struct orders *ret_orders, struct fault *f);

/* All of it but the certificates, and what is another one each time; NULL without memory or answer. The caller's. */
json_t *orders_rest(const struct orders *orders);

struct order {
    bool blocked;
    const char *renew; /* the reason; NULL: nothing is to be done. Borrowed */
};
struct order order_of(const struct orders *orders, const char *profile, const char *serial);

/* ---- reports ---- */

/* certificates, crls: arrays; borrowed. OK as well when there is nobody to report to. */
MUST_USE enum err report_send(const struct caller_place *caller, json_t *certificates, json_t *crls, struct fault *f);

/* ---- leases ---- */

/* ERR_CONFLICT: another node has it; the text says which. */
MUST_USE enum err lease_take(const struct caller_place *caller, const char *group, int64_t lifetime_seconds,
                             struct fault *f);
MUST_USE enum err lease_release(const struct caller_place *caller, const char *group, bool healthy, struct fault *f);

#endif
