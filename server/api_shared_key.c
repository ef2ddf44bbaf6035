/* api_shared_key.c: keys that the control planes of a cluster share (ca/shared_key.h). Bytes are base64url. */
#include <stdlib.h>
#include <string.h>

#include "ca/base/encode.h"
#include "ca/issue.h"
#include "ca/shared_key.h"
#include "policies/catalogue.h"
#include "server/api.h"
#include "server/json.h"

/* ---- reading bodies ---- */

/* A member of min..max bytes in base64url. */
static void node_base64url(const struct node *node, size_t min, size_t max, struct bytes *ret_data)
{
    const char *text = NULL;
    struct fault why = {0};
    if (!node_string(node, NODE_REQUIRED, &text))
        return;
    if (base64url_decode(span_text(text), ret_data, &why) != OK)
        node_error(node, "%s", why.text);
    else if (ret_data->size < min || ret_data->size > max)
        node_error(node, "%zu bytes, where %zu to %zu are expected", ret_data->size, min, max);
}

static void node_sealing_key(const struct node *node, uint8_t ret_key[SEALING_KEY_SIZE])
{
    AUTO(bytes) data = {0};
    node_base64url(node, SEALING_KEY_SIZE, SEALING_KEY_SIZE, &data);
    if (data.size == SEALING_KEY_SIZE)
        memcpy(ret_key, data.data, SEALING_KEY_SIZE);
}

static void node_generation(const struct node *root, const char *name, int64_t min, int64_t *ret_generation)
{
    struct node node = node_get(root, name);
    node_integer(&node, NODE_REQUIRED, min, INT32_MAX, ret_generation);
}

static void shared_caller_cleanup(struct shared_caller *caller)
{
    cluster_release(&caller->cluster);
}

static enum err caller_of(struct app *app, const struct http_request *request, struct shared_caller *ret_caller,
                          struct fault *f)
{
    AUTO(shared_caller) caller = {.caller = &request->caller};
    TRY(caller_cluster(app, &request->caller, request->parameters[0], &caller.cluster, f));
    if (request->caller.kind == REQUESTER_NODE)
        TRY(certificate_serial(request->client_certificate, caller.serial, f));
    *ret_caller = caller;
    caller.cluster = NULL;
    return OK;
}

/* ---- sealing keys ---- */

/* null when empty */
static json_t *json_base64url(struct span data)
{
    AUTO(bytes) text = {0};
    base64url_append(&text, data);
    return data.size == 0 ? json_null() : text.failed ? NULL : json_string(bytes_text(&text));
}

static enum err answer_publish(struct app *app, const struct http_request *request, struct http_response *ret_response,
                               struct fault *f)
{
    static const char *const keys[] = {"public_key", "signature", NULL};
    CLEANUP(document_auto) struct document *document = NULL;
    AUTO(bytes) signature = {0};
    AUTO(shared_caller) caller = {0};
    uint8_t public_key[SEALING_KEY_SIZE] = {0};
    TRY(caller_of(app, request, &caller, f));
    TRY(document_parse_json(request->body, &document, f));
    struct node root = document_root(document, f);
    struct node key_node = node_get(&root, "public_key"), signature_node = node_get(&root, "signature");
    node_allow(&root, keys);
    node_sealing_key(&key_node, public_key);
    node_base64url(&signature_node, 1, SHARED_SIGNATURE_MAX, &signature);
    TRY(fault_if_reasons(f, CODE_INVALID, "the body is not valid"));
    TRY(sealing_key_publish(app->ca, &caller, public_key, bytes_span(&signature), f));
    *ret_response = http_json(
        200, json_pack("{ss so}", "node", request->caller.node, "sealing_key", json_base64url(SPAN_OF(public_key))));
    return OK;
}

struct http_response api_sealing_key_put(struct app *app, const struct http_request *request)
{
    return api_answer(answer_publish, NULL, app, request);
}

/* ---- a shared key as JSON ---- */

static json_t *json_name(const char *name)
{
    return name[0] ? json_string(name) : json_null();
}

/* The certificate of the node identity that signed something, and whether it was revoked. */
static enum err identity_json(struct ca *ca, const uint8_t serial[SERIAL_SIZE], json_t **ret_pem, bool *ret_revoked,
                              struct fault *f)
{
    AUTO(certificate_record) record = {0};
    AUTO(bytes) pem = {0};
    TRY(certificate_get(ca, serial, &record, f));
    *ret_revoked = record.revoked_at != 0;
    pem_append(&pem, "CERTIFICATE", bytes_span(&record.certificate));
    TRY(bytes_check(&pem, f));
    *ret_pem = json_string(bytes_text(&pem));
    return OK;
}

struct view {
    struct ca *ca;
    const struct caller *caller;
    const struct cluster *cluster;
    struct sealing_keys keys;
    struct shared_key key;
};

static void view_free(struct view **view)
{
    if (*view) {
        sealing_keys_cleanup(&(*view)->keys);
        shared_key_cleanup(&(*view)->key);
    }
    free(*view);
}

static const struct shared_receiver *view_receiver(struct view *view, const char *name)
{
    const struct shared_receiver *receiver = shared_key_receiver(&view->key, name);
    return shared_receiver_current(receiver, view->cluster, &view->keys) ? receiver : NULL;
}

/* A node whose identity was revoked is none to seal for, until it has another one and publishes a key by it. */
static enum err nodes_json(struct view *view, json_t **list, struct fault *f)
{
    for (size_t i = 0; i < view->keys.count; i++) {
        const struct sealing_key *key = &view->keys.items[i];
        const struct shared_receiver *receiver = view_receiver(view, key->node);
        CLEANUP(json_cleanup) json_t *pem = NULL;
        bool revoked = false;
        TRY(identity_json(view->ca, key->serial, &pem, &revoked, f));
        if (revoked)
            continue;
        json_list_add(list, json_pack("{ss so so so sb sb}", "node", key->node, "sealing_key",
                                      json_base64url(SPAN_OF(key->public_key)), "signature",
                                      json_base64url(bytes_span(&key->signature)), "certificate", TAKE(pem), "sealed",
                                      receiver && receiver->sealed.size > 0, "holds", receiver && receiver->holds));
    }
    return OK;
}

/* A node's own; an admin's is the one for the offline receiver, which is the admin's to keep. */
static enum err envelope_json(struct view *view, json_t **ret_json, struct fault *f)
{
    const struct caller *caller = view->caller;
    const char *name = caller->kind == REQUESTER_NODE ? caller->node : SHARED_RECOVERY;
    const struct shared_receiver *receiver = caller->kind == REQUESTER_AUDITOR ? NULL : view_receiver(view, name);
    *ret_json = json_null();
    if (!receiver || receiver->sealed.size == 0)
        return OK;
    json_t *pem = NULL;
    bool revoked; /* what is in the envelope is the key that was claimed, or nobody takes it */
    TRY(identity_json(view->ca, receiver->serial, &pem, &revoked, f));
    *ret_json = json_pack("{ss so so so so}", "sender", receiver->sender, "certificate", pem, "sealing_key",
                          json_base64url(SPAN_OF(receiver->sealing_key)), "sealed",
                          json_base64url(bytes_span(&receiver->sealed)), "signature",
                          json_base64url(bytes_span(&receiver->signature)));
    return OK;
}

/* The one that goes with the key, as GET /v1/certificates/{serial} shows it to those whose it is. */
static enum err certificate_json(struct view *view, json_t **ret_json, struct fault *f)
{
    AUTO(certificate_record) record = {0};
    AUTO(bytes) text = {0};
    *ret_json = json_null();
    if (!view->key.certified)
        return OK;
    TRY(certificate_get(view->ca, view->key.serial, &record, f));
    TRY(json_certificate_text(view->ca, &record, NULL, &text, f));
    *ret_json = json_loadb((const char *)text.data, text.size, 0, NULL);
    return OK;
}

static json_t *view_json(struct view *view, json_t *take_nodes, json_t *take_envelope, json_t *take_certificate)
{
    const struct shared_key *key = &view->key;
    const struct cluster *cluster = view->cluster;
    const struct shared_receiver *recovery = view_receiver(view, SHARED_RECOVERY);
    bool node = view->caller->kind == REQUESTER_NODE;
    bool claimable = node && shared_key_claimable(key, cluster, &view->keys, view->caller->node,
                                                  clock_read(view->ca->clock).seconds);
    return json_pack(
        "{ss ss ss sI so so so sb sb so sb so so so}", "cluster", cluster->name, "name", key->name, "key_algorithm",
        key_algorithm_name(catalogue_shared_algorithm(cluster, &view->ca->profiles, key->name)), "generation",
        (json_int_t)key->generation, "custodian", json_name(key->custodian), "spki",
        json_base64url(bytes_span(&key->spki)), "claimed_at",
        key->generation ? json_time(key->claimed_at) : json_null(), "held", shared_key_held(key, cluster, &view->keys),
        "claimable", claimable, "recovery_key",
        json_base64url(span(cluster->recovery_key, cluster->has_recovery ? SEALING_KEY_SIZE : 0)), "recovery_sealed",
        recovery != NULL, "nodes", take_nodes, "envelope", take_envelope, "certificate", take_certificate);
}

/* What all of these routes answer with: the key as it is now. */
static enum err shared_key_show(struct app *app, const struct http_request *request, const struct cluster *cluster,
                                struct http_response *ret_response, struct fault *f)
{
    CLEANUP(view_free) struct view *view = calloc(1, sizeof *view);
    CLEANUP(json_cleanup) json_t *nodes = json_array();
    CLEANUP(json_cleanup) json_t *envelope = NULL;
    CLEANUP(json_cleanup) json_t *certificate = NULL;
    uint64_t revision;
    if (!view)
        return fault_no_memory(f);
    view->ca = app->ca;
    view->caller = &request->caller;
    view->cluster = cluster;
    TRY(sealing_keys_load(app->ca, cluster->name, &view->keys, f));
    TRY(shared_key_get(app->ca, cluster, request->parameters[1], &view->key, &revision, f));
    TRY(nodes_json(view, &nodes, f));
    TRY(envelope_json(view, &envelope, f));
    TRY(certificate_json(view, &certificate, f));
    json_t *given_nodes = TAKE(nodes), *given_envelope = TAKE(envelope), *given_certificate = TAKE(certificate);
    *ret_response = http_json(200, view_json(view, given_nodes, given_envelope, given_certificate));
    return OK;
}

static enum err answer_get(struct app *app, const struct http_request *request, struct http_response *ret_response,
                           struct fault *f)
{
    AUTO(shared_caller) caller = {0};
    TRY(caller_of(app, request, &caller, f));
    if (request->caller.kind == REQUESTER_NODE)
        TRY(shared_caller_check(app->ca, &caller, "shared key", f));
    return shared_key_show(app, request, caller.cluster, ret_response, f);
}

struct http_response api_shared_key_get(struct app *app, const struct http_request *request)
{
    return api_answer(answer_get, NULL, app, request);
}

/* ---- claim, certify, seal, acknowledge, reset ---- */

static enum err answer_claim(struct app *app, const struct http_request *request, struct http_response *ret_response,
                             struct fault *f)
{
    static const char *const keys[] = {"expected_generation", "spki", NULL};
    CLEANUP(document_auto) struct document *document = NULL;
    AUTO(bytes) spki = {0};
    AUTO(shared_caller) caller = {0};
    int64_t generation = 0;
    TRY(caller_of(app, request, &caller, f));
    TRY(document_parse_json(request->body, &document, f));
    struct node root = document_root(document, f);
    struct node spki_node = node_get(&root, "spki");
    node_allow(&root, keys);
    node_generation(&root, "expected_generation", 0, &generation);
    node_base64url(&spki_node, 1, SHARED_SPKI_MAX, &spki);
    TRY(fault_if_reasons(f, CODE_INVALID, "the body is not valid"));
    struct public_key public_key;
    TRY(public_key_parse(bytes_span(&spki), &public_key, f));
    TRY(shared_key_claim(app->ca, &caller, request->parameters[1], (uint32_t)generation, bytes_span(&spki), f));
    return shared_key_show(app, request, caller.cluster, ret_response, f);
}

struct http_response api_shared_key_claim(struct app *app, const struct http_request *request)
{
    return api_answer(answer_claim, NULL, app, request);
}

static enum err answer_certify(struct app *app, const struct http_request *request, struct http_response *ret_response,
                               struct fault *f)
{
    static const char *const keys[] = {"csr", "lifetime_seconds", NULL};
    CLEANUP(document_auto) struct document *document = NULL;
    AUTO(issue_result) result = {0};
    AUTO(shared_caller) caller = {0};
    const char *csr = NULL;
    int64_t lifetime_seconds = 0;
    TRY(caller_of(app, request, &caller, f));
    TRY(document_parse_json(request->body, &document, f));
    struct node root = document_root(document, f), csr_node = node_get(&root, "csr"),
                lifetime = node_get(&root, "lifetime_seconds");
    node_allow(&root, keys);
    node_string(&csr_node, NODE_REQUIRED, &csr);
    node_integer(&lifetime, NODE_OPTIONAL, 1, INT32_MAX, &lifetime_seconds);
    TRY(fault_if_reasons(f, CODE_INVALID, "the body is not valid"));
    TRY(shared_caller_check(app->ca, &caller, "shared key", f));
    if (!catalogue_shares_certificate(caller.cluster, request->parameters[1]))
        return fault_set(f, CODE_NOT_FOUND, "cluster \"%s\" shares no certificate of that name", caller.cluster->name);
    const struct issue_request asked = {.caller = request->caller,
                                        .profile = request->parameters[1],
                                        .cluster = caller.cluster->name,
                                        .node = "",
                                        .identity = "",
                                        .lifetime_seconds = lifetime_seconds,
                                        .csr_pem = span_text(csr)};
    TRY(issue(app->ca, &asked, &result, f));
    return shared_key_show(app, request, caller.cluster, ret_response, f);
}

struct http_response api_shared_key_certify(struct app *app, const struct http_request *request)
{
    return api_answer(answer_certify, NULL, app, request);
}

struct envelopes {
    struct shared_envelope items[SHARED_RECEIVERS_MAX];
    size_t count;
};

static void envelopes_cleanup(struct envelopes *envelopes)
{
    for (size_t i = 0; i < envelopes->count; i++) {
        bytes_free(&envelopes->items[i].sealed);
        bytes_free(&envelopes->items[i].signature);
    }
}

static void envelope_read(const struct node *entry, struct shared_envelope *envelope)
{
    static const char *const keys[] = {"receiver", "sealing_key", "sealed", "signature", NULL};
    struct node receiver = node_get(entry, "receiver"), key = node_get(entry, "sealing_key");
    struct node sealed = node_get(entry, "sealed"), signature = node_get(entry, "signature");
    node_allow(entry, keys);
    node_string(&receiver, NODE_REQUIRED, &envelope->receiver);
    node_sealing_key(&key, envelope->sealing_key);
    node_base64url(&sealed, 1, SHARED_SEALED_MAX, &envelope->sealed);
    node_base64url(&signature, 1, SHARED_SIGNATURE_MAX, &envelope->signature);
}

/* The texts borrow from the document. */
static enum err envelopes_read(const struct document *document, int64_t *ret_generation, struct envelopes *envelopes,
                               struct fault *f)
{
    static const char *const keys[] = {"generation", "envelopes", NULL};
    struct node root = document_root(document, f);
    struct node list = node_get(&root, "envelopes");
    node_allow(&root, keys);
    node_generation(&root, "generation", 1, ret_generation);
    size_t count = node_count(&list, NODE_REQUIRED, SHARED_RECEIVERS_MAX);
    for (; envelopes->count < count; envelopes->count++) {
        struct node entry = node_at(&list, envelopes->count);
        envelope_read(&entry, &envelopes->items[envelopes->count]);
    }
    if (json_is_array(list.value) && json_array_size(list.value) == 0)
        node_error(&list, "at least one");
    return fault_if_reasons(f, CODE_INVALID, "the body is not valid");
}

static enum err answer_seal(struct app *app, const struct http_request *request, struct http_response *ret_response,
                            struct fault *f)
{
    CLEANUP(document_auto) struct document *document = NULL;
    AUTO(envelopes) envelopes = {0};
    AUTO(shared_caller) caller = {0};
    int64_t generation = 0;
    TRY(caller_of(app, request, &caller, f));
    TRY(document_parse_json(request->body, &document, f));
    TRY(envelopes_read(document, &generation, &envelopes, f));
    TRY(shared_key_seal(app->ca, &caller, request->parameters[1], (uint32_t)generation, envelopes.items,
                        envelopes.count, f));
    return shared_key_show(app, request, caller.cluster, ret_response, f);
}

struct http_response api_shared_key_seal(struct app *app, const struct http_request *request)
{
    return api_answer(answer_seal, NULL, app, request);
}

/* {"generation": 1} */
static enum err generation_read(const struct http_request *request, int64_t *ret_generation, struct fault *f)
{
    static const char *const keys[] = {"generation", NULL};
    CLEANUP(document_auto) struct document *document = NULL;
    TRY(document_parse_json(request->body, &document, f));
    struct node root = document_root(document, f);
    node_allow(&root, keys);
    node_generation(&root, "generation", 1, ret_generation);
    return fault_if_reasons(f, CODE_INVALID, "the body is not valid");
}

static enum err answer_acknowledge(struct app *app, const struct http_request *request,
                                   struct http_response *ret_response, struct fault *f)
{
    AUTO(shared_caller) caller = {0};
    int64_t generation = 0;
    TRY(caller_of(app, request, &caller, f));
    TRY(generation_read(request, &generation, f));
    TRY(shared_key_acknowledge(app->ca, &caller, request->parameters[1], (uint32_t)generation, f));
    return shared_key_show(app, request, caller.cluster, ret_response, f);
}

struct http_response api_shared_key_acknowledge(struct app *app, const struct http_request *request)
{
    return api_answer(answer_acknowledge, NULL, app, request);
}

static enum err answer_reset(struct app *app, const struct http_request *request, struct http_response *ret_response,
                             struct fault *f)
{
    CLEANUP(cluster_release) const struct cluster *cluster = NULL;
    int64_t generation = 0;
    TRY(caller_cluster(app, &request->caller, request->parameters[0], &cluster, f));
    TRY(generation_read(request, &generation, f));
    TRY(shared_key_reset(app->ca, &request->caller, cluster, request->parameters[1], (uint32_t)generation, f));
    return shared_key_show(app, request, cluster, ret_response, f);
}

struct http_response api_shared_key_reset(struct app *app, const struct http_request *request)
{
    return api_answer(answer_reset, NULL, app, request);
}
