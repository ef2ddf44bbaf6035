#include "client/shared_keys.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "ca/base/encode.h"
#include "client/envelope.h"
#include "client/files.h"
#include "client/keys.h"
#include "client/session.h"
#include "client/shared_proposal.h"
#include "client/text.h"

/* The receiver that is no node (ca/shared_key.h). */
static const char recovery[] = "@recovery";
static const char sealing_file[] = "sealing.key";
enum { POLL_MILLISECONDS = 500, NODES_SHOWN_MAX = 32 };

/* The node at its work on one key. */
struct work {
    const struct shared_keys *keys;
    const char *name;
    struct session session; /* as the node */
    struct document *self;  /* of GET /v1/whoami */
    const char *cluster, *node;
    struct bytes service_ca, certificate;
    EVP_PKEY *identity_key;
    struct signer_identity identity;
    struct sealing_pair pair;
    int folder;                     /* DIR/shared */
    struct bytes private_pem, spki; /* of the key that lies there; empty when none does */
    bool holds, changed;            /* the service knows that this node holds it; something was done */
};

static void work_cleanup(struct work *work)
{
    session_cleanup(&work->session);
    document_free(work->self);
    bytes_free(&work->service_ca);
    bytes_free(&work->certificate);
    EVP_PKEY_free(work->identity_key);
    sealing_pair_cleanup(&work->pair);
    fd_cleanup(&work->folder);
    secret_cleanup(&work->private_pem);
    bytes_free(&work->spki);
}

/* ---- the key as the service has it ---- */

struct view {
    struct document *answer;
    int64_t generation;
    bool claimable, recovery_sealed;
    const char *custodian, *recovery_key; /* borrowed from the answer; NULL when there is none */
    enum key_algorithm algorithm;
    struct bytes spki;
};

static void view_cleanup(struct view *view)
{
    document_free(view->answer);
    bytes_free(&view->spki);
}

/* A member that is null or text. */
static const char *member_text(const struct node *object, const char *key)
{
    struct node node = node_get(object, key);
    const char *text = NULL;
    if (!json_is_null(node.value))
        node_string(&node, NODE_REQUIRED, &text);
    return text;
}

static enum err view_read(struct document *take_answer, struct view *ret_view, struct fault *f)
{
    AUTO(view) view = {.answer = take_answer};
    struct node root = document_root(view.answer, f);
    struct node generation = node_get(&root, "generation"), claimable = node_get(&root, "claimable");
    struct node sealed = node_get(&root, "recovery_sealed"), algorithm = node_get(&root, "key_algorithm");
    node_integer(&generation, NODE_REQUIRED, 0, INT32_MAX, &view.generation);
    node_bool(&claimable, NODE_REQUIRED, &view.claimable);
    node_bool(&sealed, NODE_REQUIRED, &view.recovery_sealed);
    view.custodian = member_text(&root, "custodian");
    view.recovery_key = member_text(&root, "recovery_key");
    const char *word = member_text(&root, "key_algorithm");
    view.algorithm = word ? key_algorithm_by_name(word) : KEY_NONE;
    if (view.algorithm == KEY_NONE)
        node_error(&algorithm, "this program does not know the algorithm");
    if (view.generation > 0)
        answer_bytes(&root, "spki", &view.spki);
    TRY(answer_finish("a shared key", f));
    *ret_view = view;
    view = (struct view){0};
    return OK;
}

static void key_path(const struct work *work, const char *tail, struct bytes *out)
{
    cluster_path(out, work->cluster, "/shared-keys/");
    percent_append(out, work->name);
    bytes_append_text(out, tail);
}

/* Asks, or changes something with this body; either way the answer is the key as it is now. */
static enum err view_ask(struct work *work, const char *method, const char *tail, const json_t *body,
                         struct view *ret_view, struct fault *f)
{
    AUTO(bytes) path = {0};
    struct document *answer = NULL;
    key_path(work, tail, &path);
    TRY(bytes_check(&path, f));
    TRY(api_json(work->session.api, method, bytes_text(&path), body, &answer, f));
    return view_read(answer, ret_view, f);
}

/* ---- setting out ---- */

static enum err identity_load(struct work *work, struct fault *f)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/context", work->keys->path);
    TRY(context_load(path, &work->session.context, f));
    TRY(api_open(&work->session.context, work->keys->wait_seconds, &work->session.api, f));
    TRY(api_json(work->session.api, "GET", "/v1/whoami", NULL, &work->self, f));
    struct node root = document_root(work->self, f);
    work->cluster = member_text(&root, "cluster");
    work->node = member_text(&root, "node");
    TRY(answer_finish("this node", f));
    if (!work->cluster || !work->node)
        return fault_set(f, CODE_USAGE, "%s is the context of no node", path);
    return OK;
}

static enum err signer_load(struct work *work, struct fault *f)
{
    const struct context *context = &work->session.context;
    AUTO(certificate) own = {0};
    TRY(session_bundle(&work->session, CLUSTER_SERVICE, AUTHORITY_SERVICE, &work->service_ca, f));
    TRY(signer_read(bytes_span(&context->certificate), work->node, bytes_span(&work->service_ca), context->pin,
                    time(NULL), &own, f));
    pem_append(&work->certificate, "CERTIFICATE", bytes_span(&own.der));
    TRY(bytes_check(&work->certificate, f));
    TRY(key_read_pem(bytes_span(&context->key), &work->identity_key, f));
    work->identity = (struct signer_identity){work->node, work->identity_key, own.public_key.algorithm};
    return OK;
}

/* On the disk before anybody seals to it. */
static enum err pair_load(struct work *work, struct fault *f)
{
    CLEANUP(secret_cleanup) struct bytes text = {0};
    enum err err = file_read_at(work->keys->folder, sealing_file, &text, f);
    if (err != ERR_ABSENT)
        return err == OK ? sealing_pair_read(bytes_span(&text), &work->pair, f) : err;
    fault_clear(f);
    TRY(sealing_pair_make(&work->pair, f));
    sealing_pair_write(&work->pair, &text);
    TRY(bytes_check(&text, f));
    return file_put_at(work->keys->folder, sealing_file, FILE_MODE_PRIVATE, FILE_NEW, bytes_span(&text), f);
}

static void file_name(const struct work *work, const char *suffix, char ret_name[NAME_MAX])
{
    snprintf(ret_name, NAME_MAX, "%s.%s", work->name, suffix);
}

static enum err key_take(struct work *work, struct bytes *take_pem, struct fault *f)
{
    CLEANUP(EVP_PKEY_auto) EVP_PKEY *key = NULL;
    AUTO(bytes) spki = {0};
    TRY(key_read_pem(bytes_span(take_pem), &key, f));
    TRY(key_spki(key, &spki, f));
    secret_cleanup(&work->private_pem);
    bytes_free(&work->spki);
    TRY(bytes_give(take_pem, &work->private_pem, f));
    return bytes_give(&spki, &work->spki, f);
}

/* The key takes the place of what lay there, which nobody holds. */
static enum err key_store(struct work *work, struct bytes *take_pem, struct fault *f)
{
    char name[NAME_MAX];
    file_name(work, "key", name);
    TRY(file_put_at(work->folder, name, FILE_MODE_PRIVATE, FILE_REPLACE, bytes_span(take_pem), f));
    return key_take(work, take_pem, f);
}

static enum err key_load(struct work *work, struct fault *f)
{
    CLEANUP(secret_cleanup) struct bytes pem = {0};
    char name[NAME_MAX];
    file_name(work, "key", name);
    TRY(folder_open_at(work->keys->folder, "shared", true, &work->folder, f));
    enum err err = file_read_at(work->folder, name, &pem, f);
    if (err == OK)
        return key_take(work, &pem, f);
    if (err == ERR_ABSENT) {
        fault_clear(f);
        err = shared_proposal(work->keys->root, work->name, &pem, f);
    }
    if (err == OK)
        return key_store(work, &pem, f);
    if (err == ERR_ABSENT)
        fault_clear(f);
    return err == ERR_ABSENT ? OK : err;
}

/* ---- publishing the sealing key ---- */

/* Whether the entry is this node's with the key and the identity that it has now. */
static bool entry_is_own(const struct work *work, const struct node *entry, const char *public_key)
{
    const char *node = member_text(entry, "node"), *key = member_text(entry, "sealing_key");
    const char *certificate = member_text(entry, "certificate");
    return node && key && certificate && strcmp(node, work->node) == 0 && strcmp(key, public_key) == 0 &&
           strcmp(certificate, bytes_text(&work->certificate)) == 0;
}

static enum err sealing_key_put(struct work *work, const char *public_key, struct fault *f)
{
    AUTO(bytes) signature = {0};
    AUTO(bytes) signature_text = {0};
    AUTO(bytes) path = {0};
    TRY(sealing_key_sign(&work->identity, work->cluster, work->pair.public_key, &signature, f));
    base64url_append(&signature_text, bytes_span(&signature));
    cluster_path(&path, work->cluster, "/sealing-key");
    TRY(bytes_check(&path, f));
    TRY(bytes_check(&signature_text, f));
    CLEANUP(json_cleanup)
    json_t *body = json_pack("{ss ss}", "public_key", public_key, "signature", bytes_text(&signature_text));
    if (!body)
        return fault_no_memory(f);
    CLEANUP(document_auto) struct document *answer = NULL;
    return api_json(work->session.api, "PUT", bytes_text(&path), body, &answer, f);
}

static enum err publish(struct work *work, struct fault *f)
{
    AUTO(view) view = {0};
    AUTO(bytes) public_key = {0};
    bool published = false;
    base64url_append(&public_key, SPAN_OF(work->pair.public_key));
    TRY(bytes_check(&public_key, f));
    TRY(view_ask(work, "GET", "", NULL, &view, f));
    struct node root = document_root(view.answer, f), list = node_get(&root, "nodes");
    size_t count = node_count(&list, NODE_REQUIRED, NODES_SHOWN_MAX);
    for (size_t i = 0; i < count; i++) {
        struct node entry = node_at(&list, i);
        published = published || entry_is_own(work, &entry, bytes_text(&public_key));
    }
    TRY(answer_finish("a shared key", f));
    return published ? OK : sealing_key_put(work, bytes_text(&public_key), f);
}

/* ---- getting the key ---- */

static enum err claim(struct work *work, const struct view *view, struct fault *f)
{
    if (work->private_pem.size == 0) {
        CLEANUP(secret_cleanup) struct bytes pem = {0};
        TRY(key_make_pem(view->algorithm, &pem, f));
        TRY(key_store(work, &pem, f));
    }
    AUTO(bytes) spki = {0};
    base64url_append(&spki, bytes_span(&work->spki));
    TRY(bytes_check(&spki, f));
    CLEANUP(json_cleanup)
    json_t *body = json_pack("{sI ss}", "expected_generation", (json_int_t)view->generation, "spki", bytes_text(&spki));
    if (!body)
        return fault_no_memory(f);
    AUTO(view) after = {0};
    return view_ask(work, "PUT", "", body, &after, f);
}

/* What this node's envelope holds; ERR_ABSENT when it has none. */
static enum err envelope_take(struct work *work, const struct view *view, struct fault *f)
{
    struct node root = document_root(view->answer, f), envelope = node_get(&root, "envelope");
    if (json_is_null(envelope.value))
        return fault_set(f, CODE_NOT_FOUND, "there is no envelope yet");
    AUTO(bytes) sealed = {0};
    AUTO(bytes) signature = {0};
    AUTO(certificate) signer = {0};
    const char *sender = member_text(&envelope, "sender"), *pem = member_text(&envelope, "certificate");
    answer_bytes(&envelope, "sealed", &sealed);
    answer_bytes(&envelope, "signature", &signature);
    TRY(answer_finish("an envelope", f));
    TRY(signer_read(span_text(pem), sender, bytes_span(&work->service_ca), work->session.context.pin, time(NULL),
                    &signer, f));
    const struct envelope_subject subject = {
        work->cluster,          work->name, (uint32_t)view->generation, work->node, work->pair.public_key,
        bytes_span(&view->spki)};
    CLEANUP(secret_cleanup) struct bytes private_pem = {0};
    TRY(envelope_open(&signer, sender, &subject, bytes_span(&sealed), bytes_span(&signature), &work->pair, &private_pem,
                      f));
    TRY(key_store(work, &private_pem, f));
    message("%s: opened, from %s", work->name, sender);
    return OK;
}

/* "masterone, mastertwo": the nodes that hold it. */
static enum err holders_text(const struct view *view, struct bytes *out, struct fault *f)
{
    struct node root = document_root(view->answer, f), list = node_get(&root, "nodes");
    size_t count = node_count(&list, NODE_REQUIRED, NODES_SHOWN_MAX);
    for (size_t i = 0; i < count; i++) {
        struct node entry = node_at(&list, i), node = node_get(&entry, "holds");
        const char *name = member_text(&entry, "node");
        bool holds = false;
        if (name && node_bool(&node, NODE_REQUIRED, &holds) && holds)
            bytes_appendf(out, "%s%s", out->size ? ", " : "", name);
    }
    TRY(answer_finish("a shared key", f));
    if (out->size == 0)
        bytes_append_text(out, view->custodian ? view->custodian : "nobody");
    return bytes_check(out, f);
}

static enum err pending(const struct work *work, const struct view *view, struct fault *f)
{
    AUTO(bytes) holders = {0};
    TRY(holders_text(view, &holders, f));
    return fault_set(f, CODE_PENDING,
                     "key \"%s\" is not sealed for %s yet: run `ensign shared-key sync` on one that has it (%s), then "
                     "here",
                     work->name, work->node, bytes_text(&holders));
}

static bool view_is_ours(const struct work *work, const struct view *view)
{
    return view->generation > 0 && span_equal(bytes_span(&view->spki), bytes_span(&work->spki));
}

/* One look at the service, and what follows from it. */
static enum err attempt(struct work *work, struct view *view, bool *ret_has, struct fault *f)
{
    TRY(view_ask(work, "GET", "", NULL, view, f));
    *ret_has = view_is_ours(work, view);
    if (*ret_has)
        return OK;
    enum err err = envelope_take(work, view, f);
    if (err == OK)
        *ret_has = true;
    if (err != ERR_ABSENT)
        return err;
    fault_clear(f);
    if (!view->claimable)
        return OK;
    err = claim(work, view, f);
    if (err == ERR_CONFLICT) { /* another one was faster: its key is the one */
        fault_clear(f);
        return OK;
    }
    return err;
}

static int64_t milliseconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ret_view  as it was when the node had the key */
static enum err key_get(struct work *work, struct view *ret_view, struct fault *f)
{
    const int64_t deadline = milliseconds_now() + work->keys->wait_seconds * 1000;
    for (;;) {
        AUTO(view) view = {0};
        bool has = false, claimable;
        TRY(attempt(work, &view, &has, f));
        if (has) {
            *ret_view = view;
            view = (struct view){0};
            return OK;
        }
        claimable = view.claimable; /* then it was claimed: look again at once */
        if (milliseconds_now() >= deadline)
            return pending(work, &view, f);
        const struct timespec pause = {0, claimable ? 0 : POLL_MILLISECONDS * 1000000L};
        nanosleep(&pause, NULL);
    }
}

/* ---- handing it on ---- */

static enum err envelope_add(struct work *work, const struct view *view, const char *receiver,
                             const uint8_t sealing_key[SEALING_KEY_SIZE], json_t *envelopes, struct fault *f)
{
    const struct envelope_subject subject = {work->cluster, work->name,  (uint32_t)view->generation,
                                             receiver,      sealing_key, bytes_span(&view->spki)};
    AUTO(bytes) sealed = {0};
    AUTO(bytes) signature = {0};
    TRY(envelope_seal(&work->identity, &subject, bytes_span(&work->private_pem), &sealed, &signature, f));
    AUTO(bytes) key_text = {0};
    AUTO(bytes) sealed_text = {0};
    AUTO(bytes) signature_text = {0};
    base64url_append(&key_text, span(sealing_key, SEALING_KEY_SIZE));
    base64url_append(&sealed_text, bytes_span(&sealed));
    base64url_append(&signature_text, bytes_span(&signature));
    json_t *entry = json_pack("{ss ss ss ss}", "receiver", receiver, "sealing_key", bytes_text(&key_text), "sealed",
                              bytes_text(&sealed_text), "signature", bytes_text(&signature_text));
    return entry && json_array_append_new(envelopes, entry) == 0 ? OK : fault_no_memory(f);
}

/* Whether this node still needs an envelope. Its sealing key is taken only with its own signature. */
static enum err node_seal(struct work *work, const struct view *view, const struct node *entry, json_t *envelopes,
                          struct fault *f)
{
    bool sealed = false, holds = false;
    AUTO(bytes) key = {0};
    AUTO(bytes) signature = {0};
    struct node sealed_node = node_get(entry, "sealed"), holds_node = node_get(entry, "holds");
    const char *node = member_text(entry, "node"), *pem = member_text(entry, "certificate");
    node_bool(&sealed_node, NODE_REQUIRED, &sealed);
    node_bool(&holds_node, NODE_REQUIRED, &holds);
    answer_bytes(entry, "sealing_key", &key);
    answer_bytes(entry, "signature", &signature);
    TRY(answer_finish("a sealing key", f));
    if (key.size != SEALING_KEY_SIZE)
        return fault_set(f, CODE_UNTRUSTED, "the sealing key of \"%s\" is none", node);
    if (sealed || holds || strcmp(node, work->node) == 0)
        return OK;
    AUTO(certificate) signer = {0};
    TRY(signer_read(span_text(pem), node, bytes_span(&work->service_ca), work->session.context.pin, time(NULL), &signer,
                    f));
    TRY(sealing_key_check(&signer, work->cluster, node, key.data, bytes_span(&signature), f));
    return envelope_add(work, view, node, key.data, envelopes, f);
}

static enum err recovery_seal(struct work *work, const struct view *view, json_t *envelopes, struct fault *f)
{
    AUTO(bytes) key = {0};
    if (!view->recovery_key || view->recovery_sealed)
        return OK;
    TRY(base64url_decode(span_text(view->recovery_key), &key, f));
    if (key.size != SEALING_KEY_SIZE)
        return fault_set(f, CODE_UNTRUSTED, "the cluster's recovery key is none");
    return envelope_add(work, view, recovery, key.data, envelopes, f);
}

static enum err envelopes_send(struct work *work, const struct view *view, const json_t *envelopes, struct fault *f)
{
    if (json_array_size(envelopes) == 0)
        return OK;
    CLEANUP(json_cleanup)
    json_t *body = json_pack("{sI sO}", "generation", (json_int_t)view->generation, "envelopes", envelopes);
    if (!body)
        return fault_no_memory(f);
    AUTO(view) after = {0};
    TRY(view_ask(work, "POST", "/envelopes", body, &after, f));
    message("%s: sealed for %zu", work->name, json_array_size(envelopes));
    work->changed = true;
    return OK;
}

/* What is wrong with one node's sealing key keeps nothing from the others; *why says it. */
static enum err hand_on(struct work *work, const struct view *view, struct fault *why, struct fault *f)
{
    CLEANUP(json_cleanup) json_t *envelopes = json_array();
    if (!envelopes)
        return fault_no_memory(f);
    struct node root = document_root(view->answer, f), list = node_get(&root, "nodes");
    size_t count = node_count(&list, NODE_REQUIRED, NODES_SHOWN_MAX);
    TRY(answer_finish("a shared key", f));
    for (size_t i = 0; i < count; i++) {
        struct node entry = node_at(&list, i);
        enum err err = node_seal(work, view, &entry, envelopes, f);
        if (err != OK && err != ERR_AUTH)
            return err;
        if (err == ERR_AUTH && why->code == CODE_NONE)
            *why = *f;
        fault_clear(f);
    }
    TRY(recovery_seal(work, view, envelopes, f));
    return envelopes_send(work, view, envelopes, f);
}

static enum err acknowledge(struct work *work, const struct view *view, struct fault *f)
{
    if (work->holds)
        return OK;
    CLEANUP(json_cleanup) json_t *body = json_pack("{sI}", "generation", (json_int_t)view->generation);
    AUTO(view) after = {0};
    if (!body)
        return fault_no_memory(f);
    TRY(view_ask(work, "POST", "/acknowledgement", body, &after, f));
    message("%s: held, generation %" PRId64, work->name, view->generation);
    work->holds = work->changed = true;
    return OK;
}

static bool entry_own_holds(const struct work *work, const struct view *view)
{
    struct fault ignored = {0};
    struct node root = document_root(view->answer, &ignored), list = node_get(&root, "nodes");
    bool found = false;
    for (size_t i = 0; i < json_array_size(list.value); i++) {
        struct node entry = node_at(&list, i), holds = node_get(&entry, "holds");
        const char *node = member_text(&entry, "node");
        if (node && strcmp(node, work->node) == 0)
            node_bool(&holds, NODE_REQUIRED, &found);
    }
    return found;
}

/* A custodian seals first: who dies before it says that it holds the key leaves it to the others. Anybody else has to
 * hold it before the service takes envelopes. */
static enum err key_share(struct work *work, const struct view *view, struct fault *why, struct fault *f)
{
    bool custodian = view->custodian && strcmp(view->custodian, work->node) == 0;
    work->holds = entry_own_holds(work, view);
    if (!custodian)
        TRY(acknowledge(work, view, f));
    TRY(hand_on(work, view, why, f));
    return acknowledge(work, view, f);
}

/* ---- where Kubernetes looks ---- */

/* What is right already is not touched. */
static enum err file_settle(int folder, const char *name, struct span wanted, struct fault *f)
{
    CLEANUP(secret_cleanup) struct bytes there = {0};
    enum err err = file_read_at(folder, name, &there, f);
    if (err == OK && span_equal(bytes_span(&there), wanted))
        return OK;
    if (err != OK && err != ERR_ABSENT)
        return err;
    fault_clear(f);
    return file_put_at(folder, name, FILE_MODE_PRIVATE, FILE_REPLACE, wanted, f);
}

/* A running API server has signed with what lies there: another key is not put in its place. */
static enum err installed_check(int folder, const char *name, struct span wanted, struct fault *f)
{
    CLEANUP(secret_cleanup) struct bytes there = {0};
    enum err err = file_read_at(folder, name, &there, f);
    if (err == ERR_ABSENT) {
        fault_clear(f);
        return OK;
    }
    TRY(err);
    if (span_equal(bytes_span(&there), wanted))
        return OK;
    return fault_set(f, CODE_CONFLICT, "another %s than the cluster's is installed: move it away if nothing uses it",
                     name);
}

static enum err key_install(const struct work *work, struct span public_pem, struct fault *f)
{
    char path[PATH_MAX], key_name[NAME_MAX], public_name[NAME_MAX];
    CLEANUP(fd_cleanup) int folder = -1;
    snprintf(path, sizeof path, "%s/etc/kubernetes/pki", work->keys->root);
    file_name(work, "key", key_name);
    file_name(work, "pub", public_name);
    TRY(folder_open(path, &folder, f));
    TRY(installed_check(folder, key_name, bytes_span(&work->private_pem), f));
    TRY(file_settle(folder, key_name, bytes_span(&work->private_pem), f));
    return file_settle(folder, public_name, public_pem, f);
}

static enum err key_finish(const struct work *work, struct fault *f)
{
    AUTO(bytes) public_pem = {0};
    char name[NAME_MAX];
    file_name(work, "pub", name);
    pem_append(&public_pem, "PUBLIC KEY", bytes_span(&work->spki));
    TRY(bytes_check(&public_pem, f));
    TRY(file_settle(work->folder, name, bytes_span(&public_pem), f));
    return work->keys->root ? key_install(work, bytes_span(&public_pem), f) : OK;
}

enum err shared_keys_complete(const struct shared_keys *keys, const char *name, struct fault *f)
{
    AUTO(work) work = {.keys = keys, .name = name, .folder = -1};
    AUTO(view) view = {0};
    struct fault why = {0};
    TRY(identity_load(&work, f));
    TRY(signer_load(&work, f));
    TRY(pair_load(&work, f));
    TRY(key_load(&work, f));
    TRY(publish(&work, f));
    TRY(key_get(&work, &view, f));
    TRY(key_share(&work, &view, &why, f));
    TRY(key_finish(&work, f));
    if (!work.changed)
        message("%s: unchanged", name);
    if (why.code == CODE_NONE)
        return OK;
    *f = why;
    return ERR_AUTH;
}
