#include "client/shared_keys.h"

#include <string.h>
#include <time.h>

#include "ca/base/encode.h"
#include "client/files.h"
#include "client/shared_work.h"
#include "client/text.h"
#include "policies/catalogue.h"

enum { POLL_MILLISECONDS = 500 };

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
    size_t count = node_count(&list, NODE_REQUIRED, SHARED_NODES_MAX);
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
    AUTO(proposal) proposal = {0};
    AUTO(view) after = {0};
    AUTO(bytes) spki = {0};
    TRY(proposal_take(work, view, &proposal, f));
    base64url_append(&spki, bytes_span(&proposal.spki));
    TRY(bytes_check(&spki, f));
    CLEANUP(json_cleanup)
    json_t *body = json_pack("{sI ss}", "expected_generation", (json_int_t)view->generation, "spki", bytes_text(&spki));
    if (!body)
        return fault_no_memory(f);
    enum err err = view_ask(work, "PUT", "", body, &after, f);
    if (err != ERR_CONFLICT)
        return err;
    fault_clear(f); /* another one was faster: its key is the one */
    return OK;
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
    work->taken = true;
    message("%s: opened, from %s", work->name, sender);
    return OK;
}

/* "masterone, mastertwo": the nodes that hold it. */
static enum err holders_text(const struct view *view, struct bytes *out, struct fault *f)
{
    struct node root = document_root(view->answer, f), list = node_get(&root, "nodes");
    size_t count = node_count(&list, NODE_REQUIRED, SHARED_NODES_MAX);
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

/* One look at the service, and what follows from it. */
static enum err attempt(struct work *work, struct view *view, bool *ret_has, struct fault *f)
{
    TRY(view_ask(work, "GET", "", NULL, view, f));
    TRY(proposal_settle(work, view, f));
    *ret_has = view_is_ours(work, view);
    if (*ret_has)
        return OK;
    enum err err = envelope_take(work, view, f);
    if (err == OK)
        *ret_has = true;
    if (err != ERR_ABSENT)
        return err;
    fault_clear(f);
    return view->claimable ? claim(work, view, f) : OK;
}

static int64_t milliseconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Who has claimed the key looks once more, however late it is.
 *   ret_view  as it was when the node had the key */
static enum err key_get(struct work *work, struct view *ret_view, struct fault *f)
{
    for (bool late = false;;) {
        AUTO(view) view = {0};
        bool has = false;
        TRY(attempt(work, &view, &has, f));
        if (has) {
            *ret_view = view;
            view = (struct view){0};
            return OK;
        }
        bool was_late = late, claimed = view.claimable;
        late = milliseconds_now() >= work->deadline_milliseconds;
        if (late && (was_late || !claimed))
            return pending(work, &view, f);
        const struct timespec pause = {0, claimed ? 0 : POLL_MILLISECONDS * 1000000L};
        nanosleep(&pause, NULL);
    }
}

/* ---- all of it ---- */

static enum err key_finish(struct work *work, struct view *view, struct fault *f)
{
    struct fault why = {0};
    TRY(shared_certificate(work, view, f));
    TRY(shared_share(work, view, &why, f));
    TRY(shared_install(work, f));
    if (!work->changed)
        message("%s: unchanged", work->name);
    if (why.code == CODE_NONE)
        return OK;
    *f = why;
    return ERR_AUTH;
}

static enum err key_complete(struct work *work, const char *name, struct fault *f)
{
    AUTO(view) view = {0};
    TRY(work_begin(work, name, f));
    TRY(publish(work, f));
    TRY(key_get(work, &view, f));
    return key_finish(work, &view, f);
}

/* What keeps one key from this node keeps no other: the first error is the answer, what only waits last. */
enum err shared_keys_complete(const struct shared_keys *keys, const char *const *names, size_t count, struct fault *f)
{
    AUTO(work) work = {.folder = -1};
    const char *all[CATALOGUE_SHARED_MAX];
    struct fault first = {0};
    enum err result = OK;
    TRY(work_open(keys, &work, f));
    if (count == 0) {
        count = catalogue_shared_names(&work.inventory, all);
        names = all;
    }
    for (size_t i = 0; i < count; i++) {
        enum err err = key_complete(&work, names[i], f);
        if (err != OK && (result == OK || (first.code == CODE_PENDING && f->code != CODE_PENDING))) {
            result = err;
            first = *f;
        }
        fault_clear(f);
    }
    if (result != OK)
        *f = first;
    return result;
}

enum err shared_keys_renew(const struct shared_keys *keys, const char *name, struct fault *f)
{
    AUTO(work) work = {.folder = -1};
    AUTO(view) before = {0};
    AUTO(view) view = {0};
    TRY(work_open(keys, &work, f));
    TRY(work_begin(&work, name, f));
    if (!work.certified)
        return fault_set(f, CODE_USAGE, "key \"%s\" has no certificate that could be renewed", name);
    TRY(publish(&work, f));
    TRY(key_get(&work, &before, f));
    if (work.taken) { /* only now: what this node was to renew has been */
        message("%s: another node has renewed it", name);
        return key_finish(&work, &before, f);
    }
    TRY(shared_certificate_good(&work, &before, f));
    TRY(claim(&work, &before, f)); /* when another one was faster, its key is taken */
    TRY(key_get(&work, &view, f));
    if (view.generation == before.generation)
        return fault_set(f, CODE_CONFLICT, "%s cannot renew \"%s\": it does not hold it", work.node, name);
    return key_finish(&work, &view, f);
}
