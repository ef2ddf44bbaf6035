#include "server/serve.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "hsm/sandbox.h"
#include "server/api.h"
#include "server/channel.h"
#include "server/logger.h"
#include "server/upkeep.h"

enum { DRAIN_SECONDS = 20 };

/* Lines about floods in the log. */
static const struct throttle_rate flood_lines = {.burst = 10, .per_minute = 10};

struct server {
    const struct serve *serve;
    struct app app;
    struct upkeep *upkeep;
    int signal_fd;
};

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
    TRY(upkeep_tls(server->upkeep, &tls, f));
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
    server->app.ca->renewals_per_hour = config->renewals_per_hour;
    news_limit(server->app.ca->news, config->agents_waiting_max);
    blocked = (struct blocklist){0};
    TRY(metrics_new(routes, &server->app.metrics, f));
    TRY(upkeep_new(&server->app, &server->upkeep, f));
    TRY(limits_open(&server->app, f));
    TRY(sandbox_calls(SANDBOX_SERVER, f));
    TRY(http_open(server, f));
    return upkeep_start(server->upkeep, f);
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
            upkeep_look(server->upkeep);
    }
}

static void server_close(struct server *server)
{
    news_stop(server->app.ca->news); /* who waits for something to do does not keep us waiting */
    http_server_drain(server->app.http, DRAIN_SECONDS);
    upkeep_stop(server->upkeep);
    http_server_free(server->app.http);
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
