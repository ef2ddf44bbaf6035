/* The system calls of each role, as seccomp filters. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "hsm/sandbox.h"

/* What the run-time of a sanitizer does besides. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZER
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZER
#endif
#endif

/* ---- which ---- */

/* For the signer and the server. */
static const int common_calls[] = {
    /* the channel between them */
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

/* For the server besides. Some have two names, because the C library's choice depends on its version and the machine.
 */
static const int server_calls[] = {
    /* connections that come in, and the channels of new signers; there is no socket(), bind() or connect() */
    SCMP_SYS(accept4),
    SCMP_SYS(recvmsg),
    SCMP_SYS(sendmsg),
    SCMP_SYS(shutdown),
    SCMP_SYS(getsockopt),
    SCMP_SYS(setsockopt),
    SCMP_SYS(getsockname),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(eventfd2), /* how libmicrohttpd wakes its listening thread */
    SCMP_SYS(read),     /* also of signals */
    /* files, which Landlock keeps to the state folder: LMDB with the room that is allocated for it, and tls.pem */
    SCMP_SYS(openat),
    SCMP_SYS(fstat),
    SCMP_SYS(newfstatat),
    SCMP_SYS(statfs),
    SCMP_SYS(fstatfs),
    SCMP_SYS(lseek),
    SCMP_SYS(pread64),
    SCMP_SYS(pwrite64),
    SCMP_SYS(pwritev),
    SCMP_SYS(fallocate),
    SCMP_SYS(fsync),
    SCMP_SYS(fdatasync),
    SCMP_SYS(unlink),
    SCMP_SYS(unlinkat),
    SCMP_SYS(rename),
    SCMP_SYS(renameat),
    SCMP_SYS(renameat2),
    SCMP_SYS(sysinfo), /* qsort() asks how much memory there is before it sorts much */
    /* how much it uses: its time, and below /proc/self its memory and descriptors */
    SCMP_SYS(getrusage),
    SCMP_SYS(getdents64),
    /* pauses while it drains */
    SCMP_SYS(nanosleep),
    SCMP_SYS(clock_nanosleep),
};

/* What no process of ensignd ever does; a CA that somebody has broken into might. */
static const int forbidden_calls[] = {
    /* other programs */
    SCMP_SYS(execve),
    SCMP_SYS(execveat),
    /* other processes; a leak sanitizer traces its own */
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev),
    SCMP_SYS(process_madvise),
    SCMP_SYS(pidfd_getfd),
    SCMP_SYS(kcmp),
#ifndef SANITIZER
    SCMP_SYS(ptrace),
#endif
    /* parts of the kernel that are large, rarely used and often broken */
    SCMP_SYS(bpf),
    SCMP_SYS(perf_event_open),
    SCMP_SYS(userfaultfd),
    SCMP_SYS(io_uring_setup),
    SCMP_SYS(io_uring_enter),
    SCMP_SYS(io_uring_register),
    SCMP_SYS(keyctl),
    SCMP_SYS(add_key),
    SCMP_SYS(request_key),
    SCMP_SYS(fanotify_init),
    SCMP_SYS(modify_ldt),
    /* another view of the file system, of users, of anything */
    SCMP_SYS(unshare),
    SCMP_SYS(setns),
    SCMP_SYS(mount),
    SCMP_SYS(umount2),
    SCMP_SYS(move_mount),
    SCMP_SYS(mount_setattr),
    SCMP_SYS(open_tree),
    SCMP_SYS(fsopen),
    SCMP_SYS(fspick),
    SCMP_SYS(fsconfig),
    SCMP_SYS(fsmount),
    SCMP_SYS(pivot_root),
    SCMP_SYS(chroot),
    SCMP_SYS(name_to_handle_at),
    SCMP_SYS(open_by_handle_at),
    SCMP_SYS(personality),
    SCMP_SYS(setuid),
    SCMP_SYS(setreuid),
    SCMP_SYS(setresuid),
    SCMP_SYS(setfsuid),
    SCMP_SYS(setgid),
    SCMP_SYS(setregid),
    SCMP_SYS(setresgid),
    SCMP_SYS(setfsgid),
    SCMP_SYS(setgroups),
    /* the machine */
    SCMP_SYS(init_module),
    SCMP_SYS(finit_module),
    SCMP_SYS(delete_module),
    SCMP_SYS(kexec_load),
    SCMP_SYS(kexec_file_load),
    SCMP_SYS(reboot),
    SCMP_SYS(swapon),
    SCMP_SYS(swapoff),
    SCMP_SYS(syslog),
    SCMP_SYS(acct),
    SCMP_SYS(quotactl),
    SCMP_SYS(settimeofday),
    SCMP_SYS(clock_settime),
    SCMP_SYS(adjtimex),
    SCMP_SYS(clock_adjtime),
    SCMP_SYS(sethostname),
    SCMP_SYS(setdomainname),
    SCMP_SYS(iopl),
    SCMP_SYS(ioperm),
};

/* ---- with which arguments ---- */

/* What becomes of a call whose argument is `value`, as far as `mask` goes. */
struct rule {
    uint32_t action;
    int call;
    unsigned argument;
    uint64_t mask, value;
};

#define WHOLE UINT64_MAX

static const struct rule common_rules[] = {
    /* Memory that is both given and run is how injected code begins. */
    {SCMP_ACT_ALLOW, SCMP_SYS(mmap), 2, PROT_EXEC, 0},
    {SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 2, PROT_EXEC, 0},
};

static const struct rule signer_rules[] = {
    /* The C library looks into files for the time zone, the cores and how memory is overcommitted, and does without. */
    {SCMP_ACT_ERRNO(EACCES), SCMP_SYS(openat), 0, 0, 0},
};

#define CLONE_NAMESPACES                                                                                               \
    (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET)

static const struct rule server_rules[] = {
    /* threads, but no processes; clone3() hides its flags from a filter, and the C library does without it */
    {SCMP_ACT_ALLOW, SCMP_SYS(clone), 0, CLONE_THREAD | CLONE_NAMESPACES, CLONE_THREAD},
    {SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0, 0, 0},
    {SCMP_ACT_ALLOW, SCMP_SYS(prctl), 0, WHOLE, PR_SET_NAME},
    /* LMDB's table of readers is locked, and libmicrohttpd asks how a socket was opened */
    {SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1, WHOLE, F_GETLK},
    {SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1, WHOLE, F_SETLK},
    {SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1, WHOLE, F_GETFL},
    {SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1, WHOLE, F_SETFL},
    /* limits are only asked for */
    {SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 2, WHOLE, 0},
    /* stdio asks whether it writes to a terminal; that could also be made to type commands */
    {SCMP_ACT_ERRNO(ENOTTY), SCMP_SYS(ioctl), 0, 0, 0},
};

/* ---- filters ---- */

#define LIST(array)                                                                                                    \
    {                                                                                                                  \
        (array), ARRAY_SIZE(array)                                                                                     \
    }

static const struct role {
    uint32_t listed, others; /* what becomes of the calls that are in the lists, and of those that are not */
    struct {
        const int *items;
        size_t count;
    } calls[2];
    struct {
        const struct rule *items;
        size_t count;
    } rules[2];
} roles[] = {
    [SANDBOX_SUPERVISOR] = {SCMP_ACT_KILL_PROCESS, SCMP_ACT_ALLOW, {LIST(forbidden_calls)}, {{0}}},
    [SANDBOX_SIGNER] = {SCMP_ACT_ALLOW,
                        SCMP_ACT_KILL_PROCESS,
                        {LIST(common_calls)},
                        {LIST(common_rules), LIST(signer_rules)}},
    [SANDBOX_SERVER] = {SCMP_ACT_ALLOW,
                        SCMP_ACT_KILL_PROCESS,
                        {LIST(common_calls), LIST(server_calls)},
                        {LIST(common_rules), LIST(server_rules)}},
};

static int rule_add(scmp_filter_ctx filter, const struct rule *rule)
{
    const struct scmp_arg_cmp condition = {rule->argument, SCMP_CMP_MASKED_EQ, rule->mask, rule->value};
    return seccomp_rule_add_array(filter, rule->action, rule->call, rule->mask ? 1 : 0, &condition);
}

/* Signals only to itself: as abort() does, and the server when it has to be started again. */
static int own_signals_allow(scmp_filter_ctx filter)
{
    const uint64_t self = (uint64_t)getpid();
    const struct rule rules[] = {{SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 0, WHOLE, self},
                                 {SCMP_ACT_ALLOW, SCMP_SYS(kill), 0, WHOLE, self}};
    int result = rule_add(filter, &rules[0]);
    return result == 0 ? rule_add(filter, &rules[1]) : result;
}

static int lists_add(scmp_filter_ctx filter, const struct role *role)
{
    int result = 0;
    for (size_t list = 0; list < ARRAY_SIZE(role->calls); list++)
        for (size_t i = 0; result == 0 && i < role->calls[list].count; i++)
            result = seccomp_rule_add(filter, role->listed, role->calls[list].items[i], 0);
    for (size_t list = 0; list < ARRAY_SIZE(role->rules); list++)
        for (size_t i = 0; result == 0 && i < role->rules[list].count; i++)
            result = rule_add(filter, &role->rules[list].items[i]);
    if (result == 0 && role->listed == SCMP_ACT_ALLOW)
        result = own_signals_allow(filter);
    return result;
}

/* For all threads; calls by another architecture's numbers kill, too. */
static int filter_fill(scmp_filter_ctx filter, const struct role *role)
{
    int result = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
    if (result == 0)
        result = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    return result == 0 ? lists_add(filter, role) : result;
}

static void filter_release(scmp_filter_ctx *filter)
{
    seccomp_release(*filter);
}

enum err sandbox_calls(enum sandbox_role role, struct fault *f)
{
    CLEANUP(filter_release) scmp_filter_ctx filter = seccomp_init(roles[role].others);
    if (!filter)
        return fault_no_memory(f);
    int result = filter_fill(filter, &roles[role]);
    if (result == 0)
        result = seccomp_load(filter);
    if (result == 0)
        return OK;
    errno = -result;
    return fault_errno(f, "sandbox: cannot restrict system calls (seccomp)");
}
