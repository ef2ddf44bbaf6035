/* The pure parts of the agent: when it renews, what follows a change, what agent.yaml says; and running a program. */
#include <openssl/x509v3.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ca/base/encode.h"
#include "client/agent/health.h"
#include "client/agent/hooks.h"
#include "client/agent/program.h"
#include "client/agent/schedule.h"
#include "client/agent/served.h"
#include "client/agent/settings.h"
#include "client/crl.h"
#include "tests/unit/client/fixture.h"

/* ---- schedule ---- */

enum { LIFE = 9000, ISSUED = 1000, END = ISSUED + LIFE };

static void test_schedule(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        struct schedule_facts facts;
        enum schedule_verdict verdict;
    } rows[] = {
        {"young", {.now = ISSUED}, SCHEDULE_WAIT},
        {"before the earliest jitter", {.now = ISSUED + LIFE * 2 / 3 - LIFE / 10}, SCHEDULE_WAIT},
        {"two thirds", {.now = ISSUED + LIFE * 2 / 3}, SCHEDULE_DUE},
        {"the last second", {.now = END - 1}, SCHEDULE_DUE},
        {"over", {.now = END}, SCHEDULE_EXPIRED},
        {"marked", {.now = ISSUED, .marked = true}, SCHEDULE_DUE},
        {"marked, over", {.now = END, .marked = true}, SCHEDULE_EXPIRED},
        {"blocked", {.now = ISSUED + LIFE * 2 / 3, .blocked = true}, SCHEDULE_BLOCKED},
        {"blocked, marked", {.now = ISSUED, .blocked = true, .marked = true}, SCHEDULE_BLOCKED},
        {"blocked, over", {.now = END, .blocked = true}, SCHEDULE_EXPIRED},
        {"just failed", {.now = END - 2000, .failures = 5, .failed_at = END - 2001}, SCHEDULE_WAIT},
        {"failed long ago", {.now = END - 2000, .failures = 5, .failed_at = END - 2400}, SCHEDULE_DUE},
        {"marked, just failed", {.now = ISSUED + 1, .marked = true, .failures = 5, .failed_at = ISSUED}, SCHEDULE_WAIT},
        {"failed before the clock was set back",
         {.now = END - 2000, .failures = 5, .failed_at = END - 1000},
         SCHEDULE_DUE},
        {"just renewed", {.now = END - 1, .resting = 1}, SCHEDULE_WAIT},
        {"renewed long ago", {.now = END - 1, .resting = -1}, SCHEDULE_DUE},
        {"marked, just renewed", {.now = ISSUED, .marked = true, .resting = 1}, SCHEDULE_DUE},
        {"failed, and still young", {.now = ISSUED + 500, .failures = 1, .failed_at = ISSUED}, SCHEDULE_WAIT},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct schedule_facts facts = rows[i].facts;
        facts.issued_at = ISSUED;
        facts.not_after = END;
        facts.seed = 7 + LIFE; /* no turn of it is at either end */
        print_message("%s\n", rows[i].what);
        assert_int_equal(schedule_decide(&facts).verdict, rows[i].verdict);
    }
}

static int64_t due_of(unsigned number, int64_t life)
{
    char serial[32];
    snprintf(serial, sizeof serial, "%u", number);
    const struct schedule_facts facts = {
        .now = 0, .issued_at = 0, .not_after = life, .seed = schedule_seed("node", "etcd-member", serial)};
    return schedule_decide(&facts).at;
}

/* A thousand certificates fill the tenth of the life evenly, and the same one is always due at the same time. */
static void test_jitter(void **state)
{
    (void)state;
    static const int64_t lives[] = {60, 3600, 31536000};
    for (size_t l = 0; l < ARRAY_SIZE(lives); l++) {
        unsigned tenths[10] = {0};
        int64_t life = lives[l], earliest = life * 2 / 3 - life / 10;
        for (unsigned i = 0; i < 1000; i++) {
            int64_t at = due_of(i, life);
            assert_in_range(at, earliest + 1, life * 2 / 3);
            assert_int_equal(at, due_of(i, life));
            tenths[(at - earliest - 1) * 10 / (life / 10)]++;
        }
        for (size_t i = 0; life > 60 && i < ARRAY_SIZE(tenths); i++)
            assert_in_range(tenths[i], 60, 140);
    }
    assert_true(schedule_seed("ab", "c", "d") != schedule_seed("a", "bc", "d"));
}

static void test_backoff(void **state)
{
    (void)state;
    static const struct {
        unsigned failures;
        int64_t left, wait;
    } rows[] = {{0, 1000, 0},        {1, 1000000, 2},     {2, 1000000, 4},       {3, 1000000, 8},
                {11, 1000000, 2048}, {12, 1000000, 3600}, {1000, 1000000, 3600}, {12, 20000, 2000},
                {12, 20, 2},         {12, 0, 1},          {12, -50, 1}};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        for (uint64_t seed = 0; seed < 50; seed++) {
            int64_t wait = schedule_backoff(rows[i].failures, rows[i].left, seed * UINT64_C(0x123456789abcdef));
            assert_in_range(wait, rows[i].wait - rows[i].wait / 2, rows[i].wait);
        }
}

/* ---- hooks ---- */

static struct hook hook_first(enum etcd_topology topology, unsigned roles, enum catalogue_kind kind, const char *name,
                              size_t *ret_count)
{
    const struct cluster cluster = {.etcd_topology = topology};
    const struct node_entry node = {.roles = roles};
    const struct catalogue_item item = {.kind = kind, .node = &node, .name = name};
    struct hook hooks[HOOKS_MAX] = {{0}};
    *ret_count = hooks_of(&cluster, &item, hooks);
    return hooks[0];
}

static void test_hooks(void **state)
{
    (void)state;
    enum { CP = ROLE_CONTROL_PLANE, ETCD = ROLE_ETCD, BOTH = CP | ETCD };
    static const struct {
        enum etcd_topology topology;
        unsigned roles;
        enum catalogue_kind kind;
        const char *name, *subject, *group; /* subject NULL: hot */
        size_t count;
    } rows[] = {
        {ETCD_EXTERNAL, ETCD, CATALOGUE_CERTIFICATE, "etcd-member", NULL, NULL, 0},
        {ETCD_EXTERNAL, CP, CATALOGUE_CERTIFICATE, "apiserver", NULL, NULL, 0},
        {ETCD_EXTERNAL, CP, CATALOGUE_CERTIFICATE, "apiserver-etcd-client", NULL, NULL, 0},
        {ETCD_EXTERNAL, CP, CATALOGUE_CERTIFICATE, "apiserver-kubelet-client", NULL, NULL, 0},
        {ETCD_EXTERNAL, CP, CATALOGUE_CERTIFICATE, "front-proxy-client", NULL, NULL, 0},
        {ETCD_EXTERNAL, CP, CATALOGUE_KUBECONFIG, "admin", NULL, NULL, 0},
        {ETCD_EXTERNAL, CP, CATALOGUE_KUBECONFIG, "scheduler", "kube-scheduler", "control-plane", 1},
        {ETCD_EXTERNAL, CP, CATALOGUE_KUBECONFIG, "controller-manager", "kube-controller-manager", "control-plane", 1},
        {ETCD_EXTERNAL, ROLE_WORKER, CATALOGUE_KUBECONFIG, "kubelet", "kubelet", NULL, 1},
        {ETCD_EXTERNAL, ETCD, CATALOGUE_BUNDLE, "etcd-ca", "etcd", "etcd", 1},
        {ETCD_STACKED, BOTH, CATALOGUE_BUNDLE, "etcd-ca", "etcd", "etcd", 2},
        {ETCD_EXTERNAL, CP, CATALOGUE_BUNDLE, "etcd-ca", "kube-apiserver", "control-plane", 1},
        {ETCD_EXTERNAL, CP, CATALOGUE_BUNDLE, "kubernetes", "kube-controller-manager", "control-plane", 1},
        {ETCD_EXTERNAL, ROLE_WORKER, CATALOGUE_BUNDLE, "kubernetes", NULL, NULL, 0},
        {ETCD_EXTERNAL, CP, CATALOGUE_BUNDLE, "front-proxy-ca", NULL, NULL, 0},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        size_t count = 0;
        struct hook hook = hook_first(rows[i].topology, rows[i].roles, rows[i].kind, rows[i].name, &count);
        assert_int_equal(count, rows[i].count);
        if (count == 0)
            continue;
        assert_string_equal(hook.subject, rows[i].subject);
        assert_true(rows[i].group ? hook.group && strcmp(hook.group, rows[i].group) == 0 : !hook.group);
    }
}

/* ---- agent.yaml ---- */

#define HEAD "apiVersion: ensign/v1\nkind: Agent\n"

static enum err settings_of(const char *text, const struct profiles *profiles, struct settings *ret_settings,
                            struct fault *f)
{
    CLEANUP(document_auto) struct document *document = NULL;
    TRY(document_parse(span_text(text), "agent.yaml", &document, f));
    return settings_read(TAKE(document), profiles, ret_settings, f);
}

static void test_settings(void **state)
{
    (void)state;
    AUTO(profiles) profiles = {0};
    AUTO(settings) settings = {0};
    struct fault f = {0};
    assert_int_equal(profiles_shipped(&profiles, &f), OK);
    assert_int_equal(settings_of(HEAD "lifetime: 720h\n"
                                      "hooks: {kubelet: none, etcd-ca: {command: [a, b], timeout: 2m}}\n"
                                      "check: {apiserver: \"127.0.0.1:6443\", etcd-member: none}\n"
                                      "health: {etcd: {command: [h]}, apiserver: none}\n",
                                 &profiles, &settings, &f),
                     OK);
    assert_int_equal(settings.lifetime_seconds, 720 * 3600);
    assert_true(settings_hook(&settings, "kubelet")->none);
    assert_null(settings_hook(&settings, "scheduler"));
    assert_string_equal(settings_hook(&settings, "etcd-ca")->words[1], "b");
    assert_null(settings_hook(&settings, "etcd-ca")->words[2]);
    assert_int_equal(settings_hook(&settings, "etcd-ca")->timeout_seconds, 120);
    assert_string_equal(settings_check(&settings, "apiserver")->endpoint, "127.0.0.1:6443");
    assert_true(settings_check(&settings, "etcd-member")->none);
    assert_int_equal(settings_health(&settings, HEALTH_ETCD)->timeout_seconds, 60);
    assert_true(settings_health(&settings, HEALTH_APISERVER)->none);
    assert_null(settings_health(&settings, HEALTH_NONE));
}

static void test_settings_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *reason;
    } rows[] = {
        {"kind: Agent\n", "apiVersion"},
        {HEAD "hook: {}\n", "hooks"},
        {HEAD "hooks: {kubelets: none}\n", "kubelet"},
        {HEAD "hooks: {kubelet: true}\n", ""},
        {HEAD "hooks: {kubelet: {command: []}}\n", "name of a program"},
        {HEAD "hooks: {kubelet: {command: [a], timeout: 1h}}\n", "at most"},
        {HEAD "check: {apiserver: nowhere}\n", "HOST:PORT"},
        {HEAD "check: {apiserver: \"host:port\"}\n", "HOST:PORT"},
        {HEAD "health: {scheduler: none}\n", ""},
        {HEAD "lifetime: 5s\n", "at least"},
    };
    AUTO(profiles) profiles = {0};
    struct fault f = {0};
    assert_int_equal(profiles_shipped(&profiles, &f), OK);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        AUTO(settings) settings = {0};
        struct fault why = {0};
        char line[1000];
        assert_int_equal(settings_of(rows[i].text, &profiles, &settings, &why), ERR_INPUT);
        fault_line(&why, line, sizeof line);
        print_message("%s\n", line);
        assert_non_null(strstr(line, rows[i].reason));
    }
}

/* ---- programs ---- */

static void test_program(void **state)
{
    (void)state;
    static const struct {
        const char *words[4];
        int64_t timeout;
        enum err err;
        const char *output, *text;
    } rows[] = {
        {{"echo", "hello", NULL}, 10, OK, "hello\n", ""},
        {{"cat", NULL}, 10, OK, "", ""}, /* standard input is empty */
        {{"sh", "-c", "echo bad; exit 3", NULL}, 10, ERR_IO, "bad", "exited with 3: bad"},
        {{"sh", "-c", "kill -9 $$", NULL}, 10, ERR_IO, "", "exited with 137"},
        {{"sh", "-c", "echo so far; sleep 60", NULL}, 1, ERR_IO, "so far", "longer than 1s: so far"},
        {{"sh", "-c", "exec >&- 2>&-; sleep 60", NULL}, 1, ERR_IO, "", "longer than 1s"},
        {{"/nonexistent/program", NULL}, 10, ERR_ABSENT, "", "install it"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        AUTO(bytes) output = {0};
        struct fault f = {0};
        time_t before = time(NULL);
        assert_int_equal(program_run(rows[i].words, rows[i].timeout, &output, &f), rows[i].err);
        assert_string_equal(bytes_text(&output), rows[i].output);
        assert_non_null(strstr(f.text, rows[i].text));
        assert_in_range(time(NULL) - before, 0, 20);
    }
}

static void test_program_output_is_cut(void **state)
{
    (void)state;
    static const char *const words[] = {"head", "-c", "100000", "/dev/zero", NULL};
    AUTO(bytes) output = {0};
    struct fault f = {0};
    assert_int_equal(program_run(words, 30, &output, &f), OK);
    assert_int_equal(output.size, 1024);
}

/* ---- what is served ---- */

static void respond_empty(void *context, const char *request, struct bytes *response)
{
    (void)context, (void)request, (void)response;
}

static void test_served(void **state)
{
    (void)state;
    struct made_certificate ca =
        certificate_make(&(struct making){.name = "ca", .authority = true, .not_after_seconds = 600});
    struct made_certificate leaf =
        certificate_make(&(struct making){.name = "localhost", .issuer = &ca, .not_after_seconds = -600});
    const struct made_certificate *const chain[] = {&ca, NULL};
    struct tls_server *server = tls_server_start(&leaf, chain, respond_empty, NULL);
    char endpoint[64];
    AUTO(bytes) der = {0};
    AUTO(bytes) none = {0};
    unsigned char *expected = NULL;
    struct fault f = {0};
    snprintf(endpoint, sizeof endpoint, "127.0.0.1:%u", tls_server_port(server));
    assert_int_equal(served_certificate(endpoint, &der, &f), OK); /* expired: not judged */
    int size = i2d_X509(leaf.certificate, &expected);
    assert_true(span_equal(bytes_span(&der), span(expected, (size_t)size)));
    OPENSSL_free(expected);
    free(tls_server_stop(server));
    assert_int_equal(served_certificate(endpoint, &none, &f), ERR_IO);
    assert_int_equal(f.code, CODE_UNREACHABLE);
    made_certificate_cleanup(&leaf);
    made_certificate_cleanup(&ca);
}

/* ---- what answers ---- */

static void respond_unauthorized(void *context, const char *request, struct bytes *response)
{
    (void)context, (void)request;
    bytes_append_text(response, "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
}

static void bundle_append(struct bytes *out, X509 *certificate)
{
    unsigned char *der = NULL;
    int size = i2d_X509(certificate, &der);
    pem_append(out, "CERTIFICATE", span(der, (size_t)size));
    OPENSSL_free(der);
}

/* A server by its name, which is asked at another place. */
static void test_health_by_name(void **state)
{
    (void)state;
    struct made_certificate ca =
        certificate_make(&(struct making){.name = "ca", .authority = true, .not_after_seconds = 600});
    struct made_certificate leaf =
        certificate_make(&(struct making){.name = "api.example.com", .issuer = &ca, .not_after_seconds = 600});
    const struct made_certificate *const chain[] = {&ca, NULL};
    struct tls_server *server = tls_server_start(&leaf, chain, respond_unauthorized, NULL);
    char at[64];
    AUTO(bytes) bundle = {0};
    bundle_append(&bundle, ca.certificate);
    snprintf(at, sizeof at, "127.0.0.1:%u", tls_server_port(server));
    const struct {
        const char *endpoint, *at;
        bool named;
        enum code code;
    } rows[] = {
        {"api.example.com:6443", at, true, CODE_NONE},
        {"api.example.com:6443", at, false, CODE_UNREACHABLE},
        {"other.example.com:6443", at, true, CODE_UNTRUSTED},
        {at, NULL, true, CODE_UNTRUSTED},
        {"api.example.com:6443", "127.0.0.1:1", true, CODE_UNREACHABLE},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct fault f = {0};
        const struct health_request request = {.endpoint = rows[i].endpoint,
                                               .path = "/livez",
                                               .at = rows[i].at,
                                               .named = rows[i].named,
                                               .bundle = bytes_span(&bundle)};
        enum err err = health_ask(&request, &f);
        if (f.code != rows[i].code || (err == OK) != (rows[i].code == CODE_NONE))
            fail_msg("row %zu: %d, \"%s\"", i, (int)f.code, f.text);
    }
    free(tls_server_stop(server));
    made_certificate_cleanup(&leaf);
    made_certificate_cleanup(&ca);
}

/* ---- CRLs ---- */

AUTO_POINTER(X509_CRL, X509_CRL_free)

struct crl_making {
    const char *what;
    bool by_other, no_number, tail;
    long this_update, next_update; /* from now */
    enum err err;
};

static void crl_make(const struct crl_making *making, const struct made_certificate *signer,
                     const struct made_certificate *named, struct bytes *ret_der)
{
    CLEANUP(X509_CRL_auto) X509_CRL *crl = X509_CRL_new();
    ASN1_TIME *from = X509_gmtime_adj(NULL, making->this_update), *until = X509_gmtime_adj(NULL, making->next_update);
    ASN1_INTEGER *number = ASN1_INTEGER_new();
    unsigned char *der = NULL;
    ASN1_INTEGER_set_int64(number, 41);
    X509_CRL_set_version(crl, X509_CRL_VERSION_2);
    X509_CRL_set_issuer_name(crl, X509_get_subject_name(named->certificate));
    X509_CRL_set1_lastUpdate(crl, from);
    X509_CRL_set1_nextUpdate(crl, until);
    if (!making->no_number)
        assert_int_equal(X509_CRL_add1_ext_i2d(crl, NID_crl_number, number, 0, 0), 1);
    assert_true(X509_CRL_sign(crl, signer->key, EVP_sha256()) > 0);
    int size = i2d_X509_CRL(crl, &der);
    bytes_append(ret_der, der, (size_t)size);
    if (making->tail)
        bytes_append(ret_der, "", 1);
    OPENSSL_free(der);
    ASN1_INTEGER_free(number);
    ASN1_TIME_free(from);
    ASN1_TIME_free(until);
}

static void pem_of(const struct made_certificate *made, struct bytes *ret_pem)
{
    unsigned char *der = NULL;
    int size = i2d_X509(made->certificate, &der);
    pem_append(ret_pem, "CERTIFICATE", span(der, (size_t)size));
    OPENSSL_free(der);
}

static void test_crl(void **state)
{
    (void)state;
    static const struct crl_making rows[] = {
        {"right", .this_update = -10, .next_update = 600, .err = OK},
        {"another signer of that name", .by_other = true, .this_update = -10, .next_update = 600, .err = ERR_AUTH},
        {"no number", .no_number = true, .this_update = -10, .next_update = 600, .err = ERR_AUTH},
        {"something behind it", .tail = true, .this_update = -10, .next_update = 600, .err = ERR_AUTH},
        {"over", .this_update = -600, .next_update = -10, .err = ERR_AUTH},
        {"of tomorrow", .this_update = 86400, .next_update = 2 * 86400, .err = ERR_AUTH},
    };
    struct made_certificate ca =
        certificate_make(&(struct making){.name = "ca", .authority = true, .not_after_seconds = 600});
    struct made_certificate other =
        certificate_make(&(struct making){.name = "ca", .authority = true, .not_after_seconds = 600});
    struct made_certificate first =
        certificate_make(&(struct making){.name = "old", .authority = true, .not_after_seconds = 600});
    AUTO(bytes) bundle = {0};
    pem_of(&first, &bundle);
    pem_of(&ca, &bundle);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        AUTO(bytes) der = {0};
        struct crl_facts facts = {0};
        struct fault f = {0};
        crl_make(&rows[i], rows[i].by_other ? &other : &ca, &ca, &der);
        enum err err = crl_check(bytes_span(&der), bytes_span(&bundle), time(NULL), &facts, &f);
        print_message("%s: %s\n", rows[i].what, f.text);
        assert_int_equal(err, rows[i].err);
        assert_int_equal(facts.number, rows[i].err == OK ? 41 : 0);
        for (size_t cut = 0; rows[i].err == OK && cut < der.size; cut += 7) {
            struct fault ignored = {0};
            assert_int_equal(crl_check(span(der.data, cut), bytes_span(&bundle), time(NULL), &facts, &ignored),
                             ERR_AUTH);
        }
    }
    made_certificate_cleanup(&first);
    made_certificate_cleanup(&other);
    made_certificate_cleanup(&ca);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN); /* as the program does */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_schedule), cmocka_unit_test(test_jitter),
        cmocka_unit_test(test_backoff),  cmocka_unit_test(test_hooks),
        cmocka_unit_test(test_settings), cmocka_unit_test(test_settings_refused),
        cmocka_unit_test(test_program),  cmocka_unit_test(test_program_output_is_cut),
        cmocka_unit_test(test_served),   cmocka_unit_test(test_health_by_name),
        cmocka_unit_test(test_crl),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
