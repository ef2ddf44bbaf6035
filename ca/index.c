#include "ca/index.h"

#include <errno.h>
#include <jansson.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ca/base/encode.h"
#include "ca/meta.h"

enum {
    FLUSH_ENTRIES = 1024,    /* written out at once when so many wait, */
    FLUSH_AFTER_SECONDS = 1, /* or after this time */
    FLUSH_MAX = 4096,        /* in one commit */
    POSITION_MAX = 8 + SERIAL_SIZE,
    SCAN_POSITIONS = 256,
    KINDS = 4,        /* of index by serial */
    ROWS = KINDS + 1, /* of a certificate in the indexes; the other one is its key's */
    FORM = 2,         /* of what the indexes hold: with another form they are made again at start */
};

/* What the indexes know of one certificate. */
struct entry {
    uint8_t serial[SERIAL_SIZE];
    char cluster[CLUSTER_NAME_MAX + 1];
    char node[DNS_NAME_MAX + 1];
    char profile[PROFILE_NAME_MAX + 1];
    uint8_t spki_sha256[SHA256_SIZE], owner[KEY_OWNER_SIZE];
    int64_t not_after;
    uint64_t sequence; /* of its leaf */
};

struct index {
    struct store *store;
    struct key_claims *claims; /* borrowed */
    pthread_t writer;
    bool started;
    pthread_mutex_t lock; /* over what follows */
    pthread_cond_t work;
    bool stopping;
    struct entry *tail; /* committed, not in the store's indexes yet */
    size_t tail_count, tail_capacity;
    uint64_t seen; /* leaves */
    bool blocked;  /* the last batch could not be written: the next attempt waits its time */
    bool gap;      /* memory ran out for an entry: `seen` stays, so that the next start reads its leaf again */
};

/* ---- keys ---- */

/* Everything of an index key but the position, which is the serial, after the expiry in the index of kind 'e'. */
static void key_index(char kind, const char *cluster, const char *node, const char *profile, struct bytes *out)
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

static void position_append(char kind, const struct entry *entry, struct bytes *out)
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
static void tail_flush(struct index *index, struct entry *scratch)
{
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
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += FLUSH_AFTER_SECONDS;
    int waited = 0;
    while (!index->stopping && (index->blocked || index->tail_count < FLUSH_ENTRIES) && waited != ETIMEDOUT)
        waited = pthread_cond_timedwait(&index->work, &index->lock, &until);
    bool running = !index->stopping;
    pthread_mutex_unlock(&index->lock);
    return running;
}

static void *writer_main(void *context)
{
    struct index *index = context;
    struct entry *scratch = calloc(FLUSH_MAX, sizeof *scratch);
    while (scratch && writer_wait(index))
        tail_flush(index, scratch);
    free(scratch);
    return NULL;
}

/* ---- reading the log again ---- */

struct serials {
    uint8_t (*items)[SERIAL_SIZE];
    size_t count;
    uint64_t next; /* leaf */
};

static bool serials_collect(void *context, struct span key, struct span leaf)
{
    (void)key;
    struct serials *serials = context;
    json_t *json = json_loadb((const char *)leaf.data, leaf.size, 0, NULL);
    const char *serial = json_string_value(json_object_get(json, "serial"));
    const char *event = json_string_value(json_object_get(json, "event"));
    struct fault fault = {0};
    if (event && serial && strcmp(event, "certificate.issued") == 0 &&
        hex_decode(serial, serials->items[serials->count], SERIAL_SIZE, &fault) == OK)
        serials->count++;
    json_decref(json);
    serials->next++;
    return serials->count < FLUSH_MAX;
}

static enum err entry_load(struct store *store, const uint8_t serial[SERIAL_SIZE],
                           struct certificate_record *ret_record, struct fault *f)
{
    AUTO(bytes) key = {0};
    AUTO(bytes) row = {0};
    key_certificate(serial, &key);
    TRY(store_get(store, bytes_span(&key), &row, NULL, f));
    return certificate_record_unpack(bytes_span(&row), ret_record, f);
}

/* Indexes the certificates of up to FLUSH_MAX further leaves. *seen is moved; false when there were none left. */
static enum err catch_up_some(struct store *store, struct index *scratch, uint8_t (*items)[SERIAL_SIZE], uint64_t *seen,
                              bool *ret_more, struct fault *f)
{
    AUTO(bytes) from = {0};
    AUTO(bytes) to = {0};
    key_leaf(*seen, &from);
    key_prefix_end('l', &to);
    struct serials serials = {.items = items, .next = *seen};
    TRY(store_scan(store, bytes_span(&from), bytes_span(&to), false, serials_collect, &serials, f));
    scratch->tail_count = 0;
    for (size_t i = 0; i < serials.count; i++) {
        AUTO(certificate_record) record = {0};
        TRY(entry_load(store, items[i], &record, f));
        if (tail_add(scratch, &record) != OK)
            return fault_no_memory(f);
    }
    *ret_more = serials.next > *seen;
    *seen = serials.next;
    return *ret_more ? entries_write(store, scratch->tail, scratch->tail_count, *seen, f) : OK;
}

static enum err catch_up(struct store *store, uint64_t *seen, uint64_t *ret_certificates, struct fault *f)
{
    struct index scratch = {0};
    uint8_t(*items)[SERIAL_SIZE] = calloc(FLUSH_MAX, SERIAL_SIZE);
    bool more = items != NULL;
    enum err err = items ? OK : fault_no_memory(f);
    *ret_certificates = 0;
    while (err == OK && more) {
        err = catch_up_some(store, &scratch, items, seen, &more, f);
        *ret_certificates += scratch.tail_count;
    }
    free(scratch.tail);
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

enum err index_open(struct store *store, struct key_claims *claims, struct index **ret_index, struct fault *f)
{
    uint64_t seen = 0, certificates = 0;
    TRY(seen_load(store, &seen, f));
    TRY(catch_up(store, &seen, &certificates, f));
    struct index *index = calloc(1, sizeof *index);
    if (!index)
        return fault_no_memory(f);
    index->store = store;
    index->claims = claims;
    index->seen = seen;
    pthread_mutex_init(&index->lock, NULL);
    pthread_cond_init(&index->work, NULL);
    *ret_index = index;
    return OK;
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
    return catch_up(store, &seen, ret_certificates, f);
}

/* ---- queries ---- */

/* A place in the order of a query: the serial, behind the expiry where that is the order. */
struct position {
    uint8_t data[POSITION_MAX];
};

struct search {
    const struct certificate_query *query;
    char kind; /* of index; 's': the records themselves */
    size_t position_size;
    struct bytes prefix;   /* of the keys */
    struct position *tail; /* what matches and is not indexed, in order */
    size_t tail_count;
    struct position found[SCAN_POSITIONS];
    size_t found_count;
};

static void search_cleanup(struct search *search)
{
    bytes_free(&search->prefix);
    free(search->tail);
}

static char query_kind(const struct certificate_query *query)
{
    if (query->node)
        return 'n';
    if (query->cluster)
        return 'c';
    if (query->profile)
        return 'p';
    bool by_expiry = query->not_after_before || (query->state && strcmp(query->state, "revoked") != 0);
    return by_expiry ? 'e' : 's';
}

static bool entry_matches(const struct entry *entry, const struct certificate_query *query)
{
    return (!query->cluster || strcmp(entry->cluster, query->cluster) == 0) &&
           (!query->node || strcmp(entry->node, query->node) == 0) &&
           (!query->profile || strcmp(entry->profile, query->profile) == 0);
}

static bool record_matches(const struct certificate_record *record, const struct certificate_query *query)
{
    return (!query->cluster || strcmp(record->cluster, query->cluster) == 0) &&
           (!query->node || strcmp(record->node, query->node) == 0) &&
           (!query->profile || strcmp(record->profile, query->profile) == 0) &&
           (!query->not_after_before || record->not_after < query->not_after_before) &&
           (!query->state || strcmp(certificate_record_state(record, query->now), query->state) == 0);
}

static int position_compare(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct position));
}

/* The tail must be read before the index: what moves between the two is then found in either. */
static enum err search_tail(struct search *search, struct index *index, struct fault *f)
{
    if (search->kind == 's')
        return OK;
    enum err err = OK;
    pthread_mutex_lock(&index->lock);
    search->tail = calloc(index->tail_count + 1, sizeof *search->tail);
    for (size_t i = 0; search->tail && i < index->tail_count; i++) {
        if (!entry_matches(&index->tail[i], search->query))
            continue;
        AUTO(bytes) position = {0};
        position_append(search->kind, &index->tail[i], &position);
        if ((err = bytes_check(&position, f)) != OK)
            break;
        memcpy(search->tail[search->tail_count++].data, position.data, position.size);
    }
    pthread_mutex_unlock(&index->lock);
    TRY(err);
    if (!search->tail)
        return fault_no_memory(f);
    qsort(search->tail, search->tail_count, sizeof *search->tail, position_compare);
    return OK;
}

static enum err search_begin(struct search *search, struct index *index, struct fault *f)
{
    const struct certificate_query *query = search->query;
    search->kind = query_kind(query);
    search->position_size = search->kind == 'e' ? POSITION_MAX : SERIAL_SIZE;
    if (query->cursor.size && query->cursor.size != search->position_size)
        return fault_set(f, CODE_MALFORMED, "this cursor belongs to another list");
    if (search->kind == 's')
        key_prefix('s', &search->prefix);
    else
        key_index(search->kind, query->cluster, query->node, query->profile, &search->prefix);
    TRY(bytes_check(&search->prefix, f));
    return search_tail(search, index, f);
}

static bool search_visit(void *context, struct span key, struct span value)
{
    (void)value;
    struct search *search = context;
    if (key.size != search->prefix.size + search->position_size)
        return true;
    struct position *position = &search->found[search->found_count++];
    *position = (struct position){0};
    memcpy(position->data, key.data + search->prefix.size, search->position_size);
    return search->found_count < SCAN_POSITIONS;
}

/* The next indexed positions behind `after` (empty: from the start), merged with the tail's among them. */
static enum err search_scan(struct search *search, struct store *store, struct span after, struct fault *f)
{
    static const uint8_t last[POSITION_MAX + 1] = {[0 ... POSITION_MAX] = 0xff};
    AUTO(bytes) from = {0};
    AUTO(bytes) to = {0};
    pack_fixed(&from, bytes_span(&search->prefix));
    pack_fixed(&from, after);
    if (after.size)
        pack_u8(&from, 0);
    else if (search->kind == 'e' && search->query->state && strcmp(search->query->state, "valid") == 0)
        pack_i64(&from, search->query->now);
    pack_fixed(&to, bytes_span(&search->prefix));
    if (search->kind == 'e' && search->query->not_after_before)
        pack_i64(&to, search->query->not_after_before);
    else
        pack_fixed(&to, SPAN_OF(last));
    TRY(bytes_check(&from, f));
    TRY(bytes_check(&to, f));
    search->found_count = 0;
    return store_scan(store, bytes_span(&from), bytes_span(&to), false, search_visit, search, f);
}

/* The next position of the tail that is behind `after`; NULL at its end. */
static const struct position *search_tail_next(const struct search *search, const struct position *after)
{
    for (size_t i = 0; i < search->tail_count; i++)
        if (!after || position_compare(&search->tail[i], after) > 0)
            return &search->tail[i];
    return NULL;
}

struct page {
    struct certificate_record *records;
    size_t count;
};

static enum err page_add(struct page *page, struct search *search, struct store *store, const struct position *position,
                         struct fault *f)
{
    const uint8_t *serial = position->data + search->position_size - SERIAL_SIZE;
    AUTO(certificate_record) record = {0};
    TRY(entry_load(store, serial, &record, f));
    if (record_matches(&record, search->query)) {
        page->records[page->count++] = record;
        record = (struct certificate_record){0};
    }
    return OK;
}

/* Fills the page from one scan and the tail. *after is moved; true when there is nothing behind it. */
static enum err page_fill(struct page *page, struct search *search, struct store *store, struct position *after,
                          bool *begun, bool *ret_end, struct fault *f)
{
    TRY(search_scan(search, store, *begun ? span(after->data, search->position_size) : span(NULL, 0), f));
    bool scanned_all = search->found_count < SCAN_POSITIONS;
    size_t i = 0;
    *ret_end = false;
    while (page->count < search->query->limit) {
        const struct position *indexed = i < search->found_count ? &search->found[i] : NULL;
        const struct position *tail = search_tail_next(search, *begun ? after : NULL);
        if (!indexed && !scanned_all)
            return OK; /* scan on from here */
        if (!indexed && !tail) {
            *ret_end = true;
            return OK;
        }
        bool take_tail = tail && (!indexed || position_compare(tail, indexed) < 0);
        struct position next = take_tail ? *tail : *indexed;
        i += take_tail ? 0 : 1;
        TRY(page_add(page, search, store, &next, f));
        *after = next;
        *begun = true;
    }
    return OK;
}

enum err index_query(struct index *index, const struct certificate_query *query, struct certificate_record *ret_records,
                     size_t *ret_count, struct bytes *ret_cursor, struct fault *f)
{
    AUTO(search) search = {.query = query};
    TRY(search_begin(&search, index, f));
    struct page page = {.records = ret_records};
    struct position after = {0};
    bool begun = query->cursor.size > 0, end = false;
    if (begun)
        memcpy(after.data, query->cursor.data, query->cursor.size);
    enum err err = OK;
    while (err == OK && !end && page.count < query->limit)
        err = page_fill(&page, &search, index->store, &after, &begun, &end, f);
    AUTO(bytes) cursor = {0};
    if (err == OK && !end)
        err = bytes_copy(span(after.data, search.position_size), &cursor, f);
    if (err != OK) {
        for (size_t i = 0; i < page.count; i++)
            certificate_record_cleanup(&page.records[i]);
        return err;
    }
    *ret_count = page.count;
    *ret_cursor = cursor;
    cursor = (struct bytes){0};
    return OK;
}
