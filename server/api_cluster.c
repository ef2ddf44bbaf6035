#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ca/cluster_update.h"
#include "server/api.h"
#include "server/http_target.h"
#include "server/json.h"

/* ---- create, adopt ---- */

/* The cluster document, which is a member of the body, as a document of its own. Reports what is wrong in the body. */
static enum err cluster_member(const struct node *cluster, struct document **ret_document, struct fault *f)
{
    if (!node_present(cluster))
        node_error(cluster, "the member \"cluster\" is missing");
    else if (!json_is_object(cluster->value))
        node_error(cluster, "a cluster is an object");
    TRY(fault_if_reasons(f, CODE_INVALID, "the body is not valid"));
    return document_of_node(cluster, ret_document, f);
}

/* The cluster, and the CAs to adopt, if there are. */
static enum err body_read(const struct document *document, struct document **ret_document,
                          struct adoption_body *ret_adoption, bool *ret_adopts, struct fault *f)
{
    static const char *const keys[] = {"cluster", "adopt", NULL};
    struct node root = document_root(document, f), cluster = node_get(&root, "cluster"),
                adopt = node_get(&root, "adopt");
    node_allow(&root, keys);
    *ret_adopts = node_present(&adopt);
    if (*ret_adopts)
        TRY(adoption_body_read(&adopt, ret_adoption, f));
    return cluster_member(&cluster, ret_document, f);
}

/* What was wrong in the cluster document, as places in the body. */
static void cluster_pointers(struct fault *f)
{
    for (size_t i = 0; i < f->reasons_count; i++) {
        struct fault_reason *reason = &f->reasons[i];
        char inner[sizeof reason->pointer];
        memcpy(inner, reason->pointer, sizeof inner);
        snprintf(reason->pointer, sizeof reason->pointer, "/cluster%.151s", inner);
    }
}

/* Looks at the document apart from the CAs that are adopted with it: what is wrong with those is not in it. */
static enum err cluster_check(const struct document *document, struct fault *f)
{
    AUTO(cluster) cluster = {0};
    enum err err = cluster_read(document, &cluster, f);
    if (err != ERR_INPUT)
        return err;
    cluster_pointers(f);
    return fault_set(f, CODE_INVALID, "this is not a valid cluster");
}

static void location_set(const struct cluster *cluster, struct http_response *response)
{
    snprintf(response->location, sizeof response->location, "/v1/clusters/%s", cluster->name);
}

static enum err cluster_answer(struct app *app, const void *made, struct http_response *ret_response, struct fault *f)
{
    (void)app, (void)f;
    *ret_response = http_json(201, json_cluster_made(made));
    location_set(((const struct cluster_made *)made)->cluster, ret_response);
    return OK;
}

static enum err inventory_answer(struct app *app, const struct cluster *cluster, int status,
                                 struct http_response *ret_response, struct fault *f)
{
    AUTO(bytes) text = {0};
    TRY(json_cluster_text(app->ca, cluster, &text, f));
    *ret_response = http_json_text(status, &text);
    return OK;
}

static enum err answer_create(struct app *app, const struct http_request *request, struct idempotency *idempotency,
                              struct http_response *ret_response, struct fault *f)
{
    CLEANUP(document_auto) struct document *body = NULL, *document = NULL;
    AUTO(adoption_body) adoption = {0};
    bool adopts = false, created = false;
    CLEANUP(cluster_release) const struct cluster *cluster = NULL;
    TRY(document_parse_json(request->body, &body, f));
    TRY(body_read(body, &document, &adoption, &adopts, f));
    TRY(cluster_check(document, f));
    TRY(cluster_adopt(app->ca, &request->caller, document, adopts ? &adoption.adoption : NULL, idempotency, &created,
                      &cluster, f));
    if (api_created(ret_response))
        return OK;
    TRY(inventory_answer(app, cluster, created ? 201 : 200, ret_response, f));
    if (created)
        location_set(cluster, ret_response);
    return OK;
}

struct http_response api_cluster_create(struct app *app, const struct http_request *request)
{
    return api_create(answer_create, cluster_answer, app, request);
}

/* ---- list, get ---- */

struct listing {
    struct ca *ca;
    const struct caller *caller;
    json_t *items;
};

static bool listing_add(void *context, const struct cluster *cluster)
{
    struct listing *listing = context;
    if (caller_sees_cluster(listing->caller, cluster->name))
        json_list_add(&listing->items, json_cluster_line(listing->ca, cluster));
    return listing->items != NULL;
}

static enum err answer_list(struct app *app, const struct http_request *request, struct http_response *ret_response,
                            struct fault *f)
{
    (void)f;
    struct listing listing = {app->ca, &request->caller, json_array()};
    cluster_each(app->ca, listing_add, &listing);
    *ret_response = http_json(200, json_page(listing.items, span(NULL, 0)));
    return OK;
}

struct http_response api_cluster_list(struct app *app, const struct http_request *request)
{
    return api_answer(answer_list, NULL, app, request);
}

static enum err answer_get(struct app *app, const struct http_request *request, struct http_response *ret_response,
                           struct fault *f)
{
    CLEANUP(cluster_release) const struct cluster *cluster = NULL;
    TRY(caller_cluster(app, &request->caller, request->parameters[0], &cluster, f));
    TRY(inventory_answer(app, cluster, 200, ret_response, f));
    return etag_set(ret_response, f);
}

struct http_response api_cluster_get(struct app *app, const struct http_request *request)
{
    return api_answer(answer_get, NULL, app, request);
}

/* ---- update ---- */

static enum err update_read(const struct document *document, struct document **ret_document, bool *ret_dry_run,
                            struct fault *f)
{
    static const char *const keys[] = {"cluster", "dry_run", NULL};
    struct node root = document_root(document, f), cluster = node_get(&root, "cluster"),
                dry_run = node_get(&root, "dry_run");
    node_allow(&root, keys);
    node_bool(&dry_run, NODE_OPTIONAL, ret_dry_run);
    return cluster_member(&cluster, ret_document, f);
}

/* Whether the request is about the inventory as it is now: If-Match of RFC 9110 section 13.1.1, which lets a server
 * answer otherwise than by 412; here each who comes too late gets the same answer. */
static enum err match_check(struct app *app, const struct http_request *request, const struct cluster *cluster,
                            struct fault *f)
{
    const char *wanted = http_header(request, "If-Match");
    if (!wanted)
        return OK;
    struct http_response present = {0};
    enum err err = inventory_answer(app, cluster, 200, &present, f);
    if (err == OK)
        err = etag_set(&present, f);
    if (err == OK && !etag_listed(wanted, present.etag))
        err = fault_set(f, CODE_CONFLICT, "cluster \"%s\" is another than If-Match says; look at it again",
                        cluster->name);
    http_response_cleanup(&present);
    return err;
}

/* What is to be known about the update, and then about the inventory. */
static json_t *update_warnings(const struct cluster_update *update)
{
    json_t *warnings = json_copy(update->diff.warnings);
    for (size_t i = 0; i < update->after->warnings_count; i++)
        json_list_add(&warnings, json_string(update->after->warnings[i].text));
    return warnings;
}

static enum err answer_update(struct app *app, const struct http_request *request, struct http_response *ret_response,
                              struct fault *f)
{
    CLEANUP(document_auto) struct document *body = NULL, *document = NULL;
    CLEANUP(cluster_release) const struct cluster *before = NULL;
    AUTO(cluster_update) update = {0};
    bool dry_run = false;
    TRY(caller_cluster(app, &request->caller, request->parameters[0], &before, f));
    TRY(match_check(app, request, before, f));
    TRY(document_parse_json(request->body, &body, f));
    TRY(update_read(body, &document, &dry_run, f));
    TRY(cluster_check(document, f));
    enum err err = cluster_update(app->ca, &request->caller, before, document, dry_run, &update, f);
    if (err == ERR_INPUT)
        cluster_pointers(f);
    TRY(err);
    *ret_response = http_json(200, json_pack("{ss sb sO so}", "name", before->name, "updated", update.updated,
                                             "changes", update.diff.changes, "warnings", update_warnings(&update)));
    return OK;
}

struct http_response api_cluster_update(struct app *app, const struct http_request *request)
{
    return api_answer(answer_update, NULL, app, request);
}
