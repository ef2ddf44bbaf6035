#include "client/agent/program.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "client/files.h"

enum { OUTPUT_MAX = 1024, EXIT_POLL_MILLISECONDS = 10 };

static int64_t now_milliseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- starting ---- */

static int spawn_with(posix_spawn_file_actions_t *actions, posix_spawnattr_t *attributes, const char *const *words,
                      int output, pid_t *ret_pid)
{
    sigset_t defaults;
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE); /* ignored in this process */
    posix_spawnattr_setsigdefault(attributes, &defaults);
    posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF);
    posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(actions, output, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(actions, output, STDERR_FILENO);
    char *arguments[64] = {0};
    for (size_t i = 0; words[i] && i + 1 < ARRAY_SIZE(arguments); i++)
        memcpy(&arguments[i], &words[i], sizeof words[i]); /* posix_spawnp() does not change them */
    return posix_spawnp(ret_pid, words[0], actions, attributes, arguments, environ);
}

static int start(const char *const *words, int output, pid_t *ret_pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    int error = spawn_with(&actions, &attributes, words, output, ret_pid);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return error;
}

/* ---- waiting ---- */

/* What arrives until the other side is closed or the time is over. */
static void output_collect(int fd, int64_t deadline, struct bytes *output)
{
    for (;;) {
        char block[512];
        int64_t left = deadline - now_milliseconds();
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        if (left <= 0 || (poll(&ready, 1, (int)left) < 0 && errno != EINTR))
            return;
        if (!ready.revents)
            continue;
        ssize_t got = read(fd, block, sizeof block);
        if (got <= 0)
            return;
        size_t room = OUTPUT_MAX - output->size;
        bytes_append(output, block, (size_t)got < room ? (size_t)got : room);
    }
}

/* A program that closed its output may run on. False: the time was over, and it was killed. */
static bool exit_wait(pid_t pid, int64_t deadline, int *ret_status)
{
    while (waitpid(pid, ret_status, WNOHANG) == 0) {
        if (now_milliseconds() >= deadline) {
            kill(-pid, SIGKILL);
            waitpid(pid, ret_status, 0);
            return false;
        }
        nanosleep(&(struct timespec){.tv_nsec = (long)EXIT_POLL_MILLISECONDS * 1000000}, NULL);
    }
    return true;
}

/* For the text of a fault. */
static void output_clean(struct bytes *output)
{
    while (output->size > 0 && strchr(" \n", output->data[output->size - 1]))
        output->data[--output->size] = '\0';
    if (output->size > 0) {
        text_clean((char *)output->data);
        text_hide_secrets((char *)output->data);
        output->size = strlen((char *)output->data);
    }
}

static enum err exit_judge(const char *name, int status, struct bytes *output, struct fault *f)
{
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return OK;
    output_clean(output);
    if (WIFSIGNALED(status))
        return fault_set(f, CODE_IO, "%s was ended by signal %d: %s", name, WTERMSIG(status), bytes_text(output));
    return fault_set(f, CODE_IO, "%s exited with %d: %s", name, WEXITSTATUS(status), bytes_text(output));
}

enum err program_run(const char *const *words, int64_t timeout_seconds, struct bytes *ret_output, struct fault *f)
{
    CLEANUP(fd_cleanup) int reading = -1;
    CLEANUP(fd_cleanup) int writing = -1;
    int ends[2], status = 0;
    pid_t pid = 0;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return fault_errno(f, "make a pipe for %s", words[0]);
    reading = ends[0];
    writing = ends[1];
    int error = start(words, writing, &pid);
    if (error != 0)
        return fault_set(f, CODE_IO, "%s cannot be started: %s", words[0], strerror(error));
    close(writing);
    writing = -1;
    int64_t deadline = now_milliseconds() + timeout_seconds * 1000;
    output_collect(reading, deadline, ret_output);
    bool in_time = exit_wait(pid, deadline, &status);
    TRY(bytes_check(ret_output, f));
    if (in_time)
        return exit_judge(words[0], status, ret_output, f);
    output_clean(ret_output);
    return fault_set(f, CODE_IO, "%s took longer than %lds: %s", words[0], (long)timeout_seconds,
                     bytes_text(ret_output));
}
