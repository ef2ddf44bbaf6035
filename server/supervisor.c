#include "server/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#include "hsm/sandbox.h"
#include "server/channel.h"
#include "server/clock.h"
#include "server/file.h"
#include "server/listen.h"
#include "server/logger.h"
#include "server/serve.h"
#include "server/signer_process.h"

enum {
    SHORT_LIFE_MILLISECONDS = 1000, /* a child that lived shorter is started again only after a pause */
    PAUSE_MIN_MILLISECONDS = 50,
    PAUSE_MAX_MILLISECONDS = 1000,
    LOCK_MILLISECONDS = 1000,
    STOP_MILLISECONDS = 25000, /* the server drains for 20 s */
};

struct child {
    struct process process;
    const char *pid_file;
    bool was_ready; /* once; before that, a failure that it gives a reason for is the end of ensignd */
    bool due;       /* to be started */
    int64_t started, start_at;
    int pause; /* before the next start, when it dies young again */
};

struct supervisor {
    const struct config *config;
    int lock_fd, listen_fd, unix_fd, signal_fd;
    int control_fd; /* to the server */
    int channel_fd; /* the server's end of the signer's channel, until there is a server to take it */
    unsigned port;
    struct child signer, server;
    bool stopping;
    int64_t stop_until;
    struct fault *fault; /* why the service cannot run at all; the caller's */
    enum err err;
};

static void fd_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* ---- the state folder ---- */

static enum err run_write(const char *state, const char *name, long number, struct fault *f)
{
    char path[PATH_SIZE];
    AUTO(bytes) text = {0};
    TRY(path_join(state, name, path, f));
    bytes_appendf(&text, "%ld\n", number);
    return file_replace(path, bytes_span(&text), 0644, f);
}

static void run_remove(const char *state, const char *name)
{
    char path[PATH_SIZE];
    struct fault fault = {0};
    if (path_join(state, name, path, &fault) == OK)
        unlink(path);
}

/* The process that holds the lock; 0 when it has not said so. */
static long lock_holder(const char *state)
{
    char path[PATH_SIZE];
    struct fault fault = {0};
    AUTO(bytes) text = {0};
    if (path_join(state, "run/supervisor.pid", path, &fault) != OK || file_read(path, 32, &text, &fault) != OK)
        return 0;
    return atol(bytes_text(&text));
}

/* When a supervisor is killed its children hold the lock for the moment that they need to die: that is waited for. */
static bool lock_take(int fd)
{
    static const struct timespec pause = {.tv_nsec = 20L * 1000 * 1000};
    for (int turns = 0; turns < 100; turns++) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0)
            return true;
        nanosleep(&pause, NULL);
    }
    return false;
}

enum err state_lock(const char *state, int *ret_fd, struct fault *f)
{
    char path[PATH_SIZE];
    TRY(path_join(state, "lock", path, f));
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return fault_set(f, CODE_NOT_FOUND, "%s is not a state folder of ensignd: make one with ensignd init", state);
    if (fd < 0)
        return fault_errno(f, "cannot open %s", path);
    if (!lock_take(fd)) {
        close(fd);
        return fault_set(f, CODE_CONFLICT, "another ensignd (process %ld) runs on %s: stop it first",
                         lock_holder(state), state);
    }
    *ret_fd = fd;
    return OK;
}

static enum err run_folder(const char *state, struct fault *f)
{
    char path[PATH_SIZE];
    TRY(path_join(state, "run", path, f));
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return fault_errno(f, "cannot make %s", path);
    return OK;
}

/* ---- the end ---- */

static void child_kill(const struct child *child, int signal)
{
    if (child->process.pid)
        kill(child->process.pid, signal);
}

/* The server ends first, because its last requests may need the signer; that ends when its channel does. */
static void stop_begin(struct supervisor *supervisor)
{
    supervisor->stopping = true;
    supervisor->stop_until = clock_milliseconds() + STOP_MILLISECONDS;
    fd_close(&supervisor->channel_fd);
    child_kill(&supervisor->server, SIGTERM);
}

static void stop_now(const struct supervisor *supervisor)
{
    child_kill(&supervisor->server, SIGKILL);
    child_kill(&supervisor->signer, SIGKILL);
}

/* The service cannot run at all. */
static void supervisor_fail(struct supervisor *supervisor, const struct fault *fault)
{
    *supervisor->fault = *fault;
    supervisor->err = code_err(fault->code);
    stop_begin(supervisor);
}

/* ---- children ---- */

static void child_note(struct supervisor *supervisor, struct child *child)
{
    struct fault fault = {0};
    child->due = false;
    child->started = clock_milliseconds();
    if (run_write(supervisor->config->state, child->pid_file, child->process.pid, &fault) != OK)
        log_fault(LOG_LEVEL_WARNING, "cannot write a pid file", &fault);
}

/* The server takes the channel as soon as there are both. */
static void channel_offer(struct supervisor *supervisor)
{
    if (supervisor->control_fd >= 0 && supervisor->channel_fd >= 0 &&
        channel_send_fd(supervisor->control_fd, supervisor->channel_fd))
        fd_close(&supervisor->channel_fd);
}

static enum err signer_start(struct supervisor *supervisor, struct fault *f)
{
    const struct config *config = supervisor->config;
    fd_close(&supervisor->channel_fd);
    TRY(signer_process_start(&config->seal, config->state, false, &supervisor->signer.process, &supervisor->channel_fd,
                             f));
    child_note(supervisor, &supervisor->signer);
    channel_offer(supervisor);
    return OK;
}

struct server_start {
    struct supervisor *supervisor;
    int control_fd;
};

static enum err server_main(void *context, int ready_fd, struct fault *f)
{
    const struct server_start *start = context;
    const struct supervisor *supervisor = start->supervisor;
    struct serve serve = {supervisor->config, supervisor->listen_fd, supervisor->unix_fd, start->control_fd,
                          supervisor->lock_fd};
    return serve_run(&serve, ready_fd, f);
}

static enum err server_start(struct supervisor *supervisor, struct fault *f)
{
    int ends[2];
    TRY(channel_new(ends, f));
    struct server_start start = {supervisor, ends[1]};
    supervisor->control_fd = ends[0];
    enum err err = process_start("server", server_main, &start, &supervisor->server.process, f);
    close(ends[1]);
    if (err != OK) {
        fd_close(&supervisor->control_fd);
        return err;
    }
    child_note(supervisor, &supervisor->server);
    channel_offer(supervisor);
    return OK;
}

static enum err child_start(struct supervisor *supervisor, struct child *child, struct fault *f)
{
    return child == &supervisor->signer ? signer_start(supervisor, f) : server_start(supervisor, f);
}

/* A child that dies young again and again is given growing pauses; otherwise the next one starts at once. A signer that
 * ends well has only lost its server. */
static void child_schedule(struct child *child, bool well)
{
    int64_t now = clock_milliseconds();
    bool young = !well && now - child->started < SHORT_LIFE_MILLISECONDS;
    child->due = true;
    child->start_at = now + (young ? child->pause : 0);
    int longer = child->pause ? child->pause * 2 : PAUSE_MIN_MILLISECONDS;
    child->pause = !young ? 0 : longer < PAUSE_MAX_MILLISECONDS ? longer : PAUSE_MAX_MILLISECONDS;
}

/* What a child said: that it is ready, or why it will not be. */
static void child_said(struct supervisor *supervisor, struct child *child)
{
    struct fault fault = {0};
    if (process_ready(&child->process, &fault) == OK) {
        child->was_ready = true;
        log_message(LOG_LEVEL_INFO, "the %s is ready, process %d", child->process.name, child->process.pid);
        if (child == &supervisor->server) {
            log_message(LOG_LEVEL_INFO, "serving on port %u of %s", supervisor->port, supervisor->config->listen_host);
            sd_notifyf(0, "READY=1\nSTATUS=Serving on port %u", supervisor->port);
        } else if (!supervisor->server.was_ready && !supervisor->server.process.pid) {
            supervisor->server.due = true; /* the first one waits until the keys can be opened */
        }
        return;
    }
    if (child->was_ready || child->process.silent || supervisor->stopping) {
        log_fault(LOG_LEVEL_ERROR, "a process cannot be started", &fault);
        return;
    }
    supervisor_fail(supervisor, &fault);
}

static void child_ended(struct supervisor *supervisor, struct child *child, int status)
{
    if (child->process.ready_fd >= 0)
        child_said(supervisor, child);
    if (WIFSIGNALED(status))
        log_message(LOG_LEVEL_ERROR, "the %s was killed by signal %d", child->process.name, WTERMSIG(status));
    else if (status != 0 && !supervisor->stopping)
        log_message(LOG_LEVEL_ERROR, "the %s ended with status %d", child->process.name, WEXITSTATUS(status));
    child->process.pid = 0;
    run_remove(supervisor->config->state, child->pid_file);
    if (child == &supervisor->server)
        fd_close(&supervisor->control_fd);
    child_schedule(child, status == 0);
}

static void children_reap(struct supervisor *supervisor)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid == supervisor->signer.process.pid)
            child_ended(supervisor, &supervisor->signer, status);
        else if (pid == supervisor->server.process.pid)
            child_ended(supervisor, &supervisor->server, status);
    }
}

static void child_start_due(struct supervisor *supervisor, struct child *child)
{
    struct fault fault = {0};
    if (!child->due || supervisor->stopping || clock_milliseconds() < child->start_at)
        return;
    if (child_start(supervisor, child, &fault) == OK)
        return;
    log_fault(LOG_LEVEL_ERROR, "a process cannot be started", &fault);
    child->start_at = clock_milliseconds() + PAUSE_MAX_MILLISECONDS;
}

/* Nothing but SIGKILL ends a process that is stopped or hangs. */
static void signer_end(const struct supervisor *supervisor)
{
    log_message(LOG_LEVEL_ERROR, "the signer does not answer: ending process %d", supervisor->signer.process.pid);
    child_kill(&supervisor->signer, SIGKILL);
}

/* ---- the loop ---- */

static void signals_take(struct supervisor *supervisor)
{
    struct signalfd_siginfo info;
    while (read(supervisor->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGCHLD) {
            children_reap(supervisor);
        } else if (info.ssi_signo == SIGHUP) {
            child_kill(&supervisor->server, SIGHUP);
        } else if (supervisor->stopping) {
            stop_now(supervisor); /* asked twice */
        } else {
            log_message(LOG_LEVEL_INFO, "stopping");
            sd_notify(0, "STOPPING=1");
            stop_begin(supervisor);
        }
    }
}

static int poll_milliseconds(const struct supervisor *supervisor)
{
    const struct child *children[] = {&supervisor->signer, &supervisor->server};
    int64_t now = clock_milliseconds(), until = INT64_MAX;
    if (supervisor->stopping)
        until = supervisor->stop_until;
    for (size_t i = 0; i < ARRAY_SIZE(children) && !supervisor->stopping; i++)
        if (children[i]->due && children[i]->start_at < until)
            until = children[i]->start_at;
    if (until == INT64_MAX)
        return -1;
    return until > now ? (int)(until - now) : 0;
}

static void supervisor_turn(struct supervisor *supervisor)
{
    struct pollfd polls[] = {{.fd = supervisor->signal_fd, .events = POLLIN},
                             {.fd = supervisor->signer.process.ready_fd, .events = POLLIN},
                             {.fd = supervisor->server.process.ready_fd, .events = POLLIN},
                             {.fd = supervisor->control_fd, .events = POLLIN}};
    poll(polls, ARRAY_SIZE(polls), poll_milliseconds(supervisor));
    if (polls[1].revents)
        child_said(supervisor, &supervisor->signer);
    if (polls[2].revents)
        child_said(supervisor, &supervisor->server);
    if (polls[3].revents && channel_receive_stuck(supervisor->control_fd))
        signer_end(supervisor);
    signals_take(supervisor);
    child_start_due(supervisor, &supervisor->signer);
    child_start_due(supervisor, &supervisor->server);
    if (supervisor->stopping && clock_milliseconds() >= supervisor->stop_until)
        stop_now(supervisor);
}

static void supervisor_loop(struct supervisor *supervisor)
{
    supervisor->signer.due = true;
    while (!supervisor->stopping || supervisor->signer.process.pid || supervisor->server.process.pid)
        supervisor_turn(supervisor);
}

static enum err signals_open(int *ret_fd, struct fault *f)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGCHLD};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
        sigaddset(&set, signals[i]);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0)
        return fault_errno(f, "cannot wait for signals");
    *ret_fd = fd;
    return OK;
}

/* Said before anything is changed. */
static enum err owner_check(const char *state, struct fault *f)
{
    struct stat status;
    if (geteuid() == 0 && stat(state, &status) == 0 && status.st_uid != 0)
        return fault_set(
            f, CODE_CONFLICT,
            "%s belongs to the user %u: run ensignd as that user, because root's gives up its capabilities "
            "and can then use no files but root's",
            state, (unsigned)status.st_uid);
    return OK;
}

static enum err supervisor_open(struct supervisor *supervisor, struct fault *f)
{
    const struct config *config = supervisor->config;
    TRY(owner_check(config->state, f));
    TRY(state_lock(config->state, &supervisor->lock_fd, f));
    TRY(listen_tcp(config, &supervisor->listen_fd, &supervisor->port, f));
    TRY(run_folder(config->state, f));
    TRY(listen_unix(config->socket, &supervisor->unix_fd, f));
    TRY(sandbox_privileges(f)); /* a port below 1024 was the only use for them */
    TRY(sandbox_calls(SANDBOX_SUPERVISOR, f));
    TRY(signals_open(&supervisor->signal_fd, f));
    TRY(run_write(config->state, "run/supervisor.pid", getpid(), f));
    return run_write(config->state, "run/port", supervisor->port, f);
}

static void supervisor_close(struct supervisor *supervisor)
{
    int *fds[] = {&supervisor->listen_fd, &supervisor->unix_fd, &supervisor->signal_fd, &supervisor->control_fd,
                  &supervisor->channel_fd};
    if (supervisor->unix_fd >= 0)
        unlink(supervisor->config->socket);
    if (supervisor->signal_fd >= 0) {
        run_remove(supervisor->config->state, "run/supervisor.pid");
        run_remove(supervisor->config->state, "run/port");
    }
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
        fd_close(fds[i]);
    fd_close(&supervisor->lock_fd);
}

enum err supervisor_run(const struct config *config, struct fault *f)
{
    struct supervisor supervisor = {
        .config = config,
        .lock_fd = -1,
        .listen_fd = -1,
        .unix_fd = -1,
        .signal_fd = -1,
        .control_fd = -1,
        .channel_fd = -1,
        .signer = {.process = {.name = "signer", .ready_fd = -1}, .pid_file = "run/signer.pid"},
        .server = {.process = {.name = "server", .ready_fd = -1}, .pid_file = "run/server.pid"},
        .fault = f,
    };
    log_open(config->log_level, "supervisor");
    enum err err = supervisor_open(&supervisor, f);
    if (err == OK) {
        supervisor_loop(&supervisor);
        err = supervisor.err;
    }
    supervisor_close(&supervisor);
    return err;
}
