#include <string.h>
#include <time.h>

#include "ca/x509/certificate.h"
#include "client/agent/schedule.h"
#include "client/agent/state.h"
#include "client/files.h"
#include "client/shared_keys.h"
#include "client/text.h"

/* The custodian renews; another only when that should have been done long ago, as it may be gone. */
enum { OTHERS_LATER_FRACTION = 6 };

static enum err key_ask(const struct caller_place *caller, const char *name, struct document **ret_answer,
                        struct fault *f)
{
    AUTO(bytes) path = {0};
    cluster_path(&path, caller->cluster, "/shared-keys/");
    percent_append(&path, name);
    TRY(bytes_check(&path, f));
    return api_json(caller->session->api, "GET", bytes_text(&path), NULL, ret_answer, f);
}

/* This node has to take it, or another waits for it. */
static bool something_to_do(const struct document *answer, const char *own, bool *ret_holds)
{
    const json_t *nodes = json_object_get(document_json(answer), "nodes");
    bool waits = false;
    *ret_holds = false;
    for (size_t i = 0; i < json_array_size(nodes); i++) {
        const json_t *entry = json_array_get(nodes, i);
        const char *node = json_string_value(json_object_get(entry, "node"));
        if (node && strcmp(node, own) == 0)
            *ret_holds = json_is_true(json_object_get(entry, "holds"));
        else
            waits = waits || !json_is_true(json_object_get(entry, "sealed"));
    }
    return !*ret_holds || waits;
}

/* Of a key with a certificate, which this node holds. */
static enum err renewal_due(const struct agent *agent, const struct profile *profile, const struct document *answer,
                            int sets, bool *ret_due, struct fault *f)
{
    AUTO(bytes) pem = {0};
    AUTO(certificate) certificate = {0};
    CLEANUP(fd_cleanup) int folder = -1;
    const char *custodian = json_string_value(json_object_get(document_json(answer), "custodian"));
    TRY(folder_open_at(sets, profile->name, false, &folder, f));
    TRY(file_read_at(folder, "tls.crt", &pem, f));
    TRY(certificate_parse_pem(bytes_span(&pem), &certificate, f));
    const struct certificate_content *content = &certificate.body.content;
    const struct schedule_facts facts = {.now = time(NULL),
                                         .issued_at = content->not_before + profile->backdate_seconds,
                                         .not_after = content->not_after,
                                         .seed = schedule_seed(agent->cluster, profile->name, "")};
    const struct schedule schedule = schedule_decide(&facts);
    bool first = custodian && strcmp(custodian, agent->node) == 0;
    int64_t later = first ? 0 : (facts.not_after - facts.issued_at) / OTHERS_LATER_FRACTION;
    *ret_due = schedule.verdict == SCHEDULE_DUE && facts.now >= schedule.at + later;
    return OK;
}

static enum err key_turn(const struct agent *agent, const struct caller_place *caller, const struct shared_keys *keys,
                         const char *name, struct fault *f)
{
    CLEANUP(document_auto) struct document *answer = NULL;
    const struct profile *profile = profiles_find(&agent->profiles, name);
    bool holds = false, due = false;
    TRY(key_ask(caller, name, &answer, f));
    if (something_to_do(answer, caller->node, &holds))
        TRY(shared_keys_complete(keys, &name, 1, f));
    if (profile && holds)
        TRY(renewal_due(agent, profile, answer, keys->folder, &due, f));
    return due ? shared_keys_renew(keys, name, f) : OK;
}

void shared_note(struct agent *agent, const struct catalogue *catalogue)
{
    agent->shared_count = 0;
    for (size_t i = 0; i < catalogue->count && agent->shared_count < ENROLMENT_SHARED_MAX; i++) {
        const struct catalogue_item *item = &catalogue->items[i];
        if (item->shared && strcmp(item->node->name, agent->node) == 0)
            agent->shared[agent->shared_count++] = item->name; /* static: of the catalogue's fixed list */
    }
}

/* What keeps one from this node keeps no other; the first of what is wrong is told. */
enum err shared_turn(const struct agent *agent, const struct caller_place *caller, int sets, struct fault *f)
{
    const struct shared_keys keys = {.path = agent->options->sets, .folder = sets, .root = agent->options->root};
    enum err first = OK;
    for (size_t i = 0; i < agent->shared_count && !agent_stopped(); i++) {
        struct fault why = {0};
        enum err err = key_turn(agent, caller, &keys, agent->shared[i], &why);
        if (err != OK && first == OK) {
            first = err;
            *f = why;
        }
    }
    return first;
}
