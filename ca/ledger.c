#include "ca/ledger.h"

#include <errno.h>
#include <pthread.h>
#include <search.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ca/base/encode.h"
#include "ca/meta.h"

enum {
    BATCH_MAX = 512,                    /* changes in one commit */
    TAIL_VERIFIED_LEAVES_MAX = 1 << 16, /* at start */
    IDLE_MARK_SECONDS = 3600,           /* the clock's mark is stored this often when nothing is committed */
};

struct ledger {
    struct store *store;
    struct signer *signer;
    struct clock *clock;
    ledger_observer *observer;
    void *context;
    pthread_t committer;

    pthread_mutex_t lock; /* over what follows */
    pthread_cond_t work;
    struct change *first, **last;
    bool stopping;
    bool read_only;
    struct merkle_frontier frontier; /* durable */

    /* The committer's scratch, for one batch. */
    struct change *batch[BATCH_MAX];
    size_t batch_count;
    struct expectation expectations[BATCH_MAX * CHANGE_EXPECTATIONS_MAX];
    struct write writes[BATCH_MAX * CHANGE_WRITES_MAX + 2];
    struct signing signings[BATCH_MAX];
    struct change *signed_changes[BATCH_MAX];
};

/* ---- one batch: expectations ---- */

static int key_compare(const void *a, const void *b)
{
    return span_compare(bytes_span(a), bytes_span(b));
}

static void key_keep(void *key)
{
    (void)key; /* the tree borrows its keys */
}

static enum err expectation_check(struct ledger *ledger, const struct bytes *key, uint64_t revision,
                                  void *const *written, struct fault *f)
{
    if (tfind(key, written, key_compare))
        return fault_set(f, CODE_CONFLICT, "changed at the same time by another request; try again");
    AUTO(bytes) value = {0};
    uint64_t found = 0;
    enum err err = store_get(ledger->store, bytes_span(key), &value, &found, f);
    if (err == ERR_ABSENT) {
        fault_clear(f);
        err = OK;
    }
    TRY(err);
    return found == revision ? OK : fault_set(f, CODE_CONFLICT, "changed meanwhile by another request; try again");
}

/* Whether the change may go in, given the store and the changes before it in this batch. */
static enum err change_admit(struct ledger *ledger, const struct change *change, void **written, struct fault *f)
{
    TRY(change_check(change, f));
    for (size_t i = 0; i < change->expectations_count; i++)
        TRY(expectation_check(ledger, &change->expectations[i].key, change->expectations[i].revision, written, f));
    for (size_t i = 0; i < change->writes_count; i++)
        if (!tsearch(&change->writes[i].key, written, key_compare))
            return fault_no_memory(f);
    return OK;
}

static void batch_admit(struct ledger *ledger)
{
    void *written = NULL;
    for (size_t i = 0; i < ledger->batch_count; i++) {
        struct change *change = ledger->batch[i];
        change->err = change_admit(ledger, change, &written, change->fault);
    }
    tdestroy(written, key_keep);
}

/* ---- one batch: signatures ---- */

static void batch_sign(struct ledger *ledger)
{
    size_t count = 0;
    for (size_t i = 0; i < ledger->batch_count; i++) {
        struct change *change = ledger->batch[i];
        if (change->err != OK || !change->authority)
            continue;
        ledger->signed_changes[count] = change;
        ledger->signings[count] = (struct signing){.blob = bytes_span(&change->authority->record.blob),
                                                   .draft = bytes_span(&change->draft),
                                                   .fault = change->fault};
        count++;
    }
    if (count == 0)
        return;
    struct fault fault = {0};
    enum err err = signer_sign(ledger->signer, ledger->signings, count, &fault);
    for (size_t i = 0; i < count; i++) {
        struct change *change = ledger->signed_changes[i];
        if (err != OK)
            *change->fault = fault;
        change->err = err != OK ? err : ledger->signings[i].err;
        change->record->certificate = ledger->signings[i].certificate;
    }
}

/* ---- one batch: records, leaves, commit ---- */

static void record_write(struct change *change)
{
    struct certificate_record *record = change->record;
    record->log_sequence = change->sequence;
    AUTO(bytes) key = {0};
    AUTO(bytes) row = {0};
    key_certificate(record->serial, &key);
    certificate_record_pack(record, &row);
    change_put(change, &key, &row);
}

/* Numbers the change, completes its record and event, and extends the tree. */
static enum err change_finish(struct change *change, int64_t now, struct merkle_frontier *frontier, struct fault *f)
{
    change->sequence = frontier->size;
    if (change->record) {
        uint8_t hash[SHA256_SIZE];
        crypto_hash_sha256(hash, change->record->certificate.data, change->record->certificate.size);
        member_hex(&change->event, "certificate_sha256", SPAN_OF(hash));
        record_write(change);
    }
    if (change->complete)
        TRY(change->complete(change->complete_context, change, f));
    char time[TIME_TEXT_SIZE];
    time_text(now, time);
    AUTO(bytes) key = {0};
    AUTO(bytes) leaf = {0};
    bytes_appendf(&leaf, "{\"v\":1,\"sequence\":%llu,\"time\":\"%s\",%s}", (unsigned long long)change->sequence, time,
                  bytes_text(&change->event));
    TRY(bytes_check(&leaf, f));
    struct merkle_hash hash;
    merkle_leaf_hash(bytes_span(&leaf), &hash);
    key_leaf(change->sequence, &key);
    change_put(change, &key, &leaf);
    TRY(change_check(change, f));
    merkle_append(frontier, &hash);
    return OK;
}

/* Moves the change's expectations and writes into the batch's. */
static void change_gather(struct ledger *ledger, const struct change *change, size_t *expectations, size_t *writes)
{
    for (size_t i = 0; i < change->expectations_count; i++)
        ledger->expectations[(*expectations)++] =
            (struct expectation){bytes_span(&change->expectations[i].key), change->expectations[i].revision};
    for (size_t i = 0; i < change->writes_count; i++)
        ledger->writes[(*writes)++] =
            (struct write){bytes_span(&change->writes[i].key), bytes_span(&change->writes[i].value), false};
}

/* What the clock remembers after this batch: what was acknowledged in it, else what it remembers now. */
static struct clock_state batch_clock(const struct ledger *ledger)
{
    for (size_t i = ledger->batch_count; i-- > 0;)
        if (ledger->batch[i]->err == OK && ledger->batch[i]->clock.mark)
            return ledger->batch[i]->clock;
    return clock_remembered(ledger->clock);
}

static enum err batch_write(struct ledger *ledger, const struct merkle_frontier *frontier, size_t expectations,
                            size_t writes, struct fault *f)
{
    AUTO(bytes) log_key = {0}, log_row = {0}, clock_key = {0}, clock_row = {0};
    struct clock_state clock = batch_clock(ledger);
    key_meta("log", &log_key);
    merkle_frontier_pack(frontier, &log_row);
    key_meta("clock", &clock_key);
    clock_state_pack(&clock, &clock_row);
    TRY(bytes_check(&log_key, f));
    TRY(bytes_check(&log_row, f));
    TRY(bytes_check(&clock_key, f));
    TRY(bytes_check(&clock_row, f));
    ledger->writes[writes++] = (struct write){bytes_span(&log_key), bytes_span(&log_row), false};
    ledger->writes[writes++] = (struct write){bytes_span(&clock_key), bytes_span(&clock_row), false};
    return store_commit(ledger->store, ledger->expectations, expectations, ledger->writes, writes, f);
}

/* A batch without any change is there for the clock's mark. */
static enum err batch_commit(struct ledger *ledger, struct merkle_frontier *frontier, struct fault *f)
{
    struct moment now = clock_read(ledger->clock);
    size_t expectations = 0, writes = 0;
    for (size_t i = 0; i < ledger->batch_count; i++) {
        struct change *change = ledger->batch[i];
        if (change->err == OK)
            change->err = change_finish(change, now.seconds, frontier, change->fault);
        if (change->err == OK)
            change_gather(ledger, change, &expectations, &writes);
    }
    if (writes == 0 && ledger->batch_count > 0)
        return OK;
    return batch_write(ledger, frontier, expectations, writes, f);
}

/* Fails whatever has not failed by itself. */
static void batch_fail(struct ledger *ledger, enum err err, const struct fault *fault)
{
    for (size_t i = 0; i < ledger->batch_count; i++)
        if (ledger->batch[i]->err == OK) {
            ledger->batch[i]->err = err;
            *ledger->batch[i]->fault = *fault;
        }
}

static void batch_run(struct ledger *ledger)
{
    struct fault fault = {0};
    struct merkle_frontier frontier = ledger->frontier; /* only this thread writes it */
    enum err err = store_check_writable(ledger->store, &fault);
    if (err == OK) {
        batch_admit(ledger);
        batch_sign(ledger);
        err = batch_commit(ledger, &frontier, &fault);
    }
    if (err != OK)
        batch_fail(ledger, err, &fault);
    pthread_mutex_lock(&ledger->lock);
    if (err == OK)
        ledger->frontier = frontier;
    ledger->read_only = fault.code == CODE_READ_ONLY;
    pthread_mutex_unlock(&ledger->lock);
    for (size_t i = 0; i < ledger->batch_count; i++) {
        struct change *change = ledger->batch[i];
        if (change->err == OK && change->clock.mark)
            clock_adopt(ledger->clock, &change->clock);
        if (change->err == OK)
            ledger->observer(ledger->context, change);
        sem_post(&change->finished);
    }
}

/* ---- the committer ---- */

/* Waits for work, and not for ever: then the batch is empty. False when there is none left and the ledger closes. */
static bool batch_take(struct ledger *ledger)
{
    struct timespec until;
    int waited = 0;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += IDLE_MARK_SECONDS;
    pthread_mutex_lock(&ledger->lock);
    while (!ledger->first && !ledger->stopping && waited != ETIMEDOUT)
        waited = pthread_cond_clockwait(&ledger->work, &ledger->lock, CLOCK_MONOTONIC, &until);
    ledger->batch_count = 0;
    while (ledger->first && ledger->batch_count < BATCH_MAX) {
        ledger->batch[ledger->batch_count++] = ledger->first;
        ledger->first = ledger->first->next;
    }
    if (!ledger->first)
        ledger->last = &ledger->first;
    bool run = ledger->batch_count > 0 || !ledger->stopping;
    pthread_mutex_unlock(&ledger->lock);
    return run;
}

static void *committer_main(void *context)
{
    struct ledger *ledger = context;
    do
        batch_run(ledger); /* at first, and at last, an empty one: where the clock stood */
    while (batch_take(ledger));
    batch_run(ledger);
    return NULL;
}

enum err ledger_commit(struct ledger *ledger, struct change *change, struct fault *f)
{
    change->fault = f;
    change->err = OK;
    change->next = NULL;
    sem_init(&change->finished, 0, 0);
    pthread_mutex_lock(&ledger->lock);
    *ledger->last = change;
    ledger->last = &change->next;
    pthread_cond_signal(&ledger->work);
    pthread_mutex_unlock(&ledger->lock);
    while (sem_wait(&change->finished) != 0) {
        /* interrupted by a signal */
    }
    sem_destroy(&change->finished);
    return change->err;
}

void ledger_frontier(struct ledger *ledger, struct merkle_frontier *ret_frontier)
{
    pthread_mutex_lock(&ledger->lock);
    *ret_frontier = ledger->frontier;
    pthread_mutex_unlock(&ledger->lock);
}

bool ledger_read_only(struct ledger *ledger)
{
    pthread_mutex_lock(&ledger->lock);
    bool read_only = ledger->read_only;
    pthread_mutex_unlock(&ledger->lock);
    return read_only;
}

/* ---- start and end ---- */

static bool tail_append(void *context, struct span key, struct span value)
{
    (void)key;
    struct merkle_frontier *tail = context;
    struct merkle_hash hash;
    merkle_leaf_hash(value, &hash);
    merkle_append(tail, &hash);
    return true;
}

/* The last complete subtree, made again from its leaves, must be the frontier's last hash, and nothing may follow. */
static enum err frontier_verify(struct store *store, const struct merkle_frontier *frontier, struct fault *f)
{
    uint64_t subtree = frontier->size & -frontier->size;
    bool whole = subtree > 0 && subtree <= TAIL_VERIFIED_LEAVES_MAX;
    AUTO(bytes) from = {0};
    AUTO(bytes) to = {0};
    key_leaf(whole ? frontier->size - subtree : frontier->size, &from);
    key_prefix_end('l', &to);
    struct merkle_frontier tail = {0};
    TRY(store_scan(store, bytes_span(&from), bytes_span(&to), false, tail_append, &tail, f));
    size_t last = (size_t)__builtin_popcountll(frontier->size) - 1;
    if (tail.size != (whole ? subtree : 0) ||
        (whole && memcmp(&tail.hashes[0], &frontier->hashes[last], sizeof(struct merkle_hash)) != 0))
        return fault_set(f, CODE_DAMAGED,
                         "the audit log does not end as its stored tree says (%llu entries): restore a backup",
                         (unsigned long long)frontier->size);
    return OK;
}

enum err ledger_root_at(struct store *store, uint64_t size, struct merkle_hash *ret_root, struct fault *f)
{
    AUTO(bytes) from = {0};
    AUTO(bytes) to = {0};
    struct merkle_frontier tree = {0};
    key_leaf(0, &from);
    key_leaf(size, &to);
    TRY(bytes_check(&from, f));
    TRY(bytes_check(&to, f));
    TRY(store_scan(store, bytes_span(&from), bytes_span(&to), false, tail_append, &tree, f));
    if (tree.size != size)
        return fault_set(f, CODE_DAMAGED, "the audit log has %llu of its first %llu entries: restore a backup",
                         (unsigned long long)tree.size, (unsigned long long)size);
    merkle_root(&tree, ret_root);
    return OK;
}

enum err ledger_frontier_stored(struct store *store, struct merkle_frontier *ret_frontier, struct fault *f)
{
    AUTO(bytes) row = {0};
    TRY(meta_get(store, "log", &row, f));
    *ret_frontier = (struct merkle_frontier){0};
    if (row.size == 0)
        return OK;
    struct unpack in = unpack_begin(bytes_span(&row));
    merkle_frontier_unpack(&in, ret_frontier);
    return unpack_finish(&in, "the frontier of the audit log", f);
}

enum err ledger_open(struct store *store, struct signer *signer, struct clock *clock, ledger_observer *observer,
                     void *context, struct ledger **ret_ledger, struct fault *f)
{
    struct merkle_frontier frontier;
    TRY(ledger_frontier_stored(store, &frontier, f));
    TRY(frontier_verify(store, &frontier, f));
    struct ledger *ledger = calloc(1, sizeof *ledger);
    if (!ledger)
        return fault_no_memory(f);
    ledger->store = store;
    ledger->signer = signer;
    ledger->clock = clock;
    ledger->observer = observer;
    ledger->context = context;
    ledger->frontier = frontier;
    ledger->last = &ledger->first;
    pthread_mutex_init(&ledger->lock, NULL);
    pthread_cond_init(&ledger->work, NULL);
    if (pthread_create(&ledger->committer, NULL, committer_main, ledger) != 0) {
        free(ledger);
        return fault_set(f, CODE_IO, "cannot start the committer's thread");
    }
    *ret_ledger = ledger;
    return OK;
}

void ledger_close(struct ledger *ledger)
{
    if (!ledger)
        return;
    pthread_mutex_lock(&ledger->lock);
    ledger->stopping = true;
    pthread_cond_signal(&ledger->work);
    pthread_mutex_unlock(&ledger->lock);
    pthread_join(ledger->committer, NULL);
    pthread_cond_destroy(&ledger->work);
    pthread_mutex_destroy(&ledger->lock);
    free(ledger);
}
