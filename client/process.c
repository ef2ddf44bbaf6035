#include "client/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "client/files.h"

enum { READ_SIZE = 16384 };

/* What is open while it runs; -1: closed. */
struct pipes {
    int input, output, error; /* our ends */
    int exit;                 /* a pidfd: readable when it has exited */
};

int64_t clock_monotonic_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void process_result_cleanup(struct process_result *result)
{
    secret_cleanup(&result->output);
    secret_cleanup(&result->error);
}

static void fd_end(int *fd)
{
    fd_cleanup(fd);
    *fd = -1;
}

static void pipes_cleanup(struct pipes *pipes)
{
    fd_end(&pipes->input);
    fd_end(&pipes->output);
    fd_end(&pipes->error);
    fd_end(&pipes->exit);
}

/* ---- starting ---- */

static enum err pipe_make(int *ret_reader, int *ret_writer, struct fault *f)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return fault_errno(f, "cannot make a pipe");
    *ret_reader = ends[0];
    *ret_writer = ends[1];
    return OK;
}

static int spawn(const struct process *process, const struct pipes *theirs, pid_t *ret_pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, standard;
    sigemptyset(&none);
    sigfillset(&standard);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_adddup2(&actions, theirs->input, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, theirs->output, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, theirs->error, STDERR_FILENO);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &standard);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    int failed = posix_spawnp(ret_pid, process->arguments[0], &actions, &attributes,
                              (char *const *)(uintptr_t)process->arguments, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return failed;
}

static void kill_and_reap(pid_t pid)
{
    kill(-pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        continue;
}

static enum err start(const struct process *process, struct pipes *ours, pid_t *ret_pid, struct fault *f)
{
    CLEANUP(pipes_cleanup) struct pipes theirs = {-1, -1, -1, -1};
    TRY(pipe_make(&theirs.input, &ours->input, f));
    if (process->output_file <= 0)
        TRY(pipe_make(&ours->output, &theirs.output, f));
    else if ((theirs.output = fcntl(process->output_file, F_DUPFD_CLOEXEC, 0)) < 0)
        return fault_errno(f, "cannot write what \"%s\" prints", process->arguments[0]);
    TRY(pipe_make(&ours->error, &theirs.error, f));
    pid_t pid = -1;
    errno = spawn(process, &theirs, &pid);
    if (errno == ENOENT)
        return fault_set(f, CODE_NOT_FOUND, "there is no program \"%s\" here: install it", process->arguments[0]);
    if (errno != 0)
        return fault_errno(f, "cannot start \"%s\"", process->arguments[0]);
    ours->exit = (int)syscall(SYS_pidfd_open, pid, 0);
    if (ours->exit < 0) {
        kill_and_reap(pid);
        return fault_errno(f, "cannot watch \"%s\"", process->arguments[0]);
    }
    fcntl(ours->input, F_SETFL, O_NONBLOCK);
    fcntl(ours->output, F_SETFL, O_NONBLOCK);
    fcntl(ours->error, F_SETFL, O_NONBLOCK);
    *ret_pid = pid;
    return OK;
}

/* ---- while it runs ---- */

/* What it does not read is not wanted: it may end without. */
static void feed(struct pipes *pipes, struct span *rest, struct span *more)
{
    ssize_t put = rest->size > 0 ? write(pipes->input, rest->data, rest->size) : 0;
    if (put > 0)
        *rest = span(rest->data + put, rest->size - (size_t)put);
    if (rest->size == 0) {
        *rest = *more;
        *more = (struct span){0};
    }
    if (rest->size == 0 || (put < 0 && errno != EAGAIN && errno != EINTR))
        fd_end(&pipes->input);
}

/* All that is there. false: more than max, which is read only to be thrown away. */
static bool drain(int *fd, struct bytes *out, size_t max, bool cut)
{
    char part[READ_SIZE];
    bool within = true;
    while (*fd >= 0) {
        ssize_t got = read(*fd, part, sizeof part);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && errno == EAGAIN)
            return within;
        if (got <= 0) {
            fd_end(fd);
            return within;
        }
        size_t room = max - out->size;
        bytes_append(out, part, (size_t)got < room ? (size_t)got : room);
        within = within && (size_t)got <= room;
        if (!within && !cut)
            return false;
    }
    return within;
}

static bool drain_both(struct pipes *pipes, const struct process *process, struct process_result *result)
{
    bool output = drain(&pipes->output, &result->output, process->output_max, process->output_cut);
    bool error = drain(&pipes->error, &result->error, process->output_max, process->output_cut);
    return output && error;
}

/* Until it has exited, or has to. */
static enum process_end attend(const struct process *process, struct pipes *pipes, struct process_result *result)
{
    struct span rest = process->input, more = process->more;
    int64_t deadline = clock_monotonic_ms() + process->deadline_ms;
    for (;;) {
        int64_t left = deadline - clock_monotonic_ms();
        struct pollfd watched[] = {{pipes->input, POLLOUT, 0},
                                   {pipes->output, POLLIN, 0},
                                   {pipes->error, POLLIN, 0},
                                   {pipes->exit, POLLIN, 0},
                                   {process->stop, POLLIN, 0}};
        if (left <= 0)
            return PROCESS_LATE;
        if (poll(watched, ARRAY_SIZE(watched), left > INT32_MAX ? INT32_MAX : (int)left) < 0 && errno != EINTR)
            return PROCESS_STOPPED;
        if (watched[4].revents)
            return PROCESS_STOPPED;
        if (watched[0].revents)
            feed(pipes, &rest, &more);
        bool exited = watched[3].revents != 0;
        if (!drain_both(pipes, process, result) && !process->output_cut)
            return PROCESS_FLOODED;
        if (exited)
            return PROCESS_EXITED;
    }
}

enum err process_run(const struct process *process, struct process_result *ret_result, struct fault *f)
{
    CLEANUP(pipes_cleanup) struct pipes pipes = {-1, -1, -1, -1};
    AUTO(process_result) result = {0};
    pid_t pid = -1;
    TRY(start(process, &pipes, &pid, f));
    result.end = attend(process, &pipes, &result);
    if (result.end == PROCESS_EXITED) {
        int status = 0;
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            continue;
        result.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    } else {
        kill_and_reap(pid);
    }
    TRY(bytes_check(&result.output, f));
    TRY(bytes_check(&result.error, f));
    *ret_result = result;
    result = (struct process_result){0};
    return OK;
}
