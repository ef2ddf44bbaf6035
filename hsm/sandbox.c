#include "hsm/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <openssl/crypto.h>
#include <sodium.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- descriptors ---- */

static int ascending(const void *a, const void *b)
{
    int left = *(const int *)a, right = *(const int *)b;
    return (left > right) - (left < right);
}

enum err sandbox_descriptors(int *keep, size_t count, struct fault *f)
{
    unsigned first = 0;
    int failed = 0;
    qsort(keep, count, sizeof *keep, ascending);
    for (size_t i = 0; i < count; i++) {
        unsigned kept = (unsigned)keep[i];
        if (kept > first)
            failed |= close_range(first, kept - 1, 0);
        first = kept + 1;
    }
    if (failed || close_range(first, UINT_MAX, 0) < 0)
        return fault_errno(f, "sandbox: cannot close descriptors");
    return OK;
}

/* ---- privileges ---- */

static enum err memory_limit_lift(struct fault *f)
{
    static const struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
    if (setrlimit(RLIMIT_MEMLOCK, &unlimited) < 0 && errno != EPERM)
        return fault_errno(f, "sandbox: cannot set the limit of locked memory");
    return OK;
}

/* Capabilities are numbered without gaps; the kernel says where they end. */
static enum err bounding_set_drop(struct fault *f)
{
    for (int capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++)
        if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0 && errno != EPERM)
            return fault_errno(f, "sandbox: cannot give up capability %d", capability);
    return OK;
}

static enum err capabilities_drop(struct fault *f)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3];
    memset(none, 0, sizeof none);
    TRY(bounding_set_drop(f));
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 || syscall(SYS_capset, &header, none) < 0)
        return fault_errno(f, "sandbox: cannot drop the capabilities");
    return OK;
}

enum err sandbox_privileges(struct fault *f)
{
    static const struct rlimit none = {0, 0};
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || setrlimit(RLIMIT_CORE, &none) < 0)
        return fault_errno(f, "sandbox: cannot forbid memory dumps");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return fault_errno(f, "sandbox: cannot give up gaining privileges");
    TRY(memory_limit_lift(f));
    return capabilities_drop(f);
}

/* ---- libraries and memory ---- */

enum err sandbox_libraries(struct fault *f)
{
    if (OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CONFIG | OPENSSL_INIT_LOAD_CRYPTO_STRINGS, NULL) != 1)
        return fault_openssl(f, "libcrypto does not start");
    if (sodium_init() < 0)
        return fault_set(f, CODE_CRYPTO, "libsodium does not start");
    return OK;
}

/* With a limit, memory that is mapped later would be refused rather than left unlocked. */
enum err sandbox_memory(struct fault *f)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_MEMLOCK, &limit) < 0)
        return fault_errno(f, "sandbox: cannot read the limit of locked memory");
    if (limit.rlim_cur == RLIM_INFINITY && mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) < 0)
        return fault_errno(f, "sandbox: cannot lock the memory");
    return OK;
}

/* ---- files: Landlock ---- */

#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (UINT64_C(1) << 14)
#endif
#define FIRST_BITS(n) ((UINT64_C(1) << (n)) - 1)

/* What is forbidden unless a rule allows it. The kernel's struct, which grows: the system's header may be older. A
 * kernel that knows less of it wants zeros for the rest. */
struct ruleset {
    uint64_t files, network, scoped;
};

/* All that a version of the interface knows; a newer one knows these, too. */
static const struct ruleset versions[] = {
    {FIRST_BITS(13), 0, 0},                         /* Linux 5.13 */
    {FIRST_BITS(14), 0, 0},                         /* 5.19: a file gets another folder */
    {FIRST_BITS(15), 0, 0},                         /* 6.2: truncation */
    {FIRST_BITS(15), FIRST_BITS(2), 0},             /* 6.7: TCP bind and connect */
    {FIRST_BITS(16), FIRST_BITS(2), 0},             /* 6.10: ioctl of devices */
    {FIRST_BITS(16), FIRST_BITS(2), FIRST_BITS(2)}, /* 6.12: abstract Unix sockets, signals */
};

static const uint64_t folder_rights = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE |
                                      LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |
                                      LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_TRUNCATE;
static const uint64_t process_rights = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;

static void descriptor_auto(const int *descriptor)
{
    if (*descriptor >= 0)
        close(*descriptor);
}

/* 0 or less: the kernel has none, or somebody forbids it. */
static long landlock_version(void)
{
    return syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
}

bool sandbox_files_available(void)
{
    return landlock_version() > 0;
}

static enum err folder_allow(int rules, int folder, uint64_t rights, const char *path, struct fault *f)
{
    const struct landlock_path_beneath_attr rule = {.allowed_access = rights, .parent_fd = folder};
    if (folder < 0 || syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
        return fault_errno(f, "sandbox: cannot keep the right to use %s", path);
    return OK;
}

/* The folder of /proc stays open for good. The kernel forgets it when its memory is short and nobody holds it, and
 * makes it again when it is asked for; the rule would be for the old one. */
static enum err folders_allow(int rules, const char *path, uint64_t known, struct fault *f)
{
    CLEANUP(descriptor_auto) int folder = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    TRY(folder_allow(rules, folder, folder_rights & known, path, f));
    int self = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
    return folder_allow(rules, self, process_rights, "/proc/self", f);
}

enum err sandbox_files(const char *folder, struct fault *f)
{
    long version = landlock_version();
    if (version <= 0)
        return OK;
    size_t known = (size_t)version < ARRAY_SIZE(versions) ? (size_t)version : ARRAY_SIZE(versions);
    const struct ruleset *all = &versions[known - 1];
    CLEANUP(descriptor_auto) int rules = (int)syscall(SYS_landlock_create_ruleset, all, sizeof *all, 0);
    if (rules < 0)
        return fault_errno(f, "sandbox: cannot describe which files are used (Landlock)");
    if (folder)
        TRY(folders_allow(rules, folder, all->files, f));
    if (syscall(SYS_landlock_restrict_self, rules, 0) < 0)
        return fault_errno(f, "sandbox: cannot give up other files (Landlock)");
    return OK;
}
