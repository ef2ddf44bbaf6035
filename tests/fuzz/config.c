/* ensignd.yaml, read from a file as the program reads it, and addresses to listen at. */
#include "server/config.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"

static bool ended(const char *text, size_t size)
{
    return memchr(text, 0, size) != NULL;
}

static void config_hold(const struct config *config)
{
    HOLDS(ended(config->state, sizeof config->state) && config->state[0]);
    HOLDS(ended(config->socket, sizeof config->socket) && config->socket[0]);
    HOLDS(ended(config->seal.path, sizeof config->seal.path) && config->seal.path[0]);
    HOLDS(ended(config->blocked_keys, sizeof config->blocked_keys));
    HOLDS(ended(config->listen_host, sizeof config->listen_host) && config->listen_port <= UINT16_MAX);
    HOLDS(config->seal.source > SEAL_NONE && config->seal.source <= SEAL_CREDENTIAL);
    HOLDS(config->log_level <= LOG_LEVEL_ERROR && config->connections_max && config->connections_per_address_max);
}

static void listen_hold(const char *text)
{
    char host[256], again_text[300], again[256];
    unsigned port = 0, again_port = 0;
    if (!listen_parse(text, host, sizeof host, &port))
        return;
    snprintf(again_text, sizeof again_text, strchr(host, ':') ? "[%s]:%u" : "%s:%u", host, port);
    HOLDS(listen_parse(again_text, again, sizeof again, &again_port));
    HOLDS(strcmp(host, again) == 0 && port == again_port && port <= UINT16_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct config config;
    AUTO(bytes) text = {0};
    char path[64];
    fuzz_must(bytes_copy(span(data, size), &text, fuzz_fault()), fuzz_fault());
    listen_hold(bytes_text(&text));
    int fd = memfd_create("config", MFD_CLOEXEC);
    HOLDS(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    struct fault *f = fuzz_fault();
    fuzz_fresh(&config, sizeof config);
    if (fuzz_kept(config_load(path, &config, f), f, &config, sizeof config))
        config_hold(&config);
    close(fd);
    return 0;
}

void fuzz_seeds(void)
{
    fuzz_seed_text("apiVersion: ensign/v1\nkind: Config\nstate: /var/lib/ensign\nlisten: 0.0.0.0:8443\n"
                   "seal: {keyFile: /etc/ensign/seal.key}\nsocket: run/ensignd.sock\nlog: {level: info}\n"
                   "limits: {connections: 2000, connectionsPerAddress: 200}\nblockedKeys: blocked-keys\n");
    fuzz_seed_text(
        "apiVersion: ensign/v1\nkind: Config\nstate: .\nlisten: \"[::]:8443\"\nseal: {credential: seal.key}\n");
    fuzz_seed_text("apiVersion: ensign/v1\nkind: Config\nstate: a/b\nlisten: 1.2.3.4:0\nseal: {passphraseFile: p}\n");
    fuzz_seed_text("[fd00::1]:8443");
    fuzz_seed_text("10.0.0.1:65535");
}
