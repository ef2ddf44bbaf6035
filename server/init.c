#include "server/init.h"

#include <arpa/inet.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ca/base/encode.h"
#include "server/file.h"
#include "server/folder.h"
#include "server/signer_process.h"
#include "server/tls.h"

enum { INIT_OFFLINE_SECONDS = 3600 }; /* it was made just now */

/* What is being made. */
struct making {
    char state[PATH_MAX]; /* absolute */
    struct seal_config seal;
    struct alternative_names names;
    char origin[LOG_ORIGIN_MAX + 1];
    struct config config; /* of --listen */
    bool made_folder, made_key;
    struct process signer;
    struct signer *channel;
    struct ca *ca;
};

/* ---- what was asked for ---- */

static enum err name_add(struct alternative_names *names, const char *name, struct fault *f)
{
    struct address address;
    struct fault ignored = {0};
    if (address_parse(name, &address, &ignored) == OK)
        return alternative_names_add_address(names, &address, f);
    if (!dns_name_valid(name))
        return fault_set(f, CODE_USAGE, "--name %s is neither a DNS name in lower case nor an address", name);
    return alternative_names_add_dns(names, name, f);
}

static enum err request_check(const struct init *init, struct making *making, struct fault *f)
{
    if (!listen_parse(init->listen, making->config.listen_host, sizeof making->config.listen_host,
                      &making->config.listen_port))
        return fault_set(f, CODE_USAGE, "--listen %s is not ADDRESS:PORT, as 0.0.0.0:8443 or [::]:8443", init->listen);
    if (making->config.listen_port == 0)
        return fault_set(f, CODE_USAGE, "--listen %s has no port: clients need one that stays, as %s:8443",
                         init->listen, making->config.listen_host);
    for (size_t i = 0; i < init->names_count; i++)
        TRY(name_add(&making->names, init->names[i], f));
    /* Each log has an origin of its own, also where several services have the same name ("localhost"). */
    uint8_t number[8];
    char digits[2 * sizeof number + 1];
    randombytes_buf(number, sizeof number);
    hex_text(SPAN_OF(number), digits, sizeof digits);
    snprintf(making->origin, sizeof making->origin, "%.100s/ensign/%s", init->names[0], digits);
    if (!log_origin_valid(making->origin))
        return fault_set(f, CODE_USAGE, "the first --name cannot name the audit log: \"%s\"", making->origin);
    return OK;
}

/* ---- the seal key ---- */

/* The configuration gets absolute paths of files that are outside of the folder. */
static enum err seal_locate(const struct init *init, struct making *making, struct fault *f)
{
    char folder[PATH_MAX];
    making->seal = init->seal;
    making->made_key = init->seal.source == SEAL_KEY_FILE && access(init->seal.path, F_OK) != 0;
    if (init->seal.path[0] == '/')
        return OK;
    if (!getcwd(folder, sizeof folder))
        return fault_errno(f, "cannot find the working directory");
    if (snprintf(making->seal.path, sizeof making->seal.path, "%s/%s", folder, init->seal.path) >=
        (int)sizeof making->seal.path)
        return fault_set(f, CODE_USAGE, "the path of the seal key is too long");
    return OK;
}

static void files_undo(const struct making *making)
{
    folder_undo(making->state, making->made_folder);
    if (making->made_key)
        unlink(making->seal.path);
}

/* ---- the service ---- */

static enum err service_make(struct making *making, struct fault *f)
{
    int channel;
    TRY(signer_process_start(&making->seal, making->state, true, &making->signer, &channel, f));
    TRY(signer_new(&making->channel, f));
    signer_attach(making->channel, channel);
    TRY(process_ready(&making->signer, f));
    TRY(ca_create(making->state, making->channel, &making->names, making->origin, f));
    struct clock_basis basis = clock_basis(INIT_OFFLINE_SECONDS);
    return ca_open(making->state, making->channel, &basis, &making->ca, f);
}

/* The signer ends when its channel does. */
static void service_close(struct making *making)
{
    if (making->ca)
        ca_close(making->ca);
    if (making->channel)
        signer_free(making->channel);
    if (making->signer.pid)
        waitpid(making->signer.pid, NULL, 0);
}

/* ---- files ---- */

static enum err state_write(const struct making *making, const char *name, const struct bytes *content, mode_t mode,
                            struct fault *f)
{
    char path[PATH_SIZE];
    TRY(bytes_check(content, f));
    TRY(path_join(making->state, name, path, f));
    return file_replace(path, bytes_span(content), mode, f);
}

static enum err config_write(const struct init *init, const struct making *making, struct fault *f)
{
    AUTO(bytes) text = {0};
    /* JSON strings are YAML strings too. */
    json_t *seal = json_string(making->seal.path), *listen = json_string(init->listen);
    char *seal_text = json_dumps(seal, JSON_ENCODE_ANY), *listen_text = json_dumps(listen, JSON_ENCODE_ANY);
    if (seal_text && listen_text)
        bytes_appendf(&text,
                      "apiVersion: ensign/v1\n"
                      "kind: Config\n"
                      "state: .  # relative to this file\n"
                      "listen: %s\n"
                      "seal:\n"
                      "  %s: %s\n",
                      listen_text, making->seal.source == SEAL_KEY_FILE ? "keyFile" : "passphraseFile", seal_text);
    free(seal_text);
    free(listen_text);
    json_decref(seal);
    json_decref(listen);
    if (text.size == 0)
        return fault_set(f, CODE_USAGE, "the path of the seal key is not UTF-8");
    return state_write(making, "ensignd.yaml", &text, 0644, f);
}

static void server_url(const struct init *init, const struct making *making, char *ret_url, size_t size)
{
    bool brackets = strchr(init->names[0], ':') != NULL;
    snprintf(ret_url, size, "https://%s%s%s:%u", brackets ? "[" : "", init->names[0], brackets ? "]" : "",
             making->config.listen_port);
}

/* What a client needs to be the first admin. */
static json_t *context_json(const struct init *init, const struct making *making, const struct issue_result *admin,
                            const struct bytes *key)
{
    AUTO(bytes) certificate = {0};
    char url[512], verifier[LOG_VERIFIER_TEXT_MAX + 1], pin[SHA256_SIZE * 2 + 1];
    const struct service_record *service = &making->ca->service;
    server_url(init, making, url, sizeof url);
    hex_text(SPAN_OF(admin->authority->certificate.public_key.spki_sha256), pin, sizeof pin);
    log_verifier_text(service->origin, service->log_public_key, verifier);
    pem_append(&certificate, "CERTIFICATE", bytes_span(&admin->record.certificate));
    return json_pack("{ss ss ss ss+ ss ss ss}", "apiVersion", "ensign/v1", "kind", "Context", "server", url, "pin",
                     "sha256:", pin, "certificate", bytes_text(&certificate), "key", bytes_text(key), "logVerifier",
                     verifier);
}

static enum err context_write(const struct init *init, const struct making *making, struct fault *f)
{
    static const struct issue_request request = {
        .caller = {.kind = REQUESTER_ADMIN, .name = "init"},
        .profile = "identity",
        .cluster = CLUSTER_SERVICE,
        .node = "",
        .identity = "admin",
        .role = REQUESTER_ADMIN,
    };
    AUTO(issue_result) admin = {0};
    AUTO(bytes) key = {0}, text = {0};
    TRY(credential_issue(making->ca, &request, &key, &admin, f));
    json_t *json = context_json(init, making, &admin, &key);
    OPENSSL_cleanse(key.data, key.size);
    char *dump = json ? json_dumps(json, JSON_INDENT(2)) : NULL;
    json_decref(json);
    if (!dump)
        return fault_no_memory(f);
    bytes_appendf(&text, "%s\n", dump);
    OPENSSL_cleanse(dump, strlen(dump));
    free(dump);
    enum err err = state_write(making, "admin.context", &text, 0600, f);
    OPENSSL_cleanse(text.data, text.size);
    return err;
}

static enum err files_make(const struct init *init, const struct making *making, struct fault *f)
{
    AUTO(tls) tls = {0};
    TRY(tls_renew(making->ca, making->state, &tls, f));
    TRY(context_write(init, making, f));
    TRY(folder_complete(making->state, f));
    return config_write(init, making, f);
}

static enum err state_fill(const struct init *init, struct making *making, struct fault *f)
{
    enum err err = service_make(making, f);
    if (err == OK)
        err = files_make(init, making, f);
    service_close(making);
    return err;
}

static void summary_print(const struct init *init, const struct making *making)
{
    char url[512];
    server_url(init, making, url, sizeof url);
    printf("Made the service %s in %s:\n"
           "  ensignd.yaml    its configuration\n"
           "  admin.context   the first admin's identity: keep it secret, give it to one person\n"
           "  tls.pem         its TLS certificate, which it renews itself\n"
           "  data.mdb, seal  its CA keys, sealed, and all that it issues: see ensignd backup\n"
           "Sealed with %s: without that file nobody can open the CA keys. Back it up elsewhere.\n"
           "\n"
           "Next:\n"
           "  ensignd --config %s/ensignd.yaml\n"
           "  ensign cluster create -f cluster.yaml --context %s/admin.context\n",
           url, making->state, making->seal.path, making->state, making->state);
}

/* An interruption would leave half of a service behind. */
static void signals_block(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static void making_cleanup(struct making *making)
{
    alternative_names_cleanup(&making->names);
}

enum err init_run(const struct init *init, struct fault *f)
{
    AUTO(making) making = {0};
    TRY(request_check(init, &making, f));
    TRY(seal_locate(init, &making, f));
    signals_block();
    TRY(folder_make(init->state, making.state, &making.made_folder, f));
    enum err err = state_fill(init, &making, f);
    if (err == OK)
        summary_print(init, &making);
    else
        files_undo(&making);
    return err;
}
