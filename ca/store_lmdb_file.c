#include "ca/store_lmdb_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum {
    READERS_MAX = 4096,
    READER_SIZE = 64, /* of a slot in LMDB's lock file */
    FILE_MODE = 0600,
    PID_TEXT_SIZE = 24,
};

#define RESTORE ": restore the state folder from a backup" /* the remedy of all damage */
#define MIB ((uint64_t)1 << 20)
#define MAP_UNIT ((uint64_t)1 << 30) /* the map is a multiple of it */
#define ROOM_MIN MIB                 /* free room that a commit may need; as large as what is used, */
#define ROOM_MAX (8 * MIB)           /* up to this */
#define GROWTH_MAX (64 * MIB)        /* allocated at once, beyond the room; also as large as what is used */

static const char DATA_FILE[] = "data.mdb"; /* LMDB's names */
static const char LMDB_LOCK_FILE[] = "lock.mdb";
static const char FOLDER_LOCK_FILE[] = "ensignd.lock"; /* who uses the folder */

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
    {MDB_MAP_FULL, CODE_READ_ONLY, "the map of the store is full"},
    {MDB_PANIC, CODE_IO, "LMDB stopped when it could not write its meta page; restart ensignd"},
    {ENOMEM, CODE_NO_MEMORY, "out of memory"},
    {MDB_INVALID, CODE_DAMAGED, "data.mdb is not an LMDB environment" RESTORE},
    {MDB_VERSION_MISMATCH, CODE_DAMAGED, "data.mdb was written by an LMDB of another format"},
    {MDB_CORRUPTED, CODE_DAMAGED, "data.mdb is damaged" RESTORE},
    {MDB_PAGE_NOTFOUND, CODE_DAMAGED, "data.mdb is damaged and points to a page that it does not have" RESTORE},
    {MDB_CURSOR_FULL, CODE_DAMAGED, "data.mdb is damaged, its tree has no end" RESTORE},
    {MDB_INCOMPATIBLE, CODE_DAMAGED, "data.mdb is not a store of ensign"},
};

enum err lmdb_check(const struct store *store, int error, const char *what, struct fault *f)
{
    if (error == 0)
        return OK;
    for (size_t i = 0; i < ARRAY_SIZE(lmdb_faults); i++)
        if (lmdb_faults[i].error == error)
            return fault_set(f, lmdb_faults[i].code, "cannot %s the store %s: %s", what, store->path,
                             lmdb_faults[i].text);
    return fault_set(f, CODE_IO, "cannot %s the store %s: %s", what, store->path, mdb_strerror(error));
}

/* ---- room on the disk ---- */

static uint64_t clamp(uint64_t value, uint64_t low, uint64_t high)
{
    return value < low ? low : value > high ? high : value;
}

/* The file of the store, and what its file system has left. */
static enum err file_examine(const struct store *store, struct stat *ret_file, struct statvfs *ret_disk,
                             struct fault *f)
{
    int file;
    if (mdb_env_get_fd(store->env, &file) != 0 || fstat(file, ret_file) != 0 || fstatvfs(file, ret_disk) != 0)
        return fault_errno(f, "cannot examine the file of the store %s", store->path);
    return OK;
}

static uint64_t disk_free_bytes(const struct statvfs *disk)
{
    return (uint64_t)disk->f_bavail * disk->f_frsize;
}

void store_usage(struct store *store, struct store_usage *ret_usage)
{
    MDB_envinfo info;
    MDB_stat stat;
    struct stat file = {0};
    struct statvfs disk = {0};
    struct fault ignored = {0};
    pthread_rwlock_rdlock(&store->mapping);
    mdb_env_info(store->env, &info);
    mdb_env_stat(store->env, &stat);
    pthread_rwlock_unlock(&store->mapping);
    ret_usage->used_bytes = (uint64_t)(info.me_last_pgno + 1) * stat.ms_psize;
    ret_usage->size_bytes = info.me_mapsize;
    bool known = file_examine(store, &file, &disk, &ignored) == OK;
    ret_usage->limit_bytes = known ? (uint64_t)file.st_size + disk_free_bytes(&disk) : info.me_mapsize;
}

/* As large as the file system, so that the disk is full before the map is. */
static enum err map_size(const char *path, uint64_t at_least, size_t *ret_bytes, struct fault *f)
{
    struct statvfs disk = {0};
    if (statvfs(path, &disk) != 0)
        return fault_errno(f, "cannot examine the file system of %s", path);
    uint64_t total = (uint64_t)disk.f_blocks * disk.f_frsize;
    *ret_bytes = (size_t)(((total > at_least ? total : at_least) / MAP_UNIT + 1) * MAP_UNIT);
    return OK;
}

/* A file system can be extended while we run. LMDB replaces its map only while nobody reads it; where it fails to, the
 * environment has none. */
static enum err map_grow(struct store *store, uint64_t needed, struct fault *f)
{
    size_t bytes = 0;
    TRY(map_size(store->path, needed, &bytes, f));
    pthread_rwlock_wrlock(&store->mapping);
    int error = mdb_env_set_mapsize(store->env, bytes);
    store->stopped |= error != 0;
    pthread_rwlock_unlock(&store->mapping);
    return lmdb_check(store, error, "extend the map of", f);
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

/* Processes that read the database and died, as a backup that was killed, would keep all that was erased since. */
static enum err readers_clear(const struct store *store, struct fault *f)
{
    return lmdb_check(store, mdb_reader_check(store->env, NULL), "look after the readers of", f);
}

static enum err room_ensure_locked(struct store *store, uint64_t more, struct fault *f)
{
    struct stat file = {0};
    struct statvfs disk = {0};
    TRY(file_examine(store, &file, &disk, f));
    if (disk.f_flag & ST_RDONLY)
        return fault_set(f, CODE_READ_ONLY, "the file system of the store %s is read-only", store->path);
    struct store_usage usage;
    store_usage(store, &usage);
    uint64_t used = usage.used_bytes, size = (uint64_t)file.st_size;
    uint64_t room = clamp(used, ROOM_MIN, ROOM_MAX);
    uint64_t needed = used + (more > room ? more : room);
    uint64_t wanted = needed + clamp(used, ROOM_MIN, GROWTH_MAX);
    if (needed > usage.size_bytes)
        TRY(map_grow(store, wanted, f));
    if (needed <= size)
        return OK;
    TRY(readers_clear(store, f));
    int descriptor;
    TRY(lmdb_check(store, mdb_env_get_fd(store->env, &descriptor), "write to", f));
    return file_grow(store, descriptor, size, needed, wanted, disk_free_bytes(&disk), f);
}

/* Writes what is in the folder's lock file again: statvfs() does not tell that a kernel has given up on a disk. */
static enum err disk_probe(struct store *store, struct fault *f)
{
    if (pid_write(store->folder_lock) < 0 || fdatasync(store->folder_lock) != 0)
        return lmdb_check(store, errno, "write to", f);
    store->suspect = false;
    return OK;
}

/* It stays for reading until the disk takes writes again. Then this process has to open it anew. */
static enum err read_only_told(struct store *store, struct fault *f)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", store->path, FOLDER_LOCK_FILE);
    CLEANUP(descriptor_auto) int lock = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    store->stopped |= lock >= 0 && pid_write(lock) > 0 && fdatasync(lock) == 0;
    return fault_set(f, CODE_READ_ONLY, "the disk of the store %s %s", store->path,
                     store->stopped ? "takes writes again: the store is opened anew" : "takes no writes");
}

enum err store_room_ensure(struct store *store, uint64_t more, struct fault *f)
{
    if (store->read_only)
        return read_only_told(store, f);
    if (store->stopped)
        return lmdb_check(store, MDB_PANIC, "write to", f);
    if (store->suspect)
        TRY(disk_probe(store, f));
    pthread_mutex_lock(&store->growing);
    enum err err = room_ensure_locked(store, more, f);
    pthread_mutex_unlock(&store->growing);
    return err;
}

enum err store_check_writable(struct store *store, struct fault *f)
{
    return store_room_ensure(store, 0, f);
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
    static const int flags = O_CLOEXEC | O_NOFOLLOW;
    int lock = openat(folder, FOLDER_LOCK_FILE, O_RDWR | O_CREAT | flags, FILE_MODE);
    if (lock < 0 && errno == EROFS) {
        lock = openat(folder, FOLDER_LOCK_FILE, O_RDONLY | flags);
        errno = EROFS;
    }
    if ((store->folder_lock = lock) < 0)
        return fault_errno(f, "cannot open the lock file in %s", store->path);
    if (flock(lock, LOCK_EX | LOCK_NB) != 0)
        return errno == EWOULDBLOCK ? lock_conflict(lock, store->path, f)
                                    : fault_errno(f, "cannot lock %s", store->path);
    return OK;
}

/* Writes the pid, for a message to others: on a full disk the file stays empty. Finds out whether the disk takes
 * writes, which only a write tells when the kernel has given up on it. */
static enum err folder_mark(struct store *store, struct fault *f)
{
    int lock = store->folder_lock;
    if ((fcntl(lock, F_GETFL) & O_ACCMODE) == O_RDONLY)
        errno = EROFS;
    else if (ftruncate(lock, 0) == 0 && (pid_write(lock) > 0 || errno == ENOSPC) && fdatasync(lock) == 0)
        return OK;
    store->read_only = errno == EROFS || errno == EIO;
    return store->read_only ? OK : fault_errno(f, "cannot write the lock file in %s", store->path);
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

/* Not MDB_NOMEMINIT: it would put what was on the heap into the gaps of the file, and it gains nothing measurable. */
static enum err env_open(struct store *store, const struct store_lmdb_options *options, struct fault *f)
{
    unsigned flags = MDB_NOTLS | MDB_NORDAHEAD | (options->unsafe_no_sync ? MDB_NOSYNC : 0);
    size_t bytes = options->map_bytes;
    if (store->read_only) /* its own lock file would have to be written, too */
        flags |= MDB_RDONLY | MDB_NOLOCK;
    if (options->beside)
        flags |= MDB_RDONLY;
    if (bytes == 0)
        TRY(map_size(store->path, 0, &bytes, f));
    TRY(lmdb_check(store, mdb_env_create(&store->env), "open", f));
    TRY(lmdb_check(store, mdb_env_set_maxreaders(store->env, READERS_MAX), "open", f));
    TRY(lmdb_check(store, mdb_env_set_maxdbs(store->env, 1), "open", f));
    TRY(lmdb_check(store, mdb_env_set_mapsize(store->env, bytes), "open", f));
    TRY(lmdb_check(store, mdb_env_open(store->env, store->path, flags, FILE_MODE), "open", f));
    return store->read_only ? OK : readers_clear(store, f);
}

/* LMDB would crash when it reads a page that is not in the file. Room is allocated before each commit, so that the file
 * is never shorter than its pages; it is looked at after them, because another process may write. */
static enum err file_check(struct store *store, struct fault *f)
{
    struct stat status = {0};
    struct statvfs disk = {0};
    struct store_usage usage;
    store_usage(store, &usage);
    TRY(file_examine(store, &status, &disk, f));
    if ((uint64_t)status.st_size < usage.used_bytes)
        return fault_set(f, CODE_DAMAGED, "the store %s: %s has %llu bytes of %llu" RESTORE, store->path, DATA_FILE,
                         (unsigned long long)status.st_size, (unsigned long long)usage.used_bytes);
    return OK;
}

/* For this process alone, and for writing if the disk lets us. */
static enum err folder_take(struct store *store, int folder, const struct store_lmdb_options *options, struct fault *f)
{
    TRY(folder_lock(store, folder, f));
    TRY(folder_mark(store, f));
    if (options->create && store->read_only)
        return fault_set(f, CODE_READ_ONLY, "the file system of %s takes no writes", store->path);
    return store->read_only ? OK : readers_allocate(folder, store->path, f);
}

enum err store_files_open(struct store *store, const struct store_lmdb_options *options, struct fault *f)
{
    CLEANUP(descriptor_auto) int folder = open(store->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return fault_errno(f, "cannot open the folder %s", store->path);
    if (!options->create)
        TRY(data_exists(folder, store->path, f));
    if (!options->beside)
        TRY(folder_take(store, folder, options, f));
    TRY(env_open(store, options, f));
    TRY(file_check(store, f));
    if (options->create && fsync(folder) != 0) /* the names of the new files */
        return fault_errno(f, "cannot write the folder %s", store->path);
    return OK;
}

void store_files_close(struct store *store)
{
    if (store->env)
        mdb_env_close(store->env);
    descriptor_auto(&store->folder_lock);
}
