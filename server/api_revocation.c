/* api_revocation.c: what is revoked, and who asks whether something is (ca/revocation.h). */
#include <stdlib.h>
#include <string.h>

#include "ca/base/encode.h"
#include "ca/crl.h"
#include "ca/revocation.h"
#include "server/api.h"
#include "server/json.h"

/* How Kubernetes names a certificate (from 1.32 on), and what follows: the SHA-256 of its DER. */
#define CREDENTIAL_KEY "authentication.kubernetes.io/credential-id"
#define CREDENTIAL_PREFIX "X509SHA256="
#define AUTHORITY_KUBERNETES "kubernetes"

/* ---- revoking ---- */

static void reason_read(const struct node *root, uint8_t *ret_reason)
{
    size_t index = 0;
    struct node reason = node_get(root, "reason");
    if (node_word(&reason, NODE_REQUIRED, crl_reason_words, &index) &&
        !crl_reason_by_word(crl_reason_words[index], ret_reason))
        node_error(&reason, "not a reason");
}

/* The CRL that lists what was just revoked. That stands in any case: what kept the CRL from being made is told, and the
 * server tries again (upkeep.h). */
static json_t *crl_outcome(struct app *app, const char *cluster, const char *authority)
{
    AUTO(crl_record) crl = {0};
    struct fault why = {0};
    if (crl_refresh(app->ca, cluster, authority, &crl, &why) == OK)
        return json_pack("{ss ss sI so sn}", "cluster", cluster, "authority", authority, "number",
                         (json_int_t)crl.number, "next_update", json_time(crl.next_update), "problem");
    revocations_set_unlisted(app->ca->revocations);
    bool ours = code_http_status(why.code) == 500;
    return json_pack("{ss ss sn sn ss}", "cluster", cluster, "authority", authority, "number", "next_update", "problem",
                     ours ? "the service failed; its log has the cause" : why.text);
}

static enum err answer_revoke(struct app *app, const struct http_request *request, struct http_response *ret_response,
                              struct fault *f)
{
    static const char *const keys[] = {"reason", NULL};
    CLEANUP(document_auto) struct document *document = NULL;
    uint8_t serial[SERIAL_SIZE], reason = 0;
    struct revocation_record record;
    TRY(hex_decode(request->parameters[0], serial, sizeof serial, f));
    TRY(document_parse_json(request->body, &document, f));
    struct node root = document_root(document, f);
    node_allow(&root, keys);
    reason_read(&root, &reason);
    TRY(fault_if_reasons(f, CODE_INVALID, "the body is not valid"));
    TRY(revocation_make(app->ca, &request->caller, serial, reason, &record, f));
    CLEANUP(json_cleanup) json_t *crl = crl_outcome(app, record.cluster, record.authority);
    json_t *problem = json_object_get(crl, "problem");
    json_incref(problem);
    json_object_del(crl, "problem");
    *ret_response =
        http_json(200, json_pack("{so so ss sO so}", "serial", json_hex(SPAN_OF(record.serial)), "revoked_at",
                                 json_time(record.revoked_at), "reason", crl_reason_word(record.reason), "crl",
                                 json_is_null(problem) ? crl : json_null(), "crl_problem", problem));
    return OK;
}

struct http_response api_revocation_make(struct app *app, const struct http_request *request)
{
    return api_answer(answer_revoke, NULL, app, request);
}

/* ---- revoking all that a selector matches ---- */

static enum err selector_read(const struct document *document, struct revocation_selector *selector,
                              uint8_t *ret_reason, struct fault *f)
{
    static const char *const keys[] = {"node", "profile", "user", "reason", NULL};
    struct node root = document_root(document, f);
    struct node name = node_get(&root, "node"), profile = node_get(&root, "profile"), user = node_get(&root, "user");
    node_allow(&root, keys);
    node_string(&name, NODE_OPTIONAL, &selector->node);
    node_string(&profile, NODE_OPTIONAL, &selector->profile);
    node_string(&user, NODE_OPTIONAL, &selector->user);
    reason_read(&root, ret_reason);
    if (!selector->node && !selector->profile && !selector->user)
        node_error(&root, "names neither a node, a profile nor a user");
    return fault_if_reasons(f, CODE_INVALID, "the body is not valid");
}

static json_t *made_items(const struct revocations_made *made)
{
    json_t *items = json_array();
    for (size_t i = 0; i < made->count; i++) {
        const struct certificate_record *record = &made->records[i];
        json_list_add(&items, json_pack("{so ss so so}", "serial", json_hex(SPAN_OF(record->serial)), "profile",
                                        record->profile, "node", json_bytes(span_text(record->node)), "user",
                                        json_bytes(span_text(record->identity))));
    }
    return items;
}

static bool authority_first(const struct revocations_made *made, size_t i)
{
    for (size_t earlier = 0; earlier < i; earlier++)
        if (strcmp(made->records[earlier].authority, made->records[i].authority) == 0)
            return false;
    return true;
}

static json_t *made_crls(struct app *app, const struct revocations_made *made)
{
    json_t *crls = json_array();
    for (size_t i = 0; i < made->count; i++) {
        const struct certificate_record *record = &made->records[i];
        if (authority_first(made, i))
            json_list_add(&crls,
                          crl_outcome(app, revocation_cluster(record->cluster, record->authority), record->authority));
    }
    return crls;
}

static void made_free(struct revocations_made **made)
{
    if (*made)
        revocations_made_cleanup(*made);
    free(*made);
}

static enum err answer_revoke_all(struct app *app, const struct http_request *request,
                                  struct http_response *ret_response, struct fault *f)
{
    CLEANUP(document_auto) struct document *document = NULL;
    CLEANUP(made_free) struct revocations_made *made = calloc(1, sizeof *made);
    const struct cluster *cluster = NULL;
    struct revocation_selector selector = {0};
    uint8_t reason = 0;
    if (!made)
        return fault_no_memory(f);
    TRY(caller_cluster(app, &request->caller, request->parameters[0], &cluster, f));
    TRY(document_parse_json(request->body, &document, f));
    TRY(selector_read(document, &selector, &reason, f));
    selector.cluster = cluster->name;
    enum err err = revocation_make_all(app->ca, &request->caller, &selector, reason, made, f);
    json_t *crls = made_crls(app, made); /* also of what was revoked before it failed */
    if (err != OK) {
        json_decref(crls);
        return err;
    }
    *ret_response = http_json(200, json_pack("{so sI sb so}", "items", made_items(made), "tokens",
                                             (json_int_t)made->tokens, "more", made->more, "crls", crls));
    return OK;
}

struct http_response api_revocation_make_all(struct app *app, const struct http_request *request)
{
    return api_answer(answer_revoke_all, NULL, app, request);
}

/* ---- for API servers without a webhook: a list to deny by ---- */

struct listing {
    int64_t now;
    struct bytes *out;
};

static void fingerprint_add(void *context, const struct revocation_record *record)
{
    struct listing *listing = context;
    if (record->not_after < listing->now)
        return;
    bytes_append_text(listing->out, CREDENTIAL_PREFIX);
    hex_append(listing->out, SPAN_OF(record->sha256));
    bytes_append_text(listing->out, "\n");
}

/* Of all that its CA issued: one that is for servers only is no client's in any case. */
static enum err answer_fingerprints(struct app *app, const struct http_request *request,
                                    struct http_response *ret_response, struct fault *f)
{
    const struct cluster *cluster = NULL;
    TRY(caller_cluster(app, &request->caller, request->parameters[0], &cluster, f));
    struct listing listing = {ca_now(app->ca), &ret_response->body};
    revocations_each(app->ca->revocations, cluster->name, AUTHORITY_KUBERNETES, fingerprint_add, &listing);
    TRY(bytes_check(&ret_response->body, f));
    ret_response->content_type = "text/plain; charset=utf-8";
    return etag_set(ret_response, f);
}

struct http_response api_revocation_fingerprints(struct app *app, const struct http_request *request)
{
    return api_answer(answer_fingerprints, NULL, app, request);
}

/* ---- the webhook ---- */

static bool credential_revoked(struct ca *ca, const char *cluster, const char *credential)
{
    uint8_t sha256[SHA256_SIZE];
    struct fault ignored = {0};
    return span_starts(span_text(credential), span_text(CREDENTIAL_PREFIX)) &&
           hex_decode(credential + strlen(CREDENTIAL_PREFIX), sha256, sizeof sha256, &ignored) == OK &&
           revocations_has(ca->revocations, cluster, AUTHORITY_KUBERNETES, sha256);
}

enum err review_read(const struct document *document, json_t **ret_credentials, struct fault *f)
{
    static const char *const versions[] = {"authorization.k8s.io/v1", "authorization.k8s.io/v1beta1", NULL};
    static const char *const kinds[] = {"SubjectAccessReview", NULL};
    size_t index;
    struct node root = document_root(document, f);
    struct node version = node_get(&root, "apiVersion"), kind = node_get(&root, "kind");
    struct node spec = node_get(&root, "spec"), extra = node_get(&spec, "extra");
    struct node credentials = node_get(&extra, CREDENTIAL_KEY);
    node_word(&version, NODE_REQUIRED, versions, &index);
    node_word(&kind, NODE_REQUIRED, kinds, &index);
    if (!json_is_object(spec.value))
        node_error(&spec, "must be an object");
    if (node_present(&extra) && !json_is_null(extra.value) && !json_is_object(extra.value))
        node_error(&extra, "must be an object");
    size_t count = node_count(&credentials, NODE_OPTIONAL, REVIEW_CREDENTIALS_MAX);
    for (size_t i = 0; i < count; i++) {
        const char *text;
        struct node item = node_at(&credentials, i);
        node_string(&item, NODE_REQUIRED, &text);
    }
    TRY(fault_if_reasons(f, CODE_INVALID, "the body is not a SubjectAccessReview"));
    *ret_credentials = credentials.value;
    return OK;
}

/* The API server asks with each request of a user: so nothing is written, also when a node asks that should not. */
static enum err reviewer_check(const struct caller *caller, const struct cluster *cluster, struct fault *f)
{
    const struct node_entry *node = cluster_node(cluster, caller->node);
    if (node && node->roles & ROLE_CONTROL_PLANE)
        return OK;
    return fault_set(f, CODE_POLICY_DENIED, "only control planes of cluster \"%s\" ask who was revoked", cluster->name);
}

static json_t *review_status(bool revoked)
{
    return revoked ? json_pack("{sb sb ss}", "allowed", 0, "denied", 1, "reason",
                               "the client certificate was revoked (Ensign)")
                   : json_pack("{sb}", "allowed", 0);
}

static enum err answer_review(struct app *app, const struct http_request *request, struct http_response *ret_response,
                              struct fault *f)
{
    CLEANUP(document_auto) struct document *document = NULL;
    const struct cluster *cluster = NULL;
    json_t *credentials = NULL, *item;
    size_t index;
    bool revoked = false;
    TRY(caller_cluster(app, &request->caller, request->parameters[0], &cluster, f));
    TRY(reviewer_check(&request->caller, cluster, f));
    TRY(document_parse_json(request->body, &document, f));
    TRY(review_read(document, &credentials, f));
    json_array_foreach(credentials, index, item) revoked |=
        credential_revoked(app->ca, cluster->name, json_string_value(item));
    json_t *review = json_copy(document_json(document));
    if (!review || json_object_set_new(review, "status", review_status(revoked)) != 0) {
        json_decref(review);
        return fault_no_memory(f);
    }
    *ret_response = http_json(200, review);
    return OK;
}

/* API servers say how long they wait. */
struct http_response api_revocation_review(struct app *app, const struct http_request *request)
{
    static const char *const query[] = {"timeout", NULL};
    return api_answer(answer_review, query, app, request);
}
