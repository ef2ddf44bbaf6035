/* store_lmdb.c: the store over LMDB, in its default durable mode.
 *
 * The unnamed database has one row "header", whose revision is the store's and whose value is the format; the
 * database "rows" has everything else. A row is revision u64, checksum u64, value.
 *
 * Disk space is allocated ahead of use, so that a full disk is known before a commit: LMDB itself would know it only in
 * the middle of one, and it stops for good when it cannot write its meta page. */
#include "ca/store_lmdb.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <pthread.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "ca/base/pack.h"

enum {
    FORMAT_VERSION = 1,
    READERS_MAX = 4096,
    READER_SIZE = 64, /* of a slot in LMDB's lock file */
    ROW_HEAD_SIZE = 16,
    FILE_MODE = 0600,
    PID_TEXT_SIZE = 24,
};

#define RESTORE ": restore the state folder from a backup" /* the remedy of all damage */
#define MIB ((uint64_t)1 << 20)
#define MAP_UNIT ((uint64_t)1 << 30)    /* the map is a multiple of it */
#define ROOM_MIN MIB                    /* free room that a commit may need; as large as what is used, */
#define ROOM_MAX (8 * MIB)              /* up to this */
#define GROWTH_MAX (64 * MIB)           /* allocated at once, beyond the room; also as large as what is used */
#define ROOM_PER_WRITE ((uint64_t)8192) /* a page that is copied, and one that it is split into */

static const char DATA_FILE[] = "data.mdb"; /* LMDB's names */
static const char LMDB_LOCK_FILE[] = "lock.mdb";
static const char FOLDER_LOCK_FILE[] = "ensignd.lock"; /* who uses the folder */
static const char HEADER_KEY[] = "header";
static const char ROWS_NAME[] = "rows";
static const char MAGIC[] = "ensign store";

struct store {
    char *path;
    int folder_lock;
    MDB_env *env;
    MDB_dbi main, rows;
    pthread_mutex_t growing; /* one thread at a time extends the file */
    atomic_bool suspect;     /* the last commit failed: the disk is tried before the next */
    atomic_bool stopped;     /* LMDB gave up on its environment */
};

AUTO_POINTER(MDB_txn, mdb_txn_abort)
AUTO_POINTER(MDB_cursor, mdb_cursor_close)

static void store_auto(struct store **store)
{
    store_close(*store);
}

static void descriptor_auto(const int *descriptor)
{
    if (*descriptor >= 0)
        close(*descriptor);
}

/* ---- errors ---- */

static const struct {
    int error;
    enum code code;
    const char *text;
} lmdb_faults[] = {
    {EIO, CODE_READ_ONLY, "the disk is full or fails"}, /* LMDB makes this of a write that was cut short */
    {ENOSPC, CODE_READ_ONLY, "the disk is full"},
    {EDQUOT, CODE_READ_ONLY, "the disk quota is used up"},
    {EROFS, CODE_READ_ONLY, "the file system is read-only"},
    {MDB_MAP_FULL, CODE_READ_ONLY, "the store is as large as its file system was at the start; restart ensignd"},
    {MDB_PANIC, CODE_IO, "LMDB stopped when it could not write its meta page; restart ensignd"},
    {ENOMEM, CODE_NO_MEMORY, "out of memory"},
    {MDB_INVALID, CODE_DAMAGED, "data.mdb is not an LMDB environment" RESTORE},
    {MDB_VERSION_MISMATCH, CODE_DAMAGED, "data.mdb was written by an LMDB of another format"},
    {MDB_CORRUPTED, CODE_DAMAGED, "data.mdb is damaged" RESTORE},
    {MDB_PAGE_NOTFOUND, CODE_DAMAGED, "data.mdb is damaged and points to a page that it does not have" RESTORE},
    {MDB_CURSOR_FULL, CODE_DAMAGED, "data.mdb is damaged, its tree has no end" RESTORE},
    {MDB_INCOMPATIBLE, CODE_DAMAGED, "data.mdb is not a store of ensign"},
};

/* OK when error is 0. */
static enum err lmdb_check(const struct store *store, int error, const char *what, struct fault *f)
{
    if (error == 0)
        return OK;
    for (size_t i = 0; i < ARRAY_SIZE(lmdb_faults); i++)
        if (lmdb_faults[i].error == error)
            return fault_set(f, lmdb_faults[i].code, "cannot %s the store %s: %s", what, store->path,
                             lmdb_faults[i].text);
    return fault_set(f, CODE_IO, "cannot %s the store %s: %s", what, store->path, mdb_strerror(error));
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
        return fault_set(f, CODE_DAMAGED, "a stored row fails its checksum" RESTORE);
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

/* ---- room on the disk ---- */

static uint64_t clamp(uint64_t value, uint64_t low, uint64_t high)
{
    return value < low ? low : value > high ? high : value;
}

void store_usage(struct store *store, struct store_usage *ret_usage)
{
    MDB_envinfo info;
    MDB_stat stat;
    mdb_env_info(store->env, &info);
    mdb_env_stat(store->env, &stat);
    ret_usage->used_bytes = (uint64_t)(info.me_last_pgno + 1) * stat.ms_psize;
    ret_usage->size_bytes = info.me_mapsize;
}

static ssize_t pid_write(int lock)
{
    char pid[PID_TEXT_SIZE];
    int size = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
    return pwrite(lock, pid, (size_t)size, 0);
}

/* Extends the file to `wanted` bytes, or to `needed` when the disk has no more. */
static enum err file_grow(const struct store *store, int file, uint64_t size, uint64_t needed, uint64_t wanted,
                          uint64_t free_bytes, struct fault *f)
{
    uint64_t target = wanted - size <= free_bytes ? wanted : needed;
    if (target - size > free_bytes)
        return fault_set(f, CODE_READ_ONLY,
                         "the disk of the store %s is full: %llu bytes are free, the next commit may need %llu",
                         store->path, (unsigned long long)free_bytes, (unsigned long long)(needed - size));
    errno = posix_fallocate(file, (off_t)size, (off_t)(target - size));
    return errno == 0 ? OK : fault_errno(f, "cannot allocate disk space for the store %s", store->path);
}

/* Room for any usual commit and for one of `more` bytes is allocated in the file, or it is now. */
static enum err room_ensure_locked(struct store *store, uint64_t more, struct fault *f)
{
    int file;
    struct stat status;
    struct statvfs disk;
    if (mdb_env_get_fd(store->env, &file) != 0 || fstat(file, &status) != 0 || fstatvfs(file, &disk) != 0)
        return fault_errno(f, "cannot examine the file of the store %s", store->path);
    if (disk.f_flag & ST_RDONLY)
        return fault_set(f, CODE_READ_ONLY, "the file system of the store %s is read-only", store->path);
    struct store_usage usage;
    store_usage(store, &usage);
    uint64_t used = usage.used_bytes, size = (uint64_t)status.st_size;
    uint64_t room = clamp(used, ROOM_MIN, ROOM_MAX);
    uint64_t needed = used + (more > room ? more : room);
    uint64_t wanted = needed + clamp(used, ROOM_MIN, GROWTH_MAX);
    if (needed > usage.size_bytes)
        return lmdb_check(store, MDB_MAP_FULL, "write to", f);
    if (needed <= size)
        return OK;
    return file_grow(store, file, size, needed, wanted, (uint64_t)disk.f_bavail * disk.f_frsize, f);
}

/* Writes what is in the folder's lock file again: statvfs() does not tell that a kernel has given up on a disk. */
static enum err disk_probe(struct store *store, struct fault *f)
{
    if (pid_write(store->folder_lock) < 0 || fdatasync(store->folder_lock) != 0)
        return lmdb_check(store, errno, "write to", f);
    store->suspect = false;
    return OK;
}

static enum err room_ensure(struct store *store, uint64_t more, struct fault *f)
{
    if (store->suspect)
        TRY(disk_probe(store, f));
    pthread_mutex_lock(&store->growing);
    enum err err = room_ensure_locked(store, more, f);
    pthread_mutex_unlock(&store->growing);
    return err;
}

enum err store_check_writable(struct store *store, struct fault *f)
{
    if (store->stopped)
        return lmdb_check(store, MDB_PANIC, "write to", f);
    return room_ensure(store, 0, f);
}

/* ---- opening ---- */

/* Says who holds the lock, as far as its holder has written it. */
static enum err lock_conflict(int lock, const char *path, struct fault *f)
{
    char pid[PID_TEXT_SIZE] = {0};
    if (pread(lock, pid, sizeof pid - 1, 0) <= 0)
        return fault_set(f, CODE_CONFLICT, "another ensignd uses this folder: %s", path);
    pid[strcspn(pid, "\n")] = '\0';
    return fault_set(f, CODE_CONFLICT, "another ensignd (pid %s) uses this folder: %s", pid, path);
}

/* LMDB's own lock file lets several processes write in turns; ours lets one in. */
static enum err folder_lock(struct store *store, int folder, struct fault *f)
{
    int lock = openat(folder, FOLDER_LOCK_FILE, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
    if ((store->folder_lock = lock) < 0)
        return fault_errno(f, "cannot open the lock file in %s", store->path);
    if (flock(lock, LOCK_EX | LOCK_NB) != 0)
        return errno == EWOULDBLOCK ? lock_conflict(lock, store->path, f)
                                    : fault_errno(f, "cannot lock %s", store->path);
    if (ftruncate(lock, 0) != 0)
        return fault_errno(f, "cannot write the lock file in %s", store->path);
    pid_write(lock); /* only for a message: on a full disk it stays empty */
    return OK;
}

/* LMDB maps its lock file: a page of it that a full disk cannot hold would be a SIGBUS. */
static enum err readers_allocate(int folder, const char *path, struct fault *f)
{
    CLEANUP(descriptor_auto)
    int file = openat(folder, LMDB_LOCK_FILE, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
    if (file < 0)
        return fault_errno(f, "cannot open LMDB's lock file in %s", path);
    errno = posix_fallocate(file, 0, (off_t)(READERS_MAX + 1) * READER_SIZE);
    return errno == 0 ? OK : fault_errno(f, "cannot allocate LMDB's lock file in %s", path);
}

static enum err data_exists(int folder, const char *path, struct fault *f)
{
    struct stat status;
    if (fstatat(folder, DATA_FILE, &status, 0) != 0)
        return errno == ENOENT ? fault_set(f, CODE_NOT_FOUND, "there is no store in %s", path)
                               : fault_errno(f, "cannot examine %s in %s", DATA_FILE, path);
    if (status.st_size == 0)
        return fault_set(f, CODE_DAMAGED, "the store %s: %s is empty" RESTORE, path, DATA_FILE);
    return OK;
}

/* As large as the file system, so that the disk is full before the map is. */
static enum err map_size(const char *path, size_t *ret_bytes, struct fault *f)
{
    struct statvfs disk;
    if (statvfs(path, &disk) != 0)
        return fault_errno(f, "cannot examine the file system of %s", path);
    uint64_t total = (uint64_t)disk.f_blocks * disk.f_frsize;
    *ret_bytes = (size_t)((total / MAP_UNIT + 1) * MAP_UNIT);
    return OK;
}

/* Not MDB_NOMEMINIT: it would put what was on the heap into the gaps of the file, and it gains nothing measurable. */
static enum err env_open(struct store *store, const struct store_lmdb_options *options, struct fault *f)
{
    unsigned flags = MDB_NOTLS | MDB_NORDAHEAD | (options->unsafe_no_sync ? MDB_NOSYNC : 0);
    size_t bytes = options->map_bytes;
    if (bytes == 0)
        TRY(map_size(store->path, &bytes, f));
    TRY(lmdb_check(store, mdb_env_create(&store->env), "open", f));
    TRY(lmdb_check(store, mdb_env_set_maxreaders(store->env, READERS_MAX), "open", f));
    TRY(lmdb_check(store, mdb_env_set_maxdbs(store->env, 1), "open", f));
    TRY(lmdb_check(store, mdb_env_set_mapsize(store->env, bytes), "open", f));
    TRY(lmdb_check(store, mdb_env_open(store->env, store->path, flags, FILE_MODE), "open", f));
    return lmdb_check(store, mdb_reader_check(store->env, NULL), "open", f);
}

/* LMDB would crash when it reads a page that is not in the file. Room is allocated before each commit, so that the file
 * is never shorter than its pages. */
static enum err file_check(struct store *store, struct fault *f)
{
    int file;
    struct stat status;
    struct store_usage usage;
    if (mdb_env_get_fd(store->env, &file) != 0 || fstat(file, &status) != 0)
        return fault_errno(f, "cannot examine the file of the store %s", store->path);
    store_usage(store, &usage);
    if ((uint64_t)status.st_size < usage.used_bytes)
        return fault_set(f, CODE_DAMAGED, "the store %s: %s has %llu bytes of %llu" RESTORE, store->path, DATA_FILE,
                         (unsigned long long)status.st_size, (unsigned long long)usage.used_bytes);
    return OK;
}

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

static enum err transaction_begin(struct store *store, unsigned flags, MDB_txn **ret_txn, struct fault *f)
{
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

static enum err store_create(struct store *store, int folder, struct fault *f)
{
    CLEANUP(MDB_txn_auto) MDB_txn *txn = NULL;
    if (fsync(folder) != 0) /* the names of the new files */
        return fault_errno(f, "cannot write the folder %s", store->path);
    TRY(room_ensure(store, 0, f));
    TRY(transaction_begin(store, 0, &txn, f));
    TRY(databases_open(store, txn, MDB_CREATE, f));
    TRY(header_write(store, txn, 1, f));
    return lmdb_check(store, mdb_txn_commit(TAKE(txn)), "write to", f);
}

static enum err store_load(struct store *store, struct fault *f)
{
    CLEANUP(MDB_txn_auto) MDB_txn *txn = NULL;
    uint64_t revision = 0;
    TRY(transaction_begin(store, MDB_RDONLY, &txn, f));
    TRY(databases_open(store, txn, 0, f));
    TRY(header_read(store, txn, &revision, f));
    return lmdb_check(store, mdb_txn_commit(TAKE(txn)), "open", f); /* an abort would close the databases again */
}

static enum err store_open_folder(struct store *store, const struct store_lmdb_options *options, struct fault *f)
{
    CLEANUP(descriptor_auto) int folder = open(store->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return fault_errno(f, "cannot open the folder %s", store->path);
    if (!options->create)
        TRY(data_exists(folder, store->path, f));
    TRY(folder_lock(store, folder, f));
    TRY(readers_allocate(folder, store->path, f));
    TRY(env_open(store, options, f));
    TRY(file_check(store, f));
    MDB_stat stat;
    TRY(lmdb_check(store, mdb_env_stat(store->env, &stat), "open", f));
    return options->create && stat.ms_entries == 0 ? store_create(store, folder, f) : store_load(store, f);
}

enum err store_lmdb_open_with(const char *path, const struct store_lmdb_options *options, struct store **ret_store,
                              struct fault *f)
{
    CLEANUP(store_auto) struct store *store = calloc(1, sizeof *store);
    if (!store)
        return fault_no_memory(f);
    store->folder_lock = -1;
    pthread_mutex_init(&store->growing, NULL);
    store->path = strdup(path);
    if (!store->path)
        return fault_no_memory(f);
    TRY(store_open_folder(store, options, f));
    *ret_store = TAKE(store);
    return OK;
}

enum err store_lmdb_open(const char *path, bool create, struct store **ret_store, struct fault *f)
{
    return store_lmdb_open_with(path, &(struct store_lmdb_options){.create = create}, ret_store, f);
}

void store_close(struct store *store)
{
    if (!store)
        return;
    if (store->env)
        mdb_env_close(store->env);
    descriptor_auto(&store->folder_lock);
    pthread_mutex_destroy(&store->growing);
    free(store->path);
    free(store);
}

/* ---- reading ---- */

enum err store_get(struct store *store, struct span key, struct bytes *ret_value, uint64_t *ret_revision,
                   struct fault *f)
{
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
    TRY(room_ensure(store, bytes, f));
    TRY(transaction_begin(store, 0, &txn, f));
    enum err err = batch_apply(store, txn, expectations, expectations_count, writes, writes_count, f);
    if (err == ERR_IO)
        store->suspect = true;
    return err;
}
