/* lease.h: whose turn it is. What must not restart on two nodes of a cluster at a time, the members of etcd or the
 * control planes, restarts under the lease of its group, which one node holds at a time.
 *
 *   w <cluster> 0 <group>    lease
 *
 * A holder takes the lease, restarts, looks whether it is healthy, and gives it back. One that does not come back, or
 * comes back ill, blocks the group: what broke one member must not break the next one, too. Then only that holder may
 * take it again, and gives it back when it is healthy; or an operator gives it back by force.
 *
 * Times are the service's (ca/clock.h): while its clock is not trusted nobody takes a lease, and while the database is
 * an older copy that nobody acknowledged neither, since another node may hold it.  Threads: any. */
#ifndef ENSIGN_CA_LEASE_H
#define ENSIGN_CA_LEASE_H

#include "ca/ca.h"

enum lease_group { LEASE_ETCD, LEASE_CONTROL_PLANE, LEASE_GROUPS };
extern const char *const lease_group_words[]; /* of enum lease_group; NULL-terminated */

enum { LEASE_SECONDS_MIN = 10, LEASE_SECONDS_MAX = 600 };

/* As it is stored. */
enum lease_mark { LEASE_RELEASED, LEASE_TAKEN, LEASE_ILL };

struct lease {
    char cluster[CLUSTER_NAME_MAX + 1];
    enum lease_group group;
    enum lease_mark mark;
    char holder[DNS_NAME_MAX + 1]; /* the last one, when it is released; empty when there was none */
    int64_t taken_at, expires_at;
};

/* As it is now. */
enum lease_state {
    LEASE_FREE,
    LEASE_HELD,
    LEASE_EXPIRED,   /* its holder did not come back: blocked */
    LEASE_UNHEALTHY, /* its holder came back ill: blocked */
};
extern const char *const lease_state_words[]; /* "free", "held", "expired", "unhealthy", NULL */
enum lease_state lease_state(const struct lease *lease, int64_t now);

/* ---- rows ---- */
void key_lease(const char *cluster, enum lease_group group, struct bytes *out);
void lease_pack(const struct lease *lease, struct bytes *out);
/* ERR_IO (CODE_DAMAGED) when the row does not parse. */
MUST_USE enum err lease_unpack(struct span row, struct lease *ret_lease, struct fault *f);

/* ---- who has it ---- */

/* Released, when nobody took it yet. */
MUST_USE enum err lease_get(struct ca *ca, const char *cluster, enum lease_group group, struct lease *ret_lease,
                            uint64_t *ret_revision, struct fault *f);

/* The caller, a node of the group, has it from now on for that long, or for longer when it has it already. A change of
 * less than a tenth of it is not written.
 *   lifetime_seconds  LEASE_SECONDS_MIN..LEASE_SECONDS_MAX
 * Errors: ERR_CONFLICT another node holds it, or blocks the group (retry_after_seconds says when to look again);
 * ERR_DENIED (CODE_POLICY_DENIED), in the audit log, a node without the group's role; ERR_IO (CODE_CLOCK_UNTRUSTED,
 * CODE_RESTORED). */
MUST_USE enum err lease_take(struct ca *ca, const struct caller *caller, const struct cluster *cluster,
                             enum lease_group group, int64_t lifetime_seconds, struct lease *ret_lease,
                             struct fault *f);

/* Its holder gives it back, or anybody but a node by force. healthy false: the group stays blocked. What is given back
 * already stays so. ERR_DENIED (CODE_POLICY_DENIED), in the audit log, a node that is not the holder. */
MUST_USE enum err lease_release(struct ca *ca, const struct caller *caller, const struct cluster *cluster,
                                enum lease_group group, bool healthy, struct lease *ret_lease, struct fault *f);

#endif
