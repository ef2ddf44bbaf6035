/* auth.c: who asks. The route table says who may; profiles say what. */
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "ca/base/encode.h"
#include "server/api.h"
#include "server/clock.h"
#include "server/http_rules.h"
#include "server/logger.h"

/* ---- join tokens ---- */

static const char token_prefix[] = TOKEN_PREFIX;

/* What follows the prefix, as its maker laid it out (base64url). */
struct token_content {
    uint8_t id[TOKEN_ID_SIZE];
    uint8_t secret[TOKEN_SECRET_SIZE];
    uint8_t service_spki_sha256[SHA256_SIZE];
};

static void token_content_cleanup(struct token_content *token)
{
    sodium_memzero(token, sizeof *token);
}

static void bytes_wipe(struct bytes *bytes)
{
    if (bytes->data)
        sodium_memzero(bytes->data, bytes->capacity);
    bytes_free(bytes);
}

/* Never quotes what was sent. */
static enum err token_malformed(struct fault *f)
{
    fault_clear(f);
    return fault_set(f, CODE_UNAUTHENTICATED,
                     "the Authorization header is not \"Bearer %s\" and 107 characters of base64url: the line that "
                     "`ensign token create` printed",
                     token_prefix);
}

static enum err token_parse(const char *header, struct token_content *ret_token, struct fault *f)
{
    static const char scheme[] = "Bearer ";
    if (strncasecmp(header, scheme, sizeof scheme - 1) != 0)
        return token_malformed(f);
    const char *text = header + sizeof scheme - 1;
    if (strncmp(text, token_prefix, sizeof token_prefix - 1) != 0)
        return token_malformed(f);
    CLEANUP(bytes_wipe) struct bytes content = {0};
    enum err err = base64url_decode(span_text(text + sizeof token_prefix - 1), &content, f);
    if (err == ERR_INPUT || (err == OK && content.size != sizeof *ret_token))
        return token_malformed(f);
    TRY(err);
    memcpy(ret_token, content.data, sizeof *ret_token);
    return OK;
}

static enum err token_caller(struct app *app, const char *header, struct http_request *request, struct fault *f)
{
    AUTO(token_content) token = {0};
    TRY(token_parse(header, &token, f));
    const struct authority *service = authorities_find(app->ca->authorities, CLUSTER_SERVICE, AUTHORITY_SERVICE);
    if (!service || memcmp(token.service_spki_sha256, service->certificate.public_key.spki_sha256, SHA256_SIZE) != 0)
        return fault_set(f, CODE_UNAUTHENTICATED, "this token was made for another service");
    TRY(token_authenticate(app->ca, token.id, token.secret, &request->caller, f));
    memcpy(request->token_id, token.id, sizeof request->token_id);
    return OK;
}

/* ---- who it is ---- */

static enum err caller_find(struct app *app, struct http_request *request, struct fault *f)
{
    const char *header = http_header(request, "Authorization");
    if (header)
        return token_caller(app, header, request, f);
    if (request->unix_root) {
        request->caller = (struct caller){.kind = REQUESTER_ADMIN, .name = CALLER_ROOT};
        return OK;
    }
    if (request->client_certificate.size == 0)
        return OK;
    return certificate_authenticate(app->ca, request->client_certificate, request->route->may & MAY_REPLACED,
                                    &request->caller, f);
}

/* ---- limits ---- */

static enum err limit_take(struct throttle *throttle, struct span key, const char *what, struct fault *f)
{
    int seconds = throttle_take(throttle, key, clock_microseconds());
    if (seconds == 0)
        return OK;
    fault_clear(f);
    f->retry_after_seconds = seconds;
    return fault_set(f, CODE_RATE_LIMITED, "%s: try again in %d s", what, seconds);
}

static enum err identity_take(struct throttle *throttle, const struct caller *caller, const char *what, struct fault *f)
{
    char key[sizeof caller->name + sizeof caller->cluster + 32];
    int size = snprintf(key, sizeof key, "%d %s %s", (int)caller->kind, caller->cluster, caller->name);
    return limit_take(throttle, span(key, (size_t)size), what, f);
}

enum err auth_denial_admit(void *context, const struct caller *caller, struct fault *f)
{
    struct app *app = context;
    return identity_take(app->limits.refusals, caller, "too many requests of this identity were refused", f);
}

/* f says why the caller is unknown. */
static enum err failure_count(struct app *app, const struct http_request *request, struct fault *f)
{
    struct address_key key;
    address_key_make(request->remote, &key);
    TRY(limit_take(app->limits.failures, span(key.data, key.size),
                   "too many callers from this address were not known here", f));
    return ERR_AUTH;
}

/* ---- everybody ---- */

/* A known caller who may not use this route is told so by http.c; here it gets its leaf. */
static enum err refusal_write(struct app *app, const struct http_request *request, struct fault *f)
{
    char what[128];
    struct fault why = {0}, fault = {0};
    if (!request->caller.kind || may_check(request, &why) == OK)
        return OK;
    snprintf(what, sizeof what, "%s %s", request->route->method, request->route->pattern);
    enum err err = audit_denial(app->ca, &request->caller, what, &why, &fault);
    if (err == ERR_LIMIT) {
        *f = fault;
        return err;
    }
    if (err != OK)
        log_fault(LOG_LEVEL_ERROR, "a refusal could not be written to the audit log", &fault);
    return OK;
}

static bool caller_is_limited(const struct caller *caller)
{
    return caller->kind == REQUESTER_TOKEN || caller->kind == REQUESTER_NODE;
}

/* The node of a token or a node identity is in the inventory. One that was removed is told so; that is a leaf, too. */
static enum err node_check(struct app *app, const struct http_request *request, struct fault *f)
{
    CLEANUP(cluster_release) const struct cluster *cluster = NULL;
    const struct caller *caller = &request->caller;
    struct fault why = {0};
    char what[128];
    if (!caller_is_limited(caller))
        return OK;
    TRY(cluster_find(app->ca, caller->cluster, &cluster, f));
    if (cluster_node(cluster, caller->node))
        return OK;
    enum err err = fault_set(&why, CODE_POLICY_DENIED, "node \"%s\" was removed from the inventory of cluster \"%s\"",
                             caller->node, caller->cluster);
    snprintf(what, sizeof what, "%s %s", request->route->method, request->route->pattern);
    TRY(audit_denial(app->ca, caller, what, &why, f));
    *f = why;
    return err;
}

enum err auth_authenticate(struct app *app, struct http_request *request, struct fault *f)
{
    enum err err = caller_find(app, request, f);
    if (err == ERR_AUTH)
        return failure_count(app, request, f);
    TRY(err);
    if (app->config->metrics_anonymous || strcmp(request->remote, HTTP_REMOTE_UNIX) == 0)
        request->granted |= MAY_METRICS;
    if (request->caller.kind)
        TRY(identity_take(app->limits.requests, &request->caller, "too many requests of this identity", f));
    TRY(node_check(app, request, f));
    return refusal_write(app, request, f);
}

/* ---- what a caller may see ---- */

bool caller_sees_cluster(const struct caller *caller, const char *cluster)
{
    return !caller_is_limited(caller) || strcmp(caller->cluster, cluster) == 0;
}

bool caller_sees_node(const struct caller *caller, const char *cluster, const char *node)
{
    return !caller_is_limited(caller) || (caller_sees_cluster(caller, cluster) && strcmp(caller->node, node) == 0);
}

enum err caller_cluster(struct app *app, const struct caller *caller, const char *name,
                        const struct cluster **ret_cluster, struct fault *f)
{
    CLEANUP(cluster_release) const struct cluster *cluster = NULL;
    TRY(cluster_find(app->ca, name, &cluster, f));
    if (!caller_sees_cluster(caller, name))
        return fault_set(f, CODE_NOT_FOUND, "no cluster \"%.64s\"", name);
    *ret_cluster = TAKE(cluster);
    return OK;
}
