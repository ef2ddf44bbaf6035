/* api_create.c: requests that make something, and are done once when they come with an Idempotency-Key. */
#include <stdio.h>
#include <string.h>

#include "ca/base/encode.h"
#include "server/api.h"
#include "server/problem.h"

struct creation {
    struct app *app;
    api_render *render;
    struct http_response *response;
};

bool api_created(const struct http_response *response)
{
    return response->status == 201;
}

/* On the committer's thread. The answer goes into the commit and to the caller. */
static enum err creation_answer(void *context, const void *made, struct answer_record *ret_answer, struct fault *f)
{
    struct creation *creation = context;
    struct http_response *response = creation->response;
    http_response_cleanup(response); /* of an attempt that was not committed */
    TRY(creation->render(creation->app, made, response, f));
    if (!api_created(response))
        return fault_no_memory(f);
    ret_answer->status = (uint16_t)response->status;
    snprintf(ret_answer->location, sizeof ret_answer->location, "%s", response->location);
    return bytes_copy(bytes_span(&response->body), &ret_answer->body, f);
}

static void answer_again(struct answer_record *record, struct http_response *ret_response)
{
    *ret_response =
        (struct http_response){.status = record->status, .content_type = "application/json", .body = record->body};
    snprintf(ret_response->location, sizeof ret_response->location, "%s", record->location);
    record->body = (struct bytes){0};
}

/* A certificate that was revoked since is not handed out again. */
static enum err kept_check(struct ca *ca, const struct answer_record *kept, struct fault *f)
{
    static const char certificates[] = "/v1/certificates/";
    uint8_t serial[SERIAL_SIZE];
    AUTO(certificate_record) record = {0};
    if (strncmp(kept->location, certificates, strlen(certificates)) != 0)
        return OK;
    TRY(hex_decode(kept->location + strlen(certificates), serial, sizeof serial, f));
    TRY(certificate_get(ca, serial, &record, f));
    if (!record.revoked_at)
        return OK;
    fault_reason(f, "/csr/publicKey", "what was issued for this key was revoked: make a new key");
    return fault_set(f, CODE_POLICY_DENIED, "the certificate that this request got was revoked");
}

static enum err create_once(api_create_function *function, const char *key, struct creation *creation,
                            const struct http_request *request, struct fault *f)
{
    struct app *app = creation->app;
    AUTO(idempotency) idempotency = {.answer = creation_answer, .context = creation};
    AUTO(answer_record) kept = {0};
    TRY(idempotency_begin(app->ca, &request->caller, key, request->method, request->path, request->body, &idempotency,
                          f));
    enum err err = idempotency_find(app->ca, &idempotency, &kept, f);
    if (err == OK) {
        TRY(kept_check(app->ca, &kept, f));
        answer_again(&kept, creation->response);
    }
    if (err != ERR_ABSENT)
        return err;
    fault_clear(f);
    return function(app, request, &idempotency, creation->response, f);
}

struct http_response api_create(api_create_function *function, api_render *render, struct app *app,
                                const struct http_request *request)
{
    static const char *const no_query[] = {NULL};
    struct http_response response = {.status = 200};
    struct creation creation = {app, render, &response};
    struct fault fault = {0};
    /* A token gets the same certificate for the same public key anyway. */
    const char *key = request->caller.kind == REQUESTER_TOKEN ? NULL : http_header(request, "Idempotency-Key");
    enum err err = http_query_allow(request, no_query, &fault);
    if (err == OK)
        err = key ? create_once(function, key, &creation, request, &fault)
                  : function(app, request, NULL, &response, &fault);
    if (err == OK)
        return response;
    http_response_cleanup(&response);
    return problem(request, &fault);
}
