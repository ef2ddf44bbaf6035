#include "ca/lease.h"

#include <string.h>

#include "ca/base/encode.h"

/* A row changes when another node is served meanwhile: read it again, this often at most. */
enum { ATTEMPTS_MAX = 50, LEASE_VERSION = 1 };
/* When to look again: a holder is back long before its lease ends; one that blocks the group waits for people. */
enum { RETRY_HELD_SECONDS = 5, RETRY_BLOCKED_SECONDS = 30 };

const char *const lease_group_words[] = {"etcd", "control-plane", NULL};
const char *const lease_state_words[] = {"free", "held", "expired", "unhealthy", NULL};

enum lease_state lease_state(const struct lease *lease, int64_t now)
{
    if (lease->mark == LEASE_TAKEN)
        return lease->expires_at > now ? LEASE_HELD : LEASE_EXPIRED;
    return lease->mark == LEASE_ILL ? LEASE_UNHEALTHY : LEASE_FREE;
}

/* ---- rows ---- */

void key_lease(const char *cluster, enum lease_group group, struct bytes *out)
{
    key_prefix('w', out);
    key_name(cluster, out);
    bytes_append_text(out, lease_group_words[group]);
}

void lease_pack(const struct lease *lease, struct bytes *out)
{
    pack_u8(out, LEASE_VERSION);
    pack_text(out, lease->cluster);
    pack_u8(out, (uint8_t)lease->group);
    pack_u8(out, (uint8_t)lease->mark);
    pack_text(out, lease->holder);
    pack_i64(out, lease->taken_at);
    pack_i64(out, lease->expires_at);
}

enum err lease_unpack(struct span row, struct lease *ret_lease, struct fault *f)
{
    struct unpack in;
    struct lease lease = {0};
    TRY(row_begin(row, LEASE_VERSION, "a lease", &in, f));
    unpack_text(&in, lease.cluster, sizeof lease.cluster);
    lease.group = unpack_u8(&in);
    lease.mark = unpack_u8(&in);
    unpack_text(&in, lease.holder, sizeof lease.holder);
    lease.taken_at = unpack_i64(&in);
    lease.expires_at = unpack_i64(&in);
    TRY(unpack_finish(&in, "a lease", f));
    if (lease.group >= LEASE_GROUPS || lease.mark > LEASE_ILL)
        return fault_set(f, CODE_DAMAGED, "a lease has a group or a state that this program does not know");
    *ret_lease = lease;
    return OK;
}

enum err lease_get(struct ca *ca, const char *cluster, enum lease_group group, struct lease *ret_lease,
                   uint64_t *ret_revision, struct fault *f)
{
    AUTO(bytes) key = {0};
    AUTO(bytes) row = {0};
    key_lease(cluster, group, &key);
    TRY(bytes_check(&key, f));
    enum err err = store_get(ca->store, bytes_span(&key), &row, ret_revision, f);
    if (err == ERR_ABSENT) {
        fault_clear(f);
        struct lease none = {.group = group};
        snprintf(none.cluster, sizeof none.cluster, "%s", cluster);
        *ret_lease = none;
        *ret_revision = 0;
        return OK;
    }
    TRY(err);
    return lease_unpack(bytes_span(&row), ret_lease, f);
}

/* ---- one step: read the lease, change it, commit ---- */

struct step {
    struct ca *ca;
    const struct caller *caller;
    const struct cluster *cluster;
    int64_t lifetime_seconds;
    bool healthy;

    /* of the attempt: */
    struct lease lease;
    const char *event; /* NULL: nothing changes */
};

typedef enum err step_take(struct step *step, struct fault *f);

static enum err denied(const struct step *step, const char *why, enum lease_group group, struct fault *f)
{
    struct fault denial = {0};
    enum err err = fault_set(&denial, CODE_POLICY_DENIED, "node \"%s\" %s \"%s\"", step->caller->node, why,
                             lease_group_words[group]);
    TRY(audit_denial(step->ca, step->caller, "lease", &denial, f));
    *f = denial;
    return err;
}

static void step_event(const struct step *step, struct bytes *event)
{
    const struct lease *lease = &step->lease;
    char actor[DNS_NAME_MAX + 32];
    caller_text(step->caller, actor, sizeof actor);
    event_begin(event, step->event, actor);
    member_string(event, "cluster", lease->cluster);
    member_string(event, "group", lease_group_words[lease->group]);
    member_string(event, "holder", lease->holder);
    if (lease->mark == LEASE_TAKEN)
        member_time(event, "expires_at", lease->expires_at);
}

static enum err step_commit(const struct step *step, uint64_t revision, struct fault *f)
{
    AUTO(change) change = {0};
    AUTO(bytes) key = {0};
    AUTO(bytes) expected = {0};
    AUTO(bytes) row = {0};
    key_lease(step->lease.cluster, step->lease.group, &key);
    key_lease(step->lease.cluster, step->lease.group, &expected);
    lease_pack(&step->lease, &row);
    change_expect(&change, &expected, revision);
    change_put(&change, &key, &row);
    step_event(step, &change.event);
    return ledger_commit(step->ca->ledger, &change, f);
}

static enum err step_run(struct step *step, enum lease_group group, step_take *take, struct lease *ret_lease,
                         struct fault *f)
{
    for (int attempt = 1;; attempt++) {
        uint64_t revision = 0;
        step->event = NULL;
        TRY(lease_get(step->ca, step->cluster->name, group, &step->lease, &revision, f));
        TRY(take(step, f));
        enum err err = step->event ? step_commit(step, revision, f) : OK;
        if (err == OK)
            *ret_lease = step->lease;
        if (err != ERR_CONFLICT || attempt == ATTEMPTS_MAX)
            return err;
        fault_clear(f);
    }
}

/* ---- take ---- */

/* Whether what the group is about runs on the node. */
static bool group_has(const struct cluster *cluster, enum lease_group group, const char *name)
{
    const struct node_entry *node = cluster_node(cluster, name);
    return node && node->roles & (group == LEASE_ETCD ? ROLE_ETCD : ROLE_CONTROL_PLANE);
}

static enum err group_check(const struct step *step, enum lease_group group, struct fault *f)
{
    if (group_has(step->cluster, group, step->caller->node))
        return OK;
    return denied(step, "does not belong to the group", group, f);
}

/* Why another node than the holder has to wait. */
static enum err held_by_another(const struct lease *lease, enum lease_state state, struct fault *f)
{
    char until[TIME_TEXT_SIZE];
    const char *group = lease_group_words[lease->group];
    time_text(lease->expires_at, until);
    f->retry_after_seconds = state == LEASE_HELD ? RETRY_HELD_SECONDS : RETRY_BLOCKED_SECONDS;
    if (state == LEASE_HELD)
        return fault_set(f, CODE_CONFLICT, "node \"%s\" holds the lease \"%s\" until %s", lease->holder, group, until);
    return fault_set(f, CODE_CONFLICT,
                     "node \"%s\" %s, and so nobody else has the lease \"%s\": look after that node; when all is well, "
                     "`ensign cluster release %s %s`",
                     lease->holder, state == LEASE_EXPIRED ? "did not come back" : "came back ill", group,
                     lease->cluster, group);
}

static enum err take(struct step *step, struct fault *f)
{
    struct lease *lease = &step->lease;
    struct moment now;
    TRY(clock_require(step->ca->clock, &now, f));
    enum lease_state state = lease_state(lease, now.now);
    bool own = strcmp(lease->holder, step->caller->node) == 0;
    if (state != LEASE_FREE && !own)
        return held_by_another(lease, state, f);
    int64_t until = now.seconds + step->lifetime_seconds;
    if (state == LEASE_HELD && until - lease->expires_at < step->lifetime_seconds / 10)
        return OK;
    step->event = state == LEASE_HELD ? "lease.extended" : "lease.taken";
    if (state != LEASE_HELD)
        lease->taken_at = now.seconds;
    snprintf(lease->holder, sizeof lease->holder, "%s", step->caller->node);
    lease->mark = LEASE_TAKEN;
    lease->expires_at = until;
    return OK;
}

enum err lease_take(struct ca *ca, const struct caller *caller, const struct cluster *cluster, enum lease_group group,
                    int64_t lifetime_seconds, struct lease *ret_lease, struct fault *f)
{
    struct step step = {.ca = ca, .caller = caller, .cluster = cluster, .lifetime_seconds = lifetime_seconds};
    TRY(group_check(&step, group, f));
    TRY(restore_require(ca->restore, f));
    return step_run(&step, group, take, ret_lease, f);
}

/* ---- release ---- */

static enum err release(struct step *step, struct fault *f)
{
    struct lease *lease = &step->lease;
    bool own = strcmp(lease->holder, step->caller->node) == 0, node = step->caller->kind == REQUESTER_NODE;
    if (node && !own)
        return denied(step, "does not have the lease", lease->group, f);
    enum lease_mark mark = step->healthy ? LEASE_RELEASED : LEASE_ILL;
    if (lease->mark == mark || lease->mark == LEASE_RELEASED)
        return OK;
    step->event = node ? "lease.released" : "lease.released_by_force";
    if (mark == LEASE_ILL)
        step->event = "lease.blocked";
    lease->mark = mark;
    return OK;
}

enum err lease_release(struct ca *ca, const struct caller *caller, const struct cluster *cluster,
                       enum lease_group group, bool healthy, struct lease *ret_lease, struct fault *f)
{
    struct step step = {.ca = ca, .caller = caller, .cluster = cluster, .healthy = healthy};
    return step_run(&step, group, release, ret_lease, f);
}
