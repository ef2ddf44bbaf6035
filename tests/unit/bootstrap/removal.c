/* How a node leaves a cluster: which steps on which hosts, and what is refused. */
#include "client/bootstrap/removal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/bootstrap/step_files.h"

#define HEAD(topology)                                                                                                 \
    "apiVersion: ensign/v1\nkind: Cluster\nname: c\nkubernetesVersion: \"1.31\"\n"                                     \
    "controlPlaneEndpoint: 192.0.2.9:6443\netcd: {topology: " topology "}\nnodes:\n"

static const char external[] = HEAD("external") "  - {name: e1, addresses: [192.0.2.1], roles: [etcd]}\n"
                                                "  - {name: e2, addresses: [192.0.2.2], roles: [etcd]}\n"
                                                "  - {name: m1, addresses: [192.0.2.3], roles: [control-plane]}\n"
                                                "  - {name: m2, addresses: [192.0.2.4], roles: [control-plane]}\n"
                                                "  - {name: w, addresses: [192.0.2.5], roles: [worker]}\n"
                                                "  - {name: lb, addresses: [192.0.2.9], roles: [load-balancer]}\n";
static const char stacked[] = HEAD("stacked") "  - {name: m1, addresses: [192.0.2.3], roles: [control-plane, etcd]}\n"
                                              "  - {name: m2, addresses: [192.0.2.4], roles: [control-plane, etcd]}\n"
                                              "  - {name: w, addresses: [192.0.2.5], roles: [worker]}\n";
static const char single[] = HEAD("external") "  - {name: e1, addresses: [192.0.2.1], roles: [etcd]}\n"
                                              "  - {name: m1, addresses: [192.0.2.3], roles: [control-plane]}\n"
                                              "  - {name: w, addresses: [192.0.2.5], roles: [worker]}\n";

enum { HOSTS_MAX = 8 };

struct removal_row {
    const char *file, *node;
    const char *silent, *bare; /* hosts that do not answer; that answer and are in no cluster: "m1 e1" */
    bool lost, force;
    const char *wanted; /* "HOST STEP INPUT; …", or what the refusal says */
    enum err err;
};

static const struct removal_row rows[] = {
    {external, "w", "", "", false, false, "m1 drain w ; w reset ; m1 node_delete w", OK},
    {external, "w", "", "", false, true, "m1 drain w force; w reset ; m1 node_delete w", OK},
    {external, "m1", "", "", false, false, "m2 drain m1 ; m1 reset ; m2 node_delete m1", OK},
    {external, "e1", "", "", false, false, "e2 member_remove e1 https://192.0.2.1:2380; e1 reset ", OK},
    {external, "lb", "", "", false, false, "lb reset ", OK},
    {stacked, "m1", "", "", false, false,
     "m2 drain m1 ; m2 member_remove m1 https://192.0.2.3:2380; m1 reset ; m2 node_delete m1", OK},
    {stacked, "m1", "m1", "", true, false, "m2 member_remove m1 https://192.0.2.3:2380; m2 node_delete m1", OK},
    {stacked, "m1", "", "m1", true, false, "m2 member_remove m1 https://192.0.2.3:2380; m2 node_delete m1", OK},
    {external, "e2", "e2", "", true, false, "e1 member_remove e2 https://192.0.2.2:2380", OK},
    {external, "lb", "lb", "", true, false, "", OK},
    /* another one of its kind, which answers and runs, has to do it */
    {external, "w", "m1", "", false, false, "m2 drain w ; w reset ; m2 node_delete w", OK},
    {external, "w", "m1", "m2", false, false, "no other control plane", ERR_CONFLICT},
    {external, "e1", "e2", "", false, false, "no other member of etcd", ERR_CONFLICT},
    {stacked, "m1", "m1", "m2", true, false, "no other control plane", ERR_CONFLICT},
    /* what would end the cluster */
    {single, "e1", "", "", false, false, "the only member of etcd", ERR_CONFLICT},
    {single, "m1", "m1", "", true, false, "the only control plane", ERR_CONFLICT},
    {single, "w", "", "", false, false, "m1 drain w ; w reset ; m1 node_delete w", OK},
    /* lost or not */
    {external, "w", "w", "", false, false, "--lost", ERR_IO},
    {external, "w", "", "", true, false, "leave out --lost", ERR_CONFLICT},
    {external, "e1", "", "", true, false, "leave out --lost", ERR_CONFLICT},
    {external, "w", "", "w", true, false, "m1 node_delete w", OK},
};

static bool among(const char *list, const char *name)
{
    const char *found = strstr(list, name);
    return found && (found[strlen(name)] == ' ' || !found[strlen(name)]);
}

static void facts_of(const struct removal_row *row, const struct node_entry *node, struct host_facts *ret_facts)
{
    struct fault f = {0};
    json_t *json = json_pack("{si ss s[] s[]}", "version", 1, "hostname", node->name, "files", "units");
    static const char *const paths[] = {APISERVER_MANIFEST, KUBELET_CONFIG};
    for (size_t i = 0; !among(row->bare, node->name) && i < ARRAY_SIZE(paths); i++)
        if (node->roles & ROLE_CONTROL_PLANE || (i == 1 && node->roles & ROLE_WORKER))
            json_array_append_new(json_object_get(json, "files"),
                                  json_pack("[sssssss]", paths[i], "file", "600", "root", "root", "1", ""));
    if (!among(row->bare, node->name))
        json_array_append_new(json_object_get(json, "units"),
                              json_pack("[ssss]", "etcd", "loaded", "active", "enabled"));
    char *text = json_dumps(json, 0);
    json_decref(json);
    assert_int_equal(facts_read(span_text(text), ret_facts, &f), OK);
    free(text);
}

static void removal_text(const struct cluster *cluster, const struct removal *removal, struct bytes *out)
{
    for (size_t i = 0; i < removal->count; i++)
        bytes_appendf(out, "%s%s %s %s", i ? "; " : "", cluster->nodes[removal->steps[i].host].name,
                      removal->steps[i].kind->name, removal->steps[i].input);
}

static void row_check(const struct removal_row *row)
{
    struct fault f = {0};
    struct document *document = NULL;
    struct cluster cluster = {0};
    struct catalogue catalogue = {.cluster = &cluster};
    struct host_facts facts[HOSTS_MAX] = {0};
    struct step_view views[HOSTS_MAX] = {0};
    struct removal removal = {0};
    AUTO(bytes) text = {0};
    assert_int_equal(document_parse(span_text(row->file), "test", &document, &f), OK);
    if (cluster_read(document, &cluster, &f) != OK)
        fail_msg("%s: %s", f.text, f.reasons[0].text);
    for (size_t i = 0; i < cluster.nodes_count; i++) {
        facts_of(row, &cluster.nodes[i], &facts[i]);
        views[i] = (struct step_view){.catalogue = &catalogue,
                                      .node = &cluster.nodes[i],
                                      .facts = among(row->silent, cluster.nodes[i].name) ? NULL : &facts[i]};
    }
    const struct node_entry *node = cluster_node(&cluster, row->node);
    assert_int_equal(removal_plan(views, cluster.nodes_count, node, row->lost, row->force, &removal, &f), row->err);
    removal_text(&cluster, &removal, &text);
    if (row->err == OK)
        assert_string_equal(bytes_text(&text), row->wanted);
    else if (!strstr(f.text, row->wanted))
        fail_msg("\"%s\" does not say \"%s\"", f.text, row->wanted);
    for (size_t i = 0; i < cluster.nodes_count; i++)
        host_facts_cleanup(&facts[i]);
    cluster_cleanup(&cluster);
    document_auto(&document);
}

static void test_removals(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        row_check(&rows[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_removals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
