/* What speaks against an upgrade, and what is done in which order, of hosts that say what they have. */
#include "client/bootstrap/upgrade.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/bootstrap/step_files.h"

static const char file[] = "apiVersion: ensign/v1\nkind: Cluster\nname: c\nkubernetesVersion: \"1.31\"\n"
                           "controlPlaneEndpoint: 192.0.2.6:6443\netcd: {topology: external}\n"
                           "bootstrap: {packages: {kubernetes: %s}}\nnodes:\n"
                           "  - {name: etcd, addresses: [192.0.2.1], roles: [etcd]}\n"
                           "  - {name: worker, addresses: [192.0.2.4], roles: [worker]}\n"
                           "  - {name: one, addresses: [192.0.2.2], roles: [control-plane]}\n"
                           "  - {name: two, addresses: [192.0.2.3], roles: [control-plane]}\n";
#define REPOSITORY "{source: \"deb http://192.0.2.9/ ./\", keyFile: /key%s}"

enum { ETCD, WORKER, ONE, TWO, NODES };

struct fleet {
    struct document *document;
    struct cluster cluster;
    struct profiles profiles;
    struct catalogue catalogue;
    struct materials materials;
    struct host_facts facts[NODES];
    struct step_view views[NODES];
};

/* ---- hosts ---- */

/* NULL: it does not tell. */
struct said {
    const char *kubeadm, *kubelet, *running, *server;
    bool begun, apart; /* interrupted; not joined */
};

static void row_add(json_t *rows, const char *name, const char *text)
{
    if (text)
        json_array_append_new(rows, json_pack("[s, s]", name, text));
}

static void facts_give(struct fleet *fleet, size_t node, const struct said *said)
{
    struct fault f = {0};
    json_t *json = json_pack("{s:i, s:[]}", "version", 1, "versions"), *versions = json_object_get(json, "versions");
    row_add(versions, "kubeadm", said->kubeadm);
    row_add(versions, "kubelet", said->kubelet);
    row_add(versions, "running-kubelet", said->running);
    row_add(versions, "kube-apiserver", said->server);
    if (said->begun)
        json_object_set_new(json, "begun", json_pack("[[s]]", UPGRADE_MARK));
    if (!said->apart)
        json_object_set_new(
            json, "files",
            json_pack("[[s, s, s, s, s, s, s]]", KUBELET_CONFIG, "file", "644", "root", "root", "1", ""));
    char *text = json_dumps(json, 0);
    json_decref(json);
    host_facts_cleanup(&fleet->facts[node]);
    fleet->facts[node] = (struct host_facts){0};
    if (facts_read(span_text(text), &fleet->facts[node], &f) != OK)
        fail_msg("%s", f.text);
    free(text);
}

static void fleet_open(struct fleet *fleet, const char *packages)
{
    struct fault f = {0};
    char text[2048];
    snprintf(text, sizeof text, file, packages);
    if (document_parse(span_text(text), "test", &fleet->document, &f) != OK ||
        cluster_read(fleet->document, &fleet->cluster, &f) != OK)
        fail_msg("%s %s", f.text, f.reasons[0].text);
    assert_int_equal(profiles_shipped(&fleet->profiles, &f), OK);
    assert_int_equal(catalogue_make(&fleet->cluster, &fleet->profiles, &fleet->catalogue, &f), OK);
    for (size_t i = 0; i < NODES; i++)
        fleet->views[i] = (struct step_view){.catalogue = &fleet->catalogue,
                                             .node = &fleet->cluster.nodes[i],
                                             .facts = &fleet->facts[i],
                                             .materials = &fleet->materials};
}

static void fleet_cleanup(struct fleet *fleet)
{
    for (size_t i = 0; i < NODES; i++)
        host_facts_cleanup(&fleet->facts[i]);
    catalogue_cleanup(&fleet->catalogue);
    profiles_cleanup(&fleet->profiles);
    cluster_cleanup(&fleet->cluster);
    document_auto(&fleet->document);
}

#define ADM(version) "v" version
#define LET(version) "Kubernetes v" version

static const struct said nothing = {0};
/* Both have it all. */
#define HAS(version)                                                                                                   \
    {                                                                                                                  \
        ADM(version), LET(version), NULL, ADM(version), false, false                                                   \
    }
/* The programs are there, and do not run yet. */
#define BROUGHT(to, from)                                                                                              \
    {                                                                                                                  \
        ADM(to), LET(to), LET(from), ADM(from), false, false                                                           \
    }

static void all_give(struct fleet *fleet, const struct said *one, const struct said *two, const struct said *worker)
{
    struct said alone = *worker;
    alone.server = NULL;
    facts_give(fleet, ETCD, &nothing);
    facts_give(fleet, ONE, one);
    facts_give(fleet, TWO, two);
    facts_give(fleet, WORKER, &alone);
}

/* ---- tests ---- */

static void test_versions(void **state)
{
    static const struct {
        const char *text;
        unsigned minor;
        int patch; /* -1: none is found */
    } rows[] = {
        {"v1.20.2", 20, 2},
        {"Kubernetes v1.31.14", 31, 14},
        {"1.37.0+k3s1", 37, 0},
        {"v1.30.0-rc.1", 30, 0},
        {"2.1.20.2 1.21.3", 21, 3},
        {"v1.20", 0, -1},
        {"", 0, -1},
        {"11.20.3", 0, -1},
        {"1.20.x", 0, -1},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct kubernetes_version version = {0};
        assert_int_equal(kubernetes_version_find(rows[i].text, &version), rows[i].patch >= 0);
        if (rows[i].patch < 0)
            continue;
        assert_int_equal(version.minor, rows[i].minor);
        assert_int_equal(version.patch, rows[i].patch);
    }
}

static void test_wanted_version(void **state)
{
    static const char *const bad[] = {"1.20", "1.19.3",  "1.38.0", "1.20.2-rc.1", "vv1.20.2",
                                      "",     "1.020.2", "latest", "2.20.2"};
    struct upgrade upgrade = {0};
    struct fault f = {0};
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_int_equal(upgrade_version_read(bad[i], &upgrade, &f), ERR_INPUT);
        assert_int_equal(f.code, CODE_USAGE);
    }
    assert_int_equal(upgrade_version_read("v1.21.10", &upgrade, &f), OK);
    assert_string_equal(upgrade.text, "1.21.10");
}

/* What is found, a reason a line; the ways that are open have none. */
static void test_what_speaks_against_it(void **state)
{
    static const struct {
        const char *title, *to;
        struct said one, two, worker;
        struct kubernetes_version file, service;
        const char *packages, *reasons; /* "pointer: what is in the text" in their order; NULL: none */
    } rows[] = {
        {"one minor up",
         "1.31.4",
         BROUGHT("1.31.4", "1.30.8"),
         BROUGHT("1.31.4", "1.30.8"),
         BROUGHT("1.31.4", "1.30.8"),
         {30, -1},
         {30, -1},
         "{source: present}",
         NULL},
        {"a patch up",
         "1.31.4",
         BROUGHT("1.31.4", "1.31.0"),
         BROUGHT("1.31.4", "1.31.0"),
         BROUGHT("1.31.4", "1.31.0"),
         {31, -1},
         {31, -1},
         "{source: present}",
         NULL},
        {"the file has it already",
         "1.31.4",
         HAS("1.30.8"),
         HAS("1.30.8"),
         HAS("1.30.8"),
         {31, -1},
         {30, -1},
         "{source: distribution}",
         NULL},
        {"some have it",
         "1.31.4",
         HAS("1.31.4"),
         HAS("1.30.8"),
         HAS("1.30.8"),
         {31, -1},
         {30, -1},
         "{source: distribution}",
         NULL},
        {"only a worker is left",
         "1.29.6",
         HAS("1.29.6"),
         HAS("1.29.6"),
         HAS("1.28.8"),
         {28, -1},
         {28, -1},
         "{source: distribution}",
         NULL},
        {"a kubelet that is far behind",
         "1.31.4",
         HAS("1.30.8"),
         HAS("1.30.8"),
         HAS("1.28.1"),
         {30, -1},
         {30, -1},
         "{source: distribution}",
         NULL},
        {"two minors",
         "1.31.4",
         HAS("1.29.8"),
         HAS("1.30.8"),
         HAS("1.29.8"),
         {31, -1},
         {30, -1},
         "{source: distribution}",
         "one: API server is 1.29.8: go by one minor version at a time, to 1.30"},
        {"too far behind",
         "1.31.4",
         HAS("1.30.8"),
         HAS("1.30.8"),
         HAS("1.27.1"),
         {30, -1},
         {30, -1},
         "{source: distribution}",
         "worker: kubelet is 1.27.1: go by one"},
        {"back",
         "1.31.4",
         HAS("1.31.4"),
         HAS("1.31.4"),
         HAS("1.31.5"),
         {31, -1},
         {31, -1},
         "{source: distribution}",
         "worker: takes no version back"},
        {"nobody brings the programs",
         "1.31.4",
         BROUGHT("1.31.4", "1.30.8"),
         {ADM("1.31.4"), LET("1.30.8"), NULL, ADM("1.30.8"), false, false},
         {ADM("1.30.8"), LET("1.31.4"), LET("1.30.8"), NULL, false, false},
         {30, -1},
         {30, -1},
         "{source: present}",
         "worker: install kubeadm, kubelet and kubectl 1.31.4\ntwo: install kubeadm"},
        {"a package of another version",
         "1.31.4",
         HAS("1.30.8"),
         HAS("1.30.8"),
         HAS("1.30.8"),
         {30, -1},
         {30, -1},
         REPOSITORY,
         "bootstrap.packages.kubernetes.version: is no package of 1.31.4"},
        {"hosts that do not tell",
         "1.31.4",
         {ADM("1.30.8"), LET("1.30.8"), NULL, NULL, false, false},
         HAS("1.30.8"),
         {ADM("1.30.8"), NULL, NULL, NULL, false, true},
         {30, -1},
         {30, -1},
         "{source: distribution}",
         "worker: `ensign cluster apply` first\nworker: kubelet does not tell\none: " APISERVER_MANIFEST},
        {"a kubelet ahead of the API servers",
         "1.31.4",
         HAS("1.30.8"),
         HAS("1.30.8"),
         BROUGHT("1.31.4", "1.31.4"),
         {30, -1},
         {30, -1},
         "{source: distribution}",
         "worker: kubelet is 1.31.4, newer than an API server, 1.30.8"},
        {"another file",
         "1.31.4",
         HAS("1.30.8"),
         HAS("1.30.8"),
         HAS("1.30.8"),
         {29, -1},
         {30, -1},
         "{source: distribution}",
         "kubernetesVersion: file has 1.29: put 1.30 there"},
        {"the service is ahead",
         "1.29.6",
         HAS("1.28.8"),
         HAS("1.28.8"),
         HAS("1.28.8"),
         {29, -1},
         {29, -1},
         "{source: distribution}",
         "kubernetesVersion: \"1.28\" back"},
        {"ahead by a patch",
         "1.33.12",
         HAS("1.33.11"),
         HAS("1.33.11"),
         HAS("1.33.11"),
         {33, 12},
         {33, 12},
         "{source: distribution}",
         "kubernetesVersion: the service has 1.33 already"},
        {"ahead, with the same certificates",
         "1.31.4",
         HAS("1.30.8"),
         HAS("1.30.8"),
         HAS("1.30.8"),
         {31, -1},
         {31, -1},
         "{source: distribution}",
         NULL},
        {"a kubeadm that wants a CA's key",
         "1.29.4",
         HAS("1.28.8"),
         HAS("1.29.4"),
         HAS("1.28.8"),
         {28, -1},
         {28, -1},
         "{source: distribution}",
         "one: go to 1.29.5 or later"},
        {"a later one",
         "1.29.5",
         HAS("1.28.8"),
         HAS("1.28.8"),
         HAS("1.28.8"),
         {28, -1},
         {28, -1},
         "{source: distribution}",
         NULL},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct fleet fleet = {0};
        struct upgrade upgrade = {.file = rows[i].file, .service = rows[i].service};
        struct fault f = {0};
        char packages[128];
        snprintf(packages, sizeof packages, rows[i].packages, ", version: \"1.31.0-1.1\"");
        fleet_open(&fleet, packages);
        all_give(&fleet, &rows[i].one, &rows[i].two, &rows[i].worker);
        assert_int_equal(upgrade_version_read(rows[i].to, &upgrade, &f), OK);
        enum err err = upgrade_check(&upgrade, fleet.views, NODES, &f);
        const char *expected = rows[i].reasons ? rows[i].reasons : "";
        assert_int_equal(err, *expected ? ERR_INPUT : OK);
        for (size_t j = 0; j < f.reasons_count; j++) {
            char pointer[64] = "", text[256] = "";
            if (sscanf(expected, "%63[^:]: %255[^\n]", pointer, text) != 2 ||
                strcmp(pointer, f.reasons[j].pointer) != 0 || !strstr(f.reasons[j].text, text))
                fail_msg("%s: \"%s: %s\"", rows[i].title, f.reasons[j].pointer, f.reasons[j].text);
            expected += strcspn(expected, "\n");
            expected += *expected == '\n';
        }
        assert_string_equal(expected, "");
        fleet_cleanup(&fleet);
    }
}

/* "node: step, step; …" */
static void plan_text(struct fleet *fleet, const struct upgrade *upgrade, struct bytes *out)
{
    struct fault f = {0};
    AUTO(plan) plan = {0};
    assert_int_equal(upgrade_plan(upgrade, fleet->views, NODES, &plan, &f), OK);
    bytes_clear(out);
    for (size_t i = 0; i < plan.count; i += UPGRADE_PARTS) {
        for (size_t j = 0; j < UPGRADE_PARTS; j++) {
            assert_ptr_equal(plan.rows[i + j].kind, &upgrade_kinds[j]);
            assert_int_equal(plan.rows[i + j].host, plan.rows[i].host);
        }
        bytes_appendf(out, "%s%s: %s", i ? "; " : "", fleet->cluster.nodes[plan.rows[i].host].name, plan.rows[i].why);
    }
}

static void test_plan(void **state)
{
    static const struct said old = BROUGHT("1.31.4", "1.30.8"), now = HAS("1.31.4");
    /* Between the two: what kubeadm wrote is new, and the old kubelet runs; the kubelet is new, and the mark is there.
     */
    static const struct said half = {ADM("1.31.4"), LET("1.31.4"), LET("1.30.8"), ADM("1.31.4"), false, false};
    static const struct said begun = {ADM("1.31.4"), LET("1.31.4"), NULL, ADM("1.31.4"), true, false};
    static const struct {
        const struct said *one, *two, *worker;
        bool force;
        const char *planned;
    } rows[] = {
        {&old, &old, &old, false,
         "one: from 1.30.8 to 1.31.4; two: from 1.30.8 to 1.31.4; worker: from 1.30.8 to 1.31.4"},
        {&now, &old, &old, false, "two: from 1.30.8 to 1.31.4; worker: from 1.30.8 to 1.31.4"},
        {&now, &half, &now, false, "two: from 1.30.8 to 1.31.4"},
        {&now, &now, &begun, false, "worker: it was interrupted"},
        {&now, &now, &now, false, ""},
        {&now, &now, &begun, true,
         "one: from 1.31.4 to 1.31.4; two: from 1.31.4 to 1.31.4; worker: it was interrupted"},
    };
    AUTO(bytes) text = {0};
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct fleet fleet = {0};
        struct upgrade upgrade = {.force = rows[i].force};
        struct fault f = {0};
        fleet_open(&fleet, "{source: present}");
        all_give(&fleet, rows[i].one, rows[i].two, rows[i].worker);
        assert_int_equal(upgrade_version_read("1.31.4", &upgrade, &f), OK);
        plan_text(&fleet, &upgrade, &text);
        assert_string_equal(bytes_text(&text), rows[i].planned);
        fleet_cleanup(&fleet);
    }
}

static void test_changed_certificates(void **state)
{
    static const struct {
        struct kubernetes_version service, to;
        bool changed;
    } rows[] = {
        {{20, -1}, {21, 4}, false}, {{28, -1}, {29, 5}, true},   {{29, -1}, {30, 0}, false}, {{30, -1}, {31, 0}, false},
        {{33, -1}, {33, 12}, true}, {{33, 11}, {33, 11}, false}, {{36, -1}, {37, 0}, true},  {{36, 1}, {37, 0}, false},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const struct upgrade upgrade = {.service = rows[i].service, .to = rows[i].to};
        assert_int_equal(upgrade_changes_certificates(&upgrade), rows[i].changed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_versions),
        cmocka_unit_test(test_wanted_version),
        cmocka_unit_test(test_what_speaks_against_it),
        cmocka_unit_test(test_plan),
        cmocka_unit_test(test_changed_certificates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
