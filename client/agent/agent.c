#include "client/agent/agent.h"

#include <fcntl.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#include "client/agent/schedule.h"
#include "client/agent/state.h"
#include "client/crl.h"
#include "client/files.h"
#include "client/issued.h"
#include "client/text.h"

enum {
    REQUEST_SECONDS = 2,        /* for a service that is not ready: the agent itself comes back */
    WAIT_SECONDS = 25,          /* for work: the service lets nobody wait longer */
    SHARED_SECONDS = 10,        /* others may wait for what this node has */
    UNSEEN_SECONDS = 60,        /* between turns with a service that tells of no work */
    WHOLE_SECONDS = 600,        /* between turns when there is no work */
    PENDING_SECONDS = 5,        /* until something that waits for its turn is looked at again */
    UNREACHED_SECONDS_MAX = 60, /* until a service that does not answer is asked again */
    SAID_SECONDS = 3600,
    SLICE_MILLISECONDS = 500,
};

static const char identity_profile[] = "node-identity";

static volatile sig_atomic_t stopped;

static void stop_note(int signal)
{
    (void)signal;
    stopped = 1;
}

bool agent_stopped(void)
{
    return stopped != 0;
}

void agent_sleep(int64_t milliseconds)
{
    while (milliseconds > 0 && !stopped) {
        int64_t slice = milliseconds < SLICE_MILLISECONDS ? milliseconds : SLICE_MILLISECONDS;
        nanosleep(&(struct timespec){.tv_sec = slice / 1000, .tv_nsec = slice % 1000 * 1000000}, NULL);
        milliseconds -= slice;
    }
}

static void agent_cleanup(struct agent *agent)
{
    for (size_t i = 0; i < agent->tracked_count; i++)
        bytes_free(&agent->tracked[i].der);
    json_decref(agent->reported);
    json_decref(agent->seen_to);
    answers_cleanup(&agent->answers);
    settings_cleanup(&agent->settings);
    profiles_cleanup(&agent->profiles);
}

/* ---- who this is ---- */

/* What it can say of itself without the service: an expired identity nobody lets in. */
static enum err identity_check(int sets, struct fault *f)
{
    CLEANUP(fd_cleanup) int folder = -1;
    AUTO(bytes) pem = {0};
    AUTO(certificate) certificate = {0};
    enum err err = folder_open_at(sets, identity_profile, false, &folder, f);
    if (err == ERR_ABSENT) {
        fault_clear(f);
        return fault_set(f, CODE_EXPIRING,
                         "this node is not enrolled: `ensign token create --cluster CLUSTER --node NODE` on the "
                         "operator's machine, then `ensign enroll --server URL --token-file -` here");
    }
    TRY(err);
    TRY(file_read_at(folder, "tls.crt", &pem, f));
    TRY(certificate_parse_pem(bytes_span(&pem), &certificate, f));
    if (time(NULL) <= certificate.body.content.not_after)
        return OK;
    return fault_set(f, CODE_EXPIRING,
                     "the identity of this node has expired, so that it can renew nothing: `ensign token create "
                     "--cluster CLUSTER --node %s` on the operator's machine, then `ensign enroll --server URL "
                     "--token-file -` here",
                     certificate.body.content.subject.common_name);
}

static enum err session_begin(struct agent *agent, struct session *session, struct fault *f)
{
    AUTO(bytes) path = {0};
    bytes_appendf(&path, "%s/context", agent->options->sets);
    TRY(bytes_check(&path, f));
    TRY(context_load(bytes_text(&path), &session->context, f));
    TRY(api_open(&session->context, REQUEST_SECONDS, &session->api, f));
    api_stop_at(session->api, &stopped);
    api_remember(session->api, &agent->answers);
    return OK;
}

static enum err place_learn(struct agent *agent, struct session *session, struct fault *f)
{
    CLEANUP(document_auto) struct document *answer = NULL;
    if (agent->cluster[0])
        return OK;
    TRY(api_json(session->api, "GET", "/v1/whoami", NULL, &answer, f));
    struct node root = document_root(answer, f);
    struct node cluster = node_get(&root, "cluster"), node = node_get(&root, "node");
    node_text(&cluster, NODE_REQUIRED, agent->cluster, sizeof agent->cluster);
    node_text(&node, NODE_REQUIRED, agent->node, sizeof agent->node);
    return answer_finish("who this node is", f);
}

/* ---- a whole turn ---- */

/* NULL: there is no room, which the catalogue's limit rules out. */
static struct tracked *tracked_find(struct agent *agent, const char *name, bool bundle)
{
    for (size_t i = 0; i < agent->tracked_count; i++)
        if (agent->tracked[i].bundle == bundle && strcmp(agent->tracked[i].name, name) == 0)
            return &agent->tracked[i];
    if (agent->tracked_count == ARRAY_SIZE(agent->tracked))
        return NULL;
    struct tracked *tracked = &agent->tracked[agent->tracked_count++];
    *tracked = (struct tracked){.bundle = bundle};
    snprintf(tracked->name, sizeof tracked->name, "%s", name);
    return tracked;
}

typedef void item_turn(const struct turn *turn, const struct catalogue_item *item, struct tracked *tracked);

/* NULL: it is not this node's, or for nobody to look after. */
static item_turn *item_turn_of(const struct agent *agent, const struct catalogue_item *item)
{
    if (strcmp(item->node->name, agent->node) != 0)
        return NULL;
    if (item->shared)
        return shared_turn;
    if (item->kind == CATALOGUE_BUNDLE)
        return strcmp(item->authority, AUTHORITY_SERVICE) != 0 ? bundle_turn : NULL;
    return item->kind != CATALOGUE_KEY_PAIR ? certificate_turn : NULL;
}

/* What somebody took away after kubeadm init, as one should, is nobody's to bring back. */
static bool item_gone(const struct turn *turn, const struct catalogue_item *item)
{
    return item->transient && faccessat(turn->sets, item->profile->name, F_OK, AT_SYMLINK_NOFOLLOW) != 0;
}

static void items_turn(const struct turn *turn, item_turn *which)
{
    const struct catalogue *catalogue = &turn->node->catalogue;
    for (size_t i = 0; i < catalogue->count && !stopped; i++) {
        const struct catalogue_item *item = &catalogue->items[i];
        if (item_turn_of(turn->agent, item) != which || item_gone(turn, item))
            continue;
        struct tracked *tracked = tracked_find(turn->agent, item->name, item->kind == CATALOGUE_BUNDLE);
        if (tracked)
            which(turn, item, tracked);
        sd_notify(0, "WATCHDOG=1");
    }
}

/* Bundles first: what is issued by a new CA must not come before those who are to trust it have it. What is shared
 * last: others may have to do something for it first. */
static void all_items_turn(const struct turn *turn)
{
    for (size_t i = 0; i < turn->agent->tracked_count; i++)
        turn->agent->tracked[i].shared = false;
    items_turn(turn, bundle_turn);
    items_turn(turn, certificate_turn);
    items_turn(turn, shared_turn);
}

static void said(const char *what, enum err err, struct fault *f)
{
    char line[600];
    if (err == OK)
        return;
    fault_line(f, line, sizeof line);
    message("%s: %s", what, line);
    fault_clear(f);
}

static void crl_turn(const struct turn *turn)
{
    struct crl_facts facts = {0};
    struct fault why = {0};
    if (turn->root < 0)
        return;
    said("CRL",
         crl_update(turn->session, turn->root, &turn->node->catalogue, turn->agent->node,
                    install_node_bundle(turn->node, "etcd-ca"), &facts, &why),
         &why);
    if (facts.number > 0)
        turn->agent->crl_number = facts.number;
}

static enum err cluster_fetch(struct session *session, const char *cluster, struct document **ret_answer,
                              struct fault *f)
{
    AUTO(bytes) path = {0};
    cluster_path(&path, cluster, "");
    TRY(bytes_check(&path, f));
    return api_json(session->api, "GET", bytes_text(&path), NULL, ret_answer, f);
}

static enum err turn_whole(struct agent *agent, struct session *session, const struct orders *orders, int sets,
                           int root, struct fault *f)
{
    AUTO(enrolment)
    enrolment = {.session = session,
                 .folder = sets,
                 .profiles = &agent->profiles,
                 .cluster = agent->cluster,
                 .node = agent->node,
                 .lifetime_seconds = agent->settings.lifetime_seconds};
    AUTO(install_node) node = {.enrolment = &enrolment, .root = root, .whole = true};
    TRY(cluster_fetch(session, agent->cluster, &enrolment.answer, f));
    TRY(install_node_open(&node, f));
    const struct turn turn = {agent, sets, root, session, &enrolment, &node, orders, time(NULL)};
    all_items_turn(&turn);
    crl_turn(&turn);
    agent->turn_at = agent->contact_at = turn.now;
    return OK;
}

/* ---- when the next is ---- */

static int64_t sooner(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Of one certificate or bundle: when it wants to be looked at. */
static int64_t tracked_next(const struct agent *agent, const struct tracked *tracked, int64_t now)
{
    if (tracked->failures > 0)
        return tracked->failed_at > now ? now : tracked_retry_at(agent, tracked);
    if (tracked->code == CODE_PENDING || tracked->state == TRACKED_NOT_SERVED)
        return agent->turn_at + PENDING_SECONDS;
    return !tracked->bundle && tracked->serial[0] && tracked->code != CODE_EXPIRING ? tracked->due_at : INT64_MAX;
}

static int64_t next_turn(const struct agent *agent, bool tells, int64_t now)
{
    int64_t next = agent->turn_at + (tells ? WHOLE_SECONDS : UNSEEN_SECONDS);
    if (agent->turn_at > now) /* the clock was set back */
        return now;
    for (size_t i = 0; i < agent->tracked_count; i++)
        next = sooner(next, tracked_next(agent, &agent->tracked[i], now));
    return next;
}

/* ---- one round: wait for work, and do it ---- */

/* By the identity of now, which makes the one of before useless: so it comes last. */
static enum err report_last(struct agent *agent, struct fault *f)
{
    AUTO(session) session = {0};
    const struct caller_place caller = {&session, agent->cluster, agent->node};
    TRY(session_begin(agent, &session, f));
    return report_turn(agent, &caller, f);
}

static enum err root_open(const struct agent *agent, int *ret_root, struct fault *f)
{
    return agent->options->root ? folder_open(agent->options->root, ret_root, f) : OK;
}

/* Whether the service has another certificate than this node, or wants something about it. */
static bool certificate_is_news(const struct agent *agent, const json_t *entry)
{
    const char *profile = json_string_value(json_object_get(entry, "profile"));
    const char *serial = json_string_value(json_object_get(entry, "serial")), *ours = "";
    for (size_t i = 0; profile && i < agent->tracked_count; i++)
        if (!agent->tracked[i].bundle && strcmp(agent->tracked[i].name, profile) == 0)
            ours = agent->tracked[i].serial;
    return strcmp(serial ? serial : "", ours) != 0 || json_is_object(json_object_get(entry, "renew")) ||
           json_is_true(json_object_get(entry, "blocked"));
}

/* What this node has renewed makes another revision, too: that is no news to it. */
static bool orders_are_news(const struct agent *agent, const struct orders *orders)
{
    CLEANUP(json_cleanup) json_t *rest = orders_rest(orders);
    const json_t *list = orders->answer ? json_object_get(document_json(orders->answer), "certificates") : NULL;
    if (strcmp(orders->revision, agent->revision) == 0)
        return false;
    for (size_t i = 0; i < json_array_size(list); i++)
        if (certificate_is_news(agent, json_array_get(list, i)))
            return true;
    return !rest || !agent->seen_to || !json_equal(rest, agent->seen_to);
}

static bool turn_due(const struct agent *agent, const struct caller_place *caller, const struct orders *orders)
{
    const int64_t now = time(NULL);
    return agent->options->once || orders_are_news(agent, orders) ||
           now >= next_turn(agent, orders->answer != NULL, now) || shared_waits(agent, caller);
}

static enum err round_locked(struct agent *agent, struct session *session, const struct orders *orders, struct fault *f)
{
    CLEANUP(fd_cleanup) int sets = -1;
    CLEANUP(fd_cleanup) int root = -1;
    const struct caller_place caller = {session, agent->cluster, agent->node};
    TRY(folder_open(agent->options->sets, &sets, f));
    TRY(folder_lock(sets, f));
    TRY(root_open(agent, &root, f));
    if (turn_due(agent, &caller, orders)) {
        TRY(turn_whole(agent, session, orders, sets, root, f));
        if (!stopped)
            TRY(report_last(agent, f));
        json_decref(agent->seen_to);
        agent->seen_to = orders_rest(orders);
    }
    strcpy(agent->revision, orders->revision);
    return OK;
}

/* ---- how soon the next ---- */

static bool shares(const struct agent *agent)
{
    bool found = false;
    for (size_t i = 0; i < agent->tracked_count; i++)
        found = found || agent->tracked[i].shared;
    return found;
}

static int64_t wait_longest(const struct agent *agent, const struct orders *orders)
{
    int64_t now = time(NULL), left = next_turn(agent, orders->answer != NULL, now) - now;
    left = shares(agent) ? sooner(left, SHARED_SECONDS) : left;
    return left < 1 ? 1 : left;
}

/* Whoever has not to wait although nothing is new, or has something new each time, must not go round and round, whether
 * it is the service or something in between: from the second time on this node pauses, longer each time. */
static void hurry_note(struct agent *agent, const struct orders *orders, int64_t waited_milliseconds,
                       int64_t wait_seconds)
{
    bool waited = waited_milliseconds >= wait_seconds * 1000;
    bool sent_away = orders->poll_seconds > 0 && strcmp(orders->revision, agent->revision) == 0;
    if (wait_seconds > 0)
        agent->hurries = !orders->answer || waited || sent_away ? 0 : agent->hurries + 1;
}

static int64_t pause_seconds(const struct agent *agent, const struct orders *orders)
{
    unsigned doublings = agent->hurries < 2 ? 0 : agent->hurries - 2;
    int64_t pause = agent->hurries < 2 ? 0 : sooner(INT64_C(1) << (doublings < 8 ? doublings : 8), WAIT_SECONDS);
    return pause > orders->poll_seconds ? pause : orders->poll_seconds;
}

static enum err identity_look(const struct agent *agent, struct fault *f)
{
    CLEANUP(fd_cleanup) int sets = -1;
    TRY(folder_open(agent->options->sets, &sets, f));
    return identity_check(sets, f);
}

static int64_t monotonic_milliseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* wait_seconds  for work; 0: only look */
static enum err round_do(struct agent *agent, int64_t wait_seconds, int64_t *ret_wait_seconds, struct fault *f)
{
    AUTO(session) session = {0};
    AUTO(orders) orders = {0};
    TRY(identity_look(agent, f));
    TRY(session_begin(agent, &session, f));
    TRY(place_learn(agent, &session, f));
    const struct caller_place caller = {&session, agent->cluster, agent->node};
    const int64_t asked_at = monotonic_milliseconds();
    TRY(orders_fetch(&caller, agent->revision, wait_seconds, &orders, f));
    hurry_note(agent, &orders, monotonic_milliseconds() - asked_at, wait_seconds);
    agent->contact_at = time(NULL);
    if (!orders.answer)
        agent_sleep(wait_seconds * 1000);
    if (stopped)
        return OK;
    TRY(round_locked(agent, &session, &orders, f));
    const int64_t left = wait_longest(agent, &orders);
    *ret_wait_seconds = sooner(left, WAIT_SECONDS);
    if (!agent->options->once)
        agent_sleep(sooner(pause_seconds(agent, &orders), left) * 1000);
    return OK;
}

/* ---- the loop ---- */

static void round_failed(struct agent *agent, const struct fault *why)
{
    int64_t now = time(NULL);
    char line[600];
    agent->failures += why->code != CODE_EXPIRING;
    if (now < agent->identity_said_at + SAID_SECONDS && why->code == CODE_EXPIRING)
        return;
    agent->identity_said_at = why->code == CODE_EXPIRING ? now : 0;
    fault_line(why, line, sizeof line);
    message("%s", line);
}

/* As what failed alone: what lives for minutes only cannot wait for long. */
static int64_t round_backoff(const struct agent *agent, unsigned failures)
{
    int64_t now = time(NULL), left = (int64_t)UNREACHED_SECONDS_MAX * SCHEDULE_BACKOFF_FRACTION;
    for (size_t i = 0; i < agent->tracked_count; i++)
        if (!agent->tracked[i].bundle && agent->tracked[i].not_after > now)
            left = sooner(left, agent->tracked[i].not_after - now);
    return schedule_backoff(failures, left, schedule_seed(agent->node, "", ""));
}

static void agent_loop(struct agent *agent)
{
    int64_t wait_seconds = 0;
    unsigned failures = 0;
    while (!stopped) {
        struct fault why = {0};
        sd_notify(0, "WATCHDOG=1");
        if (round_do(agent, wait_seconds, &wait_seconds, &why) == OK) {
            failures = 0;
        } else if (!stopped) {
            round_failed(agent, &why);
            wait_seconds = 0;
            failures++;
            agent_sleep(round_backoff(agent, failures) * 1000);
        }
        said("metrics", metrics_write(agent, &why), &why);
    }
}

/* What needs a token before what failed, and that before what only waits. */
static int weight(enum code code)
{
    return code == CODE_NONE ? 0 : code == CODE_PENDING ? 1 : code == CODE_EXPIRING ? 3 : 2;
}

/* f  has what the turn as a whole failed with, if it did */
static enum err once_result(const struct agent *agent, enum err err, struct fault *f)
{
    const struct tracked *worst = NULL;
    for (size_t i = 0; i < agent->tracked_count; i++)
        if (weight(agent->tracked[i].code) > weight(worst ? worst->code : f->code))
            worst = &agent->tracked[i];
    if (!worst)
        return err;
    fault_clear(f);
    return fault_set(f, worst->code, "%s: %s", worst->name, worst->detail);
}

static enum err agent_once(struct agent *agent, struct fault *f)
{
    int64_t ignored = 0;
    struct fault why = {0};
    enum err err = round_do(agent, 0, &ignored, f);
    said("metrics", metrics_write(agent, &why), &why);
    return once_result(agent, err, f);
}

enum err agent_run(const struct agent_options *options, struct fault *f)
{
    AUTO(agent) agent = {.options = options};
    const struct sigaction action = {.sa_handler = stop_note};
    if (sodium_init() < 0)
        return fault_set(f, CODE_CRYPTO, "libsodium does not start");
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    TRY(profiles_shipped(&agent.profiles, f));
    TRY(settings_load(options->settings_path, options->settings_required, &agent.profiles, &agent.settings, f));
    if (options->once)
        return agent_once(&agent, f);
    sd_notify(0, "READY=1");
    agent_loop(&agent);
    sd_notify(0, "STOPPING=1");
    return OK;
}
