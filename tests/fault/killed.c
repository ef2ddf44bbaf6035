/* killed.c: linked into ensign with --wrap of the calls that change files: it kills itself before the N-th of them,
 * where $ENSIGN_KILLED_AT is N; when it is "count", it says how many there were. With -DNO_SYNC, a control, nothing is
 * made durable. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HALVED_MIN = 64 }; /* bytes: no more than a few calls for a file */

static long calls;

static void __attribute__((destructor)) calls_say(void)
{
    const char *at = getenv("ENSIGN_KILLED_AT");
    if (at && strcmp(at, "count") == 0)
        fprintf(stderr, "calls: %ld\n", calls);
}

static void count(void)
{
    static long left;
    const char *at = getenv("ENSIGN_KILLED_AT");
    calls++;
    if (left == 0)
        left = at && atol(at) > 0 ? atol(at) : -1;
    if (left > 0 && --left == 0)
        kill(getpid(), SIGKILL);
}

ssize_t __real_write(int fd, const void *data, size_t size);
int __real_fsync(int fd);
int __real_fchmod(int fd, mode_t mode);
int __real_mkdirat(int folder, const char *name, mode_t mode);
int __real_unlinkat(int folder, const char *name, int flags);
int __real_renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags);

ssize_t __wrap_write(int fd, const void *data, size_t size);
int __wrap_fsync(int fd);
int __wrap_fchmod(int fd, mode_t mode);
int __wrap_mkdirat(int folder, const char *name, mode_t mode);
int __wrap_unlinkat(int folder, const char *name, int flags);
int __wrap_renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags);

/* In halves, so that a file can be cut in its middle. */
ssize_t __wrap_write(int fd, const void *data, size_t size)
{
    count();
    return __real_write(fd, data, size > HALVED_MIN ? size / 2 : size);
}

int __wrap_fsync(int fd)
{
    count();
#ifdef NO_SYNC
    (void)fd;
    return 0;
#else
    return __real_fsync(fd);
#endif
}

int __wrap_fchmod(int fd, mode_t mode)
{
    count();
    return __real_fchmod(fd, mode);
}

int __wrap_mkdirat(int folder, const char *name, mode_t mode)
{
    count();
    return __real_mkdirat(folder, name, mode);
}

int __wrap_unlinkat(int folder, const char *name, int flags)
{
    count();
    return __real_unlinkat(folder, name, flags);
}

int __wrap_renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags)
{
    count();
    return __real_renameat2(from_folder, from, to_folder, to, flags);
}
