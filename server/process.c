#include "server/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

/* A failure is written as the name of its code, a space and its text. */
static _Noreturn void child_fail(int ready_fd, const struct fault *fault)
{
    char text[1024];
    AUTO(bytes) message = {0};
    fault_line(fault, text, sizeof text);
    bytes_appendf(&message, "%s %s", code_name(fault->code), text);
    ssize_t written = write(ready_fd, message.data, message.size);
    (void)written; /* a parent that is gone needs no answer */
    _exit(code_exit(fault->code));
}

static _Noreturn void child_run(process_main *run, void *context, int ready_fd, pid_t parent)
{
    struct fault fault = {0};
    /* The parent may have died before prctl(). */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent)
        _exit(1);
    if (run(context, ready_fd, &fault) != OK)
        child_fail(ready_fd, &fault);
    _exit(0);
}

enum err process_start(const char *name, process_main *run, void *context, struct process *ret_process, struct fault *f)
{
    int ready[2];
    pid_t parent = getpid();
    if (pipe2(ready, O_CLOEXEC) != 0)
        return fault_errno(f, "cannot make a pipe");
    pid_t pid = fork();
    if (pid == 0) {
        close(ready[0]);
        child_run(run, context, ready[1], parent);
    }
    close(ready[1]);
    if (pid < 0) {
        close(ready[0]);
        return fault_errno(f, "cannot start the %s", name);
    }
    *ret_process = (struct process){.name = name, .pid = pid, .ready_fd = ready[0]};
    return OK;
}

static enum err failure_read(const char *name, char *message, struct fault *f)
{
    char *space = strchr(message, ' ');
    if (!space)
        return fault_set(f, CODE_IO, "the %s ended before it was ready", name);
    *space = '\0';
    enum code code = code_by_name(message);
    return fault_set(f, code == CODE_NONE ? CODE_INTERNAL : code, "%s", space + 1);
}

enum err process_ready(struct process *process, struct fault *f)
{
    char message[2048] = "";
    size_t size = 0;
    ssize_t got;
    while (
        size < sizeof message - 1 && message[0] != 'R' &&
        ((got = read(process->ready_fd, message + size, sizeof message - 1 - size)) > 0 || (got < 0 && errno == EINTR)))
        size += got > 0 ? (size_t)got : 0;
    close(process->ready_fd);
    process->ready_fd = -1;
    process->silent = size == 0;
    return message[0] == 'R' ? OK : failure_read(process->name, message, f);
}
