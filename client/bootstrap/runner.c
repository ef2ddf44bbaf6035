#include "client/bootstrap/runner.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "client/bootstrap/host_log.h"
#include "client/files.h"
#include "client/output.h"

enum { PARALLEL_MAX = 256, NOTE_SIZE = 96 };

enum host_state { HOST_WAITS, HOST_RUNS, HOST_DONE, HOST_PENDING, HOST_FAILED };

static const char *const state_words[] = {"waits", "...", "done", "waits for others", "FAILED"};

struct run {
    const struct runner *runner;
    const char *title;
    const bool *skip;
    host_step *step;
    void *context;
    struct outcome *outcomes;
    pthread_mutex_t lock; /* for what follows, and the terminal */
    size_t next;
    enum host_state *states;
    bool live; /* a line per host, drawn again and again */
    bool drawn;
};

/* ---- progress ---- */

static bool skipped(const struct run *run, size_t host)
{
    return run->skip && run->skip[host];
}

static const char *name_of(const struct run *run, size_t host)
{
    return run->runner->ssh->targets[host].node->name;
}

/* There is a terminal, and room on it. */
static bool live_possible(size_t lines)
{
    struct winsize size;
    const char *term = getenv("TERM");
    return isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0 && ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 &&
           size.ws_row > lines + 1;
}

static void draw(struct run *run)
{
    size_t lines = 0;
    for (size_t i = 0; i < run->runner->ssh->count; i++)
        lines += !skipped(run, i);
    if (run->drawn)
        fprintf(stderr, "\033[%zuA", lines);
    run->drawn = true;
    for (size_t i = 0; i < run->runner->ssh->count; i++)
        if (!skipped(run, i))
            fprintf(stderr, "\r\033[K%-24s %s: %s\n", name_of(run, i), run->title, state_words[run->states[i]]);
}

static void state_set(struct run *run, size_t host, enum host_state state)
{
    pthread_mutex_lock(&run->lock);
    run->states[host] = state;
    if (run->live)
        draw(run);
    else if (state >= HOST_DONE)
        message("%s: %s: %s", name_of(run, host), run->title, state_words[state]);
    pthread_mutex_unlock(&run->lock);
}

/* ---- one host ---- */

static enum host_state state_of(const struct outcome *outcome)
{
    if (outcome->err == OK)
        return HOST_DONE;
    return outcome->fault.code == CODE_PENDING ? HOST_PENDING : HOST_FAILED;
}

static void host_run(struct run *run, size_t host)
{
    CLEANUP(fd_cleanup) int log = -1;
    struct outcome *outcome = &run->outcomes[host];
    state_set(run, host, HOST_RUNS);
    outcome->err = host_log_open(run->runner->logs, name_of(run, host), &log, &outcome->fault);
    if (outcome->err == OK) {
        host_log_text(log, "== %s", run->title);
        outcome->err = run->step(run->context, host, log, &outcome->fault);
    }
    if (outcome->err != OK)
        host_log_text(log, "failed: %s", outcome->fault.text);
    state_set(run, host, state_of(outcome));
}

static bool next_take(struct run *run, size_t *ret_host)
{
    pthread_mutex_lock(&run->lock);
    while (run->next < run->runner->ssh->count && skipped(run, run->next))
        run->next++;
    bool found = run->next < run->runner->ssh->count;
    *ret_host = run->next;
    run->next += found;
    pthread_mutex_unlock(&run->lock);
    return found;
}

static void *work(void *context)
{
    struct run *run = context;
    for (size_t host; next_take(run, &host);)
        host_run(run, host);
    return NULL;
}

/* ---- all of them ---- */

static enum err threads_run(struct run *run, struct fault *f)
{
    pthread_t threads[PARALLEL_MAX];
    size_t wanted = run->runner->parallel < PARALLEL_MAX ? run->runner->parallel : PARALLEL_MAX, count = 0;
    if (wanted > run->runner->ssh->count)
        wanted = run->runner->ssh->count;
    while (count < wanted && pthread_create(&threads[count], NULL, work, run) == 0)
        count++;
    for (size_t i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    return count > 0 ? OK : fault_set(f, CODE_IO, "no thread can be started");
}

enum err run_on_hosts(const struct runner *runner, const char *title, const bool *skip, host_step *step, void *context,
                      struct outcome **ret_outcomes, struct fault *f)
{
    size_t count = runner->ssh->count;
    struct run run = {runner, title, skip, step, context, .lock = PTHREAD_MUTEX_INITIALIZER};
    run.live = live_possible(count);
    run.outcomes = calloc(count, sizeof *run.outcomes);
    run.states = calloc(count, sizeof *run.states);
    enum err err = run.outcomes && run.states ? threads_run(&run, f) : fault_no_memory(f);
    free(run.states);
    if (err != OK) {
        free(run.outcomes);
        return err;
    }
    *ret_outcomes = run.outcomes;
    return OK;
}

size_t outcomes_collect(const struct ssh *ssh, const struct outcome *outcomes, struct fault *f)
{
    size_t failed = 0;
    for (size_t i = 0; i < ssh->count; i++) {
        if (outcomes[i].err == OK)
            continue;
        char line[sizeof outcomes[i].fault.text + 256];
        fault_line(&outcomes[i].fault, line, sizeof line);
        fault_reason(f, ssh->targets[i].node->name, "%s", line);
        failed++;
    }
    return failed;
}
