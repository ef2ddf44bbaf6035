/* What an update of a cluster file changes: by table of edits. */
#include "policies/cluster_diff.h"

#include "tests/unit/policies/suite.h"

static const char text_before[] = "apiVersion: ensign/v1\n"
                                  "kind: Cluster\n"
                                  "name: lab\n"
                                  "kubernetesVersion: \"1.31\"\n"
                                  "controlPlaneEndpoint: 192.0.2.81:6443\n"
                                  "users: {groups: [manager, developers]}\n"
                                  "etcd: {topology: external}\n"
                                  "keys: {certificates: ecdsa-p256}\n"
                                  "recovery: {publicKey: CQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA}\n"
                                  "nodes:\n"
                                  "  - name: etcdone\n"
                                  "    hostnames: [etcdone.example.com]\n"
                                  "    addresses: [192.0.2.61]\n"
                                  "    roles: [etcd]\n"
                                  "  - {name: etcdtwo, addresses: [192.0.2.62], roles: [etcd]}\n"
                                  "  - {name: etcdthree, addresses: [192.0.2.63], roles: [etcd]}\n"
                                  "  - {name: masterone, addresses: [192.0.2.51], roles: [control-plane]}\n"
                                  "  - {name: mastertwo, addresses: [192.0.2.52], roles: [control-plane]}\n";

struct row {
    const char *from, *to;
    const char *changes;  /* "path before after" in JSON, with "; " between */
    const char *warnings; /* their beginnings matter: what each must contain, with "; " between; "" for none */
};

static const struct row rows[] = {
    {"lab", "lab", "", ""},
    /* the whole of it */
    {"\"1.31\"", "\"1.32\"", "/kubernetesVersion \"1.31\" \"1.32\"", ""},
    {"\"1.31\"", "\"1.31.4\"", "/kubernetesVersion \"1.31\" \"1.31.4\"", ""},
    {"\"1.31\"", "\"1.33\"", "/kubernetesVersion \"1.31\" \"1.33\"", "one minor version at a time"},
    {"\"1.31\"", "\"1.30\"", "/kubernetesVersion \"1.31\" \"1.30\"", "takes no version back"},
    {".81:6443", ".82:443", "/controlPlaneEndpoint \"192.0.2.81:6443\" \"192.0.2.82:443\"",
     "who still connects to 192.0.2.81 is refused"},
    {".81:6443", ".81:443", "/controlPlaneEndpoint \"192.0.2.81:6443\" \"192.0.2.81:443\"", ""},
    {"controlPlaneEndpoint: 192.0.2.81:6443\n",
     "controlPlaneEndpoint: api.example.com:6443\napiServer: {certSANs: [192.0.2.81]}\n",
     "/apiServer/certSANs null [\"192.0.2.81\"]; "
     "/controlPlaneEndpoint \"192.0.2.81:6443\" \"api.example.com:6443\"",
     ""},
    {"controlPlaneEndpoint: 192.0.2.81:6443\n", "", "/controlPlaneEndpoint \"192.0.2.81:6443\" null",
     "keep it in apiServer.certSANs"},
    {"", "apiServer: {certSANs: [api.example.com]}\n", "/apiServer/certSANs null [\"api.example.com\"]", ""},
    {"[manager, developers]", "[manager, developers, night]",
     "/users/groups [\"manager\",\"developers\"] [\"manager\",\"developers\",\"night\"]", ""},
    {"[manager, developers]", "[manager]", "/users/groups [\"manager\",\"developers\"] [\"manager\"]",
     "groups that are removed (1)"},
    {"users: {groups: [manager, developers]}\n", "", "/users/groups [\"manager\",\"developers\"] null",
     "groups that are removed (2)"},
    {"certificates: ecdsa-p256", "certificates: rsa-2048", "/keys/certificates \"ecdsa-p256\" \"rsa-2048\"", ""},
    {"certificates: ecdsa-p256", "certificates: ecdsa-p256, authorities: ecdsa-p256",
     "/keys/authorities null \"ecdsa-p256\"", ""},
    {"", "lifetimes: {authorities: 43800h}\n", "/lifetimes/authorities null \"43800h\"", "keep their end"},
    {"", "paths: {etcdMember: {certFile: /etc/etcd/server.pem}}\n",
     "/paths/etcdMember/certFile null \"/etc/etcd/server.pem\"", ""},
    {"", "networking: {dnsDomain: cluster.internal}\n", "/networking/dnsDomain null \"cluster.internal\"", "does not"},
    {"", "networking: {serviceSubnet: 10.112.0.0/12}\n", "/networking/serviceSubnet null \"10.112.0.0/12\"",
     "does not"},
    {"", "networking: {serviceSubnet: 10.96.0.0/12}\n", "/networking/serviceSubnet null \"10.96.0.0/12\"", ""},
    {"publicKey: CQAA", "publicKey: CgAA",
     "/recovery/publicKey \"CQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\" "
     "\"CgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"",
     "can open what was sealed"},
    {"recovery: {publicKey: CQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA}\n", "",
     "/recovery/publicKey \"CQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\" null", "can open what was sealed"},
    {"topology: external", "topology: external, certificates: separate", "/etcd/certificates null \"separate\"", ""},
    /* nodes */
    {"", "  - {name: aworker, addresses: [192.0.2.71], roles: [worker]}\n",
     "/nodes/aworker null {\"addresses\":[\"192.0.2.71\"],\"name\":\"aworker\",\"roles\":[\"worker\"]}", ""},
    {"  - {name: etcdtwo, addresses: [192.0.2.62], roles: [etcd]}\n", "",
     "/nodes/etcdtwo {\"addresses\":[\"192.0.2.62\"],\"name\":\"etcdtwo\",\"roles\":[\"etcd\"]} null",
     "nodes that are removed (1)"},
    {"name: etcdtwo", "name: etcdzwo",
     "/nodes/etcdtwo {\"addresses\":[\"192.0.2.62\"],\"name\":\"etcdtwo\",\"roles\":[\"etcd\"]} null; "
     "/nodes/etcdzwo null {\"addresses\":[\"192.0.2.62\"],\"name\":\"etcdzwo\",\"roles\":[\"etcd\"]}",
     "nodes that are removed (1)"},
    {"addresses: [192.0.2.61]", "addresses: [192.0.2.66, 192.0.2.61]",
     "/nodes/etcdone/addresses [\"192.0.2.61\"] [\"192.0.2.66\",\"192.0.2.61\"]", ""},
    {"    hostnames: [etcdone.example.com]\n", "", "/nodes/etcdone/hostnames [\"etcdone.example.com\"] null", ""},
    {"roles: [control-plane]}", "roles: [control-plane, worker]}",
     "/nodes/masterone/roles [\"control-plane\"] [\"control-plane\",\"worker\"]", ""},
    {"roles: [control-plane]}", "roles: [control-plane], labels: {example.com/pool: a, zone: b}}",
     "/nodes/masterone/labels/example.com~1pool null \"a\"; /nodes/masterone/labels/zone null \"b\"", ""},
    /* in another order, and with another first control plane */
    {"  - {name: etcdtwo, addresses: [192.0.2.62], roles: [etcd]}\n"
     "  - {name: etcdthree, addresses: [192.0.2.63], roles: [etcd]}\n",
     "  - {name: etcdthree, addresses: [192.0.2.63], roles: [etcd]}\n"
     "  - {name: etcdtwo, addresses: [192.0.2.62], roles: [etcd]}\n",
     "", ""},
    {"  - {name: masterone, addresses: [192.0.2.51], roles: [control-plane]}\n"
     "  - {name: mastertwo, addresses: [192.0.2.52], roles: [control-plane]}\n",
     "  - {name: mastertwo, addresses: [192.0.2.52], roles: [control-plane]}\n"
     "  - {name: masterone, addresses: [192.0.2.51], roles: [control-plane]}\n",
     "", "is now \"mastertwo\""},
};

/* What is against an update. */
static const struct {
    const char *from, *to, *pointer, *words;
} refused[] = {
    {"name: lab", "name: den", "/name", "this is cluster \"lab\", not \"den\""},
    {"certificates: ecdsa-p256", "authorities: rsa-2048", "/keys/authorities", "have keys of the kind ecdsa-p256"},
    {"topology: external}\n", "topology: stacked}\n", "/etcd/topology", "etcd of this cluster is external"},
};

static void cluster_of(const char *text, struct cluster *ret_cluster)
{
    struct fault f = {0};
    CLEANUP(document_auto) struct document *document = NULL;
    assert_ok(document_parse(span_text(text), "c.yaml", &document, &f), &f);
    assert_ok(cluster_read(document, ret_cluster, &f), &f);
}

static void value_append(const json_t *value, struct bytes *out)
{
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    bytes_appendf(out, " %s", text);
    free(text);
}

static void changes_text(const json_t *changes, struct bytes *out)
{
    for (size_t i = 0; i < json_array_size(changes); i++) {
        const json_t *change = json_array_get(changes, i);
        assert_int_equal(json_object_size(change), 3);
        bytes_appendf(out, "%s%s", i ? "; " : "", json_string_value(json_object_get(change, "path")));
        value_append(json_object_get(change, "before"), out);
        value_append(json_object_get(change, "after"), out);
    }
}

static void row_check(const struct row *row)
{
    char text[4096];
    struct fault f = {0};
    AUTO(cluster) before = {0}, after = {0};
    AUTO(cluster_diff) diff = {0};
    AUTO(bytes) changes = {0};
    text_edit(text_before, row->from, row->to, text, sizeof text);
    cluster_of(text_before, &before);
    cluster_of(text, &after);
    assert_ok(cluster_diff(&before, &after, &diff, &f), &f);
    changes_text(diff.changes, &changes);
    if (strcmp(bytes_text(&changes), row->changes) != 0)
        fail_msg("%s -> %s:\n  expected %s\n  is       %s", row->from, row->to, row->changes, bytes_text(&changes));
    const char *warning = json_string_value(json_array_get(diff.warnings, 0));
    if (json_array_size(diff.warnings) != (row->warnings[0] != '\0') || (warning && !strstr(warning, row->warnings)))
        fail_msg("%s -> %s: %zu warnings, \"%s\"", row->from, row->to, json_array_size(diff.warnings),
                 warning ? warning : "");
}

static void updates_say_what_they_change(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        row_check(&rows[i]);
}

/* With a topology goes where etcd runs: all nodes have both roles then. */
static void stack(char *text)
{
    for (char *at = strstr(text, "roles: ["); at; at = strstr(at + 1, "roles: [")) {
        char rest[4096];
        snprintf(rest, sizeof rest, "%s", strchr(at, ']'));
        sprintf(at, "roles: [etcd, control-plane%s", rest);
    }
}

static void some_things_stay(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
        char text[4096];
        struct fault f = {0};
        AUTO(cluster) before = {0}, after = {0};
        struct cluster_diff diff = {0};
        text_edit(text_before, refused[i].from, refused[i].to, text, sizeof text);
        if (strstr(text, "stacked"))
            stack(text);
        cluster_of(text_before, &before);
        cluster_of(text, &after);
        assert_int_equal(cluster_diff(&before, &after, &diff, &f), ERR_INPUT);
        assert_int_equal(f.reasons_count, 1);
        assert_reason(&f, refused[i].pointer, refused[i].words);
        assert_null(diff.changes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(updates_say_what_they_change),
        cmocka_unit_test(some_things_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
