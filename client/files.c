#include "client/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ca/base/io.h"

enum { FOLDER_MODE = 0700, FOLDER_MODE_PUBLIC = 0755, NAME_SIZE = NAME_MAX + 1 };

void fd_cleanup(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

void secret_cleanup(struct bytes *b)
{
    if (b->data)
        OPENSSL_cleanse(b->data, b->capacity);
    bytes_free(b);
}

static void free_cleanup(char **p)
{
    free(*p);
}

static bool component_valid(const char *name)
{
    size_t size = strlen(name);
    return size > 0 && size < NAME_MAX - 8 && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && !strchr(name, '/');
}

bool file_name_valid(const char *name)
{
    return component_valid(name) && name[0] != '.';
}

/* ---- errors ---- */

enum { PLACE_SIZE = 320 };

/* Where a name in an opened folder is: its whole path, which the caller of these functions may not know. */
static void place_text(int folder, const char *name, char ret_text[PLACE_SIZE])
{
    char link[32], path[PLACE_SIZE];
    snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
    ssize_t size = folder >= 0 ? readlink(link, path, sizeof path) : 0;
    if (size <= 0 || size == sizeof path || path[0] != '/')
        snprintf(ret_text, PLACE_SIZE, "%s", name);
    else if (name[0])
        snprintf(ret_text, PLACE_SIZE, "%.*s%s%s", (int)size, path, size > 1 ? "/" : "", name);
    else
        snprintf(ret_text, PLACE_SIZE, "%.*s", (int)size, path);
}

/* Always CODE_IO: a full disk of this machine is none of the service. */
static enum err file_errno(int folder, const char *name, const char *what, struct fault *f)
{
    int cause = errno;
    char place[PLACE_SIZE], why[128];
    place_text(folder, name, place);
    return fault_set(f, CODE_IO, "cannot %s \"%s\": %s", what, place, strerror_r(cause, why, sizeof why));
}

/* ---- folders ---- */

enum place { PLACE_PARENT, PLACE_LAST };

static enum err folder_check(int fd, enum place place, struct fault *f)
{
    struct stat status;
    char path[PLACE_SIZE];
    place_text(fd, "", path);
    if (fstat(fd, &status) != 0)
        return file_errno(fd, "", "look at the folder", f);
    if (status.st_uid != 0 && status.st_uid != geteuid())
        return fault_set(f, CODE_IO, "the folder \"%s\" belongs to another user, who could change what is put there",
                         path);
    bool sticky = place == PLACE_PARENT && (status.st_mode & S_ISVTX);
    if ((status.st_mode & (S_IWGRP | S_IWOTH)) && !sticky)
        return fault_set(f, CODE_IO, "the folder \"%s\" is writable by others: chmod go-w it, or choose another", path);
    return OK;
}

/* mode  of the folder when it is absent and has to be made; 0: it must be there */
static enum err folder_step(int folder, const char *name, mode_t mode, int *ret_fd, struct fault *f)
{
    if (mode && mkdirat(folder, name, mode) == 0) {
        if (fsync(folder) != 0)
            return file_errno(folder, name, "store the new folder", f);
    } else if (mode && errno != EEXIST) {
        return file_errno(folder, name, "make the folder", f);
    }
    int fd = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0) {
        *ret_fd = fd;
        return OK;
    }
    if (errno != ENOENT && errno != ELOOP && errno != ENOTDIR)
        return file_errno(folder, name, "open the folder", f);
    bool absent = errno == ENOENT;
    char place[PLACE_SIZE];
    place_text(folder, name, place);
    if (absent)
        return fault_set(f, CODE_NOT_FOUND, "there is no folder \"%s\"", place);
    return fault_set(f, CODE_IO, "\"%s\" is a symbolic link or not a folder: give the real path", place);
}

enum err folder_open_at(int folder, const char *name, bool create, int *ret_fd, struct fault *f)
{
    CLEANUP(fd_cleanup) int fd = -1;
    TRY(folder_step(folder, name, create ? FOLDER_MODE : 0, &fd, f));
    TRY(folder_check(fd, PLACE_LAST, f));
    *ret_fd = fd;
    fd = -1;
    return OK;
}

/* The components of `rest`, which is cut up, from the opened folder down. */
static enum err folder_walk(int take_folder, char *rest, mode_t mode, int *ret_fd, struct fault *f)
{
    CLEANUP(fd_cleanup) int fd = take_folder;
    if (fd < 0)
        return file_errno(AT_FDCWD, rest, "open", f);
    char *state = NULL;
    for (char *next = strtok_r(rest, "/", &state); next; next = strtok_r(NULL, "/", &state)) {
        TRY(folder_check(fd, PLACE_PARENT, f));
        int inner = -1;
        TRY(folder_step(fd, next, mode, &inner, f));
        close(fd);
        fd = inner;
    }
    TRY(folder_check(fd, PLACE_LAST, f));
    *ret_fd = fd;
    fd = -1;
    return OK;
}

static int root_open(void)
{
    return open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

enum err folder_open(const char *path, int *ret_fd, struct fault *f)
{
    char whole[PATH_MAX] = "";
    if (path[0] != '/' && !getcwd(whole, sizeof whole))
        return file_errno(AT_FDCWD, ".", "find the current folder", f);
    size_t used = strlen(whole);
    if ((size_t)snprintf(whole + used, sizeof whole - used, "/%s", path) >= sizeof whole - used)
        return fault_set(f, CODE_IO, "the path of the folder is longer than %d characters", PATH_MAX);
    return folder_walk(root_open(), whole, FOLDER_MODE, ret_fd, f);
}

enum err folder_open_parent(int folder, const char *path, bool create, int *ret_fd, const char **ret_name,
                            struct fault *f)
{
    const char *slash = strrchr(path, '/');
    CLEANUP(free_cleanup) char *parent = strndup(path, slash ? (size_t)(slash - path) : 0);
    if (!parent)
        return fault_no_memory(f);
    int start = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    TRY(folder_walk(start, parent, create ? FOLDER_MODE_PUBLIC : 0, ret_fd, f));
    *ret_name = slash ? slash + 1 : path;
    return OK;
}

/* ---- reading ---- */

static enum err fd_read(int fd, const char *name, struct bytes *ret_content, struct fault *f)
{
    CLEANUP(secret_cleanup) struct bytes content = {0};
    for (;;) {
        uint8_t block[8192];
        ssize_t got = read(fd, block, sizeof block);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return file_errno(AT_FDCWD, name, "read", f);
        if (got == 0)
            break;
        bytes_append(&content, block, (size_t)got);
        OPENSSL_cleanse(block, (size_t)got);
        if (content.size > FILE_SIZE_MAX)
            return fault_set(f, CODE_TOO_LARGE, "\"%s\" is larger than %d bytes", name, FILE_SIZE_MAX);
    }
    TRY(bytes_check(&content, f));
    *ret_content = content;
    content = (struct bytes){0};
    return OK;
}

static enum err open_failed(int folder, const char *name, struct fault *f)
{
    char place[PLACE_SIZE];
    if (errno != ENOENT)
        return file_errno(folder, name, "open", f);
    place_text(folder, name, place);
    return fault_set(f, CODE_NOT_FOUND, "there is no file \"%s\"", place);
}

enum err file_read(const char *path, struct bytes *ret_content, struct fault *f)
{
    if (strcmp(path, "-") == 0)
        return fd_read(STDIN_FILENO, "standard input", ret_content, f);
    CLEANUP(fd_cleanup) int fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? open_failed(AT_FDCWD, path, f) : fd_read(fd, path, ret_content, f);
}

static enum err private_check(int fd, const char *path, struct fault *f)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        return file_errno(AT_FDCWD, path, "look at", f);
    if (!S_ISREG(status.st_mode))
        return fault_set(f, CODE_IO, "\"%s\" is not a regular file", path);
    if (status.st_uid != 0 && status.st_uid != geteuid())
        return fault_set(f, CODE_IO,
                         "\"%s\" belongs to another user: run ensign as that user, or give it to yourself with "
                         "sudo chown $USER %s",
                         path, path);
    if (status.st_mode & (S_IRWXG | S_IRWXO))
        return fault_set(f, CODE_IO, "\"%s\" holds a secret and is open to other users: chmod 600 %s", path, path);
    return OK;
}

enum err file_open_private(const char *path, int *ret_fd, struct fault *f)
{
    CLEANUP(fd_cleanup) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return open_failed(AT_FDCWD, path, f);
    TRY(private_check(fd, path, f));
    *ret_fd = fd;
    fd = -1;
    return OK;
}

enum err file_read_private(const char *path, struct bytes *ret_content, struct fault *f)
{
    CLEANUP(fd_cleanup) int fd = -1;
    TRY(file_open_private(path, &fd, f));
    return fd_read(fd, path, ret_content, f);
}

enum err file_read_at(int folder, const char *name, struct bytes *ret_content, struct fault *f)
{
    CLEANUP(fd_cleanup) int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return open_failed(folder, name, f);
    return fd_read(fd, name, ret_content, f);
}

/* ---- writing one file ---- */

/* What is written here first has this name until it is complete. */
static void fresh_name(const char *name, char ret_name[NAME_SIZE])
{
    snprintf(ret_name, NAME_SIZE, ".new-%s", name);
}

/* A file that did not exist, complete and on the disk. The mode is set from its creation, whatever the umask. */
static enum err file_make_at(int folder, const struct folder_file *file, struct fault *f)
{
    CLEANUP(fd_cleanup)
    int fd = openat(folder, file->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, FILE_MODE_PRIVATE);
    if (fd < 0)
        return file_errno(folder, file->name, "make", f);
    if (!fd_write(fd, file->content) || fchmod(fd, file->mode) != 0 || fsync(fd) != 0)
        return file_errno(folder, file->name, "write", f);
    return OK;
}

static enum err replaceable(int folder, const char *name, struct fault *f)
{
    struct stat status;
    if (fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISREG(status.st_mode))
        return fault_set(f, CODE_IO, "\"%s\" exists and is not a regular file; it is left alone", name);
    return OK;
}

static enum err name_check(const char *name, struct fault *f)
{
    return component_valid(name) ? OK : fault_set(f, CODE_INVALID, "\"%s\" cannot be the name of a file here", name);
}

enum err file_stage_at(int folder, const char *name, mode_t mode, struct span content, struct fault *f)
{
    TRY(name_check(name, f));
    TRY(replaceable(folder, name, f));
    char fresh[NAME_SIZE];
    fresh_name(name, fresh);
    unlinkat(folder, fresh, 0); /* of an earlier attempt that was interrupted */
    const struct folder_file file = {fresh, mode, content};
    enum err err = file_make_at(folder, &file, f);
    if (err != OK)
        unlinkat(folder, fresh, 0);
    return err;
}

/* An exchange, which takes nothing away: ext4 is a hundred times slower where a name is taken from another file. */
static int name_take(int folder, const char *fresh, const char *name, enum file_presence presence)
{
    if (presence == FILE_NEW)
        return renameat2(folder, fresh, folder, name, RENAME_NOREPLACE);
    if (renameat2(folder, fresh, folder, name, RENAME_EXCHANGE) == 0)
        return 0;
    return errno == ENOENT || errno == EINVAL ? renameat2(folder, fresh, folder, name, 0) : -1;
}

enum err file_switch_at(int folder, const char *name, enum file_presence presence, struct fault *f)
{
    char fresh[NAME_SIZE];
    fresh_name(name, fresh);
    if (name_take(folder, fresh, name, presence) == 0)
        return OK;
    enum err err = errno == EEXIST ? fault_set(f, CODE_CONFLICT, "\"%s\" exists already; it is left alone", name)
                                   : file_errno(folder, name, "put into place", f);
    file_tidy_at(folder, name);
    return err;
}

void file_tidy_at(int folder, const char *name)
{
    char fresh[NAME_SIZE];
    fresh_name(name, fresh);
    unlinkat(folder, fresh, 0);
}

enum err folder_sync(int folder, struct fault *f)
{
    return fsync(folder) == 0 ? OK : file_errno(folder, "", "store the changed folder", f);
}

enum err file_put_at(int folder, const char *name, mode_t mode, enum file_presence presence, struct span content,
                     struct fault *f)
{
    TRY(file_stage_at(folder, name, mode, content, f));
    TRY(file_switch_at(folder, name, presence, f));
    TRY(folder_sync(folder, f));
    if (presence == FILE_REPLACE)
        file_tidy_at(folder, name);
    return OK;
}

/* The folder of a path, opened, and the last component, which points into the path. */
static enum err parent_open(const char *path, mode_t mode, int *ret_fd, const char **ret_name, struct fault *f)
{
    const char *slash = strrchr(path, '/');
    size_t size = slash ? (size_t)(slash - path) + 1 : 0;
    CLEANUP(free_cleanup) char *folder = size ? strndup(path, size) : strdup(".");
    if (!folder)
        return fault_no_memory(f);
    CLEANUP(free_cleanup) char *real = realpath(folder, NULL);
    if (!real)
        return file_errno(AT_FDCWD, folder, "find the folder", f);
    CLEANUP(fd_cleanup) int fd = -1;
    if (!(mode & (S_IRGRP | S_IROTH)))
        TRY(folder_walk(root_open(), real, 0, &fd, f));
    else if ((fd = open(real, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
        return file_errno(AT_FDCWD, real, "open the folder", f);
    *ret_name = path + size;
    *ret_fd = fd;
    fd = -1;
    return OK;
}

enum err file_put(const char *path, mode_t mode, enum file_presence presence, struct span content, struct fault *f)
{
    CLEANUP(fd_cleanup) int folder = -1;
    const char *name = NULL;
    TRY(parent_open(path, mode, &folder, &name, f));
    return file_put_at(folder, name, mode, presence, content, f);
}

enum err file_check(const char *path, mode_t mode, enum file_presence presence, struct fault *f)
{
    CLEANUP(fd_cleanup) int folder = -1;
    const char *name = NULL;
    TRY(parent_open(path, mode, &folder, &name, f));
    TRY(name_check(name, f));
    TRY(replaceable(folder, name, f));
    if (presence == FILE_NEW && faccessat(folder, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        return fault_set(f, CODE_CONFLICT, "\"%s\" exists already; it is left alone", path);
    return faccessat(folder, ".", W_OK, AT_EACCESS) == 0 ? OK : file_errno(folder, "", "write to the folder", f);
}

enum err file_stage_open(const char *path, enum file_presence presence, int *ret_folder, const char **ret_name,
                         int *ret_fd, struct fault *f)
{
    char fresh[NAME_SIZE];
    TRY(file_check(path, FILE_MODE_PRIVATE, presence, f));
    TRY(parent_open(path, FILE_MODE_PRIVATE, ret_folder, ret_name, f));
    fresh_name(*ret_name, fresh);
    unlinkat(*ret_folder, fresh, 0);
    *ret_fd = openat(*ret_folder, fresh, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, FILE_MODE_PRIVATE);
    return *ret_fd < 0 ? file_errno(*ret_folder, fresh, "make", f) : OK;
}

/* ---- a folder as one unit ---- */

static void dir_cleanup(DIR **dir)
{
    if (*dir)
        closedir(*dir);
}

static enum err folder_empty(int folder, const char *name, struct fault *f)
{
    CLEANUP(dir_cleanup) DIR *dir = fdopendir(folder);
    if (!dir) {
        close(folder);
        return file_errno(AT_FDCWD, name, "read the folder", f);
    }
    for (const struct dirent *entry; (entry = readdir(dir));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            unlinkat(dirfd(dir), entry->d_name, 0) != 0)
            return file_errno(dirfd(dir), entry->d_name, "remove", f);
    return OK;
}

enum err folder_remove_at(int folder, const char *name, struct fault *f)
{
    int inner = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (inner < 0 && errno == ENOENT)
        return OK;
    if (inner < 0) /* a link or a file in the way: itself, never what it points to */
        return unlinkat(folder, name, 0) == 0 ? OK : file_errno(folder, name, "remove", f);
    TRY(folder_empty(inner, name, f)); /* closes inner */
    return unlinkat(folder, name, AT_REMOVEDIR) == 0 ? OK : file_errno(folder, name, "remove the folder", f);
}

enum err folder_tidy_at(int folder, const char *name, struct fault *f)
{
    char fresh[NAME_SIZE];
    fresh_name(name, fresh);
    return folder_remove_at(folder, fresh, f);
}

static enum err folder_fill(int folder, const char *fresh, const struct folder_file *files, size_t count,
                            struct fault *f)
{
    CLEANUP(fd_cleanup) int inner = -1;
    TRY(folder_step(folder, fresh, FOLDER_MODE, &inner, f));
    if (fchmod(inner, FOLDER_MODE) != 0)
        return file_errno(folder, fresh, "set the mode of", f);
    for (size_t i = 0; i < count; i++)
        TRY(file_make_at(inner, &files[i], f));
    return folder_sync(inner, f);
}

static bool file_listed(const char *name, const struct folder_file *files, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(files[i].name, name) == 0)
            return true;
    return false;
}

/* What is replaced is a set of these files, not something of the user's. */
static enum err strangers_check(int folder, const char *name, const struct folder_file *files, size_t count,
                                struct fault *f)
{
    int fd = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) /* absent, or refused when it is to be replaced */
        return OK;
    CLEANUP(dir_cleanup) DIR *dir = fdopendir(fd);
    if (!dir) {
        close(fd);
        return file_errno(folder, name, "read the folder", f);
    }
    for (const struct dirent *entry; (entry = readdir(dir));) {
        char place[PLACE_SIZE];
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            file_listed(entry->d_name, files, count))
            continue;
        place_text(dirfd(dir), entry->d_name, place);
        return fault_set(f, CODE_CONFLICT, "\"%s\" would be lost: move it, and run this again", place);
    }
    return OK;
}

/* The old folder is still complete under the other name when the exchange is interrupted on either side. */
static enum err folder_swap(int folder, const char *fresh, const char *name, struct fault *f)
{
    if (renameat2(folder, fresh, folder, name, RENAME_NOREPLACE) == 0)
        return folder_sync(folder, f);
    CLEANUP(fd_cleanup) int old = -1;
    if (errno != EEXIST)
        return file_errno(folder, name, "put into place", f);
    TRY(folder_open_at(folder, name, false, &old, f));
    if (renameat2(folder, fresh, folder, name, RENAME_EXCHANGE) != 0)
        return file_errno(folder, name, "put the new one in the place of", f);
    TRY(folder_sync(folder, f));
    return folder_remove_at(folder, fresh, f);
}

enum err folder_put_at(int folder, const char *name, const struct folder_file *files, size_t count, struct fault *f)
{
    if (!file_name_valid(name))
        return fault_set(f, CODE_INVALID, "\"%s\" cannot be the name of a folder here", name);
    char fresh[NAME_SIZE];
    fresh_name(name, fresh);
    TRY(strangers_check(folder, name, files, count, f));
    TRY(folder_remove_at(folder, fresh, f));
    TRY(folder_fill(folder, fresh, files, count, f));
    return folder_swap(folder, fresh, name, f);
}

enum err folder_lock(int folder, struct fault *f)
{
    if (flock(folder, LOCK_EX | LOCK_NB) == 0)
        return OK;
    return fault_set(f, CODE_CONFLICT, "another \"ensign enroll\" works in this folder: wait until it is done");
}
