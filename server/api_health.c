#include "server/api.h"

/* ---- the parts that must work ---- */

static enum err store_ready(struct app *app, struct fault *f)
{
    return store_check_writable(app->ca->store, f);
}

static enum err ledger_ready(struct app *app, struct fault *f)
{
    if (ledger_read_only(app->ca->ledger))
        return fault_set(f, CODE_READ_ONLY, "the last commit failed");
    return OK;
}

static enum err signer_ready(struct app *app, struct fault *f)
{
    if (!signer_up(app->signer))
        return fault_set(f, CODE_SIGNER_DOWN, "the signer is being started");
    return OK;
}

static enum err clock_ready(struct app *app, struct fault *f)
{
    struct moment now;
    return clock_require(app->ca->clock, &now, f);
}

static enum err restore_ready(struct app *app, struct fault *f)
{
    return restore_require(app->ca->restore, f);
}

static const struct {
    const char *name;
    enum err (*check)(struct app *app, struct fault *f);
} parts[] = {{"store", store_ready},
             {"ledger", ledger_ready},
             {"signer", signer_ready},
             {"clock", clock_ready},
             {"restore", restore_ready}};

/* Anybody may ask, so a part that fails is told by its code alone; its text, which may name paths, is in the log. */
static bool parts_check(struct app *app, struct bytes *lines)
{
    bool ready = true;
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        struct fault fault = {0};
        if (parts[i].check(app, &fault) == OK) {
            bytes_appendf(lines, "[+]%s ok\n", parts[i].name);
            continue;
        }
        bytes_appendf(lines, "[-]%s failed: %s\n", parts[i].name, code_name(fault.code));
        ready = false;
    }
    return ready;
}

/* ---- answers ---- */

static enum err answer_live(struct app *app, const struct http_request *request, struct http_response *ret_response,
                            struct fault *f)
{
    (void)app, (void)request;
    bytes_append_text(&ret_response->body, "ok");
    ret_response->content_type = "text/plain; charset=utf-8";
    return bytes_check(&ret_response->body, f);
}

/* As kube-apiserver answers: "ok", or line by line when that is asked for or when something fails. */
static enum err answer_ready(struct app *app, const struct http_request *request, struct http_response *ret_response,
                             struct fault *f)
{
    AUTO(bytes) lines = {0};
    bool ready = parts_check(app, &lines);
    if (ready && !http_query(request, "verbose"))
        return answer_live(app, request, ret_response, f);
    bytes_append_text(&lines, ready ? "readyz check passed\n" : "readyz check failed\n");
    TRY(bytes_check(&lines, f));
    ret_response->status = ready ? 200 : 503;
    ret_response->content_type = "text/plain; charset=utf-8";
    ret_response->body = lines;
    lines = (struct bytes){0};
    return OK;
}

static const char *const query[] = {"verbose", NULL};

struct http_response api_health_live(struct app *app, const struct http_request *request)
{
    return api_answer(answer_live, query, app, request);
}

struct http_response api_health_ready(struct app *app, const struct http_request *request)
{
    return api_answer(answer_ready, query, app, request);
}
