#include "server/problem.h"

#include <stdlib.h>
#include <string.h>

static const struct {
    int status;
    const char *title;
} titles[] = {
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {409, "Conflict"},
    {413, "Content Too Large"},
    {415, "Unsupported Media Type"},
    {422, "Unprocessable Content"},
    {429, "Too Many Requests"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
};

enum { RETRY_AFTER_SECONDS = 2 };

static const char *status_title(int status)
{
    for (size_t i = 0; i < ARRAY_SIZE(titles); i++)
        if (titles[i].status == status)
            return titles[i].title;
    return "Internal Server Error";
}

/* A fault may quote what somebody sent, which need not be UTF-8. */
static json_t *json_text(const char *text)
{
    json_t *string = json_string(text);
    return string ? string : json_string("(not UTF-8)");
}

static json_t *reasons_json(const struct fault *fault)
{
    json_t *errors = json_array();
    for (size_t i = 0; i < fault->reasons_count; i++)
        json_array_append_new(errors, json_pack("{so so}", "pointer", json_text(fault->reasons[i].pointer), "detail",
                                                json_text(fault->reasons[i].text)));
    return errors;
}

static json_t *problem_json(const struct http_request *request, const struct fault *fault, int status)
{
    bool ours = status == 500; /* what is wrong inside is no business of the caller */
    json_t *json = json_pack("{ss ss si ss so ss}", "type", "about:blank", "title", status_title(status), "status",
                             status, "code", ours ? code_name(CODE_INTERNAL) : code_name(fault->code), "detail",
                             ours ? json_text("The service failed; its log has the cause under this request id.")
                                  : json_text(fault->text),
                             "request_id", request->id);
    if (json && !ours && fault->reasons_count > 0)
        json_object_set_new(json, "errors", reasons_json(fault));
    if (json && !ours && fault->reasons_omitted > 0)
        json_object_set_new(json, "errors_omitted", json_integer((json_int_t)fault->reasons_omitted));
    return json;
}

struct http_response problem(const struct http_request *request, const struct fault *fault)
{
    int status = code_http_status(fault->code);
    struct fault *shown = malloc(sizeof *shown);
    if (!shown)
        return http_json(status, NULL);
    *shown = *fault;
    fault_hide_secrets(shown);
    struct http_response response = http_json(status, problem_json(request, shown, status));
    response.content_type = "application/problem+json";
    response.retry_after_seconds = fault->retry_after_seconds;
    if (response.retry_after_seconds == 0 && (status == 429 || status == 503))
        response.retry_after_seconds = RETRY_AFTER_SECONDS;
    response.fault = shown;
    return response;
}

struct http_response http_json_text(int status, struct bytes *take_text)
{
    struct http_response response = {.status = status, .content_type = "application/json", .body = *take_text};
    *take_text = (struct bytes){0};
    return response;
}

struct http_response http_json(int status, json_t *take_json)
{
    char *text = take_json ? json_dumps(take_json, JSON_COMPACT) : NULL;
    size_t size = text ? strlen(text) : 0;
    struct bytes body = {.data = (uint8_t *)text, .size = size, .capacity = size + 1};
    json_decref(take_json);
    if (text)
        return http_json_text(status, &body);
    struct http_response response = {.status = 500, .content_type = "application/problem+json"};
    bytes_append_text(&response.body, "{\"type\":\"about:blank\",\"title\":\"Internal Server Error\","
                                      "\"status\":500,\"code\":\"no_memory\"}");
    return response;
}

void http_response_cleanup(struct http_response *response)
{
    bytes_free(&response->body);
    free(response->fault);
    response->fault = NULL;
}
