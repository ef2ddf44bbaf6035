#include <stdio.h>
#include <string.h>
#include <time.h>

#include "client/agent/health.h"
#include "client/agent/program.h"
#include "client/agent/state.h"
#include "client/files.h"

enum { PROGRAM_SECONDS = 60, HEALTH_SECONDS = 120, HEALTH_POLL_MILLISECONDS = 500, LEASE_SECONDS_MAX = 600 };

void endpoint_own(const struct turn *turn, unsigned port, char ret_endpoint[ENDPOINT_TEXT_MAX + 1])
{
    char url[SERVER_URL_SIZE];
    apiserver_url_local(cluster_node(&turn->node->cluster, turn->agent->node), url);
    const char *host = url + sizeof "https://" - 1, *colon = strrchr(host, ':');
    snprintf(ret_endpoint, ENDPOINT_TEXT_MAX + 1, "%.*s:%u", (int)(colon - host), host, port);
}

/* ---- what is run ---- */

static enum err command_run_words(const char *const *words, int64_t timeout_seconds, const char *name, struct fault *f)
{
    AUTO(bytes) output = {0};
    message("%s: running %s", name, words[0]);
    return program_run(words, timeout_seconds, &output, f);
}

/* The kubelet starts a container that was stopped again. One that does not run reads its files when it starts. */
static enum err container_restart(const char *container, const char *name, struct fault *f)
{
    char label[128];
    AUTO(bytes) ids = {0};
    snprintf(label, sizeof label, "io.kubernetes.container.name=%s", container);
    const char *const list[] = {"crictl", "ps", "--quiet", "--label", label, NULL};
    TRY(program_run(list, PROGRAM_SECONDS, &ids, f));
    char *state = NULL;
    for (char *id = ids.size ? strtok_r((char *)ids.data, "\n", &state) : NULL; id; id = strtok_r(NULL, "\n", &state)) {
        const char *const stop[] = {"crictl", "stop", "--timeout", "30", id, NULL};
        TRY(command_run_words(stop, PROGRAM_SECONDS, name, f));
    }
    return OK;
}

static enum err unit_restart(const char *unit, const char *name, struct fault *f)
{
    const char *const words[] = {"systemctl", "restart", unit, NULL};
    return command_run_words(words, PROGRAM_SECONDS, name, f);
}

static enum err hook_act(const struct turn *turn, const char *name, const struct hook *hook, struct fault *f)
{
    const struct command_setting *setting = settings_hook(&turn->agent->settings, name);
    if (setting)
        return command_run_words(setting->words, setting->timeout_seconds, name, f);
    return hook->kind == HOOK_UNIT ? unit_restart(hook->subject, name, f) : container_restart(hook->subject, name, f);
}

/* ---- whether it serves again ---- */

/* Any certificate of the node by which etcd lets it in. */
static void etcd_client_read(const struct turn *turn, struct bytes *certificate, struct bytes *key)
{
    static const char *const profiles[] = {"etcd-healthcheck-client", "etcd-member", "etcd-server",
                                           "apiserver-etcd-client"};
    for (size_t i = 0; i < ARRAY_SIZE(profiles); i++) {
        CLEANUP(fd_cleanup) int folder = -1;
        struct fault ignored = {0};
        if (folder_open_at(turn->sets, profiles[i], false, &folder, &ignored) == OK &&
            file_read_at(folder, "tls.crt", certificate, &ignored) == OK &&
            file_read_at(folder, "tls.key", key, &ignored) == OK)
            return;
    }
}

static void health_endpoint(const struct turn *turn, bool etcd, char ret_endpoint[ENDPOINT_TEXT_MAX + 1])
{
    static const char *const etcd_profiles[] = {"etcd-member", "etcd-server"};
    const struct check_setting *check = NULL;
    if (!etcd)
        check = settings_check(&turn->agent->settings, "apiserver");
    for (size_t i = 0; etcd && !check && i < ARRAY_SIZE(etcd_profiles); i++)
        check = settings_check(&turn->agent->settings, etcd_profiles[i]);
    if (check && check->endpoint)
        snprintf(ret_endpoint, ENDPOINT_TEXT_MAX + 1, "%s", check->endpoint);
    else
        endpoint_own(turn, etcd ? 2379 : 6443, ret_endpoint);
}

static enum err health_once(const struct turn *turn, enum hook_health health, struct fault *f)
{
    const struct command_setting *setting = settings_health(&turn->agent->settings, health);
    AUTO(bytes) output = {0};
    if (setting)
        return program_run(setting->words, setting->timeout_seconds, &output, f);
    const bool etcd = health == HEALTH_ETCD;
    char endpoint[ENDPOINT_TEXT_MAX + 1];
    AUTO(bytes) certificate = {0};
    CLEANUP(secret_cleanup) struct bytes key = {0};
    health_endpoint(turn, etcd, endpoint);
    if (etcd)
        etcd_client_read(turn, &certificate, &key);
    const struct health_request request = {.endpoint = endpoint,
                                           .path = etcd ? "/health" : "/readyz",
                                           .bundle = install_node_bundle(turn->node, etcd ? "etcd-ca" : "kubernetes"),
                                           .certificate = bytes_span(&certificate),
                                           .key = bytes_span(&key)};
    return health_ask(&request, f);
}

static enum err health_wait(const struct turn *turn, enum hook_health health, struct fault *f)
{
    const struct command_setting *setting = settings_health(&turn->agent->settings, health);
    if (health == HEALTH_NONE || (setting && setting->none))
        return OK;
    int64_t deadline = time(NULL) + (setting ? setting->timeout_seconds : HEALTH_SECONDS);
    for (;;) {
        enum err err = health_once(turn, health, f);
        if (err == OK || time(NULL) >= deadline || agent_stopped())
            return err;
        fault_clear(f);
        agent_sleep(HEALTH_POLL_MILLISECONDS);
    }
}

/* ---- both, under a lease ---- */

static enum err lease_begin(const struct caller_place *caller, const char *group, struct fault *f)
{
    enum err err = lease_take(caller, group, LEASE_SECONDS_MAX, f);
    if (err != ERR_CONFLICT)
        return err;
    struct fault why = *f;
    fault_clear(f);
    return fault_set(f, CODE_PENDING, "waits for its turn to restart: %s", why.text);
}

static enum err hook_run(const struct turn *turn, const char *name, const struct hook *hook, struct fault *f)
{
    const struct caller_place caller = {turn->session, turn->agent->cluster, turn->agent->node};
    struct fault ignored = {0};
    if (hook->group)
        TRY(lease_begin(&caller, hook->group, f));
    enum err err = hook_act(turn, name, hook, f);
    if (err == OK)
        err = health_wait(turn, hook->health, f);
    if (!hook->group)
        return err;
    enum err released = lease_release(&caller, hook->group, err == OK, err == OK ? f : &ignored);
    return err == OK ? released : err;
}

/* A hook of agent.yaml takes the place of all of them, also where there would be none. */
enum err hooks_run(const struct turn *turn, const char *name, const struct hook *hooks, size_t count, struct fault *f)
{
    static const struct hook hot = {.subject = "", .health = HEALTH_NONE};
    const struct command_setting *setting = settings_hook(&turn->agent->settings, name);
    if (setting && setting->none)
        return OK;
    if (setting)
        return hook_run(turn, name, count > 0 ? &hooks[0] : &hot, f);
    for (size_t i = 0; i < count; i++)
        TRY(hook_run(turn, name, &hooks[i], f));
    return OK;
}
