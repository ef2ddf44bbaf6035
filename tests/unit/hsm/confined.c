/* What a process can no longer do once it has the sandbox of its role: each attempt runs in a process of its own, first
 * free, as the control, and then in each role. */
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hsm/sandbox.h"
#include "tests/unit/hsm/fixture.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZER 1
#endif
#endif
#ifndef SANITIZER
#define SANITIZER 0
#endif

/* What becomes of an attempt: 0, an errno, or KILLED. */
enum {
    KILLED = 1000, /* by SIGSYS */
    CRASHED,       /* by another signal */
    SAME,          /* expected: as without a sandbox */
    OUTSIDE,       /* expected: EACCES where the kernel has Landlock */
};
enum { PAGE = 4096, PATH_SIZE = 128 };

static struct house house;
static pid_t parent;
static int tcp_fd, pipe_fds[2]; /* the socket is a new one for each attempt */

static long result(long status)
{
    return status < 0 ? errno : 0;
}

/* ---- attempts ---- */

static char *const nothing[] = {"true", NULL};

static long try_execve(void)
{
    return result(execve("/bin/true", nothing, NULL));
}

static long try_fork(void)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    return result(pid < 0 ? -1 : waitpid(pid, NULL, 0));
}

static long try_ptrace(void)
{
    return result(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
}

static long try_process_vm_readv(void)
{
    char byte;
    struct iovec local = {&byte, 1}, remote = {&house, 1};
    return result(process_vm_readv(parent, &local, 1, &remote, 1, 0));
}

static long try_process_vm_writev(void)
{
    char byte = 0;
    struct iovec local = {&byte, 1}, remote = {NULL, 1};
    return result(process_vm_writev(parent, &local, 1, &remote, 1, 0));
}

static long try_kill(void)
{
    return result(kill(parent, 0));
}

static long try_tgkill(void)
{
    return result(syscall(SYS_tgkill, parent, parent, 0));
}

static long try_pidfd_open(void)
{
    return result(syscall(SYS_pidfd_open, parent, 0));
}

static long try_socket(void)
{
    return result(socket(AF_INET, SOCK_STREAM, 0));
}

static long try_socket_unix(void)
{
    return result(socket(AF_UNIX, SOCK_STREAM, 0));
}

static long try_socketpair(void)
{
    int ends[2];
    return result(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
}

static const struct sockaddr_in somewhere = {.sin_family = AF_INET, .sin_addr.s_addr = 0x0100007f};

static long try_connect(void)
{
    return result(connect(tcp_fd, (const struct sockaddr *)&somewhere, sizeof somewhere));
}

static long try_bind(void)
{
    return result(bind(tcp_fd, (const struct sockaddr *)&somewhere, sizeof somewhere));
}

static long try_listen(void)
{
    return result(listen(tcp_fd, 1));
}

static long try_map_executable(void)
{
    return result(mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0);
}

static long try_make_executable(void)
{
    void *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return result(page == MAP_FAILED ? -1 : mprotect(page, PAGE, PROT_READ | PROT_EXEC));
}

static long try_memfd(void)
{
    return result(memfd_create("code", 0));
}

static long try_open_passwd(void)
{
    return result(open("/etc/passwd", O_RDONLY));
}

static long try_open_seal_key(void)
{
    return result(open(house.config.path, O_RDONLY));
}

static long try_open_status(void)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/%d/stat", parent);
    return result(open(path, O_RDONLY));
}

/* Each process makes another. */
static void path_new(const char *folder, char ret_path[PATH_SIZE])
{
    snprintf(ret_path, PATH_SIZE, "%s/new-%d", folder, getpid());
}

static long file_make(const char *path)
{
    return result(open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
}

static long try_create_outside(void)
{
    char path[PATH_SIZE];
    path_new(house.folder, path);
    return file_make(path);
}

static long try_rename_to_outside(void)
{
    char from[PATH_SIZE], to[PATH_SIZE];
    path_new(house.state, from);
    path_new(house.folder, to);
    long made = file_make(from);
    return made ? made : result(rename(from, to));
}

static long try_mkdir(void)
{
    char path[PATH_SIZE];
    path_new(house.state, path);
    return result(mkdir(path, 0700));
}

static long try_symlink(void)
{
    char path[PATH_SIZE];
    path_new(house.state, path);
    return result(symlink("/etc/passwd", path));
}

static long try_chmod(void)
{
    return result(chmod(house.config.path, 0600));
}

static long try_ioctl(void)
{
    int count;
    return result(ioctl(pipe_fds[0], FIONREAD, &count));
}

static long try_prctl(void)
{
    return result(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
}

static long try_setrlimit(void)
{
    static const struct rlimit none = {0, 0};
    return result(setrlimit(RLIMIT_CORE, &none));
}

static long try_clone_namespace(void)
{
    return result(syscall(SYS_clone, CLONE_NEWUSER | CLONE_THREAD, NULL, NULL, NULL, 0));
}

static long try_seccomp(void)
{
    return result(syscall(SYS_seccomp, -1, 0, NULL));
}

static long try_shmget(void)
{
    return result(syscall(SYS_shmget, -1, 0, 0));
}

/* What the roles are there for. */

static long try_file_in_state(void)
{
    char from[PATH_SIZE], to[PATH_SIZE];
    path_new(house.state, from);
    snprintf(to, sizeof to, "%s/file", house.state);
    int fd = open(from, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || posix_fallocate(fd, 0, PAGE) != 0 || write(fd, "x", 1) != 1 || fsync(fd) != 0)
        return errno;
    return result(rename(from, to) != 0 || unlink(to) != 0 ? -1 : 0);
}

static void *thread_run(void *argument)
{
    return argument;
}

static long try_thread(void)
{
    pthread_t thread;
    long status = pthread_create(&thread, NULL, thread_run, NULL);
    return status ? status : pthread_join(thread, NULL);
}

static long try_message(void)
{
    char byte = 0;
    return result(write(pipe_fds[1], &byte, 1));
}

static long try_own_status(void)
{
    return result(open("/proc/self/statm", O_RDONLY));
}

static long try_own_limits(void)
{
    struct rlimit limit;
    return result(getrlimit(RLIMIT_NOFILE, &limit));
}

#define FORBIDDEN(name) #name, NULL, KILLED, KILLED, KILLED, SYS_##name

static const struct attempt {
    const char *name;
    long (*run)(void);               /* NULL: the call */
    long supervisor, signer, server; /* expected */
    long call, arguments[3];
} attempts[] = {
    {"execve", try_execve, KILLED, KILLED, KILLED, 0, {0}},
    {"fork", try_fork, SAME, KILLED, KILLED, 0, {0}},
    {"ptrace", try_ptrace, SANITIZER ? SAME : KILLED, KILLED, KILLED, 0, {0}},
    {"process_vm_readv", try_process_vm_readv, KILLED, KILLED, KILLED, 0, {0}},
    {"process_vm_writev", try_process_vm_writev, KILLED, KILLED, KILLED, 0, {0}},
    {"kill of another", try_kill, SAME, KILLED, KILLED, 0, {0}},
    {"tgkill of another", try_tgkill, SAME, KILLED, KILLED, 0, {0}},
    {"pidfd_open", try_pidfd_open, SAME, KILLED, KILLED, 0, {0}},
    {"TCP socket", try_socket, SAME, KILLED, KILLED, 0, {0}},
    {"Unix socket", try_socket_unix, SAME, KILLED, KILLED, 0, {0}},
    {"socketpair", try_socketpair, SAME, KILLED, KILLED, 0, {0}},
    {"connect", try_connect, SAME, KILLED, KILLED, 0, {0}},
    {"bind", try_bind, SAME, KILLED, KILLED, 0, {0}},
    {"listen", try_listen, SAME, KILLED, KILLED, 0, {0}},
    {"mmap of code", try_map_executable, SAME, KILLED, KILLED, 0, {0}},
    {"mprotect to code", try_make_executable, SAME, KILLED, KILLED, 0, {0}},
    {"memfd_create", try_memfd, SAME, KILLED, KILLED, 0, {0}},
    {"open of /etc/passwd", try_open_passwd, SAME, EACCES, OUTSIDE, 0, {0}},
    {"open of the seal key", try_open_seal_key, SAME, EACCES, OUTSIDE, 0, {0}},
    {"open of /proc of another", try_open_status, SAME, EACCES, OUTSIDE, 0, {0}},
    {"a file outside the state folder", try_create_outside, SAME, EACCES, OUTSIDE, 0, {0}},
    {"rename out of the state folder", try_rename_to_outside, SAME, EACCES, OUTSIDE, 0, {0}},
    {"mkdir", try_mkdir, SAME, KILLED, KILLED, 0, {0}},
    {"symlink", try_symlink, SAME, KILLED, KILLED, 0, {0}},
    {"chmod", try_chmod, SAME, KILLED, KILLED, 0, {0}},
    {"ioctl", try_ioctl, SAME, KILLED, ENOTTY, 0, {0}},
    {"prctl", try_prctl, SAME, SANITIZER ? SAME : KILLED, SANITIZER ? SAME : KILLED, 0, {0}},
    {"setrlimit", try_setrlimit, SAME, KILLED, KILLED, 0, {0}},
    {"clone into a namespace", try_clone_namespace, SAME, KILLED, KILLED, 0, {0}},
    {"seccomp", try_seccomp, SAME, KILLED, KILLED, 0, {0}},
    {"shmget", try_shmget, SAME, KILLED, KILLED, 0, {0}},
    /* what none of them ever needs; with arguments that do no harm where it is not forbidden */
    {FORBIDDEN(execveat), {-1}},
    {FORBIDDEN(setresuid), {-1, -1, -1}},
    {FORBIDDEN(setgroups), {-1}},
    {FORBIDDEN(unshare), {0}},
    {FORBIDDEN(setns), {-1}},
    {FORBIDDEN(mount), {0}},
    {FORBIDDEN(umount2), {0}},
    {FORBIDDEN(move_mount), {-1, 0, -1}},
    {FORBIDDEN(pivot_root), {0}},
    {FORBIDDEN(chroot), {0}},
    {FORBIDDEN(open_by_handle_at), {-1}},
    {FORBIDDEN(bpf), {-1}},
    {FORBIDDEN(perf_event_open), {0, 0, -1}},
    {FORBIDDEN(userfaultfd), {-1}},
    {FORBIDDEN(io_uring_setup), {1}},
    {FORBIDDEN(io_uring_enter), {-1}},
    {FORBIDDEN(keyctl), {-1}},
    {FORBIDDEN(add_key), {0}},
    {FORBIDDEN(delete_module), {0}},
    {FORBIDDEN(finit_module), {-1}},
    {FORBIDDEN(kexec_load), {-1}},
    {FORBIDDEN(reboot), {0}},
    {FORBIDDEN(settimeofday), {0}},
    {FORBIDDEN(sethostname), {0, -1}},
    {FORBIDDEN(personality), {0xffffffff}},
    {FORBIDDEN(syslog), {-1}},
#ifdef __x86_64__
    {"a call of the x32 ABI", NULL, KILLED, KILLED, KILLED, 0x40000000 | SYS_getpid, {0}},
#endif
    /* and what they still do */
    {"a file in the state folder", try_file_in_state, 0, EACCES, 0, 0, {0}},
    {"a thread", try_thread, 0, KILLED, 0, 0, {0}},
    {"a message", try_message, 0, 0, 0, 0, {0}},
    {"/proc/self", try_own_status, 0, EACCES, 0, 0, {0}},
    {"getrlimit", try_own_limits, 0, KILLED, 0, 0, {0}},
};

/* ---- the table, walked ---- */

enum { FREE = -1 };

/* As the processes do it: the supervisor's calls bind its children, too. */
static enum err confine(int role, struct fault *f)
{
    if (role == FREE)
        return OK;
    TRY(sandbox_privileges(f));
    TRY(sandbox_calls(SANDBOX_SUPERVISOR, f));
    if (role == SANDBOX_SUPERVISOR)
        return OK;
    TRY(sandbox_libraries(f));
    TRY(sandbox_files(role == SANDBOX_SERVER ? house.state : NULL, f));
    return sandbox_calls((enum sandbox_role)role, f);
}

/* Kept apart from the attempt's own outcome, which is in the exit status. */
static _Noreturn void attempt_run(const struct attempt *attempt, int role)
{
    struct fault f = {0};
    char text[1024];
    if (confine(role, &f) != OK) {
        fault_line(&f, text, sizeof text);
        dprintf(STDERR_FILENO, "%s\n", text);
        abort();
    }
    if (attempt->run)
        _exit((int)attempt->run());
    const long *arguments = attempt->arguments;
    _exit((int)result(syscall(attempt->call, arguments[0], arguments[1], arguments[2], 0L, 0L, 0L)));
}

static pid_t attempt_fork(void)
{
    close(tcp_fd);
    tcp_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(tcp_fd >= 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    return pid;
}

static long attempt_outcome(const struct attempt *attempt, int role)
{
    int status = 0;
    pid_t pid = attempt_fork();
    if (pid == 0)
        attempt_run(attempt, role);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFSIGNALED(status))
        return WTERMSIG(status) == SIGSYS ? KILLED : CRASHED;
    return WIFEXITED(status) ? WEXITSTATUS(status) : CRASHED;
}

static bool outcome_is(long expected, long outcome, long control)
{
    if (expected == OUTSIDE)
        return sandbox_files_available() ? outcome == EACCES : outcome == control;
    return outcome == (expected == SAME ? control : expected);
}

/* An attempt that would fail in the same way without a sandbox shows nothing. */
static void test_attempts(void **state)
{
    (void)state;
    size_t wrong = 0;
    for (size_t i = 0; i < ARRAY_SIZE(attempts); i++) {
        const struct attempt *attempt = &attempts[i];
        const long expected[] = {[SANDBOX_SUPERVISOR] = attempt->supervisor,
                                 [SANDBOX_SIGNER] = attempt->signer,
                                 [SANDBOX_SERVER] = attempt->server};
        long control = attempt_outcome(attempt, FREE);
        bool good = control != KILLED && control != CRASHED && control != EACCES;
        if (!good)
            print_error("%s: %ld without a sandbox\n", attempt->name, control);
        for (int role = 0; role < (int)ARRAY_SIZE(expected); role++) {
            long outcome = attempt_outcome(attempt, role);
            if (outcome_is(expected[role], outcome, control))
                continue;
            print_error("%s: %ld as role %d, expected %ld; %ld without\n", attempt->name, outcome, role, expected[role],
                        control);
            good = false;
        }
        wrong += !good;
    }
    if (!sandbox_files_available())
        print_message("this kernel has no Landlock: files outside of the state folder were not tried\n");
    print_message("%zu attempts\n", ARRAY_SIZE(attempts));
    assert_int_equal(wrong, 0);
}

/* ---- Landlock alone: what it forbids to the signer, seccomp forbids before it ---- */

static long files_outcome(const char *folder, long (*run)(void))
{
    int status = 0;
    struct fault f = {0};
    pid_t pid = attempt_fork();
    if (pid == 0)
        _exit(sandbox_privileges(&f) == OK && sandbox_files(folder, &f) == OK ? (int)run() : 255);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void test_files(void **state)
{
    (void)state;
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (version <= 0) {
        print_message("this kernel has no Landlock\n");
        skip();
    }
    print_message("Landlock %ld\n", version);
    assert_int_equal(files_outcome(house.state, try_file_in_state), 0);
    assert_int_equal(files_outcome(house.state, try_open_passwd), EACCES);
    assert_int_equal(files_outcome(NULL, try_file_in_state), EACCES);
    assert_int_equal(files_outcome(NULL, try_own_status), EACCES);
    assert_int_equal(files_outcome(house.state, try_bind), version >= 4 ? EACCES : 0);
    assert_int_equal(files_outcome(house.state, try_kill), version >= 6 ? EPERM : 0);
}

/* ---- descriptors ---- */

static void test_descriptors(void **state)
{
    (void)state;
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        struct fault f = {0};
        int keep[] = {pipe_fds[1], STDERR_FILENO, pipe_fds[0]};
        bool closed = sandbox_descriptors(keep, ARRAY_SIZE(keep), &f) == OK;
        unsigned open_count = 0;
        for (int fd = 0; fd < 256; fd++)
            open_count += fcntl(fd, F_GETFD) >= 0;
        _exit(closed && open_count == ARRAY_SIZE(keep) && write(pipe_fds[1], "x", 1) == 1 ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_true(fcntl(tcp_fd, F_GETFD) >= 0); /* control: there was more to close */
}

static int group_setup(void **state)
{
    (void)state;
    house_open(&house);
    parent = getpid();
    tcp_fd = -1;
    return pipe(pipe_fds);
}

static int group_teardown(void **state)
{
    (void)state;
    house_close(&house);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_attempts),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_descriptors),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
