/* shared_share.c: handing a shared key on to the other control planes. */
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "ca/base/encode.h"
#include "client/shared_work.h"
#include "client/text.h"

/* The receiver that is no node (ca/shared_key.h). */
static const char recovery[] = "@recovery";

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
    size_t count = node_count(&list, NODE_REQUIRED, SHARED_NODES_MAX);
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
enum err shared_share(struct work *work, const struct view *view, struct fault *why, struct fault *f)
{
    bool custodian = view->custodian && strcmp(view->custodian, work->node) == 0;
    work->holds = entry_own_holds(work, view);
    if (!custodian)
        TRY(acknowledge(work, view, f));
    TRY(hand_on(work, view, why, f));
    return acknowledge(work, view, f);
}
