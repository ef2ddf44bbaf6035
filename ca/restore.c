#include "ca/restore.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "ca/ca.h"
#include "ca/meta.h"

enum { STATE_VERSION = 1 };

struct restore {
    pthread_mutex_t changing; /* one witness or acknowledgement at a time */
    pthread_mutex_t lock;     /* over what follows */
    struct restore_state state;
};

/* ---- the row ---- */

const char *restore_cause_word(enum restore_cause cause)
{
    static const char *const words[] = {
        [RESTORE_NONE] = "none", [RESTORE_BACKUP] = "restored", [RESTORE_ROLLBACK] = "rolled_back"};
    return words[cause];
}

void restore_state_pack(const struct restore_state *state, struct bytes *out)
{
    pack_u8(out, STATE_VERSION);
    pack_u8(out, (uint8_t)state->cause);
    pack_i64(out, state->time);
    pack_u64(out, state->entries);
    pack_fixed(out, SPAN_OF(state->root.data));
    pack_u64(out, state->shown);
    pack_u64(out, state->settled);
}

enum err restore_state_unpack(struct span row, struct restore_state *ret_state, struct fault *f)
{
    struct unpack in = unpack_begin(row);
    struct restore_state state = {0};
    in.failed |= unpack_u8(&in) != STATE_VERSION;
    state.cause = unpack_u8(&in);
    in.failed |= state.cause > RESTORE_ROLLBACK;
    state.time = unpack_i64(&in);
    state.entries = unpack_u64(&in);
    unpack_fixed(&in, state.root.data, sizeof state.root.data);
    state.shown = unpack_u64(&in);
    state.settled = unpack_u64(&in);
    TRY(unpack_finish(&in, "what is known of a restored copy", f));
    *ret_state = state;
    return OK;
}

static enum err state_load(struct store *store, struct restore_state *ret_state, struct fault *f)
{
    AUTO(bytes) row = {0};
    *ret_state = (struct restore_state){0};
    TRY(meta_get(store, "restore", &row, f));
    return row.size > 0 ? restore_state_unpack(bytes_span(&row), ret_state, f) : OK;
}

/* Row and leaf in one commit. */
static enum err state_commit(struct ledger *ledger, const struct restore_state *state, struct change *change,
                             struct fault *f)
{
    AUTO(bytes) key = {0};
    AUTO(bytes) row = {0};
    key_meta("restore", &key);
    restore_state_pack(state, &row);
    change_put(change, &key, &row);
    return ledger_commit(ledger, change, f);
}

static void event_copy(struct bytes *event, const char *name, const char *actor, const struct restore_state *state)
{
    event_begin(event, name, actor);
    member_integer(event, "entries", (int64_t)state->entries);
    member_hex(event, "root", SPAN_OF(state->root.data));
    if (state->shown)
        member_integer(event, "shown", (int64_t)state->shown);
}

/* ---- one for all threads ---- */

enum err restore_open(struct store *store, struct restore **ret_restore, struct fault *f)
{
    struct restore_state state;
    TRY(state_load(store, &state, f));
    struct restore *restore = calloc(1, sizeof *restore);
    if (!restore)
        return fault_no_memory(f);
    restore->state = state;
    pthread_mutex_init(&restore->changing, NULL);
    pthread_mutex_init(&restore->lock, NULL);
    *ret_restore = restore;
    return OK;
}

void restore_close(struct restore *restore)
{
    if (!restore)
        return;
    pthread_mutex_destroy(&restore->changing);
    pthread_mutex_destroy(&restore->lock);
    free(restore);
}

struct restore_state restore_read(struct restore *restore)
{
    pthread_mutex_lock(&restore->lock);
    struct restore_state state = restore->state;
    pthread_mutex_unlock(&restore->lock);
    return state;
}

static void state_adopt(struct restore *restore, const struct restore_state *state)
{
    pthread_mutex_lock(&restore->lock);
    restore->state = *state;
    pthread_mutex_unlock(&restore->lock);
}

enum err restore_require(struct restore *restore, struct fault *f)
{
    static const char *const texts[] = {
        [RESTORE_BACKUP] = "the database was restored from a backup",
        [RESTORE_ROLLBACK] = "the database is an older copy: the service has signed a checkpoint that its log does not "
                             "have",
    };
    enum restore_cause cause = restore_read(restore).cause;
    if (cause == RESTORE_NONE)
        return OK;
    return fault_set(
        f, CODE_RESTORED,
        "%s; nothing is issued until an admin has acknowledged what it may lack: see `ensign restore show`",
        texts[cause]);
}

/* ---- a copy that is put there knowingly ---- */

static void nothing_observe(void *context, const struct change *change)
{
    (void)context, (void)change; /* the search indexes follow when the service starts */
}

static enum err mark_commit(struct ledger *ledger, int64_t begun_at, struct restore_state *state, struct fault *f)
{
    AUTO(change) change = {0};
    struct merkle_frontier frontier;
    ledger_frontier(ledger, &frontier);
    state->cause = RESTORE_BACKUP;
    state->time = begun_at;
    state->entries = frontier.size;
    merkle_root(&frontier, &state->root);
    event_copy(&change.event, "database.restored", "service restore", state);
    member_time(&change.event, "copied_at", begun_at);
    return state_commit(ledger, state, &change, f);
}

enum err restore_mark(struct store *store, const struct clock_basis *basis, int64_t begun_at,
                      struct restore_state *ret_state, struct fault *f)
{
    struct restore_state state;
    struct clock *clock = NULL;
    struct ledger *ledger = NULL;
    TRY(state_load(store, &state, f));
    TRY(clock_open(store, basis, &clock, f));
    enum err err = ledger_open(store, NULL, clock, nothing_observe, NULL, &ledger, f); /* it has nothing to sign */
    if (err == OK)
        err = mark_commit(ledger, begun_at, &state, f);
    ledger_close(ledger);
    clock_close(clock);
    if (err == OK)
        *ret_state = state;
    return err;
}

/* ---- the acknowledgement ---- */

static enum err acknowledge(struct ca *ca, const struct caller *caller, uint64_t entries, struct fault *f)
{
    struct restore_state state = restore_read(ca->restore);
    if (state.cause == RESTORE_NONE)
        return OK;
    if (state.entries != entries) {
        fault_reason(f, "/entries", "the copy's log has %" PRIu64, state.entries);
        return fault_if_reasons(f, CODE_INVALID, "that is another copy: look at it with `ensign restore show`");
    }
    char actor[DNS_NAME_MAX + 32];
    caller_text(caller, actor, sizeof actor);
    AUTO(change) change = {0};
    event_copy(&change.event, "restore.acknowledged", actor, &state);
    if (state.settled < state.shown)
        state.settled = state.shown;
    struct restore_state after = {.settled = state.settled};
    TRY(state_commit(ca->ledger, &after, &change, f));
    state_adopt(ca->restore, &after);
    return OK;
}

enum err restore_acknowledge(struct ca *ca, const struct caller *caller, uint64_t entries, struct fault *f)
{
    pthread_mutex_lock(&ca->restore->changing);
    enum err err = acknowledge(ca, caller, entries, f);
    pthread_mutex_unlock(&ca->restore->changing);
    return err;
}

/* ---- a copy that is found out ---- */

static enum err note_read(const struct ca *ca, struct span note, struct checkpoint *ret_checkpoint, struct fault *f)
{
    char verifier[LOG_VERIFIER_TEXT_MAX + 1];
    struct fault why = {0};
    log_verifier_text(ca->service.origin, ca->service.log_public_key, verifier);
    if (checkpoint_verify(note, verifier, ret_checkpoint, &why) != OK)
        fault_reason(f, "/checkpoint", "%.300s", why.text);
    return fault_if_reasons(f, CODE_INVALID, "this is no checkpoint of this service's log");
}

static enum err log_has(const struct ca *ca, const struct checkpoint *checkpoint, uint64_t size, bool *ret_has,
                        struct fault *f)
{
    struct merkle_hash root;
    *ret_has = false;
    if (checkpoint->size > size)
        return OK;
    TRY(ledger_root_at(ca->store, checkpoint->size, &root, f));
    *ret_has = memcmp(&root, &checkpoint->root, sizeof root) == 0;
    return OK;
}

/* Issuance stops before it is written down, so also when that fails. */
static enum err rollback_note(struct ca *ca, const struct caller *caller, const struct merkle_frontier *frontier,
                              uint64_t shown, struct fault *f)
{
    struct restore_state state = restore_read(ca->restore);
    if (state.cause != RESTORE_NONE && shown <= state.shown)
        return OK;
    if (state.cause == RESTORE_NONE) {
        state.cause = RESTORE_ROLLBACK;
        state.time = clock_read(ca->clock).seconds;
        state.entries = frontier->size;
        merkle_root(frontier, &state.root);
    }
    state.shown = shown;
    state_adopt(ca->restore, &state);
    char actor[DNS_NAME_MAX + 32];
    caller_text(caller, actor, sizeof actor);
    AUTO(change) change = {0};
    event_copy(&change.event, "rollback.found", actor, &state);
    return state_commit(ca->ledger, &state, &change, f);
}

enum err restore_witness(struct ca *ca, const struct caller *caller, struct span note, enum witness *ret_witness,
                         struct fault *f)
{
    struct checkpoint checkpoint;
    struct merkle_frontier frontier;
    bool has = false;
    TRY(note_read(ca, note, &checkpoint, f));
    ledger_frontier(ca->ledger, &frontier);
    TRY(log_has(ca, &checkpoint, frontier.size, &has, f));
    bool settled = checkpoint.size <= restore_read(ca->restore).settled;
    *ret_witness = has ? WITNESS_IN_LOG : settled ? WITNESS_SETTLED : WITNESS_NOT_IN_LOG;
    if (*ret_witness != WITNESS_NOT_IN_LOG)
        return OK;
    pthread_mutex_lock(&ca->restore->changing);
    enum err err = rollback_note(ca, caller, &frontier, checkpoint.size, f);
    pthread_mutex_unlock(&ca->restore->changing);
    return err;
}
