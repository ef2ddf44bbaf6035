#include <string.h>

#include "ca/base/encode.h"
#include "server/api.h"
#include "server/json.h"

enum { TTL_DEFAULT_SECONDS = 3600 };

/* ---- create ---- */

/* The texts borrow from the document. */
static enum err body_read(const struct document *document, struct token_request *token, struct fault *f)
{
    static const char *const keys[] = {"id", "secret_sha256", "node", "ttl_seconds", NULL};
    struct node root = document_root(document, f);
    struct node id = node_get(&root, "id"), hash = node_get(&root, "secret_sha256");
    struct node name = node_get(&root, "node"), ttl = node_get(&root, "ttl_seconds");
    node_allow(&root, keys);
    node_hex(&id, NODE_REQUIRED, token->id, sizeof token->id);
    node_hex(&hash, NODE_REQUIRED, token->secret_sha256, sizeof token->secret_sha256);
    node_string(&name, NODE_REQUIRED, &token->node);
    node_integer(&ttl, NODE_OPTIONAL, 1, INT32_MAX, &token->lifetime_seconds);
    return fault_if_reasons(f, CODE_INVALID, "the body is not valid");
}

static enum err token_answer(struct app *app, const void *made, struct http_response *ret_response, struct fault *f)
{
    (void)f;
    *ret_response = http_json(201, json_token(made, ca_now(app->ca)));
    return OK;
}

static enum err answer_create(struct app *app, const struct http_request *request, struct idempotency *idempotency,
                              struct http_response *ret_response, struct fault *f)
{
    CLEANUP(document_auto) struct document *document = NULL;
    TRY(document_parse_json(request->body, &document, f));
    struct token_request token = {
        .cluster = request->parameters[0], .lifetime_seconds = TTL_DEFAULT_SECONDS, .idempotency = idempotency};
    TRY(body_read(document, &token, f));
    struct token_record record;
    TRY(token_create(app->ca, &request->caller, &token, &record, f));
    return api_created(ret_response) ? OK : token_answer(app, &record, ret_response, f);
}

struct http_response api_token_create(struct app *app, const struct http_request *request)
{
    return api_create(answer_create, token_answer, app, request);
}

/* ---- list, revoke ---- */

struct listing {
    const char *cluster;
    int64_t now;
    json_t *items;
};

static bool listing_add(void *context, const struct token_record *record)
{
    struct listing *listing = context;
    if (strcmp(record->cluster, listing->cluster) == 0)
        json_list_add(&listing->items, json_token(record, listing->now));
    return listing->items != NULL;
}

static enum err answer_list(struct app *app, const struct http_request *request, struct http_response *ret_response,
                            struct fault *f)
{
    CLEANUP(cluster_release) const struct cluster *cluster = NULL;
    TRY(caller_cluster(app, &request->caller, request->parameters[0], &cluster, f));
    struct listing listing = {cluster->name, ca_now(app->ca), json_array()};
    enum err err = token_each(app->ca, listing_add, &listing, f);
    *ret_response = http_json(200, json_page(listing.items, span(NULL, 0)));
    return err;
}

struct http_response api_token_list(struct app *app, const struct http_request *request)
{
    return api_answer(answer_list, NULL, app, request);
}

static enum err answer_revoke(struct app *app, const struct http_request *request, struct http_response *ret_response,
                              struct fault *f)
{
    uint8_t id[TOKEN_ID_SIZE];
    TRY(hex_decode(request->parameters[0], id, sizeof id, f));
    TRY(token_revoke(app->ca, &request->caller, id, f));
    ret_response->status = 204;
    return OK;
}

struct http_response api_token_revoke(struct app *app, const struct http_request *request)
{
    return api_answer(answer_revoke, NULL, app, request);
}
