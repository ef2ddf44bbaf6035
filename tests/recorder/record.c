/* record.c: linked into a build of ensignd for tests, between server/http.c and libmicrohttpd. Appends each answer to
 * the file that $ENSIGN_ANSWERS names, a line of JSON each, for tests/recorder/recorded.py to hold against
 * server/openapi.yaml. What libmicrohttpd answers by itself does not come by here. */
#include <fcntl.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ca/base/encode.h"
#include "hsm/sandbox.h"
#include "server/http.h"

enum err __real_sandbox_descriptors(int *keep, size_t count, struct fault *f);
enum err __wrap_sandbox_descriptors(int *keep, size_t count, struct fault *f);
enum err __real_http_server_start(const struct http_config *config, const struct route *routes, struct app *app,
                                  http_authenticate *authenticate, http_observe *observe, struct span chain_pem,
                                  struct span key_pem, struct http_server **ret_server, struct fault *f);
enum err __wrap_http_server_start(const struct http_config *config, const struct route *routes, struct app *app,
                                  http_authenticate *authenticate, http_observe *observe, struct span chain_pem,
                                  struct span key_pem, struct http_server **ret_server, struct fault *f);
struct MHD_Response *__real_MHD_create_response_from_buffer(size_t size, void *body, enum MHD_ResponseMemoryMode mode);
struct MHD_Response *__wrap_MHD_create_response_from_buffer(size_t size, void *body, enum MHD_ResponseMemoryMode mode);
enum MHD_Result __real_MHD_queue_response(struct MHD_Connection *connection, unsigned status,
                                          struct MHD_Response *response);
enum MHD_Result __wrap_MHD_queue_response(struct MHD_Connection *connection, unsigned status,
                                          struct MHD_Response *response);

static int answers_fd = -1;
static http_observe *real_observe;

/* http.c observes, makes and queues an answer in this order, on one thread. */
static _Thread_local struct {
    char method[16], path[4096];
    json_t *body;
} answer;

/* Before any process of ensignd gives up its rights. */
__attribute__((constructor)) static void answers_open(void)
{
    const char *path = getenv("ENSIGN_ANSWERS");
    if (path && (answers_fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600)) < 0)
        abort();
}

/* Which the process would close. */
enum err __wrap_sandbox_descriptors(int *keep, size_t count, struct fault *f)
{
    int more[16];
    if (answers_fd < 0 || count >= ARRAY_SIZE(more))
        return __real_sandbox_descriptors(keep, count, f);
    memcpy(more, keep, count * sizeof *keep);
    more[count] = answers_fd;
    return __real_sandbox_descriptors(more, count + 1, f);
}

static void observe(struct app *app, const struct http_request *request, int status, double seconds,
                    const struct fault *fault)
{
    snprintf(answer.method, sizeof answer.method, "%s", request->method);
    snprintf(answer.path, sizeof answer.path, "%s", request->path);
    text_clean(answer.method);
    text_clean(answer.path); /* JSON is UTF-8, a path need not be */
    real_observe(app, request, status, seconds, fault);
}

enum err __wrap_http_server_start(const struct http_config *config, const struct route *routes, struct app *app,
                                  http_authenticate *authenticate, http_observe *observe_given, struct span chain_pem,
                                  struct span key_pem, struct http_server **ret_server, struct fault *f)
{
    real_observe = observe_given;
    return __real_http_server_start(config, routes, app, authenticate, observe, chain_pem, key_pem, ret_server, f);
}

struct MHD_Response *__wrap_MHD_create_response_from_buffer(size_t size, void *body, enum MHD_ResponseMemoryMode mode)
{
    struct bytes text = {0};
    base64_append(&text, span(body, size));
    json_decref(answer.body);
    answer.body = json_string(bytes_text(&text));
    bytes_free(&text);
    return __real_MHD_create_response_from_buffer(size, body, mode);
}

static enum MHD_Result header_add(void *headers, enum MHD_ValueKind kind, const char *name, const char *value)
{
    (void)kind;
    json_object_set_new(headers, name, json_string(value));
    return MHD_YES;
}

enum MHD_Result __wrap_MHD_queue_response(struct MHD_Connection *connection, unsigned status,
                                          struct MHD_Response *response)
{
    json_t *headers = json_object();
    MHD_get_response_headers(response, header_add, headers);
    json_t *line = json_pack("{ss ss si so so*}", "method", answer.method, "path", answer.path, "status", (int)status,
                             "headers", headers, "body", answer.body);
    answer.body = NULL;
    char *text = line ? json_dumps(line, JSON_COMPACT) : NULL;
    struct bytes out = {0};
    /* A kill may have cut the line before: this one begins on its own. */
    bytes_appendf(&out, "\n%s\n", text ? text : "{}");
    if (answers_fd >= 0 && write(answers_fd, out.data, out.size) != (ssize_t)out.size)
        abort(); /* a test that does not see all is worth nothing */
    bytes_free(&out);
    free(text);
    json_decref(line);
    return __real_MHD_queue_response(connection, status, response);
}
