/* api_rotation.c: replacing certificates before their time (ca/rotation.h). */
#include <sodium.h>
#include <string.h>

#include "ca/base/encode.h"
#include "ca/rotation.h"
#include "server/api.h"
#include "server/json.h"

enum { LIMIT_DEFAULT = 100, LIMIT_MAX = 500 };

/* ---- as JSON ---- */

static json_t *json_text(const char *text)
{
    return text[0] ? json_string(text) : json_null();
}

static json_t *selector_json(const struct rotation_selector *selector)
{
    char within[DURATION_TEXT_SIZE] = "";
    if (selector->expiring_within_seconds)
        duration_text(selector->expiring_within_seconds, within);
    return json_pack("{so so so so sb}", "node", json_text(selector->node), "profile", json_text(selector->profile),
                     "serial", selector->has_serial ? json_hex(SPAN_OF(selector->serial)) : json_null(),
                     "expiring_within", json_text(within), "changed", selector->changed);
}

/* One that was not made, since it has no places, has no id. */
static json_t *rotation_json(const struct rotation *rotation)
{
    return json_pack("{so ss so ss ss so sI}", "id", rotation->places ? json_hex(SPAN_OF(rotation->id)) : json_null(),
                     "cluster", rotation->cluster, "created_at", json_time(rotation->created_at), "created_by",
                     rotation->created_by, "reason", rotation->reason, "selector", selector_json(&rotation->selector),
                     "places", (json_int_t)rotation->places);
}

/* ---- create ---- */

/* The reason borrows from the document. */
static enum err body_read(const struct document *document, struct rotation_request *rotation, struct fault *f)
{
    static const char *const keys[] = {"node", "profile", "serial", "expiring_within", "changed", "reason", NULL};
    struct rotation_selector *selector = &rotation->selector;
    struct node root = document_root(document, f);
    struct node node = node_get(&root, "node"), profile = node_get(&root, "profile");
    struct node serial = node_get(&root, "serial"), within = node_get(&root, "expiring_within");
    struct node changed = node_get(&root, "changed"), reason = node_get(&root, "reason");
    node_allow(&root, keys);
    node_text(&node, NODE_OPTIONAL, selector->node, sizeof selector->node);
    node_text(&profile, NODE_OPTIONAL, selector->profile, sizeof selector->profile);
    selector->has_serial = node_hex(&serial, NODE_OPTIONAL, selector->serial, sizeof selector->serial);
    node_duration(&within, NODE_OPTIONAL, &selector->expiring_within_seconds);
    node_bool(&changed, NODE_OPTIONAL, &selector->changed);
    if (node_string(&reason, NODE_OPTIONAL, &rotation->reason) && strlen(rotation->reason) > ROTATION_REASON_MAX)
        node_error(&reason, "at most %d bytes", ROTATION_REASON_MAX);
    return fault_if_reasons(f, CODE_INVALID, "the body is not valid");
}

static enum err rotation_answer(struct app *app, const void *made, struct http_response *ret_response, struct fault *f)
{
    (void)app, (void)f;
    const struct rotation *rotation = made;
    char id[2 * ROTATION_ID_SIZE + 1];
    *ret_response = http_json(rotation->places ? 201 : 200, rotation_json(rotation));
    hex_text(SPAN_OF(rotation->id), id, sizeof id);
    if (rotation->places)
        snprintf(ret_response->location, sizeof ret_response->location, "/v1/clusters/%s/rotations/%s",
                 rotation->cluster, id);
    return OK;
}

static enum err answer_create(struct app *app, const struct http_request *request, struct idempotency *idempotency,
                              struct http_response *ret_response, struct fault *f)
{
    CLEANUP(document_auto) struct document *document = NULL;
    CLEANUP(cluster_release) const struct cluster *cluster = NULL;
    struct rotation_request asked = {.reason = "", .idempotency = idempotency};
    struct rotation rotation;
    TRY(caller_cluster(app, &request->caller, request->parameters[0], &cluster, f));
    TRY(document_parse_json(request->body, &document, f));
    TRY(body_read(document, &asked, f));
    TRY(rotation_create(app->ca, &request->caller, cluster, &asked, &rotation, f));
    return api_created(ret_response) ? OK : rotation_answer(app, &rotation, ret_response, f);
}

struct http_response api_rotation_create(struct app *app, const struct http_request *request)
{
    return api_create(answer_create, rotation_answer, app, request);
}

/* ---- list ---- */

struct listing {
    json_t *items;
    size_t count, limit;
    uint8_t last[ROTATION_ID_SIZE];
    bool more;
};

static void listing_cleanup(struct listing *listing)
{
    json_decref(listing->items);
}

static bool listing_rotation(void *context, const struct rotation *rotation)
{
    struct listing *listing = context;
    listing->more = listing->count == listing->limit;
    if (listing->more)
        return false;
    listing->count++;
    memcpy(listing->last, rotation->id, sizeof listing->last);
    json_list_add(&listing->items, rotation_json(rotation));
    return listing->items != NULL;
}

/* A cursor has exactly this many bytes. Empty: there is none. */
static enum err cursor_read(const struct http_request *request, size_t size, struct bytes *cursor, struct fault *f)
{
    const char *text = http_query(request, "cursor");
    if (!text)
        return OK;
    TRY(base64url_decode(span_text(text), cursor, f));
    return cursor->size == size ? OK : fault_set(f, CODE_INVALID, "the cursor is none of this list");
}

static enum err limit_read(const struct http_request *request, size_t *ret_limit, struct fault *f)
{
    int64_t limit = LIMIT_DEFAULT;
    query_integer(request, "limit", 1, LIMIT_MAX, &limit, f);
    TRY(fault_if_reasons(f, CODE_INVALID, "the query is not valid"));
    *ret_limit = (size_t)limit;
    return OK;
}

static enum err answer_list(struct app *app, const struct http_request *request, struct http_response *ret_response,
                            struct fault *f)
{
    CLEANUP(cluster_release) const struct cluster *cluster = NULL;
    AUTO(listing) listing = {.items = json_array()};
    AUTO(bytes) before = {0};
    TRY(caller_cluster(app, &request->caller, request->parameters[0], &cluster, f));
    TRY(limit_read(request, &listing.limit, f));
    TRY(cursor_read(request, ROTATION_ID_SIZE, &before, f));
    TRY(rotation_each(app->ca, cluster->name, before.data, listing_rotation, &listing, f));
    *ret_response =
        http_json(200, json_page(TAKE(listing.items), span(listing.last, listing.more ? ROTATION_ID_SIZE : 0)));
    return OK;
}

struct http_response api_rotation_list(struct app *app, const struct http_request *request)
{
    static const char *const query[] = {"limit", "cursor", NULL};
    return api_answer(answer_list, query, app, request);
}

/* ---- progress ---- */

static json_t *successor_json(const struct mark_progress *progress)
{
    return sodium_is_zero(progress->successor, SERIAL_SIZE) ? json_null() : json_hex(SPAN_OF(progress->successor));
}

static bool listing_mark(void *context, const struct mark *mark, const struct mark_progress *progress)
{
    struct listing *listing = context;
    json_list_add(&listing->items,
                  json_pack("{so ss so ss so ss}", "node", json_text(mark->node), "profile", mark->profile, "serial",
                            json_hex(SPAN_OF(mark->serial)), "state", mark_state_words[progress->state], "new_serial",
                            successor_json(progress), "detail", progress->detail));
    return listing->items != NULL;
}

/* A cursor is the number of the place that comes next. */
static enum err progress_page(struct app *app, const struct http_request *request, const struct cluster *cluster,
                              const struct rotation *rotation, json_t **ret_page, struct fault *f)
{
    AUTO(listing) listing = {.items = json_array()};
    AUTO(bytes) cursor = {0};
    AUTO(bytes) next = {0};
    TRY(cursor_read(request, sizeof(uint32_t), &cursor, f));
    TRY(limit_read(request, &listing.limit, f));
    struct unpack in = unpack_begin(bytes_span(&cursor));
    uint32_t first = unpack_u32(&in), count = (uint32_t)listing.limit; /* 0 without a cursor */
    TRY(rotation_progress(app->ca, cluster, rotation, first, count, listing_mark, &listing, f));
    if ((uint64_t)first + count < rotation->places)
        pack_u32(&next, first + count);
    TRY(bytes_check(&next, f));
    *ret_page = json_page(TAKE(listing.items), bytes_span(&next));
    return OK;
}

static enum err answer_get(struct app *app, const struct http_request *request, struct http_response *ret_response,
                           struct fault *f)
{
    CLEANUP(cluster_release) const struct cluster *cluster = NULL;
    struct rotation rotation;
    uint8_t id[ROTATION_ID_SIZE];
    CLEANUP(json_cleanup) json_t *page = NULL;
    TRY(caller_cluster(app, &request->caller, request->parameters[0], &cluster, f));
    TRY(hex_decode(request->parameters[1], id, sizeof id, f));
    TRY(rotation_get(app->ca, cluster->name, id, &rotation, f));
    TRY(progress_page(app, request, cluster, &rotation, &page, f));
    CLEANUP(json_cleanup) json_t *answer = rotation_json(&rotation);
    if (!answer || json_object_update(answer, page) != 0)
        return fault_no_memory(f);
    *ret_response = http_json(200, TAKE(answer));
    return OK;
}

struct http_response api_rotation_get(struct app *app, const struct http_request *request)
{
    static const char *const query[] = {"limit", "cursor", NULL};
    return api_answer(answer_get, query, app, request);
}
