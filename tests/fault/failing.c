/* failing.c: loaded into ensignd with LD_PRELOAD: lets calls fail that a real system fails only under conditions that
 * cannot be had on one machine at will. The file that $ENSIGN_FAILING names is shared with the test, which writes it:
 *
 *     memory_pid   the process whose allocations are counted down; 0: none
 *     memory_left  allocations until one fails; memory_lasting: and all after it
 *     failed       how many did
 *     read_only    != 0: the file system of regular files is read-only, for all processes
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

struct control {
    _Atomic int32_t memory_pid, memory_lasting;
    _Atomic int64_t memory_left, failed;
    _Atomic int32_t read_only;
};

static struct control nothing, *control = &nothing;
static pid_t self; /* not asked for each time: the signer may not ask */

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

static void self_note(void)
{
    self = getpid();
}

__attribute__((constructor)) static void control_map(void)
{
    const char *path = getenv("ENSIGN_FAILING");
    int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *mapped = file >= 0 ? mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0) : MAP_FAILED;
    if (file >= 0)
        close(file);
    self_note();
    pthread_atfork(NULL, NULL, self_note);
    if (mapped != MAP_FAILED)
        control = mapped;
}

/* ---- memory ---- */

static bool memory_fails(void)
{
    if (control->memory_pid == 0 || control->memory_pid != self)
        return false;
    int64_t left = atomic_fetch_sub(&control->memory_left, 1);
    if (left > 1 || (left < 1 && !control->memory_lasting))
        return false;
    control->failed++;
    errno = ENOMEM;
    return true;
}

void *malloc(size_t size)
{
    return memory_fails() ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return memory_fails() ? NULL : __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
    return size > 0 && memory_fails() ? NULL : __libc_realloc(old, size);
}

int posix_memalign(void **ret_memory, size_t alignment, size_t size)
{
    if (memory_fails())
        return ENOMEM;
    *ret_memory = __libc_memalign(alignment, size);
    return *ret_memory ? 0 : ENOMEM;
}

/* ---- a read-only file system ---- */

static bool refuses(int file)
{
    struct stat status;
    if (!control->read_only || fstat(file, &status) != 0 || !S_ISREG(status.st_mode))
        return false;
    errno = EROFS;
    return true;
}

#define NEXT(name)                                                                                                     \
    static __typeof__(name) *next;                                                                                     \
    if (!next)                                                                                                         \
        *(void **)&next = dlsym(RTLD_NEXT, #name);

ssize_t pwrite(int file, const void *data, size_t size, off_t offset)
{
    NEXT(pwrite)
    return refuses(file) ? -1 : next(file, data, size, offset);
}

ssize_t pwritev(int file, const struct iovec *parts, int count, off_t offset)
{
    NEXT(pwritev)
    return refuses(file) ? -1 : next(file, parts, count, offset);
}

int ftruncate(int file, off_t size)
{
    NEXT(ftruncate)
    return refuses(file) ? -1 : next(file, size);
}

int posix_fallocate(int file, off_t offset, off_t size)
{
    NEXT(posix_fallocate)
    return refuses(file) ? EROFS : next(file, offset, size);
}

int fdatasync(int file)
{
    NEXT(fdatasync)
    return refuses(file) ? -1 : next(file);
}

int fstatvfs(int file, struct statvfs *ret_disk)
{
    NEXT(fstatvfs)
    int result = next(file, ret_disk);
    if (result == 0 && refuses(file))
        ret_disk->f_flag |= ST_RDONLY;
    return result;
}
