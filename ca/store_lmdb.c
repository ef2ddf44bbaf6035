/* store_lmdb.c: the store over LMDB, in its default durable mode: rows, transactions, and what the contract offers.
 * store_lmdb_file.c looks after the files.
 *
 * The unnamed database has one row "header", whose revision is the store's and whose value is the format; the
 * database "rows" has everything else. A row is revision u64, checksum u64, value. */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "ca/base/pack.h"
#include "ca/store_lmdb_file.h"

enum {
    FORMAT_VERSION = 1,
    ROW_HEAD_SIZE = 16,
    ROWS_VERIFIED_MAX = 1 << 18, /* at start: a fraction of a second */
};

#define ROOM_PER_WRITE ((uint64_t)8192) /* a page that is copied, and one that it is split into */

static const char HEADER_KEY[] = "header";
static const char ROWS_NAME[] = "rows";
static const char MAGIC[] = "ensign store";

AUTO_POINTER(MDB_txn, mdb_txn_abort)
AUTO_POINTER(MDB_cursor, mdb_cursor_close)

static void store_auto(struct store **store)
{
    store_close(*store);
}

/* ---- rows ---- */

struct row {
    uint64_t revision;
    struct span value;
};

static MDB_val val_of(struct span s)
{
    return (MDB_val){s.size, (void *)s.data};
}

static struct span val_span(const MDB_val *val)
{
    return span(val->mv_data, val->mv_size);
}

static void u64_put(uint8_t out[8], uint64_t value)
{
    for (int i = 0; i < 8; i++)
        out[i] = (uint8_t)(value >> (56 - 8 * i));
}

/* SipHash-2-4 of (revision ‖ hash of the value ‖ key): the value, which may be large, need not be copied. */
static void row_checksum(struct span key, uint64_t revision, struct span value, uint8_t ret_sum[8])
{
    static const uint8_t public_key[crypto_shorthash_KEYBYTES] = "ensign checksum"; /* against accidents, not attacks */
    uint8_t input[16 + STORE_KEY_MAX];
    u64_put(input, revision);
    crypto_shorthash(input + 8, value.data, value.size, public_key);
    memcpy(input + 16, key.data, key.size);
    crypto_shorthash(ret_sum, input, 16 + key.size, public_key);
}

static enum err row_read(struct span key, const MDB_val *stored, struct row *ret_row, struct fault *f)
{
    uint8_t sum[8], expected[8] = {0};
    struct unpack in = unpack_begin(val_span(stored));
    uint64_t revision = unpack_u64(&in);
    unpack_fixed(&in, sum, sizeof sum);
    bool whole = !in.failed && key.size <= STORE_KEY_MAX;
    if (whole)
        row_checksum(key, revision, in.rest, expected);
    if (!whole || memcmp(sum, expected, sizeof sum) != 0)
        return fault_set(f, CODE_DAMAGED, "a stored row fails its checksum: restore the state folder from a backup");
    *ret_row = (struct row){revision, in.rest};
    return OK;
}

static enum err row_write(const struct store *store, MDB_txn *txn, MDB_dbi dbi, struct span key, const struct row *row,
                          struct fault *f)
{
    MDB_val name = val_of(key);
    MDB_val place = {ROW_HEAD_SIZE + row->value.size, NULL};
    TRY(lmdb_check(store, mdb_put(txn, dbi, &name, &place, MDB_RESERVE), "write to", f));
    uint8_t *at = place.mv_data;
    u64_put(at, row->revision);
    row_checksum(key, row->revision, row->value, at + 8);
    if (row->value.size)
        memcpy(at + ROW_HEAD_SIZE, row->value.data, row->value.size);
    return OK;
}

/* Revision 0 when there is none. The value is borrowed from the transaction. */
static enum err row_find(const struct store *store, MDB_txn *txn, MDB_dbi dbi, struct span key, struct row *ret_row,
                         struct fault *f)
{
    MDB_val name = val_of(key), stored;
    int error = mdb_get(txn, dbi, &name, &stored);
    if (error == MDB_NOTFOUND) {
        *ret_row = (struct row){0};
        return OK;
    }
    TRY(lmdb_check(store, error, "read", f));
    return row_read(key, &stored, ret_row, f);
}

static enum err key_check(struct span key, struct fault *f)
{
    if (key.size == 0 || key.size > STORE_KEY_MAX)
        return fault_set(f, CODE_TOO_LARGE, "a key of the store has 1 to %d bytes, this one has %zu", STORE_KEY_MAX,
                         key.size);
    return OK;
}

/* ---- the tree ---- */

static enum err fault_tree(const struct store *store, const char *what, struct fault *f)
{
    return fault_set(f, CODE_DAMAGED, "the store %s is damaged: %s: restore the state folder from a backup",
                     store->path, what);
}

/* The row under the cursor is what a search for its key finds, and comes after the row before. */
static enum err place_verify(const struct store *store, MDB_txn *txn, const MDB_val *key, const MDB_val *stored,
                             struct span before, struct fault *f)
{
    MDB_val name = *key, found;
    if (before.size && span_compare(before, val_span(key)) >= 0)
        return fault_tree(store, "its rows are not in order", f);
    if (mdb_get(txn, store->rows, &name, &found) != 0 || found.mv_data != stored->mv_data)
        return fault_tree(store, "a row is not found by its key", f);
    return OK;
}

/* LMDB counts its rows apart from its tree, which has no checksums and whose damage can hide some. values: check
 * those, too. */
static enum err tree_verify(const struct store *store, MDB_txn *txn, bool values, uint64_t *ret_rows, struct fault *f)
{
    CLEANUP(MDB_cursor_auto) MDB_cursor *cursor = NULL;
    MDB_stat stat;
    MDB_val key, stored;
    struct row row;
    struct span before = {NULL, 0};
    uint64_t rows = 0;
    TRY(lmdb_check(store, mdb_stat(txn, store->rows, &stat), "read", f));
    TRY(lmdb_check(store, mdb_cursor_open(txn, store->rows, &cursor), "read", f));
    int error = mdb_cursor_get(cursor, &key, &stored, MDB_FIRST);
    for (; error == 0 && rows <= stat.ms_entries; rows++) {
        TRY(place_verify(store, txn, &key, &stored, before, f));
        if (values)
            TRY(row_read(val_span(&key), &stored, &row, f));
        before = val_span(&key);
        error = mdb_cursor_get(cursor, &key, &stored, MDB_NEXT);
    }
    TRY(lmdb_check(store, error == MDB_NOTFOUND ? 0 : error, "read", f));
    if (rows != stat.ms_entries)
        return fault_tree(store, "it does not have as many rows as it counts", f);
    *ret_rows = rows;
    return OK;
}

/* ---- opening ---- */

static enum err header_write(const struct store *store, MDB_txn *txn, uint64_t revision, struct fault *f)
{
    uint8_t value[sizeof MAGIC];
    memcpy(value, MAGIC, sizeof MAGIC - 1);
    value[sizeof MAGIC - 1] = FORMAT_VERSION;
    return row_write(store, txn, store->main, span_text(HEADER_KEY), &(struct row){revision, SPAN_OF(value)}, f);
}

static enum err header_read(const struct store *store, MDB_txn *txn, uint64_t *ret_revision, struct fault *f)
{
    struct row row = {0};
    TRY(row_find(store, txn, store->main, span_text(HEADER_KEY), &row, f));
    if (row.value.size < sizeof MAGIC || !span_starts(row.value, span(MAGIC, sizeof MAGIC - 1)))
        return lmdb_check(store, MDB_INCOMPATIBLE, "open", f);
    uint8_t version = row.value.data[sizeof MAGIC - 1];
    if (version != FORMAT_VERSION)
        return fault_set(f, CODE_DAMAGED, "the store %s has format %u, this ensign reads format %d", store->path,
                         version, FORMAT_VERSION);
    *ret_revision = row.revision;
    return OK;
}

/* A transaction holds the map where it is: a local `held` with CLEANUP(mapping_release) comes
 * before it, so that it ends first. */
static struct store *mapping_hold(struct store *store)
{
    pthread_rwlock_rdlock(&store->mapping);
    return store;
}

static void mapping_release(struct store **held)
{
    pthread_rwlock_unlock(&(*held)->mapping);
}

static enum err transaction_begin(struct store *store, unsigned flags, MDB_txn **ret_txn, struct fault *f)
{
    if (store->stopped && !store->read_only)
        return lmdb_check(store, MDB_PANIC, "use", f);
    int error = mdb_txn_begin(store->env, NULL, flags, ret_txn);
    store->stopped |= error == MDB_PANIC;
    return lmdb_check(store, error, flags & MDB_RDONLY ? "read" : "write to", f);
}

bool store_stopped(struct store *store)
{
    return store->stopped;
}

static enum err databases_open(struct store *store, MDB_txn *txn, unsigned flags, struct fault *f)
{
    TRY(lmdb_check(store, mdb_dbi_open(txn, NULL, 0, &store->main), "open", f));
    int error = mdb_dbi_open(txn, ROWS_NAME, flags, &store->rows);
    return lmdb_check(store, error == MDB_NOTFOUND ? MDB_INCOMPATIBLE : error, "open", f);
}

static enum err store_create(struct store *store, struct fault *f)
{
    CLEANUP(MDB_txn_auto) MDB_txn *txn = NULL;
    TRY(store_room_ensure(store, 0, f));
    TRY(transaction_begin(store, 0, &txn, f));
    TRY(databases_open(store, txn, MDB_CREATE, f));
    TRY(header_write(store, txn, 1, f));
    return lmdb_check(store, mdb_txn_commit(TAKE(txn)), "write to", f);
}

/* A row that is damaged is told when it is read; one that is hidden would never be. */
static enum err start_verify(const struct store *store, MDB_txn *txn, struct fault *f)
{
    MDB_stat stat;
    uint64_t rows = 0;
    TRY(lmdb_check(store, mdb_stat(txn, store->rows, &stat), "open", f));
    return stat.ms_entries <= ROWS_VERIFIED_MAX ? tree_verify(store, txn, false, &rows, f) : OK;
}

static enum err store_load(struct store *store, struct fault *f)
{
    CLEANUP(MDB_txn_auto) MDB_txn *txn = NULL;
    uint64_t revision = 0;
    TRY(transaction_begin(store, MDB_RDONLY, &txn, f));
    TRY(databases_open(store, txn, 0, f));
    TRY(header_read(store, txn, &revision, f));
    TRY(start_verify(store, txn, f));
    return lmdb_check(store, mdb_txn_commit(TAKE(txn)), "open", f); /* an abort would close the databases again */
}

/* Whoever replaces the map must not wait for ever for a pause between readers. */
static void locks_init(struct store *store)
{
    pthread_rwlockattr_t attributes;
    pthread_rwlockattr_init(&attributes);
    pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&store->mapping, &attributes);
    pthread_rwlockattr_destroy(&attributes);
    pthread_mutex_init(&store->growing, NULL);
}

enum err store_lmdb_open_with(const char *path, const struct store_lmdb_options *options, struct store **ret_store,
                              struct fault *f)
{
    CLEANUP(store_auto) struct store *store = calloc(1, sizeof *store);
    if (!store)
        return fault_no_memory(f);
    store->folder_lock = -1;
    locks_init(store);
    store->path = strdup(path);
    if (!store->path)
        return fault_no_memory(f);
    TRY(store_files_open(store, options, f));
    MDB_stat stat;
    TRY(lmdb_check(store, mdb_env_stat(store->env, &stat), "open", f));
    TRY(options->create && stat.ms_entries == 0 ? store_create(store, f) : store_load(store, f));
    *ret_store = TAKE(store);
    return OK;
}

enum err store_lmdb_open(const char *path, bool create, struct store **ret_store, struct fault *f)
{
    return store_lmdb_open_with(path, &(struct store_lmdb_options){.create = create}, ret_store, f);
}

enum err store_lmdb_open_beside(const char *path, struct store **ret_store, struct fault *f)
{
    return store_lmdb_open_with(path, &(struct store_lmdb_options){.beside = true}, ret_store, f);
}

void store_close(struct store *store)
{
    if (!store)
        return;
    store_files_close(store);
    pthread_mutex_destroy(&store->growing);
    pthread_rwlock_destroy(&store->mapping);
    free(store->path);
    free(store);
}

/* ---- reading ---- */

enum err store_get(struct store *store, struct span key, struct bytes *ret_value, uint64_t *ret_revision,
                   struct fault *f)
{
    CLEANUP(mapping_release) __attribute__((unused)) struct store *held = mapping_hold(store);
    CLEANUP(MDB_txn_auto) MDB_txn *txn = NULL;
    struct row row = {0};
    TRY(key_check(key, f));
    TRY(transaction_begin(store, MDB_RDONLY, &txn, f));
    TRY(row_find(store, txn, store->rows, key, &row, f));
    if (row.revision == 0)
        return fault_set(f, CODE_NOT_FOUND, "the store has no such row");
    TRY(bytes_copy(row.value, ret_value, f));
    if (ret_revision)
        *ret_revision = row.revision;
    return OK;
}

/* To the first row of a scan, if it has any: LMDB has no empty keys, and finds only what is not before a key. */
static int cursor_start(MDB_cursor *cursor, struct span from, struct span to, bool backwards, MDB_val *key,
                        MDB_val *stored)
{
    *key = val_of(backwards ? to : from);
    int error = mdb_cursor_get(cursor, key, stored, key->mv_size ? MDB_SET_RANGE : MDB_FIRST);
    if (!backwards)
        return error;
    if (error == MDB_NOTFOUND)
        return mdb_cursor_get(cursor, key, stored, MDB_LAST);
    return error ? error : mdb_cursor_get(cursor, key, stored, MDB_PREV);
}

enum err store_scan(struct store *store, struct span from, struct span to, bool backwards, store_visit *visit,
                    void *context, struct fault *f)
{
    CLEANUP(mapping_release) __attribute__((unused)) struct store *held = mapping_hold(store);
    CLEANUP(MDB_txn_auto) MDB_txn *txn = NULL;
    CLEANUP(MDB_cursor_auto) MDB_cursor *cursor = NULL;
    TRY(transaction_begin(store, MDB_RDONLY, &txn, f));
    TRY(lmdb_check(store, mdb_cursor_open(txn, store->rows, &cursor), "read", f));
    MDB_val key, stored;
    int error = cursor_start(cursor, from, to, backwards, &key, &stored);
    while (error == 0 && span_compare(val_span(&key), from) >= 0 && span_compare(val_span(&key), to) < 0) {
        struct row row = {0};
        TRY(row_read(val_span(&key), &stored, &row, f));
        if (!visit(context, val_span(&key), row.value))
            return OK;
        error = mdb_cursor_get(cursor, &key, &stored, backwards ? MDB_PREV : MDB_NEXT);
    }
    return lmdb_check(store, error == MDB_NOTFOUND ? 0 : error, "read", f);
}

enum err store_verify(struct store *store, uint64_t *ret_rows, struct fault *f)
{
    CLEANUP(mapping_release) __attribute__((unused)) struct store *held = mapping_hold(store);
    CLEANUP(MDB_txn_auto) MDB_txn *txn = NULL;
    TRY(transaction_begin(store, MDB_RDONLY, &txn, f));
    return tree_verify(store, txn, true, ret_rows, f);
}

enum err store_copy(struct store *store, int fd, struct fault *f)
{
    CLEANUP(mapping_release) __attribute__((unused)) struct store *held = mapping_hold(store);
    return lmdb_check(store, mdb_env_copyfd2(store->env, fd, MDB_CP_COMPACT), "copy", f);
}

/* ---- writing ---- */

/* The bytes that the writes may take, when all of them can be stored. */
static enum err writes_check(const struct write *writes, size_t count, uint64_t *ret_bytes, struct fault *f)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        TRY(key_check(writes[i].key, f));
        bytes += ROOM_PER_WRITE;
        if (writes[i].erase)
            continue;
        if (writes[i].value.size > STORE_VALUE_MAX)
            return fault_set(f, CODE_TOO_LARGE, "a value of the store has at most %d bytes, this one has %zu",
                             STORE_VALUE_MAX, writes[i].value.size);
        bytes += writes[i].value.size;
    }
    *ret_bytes = bytes;
    return OK;
}

static enum err expectation_check(const struct store *store, MDB_txn *txn, const struct expectation *expectation,
                                  struct fault *f)
{
    struct row row = {0};
    TRY(key_check(expectation->key, f));
    TRY(row_find(store, txn, store->rows, expectation->key, &row, f));
    if (row.revision == expectation->revision)
        return OK;
    return fault_set(f, CODE_CONFLICT, "a row has revision %llu, not %llu: somebody changed it meanwhile",
                     (unsigned long long)row.revision, (unsigned long long)expectation->revision);
}

static enum err write_apply(const struct store *store, MDB_txn *txn, const struct write *write, uint64_t revision,
                            struct fault *f)
{
    if (!write->erase)
        return row_write(store, txn, store->rows, write->key, &(struct row){revision, write->value}, f);
    MDB_val key = val_of(write->key);
    int error = mdb_del(txn, store->rows, &key, NULL);
    return lmdb_check(store, error == MDB_NOTFOUND ? 0 : error, "write to", f);
}

static enum err batch_apply(const struct store *store, MDB_txn *take_txn, const struct expectation *expectations,
                            size_t expectations_count, const struct write *writes, size_t writes_count, struct fault *f)
{
    CLEANUP(MDB_txn_auto) MDB_txn *txn = take_txn;
    uint64_t revision = 0;
    for (size_t i = 0; i < expectations_count; i++)
        TRY(expectation_check(store, txn, &expectations[i], f));
    TRY(header_read(store, txn, &revision, f));
    for (size_t i = 0; i < writes_count; i++)
        TRY(write_apply(store, txn, &writes[i], revision + 1, f));
    TRY(header_write(store, txn, revision + 1, f));
    return lmdb_check(store, mdb_txn_commit(TAKE(txn)), "write to", f);
}

enum err store_commit(struct store *store, const struct expectation *expectations, size_t expectations_count,
                      const struct write *writes, size_t writes_count, struct fault *f)
{
    MDB_txn *txn;
    uint64_t bytes = 0;
    TRY(writes_check(writes, writes_count, &bytes, f));
    TRY(store_room_ensure(store, bytes, f));
    CLEANUP(mapping_release) __attribute__((unused)) struct store *held = mapping_hold(store);
    TRY(transaction_begin(store, 0, &txn, f));
    enum err err = batch_apply(store, txn, expectations, expectations_count, writes, writes_count, f);
    if (err == ERR_IO)
        store->suspect = true;
    return err;
}
