/* What is planned: of bare hosts all of it, of hosts that are as they should be nothing, and of each deviation the step
 * that mends it. */
#include "client/bootstrap/plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ca/base/encode.h"
#include "client/bootstrap/step_files.h"

static const char file[] = "apiVersion: ensign/v1\nkind: Cluster\nname: c\nkubernetesVersion: \"1.31\"\n"
                           "controlPlaneEndpoint: 192.0.2.6:6443\netcd: {topology: external}\n"
                           "bootstrap: {loadBalancer: {kind: haproxy}, cni: {bridge: true}}\nnodes:\n"
                           "  - {name: etcd, addresses: [192.0.2.1], roles: [etcd]}\n"
                           "  - {name: one, addresses: [192.0.2.2], roles: [control-plane]}\n"
                           "  - {name: two, addresses: [192.0.2.3], roles: [control-plane]}\n"
                           "  - {name: worker, addresses: [192.0.2.4], roles: [worker], labels: {tier: gold}}\n"
                           "  - {name: lb, addresses: [192.0.2.6], roles: [load-balancer]}\n";

/* The same nodes in the same places; the last one is another worker. */
static const char kube_vip_file[] =
    "apiVersion: ensign/v1\nkind: Cluster\nname: c\nkubernetesVersion: \"1.31\"\n"
    "controlPlaneEndpoint: 192.0.2.6:6443\netcd: {topology: external}\n"
    "bootstrap: {loadBalancer: {kind: kube-vip, interface: eth0, image: \"kube-vip:v0.8.9\"}, cni: {bridge: true}}\n"
    "nodes:\n"
    "  - {name: etcd, addresses: [192.0.2.1], roles: [etcd]}\n"
    "  - {name: one, addresses: [192.0.2.2], roles: [control-plane]}\n"
    "  - {name: two, addresses: [192.0.2.3], roles: [control-plane]}\n"
    "  - {name: worker, addresses: [192.0.2.4], roles: [worker]}\n"
    "  - {name: other, addresses: [192.0.2.5], roles: [worker]}\n";
#define KUBE_VIP_MANIFEST "/etc/kubernetes/manifests/kube-vip.yaml"

enum { ETCD, ONE, TWO, WORKER, LB, NODES };

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

static void facts_give(struct fleet *fleet, size_t node, json_t *take_json)
{
    struct fault f = {0};
    char *text = json_dumps(take_json, 0);
    json_decref(take_json);
    host_facts_cleanup(&fleet->facts[node]);
    fleet->facts[node] = (struct host_facts){0};
    if (facts_read(span_text(text), &fleet->facts[node], &f) != OK)
        fail_msg("%s", f.text);
    free(text);
}

static json_t *bare(void)
{
    return json_pack("{s:i, s:s}", "version", 1, "hostname", "x");
}

static json_t *row_of(const char *path, const char *kind, const char *mode, const char *hash)
{
    return json_pack("[s, s, s, s, s, s, s]", path, kind, mode, "root", "root", "1", hash);
}

/* All the paths that are asked for, as the steps want them. */
static json_t *files_whole(struct fleet *fleet, size_t node)
{
    struct fault f = {0};
    json_t *rows = json_array();
    for (const struct step_kind *kind = step_kinds; kind->name; kind++) {
        AUTO(step_files) files = {0};
        if (kind->gate || !kind->applies(&fleet->cluster, fleet->views[node].node))
            continue;
        assert_int_equal(step_files_make(&fleet->views[node], kind, &files, &f), OK);
        for (size_t i = 0; i < files.count; i++) {
            char hash[SHA256_TEXT_SIZE], mode[8];
            snprintf(mode, sizeof mode, "%o", files.rows[i].mode);
            sha256_text(bytes_span(&files.rows[i].content), hash);
            json_array_append_new(rows, row_of(files.rows[i].path, "file", mode, hash));
        }
    }
    for (size_t i = 0; i < fleet->catalogue.count; i++) {
        const struct catalogue_item *item = &fleet->catalogue.items[i];
        const char *own[] = {item->path, item->key_path};
        for (size_t j = 0; item->node == fleet->views[node].node && j < 2; j++)
            if (own[j] && strcmp(own[j], SUPER_ADMIN_CONF) != 0)
                json_array_append_new(rows, row_of(own[j], "file", "600", ""));
    }
    static const char *const others[] = {APISERVER_MANIFEST, KUBELET_CONFIG, CNI_BRIDGE_PATH};
    for (size_t i = 0; i < ARRAY_SIZE(others); i++)
        json_array_append_new(rows, row_of(others[i], "file", "600", ""));
    return rows;
}

static json_t *whole(struct fleet *fleet, size_t node)
{
    static const char *const programs[] = {"curl",       "kubelet", "kubectl", "kubeadm",
                                           "containerd", "etcd",    "haproxy", "ensign"};
    static const char *const units[] = {"containerd", "kubelet",      "etcd",
                                        "haproxy",    "ensign-agent", "ensign-pod-routes"};
    json_t *json = bare();
    json_t *versions = json_array(), *running = json_array();
    for (size_t i = 0; i < ARRAY_SIZE(programs); i++)
        json_array_append_new(versions, json_pack("[s, s]", programs[i], "v1.31.4"));
    for (size_t i = 0; i < ARRAY_SIZE(units); i++)
        json_array_append_new(running, json_pack("[s, s, s, s]", units[i], "loaded", "active", "enabled"));
    json_object_set_new(json, "versions", versions);
    json_object_set_new(json, "units", running);
    json_object_set_new(json, "modules", json_pack("[[s, s], [s, s]]", "overlay", "loaded", "br_netfilter", "loaded"));
    json_object_set_new(json, "sysctls", json_pack("[[s, s]]", "net.ipv4.ip_forward", "1"));
    json_object_set_new(json, "files", files_whole(fleet, node));
    return json;
}

static int setup_of(void **state, const char *text)
{
    struct fleet *fleet = test_calloc(1, sizeof *fleet);
    struct fault f = {0};
    assert_int_equal(document_parse(span_text(text), "test", &fleet->document, &f), OK);
    assert_int_equal(cluster_read(fleet->document, &fleet->cluster, &f), OK);
    assert_int_equal(profiles_shipped(&fleet->profiles, &f), OK);
    assert_int_equal(catalogue_make(&fleet->cluster, &fleet->profiles, &fleet->catalogue, &f), OK);
    for (size_t i = 0; i < NODES; i++) {
        fleet->views[i] = (struct step_view){.catalogue = &fleet->catalogue,
                                             .node = &fleet->cluster.nodes[i],
                                             .facts = &fleet->facts[i],
                                             .materials = &fleet->materials,
                                             .kubernetes_version = "1.31.4"};
        facts_give(fleet, i, bare());
    }
    *state = fleet;
    return 0;
}

static int setup(void **state)
{
    return setup_of(state, file);
}

static int teardown(void **state)
{
    struct fleet *fleet = *state;
    for (size_t i = 0; i < NODES; i++)
        host_facts_cleanup(&fleet->facts[i]);
    catalogue_cleanup(&fleet->catalogue);
    profiles_cleanup(&fleet->profiles);
    cluster_cleanup(&fleet->cluster);
    document_auto(&fleet->document);
    test_free(fleet);
    return 0;
}

static void all_whole(struct fleet *fleet)
{
    for (size_t i = 0; i < NODES; i++)
        facts_give(fleet, i, whole(fleet, i));
}

/* "stage node: why; …" */
static void plan_text(struct fleet *fleet, const char *only, struct bytes *out)
{
    struct fault f = {0};
    AUTO(plan) plan = {0};
    struct plan_choice choice;
    assert_int_equal(plan_choose(&fleet->cluster, only, &choice, &f), OK);
    assert_int_equal(plan_make(fleet->views, NODES, &choice, &plan, &f), OK);
    for (size_t i = 0; i < plan.count; i++)
        bytes_appendf(out, "%s%s %s: %s", i ? "; " : "", stage_words[plan.rows[i].kind->stage],
                      fleet->cluster.nodes[plan.rows[i].host].name, plan.rows[i].why);
}

/* ---- tests ---- */

static void test_bare_hosts(void **state)
{
    struct fleet *fleet = *state;
    struct fault f = {0};
    AUTO(plan) plan = {0};
    const struct plan_choice all = {0};
    static const size_t counts[STAGES_COUNT] = {5 + 3, 5, 5, 1, 1, 1, 1, 3, 2, 5};
    size_t seen[STAGES_COUNT] = {0};
    assert_int_equal(plan_make(fleet->views, NODES, &all, &plan, &f), OK);
    for (size_t i = 0; i < plan.count; i++) {
        seen[plan.rows[i].kind->stage]++;
        assert_true(plan.rows[i].why[0]);
        assert_true(i == 0 || plan.rows[i].kind->stage >= plan.rows[i - 1].kind->stage);
    }
    for (size_t i = 0; i < STAGES_COUNT; i++)
        assert_int_equal(seen[i], counts[i]);
}

static void test_whole_hosts(void **state)
{
    AUTO(bytes) text = {0};
    all_whole(*state);
    plan_text(*state, NULL, &text);
    assert_string_equal(bytes_text(&text), "");
}

/* The rows of a list whose first cell is this are given other cells, or left out. */
static void change(json_t *facts, const char *list, const char *first, size_t cell, const char *value)
{
    json_t *rows = json_object_get(facts, list);
    bool found = false;
    for (size_t i = json_array_size(rows); i-- > 0;) {
        json_t *row = json_array_get(rows, i);
        if (strcmp(json_string_value(json_array_get(row, 0)), first) != 0)
            continue;
        found = true;
        if (value)
            json_array_set_new(row, cell, json_string(value));
        else
            json_array_remove(rows, i);
    }
    assert_true(found);
}

static void test_deviations(void **state)
{
    static const struct {
        size_t node;
        const char *list, *first;
        size_t cell;
        const char *value; /* NULL: the row is not there */
        const char *planned;
    } rows[] = {
        {ETCD, "versions", "curl", 0, NULL, "prepare etcd: there is no curl"},
        {ETCD, "versions", "etcd", 0, NULL, "prepare etcd: there is no etcd"},
        {LB, "versions", "etcd", 0, NULL, ""},
        {LB, "versions", "haproxy", 0, NULL, "prepare lb: there is no haproxy"},
        {WORKER, "versions", "kubeadm", 0, NULL, "prepare worker: there is no kubeadm"},
        {WORKER, "versions", "containerd", 0, NULL, "prepare worker: there is no containerd"},
        {ONE, "modules", "overlay", 1, "available", "prepare one: the module overlay is not loaded"},
        {ONE, "sysctls", "net.ipv4.ip_forward", 1, "0", "prepare one: net.ipv4.ip_forward is 0"},
        {ONE, "units", "containerd", 2, "failed", "prepare one: containerd is failed"},
        {ONE, "units", "kubelet", 3, "disabled", "prepare one: kubelet is disabled"},
        {TWO, "files", "/etc/crictl.yaml", 0, NULL, "prepare two: there is no /etc/crictl.yaml"},
        {TWO, "files", "/etc/crictl.yaml", 6, "00", "prepare two: /etc/crictl.yaml differs"},
        {TWO, "files", "/etc/crictl.yaml", 2, "666", "prepare two: /etc/crictl.yaml has mode 666 and owner root"},
        {TWO, "files", "/etc/crictl.yaml", 3, "ops", "prepare two: /etc/crictl.yaml has mode 644 and owner ops"},
        {TWO, "files", "/etc/crictl.yaml", 1, "link", "prepare two: /etc/crictl.yaml is a link"},
        {LB, "versions", "ensign", 0, NULL, "ensign lb: there is no ensign"},
        {ETCD, "files", "/etc/etcd/pki/member.key", 0, NULL, "enrol etcd: there is no /etc/etcd/pki/member.key"},
        {TWO, "files", "/etc/kubernetes/pki/sa.key", 0, NULL, "enrol two: there is no /etc/kubernetes/pki/sa.key"},
        {ETCD, "units", "etcd", 2, "inactive", "etcd etcd: etcd is inactive"},
        {ETCD, "files", "/etc/default/etcd", 6, "00", "etcd etcd: /etc/default/etcd differs"},
        {LB, "units", "haproxy", 3, "disabled", "load-balancer lb: haproxy is disabled"},
        {ONE, "files", APISERVER_MANIFEST, 0, NULL, /* before it is initialised, super-admin.conf belongs there, too */
         "enrol one: there is no " SUPER_ADMIN_CONF "; init one: there is no " APISERVER_MANIFEST},
        {TWO, "files", APISERVER_MANIFEST, 0, NULL, "control-planes two: there is no " APISERVER_MANIFEST},
        {TWO, "files", "/etc/kubernetes/kubeadm.yaml", 6, "00", ""}, /* nobody reads it any more */
        {TWO, "files", APISERVER_NAMES_PATH, 6, "00", "enrol two: " APISERVER_NAMES_PATH " differs"},
        {WORKER, "files", KUBECONFIGS_PATH, 6, "00", "load-balancer worker: " KUBECONFIGS_PATH " differs"},
        {ONE, "files", RENDER_SETTINGS_PATH, 6, "00", "init one: " RENDER_SETTINGS_PATH " differs"},
        {TWO, "files", RENDER_SETTINGS_PATH, 0, NULL, "init two: there is no " RENDER_SETTINGS_PATH},
        {WORKER, "files", KUBELET_CONFIG, 0, NULL, "workers worker: there is no " KUBELET_CONFIG},
        {WORKER, "units", "ensign-pod-routes", 2, "inactive", "network worker: ensign-pod-routes is inactive"},
        {ONE, "files", LABELS_PATH, 6, "00", "workers one: " LABELS_PATH " differs"},
        {LB, "units", "ensign-agent", 2, "inactive", "agents lb: ensign-agent is inactive"},
    };
    struct fleet *fleet = *state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        AUTO(bytes) text = {0};
        all_whole(fleet);
        json_t *facts = whole(fleet, rows[i].node);
        change(facts, rows[i].list, rows[i].first, rows[i].cell, rows[i].value);
        facts_give(fleet, rows[i].node, facts);
        plan_text(fleet, NULL, &text);
        assert_string_equal(bytes_text(&text), rows[i].planned);
    }
}

static void test_interrupted(void **state)
{
    struct fleet *fleet = *state;
    AUTO(bytes) text = {0};
    all_whole(fleet);
    json_t *facts = whole(fleet, ONE);
    json_object_set_new(facts, "begun", json_pack("[[s]]", "init"));
    facts_give(fleet, ONE, facts);
    plan_text(fleet, NULL, &text);
    assert_string_equal(bytes_text(&text), "init one: it was interrupted");
}

/* What kubeadm of another minor version could not read waits for the upgrade. */
static void test_settings_wait_for_kubeadm(void **state)
{
    struct fleet *fleet = *state;
    AUTO(bytes) text = {0};
    all_whole(fleet);
    json_t *facts = whole(fleet, TWO);
    change(facts, "files", RENDER_SETTINGS_PATH, 6, "00");
    change(facts, "versions", "kubeadm", 1, "v1.30.9");
    facts_give(fleet, TWO, facts);
    plan_text(fleet, NULL, &text);
    assert_string_equal(bytes_text(&text), "");
}

/* The version that runs is none of the settings: an upgrade alone changes it. */
static void test_settings_have_no_version(void **state)
{
    struct fleet *fleet = *state;
    AUTO(bytes) text = {0};
    all_whole(fleet);
    for (size_t i = 0; i < NODES; i++)
        fleet->views[i].kubernetes_version = "1.31.5";
    plan_text(fleet, NULL, &text);
    assert_string_equal(bytes_text(&text), "");
}

static void test_super_admin_is_tidied_away(void **state)
{
    struct fleet *fleet = *state;
    AUTO(bytes) text = {0};
    all_whole(fleet);
    json_t *facts = whole(fleet, ONE);
    json_array_append_new(json_object_get(facts, "files"), row_of(SUPER_ADMIN_CONF, "file", "600", ""));
    facts_give(fleet, ONE, facts);
    plan_text(fleet, NULL, &text);
    assert_string_equal(bytes_text(&text), "agents one: " SUPER_ADMIN_CONF " is there, which gets past RBAC");
}

/* Which kubeconfig the manifest has that this step puts there. */
static const char *kube_vip_reads(struct fleet *fleet, size_t node, const char *step)
{
    struct fault f = {0};
    for (const struct step_kind *kind = step_kinds; kind->name; kind++) {
        AUTO(step_files) files = {0};
        if (kind->gate || strcmp(kind->name, step) != 0)
            continue;
        assert_int_equal(step_files_make(&fleet->views[node], kind, &files, &f), OK);
        for (size_t i = 0; i < files.count; i++)
            if (strcmp(files.rows[i].path, KUBE_VIP_MANIFEST) == 0)
                return strstr(bytes_text(&files.rows[i].content), SUPER_ADMIN_CONF) ? "super-admin" : "admin";
    }
    return "";
}

static void test_kube_vip(void **state)
{
    struct fleet *fleet = *state;
    const struct step_kind *step = step_kinds;
    struct fault f = {0};
    AUTO(bytes) text = {0};
    AUTO(step_files) early = {0};
    plan_text(fleet, "load-balancer", &text);
    assert_string_equal(bytes_text(&text), "load-balancer one: there is no " KUBE_VIP_MANIFEST
                                           "; load-balancer two: there is no " KUBE_VIP_MANIFEST);
    /* Before init admin.conf has no rights; the others join a cluster where it has; nor has it any while init is not
     * done. */
    assert_string_equal(kube_vip_reads(fleet, ONE, "kube_vip"), "super-admin");
    assert_string_equal(kube_vip_reads(fleet, TWO, "kube_vip"), "admin");
    assert_string_equal(kube_vip_reads(fleet, ONE, "tidy"), "admin");
    while (strcmp(step->name, "kube_vip") != 0)
        step++;
    assert_int_equal(step_files_make(&fleet->views[ONE], step, &early, &f), OK);
    all_whole(fleet);
    json_t *facts = whole(fleet, ONE);
    json_object_set_new(facts, "begun", json_pack("[[s]]", "init"));
    facts_give(fleet, ONE, facts);
    assert_string_equal(kube_vip_reads(fleet, ONE, "kube_vip"), "super-admin");
    /* It was not tidied up: the manifest goes first, then what it named. */
    char hash[SHA256_TEXT_SIZE];
    sha256_text(bytes_span(&early.rows[0].content), hash);
    all_whole(fleet);
    facts_give(fleet, ONE, whole(fleet, ONE));
    facts = whole(fleet, ONE);
    change(facts, "files", KUBE_VIP_MANIFEST, 6, hash);
    json_array_append_new(json_object_get(facts, "files"), row_of(SUPER_ADMIN_CONF, "file", "600", ""));
    facts_give(fleet, ONE, facts);
    bytes_clear(&text);
    plan_text(fleet, NULL, &text);
    assert_string_equal(bytes_text(&text), "load-balancer one: " KUBE_VIP_MANIFEST
                                           " differs; agents one: " SUPER_ADMIN_CONF " is there, which gets past RBAC");
    all_whole(fleet);
    bytes_clear(&text);
    plan_text(fleet, NULL, &text);
    assert_string_equal(bytes_text(&text), "");
}

static int setup_kube_vip(void **state)
{
    return setup_of(state, kube_vip_file);
}

static void test_only(void **state)
{
    struct fleet *fleet = *state;
    struct fault f = {0};
    struct plan_choice choice;
    AUTO(bytes) stage = {0};
    AUTO(bytes) node = {0};
    plan_text(fleet, "etcd", &stage); /* a stage before a node of that name */
    assert_string_equal(bytes_text(&stage), "etcd etcd: there is no unit etcd");
    plan_text(fleet, "lb", &node);
    assert_null(strstr(bytes_text(&node), "one:"));
    assert_non_null(strstr(bytes_text(&node), "agents lb:"));
    assert_int_equal(plan_choose(&fleet->cluster, "nowhere", &choice, &f), ERR_INPUT);
    fleet->views[LB].facts = NULL; /* it did not answer */
    bytes_clear(&node);
    plan_text(fleet, "lb", &node);
    assert_string_equal(bytes_text(&node), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_bare_hosts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_whole_hosts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_deviations, setup, teardown),
        cmocka_unit_test_setup_teardown(test_interrupted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_settings_wait_for_kubeadm, setup, teardown),
        cmocka_unit_test_setup_teardown(test_settings_have_no_version, setup, teardown),
        cmocka_unit_test_setup_teardown(test_super_admin_is_tidied_away, setup, teardown),
        cmocka_unit_test_setup_teardown(test_kube_vip, setup_kube_vip, teardown),
        cmocka_unit_test_setup_teardown(test_only, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
