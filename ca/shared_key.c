#include "ca/shared_key.h"

#include <stdlib.h>
#include <string.h>

#include "ca/renewal.h"
#include "policies/catalogue.h"

/* A row changes when another node is served meanwhile: read it again, this often at most. */
enum { ATTEMPTS_MAX = 50 };

/* ---- who may ---- */

enum err shared_caller_check(struct ca *ca, const struct shared_caller *caller, const char *what, struct fault *f)
{
    const struct node_entry *node = cluster_node(caller->cluster, caller->caller->node);
    if (caller->caller->kind == REQUESTER_NODE && node && node->roles & ROLE_CONTROL_PLANE)
        return OK;
    struct fault why = {0};
    enum err err = fault_set(&why, CODE_POLICY_DENIED, "only control planes of cluster \"%s\" share its keys",
                             caller->cluster->name);
    TRY(audit_denial(ca, caller->caller, what, &why, f));
    *f = why;
    return err;
}

static void event_start(struct bytes *event, const char *name, const struct shared_caller *caller)
{
    char actor[DNS_NAME_MAX + 32];
    caller_text(caller->caller, actor, sizeof actor);
    event_begin(event, name, actor);
    member_string(event, "cluster", caller->cluster->name);
    if (caller->caller->kind == REQUESTER_NODE)
        member_hex(event, "identity_serial", SPAN_OF(caller->serial));
}

/* ---- sealing keys ---- */

struct loading {
    struct sealing_keys *keys;
    struct fault *f;
    enum err err;
};

static bool sealing_key_visit(void *context, struct span key, struct span row)
{
    (void)key;
    struct loading *loading = context;
    struct sealing_keys *keys = loading->keys;
    if (keys->count == SHARED_RECEIVERS_MAX)
        loading->err =
            fault_set(loading->f, CODE_TOO_LARGE, "more than %d nodes have sealing keys", SHARED_RECEIVERS_MAX);
    else
        loading->err = sealing_key_unpack(row, &keys->items[keys->count], loading->f);
    keys->count += loading->err == OK;
    return loading->err == OK;
}

enum err sealing_keys_load(struct ca *ca, const char *cluster, struct sealing_keys *ret_keys, struct fault *f)
{
    AUTO(bytes) from = {0};
    AUTO(bytes) to = {0};
    key_sealing_key(cluster, "", &from);
    key_sealing_key(cluster, "\x7f", &to); /* names of nodes are ASCII */
    TRY(bytes_check(&from, f));
    TRY(bytes_check(&to, f));
    *ret_keys = (struct sealing_keys){0};
    struct loading loading = {ret_keys, f, OK};
    enum err err = store_scan(ca->store, bytes_span(&from), bytes_span(&to), false, sealing_key_visit, &loading, f);
    if (err == OK)
        err = loading.err;
    if (err != OK)
        sealing_keys_cleanup(ret_keys);
    return err;
}

void sealing_keys_cleanup(struct sealing_keys *keys)
{
    for (size_t i = 0; i < keys->count; i++)
        sealing_key_cleanup(&keys->items[i]);
    keys->count = 0;
}

static const struct sealing_key *sealing_keys_find(const struct sealing_keys *keys, const char *node)
{
    for (size_t i = 0; i < keys->count; i++)
        if (strcmp(keys->items[i].node, node) == 0)
            return &keys->items[i];
    return NULL;
}

static enum err sealing_key_get(struct ca *ca, const struct shared_caller *caller, struct sealing_key *ret_key,
                                uint64_t *ret_revision, struct fault *f)
{
    AUTO(bytes) key = {0};
    AUTO(bytes) row = {0};
    key_sealing_key(caller->cluster->name, caller->caller->node, &key);
    TRY(bytes_check(&key, f));
    enum err err = store_get(ca->store, bytes_span(&key), &row, ret_revision, f);
    if (err == ERR_ABSENT) {
        fault_clear(f);
        return OK;
    }
    TRY(err);
    return sealing_key_unpack(bytes_span(&row), ret_key, f);
}

/* Room for one more: the new one, and the offline receiver's envelope. */
static enum err sealing_keys_room(struct ca *ca, const struct shared_caller *caller, struct fault *f)
{
    AUTO(sealing_keys) keys = {0};
    TRY(sealing_keys_load(ca, caller->cluster->name, &keys, f));
    if (keys.count + 2 > SHARED_RECEIVERS_MAX)
        return fault_set(f, CODE_TOO_LARGE, "at most %d control planes share keys", SHARED_RECEIVERS_MAX - 1);
    return OK;
}

static enum err sealing_key_commit(struct ca *ca, const struct shared_caller *caller, const struct sealing_key *key,
                                   uint64_t revision, struct fault *f)
{
    AUTO(change) change = {0};
    AUTO(bytes) expected = {0};
    AUTO(bytes) name = {0};
    AUTO(bytes) row = {0};
    key_sealing_key(key->cluster, key->node, &expected);
    key_sealing_key(key->cluster, key->node, &name);
    sealing_key_pack(key, &row);
    change_expect(&change, &expected, revision);
    change_put(&change, &name, &row);
    event_start(&change.event, "sealing_key.published", caller);
    member_hex(&change.event, "public_key", SPAN_OF(key->public_key));
    return ledger_commit(ca->ledger, &change, f);
}

enum err sealing_key_publish(struct ca *ca, const struct shared_caller *caller,
                             const uint8_t public_key[SEALING_KEY_SIZE], struct span signature, struct fault *f)
{
    TRY(shared_caller_check(ca, caller, "sealing key", f));
    AUTO(sealing_key) key = {0};
    uint64_t revision = 0;
    TRY(sealing_key_get(ca, caller, &key, &revision, f));
    if (revision && memcmp(key.public_key, public_key, SEALING_KEY_SIZE) == 0 &&
        memcmp(key.serial, caller->serial, SERIAL_SIZE) == 0 && span_equal(bytes_span(&key.signature), signature))
        return OK;
    if (!revision)
        TRY(sealing_keys_room(ca, caller, f));
    struct moment now;
    TRY(clock_require(ca->clock, &now, f));
    sealing_key_cleanup(&key);
    key = (struct sealing_key){.created_at = now.seconds};
    snprintf(key.cluster, sizeof key.cluster, "%s", caller->cluster->name);
    snprintf(key.node, sizeof key.node, "%s", caller->caller->node);
    memcpy(key.serial, caller->serial, SERIAL_SIZE);
    memcpy(key.public_key, public_key, SEALING_KEY_SIZE);
    TRY(bytes_copy(signature, &key.signature, f));
    return sealing_key_commit(ca, caller, &key, revision, f);
}

/* ---- reading ---- */

enum err shared_key_get(struct ca *ca, const struct cluster *cluster, const char *name, struct shared_key *ret_key,
                        uint64_t *ret_revision, struct fault *f)
{
    if (!catalogue_shares(cluster, name))
        return fault_set(f, CODE_NOT_FOUND, "cluster \"%s\" shares no key \"%.64s\"", cluster->name, name);
    AUTO(bytes) key = {0};
    AUTO(bytes) row = {0};
    key_shared_key(cluster->name, name, &key);
    TRY(bytes_check(&key, f));
    *ret_revision = 0;
    enum err err = store_get(ca->store, bytes_span(&key), &row, ret_revision, f);
    if (err != ERR_ABSENT)
        return err == OK ? shared_key_unpack(bytes_span(&row), ret_key, f) : err;
    fault_clear(f);
    *ret_key = (struct shared_key){0};
    snprintf(ret_key->cluster, sizeof ret_key->cluster, "%s", cluster->name);
    snprintf(ret_key->name, sizeof ret_key->name, "%s", name);
    return OK;
}

struct shared_receiver *shared_key_receiver(struct shared_key *key, const char *name)
{
    for (size_t i = 0; i < key->receivers_count; i++)
        if (strcmp(key->receivers[i].name, name) == 0)
            return &key->receivers[i];
    return NULL;
}

/* The key to which this receiver has things sealed now; NULL when it is none. */
static const uint8_t *sealing_key_of(const char *receiver, const struct cluster *cluster,
                                     const struct sealing_keys *keys)
{
    if (strcmp(receiver, SHARED_RECOVERY) == 0)
        return cluster->has_recovery ? cluster->recovery_key : NULL;
    const struct node_entry *node = cluster_node(cluster, receiver);
    const struct sealing_key *key = sealing_keys_find(keys, receiver);
    return node && node->roles & ROLE_CONTROL_PLANE && key ? key->public_key : NULL;
}

bool shared_receiver_current(const struct shared_receiver *receiver, const struct cluster *cluster,
                             const struct sealing_keys *keys)
{
    const uint8_t *now = receiver ? sealing_key_of(receiver->name, cluster, keys) : NULL;
    return now && memcmp(now, receiver->sealing_key, SEALING_KEY_SIZE) == 0;
}

bool shared_key_held(const struct shared_key *key, const struct cluster *cluster, const struct sealing_keys *keys)
{
    for (size_t i = 0; i < key->receivers_count; i++)
        if (key->receivers[i].holds && shared_receiver_current(&key->receivers[i], cluster, keys))
            return true;
    return false;
}

/* ---- changing: each step works on the row as it was read, and is repeated when that changed meanwhile ---- */

struct step {
    struct ca *ca;
    const struct shared_caller *caller; /* a control plane; of a reset an admin */
    struct sealing_keys keys;
    struct shared_key key;
    bool changed;
    struct change change;

    /* What the steps are about, as far as each needs it: */
    const char *name;
    uint32_t generation;
    struct span spki;
    const struct shared_envelope *envelopes;
    size_t envelopes_count;
};
typedef enum err step_take(struct step *step, struct fault *f);

static void step_end(struct step *step)
{
    sealing_keys_cleanup(&step->keys);
    shared_key_cleanup(&step->key);
    change_cleanup(&step->change);
    step->key = (struct shared_key){0};
    step->change = (struct change){0};
    step->changed = false;
}

static void step_free(struct step **step)
{
    if (*step)
        step_end(*step);
    free(*step);
}

static void step_event(struct step *step, const char *event)
{
    event_start(&step->change.event, event, step->caller);
    member_string(&step->change.event, "key", step->name);
    member_integer(&step->change.event, "generation", step->key.generation);
    step->changed = true;
}

static enum err step_once(struct step *step, step_take *take, struct fault *f)
{
    const struct cluster *cluster = step->caller->cluster;
    uint64_t revision = 0;
    step_end(step);
    TRY(sealing_keys_load(step->ca, cluster->name, &step->keys, f));
    TRY(shared_key_get(step->ca, cluster, step->name, &step->key, &revision, f));
    TRY(take(step, f));
    if (!step->changed)
        return OK;
    AUTO(bytes) expected = {0};
    AUTO(bytes) name = {0};
    AUTO(bytes) row = {0};
    key_shared_key(cluster->name, step->name, &expected);
    key_shared_key(cluster->name, step->name, &name);
    shared_key_pack(&step->key, &row);
    change_expect(&step->change, &expected, revision);
    change_put(&step->change, &name, &row);
    return ledger_commit(step->ca->ledger, &step->change, f);
}

/* A step that refuses has no event: that is a conflict of its own, and not worth another attempt. */
static enum err step_repeat(struct step *step, step_take *take, struct fault *f)
{
    for (int attempt = 1;; attempt++) {
        enum err err = step_once(step, take, f);
        if (err != ERR_CONFLICT || !step->changed || attempt == ATTEMPTS_MAX)
            return err;
        fault_clear(f);
    }
}

static enum err step_run(struct step *step, step_take *take, struct fault *f)
{
    TRY(shared_caller_check(step->ca, step->caller, "shared key", f));
    return step_repeat(step, take, f);
}

static enum err step_new(struct ca *ca, const struct shared_caller *caller, const char *name, uint32_t generation,
                         struct step **ret_step, struct fault *f)
{
    struct step *step = calloc(1, sizeof *step);
    if (!step)
        return fault_no_memory(f);
    step->ca = ca;
    step->caller = caller;
    step->name = name;
    step->generation = generation;
    *ret_step = step;
    return OK;
}

static enum err generation_check(const struct step *step, struct fault *f)
{
    if (step->key.generation == step->generation)
        return OK;
    return fault_set(f, CODE_CONFLICT, "the generation of key \"%s\" is %u, not %u", step->name, step->key.generation,
                     step->generation);
}

/* What is sealed or held is a key that somebody claimed, with its certificate if it is one that has such. */
static enum err made_check(const struct step *step, struct fault *f)
{
    TRY(generation_check(step, f));
    if (!step->key.custodian[0])
        return fault_set(f, CODE_CONFLICT, "nobody has claimed key \"%s\"", step->name);
    if (catalogue_shares_certificate(step->caller->cluster, step->name) && !step->key.certified)
        return fault_set(f, CODE_CONFLICT, "key \"%s\" has no certificate yet", step->name);
    return OK;
}

/* ---- claim ---- */

bool shared_key_claimable(const struct shared_key *key, const struct cluster *cluster, const struct sealing_keys *keys,
                          const char *node, int64_t now)
{
    bool young = now < key->claimed_at + SHARED_CLAIM_SECONDS && strcmp(key->custodian, node) != 0;
    return !key->custodian[0] || (!young && !shared_key_held(key, cluster, keys));
}

bool shared_key_renewable(struct shared_key *key, const struct cluster *cluster, const struct sealing_keys *keys,
                          const char *node)
{
    const struct shared_receiver *own = shared_key_receiver(key, node);
    return catalogue_shares_certificate(cluster, key->name) && own && own->holds &&
           shared_receiver_current(own, cluster, keys);
}

/* Who holds the key may be the one for whom it was revoked. */
static enum err revoked_check(const struct step *step, struct fault *f)
{
    const struct shared_key *key = &step->key;
    AUTO(certificate_record) record = {0};
    if (!key->custodian[0] || !key->certified)
        return OK;
    TRY(certificate_get(step->ca, key->serial, &record, f));
    if (!record.revoked_at)
        return OK;
    return fault_set(
        f, CODE_CONFLICT,
        "the certificate of key \"%s\" was revoked: an admin has it made anew with `ensign shared-key reset "
        "%s --cluster %s`",
        step->name, step->name, key->cluster);
}

static enum err claim_check(struct step *step, int64_t now, struct fault *f)
{
    struct shared_key *key = &step->key;
    const struct cluster *cluster = step->caller->cluster;
    const char *node = step->caller->caller->node;
    TRY(generation_check(step, f));
    TRY(revoked_check(step, f));
    bool renewable = shared_key_renewable(key, cluster, &step->keys, node);
    if ((renewable || !key->custodian[0]) && span_equal(bytes_span(&key->spki), step->spki))
        return fault_set(f, CODE_CONFLICT, "that is generation %u of key \"%s\" already", key->generation, step->name);
    if (renewable || shared_key_claimable(key, cluster, &step->keys, node, now))
        return OK;
    if (shared_key_held(key, cluster, &step->keys))
        return fault_set(f, CODE_CONFLICT, "key \"%s\" is held already: it is not made again", step->name);
    return fault_set(f, CODE_CONFLICT, "\"%s\" claimed key \"%s\" a moment ago", key->custodian, step->name);
}

static enum err claim_take(struct step *step, struct fault *f)
{
    struct shared_key *key = &step->key;
    const char *node = step->caller->caller->node;
    if (key->generation == step->generation + 1 && strcmp(key->custodian, node) == 0 &&
        span_equal(bytes_span(&key->spki), step->spki))
        return OK;
    struct moment now;
    TRY(restore_require(step->ca->restore, f)); /* an older copy may not know that there is a key */
    TRY(clock_require(step->ca->clock, &now, f));
    TRY(claim_check(step, now.seconds, f));
    if (key->certified)
        TRY(renewal_admit(step->ca, step->caller->cluster, node, step->name, key->serial, now.now, f));
    struct shared_key made = {.generation = key->generation + 1, .claimed_at = now.seconds};
    memcpy(made.cluster, key->cluster, sizeof made.cluster);
    memcpy(made.name, key->name, sizeof made.name);
    snprintf(made.custodian, sizeof made.custodian, "%s", node);
    TRY(bytes_copy(step->spki, &made.spki, f));
    char before[sizeof key->custodian];
    bool renewed = shared_key_renewable(key, step->caller->cluster, &step->keys, node);
    memcpy(before, key->custodian, sizeof before);
    shared_key_cleanup(key);
    *key = made;
    step_event(step, renewed ? "shared_key.renewed" : before[0] ? "shared_key.taken_over" : "shared_key.claimed");
    if (before[0])
        member_string(&step->change.event, "custodian_before", before);
    return OK;
}

enum err shared_key_claim(struct ca *ca, const struct shared_caller *caller, const char *name, uint32_t expected,
                          struct span spki, struct fault *f)
{
    CLEANUP(step_free) struct step *step = NULL;
    TRY(step_new(ca, caller, name, expected, &step, f));
    step->spki = spki;
    return step_run(step, claim_take, f);
}

/* ---- seal ---- */

static enum err envelope_put(struct step *step, const struct shared_envelope *envelope, struct fault *f)
{
    const uint8_t *wanted = sealing_key_of(envelope->receiver, step->caller->cluster, &step->keys);
    if (!wanted)
        return fault_set(f, CODE_INVALID, "\"%.64s\" is no receiver: it has no sealing key", envelope->receiver);
    if (memcmp(wanted, envelope->sealing_key, SEALING_KEY_SIZE) != 0)
        return fault_set(f, CODE_CONFLICT, "the sealing key of \"%s\" is another one now", envelope->receiver);
    struct shared_receiver *receiver = shared_key_receiver(&step->key, envelope->receiver);
    if (!receiver && step->key.receivers_count == SHARED_RECEIVERS_MAX)
        return fault_set(f, CODE_TOO_LARGE, "a key has at most %d receivers", SHARED_RECEIVERS_MAX);
    if (!receiver)
        receiver = &step->key.receivers[step->key.receivers_count++];
    if (memcmp(receiver->sealing_key, envelope->sealing_key, SEALING_KEY_SIZE) != 0)
        receiver->holds = false; /* that was under its sealing key of before */
    snprintf(receiver->name, sizeof receiver->name, "%s", envelope->receiver);
    memcpy(receiver->sealing_key, envelope->sealing_key, SEALING_KEY_SIZE);
    snprintf(receiver->sender, sizeof receiver->sender, "%s", step->caller->caller->node);
    memcpy(receiver->serial, step->caller->serial, SERIAL_SIZE);
    bytes_free(&receiver->sealed);
    bytes_free(&receiver->signature);
    TRY(bytes_copy(bytes_span(&envelope->sealed), &receiver->sealed, f));
    return bytes_copy(bytes_span(&envelope->signature), &receiver->signature, f);
}

/* Whether the caller made the key, or holds it. */
static bool caller_has_key(struct step *step)
{
    const char *node = step->caller->caller->node;
    const struct shared_receiver *own = shared_key_receiver(&step->key, node);
    return strcmp(step->key.custodian, node) == 0 ||
           (own && own->holds && shared_receiver_current(own, step->caller->cluster, &step->keys));
}

static enum err seal_take(struct step *step, struct fault *f)
{
    TRY(made_check(step, f));
    if (!caller_has_key(step))
        return fault_set(f, CODE_CONFLICT, "\"%s\" does not hold key \"%s\"", step->caller->caller->node, step->name);
    for (size_t i = 0; i < step->envelopes_count; i++)
        TRY(envelope_put(step, &step->envelopes[i], f));
    step_event(step, "shared_key.sealed");
    struct bytes *event = &step->change.event;
    member_begin(event, "receivers");
    bytes_append_text(event, "[");
    for (size_t i = 0; i < step->envelopes_count; i++)
        element_string(event, step->envelopes[i].receiver);
    bytes_append_text(event, "]");
    return OK;
}

enum err shared_key_seal(struct ca *ca, const struct shared_caller *caller, const char *name, uint32_t generation,
                         const struct shared_envelope *envelopes, size_t count, struct fault *f)
{
    CLEANUP(step_free) struct step *step = NULL;
    TRY(step_new(ca, caller, name, generation, &step, f));
    step->envelopes = envelopes;
    step->envelopes_count = count;
    return step_run(step, seal_take, f);
}

/* ---- acknowledge ---- */

static enum err acknowledge_take(struct step *step, struct fault *f)
{
    TRY(made_check(step, f));
    const char *node = step->caller->caller->node;
    const uint8_t *sealing_key = sealing_key_of(node, step->caller->cluster, &step->keys);
    struct shared_receiver *own = shared_key_receiver(&step->key, node);
    bool current = shared_receiver_current(own, step->caller->cluster, &step->keys);
    if (current && own->holds)
        return OK;
    if (!sealing_key)
        return fault_set(f, CODE_CONFLICT, "\"%s\" has no sealing key", node);
    if (!own && step->key.receivers_count == SHARED_RECEIVERS_MAX)
        return fault_set(f, CODE_TOO_LARGE, "a key has at most %d receivers", SHARED_RECEIVERS_MAX);
    if (!own)
        own = &step->key.receivers[step->key.receivers_count++];
    if (!current) { /* an envelope for its sealing key of before is no use to it */
        own->sender[0] = '\0';
        bytes_free(&own->sealed);
        bytes_free(&own->signature);
    }
    snprintf(own->name, sizeof own->name, "%s", node);
    memcpy(own->sealing_key, sealing_key, SEALING_KEY_SIZE);
    own->holds = true;
    step_event(step, "shared_key.held");
    return OK;
}

enum err shared_key_acknowledge(struct ca *ca, const struct shared_caller *caller, const char *name,
                                uint32_t generation, struct fault *f)
{
    CLEANUP(step_free) struct step *step = NULL;
    TRY(step_new(ca, caller, name, generation, &step, f));
    return step_run(step, acknowledge_take, f);
}

/* ---- reset ---- */

/* The public key stays: it is not claimed again. */
static enum err reset_take(struct step *step, struct fault *f)
{
    struct shared_key *key = &step->key;
    TRY(generation_check(step, f));
    if (key->generation == 0)
        return fault_set(f, CODE_CONFLICT, "nobody has claimed key \"%s\"", step->name);
    if (!key->custodian[0])
        return OK;
    for (size_t i = 0; i < key->receivers_count; i++) {
        bytes_free(&key->receivers[i].sealed);
        bytes_free(&key->receivers[i].signature);
    }
    key->receivers_count = 0;
    key->certified = false;
    memset(key->serial, 0, sizeof key->serial);
    step_event(step, "shared_key.reset");
    member_string(&step->change.event, "custodian_before", key->custodian);
    key->custodian[0] = '\0';
    return OK;
}

enum err shared_key_reset(struct ca *ca, const struct caller *admin, const struct cluster *cluster, const char *name,
                          uint32_t generation, struct fault *f)
{
    CLEANUP(step_free) struct step *step = NULL;
    const struct shared_caller caller = {.caller = admin, .cluster = cluster};
    TRY(step_new(ca, &caller, name, generation, &step, f));
    return step_repeat(step, reset_take, f);
}
