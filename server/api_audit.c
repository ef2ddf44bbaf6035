#include "ca/base/encode.h"
#include "server/api.h"
#include "server/json.h"

enum { ENTRIES_MAX = 1000 };

static enum err answer_checkpoint(struct app *app, const struct http_request *request,
                                  struct http_response *ret_response, struct fault *f)
{
    (void)request;
    TRY(audit_checkpoint(app->ca, &ret_response->body, f));
    ret_response->content_type = "text/plain; charset=utf-8";
    return OK;
}

struct http_response api_audit_checkpoint(struct app *app, const struct http_request *request)
{
    return api_answer(answer_checkpoint, NULL, app, request);
}

static enum err answer_key(struct app *app, const struct http_request *request, struct http_response *ret_response,
                           struct fault *f)
{
    (void)request, (void)f;
    char verifier[LOG_VERIFIER_TEXT_MAX + 1];
    log_verifier_text(app->ca->service.origin, app->ca->service.log_public_key, verifier);
    *ret_response = http_json(200, json_pack("{ss}", "verifier", verifier));
    return OK;
}

struct http_response api_audit_key(struct app *app, const struct http_request *request)
{
    return api_answer(answer_key, NULL, app, request);
}

/* ---- witness ---- */

static const char *witness_word(enum witness witness)
{
    static const char *const words[] = {
        [WITNESS_IN_LOG] = "in_log", [WITNESS_SETTLED] = "settled", [WITNESS_NOT_IN_LOG] = "not_in_log"};
    return words[witness];
}

static enum err answer_witness(struct app *app, const struct http_request *request, struct http_response *ret_response,
                               struct fault *f)
{
    static const char *const keys[] = {"checkpoint", NULL};
    CLEANUP(document_auto) struct document *document = NULL;
    const char *note = NULL;
    enum witness witness;
    TRY(document_parse_json(request->body, &document, f));
    struct node root = document_root(document, f), checkpoint = node_get(&root, "checkpoint");
    node_allow(&root, keys);
    node_string(&checkpoint, NODE_REQUIRED, &note);
    TRY(fault_if_reasons(f, CODE_INVALID, "the body is not valid"));
    TRY(restore_witness(app->ca, &request->caller, span_text(note), &witness, f));
    *ret_response = http_json(200, json_pack("{ss}", "state", witness_word(witness)));
    return OK;
}

struct http_response api_audit_witness(struct app *app, const struct http_request *request)
{
    return api_answer(answer_witness, NULL, app, request);
}

/* ---- entries ---- */

static bool entry_add(void *context, uint64_t sequence, struct span leaf)
{
    json_t **items = context;
    struct bytes text = {0};
    base64_append(&text, leaf);
    json_list_add(items, text.failed ? NULL
                                     : json_pack("{sI so}", "sequence", (json_int_t)sequence, "leaf",
                                                 json_bytes(bytes_span(&text))));
    bytes_free(&text);
    return *items != NULL;
}

static enum err answer_entries(struct app *app, const struct http_request *request, struct http_response *ret_response,
                               struct fault *f)
{
    int64_t start = 0, limit = ENTRIES_MAX;
    query_integer(request, "start", 0, INT64_MAX, &start, f);
    query_integer(request, "limit", 1, ENTRIES_MAX, &limit, f);
    TRY(fault_if_reasons(f, CODE_INVALID, "the query is not valid"));
    struct merkle_frontier frontier;
    ledger_frontier(app->ca->ledger, &frontier);
    uint64_t from = (uint64_t)start, size = frontier.size;
    uint64_t to = from < size && size - from > (uint64_t)limit ? from + (uint64_t)limit : size;
    CLEANUP(json_cleanup) json_t *items = json_array();
    TRY(audit_each(app->ca, from, to, entry_add, &items, f));
    json_t *next = to < size ? json_integer((json_int_t)to) : json_null();
    *ret_response = http_json(200, json_pack("{so so}", "items", TAKE(items), "next", next));
    return OK;
}

struct http_response api_audit_entries(struct app *app, const struct http_request *request)
{
    static const char *const query[] = {"start", "limit", NULL};
    return api_answer(answer_entries, query, app, request);
}
