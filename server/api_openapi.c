#include "server/api.h"
#include "server/openapi.h"

/* It changes with the program only, but whoever updates that should see the new one soon. */
enum { DOCUMENT_MAX_AGE_SECONDS = 300 };

static enum err answer_get(struct app *app, const struct http_request *request, struct http_response *ret_response,
                           struct fault *f)
{
    (void)app, (void)request;
    bytes_append(&ret_response->body, openapi_json, openapi_json_size);
    TRY(bytes_check(&ret_response->body, f));
    ret_response->content_type = "application/json";
    ret_response->max_age_seconds = DOCUMENT_MAX_AGE_SECONDS;
    return etag_set(ret_response, f);
}

struct http_response api_openapi_get(struct app *app, const struct http_request *request)
{
    return api_answer(answer_get, NULL, app, request);
}
