/* api_lease.c: whose turn it is to restart (ca/lease.h). */
#include <string.h>

#include "ca/lease.h"
#include "server/api.h"
#include "server/json.h"

static json_t *json_lease(const struct lease *lease, int64_t now)
{
    enum lease_state state = lease_state(lease, now);
    bool free = state == LEASE_FREE;
    return json_pack("{ss ss so so so}", "group", lease_group_words[lease->group], "state", lease_state_words[state],
                     "holder", free ? json_null() : json_string(lease->holder), "taken_at",
                     free ? json_null() : json_time(lease->taken_at), "expires_at",
                     free ? json_null() : json_time(lease->expires_at));
}

static enum err place_read(struct app *app, const struct http_request *request, const struct cluster **ret_cluster,
                           enum lease_group *ret_group, struct fault *f)
{
    TRY(caller_cluster(app, &request->caller, request->parameters[0], ret_cluster, f));
    for (size_t i = 0; lease_group_words[i]; i++)
        if (strcmp(request->parameters[1], lease_group_words[i]) == 0) {
            *ret_group = (enum lease_group)i;
            return OK;
        }
    return fault_set(f, CODE_NOT_FOUND, "there are leases of the groups \"etcd\" and \"control-plane\" only");
}

/* ---- take ---- */

static enum err take_read(const struct http_request *request, int64_t *ret_lifetime, struct fault *f)
{
    static const char *const keys[] = {"lifetime_seconds", NULL};
    CLEANUP(document_auto) struct document *document = NULL;
    TRY(document_parse_json(request->body, &document, f));
    struct node root = document_root(document, f);
    struct node lifetime = node_get(&root, "lifetime_seconds");
    node_allow(&root, keys);
    node_integer(&lifetime, NODE_REQUIRED, LEASE_SECONDS_MIN, LEASE_SECONDS_MAX, ret_lifetime);
    return fault_if_reasons(f, CODE_INVALID, "the body is not valid");
}

static enum err answer_take(struct app *app, const struct http_request *request, struct http_response *ret_response,
                            struct fault *f)
{
    CLEANUP(cluster_release) const struct cluster *cluster = NULL;
    enum lease_group group = LEASE_ETCD;
    int64_t lifetime = 0;
    struct lease lease;
    TRY(place_read(app, request, &cluster, &group, f));
    TRY(take_read(request, &lifetime, f));
    TRY(lease_take(app->ca, &request->caller, cluster, group, lifetime, &lease, f));
    *ret_response = http_json(200, json_lease(&lease, ca_now(app->ca)));
    return OK;
}

struct http_response api_lease_take(struct app *app, const struct http_request *request)
{
    return api_answer(answer_take, NULL, app, request);
}

/* ---- release ---- */

static enum err release_read(const struct http_request *request, bool *ret_healthy, struct fault *f)
{
    static const char *const keys[] = {"healthy", NULL};
    CLEANUP(document_auto) struct document *document = NULL;
    TRY(document_parse_json(request->body, &document, f));
    struct node root = document_root(document, f);
    struct node healthy = node_get(&root, "healthy");
    node_allow(&root, keys);
    node_bool(&healthy, NODE_REQUIRED, ret_healthy);
    return fault_if_reasons(f, CODE_INVALID, "the body is not valid");
}

static enum err answer_release(struct app *app, const struct http_request *request, struct http_response *ret_response,
                               struct fault *f)
{
    CLEANUP(cluster_release) const struct cluster *cluster = NULL;
    enum lease_group group = LEASE_ETCD;
    bool healthy = false;
    struct lease lease;
    TRY(place_read(app, request, &cluster, &group, f));
    TRY(release_read(request, &healthy, f));
    TRY(lease_release(app->ca, &request->caller, cluster, group, healthy, &lease, f));
    *ret_response = http_json(200, json_lease(&lease, ca_now(app->ca)));
    return OK;
}

struct http_response api_lease_release(struct app *app, const struct http_request *request)
{
    return api_answer(answer_release, NULL, app, request);
}

/* ---- list ---- */

static enum err answer_list(struct app *app, const struct http_request *request, struct http_response *ret_response,
                            struct fault *f)
{
    CLEANUP(cluster_release) const struct cluster *cluster = NULL;
    TRY(caller_cluster(app, &request->caller, request->parameters[0], &cluster, f));
    CLEANUP(json_cleanup) json_t *items = json_array();
    for (size_t i = 0; i < LEASE_GROUPS; i++) {
        struct lease lease;
        uint64_t revision = 0;
        TRY(lease_get(app->ca, cluster->name, (enum lease_group)i, &lease, &revision, f));
        json_list_add(&items, json_lease(&lease, ca_now(app->ca)));
    }
    *ret_response = http_json(200, json_page(TAKE(items), span(NULL, 0)));
    return OK;
}

struct http_response api_lease_list(struct app *app, const struct http_request *request)
{
    return api_answer(answer_list, NULL, app, request);
}
