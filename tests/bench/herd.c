/* herd: thousands of agents in one program, which ask and renew as `ensign agent` does; prints what came of it as JSON.
 *
 *     herd --port P --cluster C --lifetime L [--seconds S] [--spread S] [--threads N] [--no-jitter] [--cycle N]
 *
 * The first line on stdin lists the nodes: [{"name", "token", "profiles", "authorities"}, …]. Each enrols with its
 * token: certificates that live for L seconds. Then a line of numbers is printed, and on the next line of stdin the
 * time of all of them is put forward to where the first certificate is due by client/agent/schedule.h: within L/10 all
 * are. From then on, for S seconds, each agent does its rounds, a new connection each: it asks for work as often as the
 * service wants it to, and when something is due, or has changed, it fetches inventory and bundles, renews, and
 * reports. The first rounds are spread over --spread seconds. Not done is what only the node has work with: files,
 * restarts.
 *
 *   --no-jitter  what was issued together is due together
 *   --cycle N    instead: N agents renew one certificate each again and again, over a kept connection
 *
 * Times in the result are seconds of the monotonic clock. */
#include <getopt.h>
#include <jansson.h>
#include <openssl/pem.h>
#include <pthread.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ca/base/encode.h"
#include "client/agent/schedule.h"
#include "tests/bench/queue.h"
#include "tests/bench/wire.h"

enum {
    HELD_MAX = 32,
    ENROLLING = 16, /* at a time */
    WAIT_SECONDS_MAX = 25,
    WHOLE_SECONDS = 600, /* between looking at everything, as client/agent/agent.c */
    AGAIN_SECONDS = 2,   /* after a failure */
    AHEAD_SECONDS = 2,   /* from the start to the first that is due */
    BEHIND_SECONDS = 5,
    TROUBLE_SHOWN_MAX = 5,
};

struct held {
    const char *profile;
    char serial[41];
    int64_t issued_at, not_after;
    bool renewed; /* its time is the real one from then on */
};

struct agent {
    struct due due; /* first: the queue has this */
    const char *name, *token;
    const json_t *profiles, *authorities;
    struct held held[HELD_MAX];
    size_t held_count;
    X509 *certificate; /* of the identity */
    EVP_PKEY *key;
    char revision[33];
    bool reported;
    int64_t turn_at;
};

/* What is measured. */
enum kind { ISSUED, WOKEN, RENEWAL, TURN, INVENTORY, POLL, KINDS };
static const char *const kind_words[KINDS] = {"issued", "woken", "renewals", "turns", "inventories", "polls"};

struct sample {
    double at;
    double milliseconds;
};

static struct {
    pthread_mutex_t lock;
    struct sample *items[KINDS];
    size_t count[KINDS], failed;
} results = {.lock = PTHREAD_MUTEX_INITIALIZER};

static int port, threads = 400, cycle;
static int64_t lifetime, skip, seconds, spread_seconds, ends_at;
static const char *cluster;
static bool jitter = true;
static SSL_CTX *tls;
static json_t *nodes;
static struct agent *agents;
static size_t agents_count, agents_enrolled;

/* ---- results ---- */

static void result_add(enum kind kind, double begin)
{
    double now = seconds_now();
    pthread_mutex_lock(&results.lock);
    size_t count = results.count[kind];
    if ((count & (count - 1)) == 0) /* a power of two, or none: full */
        results.items[kind] = realloc(results.items[kind], 2 * (count + 1) * sizeof(struct sample));
    if (!results.items[kind])
        stop("no memory");
    results.items[kind][results.count[kind]++] = (struct sample){now, (now - begin) * 1000};
    pthread_mutex_unlock(&results.lock);
}

static void failure_add(const struct agent *agent, const char *what, int status, const struct bytes *answer)
{
    pthread_mutex_lock(&results.lock);
    if (results.failed++ < TROUBLE_SHOWN_MAX)
        fprintf(stderr, "herd: %s: %s: %d %.500s\n", agent->name, what, status, wire_body(answer));
    pthread_mutex_unlock(&results.lock);
}

/* ---- one exchange ---- */

struct talk {
    struct agent *agent;
    SSL *ssl;
    struct bytes answer;
};

static void talk_cleanup(struct talk *talk)
{
    if (talk->ssl)
        wire_close(talk->ssl);
    bytes_free(&talk->answer);
}

/* body: of JSON, consumed; NULL: none. authorization: a token, or NULL */
static bool ask(struct talk *talk, const char *method, const char *path, json_t *body, const char *token, int expected)
{
    AUTO(bytes) request = {0};
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    bytes_appendf(&request, "%s %s HTTP/1.1\r\nHost: localhost\r\n", method, path);
    if (token)
        bytes_appendf(&request, "Authorization: Bearer %s\r\n", token);
    if (text)
        bytes_appendf(&request, "Content-Type: application/json\r\nContent-Length: %zu\r\n", strlen(text));
    bytes_appendf(&request, "\r\n%s", text ? text : "");
    free(text);
    json_decref(body);
    bytes_clear(&talk->answer);
    int status = 0;
    if (talk->ssl && SSL_write(talk->ssl, request.data, (int)request.size) > 0)
        status = wire_answer(talk->ssl, &talk->answer);
    if (status != expected)
        failure_add(talk->agent, path, status, &talk->answer);
    return status == expected;
}

static void talk_open(struct talk *talk)
{
    talk->ssl = wire_open(tls, port, talk->agent->certificate, talk->agent->key);
}

/* ---- certificates ---- */

/* Whether it is the identity, which the agent uses from now on. */
static void identity_take(struct agent *agent, const struct held *held, const char *pem, EVP_PKEY *take_key)
{
    if (strcmp(held->profile, "node-identity") != 0) {
        EVP_PKEY_free(take_key);
        return;
    }
    X509_free(agent->certificate);
    EVP_PKEY_free(agent->key);
    agent->certificate = x509_read(pem);
    agent->key = take_key;
}

static bool certificate_get(struct talk *talk, struct held *held, const char *token)
{
    char path[128];
    double begin = seconds_now();
    AUTO(bytes) csr = {0};
    EVP_PKEY *key = NULL;
    csr_make(&key, &csr);
    json_t *body = json_pack("{ss ss sI ss*}", "profile", held->profile, "csr", bytes_text(&csr), "lifetime_seconds",
                             (json_int_t)lifetime, "replaces", token ? NULL : held->serial);
    snprintf(path, sizeof path, "/v1/clusters/%s/certificates", cluster);
    bool done = ask(talk, "POST", path, body, token, 201);
    json_t *answer = done ? json_loads(wire_body(&talk->answer), 0, NULL) : NULL;
    const char *serial = json_string_value(json_object_get(answer, "serial"));
    const char *pem = json_string_value(json_object_get(answer, "certificate"));
    if (serial && pem) {
        snprintf(held->serial, sizeof held->serial, "%s", serial);
        held->issued_at = time(NULL);
        held->not_after = held->issued_at + lifetime;
        held->renewed = !token;
        identity_take(talk->agent, held, pem, key);
        result_add(token ? ISSUED : RENEWAL, begin);
    } else {
        EVP_PKEY_free(key);
    }
    json_decref(answer);
    return done;
}

static void agent_enrol(struct agent *agent)
{
    CLEANUP(talk_cleanup) struct talk talk = {.agent = agent};
    talk_open(&talk);
    for (size_t i = 0; i < json_array_size(agent->profiles) && i < HELD_MAX; i++) {
        struct held *held = &agent->held[agent->held_count++];
        held->profile = json_string_value(json_array_get(agent->profiles, i));
        if (!certificate_get(&talk, held, agent->token))
            stop("cannot enrol");
    }
}

/* ---- a turn: as in client/agent/agent.c ---- */

static struct schedule held_schedule(const struct agent *agent, const struct held *held, bool marked)
{
    const struct schedule_facts facts = {.now = time(NULL) + (held->renewed ? 0 : skip),
                                         .issued_at = held->issued_at,
                                         .not_after = held->not_after,
                                         .seed = jitter ? schedule_seed(agent->name, held->profile, held->serial) : 0,
                                         .marked = marked};
    return schedule_decide(&facts);
}

/* In real time, when something is due or everything is looked at. */
static int64_t agent_next(const struct agent *agent)
{
    int64_t next = agent->turn_at + WHOLE_SECONDS;
    for (size_t i = 0; i < agent->held_count; i++) {
        int64_t at = held_schedule(agent, &agent->held[i], false).at - (agent->held[i].renewed ? 0 : skip);
        next = at < next ? at : next;
    }
    return next;
}

static bool held_marked(const json_t *work, const struct held *held)
{
    const json_t *list = json_object_get(work, "certificates");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *entry = json_array_get(list, i);
        const char *serial = json_string_value(json_object_get(entry, "serial"));
        if (serial && strcmp(serial, held->serial) == 0)
            return json_is_object(json_object_get(entry, "renew"));
    }
    return false;
}

static bool inventory_get(struct talk *talk)
{
    char path[192];
    double begin = seconds_now();
    snprintf(path, sizeof path, "/v1/clusters/%s", cluster);
    bool done = ask(talk, "GET", path, NULL, NULL, 200);
    result_add(INVENTORY, begin);
    for (size_t i = 0; done && i < json_array_size(talk->agent->authorities); i++) {
        const char *name = json_string_value(json_array_get(talk->agent->authorities, i));
        snprintf(path, sizeof path, "/v1/clusters/%s/authorities/%s/bundle", cluster, name);
        done = ask(talk, "GET", path, NULL, NULL, 200);
    }
    return done;
}

static bool report(struct agent *agent)
{
    CLEANUP(talk_cleanup) struct talk talk = {.agent = agent};
    char path[512], until[TIME_TEXT_SIZE];
    json_t *list = json_array();
    for (size_t i = 0; i < agent->held_count; i++) {
        time_text(agent->held[i].not_after, until);
        json_array_append_new(list, json_pack("{ss ss ss ss}", "profile", agent->held[i].profile, "serial",
                                              agent->held[i].serial, "state", "installed", "not_after", until));
    }
    json_t *body = json_pack("{s{ss} so s[]}", "agent", "version", "herd", "certificates", list, "crls");
    snprintf(path, sizeof path, "/v1/clusters/%s/nodes/%s/deployed", cluster, agent->name);
    talk_open(&talk);
    return ask(&talk, "PUT", path, body, NULL, 200);
}

static bool turn(struct talk *talk, const json_t *work, double begin)
{
    struct agent *agent = talk->agent;
    bool renewed = false;
    if (!inventory_get(talk))
        return false;
    for (size_t i = 0; i < agent->held_count; i++) {
        struct held *held = &agent->held[i];
        if (held_schedule(agent, held, held_marked(work, held)).verdict != SCHEDULE_DUE)
            continue;
        if (!certificate_get(talk, held, NULL))
            return false;
        renewed = true;
    }
    if ((renewed || !agent->reported) && !report(agent))
        return false;
    agent->reported = true;
    agent->turn_at = time(NULL);
    if (renewed)
        result_add(TURN, begin);
    return true;
}

/* ---- a round ---- */

static bool work_get(struct talk *talk, int64_t wait, json_t **ret_work)
{
    const struct agent *agent = talk->agent;
    char path[512];
    snprintf(path, sizeof path, "/v1/clusters/%s/nodes/%s/work?wait=%lld%s%s", cluster, agent->name, (long long)wait,
             agent->revision[0] ? "&seen=" : "", agent->revision);
    *ret_work = ask(talk, "GET", path, NULL, NULL, 200) ? json_loads(wire_body(&talk->answer), 0, NULL) : NULL;
    return *ret_work != NULL;
}

static bool work_marks(const struct agent *agent, const json_t *work)
{
    for (size_t i = 0; i < agent->held_count; i++)
        if (held_marked(work, &agent->held[i]))
            return true;
    return false;
}

/* *ret_stay  seconds until the next round */
static bool round_with(struct talk *talk, const json_t *work, double begin, double *ret_stay)
{
    struct agent *agent = talk->agent;
    const char *revision = json_string_value(json_object_get(work, "revision"));
    bool other = !revision || strcmp(revision, agent->revision) != 0;
    int64_t poll = json_integer_value(json_object_get(work, "poll_seconds"));
    if (work_marks(agent, work))
        result_add(WOKEN, begin);
    if ((other || time(NULL) >= agent_next(agent)) && !turn(talk, work, begin))
        return false;
    if (!agent->revision[0]) /* they were not all started at once */
        agent->turn_at -= randombytes_uniform(WHOLE_SECONDS);
    snprintf(agent->revision, sizeof agent->revision, "%s", revision ? revision : "");
    int64_t left = agent_next(agent) - time(NULL);
    *ret_stay = (double)(poll < left ? poll : left > 0 ? left : 0);
    return true;
}

static bool agent_round(struct agent *agent, double *ret_stay)
{
    CLEANUP(talk_cleanup) struct talk talk = {.agent = agent};
    double begin = seconds_now();
    int64_t now = time(NULL), next = agent_next(agent), left = (next < ends_at ? next : ends_at) - now;
    json_t *work = NULL;
    talk_open(&talk);
    double connected = seconds_now() - begin;
    if (!work_get(&talk, left < 1 ? 1 : left < WAIT_SECONDS_MAX ? left : WAIT_SECONDS_MAX, &work))
        return false;
    result_add(POLL, begin);
    bool done = round_with(&talk, work, seconds_now() - connected, ret_stay); /* without the time that it waited */
    json_decref(work);
    return done;
}

/* ---- workers ---- */

static void *worker_run(void *context)
{
    (void)context;
    for (struct agent *agent; (agent = (struct agent *)queue_take());) {
        double stay = AGAIN_SECONDS;
        if (!agent_round(agent, &stay))
            stay = AGAIN_SECONDS;
        agent->due.at = seconds_now() + stay;
        queue_put(&agent->due);
    }
    return NULL;
}

/* ---- phases ---- */

static void *enrol_run(void *context)
{
    (void)context;
    for (size_t i; (i = __atomic_fetch_add(&agents_enrolled, 1, __ATOMIC_RELAXED)) < agents_count;)
        agent_enrol(&agents[i]);
    return NULL;
}

static void workers_run(size_t count, void *(*run)(void *), void *context, size_t size, pthread_t *ret_workers)
{
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 256 << 10);
    for (size_t i = 0; i < count; i++)
        if (pthread_create(&ret_workers[i], &attributes, run, size ? (char *)context + i * size : context) != 0)
            stop("cannot start a thread");
    pthread_attr_destroy(&attributes);
}

static void workers_join(size_t count, pthread_t *workers)
{
    for (size_t i = 0; i < count; i++)
        pthread_join(workers[i], NULL);
}

static char *line_read(void)
{
    char *line = NULL;
    size_t capacity = 0;
    if (getline(&line, &capacity, stdin) <= 0)
        stop("nothing to read");
    return line;
}

static void nodes_read(void)
{
    char *line = line_read();
    nodes = json_loads(line, 0, NULL);
    free(line);
    agents_count = json_array_size(nodes);
    agents = calloc(agents_count, sizeof *agents);
    if (agents_count == 0 || !agents)
        stop("no nodes");
    for (size_t i = 0; i < agents_count; i++) {
        const json_t *node = json_array_get(nodes, i);
        agents[i].name = json_string_value(json_object_get(node, "name"));
        agents[i].token = json_string_value(json_object_get(node, "token"));
        agents[i].profiles = json_object_get(node, "profiles");
        agents[i].authorities = json_object_get(node, "authorities");
    }
}

static void enrol(void)
{
    pthread_t workers[ENROLLING];
    double begin = seconds_now();
    workers_run(ENROLLING, enrol_run, NULL, 0, workers);
    workers_join(ENROLLING, workers);
    printf("{\"issued\": %zu, \"seconds\": %.3f}\n", results.count[ISSUED], seconds_now() - begin);
    fflush(stdout);
}

/* Puts time forward to shortly before the first is due; runs until shortly after the last. */
static void time_skip(void)
{
    int64_t first = INT64_MAX, last = 0;
    for (size_t i = 0; i < agents_count; i++)
        for (size_t j = 0; j < agents[i].held_count; j++) {
            int64_t at = held_schedule(&agents[i], &agents[i].held[j], false).at;
            first = at < first ? at : first;
            last = at > last ? at : last;
        }
    skip = first - time(NULL) - AHEAD_SECONDS;
    if (!seconds)
        seconds = AHEAD_SECONDS + last - first + BEHIND_SECONDS;
    ends_at = time(NULL) + seconds;
}

static void herd_run(void)
{
    pthread_t *workers = calloc((size_t)threads, sizeof *workers);
    double begin = seconds_now();
    time_skip();
    for (size_t i = 0; i < agents_count; i++) {
        agents[i].turn_at = time(NULL);
        agents[i].due.at = begin + (double)(spread_seconds * (int64_t)i) / (double)agents_count;
        queue_put(&agents[i].due);
    }
    workers_run((size_t)threads, worker_run, NULL, 0, workers);
    queue_run(begin + (double)seconds, (size_t)threads);
    workers_join((size_t)threads, workers);
    free(workers);
}

static void *cycle_one(void *context)
{
    struct agent *agent = context;
    CLEANUP(talk_cleanup) struct talk talk = {.agent = agent};
    double until = seconds_now() + (double)seconds;
    talk_open(&talk);
    while (seconds_now() < until && certificate_get(&talk, &agent->held[agent->held_count - 1], NULL)) {
    }
    return NULL;
}

static void cycle_run(void)
{
    pthread_t *workers = calloc((size_t)cycle, sizeof *workers);
    if ((size_t)cycle > agents_count)
        stop("fewer nodes than that");
    workers_run((size_t)cycle, cycle_one, agents, sizeof *agents, workers);
    workers_join((size_t)cycle, workers);
    free(workers);
}

/* ---- the result ---- */

static void result_print(double begin)
{
    size_t left = 0;
    for (size_t i = 0; i < agents_count; i++)
        for (size_t j = 0; j < agents[i].held_count; j++)
            left += !agents[i].held[j].renewed;
    printf("{\"begin\": %.3f, \"failed\": %zu, \"not_renewed\": %zu", begin, results.failed, left);
    for (size_t kind = 0; kind < KINDS; kind++) {
        printf(", \"%s\": [", kind_words[kind]);
        for (size_t i = 0; i < results.count[kind]; i++)
            printf("%s[%.3f, %.2f]", i ? ", " : "", results.items[kind][i].at, results.items[kind][i].milliseconds);
        printf("]");
    }
    printf("}\n");
}

static void memory_free(void)
{
    for (size_t kind = 0; kind < KINDS; kind++)
        free(results.items[kind]);
    for (size_t i = 0; i < agents_count; i++) {
        X509_free(agents[i].certificate);
        EVP_PKEY_free(agents[i].key);
    }
    free(agents);
    queue_free();
    json_decref(nodes);
    SSL_CTX_free(tls);
}

int main(int argc, char **argv)
{
    static const struct option known[] = {
        {"port", required_argument, NULL, 'p'},
        {"cluster", required_argument, NULL, 'c'},
        {"lifetime", required_argument, NULL, 'l'},
        {"seconds", required_argument, NULL, 's'},
        {"spread", required_argument, NULL, 'r'},
        {"threads", required_argument, NULL, 't'},
        {"no-jitter", no_argument, NULL, 'j'},
        {"cycle", required_argument, NULL, 'y'},
        {0},
    };
    for (int letter; (letter = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        long number = optarg ? atol(optarg) : 0;
        switch (letter) {
        case 'p':
            port = (int)number;
            break;
        case 'c':
            cluster = optarg;
            break;
        case 'l':
            lifetime = number;
            break;
        case 's':
            seconds = number;
            break;
        case 'r':
            spread_seconds = number;
            break;
        case 't':
            threads = (int)number;
            break;
        case 'j':
            jitter = false;
            break;
        case 'y':
            cycle = (int)number;
            break;
        default:
            return 2;
        }
    }
    signal(SIGPIPE, SIG_IGN);
    if (sodium_init() < 0 || !(tls = SSL_CTX_new(TLS_client_method())))
        stop("no TLS");
    if (!port || !cluster || !lifetime || (cycle && !seconds) || threads < 1)
        return 2;
    nodes_read();
    queue_make(agents_count);
    enrol();
    free(line_read());
    double begin = seconds_now();
    if (cycle)
        cycle_run();
    else
        herd_run();
    result_print(begin);
    memory_free();
    return 0;
}
