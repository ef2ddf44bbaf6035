#include "server/config.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CONNECTIONS_DEFAULT = 2000,
    AGENTS_WAITING_DEFAULT = 256,
    CONNECTIONS_PER_ADDRESS_DEFAULT = 200,
    CONNECTIONS_MAX = 4000, /* a connection has a thread, and the store has 4096 readers */
    RATE_MAX = 1000000,
    RENEWALS_PER_HOUR_DEFAULT = 30, /* some 100 KB, with their leaves; and who tries things out is not held up */
    RENEWALS_PER_HOUR_MAX = 1000,   /* they are counted one by one */
};

static const int64_t max_offline_default_seconds = 30LL * 86400;
/* Failures cost nothing that lasts; a refusal is a leaf of some 400 bytes, so these are 34 MB a day of one identity. */
static const struct throttle_rate failures_default = {.burst = 1000, .per_minute = 600};
static const struct throttle_rate refusals_default = {.burst = 1000, .per_minute = 60};

static const char *const level_words[] = {"debug", "info", "warning", "error", NULL};
static const char *const version_words[] = {"ensign/v1", NULL};
static const char *const kind_words[] = {"Config", NULL};

/* The folder of the file that is read: what relative paths begin at. */
static void folder_of(const char *path, char *ret_folder, size_t size)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        snprintf(ret_folder, size, ".");
    else
        snprintf(ret_folder, size, "%.*s", slash == path ? 1 : (int)(slash - path), path);
}

static void path_read(const struct node *node, enum node_presence presence, const char *folder, char *ret_path,
                      size_t size)
{
    const char *text = NULL;
    if (!node_string(node, presence, &text))
        return;
    const char *name = strcmp(text, ".") == 0 ? "" : text; /* the folder itself, which has a better name than "x/." */
    int length = *text == '/' ? snprintf(ret_path, size, "%s", text)
                              : snprintf(ret_path, size, "%s%s%s", folder, *name ? "/" : "", name);
    if (!*text || (size_t)length >= size)
        node_error(node, "must be a path of 1 to %zu bytes, with its folder", size - 1);
}

static bool host_valid(const char *host)
{
    uint8_t address[16];
    return inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
}

bool listen_parse(const char *text, char *ret_host, size_t size, unsigned *ret_port)
{
    const char *colon = strrchr(text, ':');
    size_t length = colon ? (size_t)(colon - text) : 0, digits = colon ? strspn(colon + 1, "0123456789") : 0;
    bool brackets = length > 2 && text[0] == '[' && text[length - 1] == ']';
    char host[INET6_ADDRSTRLEN];
    if (digits == 0 || digits > 5 || colon[1 + digits] || atoi(colon + 1) > UINT16_MAX)
        return false;
    snprintf(host, sizeof host, "%.*s", (int)(brackets ? length - 2 : length), brackets ? text + 1 : text);
    if (!host_valid(host) || brackets != (strchr(host, ':') != NULL))
        return false;
    snprintf(ret_host, size, "%s", host);
    *ret_port = (unsigned)atoi(colon + 1);
    return true;
}

static void listen_read(const struct node *node, struct config *config)
{
    const char *text = NULL;
    if (node_string(node, NODE_REQUIRED, &text) &&
        !listen_parse(text, config->listen_host, sizeof config->listen_host, &config->listen_port))
        node_error(node, "must be ADDRESS:PORT, as 0.0.0.0:8443 or \"[::]:8443\"");
}

static void seal_read(const struct node *node, const char *folder, struct seal_config *ret_seal)
{
    static const struct {
        const char *key;
        enum seal_source source;
    } sources[] = {
        {"keyFile", SEAL_KEY_FILE}, {"passphraseFile", SEAL_PASSPHRASE_FILE}, {"credential", SEAL_CREDENTIAL}};
    static const char *const keys[] = {"keyFile", "passphraseFile", "credential", NULL};
    size_t given = 0;
    node_allow(node, keys);
    for (size_t i = 0; i < ARRAY_SIZE(sources); i++) {
        struct node source = node_get(node, sources[i].key);
        if (!node_present(&source))
            continue;
        given++;
        ret_seal->source = sources[i].source;
        if (sources[i].source == SEAL_CREDENTIAL)
            node_text(&source, NODE_REQUIRED, ret_seal->path, sizeof ret_seal->path);
        else
            path_read(&source, NODE_REQUIRED, folder, ret_seal->path, sizeof ret_seal->path);
    }
    if (given != 1)
        node_error(node, "must have exactly one of keyFile, passphraseFile and credential");
}

static void log_read(const struct node *node, enum log_level *ret_level)
{
    static const char *const keys[] = {"level", NULL};
    struct node level = node_get(node, "level");
    size_t index = LOG_LEVEL_INFO;
    if (node_present(node))
        node_allow(node, keys);
    node_word(&level, NODE_OPTIONAL, level_words, &index);
    *ret_level = (enum log_level)index;
}

static void limit_read(const struct node *limits, const char *key, int64_t min, int64_t max, unsigned *ret_limit)
{
    struct node node = node_get(limits, key);
    int64_t value = *ret_limit;
    node_integer(&node, NODE_OPTIONAL, min, max, &value);
    *ret_limit = (unsigned)value;
}

static void rate_read(const struct node *limits, const char *key, struct throttle_rate *ret_rate)
{
    static const char *const keys[] = {"burst", "perMinute", NULL};
    struct node node = node_get(limits, key);
    struct node burst = node_get(&node, "burst"), per_minute = node_get(&node, "perMinute");
    int64_t values[] = {0, 0};
    if (!node_present(&node))
        return;
    node_allow(&node, keys);
    if (node_integer(&burst, NODE_REQUIRED, 1, RATE_MAX, &values[0]) &&
        node_integer(&per_minute, NODE_REQUIRED, 1, RATE_MAX, &values[1]))
        *ret_rate = (struct throttle_rate){(unsigned)values[0], (unsigned)values[1]};
}

static void limits_read(const struct node *node, struct config *config)
{
    static const char *const keys[] = {"connections", "connectionsPerAddress", "failures",        "refusals",
                                       "requests",    "agentsWaiting",         "renewalsPerHour", NULL};
    if (node_present(node))
        node_allow(node, keys);
    limit_read(node, "connections", 1, CONNECTIONS_MAX, &config->connections_max);
    limit_read(node, "connectionsPerAddress", 1, CONNECTIONS_MAX, &config->connections_per_address_max);
    limit_read(node, "agentsWaiting", 1, CONNECTIONS_MAX, &config->agents_waiting_max);
    limit_read(node, "renewalsPerHour", 0, RENEWALS_PER_HOUR_MAX, &config->renewals_per_hour);
    rate_read(node, "failures", &config->failures);
    rate_read(node, "refusals", &config->refusals);
    rate_read(node, "requests", &config->requests);
}

static void metrics_read(const struct node *node, struct config *config)
{
    static const char *const keys[] = {"anonymous", NULL};
    struct node anonymous = node_get(node, "anonymous");
    if (node_present(node))
        node_allow(node, keys);
    node_bool(&anonymous, NODE_OPTIONAL, &config->metrics_anonymous);
}

static void clock_config_read(const struct node *node, int64_t *ret_max_offline_seconds)
{
    static const char *const keys[] = {"maxOffline", NULL};
    struct node max_offline = node_get(node, "maxOffline");
    if (node_present(node))
        node_allow(node, keys);
    node_duration(&max_offline, NODE_OPTIONAL, ret_max_offline_seconds);
}

static void constant_read(const struct node *root, const char *key, const char *const *words)
{
    struct node node = node_get(root, key);
    size_t index;
    node_word(&node, NODE_REQUIRED, words, &index);
}

static void config_read(const struct node *root, const char *folder, struct config *config)
{
    static const char *const keys[] = {"apiVersion", "kind",   "state", "listen",      "seal",    "socket",
                                       "log",        "limits", "clock", "blockedKeys", "metrics", NULL};
    struct node state = node_get(root, "state"), listen = node_get(root, "listen"), seal = node_get(root, "seal");
    struct node socket = node_get(root, "socket"), log = node_get(root, "log"), limits = node_get(root, "limits");
    struct node blocked = node_get(root, "blockedKeys"), clock = node_get(root, "clock");
    struct node metrics = node_get(root, "metrics");
    node_allow(root, keys);
    constant_read(root, "apiVersion", version_words);
    constant_read(root, "kind", kind_words);
    path_read(&state, NODE_REQUIRED, folder, config->state, sizeof config->state);
    listen_read(&listen, config);
    seal_read(&seal, folder, &config->seal);
    if (!node_present(&socket) && snprintf(config->socket, sizeof config->socket, "%s/run/ensignd.sock",
                                           config->state) >= (int)sizeof config->socket)
        node_error(&state, "is too long for the Unix socket in it: give a shorter path as socket");
    path_read(&socket, NODE_OPTIONAL, config->state, config->socket, sizeof config->socket);
    log_read(&log, &config->log_level);
    limits_read(&limits, config);
    clock_config_read(&clock, &config->max_offline_seconds);
    metrics_read(&metrics, config);
    path_read(&blocked, NODE_OPTIONAL, folder, config->blocked_keys, sizeof config->blocked_keys);
}

enum err config_load(const char *path, struct config *ret_config, struct fault *f)
{
    CLEANUP(document_auto) struct document *document = NULL;
    struct config config = {.connections_max = CONNECTIONS_DEFAULT,
                            .connections_per_address_max = CONNECTIONS_PER_ADDRESS_DEFAULT,
                            .agents_waiting_max = AGENTS_WAITING_DEFAULT,
                            .renewals_per_hour = RENEWALS_PER_HOUR_DEFAULT,
                            .max_offline_seconds = max_offline_default_seconds,
                            .failures = failures_default,
                            .refusals = refusals_default};
    char folder[sizeof config.state];
    TRY(document_load(path, &document, f));
    struct node root = document_root(document, f);
    folder_of(path, folder, sizeof folder);
    config_read(&root, folder, &config);
    TRY(fault_if_reasons(f, CODE_INVALID, "%s is not a valid configuration", path));
    *ret_config = config;
    return OK;
}
