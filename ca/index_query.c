/* index_query.c: one page of a list of certificates, from the search indexes and the tail that is not in them yet. */
#include <stdlib.h>
#include <string.h>

#include "ca/index_entry.h"

enum {
    SCAN_POSITIONS = 256, /* read from an index at a time */
    EXAMINED_MAX = 1024,  /* records for one page, full or not: a filter that few match does not read a million */
    EACH_PAGE = 16,
};

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

struct tail_search {
    struct search *search;
    size_t capacity;
    struct fault *f;
};

static enum err tail_visit(void *context, const struct entry *entry)
{
    struct tail_search *tail = context;
    struct search *search = tail->search;
    if (!entry_matches(entry, search->query))
        return OK;
    if (search->tail_count == tail->capacity) {
        size_t capacity = tail->capacity * 2 + 64;
        struct position *grown = realloc(search->tail, capacity * sizeof *grown);
        if (!grown)
            return fault_no_memory(tail->f);
        search->tail = grown;
        tail->capacity = capacity;
    }
    AUTO(bytes) position = {0};
    position_append(search->kind, entry, &position);
    TRY(bytes_check(&position, tail->f));
    struct position *added = &search->tail[search->tail_count++];
    *added = (struct position){0};
    memcpy(added->data, position.data, position.size);
    return OK;
}

/* The tail must be read before the index: what moves between the two is then found in either. */
static enum err search_tail(struct search *search, struct index *index, struct fault *f)
{
    if (search->kind == 's')
        return OK;
    struct tail_search tail = {search, 0, f};
    TRY(index_tail_each(index, tail_visit, &tail));
    if (search->tail_count)
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
    size_t count, examined;
};

static bool page_complete(const struct page *page, const struct search *search)
{
    return page->count == search->query->limit || page->examined == EXAMINED_MAX;
}

static enum err page_add(struct page *page, struct search *search, struct store *store, const struct position *position,
                         struct fault *f)
{
    const uint8_t *serial = position->data + search->position_size - SERIAL_SIZE;
    AUTO(certificate_record) record = {0};
    TRY(entry_load(store, serial, &record, f));
    page->examined++;
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
    while (!page_complete(page, search)) {
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
    while (err == OK && !end && !page_complete(&page, &search))
        err = page_fill(&page, &search, index_store(index), &after, &begun, &end, f);
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

enum err index_each(struct index *index, const struct certificate_query *query,
                    bool (*visit)(void *context, const struct certificate_record *record), void *context,
                    struct fault *f)
{
    struct certificate_query page = *query;
    AUTO(bytes) cursor = {0};
    bool more = true;
    page.limit = EACH_PAGE;
    do {
        struct certificate_record records[EACH_PAGE];
        AUTO(bytes) next = {0};
        size_t count = 0;
        TRY(index_query(index, &page, records, &count, &next, f));
        for (size_t i = 0; i < count; i++) {
            more = more && visit(context, &records[i]);
            certificate_record_cleanup(&records[i]);
        }
        bytes_free(&cursor);
        cursor = next;
        next = (struct bytes){0};
        page.cursor = bytes_span(&cursor);
    } while (more && cursor.size > 0);
    return OK;
}
