/* observe.c: what is done about each answer, besides sending it. */
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "server/app.h"
#include "server/channel.h"
#include "server/clock.h"
#include "server/logger.h"

enum {
    USAGE_LOOK_MILLISECONDS = 100,
    NEARLY_FULL_PERCENT = 80, /* of what the store's disk can hold */
    NOT_FULL_PERCENT = 75,
};

/* ---- its line in the log ---- */

/* What machines ask for all the time. */
static bool route_is_probe(const struct route *route)
{
    static const char *const patterns[] = {"/livez", "/readyz", "/metrics"};
    for (size_t i = 0; route && i < ARRAY_SIZE(patterns); i++)
        if (strcmp(route->pattern, patterns[i]) == 0)
            return true;
    return false;
}

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

/* ---- what it says about the service ---- */

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

void answer_observe(struct app *app, const struct http_request *request, int status, double seconds,
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
