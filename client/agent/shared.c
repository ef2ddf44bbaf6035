/* shared.c: what control planes share, as the agent of one of them keeps it (client/shared_keys.h): it takes what
 * others made, hands it on, renews the certificate that goes with it, and has those look again who read it. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/agent/state.h"
#include "client/files.h"
#include "client/shared_keys.h"
#include "client/text.h"

/* The custodian renews; another only when that should have been done long ago, as it may be gone. */
enum { OTHERS_LATER_FRACTION = 6, OTHERS_LATER_SECONDS = 120 };

enum { GENERATION_TEXT_SIZE = 24 };

/* ---- as the service has it ---- */

struct shared_facts {
    char generation[GENERATION_TEXT_SIZE];
    bool holds, waits, custodian; /* this node holds it; another has no envelope and waits; this node renews it */
};

static enum err facts_ask(const struct caller_place *caller, const char *name, struct shared_facts *ret_facts,
                          struct fault *f)
{
    CLEANUP(document_auto) struct document *answer = NULL;
    AUTO(bytes) path = {0};
    struct shared_facts facts = {0};
    cluster_path(&path, caller->cluster, "/shared-keys/");
    percent_append(&path, name);
    TRY(bytes_check(&path, f));
    TRY(api_json(caller->session->api, "GET", bytes_text(&path), NULL, &answer, f));
    const json_t *key = document_json(answer), *nodes = json_object_get(key, "nodes");
    const char *custodian = json_string_value(json_object_get(key, "custodian"));
    for (size_t i = 0; i < json_array_size(nodes); i++) {
        const json_t *entry = json_array_get(nodes, i);
        const char *node = json_string_value(json_object_get(entry, "node"));
        bool holds = json_is_true(json_object_get(entry, "holds"));
        if (node && strcmp(node, caller->node) == 0)
            facts.holds = holds;
        else
            facts.waits = facts.waits || !(holds || json_is_true(json_object_get(entry, "sealed")));
    }
    facts.custodian = custodian && strcmp(custodian, caller->node) == 0;
    snprintf(facts.generation, sizeof facts.generation, "%" JSON_INTEGER_FORMAT,
             json_integer_value(json_object_get(key, "generation")));
    *ret_facts = facts;
    return OK;
}

/* What cannot be found out is for a whole turn to find out. */
bool shared_waits(const struct agent *agent, const struct caller_place *caller)
{
    for (size_t i = 0; i < agent->tracked_count; i++) {
        const struct tracked *tracked = &agent->tracked[i];
        struct shared_facts facts = {0};
        struct fault ignored = {0};
        if (!tracked->shared || tracked_backed_off(agent, tracked, time(NULL)))
            continue;
        if (facts_ask(caller, tracked->name, &facts, &ignored) != OK || facts.waits || !facts.holds)
            return true;
    }
    return false;
}

/* ---- its certificate ---- */

/* A key without one, or whose certificate is still to come, has nothing that could be looked at. */
static enum err certificate_look(const struct turn *turn, const struct catalogue_item *item, struct tracked *tracked,
                                 struct fault *f)
{
    enum err err = item->profile ? tracked_look(turn, item->profile, tracked, f) : OK;
    if (err != ERR_ABSENT)
        return err;
    fault_clear(f);
    return OK;
}

static bool certificate_due(const struct turn *turn, struct tracked *tracked, const struct shared_facts *facts,
                            const struct order *mark, enum schedule_verdict *ret_verdict)
{
    const struct schedule schedule = tracked_schedule(turn, tracked, mark);
    *ret_verdict = schedule.verdict;
    if (!mark->renew)
        tracked->marked_at = 0;
    else if (tracked->marked_at == 0)
        tracked->marked_at = turn->now;
    if (schedule.verdict == SCHEDULE_EXPIRED || schedule.verdict == SCHEDULE_BLOCKED)
        return schedule.verdict == SCHEDULE_EXPIRED;
    if (!facts->custodian)
        tracked->due_at = mark->renew ? tracked->marked_at + OTHERS_LATER_SECONDS
                                      : schedule.at + (tracked->not_after - tracked->issued_at) / OTHERS_LATER_FRACTION;
    return schedule.verdict == SCHEDULE_DUE && turn->now >= tracked->due_at;
}

static enum err certificate_renew(const struct turn *turn, const struct catalogue_item *item, struct tracked *tracked,
                                  const struct shared_keys *keys, const struct shared_facts *facts, struct fault *f)
{
    const struct order mark = order_of(turn->orders, tracked->name, tracked->serial);
    enum schedule_verdict verdict = SCHEDULE_WAIT;
    if (!certificate_due(turn, tracked, facts, &mark, &verdict))
        return verdict == SCHEDULE_BLOCKED
                   ? fault_set(f, CODE_EXPIRING,
                               "it was revoked: `ensign shared-key reset %s --cluster %s` has it made anew",
                               tracked->name, turn->agent->cluster)
                   : OK;
    if (mark.renew)
        message("%s: the service asks for another one: %s", tracked->name, mark.renew);
    TRY(shared_keys_renew(keys, tracked->name, f));
    tracked_renewed(turn, tracked);
    return certificate_look(turn, item, tracked, f);
}

/* ---- one turn ---- */

/* The key and its certificate, here and for the others.
 *   done  the generation for which all was done */
static enum err key_step(const struct turn *turn, const struct catalogue_item *item, struct tracked *tracked,
                         const struct bytes *done, struct shared_facts *facts, struct fault *f)
{
    const struct agent *agent = turn->agent;
    const struct caller_place caller = {turn->session, agent->cluster, agent->node};
    const struct shared_keys keys = {.path = agent->options->sets,
                                     .folder = turn->sets,
                                     .root = agent->options->root,
                                     .lifetime_seconds = agent->settings.lifetime_seconds,
                                     .answers = &turn->agent->answers};
    char serial[SERIAL_TEXT_SIZE];
    TRY(certificate_look(turn, item, tracked, f)); /* which is told whatever comes */
    TRY(facts_ask(&caller, item->name, facts, f));
    if (facts->waits || !facts->holds || strcmp(bytes_text(done), facts->generation) != 0) {
        TRY(shared_keys_complete(&keys, &item->name, 1, f));
        TRY(certificate_look(turn, item, tracked, f));
        TRY(facts_ask(&caller, item->name, facts, f));
    }
    strcpy(serial, tracked->serial);
    if (serial[0])
        TRY(certificate_renew(turn, item, tracked, &keys, facts, f));
    return strcmp(serial, tracked->serial) == 0 ? OK : facts_ask(&caller, item->name, facts, f);
}

/* Who reads the certificate, when it is another one than that with which it was started. */
static enum err key_finish(const struct turn *turn, const struct catalogue_item *item, const struct tracked *tracked,
                           const struct bytes *done, const struct shared_facts *facts, struct fault *f)
{
    struct hook hooks[HOOKS_MAX];
    if (strcmp(bytes_text(done), facts->generation) == 0)
        return OK;
    if (turn->root >= 0 && done->size > 0 && tracked->serial[0])
        TRY(hooks_run(turn, tracked->name, hooks, hooks_of(&turn->node->cluster, item, hooks), f));
    return done_write(turn, tracked->name, facts->generation, f);
}

void shared_turn(const struct turn *turn, const struct catalogue_item *item, struct tracked *tracked)
{
    AUTO(bytes) done = {0};
    struct shared_facts facts = {0};
    struct fault why = {0};
    tracked->shared = true;
    if (tracked_backed_off(turn->agent, tracked, turn->now))
        return;
    enum err err = done_read(turn, tracked->name, &done, &why);
    if (err == OK)
        err = key_step(turn, item, tracked, &done, &facts, &why);
    bool is_here = err == OK;
    if (is_here)
        err = key_finish(turn, item, tracked, &done, &facts, &why);
    if (err == OK)
        tracked_success(tracked);
    else
        tracked_trouble(turn, tracked, &why);
    if (!is_here && why.code == CODE_PENDING) /* what waits is the key, and no program */
        tracked->state = TRACKED_INSTALLED;
    if (err == OK && tracked->serial[0])
        tracked_served(turn, tracked);
}
