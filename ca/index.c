#include "ca/index_entry.h"

#include <errno.h>
#include <jansson.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ca/base/document.h"
#include "ca/base/encode.h"
#include "ca/meta.h"

enum {
    FLUSH_ENTRIES = 1024,    /* written out at once when so many wait, */
    FLUSH_AFTER_SECONDS = 1, /* or after this time */
    FLUSH_MAX = 4096,        /* in one commit */
    KINDS = 4,               /* of index by serial */
    ROWS = KINDS + 1,        /* of a certificate in the indexes; the other one is its key's */
    FORM = 2,                /* of what the indexes hold: with another form they are made again at start */
};

struct index {
    struct store *store;
    struct key_claims *claims; /* borrowed */
    pthread_t writer;
    bool started;
    pthread_mutex_t lock; /* over what follows */
    pthread_cond_t work;
    bool stopping;
    struct entry *scratch; /* the writer's */
    struct entry *tail;    /* committed, not in the store's indexes yet */
    size_t tail_count, tail_capacity;
    uint64_t seen; /* leaves */
    bool blocked;  /* the last batch could not be written: the next attempt waits its time */
    bool gap;      /* memory ran out for an entry: `seen` stays, so that the next start reads its leaf again */
};

/* ---- keys ---- */

void key_index(char kind, const char *cluster, const char *node, const char *profile, struct bytes *out)
{
    pack_u8(out, 'x');
    pack_u8(out, (uint8_t)kind);
    if (kind == 'c' || kind == 'n')
        bytes_append(out, cluster, strlen(cluster) + 1);
    if (kind == 'n')
        bytes_append(out, node, strlen(node) + 1);
    if (kind == 'p')
        bytes_append(out, profile, strlen(profile) + 1);
}

void position_append(char kind, const struct entry *entry, struct bytes *out)
{
    if (kind == 'e')
        pack_i64(out, entry->not_after);
    pack_fixed(out, SPAN_OF(entry->serial));
}

/* ---- the tail ---- */

static enum err tail_add(struct index *index, const struct certificate_record *record)
{
    if (index->tail_count == index->tail_capacity) {
        size_t capacity = index->tail_capacity * 2 + 256;
        struct entry *tail = realloc(index->tail, capacity * sizeof *tail);
        if (!tail)
            return ERR_NOMEM;
        index->tail = tail;
        index->tail_capacity = capacity;
    }
    struct entry *entry = &index->tail[index->tail_count++];
    *entry = (struct entry){.not_after = record->not_after, .sequence = record->log_sequence};
    memcpy(entry->serial, record->serial, SERIAL_SIZE);
    strcpy(entry->cluster, record->cluster);
    strcpy(entry->node, record->node);
    strcpy(entry->profile, record->profile);
    memcpy(entry->spki_sha256, record->spki_sha256, SHA256_SIZE);
    key_owner(record->cluster, record->node, record->identity, entry->owner);
    return OK;
}

void index_observe(void *context, const struct change *change)
{
    struct index *index = context;
    pthread_mutex_lock(&index->lock);
    if (change->record && tail_add(index, change->record) != OK)
        index->gap = true;
    if (!index->gap)
        index->seen = change->sequence + 1;
    if (index->tail_count == 1 || index->tail_count >= FLUSH_ENTRIES)
        pthread_cond_signal(&index->work);
    pthread_mutex_unlock(&index->lock);
}

enum err index_tail_each(struct index *index, enum err (*visit)(void *context, const struct entry *entry),
                         void *context)
{
    enum err err = OK;
    pthread_mutex_lock(&index->lock);
    for (size_t i = 0; err == OK && i < index->tail_count; i++)
        err = visit(context, &index->tail[i]);
    pthread_mutex_unlock(&index->lock);
    return err;
}

struct store *index_store(const struct index *index)
{
    return index->store;
}

/* ---- writing the tail out ---- */

struct flush {
    struct write *writes;
    struct bytes *keys;
    size_t count;
};

static void flush_cleanup(struct flush *flush)
{
    for (size_t i = 0; i < flush->count; i++)
        bytes_free(&flush->keys[i]);
    free(flush->keys);
    free(flush->writes);
}

static enum err flush_add(struct flush *flush, struct bytes *take_key, struct span value, bool erase, struct fault *f)
{
    struct bytes *key = &flush->keys[flush->count];
    *key = *take_key;
    *take_key = (struct bytes){0};
    flush->writes[flush->count++] = (struct write){bytes_span(key), value, erase};
    return bytes_check(key, f);
}

static enum err flush_new(size_t capacity, struct flush *ret_flush, struct fault *f)
{
    ret_flush->count = 0;
    ret_flush->writes = calloc(capacity, sizeof *ret_flush->writes);
    ret_flush->keys = calloc(capacity, sizeof *ret_flush->keys);
    return ret_flush->writes && ret_flush->keys ? OK : fault_no_memory(f);
}

static enum err entries_write(struct store *store, const struct entry *entries, size_t count, uint64_t seen,
                              struct fault *f)
{
    static const char kinds[KINDS] = {'c', 'n', 'p', 'e'};
    AUTO(flush) flush = {0};
    TRY(flush_new(count * ROWS + 1, &flush, f));
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < KINDS; k++) {
            if (kinds[k] == 'n' && !entries[i].node[0])
                continue;
            AUTO(bytes) key = {0};
            key_index(kinds[k], entries[i].cluster, entries[i].node, entries[i].profile, &key);
            position_append(kinds[k], &entries[i], &key);
            TRY(flush_add(&flush, &key, span("", 0), false, f));
        }
        AUTO(bytes) key = {0};
        key_owner_row(entries[i].spki_sha256, &key);
        TRY(flush_add(&flush, &key, SPAN_OF(entries[i].owner), false, f));
    }
    AUTO(bytes) key = {0};
    AUTO(bytes) row = {0};
    key_meta("index", &key);
    pack_u8(&row, FORM);
    pack_u64(&row, seen);
    TRY(bytes_check(&row, f));
    TRY(flush_add(&flush, &key, bytes_span(&row), false, f));
    return store_commit(store, NULL, 0, flush.writes, flush.count, f);
}

/* Writes out up to FLUSH_MAX entries and then lets go of them. */
static void tail_flush(struct index *index)
{
    struct entry *scratch = index->scratch;
    pthread_mutex_lock(&index->lock);
    size_t count = index->tail_count < FLUSH_MAX ? index->tail_count : FLUSH_MAX;
    uint64_t seen = index->seen;
    if (count)
        memcpy(scratch, index->tail, count * sizeof *scratch);
    if (count < index->tail_count && scratch[count - 1].sequence < seen)
        seen = scratch[count - 1].sequence + 1;
    pthread_mutex_unlock(&index->lock);
    struct fault fault = {0};
    enum err err = count ? entries_write(index->store, scratch, count, seen, &fault) : OK;
    for (size_t i = 0; err == OK && i < count; i++)
        key_release(index->claims, scratch[i].spki_sha256);
    pthread_mutex_lock(&index->lock);
    index->blocked = err != OK;
    if (err == OK) { /* what could not be written stays in the tail */
        index->tail_count -= count;
        memmove(index->tail, index->tail + count, index->tail_count * sizeof *index->tail);
    }
    pthread_mutex_unlock(&index->lock);
}

/* Waits until there is a batch worth writing. False when the index closes. */
static bool writer_wait(struct index *index)
{
    pthread_mutex_lock(&index->lock);
    while (!index->stopping && index->tail_count == 0)
        pthread_cond_wait(&index->work, &index->lock);
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += FLUSH_AFTER_SECONDS;
    int waited = 0;
    while (!index->stopping && (index->blocked || index->tail_count < FLUSH_ENTRIES) && waited != ETIMEDOUT)
        waited = pthread_cond_clockwait(&index->work, &index->lock, CLOCK_MONOTONIC, &until);
    bool running = !index->stopping;
    pthread_mutex_unlock(&index->lock);
    return running;
}

static void *writer_main(void *context)
{
    struct index *index = context;
    while (writer_wait(index))
        tail_flush(index);
    return NULL;
}

/* ---- reading the log again ---- */

struct serials {
    uint8_t (*items)[SERIAL_SIZE];
    size_t count;
    uint64_t next; /* leaf */
    bool broken;   /* one could not be read */
};

static bool serials_collect(void *context, struct span key, struct span leaf)
{
    (void)key;
    struct serials *serials = context;
    json_error_t error;
    json_t *json = json_load_whole(leaf, 0, &error);
    const char *serial = json_string_value(json_object_get(json, "serial"));
    const char *event = json_string_value(json_object_get(json, "event"));
    struct fault fault = {0};
    bool issued = event && strcmp(event, "certificate.issued") == 0;
    bool read = issued && serial && hex_decode(serial, serials->items[serials->count], SERIAL_SIZE, &fault) == OK;
    serials->broken |= !event || issued != read;
    serials->count += read;
    json_decref(json);
    serials->next++;
    return serials->count < FLUSH_MAX && !serials->broken;
}

enum err entry_load(struct store *store, const uint8_t serial[SERIAL_SIZE], struct certificate_record *ret_record,
                    struct fault *f)
{
    AUTO(bytes) key = {0};
    AUTO(bytes) row = {0};
    key_certificate(serial, &key);
    TRY(store_get(store, bytes_span(&key), &row, NULL, f));
    return certificate_record_unpack(bytes_span(&row), ret_record, f);
}

/* Adds the certificates of up to FLUSH_MAX further leaves to the tail. *seen is moved; false: there were none left. */
static enum err catch_up_some(struct store *store, struct index *tail, uint8_t (*items)[SERIAL_SIZE], uint64_t *seen,
                              bool *ret_more, struct fault *f)
{
    AUTO(bytes) from = {0};
    AUTO(bytes) to = {0};
    key_leaf(*seen, &from);
    key_prefix_end('l', &to);
    struct serials serials = {.items = items, .next = *seen};
    TRY(store_scan(store, bytes_span(&from), bytes_span(&to), false, serials_collect, &serials, f));
    if (serials.broken)
        return fault_set(f, CODE_DAMAGED, "entry %llu of the log cannot be read: out of memory, or damaged",
                         (unsigned long long)serials.next - 1);
    for (size_t i = 0; i < serials.count; i++) {
        AUTO(certificate_record) record = {0};
        TRY(entry_load(store, items[i], &record, f));
        if (tail_add(tail, &record) != OK)
            return fault_no_memory(f);
    }
    *ret_more = serials.next > *seen;
    *seen = serials.next;
    return OK;
}

/* Writes the tail, which is then empty. What a full disk does not take stays in it: queries are exact all the same. */
static enum err catch_up_write(struct store *store, struct index *tail, uint64_t seen, struct fault *f)
{
    enum err err = entries_write(store, tail->tail, tail->tail_count, seen, f);
    tail->blocked = f->code == CODE_READ_ONLY;
    tail->tail_count = tail->blocked ? tail->tail_count : 0;
    if (!tail->blocked)
        return err;
    fault_clear(f);
    return OK;
}

/* Indexes the certificates of the log from leaf *seen on, which is moved. tail: holds what could not be written. */
static enum err catch_up(struct store *store, struct index *tail, uint64_t *seen, uint64_t *ret_certificates,
                         struct fault *f)
{
    uint8_t(*items)[SERIAL_SIZE] = calloc(FLUSH_MAX, SERIAL_SIZE);
    bool more = items != NULL;
    enum err err = items ? OK : fault_no_memory(f);
    *ret_certificates = 0;
    while (err == OK && more) {
        size_t before = tail->tail_count;
        err = catch_up_some(store, tail, items, seen, &more, f);
        *ret_certificates += tail->tail_count - before;
        if (err == OK && more && !tail->blocked)
            err = catch_up_write(store, tail, *seen, f);
    }
    free(items);
    return err;
}

static enum err seen_load(struct store *store, uint64_t *ret_seen, struct fault *f)
{
    AUTO(bytes) row = {0};
    TRY(meta_get(store, "index", &row, f));
    *ret_seen = 0;
    if (row.size == 0)
        return OK;
    struct unpack in = unpack_begin(bytes_span(&row));
    if (unpack_u8(&in) != FORM)
        return OK;
    *ret_seen = unpack_u64(&in);
    return unpack_finish(&in, "the progress of the search indexes", f);
}

/* The keys of what a full disk left in the tail at start: until they are indexed they are claimed. */
static enum err tail_claim(struct index *index, struct fault *f)
{
    for (size_t i = 0; i < index->tail_count; i++) {
        bool claimed;
        TRY(key_claim(index->claims, index->tail[i].spki_sha256, index->tail[i].owner, &claimed, f));
    }
    return OK;
}

enum err index_open(struct store *store, struct key_claims *claims, struct index **ret_index, struct fault *f)
{
    uint64_t certificates = 0;
    struct index *index = calloc(1, sizeof *index);
    if (!index)
        return fault_no_memory(f);
    index->store = store;
    index->claims = claims;
    pthread_mutex_init(&index->lock, NULL);
    pthread_cond_init(&index->work, NULL);
    index->scratch = calloc(FLUSH_MAX, sizeof *index->scratch);
    enum err err = index->scratch ? seen_load(store, &index->seen, f) : fault_no_memory(f);
    if (err == OK)
        err = catch_up(store, index, &index->seen, &certificates, f);
    if (err == OK)
        err = tail_claim(index, f);
    if (err == OK)
        *ret_index = index;
    else
        index_close(index);
    return err;
}

enum err index_start(struct index *index, struct fault *f)
{
    if (pthread_create(&index->writer, NULL, writer_main, index) != 0)
        return fault_set(f, CODE_IO, "cannot start the thread of the search indexes");
    index->started = true;
    return OK;
}

void index_close(struct index *index)
{
    if (!index)
        return;
    pthread_mutex_lock(&index->lock);
    index->stopping = true;
    pthread_cond_signal(&index->work);
    pthread_mutex_unlock(&index->lock);
    if (index->started)
        pthread_join(index->writer, NULL);
    pthread_cond_destroy(&index->work);
    pthread_mutex_destroy(&index->lock);
    free(index->scratch);
    free(index->tail);
    free(index);
}

/* ---- rebuilding ---- */

static bool keys_collect(void *context, struct span key, struct span value)
{
    (void)value;
    struct flush *flush = context;
    struct fault fault = {0};
    struct bytes copy = {0};
    bytes_append_span(&copy, key);
    return flush_add(flush, &copy, span(NULL, 0), true, &fault) == OK && flush->count < FLUSH_MAX;
}

/* Erases some index rows; *ret_more is false when there were none left. */
static enum err erase_some(struct store *store, bool *ret_more, struct fault *f)
{
    AUTO(flush) flush = {0};
    TRY(flush_new(FLUSH_MAX, &flush, f));
    AUTO(bytes) from = {0};
    AUTO(bytes) to = {0};
    key_prefix('x', &from);
    key_prefix_end('x', &to);
    TRY(store_scan(store, bytes_span(&from), bytes_span(&to), false, keys_collect, &flush, f));
    *ret_more = flush.count > 0;
    return *ret_more ? store_commit(store, NULL, 0, flush.writes, flush.count, f) : OK;
}

enum err index_rebuild(struct store *store, uint64_t *ret_certificates, struct fault *f)
{
    TRY(entries_write(store, NULL, 0, 0, f)); /* from the first leaf again, should this be interrupted */
    for (bool more = true; more;)
        TRY(erase_some(store, &more, f));
    uint64_t seen = 0;
    struct index tail = {0};
    enum err err = catch_up(store, &tail, &seen, ret_certificates, f);
    free(tail.tail);
    return tail.blocked ? fault_set(f, CODE_READ_ONLY, "the disk takes no writes: the indexes are not complete") : err;
}
