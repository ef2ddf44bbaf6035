/* api_work.c: what a node's agent has to do, told when there is something new (ca/work.h, ca/news.h). */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "ca/base/encode.h"
#include "ca/crl.h"
#include "ca/work.h"
#include "server/api.h"
#include "server/clock.h"
#include "server/json.h"

enum {
    WAIT_SECONDS_MAX = 25,  /* an answer has 30 s in all (server/http.h) */
    CALLS_PER_SECOND = 100, /* of those who cannot wait, of all nodes together */
    POLL_SECONDS_MAX = 3600,
};

/* ---- as JSON ---- */

static json_t *renew_json(const struct work_item *work)
{
    if (!work->reason)
        return json_null();
    return json_pack("{ss ss so}", "reason", work->reason, "detail", work->detail, "rotation",
                     work->marked ? json_hex(SPAN_OF(work->rotation)) : json_null());
}

static json_t *certificates_json(const struct work *work)
{
    json_t *list = json_array();
    for (size_t i = 0; i < work->count; i++) {
        const struct work_item *item = &work->items[i];
        json_list_add(&list, json_pack("{ss so so sb sb}", "profile", item->item->profile->name, "serial",
                                       item->issued ? json_hex(SPAN_OF(item->serial)) : json_null(), "renew",
                                       renew_json(item), "blocked", item->blocked, "shared", item->item->shared));
    }
    return list;
}

/* Where they lead, which the inventory can change while the certificate stays the same. */
static json_t *kubeconfigs_json(const struct work *work)
{
    json_t *list = json_array();
    for (size_t i = 0; i < work->catalogue.count; i++) {
        const struct catalogue_item *item = &work->catalogue.items[i];
        if (item->kind == CATALOGUE_KUBECONFIG)
            json_list_add(&list, json_pack("{ss ss}", "profile", item->profile->name, "server", item->server));
    }
    return list;
}

/* The ETag of what api_authority_bundle answers. */
static enum err bundle_add(struct app *app, const char *cluster, const char *authority, json_t **list, struct fault *f)
{
    bool of_service = strcmp(authority, AUTHORITY_SERVICE) == 0;
    AUTO(http_response) bundle = {0};
    TRY(authorities_bundle(app->ca->authorities, of_service ? CLUSTER_SERVICE : cluster, authority, &bundle.body, f));
    TRY(etag_set(&bundle, f));
    json_list_add(list, json_pack("{ss ss}", "authority", authority, "etag", bundle.etag));
    return OK;
}

static enum err bundles_json(struct app *app, const struct work *work, json_t **ret_list, struct fault *f)
{
    CLEANUP(json_cleanup) json_t *list = json_array();
    for (size_t i = 0; i < work->catalogue.count; i++)
        if (work->catalogue.items[i].kind == CATALOGUE_BUNDLE)
            TRY(bundle_add(app, work->catalogue.cluster->name, work->catalogue.items[i].name, &list, f));
    *ret_list = TAKE(list);
    return OK;
}

/* The numbers of the CRLs that there are. */
static enum err crls_json(struct app *app, const char *cluster, json_t **ret_list, struct fault *f)
{
    CLEANUP(json_cleanup) json_t *list = json_array();
    for (const char *const *name = cluster_authorities; *name; name++) {
        AUTO(crl_record) crl = {0};
        enum err err = crl_stored(app->ca, cluster, *name, &crl, f);
        if (err == OK)
            json_list_add(&list, json_pack("{ss sI}", "authority", *name, "number", (json_int_t)crl.number));
        else if (err != ERR_ABSENT)
            return err;
        fault_clear(f);
    }
    *ret_list = TAKE(list);
    return OK;
}

/* Everything of the answer that a change of makes another revision. */
static enum err work_json(struct app *app, const struct cluster *cluster, const char *node, json_t **ret_json,
                          struct fault *f)
{
    AUTO(work) work = {0};
    CLEANUP(json_cleanup) json_t *bundles = NULL;
    CLEANUP(json_cleanup) json_t *crls = NULL;
    TRY(work_make(app->ca, cluster, node, &work, f));
    TRY(bundles_json(app, &work, &bundles, f));
    TRY(crls_json(app, cluster->name, &crls, f));
    *ret_json = json_pack("{so so so so}", "certificates", certificates_json(&work), "kubeconfigs",
                          kubeconfigs_json(&work), "crls", TAKE(crls), "bundles", TAKE(bundles));
    return *ret_json ? OK : fault_no_memory(f);
}

/* ---- revisions ---- */

enum { REVISION_SIZE = 16, REVISION_TEXT_SIZE = 2 * REVISION_SIZE + 1 };

static enum err revision_make(const json_t *work, char ret_text[REVISION_TEXT_SIZE], struct fault *f)
{
    uint8_t hash[REVISION_SIZE];
    char *text = json_dumps(work, JSON_COMPACT | JSON_SORT_KEYS);
    if (!text)
        return fault_no_memory(f);
    crypto_generichash(hash, sizeof hash, (const uint8_t *)text, strlen(text), NULL, 0);
    free(text);
    hex_text(SPAN_OF(hash), ret_text, REVISION_TEXT_SIZE);
    return OK;
}

/* ---- waiting ---- */

static bool nodes_add(void *context, const struct cluster *cluster)
{
    size_t *count = context;
    *count += cluster->nodes_count;
    return true;
}

/* When all nodes cannot wait, and stay away for so long, they come in the rate that they may. */
static int spread_seconds(struct ca *ca)
{
    size_t nodes = 0;
    cluster_each(ca, nodes_add, &nodes);
    size_t seconds = nodes / CALLS_PER_SECOND + 1;
    seconds += randombytes_uniform((uint32_t)seconds + 1);
    return (int)(seconds < POLL_SECONDS_MAX ? seconds : POLL_SECONDS_MAX);
}

struct question {
    struct app *app;
    const struct http_request *request;
    const char *cluster, *node, *seen;
    int64_t until_milliseconds;
    json_t *work; /* of the answer */
    char revision[REVISION_TEXT_SIZE];
};

static void question_cleanup(struct question *question)
{
    json_decref(question->work);
}

/* The work as it is now. The inventory is looked up each time: it may be another one. */
static enum err question_look(struct question *question, bool *ret_fresh, struct fault *f)
{
    CLEANUP(cluster_release) const struct cluster *cluster = NULL;
    TRY(caller_cluster(question->app, &question->request->caller, question->cluster, &cluster, f));
    json_decref(TAKE(question->work));
    TRY(work_json(question->app, cluster, question->node, &question->work, f));
    TRY(revision_make(question->work, question->revision, f));
    *ret_fresh = !question->seen || strcmp(question->seen, question->revision) != 0;
    return OK;
}

/* Joins first and looks then, so that nothing happens in between. What was looked at is not kept while waiting. */
static enum err question_wait(struct question *question, struct news_reader *reader, bool *ret_fresh, struct fault *f)
{
    struct news *news = question->app->ca->news;
    TRY(question_look(question, ret_fresh, f));
    while (!*ret_fresh) {
        json_decref(TAKE(question->work));
        bool rung = news_wait(news, reader, question->until_milliseconds);
        TRY(question_look(question, ret_fresh, f));
        if (!rung)
            break;
    }
    return OK;
}

/* *ret_poll  how long to stay away: nothing after a call that has waited or has something new */
static enum err question_answer(struct question *question, bool wait, int *ret_poll, struct fault *f)
{
    struct news *news = question->app->ca->news;
    struct news_reader reader;
    bool fresh = false, joined = wait && news_join(news, &reader, question->cluster, question->node);
    if (!joined) {
        TRY(question_look(question, &fresh, f));
        *ret_poll = fresh && wait ? 0 : spread_seconds(question->app->ca);
        return OK;
    }
    enum err err = question_wait(question, &reader, &fresh, f);
    bool dismissed = reader.dismissed;
    news_leave(news, &reader);
    *ret_poll = dismissed && !fresh ? spread_seconds(question->app->ca) : 0;
    return err;
}

/* ---- the handler ---- */

static enum err answer_get(struct app *app, const struct http_request *request, struct http_response *ret_response,
                           struct fault *f)
{
    AUTO(question) question = {.app = app, .request = request, .seen = http_query(request, "seen")};
    int64_t wait = 0;
    int poll = 0;
    question.cluster = request->parameters[0];
    question.node = request->parameters[1];
    if (!caller_sees_node(&request->caller, question.cluster, question.node))
        return fault_set(f, CODE_NOT_FOUND, "no such node");
    query_integer(request, "wait", 0, WAIT_SECONDS_MAX, &wait, f);
    TRY(fault_if_reasons(f, CODE_INVALID, "the query is not valid"));
    question.until_milliseconds = clock_milliseconds() + wait * 1000;
    TRY(question_answer(&question, wait > 0, &poll, f));
    CLEANUP(json_cleanup)
    json_t *answer =
        json_pack("{ss so si}", "revision", question.revision, "now", json_time(ca_now(app->ca)), "poll_seconds", poll);
    if (!answer || json_object_update(answer, question.work) != 0)
        return fault_no_memory(f);
    *ret_response = http_json(200, TAKE(answer));
    return OK;
}

struct http_response api_work_get(struct app *app, const struct http_request *request)
{
    static const char *const query[] = {"wait", "seen", NULL};
    return api_answer(answer_get, query, app, request);
}
