#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ca/base/encode.h"
#include "server/api.h"
#include "server/json.h"

enum { PAGE_DEFAULT = 100 };

/* ---- issue ---- */

/* groups  what issue->user borrows */
static void user_read(const struct node *root, const char *groups[ORGANIZATIONS_MAX], struct issue_request *issue)
{
    struct node name = node_get(root, "user"), list = node_get(root, "groups");
    node_string(&name, NODE_OPTIONAL, &issue->user.name);
    size_t count = node_count(&list, NODE_OPTIONAL, ORGANIZATIONS_MAX);
    for (size_t i = 0; i < count; i++) {
        struct node item = node_at(&list, i);
        if (node_string(&item, NODE_REQUIRED, &groups[issue->user.groups_count]))
            issue->user.groups_count++;
    }
    issue->user.groups = groups;
}

/* A node says what it renews; all others ask for something new. */
static void replaces_read(const struct node *root, uint8_t serial[SERIAL_SIZE], struct issue_request *issue)
{
    struct node replaces = node_get(root, "replaces");
    bool of_node = issue->caller.kind == REQUESTER_NODE;
    if (node_present(&replaces) && !of_node)
        node_error(&replaces, "only a node renews what it has");
    else if (node_hex(&replaces, of_node ? NODE_REQUIRED : NODE_OPTIONAL, serial, SERIAL_SIZE))
        issue->replaces = serial;
}

/* What an issue_request borrows from, beside the document. */
struct issue_body {
    const char *groups[ORGANIZATIONS_MAX];
    uint8_t replaces[SERIAL_SIZE];
};

static enum err body_read(const struct document *document, struct issue_body *body, struct issue_request *issue,
                          struct fault *f)
{
    static const char *const keys[] = {"profile",          "node",    "user",     "groups", "csr",
                                       "lifetime_seconds", "dry_run", "replaces", NULL};
    struct node root = document_root(document, f);
    struct node profile = node_get(&root, "profile"), name = node_get(&root, "node"), csr = node_get(&root, "csr");
    struct node lifetime = node_get(&root, "lifetime_seconds"), dry_run = node_get(&root, "dry_run");
    const char *pem = NULL;
    node_allow(&root, keys);
    node_string(&profile, NODE_REQUIRED, &issue->profile);
    node_string(&name, NODE_OPTIONAL, &issue->node);
    user_read(&root, body->groups, issue);
    replaces_read(&root, body->replaces, issue);
    if (node_string(&csr, NODE_REQUIRED, &pem))
        issue->csr_pem = span_text(pem);
    node_integer(&lifetime, NODE_OPTIONAL, 1, INT32_MAX, &issue->lifetime_seconds);
    node_bool(&dry_run, NODE_OPTIONAL, &issue->dry_run);
    return fault_if_reasons(f, CODE_INVALID, "the body is not valid");
}

enum err certificate_answer(struct app *app, const void *made, struct http_response *ret_response, struct fault *f)
{
    const struct issue_result *result = made;
    AUTO(bytes) text = {0};
    const struct certificate_content *content = result->stored_before ? NULL : &result->decision.content;
    TRY(json_certificate_text(app->ca, &result->record, content, &text, f));
    *ret_response = http_json_text(result->stored_before ? 200 : 201, &text);
    char serial[SERIAL_TEXT_SIZE];
    hex_text(SPAN_OF(result->record.serial), serial, sizeof serial);
    if (!result->stored_before)
        snprintf(ret_response->location, sizeof ret_response->location, "/v1/certificates/%s", serial);
    return OK;
}

static enum err answer_issue(struct app *app, const struct http_request *request, struct idempotency *idempotency,
                             struct http_response *ret_response, struct fault *f)
{
    CLEANUP(document_auto) struct document *document = NULL;
    CLEANUP(cluster_release) const struct cluster *cluster = NULL;
    TRY(caller_cluster(app, &request->caller, request->parameters[0], &cluster, f));
    TRY(document_parse_json(request->body, &document, f));
    struct issue_request asked = {.caller = request->caller, .cluster = cluster->name, .node = "", .identity = ""};
    asked.idempotency = idempotency;
    memcpy(asked.token_id, request->token_id, sizeof asked.token_id);
    struct issue_body body = {0};
    TRY(body_read(document, &body, &asked, f));
    AUTO(issue_result) result = {0};
    TRY(issue(app->ca, &asked, &result, f));
    if (api_created(ret_response))
        return OK;
    if (!asked.dry_run)
        return certificate_answer(app, &result, ret_response, f);
    AUTO(bytes) text = {0};
    TRY(json_decision_text(&result.decision, &text, f));
    *ret_response = http_json_text(200, &text);
    return OK;
}

struct http_response api_certificate_issue(struct app *app, const struct http_request *request)
{
    return api_create(answer_issue, certificate_answer, app, request);
}

/* ---- list ---- */

static bool word_known(const char *word, const char *const *words)
{
    while (*words && strcmp(word, *words) != 0)
        words++;
    return *words != NULL;
}

/* The state and time filters. */
static void query_times(const struct http_request *request, struct certificate_query *query, struct fault *f)
{
    static const char *const states[] = {"valid", "expired", "revoked", NULL};
    const char *within = http_query(request, "expiring_within");
    int64_t seconds = 0;
    struct fault why = {0};
    query->state = http_query(request, "state");
    if (query->state && !word_known(query->state, states))
        fault_reason(f, "state", "one of valid, expired, revoked");
    if (!within)
        return;
    if (duration_parse(within, &seconds, &why) != OK)
        fault_reason(f, "expiring_within", "%s", why.text);
    query->not_after_before = query->now + seconds;
}

/* A node sees its own, whether it asks for that or for all. */
static enum err query_place(const struct http_request *request, struct certificate_query *query, struct fault *f)
{
    const struct caller *caller = &request->caller;
    query->cluster = http_query(request, "cluster");
    query->node = http_query(request, "node");
    query->profile = http_query(request, "profile");
    if (caller->kind == REQUESTER_NODE) {
        const char *cluster = query->cluster ? query->cluster : caller->cluster;
        const char *node = query->node ? query->node : caller->node;
        if (!caller_sees_node(caller, cluster, node))
            return fault_set(f, CODE_NOT_FOUND, "no such node");
        query->cluster = cluster;
        query->node = node;
    }
    if (query->node && !query->cluster)
        fault_reason(f, "node", "names of nodes are unique in a cluster only: give cluster, too");
    return OK;
}

/* cursor  owns what query->cursor borrows */
static enum err query_read(const struct http_request *request, struct bytes *cursor, struct certificate_query *query,
                           struct fault *f)
{
    const char *cursor_text = http_query(request, "cursor");
    int64_t limit = PAGE_DEFAULT;
    TRY(query_place(request, query, f));
    query_times(request, query, f);
    query_integer(request, "limit", 1, PAGE_MAX, &limit, f);
    TRY(fault_if_reasons(f, CODE_INVALID, "the query is not valid"));
    query->limit = (size_t)limit;
    if (cursor_text)
        TRY(base64url_decode(span_text(cursor_text), cursor, f));
    query->cursor = bytes_span(cursor);
    return OK;
}

struct page {
    struct certificate_record records[PAGE_MAX];
    size_t count;
    struct bytes cursor;
};

static void page_free(struct page **page)
{
    for (size_t i = 0; *page && i < (*page)->count; i++)
        certificate_record_cleanup(&(*page)->records[i]);
    if (*page)
        bytes_free(&(*page)->cursor);
    free(*page);
}

static enum err answer_list(struct app *app, const struct http_request *request, struct http_response *ret_response,
                            struct fault *f)
{
    AUTO(bytes) cursor = {0};
    struct certificate_query query = {.now = ca_now(app->ca)};
    TRY(query_read(request, &cursor, &query, f));
    CLEANUP(page_free) struct page *page = calloc(1, sizeof *page);
    if (!page)
        return fault_no_memory(f);
    TRY(index_query(app->ca->index, &query, page->records, &page->count, &page->cursor, f));
    AUTO(bytes) text = {0};
    TRY(json_certificates_text(app->ca, page->records, page->count, bytes_span(&page->cursor), &text, f));
    *ret_response = http_json_text(200, &text);
    return OK;
}

struct http_response api_certificate_list(struct app *app, const struct http_request *request)
{
    static const char *const query[] = {"cluster",         "node",  "profile", "state",
                                        "expiring_within", "limit", "cursor",  NULL};
    return api_answer(answer_list, query, app, request);
}

/* ---- get ---- */

static enum err answer_get(struct app *app, const struct http_request *request, struct http_response *ret_response,
                           struct fault *f)
{
    uint8_t serial[SERIAL_SIZE];
    AUTO(certificate_record) record = {0};
    TRY(hex_decode(request->parameters[0], serial, sizeof serial, f));
    TRY(certificate_get(app->ca, serial, &record, f));
    if (!caller_sees_node(&request->caller, record.cluster, record.node))
        return fault_set(f, CODE_NOT_FOUND, "no certificate with this serial was issued here");
    AUTO(bytes) text = {0};
    TRY(json_certificate_text(app->ca, &record, NULL, &text, f));
    *ret_response = http_json_text(200, &text);
    return OK;
}

struct http_response api_certificate_get(struct app *app, const struct http_request *request)
{
    return api_answer(answer_get, NULL, app, request);
}
