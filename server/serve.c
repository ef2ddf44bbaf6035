#include "server/serve.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "hsm/sandbox.h"
#include "server/api.h"
#include "server/channel.h"
#include "server/clock.h"
#include "server/logger.h"
#include "server/tls.h"

enum {
    DRAIN_SECONDS = 20,
    RENEWAL_RETRY_SECONDS = 60,
    RENEWAL_LOOK_SECONDS = 3600, /* clocks jump: the certificate's end is looked at this often anyway, */
    CLOCK_LOOK_SECONDS = 5,      /* and the clock itself this often, to say so in the log */
    USAGE_LOOK_MILLISECONDS = 100,
    NEARLY_FULL_PERCENT = 80, /* of what the store's disk can hold */
    NOT_FULL_PERCENT = 75,
};

struct server {
    const struct serve *serve;
    struct app app;
    int signal_fd;
    pthread_t renewer;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool look, stopping;  /* under the mutex */
    int64_t renewal_time; /* these are the renewer's own, once it runs */
    bool clock_untrusted;
};

/* ---- the log ---- */

/* What machines ask for all the time. */
static bool route_is_probe(const struct route *route)
{
    static const char *const patterns[] = {"/livez", "/readyz", "/metrics"};
    for (size_t i = 0; route && i < ARRAY_SIZE(patterns); i++)
        if (strcmp(route->pattern, patterns[i]) == 0)
            return true;
    return false;
}

static const struct throttle_rate flood_lines = {.burst = 10, .per_minute = 10};

/* A flood must not fill the log with lines about its own refusal. */
static bool flood_is_told(struct app *app)
{
    return throttle_take(app->limits.lines, span_text("429"), clock_microseconds()) == 0;
}

static enum log_level answer_level(struct app *app, const struct http_request *request, int status)
{
    if (status >= 500)
        return status == 503 ? LOG_LEVEL_WARNING : LOG_LEVEL_ERROR;
    if (status == 429)
        return flood_is_told(app) ? LOG_LEVEL_WARNING : LOG_LEVEL_DEBUG;
    return status < 400 && route_is_probe(request->route) ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO;
}

/* Somebody may give a token where its id belongs. */
static void log_path(struct bytes *line, const char *path)
{
    AUTO(bytes) shown = {0};
    bytes_append(&shown, path, strlen(path) + 1);
    if (!shown.failed)
        text_hide_secrets((char *)shown.data);
    log_text(line, "path", shown.failed ? "" : (char *)shown.data);
}

/* The path is logged without its query; headers and bodies never are. */
static void answer_log(struct app *app, const struct http_request *request, int status, double seconds,
                       const struct fault *fault)
{
    enum log_level level = answer_level(app, request, status);
    struct bytes line = {0};
    char caller[DNS_NAME_MAX + 32] = "";
    if (!log_enabled(level))
        return;
    if (request->caller.kind)
        caller_text(&request->caller, caller, sizeof caller);
    log_begin(&line, level, "answered");
    log_text(&line, "request_id", request->id);
    log_text(&line, "method", request->method);
    log_path(&line, request->path);
    log_text(&line, "route", request->route ? request->route->pattern : "");
    log_number(&line, "status", status);
    log_milliseconds(&line, "milliseconds", seconds);
    log_text(&line, "caller", caller);
    log_text(&line, "remote", request->remote);
    if (fault)
        log_reason(&line, fault);
    log_end(&line);
}

/* What does not come back by itself is ended, so that the supervisor starts it again: a signer that hangs, and this
 * process when its store has stopped. */
static void parts_restart(struct app *app)
{
    if (signer_take_stuck(app->signer))
        channel_send_stuck(app->control_fd);
    if (store_stopped(app->ca->store))
        kill(getpid(), SIGTERM);
}

static bool answer_to_stranger(const struct http_request *request, const struct fault *fault)
{
    return fault && !request->caller.kind && (fault->code == CODE_UNAUTHENTICATED || fault->code == CODE_RATE_LIMITED);
}

/* How full the store is, after what may have added to it: told once, and again when there was room. */
static void usage_look(struct app *app)
{
    int64_t now = clock_milliseconds(), last = app->usage_looked_at;
    if (now - last < USAGE_LOOK_MILLISECONDS || !atomic_compare_exchange_strong(&app->usage_looked_at, &last, now))
        return;
    struct store_usage usage;
    store_usage(app->ca->store, &usage);
    uint64_t percent = app->nearly_full ? NOT_FULL_PERCENT : NEARLY_FULL_PERCENT;
    bool full = usage.used_bytes * 100 >= usage.limit_bytes * percent;
    if (full == app->nearly_full)
        return;
    app->nearly_full = full;
    struct bytes line = {0};
    log_begin(&line, full ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO,
              full ? "the store is nearly full: make room on its disk" : "the store has room again");
    log_number(&line, "used_bytes", (int64_t)usage.used_bytes);
    log_number(&line, "limit_bytes", (int64_t)usage.limit_bytes);
    log_end(&line);
}

static void answer_observe(struct app *app, const struct http_request *request, int status, double seconds,
                           const struct fault *fault)
{
    metrics_request(app->metrics, request->route, status, seconds);
    if (answer_to_stranger(request, fault))
        app->strangers++;
    answer_log(app, request, status, seconds, fault);
    if (strcmp(request->method, "GET") != 0)
        usage_look(app);
    if (status >= 500)
        parts_restart(app);
}

/* ---- what the log says once when it begins, and once when it ends ---- */

/* Whether the clock is trusted. */
static void clock_look(struct server *server)
{
    struct moment now;
    struct fault why = {0};
    bool untrusted = clock_require(server->app.ca->clock, &now, &why) != OK;
    if (untrusted && !server->clock_untrusted)
        log_fault(LOG_LEVEL_ERROR, "the clock is not trusted", &why);
    else if (!untrusted && server->clock_untrusted)
        log_message(LOG_LEVEL_INFO, "the clock is trusted again");
    server->clock_untrusted = untrusted;
}

/* ---- its own certificate ---- */

/* The certificate in the state folder; a new one when that is missing, not valid or due. A due one that cannot be
 * renewed goes on serving, and so does any while the clock is not trusted. */
static enum err tls_current(const struct server *server, struct tls *ret_tls, struct fault *f)
{
    AUTO(tls) old = {0};
    struct fault why = {0};
    struct moment moment = clock_read(server->app.ca->clock);
    bool trusted = moment.verdict == CLOCK_TRUSTED;
    int64_t now = moment.now;
    const char *state = server->serve->config->state;
    enum err err = tls_load(state, &old, &why);
    if (err == OK && trusted && (now < old.not_before || now > old.not_after))
        err = fault_set(&why, CODE_INVALID, "it is not valid now");
    if (err != OK) {
        log_fault(LOG_LEVEL_WARNING, "the TLS certificate is replaced", &why);
        return tls_renew(server->app.ca, state, ret_tls, f);
    }
    if (trusted && now >= tls_renewal_time(&old)) {
        fault_clear(&why);
        if (tls_renew(server->app.ca, state, ret_tls, &why) == OK)
            return OK;
        log_fault(LOG_LEVEL_ERROR, "cannot renew the TLS certificate", &why);
    }
    *ret_tls = old;
    old = (struct tls){0};
    return OK;
}

static enum err tls_look(struct server *server, struct fault *f)
{
    AUTO(tls) tls = {0};
    TRY(tls_current(server, &tls, f));
    if (tls_renewal_time(&tls) != server->renewal_time)
        log_message(LOG_LEVEL_INFO, "changed to a new TLS certificate");
    server->renewal_time = tls_renewal_time(&tls);
    metrics_tls(server->app.metrics, tls.not_before, tls.not_after);
    return http_server_tls(server->app.http, bytes_span(&tls.chain_pem), bytes_span(&tls.key_pem), f);
}

static int64_t renewal_seconds(const struct server *server)
{
    int64_t seconds = server->renewal_time - ca_now(server->app.ca);
    if (seconds <= 0)
        return RENEWAL_RETRY_SECONDS; /* it was due, and failed */
    return seconds < RENEWAL_LOOK_SECONDS ? seconds : RENEWAL_LOOK_SECONDS;
}

/* Sleeps until the certificate is due, somebody asks, or the server stops; looks at the clock meanwhile. False when it
 * stops. */
static bool renewal_wait(struct server *server)
{
    int64_t end = clock_milliseconds() + renewal_seconds(server) * 1000;
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    pthread_mutex_lock(&server->mutex);
    while (!server->look && !server->stopping && clock_milliseconds() < end) {
        clock_look(server);
        until.tv_sec += CLOCK_LOOK_SECONDS;
        pthread_cond_clockwait(&server->changed, &server->mutex, CLOCK_MONOTONIC, &until);
    }
    server->look = false;
    bool run = !server->stopping;
    pthread_mutex_unlock(&server->mutex);
    return run;
}

/* ---- refusals of callers whom nobody knows ---- */

/* One leaf for all of them, at the pace of the renewer: an hour, and when the server stops. */
static void strangers_report(struct app *app)
{
    struct fault fault = {0};
    uint64_t refusals = atomic_exchange(&app->strangers, 0);
    if (refusals == 0 || audit_strangers(app->ca, refusals, &fault) == OK)
        return;
    app->strangers += refusals;
    log_fault(LOG_LEVEL_ERROR, "refusals could not be written to the audit log", &fault);
}

/* ---- answers that were kept for a day ---- */

static void answers_expire(struct app *app)
{
    struct fault fault = {0};
    size_t removed = 0;
    if (idempotency_expire(app->ca, &removed, &fault) != OK)
        log_fault(LOG_LEVEL_ERROR, "answers that were kept for a day could not be removed", &fault);
    else if (removed > 0)
        log_message(LOG_LEVEL_INFO, "removed %zu answers that were kept for a day", removed);
}

static void *renewer_run(void *context)
{
    struct server *server = context;
    while (renewal_wait(server)) {
        struct fault fault = {0};
        if (tls_look(server, &fault) != OK)
            log_fault(LOG_LEVEL_ERROR, "the TLS certificate cannot be used", &fault);
        strangers_report(&server->app);
        answers_expire(&server->app);
    }
    return NULL;
}

static void renewer_tell(struct server *server, bool stop)
{
    pthread_mutex_lock(&server->mutex);
    server->look = true;
    server->stopping |= stop;
    pthread_cond_signal(&server->changed);
    pthread_mutex_unlock(&server->mutex);
}

/* ---- the process ---- */

static void signer_receive(struct server *server)
{
    int fd;
    if (channel_receive_fd(server->serve->control_fd, &fd))
        signer_attach(server->app.signer, fd);
}

/* A connection is a descriptor; the limit that programs begin with is too low. */
static void descriptors_raise(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static enum err signals_open(int *ret_fd, struct fault *f)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    /* SIGINT stays blocked as it came: a terminal sends it to all, but when to stop is the supervisor's to say. */
    int fd = signalfd(-1, &set, SFD_CLOEXEC);
    if (fd < 0)
        return fault_errno(f, "cannot wait for signals");
    *ret_fd = fd;
    return OK;
}

static enum err http_open(struct server *server, struct fault *f)
{
    const struct config *config = server->serve->config;
    const struct http_config http = {.listen_fd = server->serve->listen_fd,
                                     .unix_fd = server->serve->unix_fd,
                                     .connections_max = config->connections_max,
                                     .connections_per_address_max = config->connections_per_address_max};
    AUTO(tls) tls = {0};
    TRY(tls_current(server, &tls, f));
    server->renewal_time = tls_renewal_time(&tls);
    metrics_tls(server->app.metrics, tls.not_before, tls.not_after);
    return http_server_start(&http, routes, &server->app, auth_authenticate, answer_observe, bytes_span(&tls.chain_pem),
                             bytes_span(&tls.key_pem), &server->app.http, f);
}

static enum err limits_open(struct app *app, struct fault *f)
{
    TRY(throttle_new(&app->config->failures, &app->limits.failures, f));
    TRY(throttle_new(&app->config->refusals, &app->limits.refusals, f));
    TRY(throttle_new(&app->config->requests, &app->limits.requests, f));
    app->ca->denial_admit = auth_denial_admit;
    app->ca->denial_context = app;
    return throttle_new(&flood_lines, &app->limits.lines, f);
}

static void limits_close(struct app *app)
{
    throttle_free(app->limits.failures);
    throttle_free(app->limits.refusals);
    throttle_free(app->limits.requests);
    throttle_free(app->limits.lines);
}

/* Before the first other thread. */
static enum err server_confine(const struct serve *serve, int ready_fd, struct fault *f)
{
    int keep[] = {STDIN_FILENO,   STDOUT_FILENO,     STDERR_FILENO,  serve->listen_fd,
                  serve->unix_fd, serve->control_fd, serve->lock_fd, ready_fd};
    TRY(sandbox_descriptors(keep, ARRAY_SIZE(keep), f));
    TRY(sandbox_privileges(f));
    TRY(sandbox_libraries(f));
    if (!sandbox_files_available())
        log_message(LOG_LEVEL_WARNING, "this kernel has no Landlock: the server is not kept to the state folder");
    return sandbox_files(serve->config->state, f);
}

static enum err server_open(struct server *server, int ready_fd, struct fault *f)
{
    const struct config *config = server->serve->config;
    AUTO(blocklist) blocked = {0};
    struct clock_basis basis = clock_basis(config->max_offline_seconds);
    if (config->blocked_keys[0]) /* which may lie anywhere */
        TRY(blocklist_load(config->blocked_keys, &blocked, f));
    TRY(server_confine(server->serve, ready_fd, f));
    TRY(signals_open(&server->signal_fd, f));
    TRY(signer_new(&server->app.signer, f));
    signer_receive(server);
    TRY(ca_open(config->state, server->app.signer, &basis, &server->app.ca, f));
    server->app.ca->blocked_keys = blocked;
    blocked = (struct blocklist){0};
    clock_look(server);
    TRY(metrics_new(routes, &server->app.metrics, f));
    TRY(limits_open(&server->app, f));
    TRY(sandbox_calls(SANDBOX_SERVER, f));
    TRY(http_open(server, f));
    errno = pthread_create(&server->renewer, NULL, renewer_run, server);
    return errno == 0 ? OK : fault_errno(f, "cannot start a thread");
}

/* Until SIGTERM. */
static void server_loop(struct server *server)
{
    struct pollfd polls[] = {{.fd = server->signal_fd, .events = POLLIN},
                             {.fd = server->serve->control_fd, .events = POLLIN}};
    struct signalfd_siginfo info = {0};
    while (info.ssi_signo != SIGTERM) {
        poll(polls, ARRAY_SIZE(polls), -1);
        if (polls[1].revents)
            signer_receive(server);
        if (polls[0].revents && read(server->signal_fd, &info, sizeof info) > 0 && info.ssi_signo == SIGHUP)
            renewer_tell(server, false);
    }
}

static void server_close(struct server *server)
{
    http_server_drain(server->app.http, DRAIN_SECONDS);
    renewer_tell(server, true);
    pthread_join(server->renewer, NULL);
    http_server_free(server->app.http);
    strangers_report(&server->app);
    ca_close(server->app.ca);
    metrics_free(server->app.metrics);
    limits_close(&server->app);
    signer_free(server->app.signer);
}

enum err serve_run(void *context, int ready_fd, struct fault *f)
{
    struct server server = {.serve = context};
    server.app.config = server.serve->config;
    server.app.control_fd = server.serve->control_fd;
    pthread_mutex_init(&server.mutex, NULL);
    pthread_cond_init(&server.changed, NULL);
    log_open(server.serve->config->log_level, "server");
    descriptors_raise();
    TRY(server_open(&server, ready_fd, f));
    if (write(ready_fd, "R", 1) != 1)
        return fault_errno(f, "cannot tell the supervisor");
    close(ready_fd);
    server_loop(&server);
    log_message(LOG_LEVEL_INFO, "stopping: requests in progress have %d s", DRAIN_SECONDS);
    server_close(&server);
    return OK;
}
