#include "ca/base/encode.h"
#include "server/api.h"
#include "server/json.h"

static enum err answer_get(struct app *app, const struct http_request *request, struct http_response *ret_response,
                           struct fault *f)
{
    (void)request, (void)f;
    struct moment now = clock_read(app->ca->clock);
    *ret_response =
        http_json(200, json_pack("{ss so so so so so}", "state", clock_verdict_word(now.verdict), "time",
                                 json_time(now.wall), "now", json_time(now.now), "earliest", json_time(now.earliest),
                                 "latest", json_time(now.latest), "mark", json_time(now.seconds)));
    return OK;
}

struct http_response api_clock_get(struct app *app, const struct http_request *request)
{
    return api_answer(answer_get, NULL, app, request);
}

static enum err body_read(const struct document *document, int64_t *ret_seen, struct fault *f)
{
    static const char *const keys[] = {"time", NULL};
    struct node root = document_root(document, f), time = node_get(&root, "time");
    const char *text = NULL;
    struct fault why = {0};
    node_allow(&root, keys);
    if (node_string(&time, NODE_REQUIRED, &text) && time_parse(text, ret_seen, &why) != OK)
        node_error(&time, "%s", why.text);
    return fault_if_reasons(f, CODE_INVALID, "the body is not valid");
}

static enum err answer_acknowledge(struct app *app, const struct http_request *request,
                                   struct http_response *ret_response, struct fault *f)
{
    CLEANUP(document_auto) struct document *document = NULL;
    int64_t seen = 0;
    TRY(document_parse_json(request->body, &document, f));
    TRY(body_read(document, &seen, f));
    TRY(clock_acknowledge(app->ca, &request->caller, seen, f));
    return answer_get(app, request, ret_response, f);
}

struct http_response api_clock_acknowledge(struct app *app, const struct http_request *request)
{
    return api_answer(answer_acknowledge, NULL, app, request);
}
