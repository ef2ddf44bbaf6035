#include "hsm/sandbox.h"

#include <errno.h>
#include <limits.h>
#include <linux/capability.h>
#include <seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- process ---- */

static enum err descriptors_close(const int *keep, size_t count, struct fault *f)
{
    unsigned first = STDERR_FILENO + 1;
    for (size_t i = 0; i < count; i++) {
        unsigned kept = (unsigned)keep[i];
        if (kept > first && close_range(first, kept - 1, 0) < 0)
            return fault_errno(f, "the signer cannot close its descriptors");
        first = kept + 1;
    }
    if (close_range(first, UINT_MAX, 0) < 0 || close_range(STDIN_FILENO, STDOUT_FILENO, 0) < 0)
        return fault_errno(f, "the signer cannot close its descriptors");
    return OK;
}

enum err sandbox_process(const int *keep, size_t count, struct fault *f)
{
    static const struct rlimit none = {0, 0};
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || setrlimit(RLIMIT_CORE, &none) < 0)
        return fault_errno(f, "the signer cannot forbid memory dumps");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return fault_errno(f, "the signer cannot give up gaining privileges");
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
        return fault_errno(f, "the signer cannot bind itself to its parent");
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    return descriptors_close(keep, count, f);
}

/* ---- privileges ---- */

/* With a limit, memory that is mapped later would be refused rather than left unlocked. */
static enum err memory_lock(struct fault *f)
{
    static const struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
    struct rlimit limit;
    if (setrlimit(RLIMIT_MEMLOCK, &unlimited) < 0 && errno != EPERM)
        return fault_errno(f, "the signer cannot set its limit of locked memory");
    if (getrlimit(RLIMIT_MEMLOCK, &limit) < 0)
        return fault_errno(f, "the signer cannot read its limit of locked memory");
    if (limit.rlim_cur == RLIM_INFINITY && mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) < 0)
        return fault_errno(f, "the signer cannot lock its memory");
    return OK;
}

static enum err capabilities_drop(struct fault *f)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3];
    memset(none, 0, sizeof none);
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 || syscall(SYS_capset, &header, none) < 0)
        return fault_errno(f, "the signer cannot drop its capabilities");
    return OK;
}

enum err sandbox_privileges(struct fault *f)
{
    TRY(memory_lock(f));
    return capabilities_drop(f);
}

/* ---- system calls ---- */

/* What the run-time of a sanitizer does besides. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZER
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZER
#endif
#endif

static const int calls[] = {
    /* the channel */
    SCMP_SYS(recvfrom),
    SCMP_SYS(sendto),
    SCMP_SYS(write),
    SCMP_SYS(close),
    /* memory; mmap and mprotect are below */
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(madvise),
    SCMP_SYS(brk),
    SCMP_SYS(mlock),
    SCMP_SYS(munlock),
    /* threads; glibc counts the cores when it makes another heap */
    SCMP_SYS(futex),
    SCMP_SYS(sched_yield),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(rseq),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(rt_sigprocmask),
    /* random numbers, of which OpenSSL's generator asks whether the process has forked; clocks without a vDSO */
    SCMP_SYS(getrandom),
    SCMP_SYS(getpid),
    SCMP_SYS(gettid),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(gettimeofday),
    /* the end: exit, and abort() with its message */
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(writev),
    SCMP_SYS(rt_sigaction),
#ifdef SANITIZER
    SCMP_SYS(sigaltstack),
    SCMP_SYS(prctl),
    SCMP_SYS(nanosleep),
    SCMP_SYS(clock_nanosleep),
#endif
};

/* Memory that is both given and run is how injected code begins. */
static const int mapping_calls[] = {SCMP_SYS(mmap), SCMP_SYS(mprotect)};

static int filter_fill(scmp_filter_ctx filter)
{
    int result = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
    for (size_t i = 0; result == 0 && i < ARRAY_SIZE(calls); i++)
        result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
    for (size_t i = 0; result == 0 && i < ARRAY_SIZE(mapping_calls); i++)
        result =
            seccomp_rule_add(filter, SCMP_ACT_ALLOW, mapping_calls[i], 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    /* only to itself, as abort() does */
    if (result == 0)
        result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
                                  SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0));
    /* The C library looks into files for the time zone, the cores and how memory is overcommitted, and does without. */
    if (result == 0)
        result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EACCES), SCMP_SYS(openat), 0);
    return result;
}

static void filter_release(scmp_filter_ctx *filter)
{
    seccomp_release(*filter);
}

enum err sandbox_calls(struct fault *f)
{
    CLEANUP(filter_release) scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
    if (!filter)
        return fault_no_memory(f);
    int result = filter_fill(filter);
    if (result == 0)
        result = seccomp_load(filter);
    if (result == 0)
        return OK;
    errno = -result;
    return fault_errno(f, "the signer cannot restrict its system calls (seccomp)");
}
