#include "ca/base/encode.h"
#include "server/api.h"
#include "server/json.h"

static json_t *json_root(const struct merkle_hash *root)
{
    AUTO(bytes) text = {0};
    base64_append(&text, SPAN_OF(root->data));
    return text.failed ? NULL : json_bytes(bytes_span(&text));
}

static enum err answer_get(struct app *app, const struct http_request *request, struct http_response *ret_response,
                           struct fault *f)
{
    (void)request, (void)f;
    struct restore_state state = restore_read(app->ca->restore);
    const char *word = restore_cause_word(state.cause);
    *ret_response =
        http_json(200, state.cause == RESTORE_NONE
                           ? json_pack("{ss sn sn sn sn}", "state", word, "entries", "root", "time", "shown")
                           : json_pack("{ss sI so so so}", "state", word, "entries", (json_int_t)state.entries, "root",
                                       json_root(&state.root), "time", json_time(state.time), "shown",
                                       state.shown ? json_integer((json_int_t)state.shown) : json_null()));
    return OK;
}

struct http_response api_restore_get(struct app *app, const struct http_request *request)
{
    return api_answer(answer_get, NULL, app, request);
}

static enum err body_read(const struct document *document, int64_t *ret_entries, struct fault *f)
{
    static const char *const keys[] = {"entries", NULL};
    struct node root = document_root(document, f), entries = node_get(&root, "entries");
    node_allow(&root, keys);
    node_integer(&entries, NODE_REQUIRED, 0, INT64_MAX, ret_entries);
    return fault_if_reasons(f, CODE_INVALID, "the body is not valid");
}

static enum err answer_acknowledge(struct app *app, const struct http_request *request,
                                   struct http_response *ret_response, struct fault *f)
{
    CLEANUP(document_auto) struct document *document = NULL;
    int64_t entries = 0;
    TRY(document_parse_json(request->body, &document, f));
    TRY(body_read(document, &entries, f));
    TRY(restore_acknowledge(app->ca, &request->caller, (uint64_t)entries, f));
    return answer_get(app, request, ret_response, f);
}

struct http_response api_restore_acknowledge(struct app *app, const struct http_request *request)
{
    return api_answer(answer_acknowledge, NULL, app, request);
}
