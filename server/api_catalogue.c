#include "ca/base/encode.h"
#include "policies/catalogue.h"
#include "server/api.h"
#include "server/json.h"

enum { LIMIT_DEFAULT = 100, LIMIT_MAX = 500 };

/* Some nodes of a cluster, in the order of its file. */
struct range {
    size_t first, count;
};

/* A cursor is the name of the node that comes next. */
static enum err cursor_read(const char *text, const struct cluster *cluster, size_t *ret_first, struct fault *f)
{
    AUTO(bytes) name = {0};
    TRY(base64url_decode(span_text(text), &name, f));
    const struct node_entry *node = cluster_node(cluster, bytes_text(&name));
    if (!node)
        return fault_set(f, CODE_INVALID, "the cursor is none of this list, or its node is gone: begin anew");
    *ret_first = (size_t)(node - cluster->nodes);
    return OK;
}

static enum err range_read(const struct http_request *request, const struct cluster *cluster, struct range *ret_range,
                           struct fault *f)
{
    const char *name = http_query(request, "node"), *cursor = http_query(request, "cursor");
    int64_t limit = LIMIT_DEFAULT;
    size_t first = 0;
    query_integer(request, "limit", CATALOGUE_NODE_ITEMS_MAX, LIMIT_MAX, &limit, f);
    TRY(fault_if_reasons(f, CODE_INVALID, "the query is not valid"));
    const struct node_entry *node = name ? cluster_node(cluster, name) : NULL;
    if (name && !node)
        return fault_set(f, CODE_NOT_FOUND, "cluster \"%s\" has no node of that name", cluster->name);
    if (cursor)
        TRY(cursor_read(cursor, cluster, &first, f));
    *ret_range = node ? (struct range){(size_t)(node - cluster->nodes), 1}
                      : (struct range){first, catalogue_nodes_within(cluster, first, (size_t)limit)};
    return OK;
}

static json_t *cursor_json(const struct cluster *cluster, struct range range, bool one)
{
    AUTO(bytes) text = {0};
    if (!one && range.first + range.count < cluster->nodes_count)
        base64url_append(&text, span_text(cluster->nodes[range.first + range.count].name));
    return text.failed ? NULL : json_bytes(bytes_span(&text));
}

static enum err answer_get(struct app *app, const struct http_request *request, struct http_response *ret_response,
                           struct fault *f)
{
    CLEANUP(cluster_release) const struct cluster *cluster = NULL;
    struct range range = {0};
    AUTO(catalogue) catalogue = {0};
    TRY(caller_cluster(app, &request->caller, request->parameters[0], &cluster, f));
    TRY(range_read(request, cluster, &range, f));
    TRY(catalogue_make_part(cluster, &app->ca->profiles, range.first, range.count, &catalogue, f));
    CLEANUP(json_cleanup) json_t *json = catalogue_json(&catalogue);
    if (!json ||
        json_object_set_new(json, "next_cursor", cursor_json(cluster, range, http_query(request, "node") != NULL)) != 0)
        return fault_no_memory(f);
    *ret_response = http_json(200, TAKE(json));
    return OK;
}

struct http_response api_catalogue_get(struct app *app, const struct http_request *request)
{
    static const char *const query[] = {"node", "limit", "cursor", NULL};
    return api_answer(answer_get, query, app, request);
}
