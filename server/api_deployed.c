/* api_deployed.c: what nodes report of what is installed on them (ca/deployed.h). */
#include <string.h>

#include "ca/base/encode.h"
#include "ca/deployed.h"
#include "server/api.h"
#include "server/json.h"

enum { LIMIT_DEFAULT = 100, LIMIT_MAX = 500 };

/* ---- reading a report ---- */

static void node_time(const struct node *node, int64_t *ret_seconds)
{
    const char *text = NULL;
    struct fault why = {0};
    if (node_string(node, NODE_OPTIONAL, &text) && time_parse(text, ret_seconds, &why) != OK)
        node_error(node, "%s", why.text);
}

static void certificate_read(const struct node *entry, struct deployed_certificate *certificate)
{
    static const char *const keys[] = {"profile", "serial", "state", "served_serial", "not_after", "detail", NULL};
    struct node profile = node_get(entry, "profile"), serial = node_get(entry, "serial");
    struct node state = node_get(entry, "state"), served = node_get(entry, "served_serial");
    struct node not_after = node_get(entry, "not_after"), detail = node_get(entry, "detail");
    size_t word = 0;
    node_allow(entry, keys);
    node_text(&profile, NODE_REQUIRED, certificate->profile, sizeof certificate->profile);
    node_hex(&serial, NODE_REQUIRED, certificate->serial, sizeof certificate->serial);
    if (node_word(&state, NODE_REQUIRED, deployed_state_words, &word))
        certificate->state = (enum deployed_state)word;
    node_hex(&served, NODE_OPTIONAL, certificate->served, sizeof certificate->served);
    node_time(&not_after, &certificate->not_after);
    node_text(&detail, NODE_OPTIONAL, certificate->detail, sizeof certificate->detail);
    text_clean(certificate->detail);
    text_hide_secrets(certificate->detail);
}

static void crl_read(const struct node *entry, struct deployed_crl *crl)
{
    static const char *const keys[] = {"authority", "number", NULL};
    struct node authority = node_get(entry, "authority"), number = node_get(entry, "number");
    node_allow(entry, keys);
    node_text(&authority, NODE_REQUIRED, crl->authority, sizeof crl->authority);
    node_integer(&number, NODE_REQUIRED, 0, INT64_MAX, &crl->number);
}

static void agent_read(const struct node *agent, struct deployed_record *report)
{
    static const char *const keys[] = {"version", NULL};
    struct node version = node_get(agent, "version");
    node_allow(agent, keys);
    node_text(&version, NODE_REQUIRED, report->agent_version, sizeof report->agent_version);
    text_clean(report->agent_version);
    text_hide_secrets(report->agent_version);
}

static enum err report_read(const struct document *document, struct deployed_record *report, struct fault *f)
{
    static const char *const keys[] = {"agent", "certificates", "crls", NULL};
    struct node root = document_root(document, f);
    struct node agent = node_get(&root, "agent"), crls = node_get(&root, "crls");
    struct node certificates = node_get(&root, "certificates");
    node_allow(&root, keys);
    agent_read(&agent, report);
    report->certificates_count = node_count(&certificates, NODE_REQUIRED, DEPLOYED_CERTIFICATES_MAX);
    for (size_t i = 0; i < report->certificates_count; i++) {
        struct node entry = node_at(&certificates, i);
        certificate_read(&entry, &report->certificates[i]);
    }
    report->crls_count = node_count(&crls, NODE_OPTIONAL, DEPLOYED_CRLS_MAX);
    for (size_t i = 0; i < report->crls_count; i++) {
        struct node entry = node_at(&crls, i);
        crl_read(&entry, &report->crls[i]);
    }
    return fault_if_reasons(f, CODE_INVALID, "the body is not valid");
}

static enum err answer_put(struct app *app, const struct http_request *request, struct http_response *ret_response,
                           struct fault *f)
{
    CLEANUP(document_auto) struct document *document = NULL;
    CLEANUP(cluster_release) const struct cluster *cluster = NULL;
    struct deployed_record report = {0};
    TRY(caller_cluster(app, &request->caller, request->parameters[0], &cluster, f));
    if (!caller_sees_node(&request->caller, cluster->name, request->parameters[1]))
        return fault_set(f, CODE_NOT_FOUND, "no such node");
    TRY(document_parse_json(request->body, &document, f));
    TRY(report_read(document, &report, f));
    TRY(deployed_report(app->ca, &request->caller, &report, f));
    *ret_response = http_json(200, json_object());
    return OK;
}

struct http_response api_deployed_put(struct app *app, const struct http_request *request)
{
    return api_answer(answer_put, NULL, app, request);
}

/* ---- list ---- */

static json_t *serial_json(const uint8_t serial[SERIAL_SIZE])
{
    static const uint8_t zeros[SERIAL_SIZE];
    return memcmp(serial, zeros, SERIAL_SIZE) == 0 ? json_null() : json_hex(span(serial, SERIAL_SIZE));
}

static json_t *certificates_json(const struct deployed_record *record)
{
    json_t *list = json_array();
    for (size_t i = 0; i < record->certificates_count; i++) {
        const struct deployed_certificate *certificate = &record->certificates[i];
        json_list_add(&list, json_pack("{ss so ss so so ss}", "profile", certificate->profile, "serial",
                                       json_hex(SPAN_OF(certificate->serial)), "state",
                                       deployed_state_words[certificate->state], "served_serial",
                                       serial_json(certificate->served), "not_after",
                                       certificate->not_after ? json_time(certificate->not_after) : json_null(),
                                       "detail", certificate->detail));
    }
    return list;
}

static json_t *crls_json(const struct deployed_record *record, const struct newest_crls *newest)
{
    json_t *list = json_array();
    for (size_t i = 0; i < record->crls_count; i++) {
        const struct deployed_crl *crl = &record->crls[i];
        json_list_add(&list, json_pack("{ss sI sI}", "authority", crl->authority, "number", (json_int_t)crl->number,
                                       "newest", (json_int_t)newest_crl_number(newest, crl->authority)));
    }
    return list;
}

struct listing {
    struct ca *ca;
    struct newest_crls newest;
    json_t *items;
    size_t count, limit;
    char last[DNS_NAME_MAX + 1];
    bool more;
};

static void listing_cleanup(struct listing *listing)
{
    json_decref(listing->items);
}

static bool listing_add(void *context, const struct deployed_record *record)
{
    struct listing *listing = context;
    listing->more = listing->count == listing->limit;
    if (listing->more)
        return false;
    listing->count++;
    snprintf(listing->last, sizeof listing->last, "%s", record->node);
    json_list_add(&listing->items,
                  json_pack("{ss so so sb s{ss} so so}", "node", record->node, "reported_at",
                            json_time(record->reported_at), "seen_at", json_time(deployed_seen_at(listing->ca, record)),
                            "silent", deployed_silent(listing->ca, record), "agent", "version", record->agent_version,
                            "certificates", certificates_json(record), "crls", crls_json(record, &listing->newest)));
    return listing->items != NULL;
}

/* One node, which need not have reported. */
static enum err listing_node(struct listing *listing, const struct cluster *cluster, const char *node, struct fault *f)
{
    struct deployed_record record;
    uint64_t revision;
    if (!cluster_node(cluster, node))
        return fault_set(f, CODE_NOT_FOUND, "no such node");
    enum err err = deployed_get(listing->ca, cluster->name, node, &record, &revision, f);
    if (err == OK)
        listing_add(listing, &record);
    if (err != ERR_ABSENT)
        return err;
    fault_clear(f);
    return OK;
}

static enum err listing_page(struct listing *listing, const struct http_request *request, const char *cluster,
                             struct fault *f)
{
    const char *cursor = http_query(request, "cursor");
    AUTO(bytes) after = {0};
    if (cursor)
        TRY(base64url_decode(span_text(cursor), &after, f));
    if (after.size > DNS_NAME_MAX)
        return fault_set(f, CODE_INVALID, "the cursor is none of this list");
    return deployed_each(listing->ca, cluster, cursor ? bytes_text(&after) : NULL, listing_add, listing, f);
}

static enum err answer_list(struct app *app, const struct http_request *request, struct http_response *ret_response,
                            struct fault *f)
{
    const struct caller *caller = &request->caller;
    CLEANUP(cluster_release) const struct cluster *cluster = NULL;
    int64_t limit = LIMIT_DEFAULT;
    const char *node = http_query(request, "node");
    TRY(caller_cluster(app, caller, request->parameters[0], &cluster, f));
    query_integer(request, "limit", 1, LIMIT_MAX, &limit, f);
    TRY(fault_if_reasons(f, CODE_INVALID, "the query is not valid"));
    if (!node && caller->kind == REQUESTER_NODE)
        node = caller->node;
    if (node && !caller_sees_node(caller, cluster->name, node))
        return fault_set(f, CODE_NOT_FOUND, "no such node");
    AUTO(listing) listing = {.ca = app->ca, .items = json_array(), .limit = (size_t)limit};
    TRY(newest_crls_read(app->ca, cluster->name, &listing.newest, f));
    TRY(node ? listing_node(&listing, cluster, node, f) : listing_page(&listing, request, cluster->name, f));
    struct span next = listing.more ? span_text(listing.last) : span(NULL, 0);
    *ret_response = http_json(200, json_page(TAKE(listing.items), next));
    return OK;
}

struct http_response api_deployed_list(struct app *app, const struct http_request *request)
{
    static const char *const query[] = {"node", "limit", "cursor", NULL};
    return api_answer(answer_list, query, app, request);
}
