#include "client/shared_work.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ca/base/encode.h"
#include "client/files.h"
#include "client/keys.h"
#include "client/shared_proposal.h"
#include "client/text.h"
#include "policies/catalogue.h"

static const char sealing_file[] = "sealing.key";

static void key_forget(struct work *work)
{
    secret_cleanup(&work->private_pem);
    bytes_free(&work->spki);
}

void work_cleanup(struct work *work)
{
    session_cleanup(&work->session);
    document_free(work->self);
    cluster_cleanup(&work->inventory);
    profiles_cleanup(&work->profiles);
    bytes_free(&work->service_ca);
    bytes_free(&work->certificate);
    EVP_PKEY_free(work->identity_key);
    sealing_pair_cleanup(&work->pair);
    fd_cleanup(&work->folder);
    key_forget(work);
}

/* ---- the key as the service has it ---- */

void view_cleanup(struct view *view)
{
    document_free(view->answer);
    bytes_free(&view->spki);
}

const char *member_text(const struct node *object, const char *key)
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

enum err view_ask(struct work *work, const char *method, const char *tail, const json_t *body, struct view *ret_view,
                  struct fault *f)
{
    AUTO(bytes) path = {0};
    struct document *answer = NULL;
    key_path(work, tail, &path);
    TRY(bytes_check(&path, f));
    TRY(api_json(work->session.api, method, bytes_text(&path), body, &answer, f));
    return view_read(answer, ret_view, f);
}

/* After a reset nobody is the custodian, and the key is not to be used any more. */
bool view_is_ours(const struct work *work, const struct view *view)
{
    return view->custodian && span_equal(bytes_span(&view->spki), bytes_span(&work->spki));
}

/* ---- setting out ---- */

static enum err identity_load(struct work *work, struct fault *f)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/context", work->keys->path);
    TRY(context_load(path, &work->session.context, f));
    TRY(api_open(&work->session.context, work->keys->wait_seconds, &work->session.api, f));
    api_remember(work->session.api, work->keys->answers);
    TRY(api_json(work->session.api, "GET", "/v1/whoami", NULL, &work->self, f));
    struct node root = document_root(work->self, f);
    work->cluster = member_text(&root, "cluster");
    work->node = member_text(&root, "node");
    TRY(answer_finish("this node", f));
    if (!work->cluster || !work->node)
        return fault_set(f, CODE_USAGE, "%s is the context of no node", path);
    return session_cluster(&work->session, work->cluster, &work->inventory, f);
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

void shared_file_name(const struct work *work, const char *suffix, char ret_name[NAME_MAX])
{
    snprintf(ret_name, NAME_MAX, "%s.%s", work->name, suffix);
}

/* What is read or made becomes the key that this node has. */
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

enum err work_open(const struct shared_keys *keys, struct work *work, struct fault *f)
{
    *work = (struct work){.keys = keys, .folder = -1};
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    work->deadline_milliseconds = ((int64_t)now.tv_sec + keys->wait_seconds) * 1000 + now.tv_nsec / 1000000;
    TRY(profiles_shipped(&work->profiles, f));
    TRY(identity_load(work, f));
    TRY(signer_load(work, f));
    TRY(pair_load(work, f));
    return folder_open_at(keys->folder, "shared", true, &work->folder, f);
}

enum err work_begin(struct work *work, const char *name, struct fault *f)
{
    CLEANUP(secret_cleanup) struct bytes pem = {0};
    char file[NAME_MAX];
    key_forget(work);
    work->name = name;
    work->certified = catalogue_shares_certificate(&work->inventory, name);
    work->holds = work->changed = work->taken = false;
    shared_file_name(work, "key", file);
    enum err err = file_read_at(work->folder, file, &pem, f);
    if (err == OK)
        return key_take(work, &pem, f);
    if (err == ERR_ABSENT && !work->certified) { /* a certificate can have a new key at any time */
        fault_clear(f);
        err = shared_proposal(work->keys->root, name, &pem, f);
    }
    if (err == OK)
        return key_store(work, &pem, f);
    if (err == ERR_ABSENT)
        fault_clear(f);
    return err == ERR_ABSENT ? OK : err;
}

/* ---- the key that this node has ---- */

static enum err public_store(const struct work *work, struct fault *f)
{
    AUTO(bytes) pem = {0};
    char name[NAME_MAX];
    shared_file_name(work, "pub", name);
    pem_append(&pem, "PUBLIC KEY", bytes_span(&work->spki));
    TRY(bytes_check(&pem, f));
    return file_put_at(work->folder, name, FILE_MODE_PRIVATE, FILE_REPLACE, bytes_span(&pem), f);
}

enum err key_store(struct work *work, struct bytes *take_pem, struct fault *f)
{
    char name[NAME_MAX];
    shared_file_name(work, "key", name);
    TRY(file_put_at(work->folder, name, FILE_MODE_PRIVATE, FILE_REPLACE, bytes_span(take_pem), f));
    TRY(key_take(work, take_pem, f));
    return work->certified ? OK : public_store(work, f);
}

/* ---- proposals ---- */

void proposal_cleanup(struct proposal *proposal)
{
    secret_cleanup(&proposal->pem);
    bytes_free(&proposal->spki);
}

static enum err proposal_spki(struct proposal *proposal, struct fault *f)
{
    CLEANUP(EVP_PKEY_auto) EVP_PKEY *key = NULL;
    TRY(key_read_pem(bytes_span(&proposal->pem), &key, f));
    return key_spki(key, &proposal->spki, f);
}

/* Nothing when there is none. */
static enum err proposal_read(const struct work *work, struct proposal *proposal, struct fault *f)
{
    char name[NAME_MAX];
    shared_file_name(work, "new", name);
    enum err err = file_read_at(work->folder, name, &proposal->pem, f);
    if (err == ERR_ABSENT) {
        fault_clear(f);
        return OK;
    }
    TRY(err);
    return proposal_spki(proposal, f);
}

static enum err proposal_make(const struct work *work, const struct view *view, struct proposal *proposal,
                              struct fault *f)
{
    char name[NAME_MAX];
    shared_file_name(work, "new", name);
    proposal_cleanup(proposal);
    TRY(key_make_pem(view->algorithm, &proposal->pem, f));
    TRY(file_put_at(work->folder, name, FILE_MODE_PRIVATE, FILE_REPLACE, bytes_span(&proposal->pem), f));
    return proposal_spki(proposal, f);
}

static enum err proposal_present(const struct work *work, struct proposal *proposal, struct fault *f)
{
    proposal_cleanup(proposal);
    TRY(bytes_copy(bytes_span(&work->private_pem), &proposal->pem, f));
    return proposal_spki(proposal, f);
}

static enum err proposal_new(const struct work *work, const struct view *view, struct proposal *proposal,
                             struct fault *f)
{
    TRY(proposal_read(work, proposal, f));
    if (proposal->pem.size == 0 || span_equal(bytes_span(&proposal->spki), bytes_span(&view->spki)))
        return proposal_make(work, view, proposal, f);
    return OK;
}

/* A key that was there before anybody claimed one, or that nothing of ours may replace, is in use already. What was
 * installed by us is not: that was of an earlier generation. */
enum err proposal_take(struct work *work, const struct view *view, struct proposal *ret_proposal, struct fault *f)
{
    AUTO(proposal) proposal = {0};
    bool present = work->private_pem.size > 0;
    if (view->generation == 0 && present)
        TRY(proposal_present(work, &proposal, f));
    else
        TRY(proposal_new(work, view, &proposal, f));
    enum err err = shared_install_check(work, &proposal, f);
    if (err == ERR_CONFLICT && present && view->custodian) {
        fault_clear(f);
        TRY(proposal_present(work, &proposal, f));
        err = shared_install_check(work, &proposal, f);
    }
    TRY(err);
    *ret_proposal = proposal;
    proposal = (struct proposal){0};
    return OK;
}

enum err proposal_settle(struct work *work, const struct view *view, struct fault *f)
{
    AUTO(proposal) proposal = {0};
    char name[NAME_MAX];
    if (!view->custodian)
        return OK;
    TRY(proposal_read(work, &proposal, f));
    if (proposal.pem.size == 0 || !span_equal(bytes_span(&proposal.spki), bytes_span(&view->spki)))
        return OK;
    if (!view_is_ours(work, view))
        TRY(key_store(work, &proposal.pem, f));
    shared_file_name(work, "new", name);
    if (unlinkat(work->folder, name, 0) != 0)
        return fault_errno(f, "cannot remove \"shared/%s\"", name);
    return OK;
}
