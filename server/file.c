#include "server/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ca/base/io.h"

static void fd_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

enum err path_join(const char *folder, const char *name, char *ret_path, struct fault *f)
{
    if (snprintf(ret_path, PATH_SIZE, "%s/%s", folder, name) >= PATH_SIZE)
        return fault_set(f, CODE_INVALID, "the path %.80s… is too long", folder);
    return OK;
}

enum err folder_sync(const char *folder, struct fault *f)
{
    CLEANUP(fd_close) int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 && fsync(fd) == 0 ? OK : fault_errno(f, "cannot write the folder %s", folder);
}

/* A rename is durable when its folder is. */
static enum err folder_of_sync(const char *path, struct fault *f)
{
    char folder[PATH_SIZE];
    snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash)
        slash[slash == folder] = '\0'; /* of "/file" it is "/" */
    return folder_sync(slash ? folder : ".", f);
}

/* ---- writing ---- */

enum { TEMPORARY_SIZE = PATH_SIZE + 8 };

static void temporary_path(const char *path, char ret_path[TEMPORARY_SIZE])
{
    snprintf(ret_path, TEMPORARY_SIZE, "%s.new", path);
}

enum err file_begin(const char *path, mode_t mode, int *ret_fd, struct fault *f)
{
    char temporary[TEMPORARY_SIZE];
    temporary_path(path, temporary);
    unlink(temporary); /* left by a process that died */
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    if (fd < 0)
        return fault_errno(f, "cannot make %s", temporary);
    *ret_fd = fd;
    return OK;
}

enum err file_finish(const char *path, int take_fd, struct fault *f)
{
    char temporary[TEMPORARY_SIZE];
    temporary_path(path, temporary);
    enum err err = fsync(take_fd) == 0 ? OK : fault_errno(f, "cannot write %s", path);
    if (err == OK && rename(temporary, path) != 0)
        err = fault_errno(f, "cannot replace %s", path);
    if (err != OK) {
        file_abandon(path, take_fd);
        return err;
    }
    close(take_fd);
    return folder_of_sync(path, f);
}

void file_abandon(const char *path, int take_fd)
{
    char temporary[TEMPORARY_SIZE];
    temporary_path(path, temporary);
    close(take_fd);
    unlink(temporary);
}

enum err file_replace(const char *path, struct span content, mode_t mode, struct fault *f)
{
    int fd;
    TRY(file_begin(path, mode, &fd, f));
    enum err err = fd_write(fd, content) ? OK : fault_errno(f, "cannot write %s", path);
    if (err == OK)
        return file_finish(path, fd, f);
    file_abandon(path, fd);
    return err;
}

/* ---- reading ---- */

enum err file_read(const char *path, size_t max, struct bytes *ret_content, struct fault *f)
{
    AUTO(bytes) content = {0};
    uint8_t piece[4096];
    ssize_t got;
    CLEANUP(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return fault_set(f, CODE_NOT_FOUND, "there is no file %s", path);
    if (fd < 0)
        return fault_errno(f, "cannot open %s", path);
    while ((got = read(fd, piece, sizeof piece)) > 0 && content.size <= max)
        bytes_append(&content, piece, (size_t)got);
    if (got < 0)
        return fault_errno(f, "cannot read %s", path);
    if (content.size > max)
        return fault_set(f, CODE_TOO_LARGE, "%s is larger than %zu bytes", path, max);
    TRY(bytes_check(&content, f));
    *ret_content = content;
    content = (struct bytes){0};
    return OK;
}
