/* Whether hosts are fit: one host that is, and what each deviation from it is found to be. */
#include "client/bootstrap/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define CA_ONE "1111111111111111111111111111111111111111111111111111111111111111"
#define CA_TWO "2222222222222222222222222222222222222222222222222222222222222222"

static const char file[] =
    "apiVersion: ensign/v1\nkind: Cluster\nname: c\nkubernetesVersion: \"1.31\"\n"
    "controlPlaneEndpoint: api.example.com:7443\netcd: {topology: external}\nnodes:\n"
    "  - {name: etcd, addresses: [192.0.2.1], roles: [etcd]}\n"
    "  - {name: master, hostnames: [master.example.com], addresses: [192.0.2.2, 192.0.2.3], roles: [control-plane]}\n"
    "  - {name: worker, addresses: [192.0.2.4], roles: [worker]}\n"
    "  - {name: lb, addresses: [192.0.2.5], roles: [load-balancer]}\n";

enum { ETCD, MASTER, WORKER, LB, NODES };

/* Of a host, by the parts that rows change. */
static const char *const fit[][2] = {
    {"os_id", "\"debian\""},
    {"os_version", "\"12\""},
    {"architecture", "\"x86_64\""},
    {"hostname", "\"%s\""},
    {"machine_id", "\"id-%s\""},
    {"cpus", "\"2\""},
    {"memory_kib", "\"2000000\""},
    {"time_synchronized", "\"yes\""},
    {"ports_known", "\"yes\""},
    {"swaps", "[]"},
    {"disks", "[[\"/\",\"9000000\",\"8000000\",\"/\"],[\"/var\",\"9000000\",\"8000000\",\"/\"]]"},
    {"addresses",
     "[[\"e\",\"192.0.2.1/24\"],[\"e\",\"192.0.2.2/24\"],[\"e\",\"192.0.2.3/32\"],[\"e\",\"192.0.2.4/24\"],"
     "[\"e\",\"192.0.2.5/24\"]]"},
    {"names", "[[\"%s\",\"192.0.2.1\"],[\"api.example.com\",\"192.0.2.5\"]]"},
    {"ports", "[[\"tcp\",\"22\",\"0.0.0.0\",\"sshd\"],[\"udp\",\"6443\",\"0.0.0.0\",\"x\"]]"},
    {"modules", "[[\"overlay\",\"loaded\"],[\"br_netfilter\",\"available\"]]"},
    {"sysctls", "[]"},
    {"versions", "[]"},
    {"units", "[[\"ufw\",\"loaded\",\"inactive\",\"disabled\"]]"},
    {"authorities", "[]"},
    {"remains", "[[\"/etc/ensign/node\"]]"},
    {"begun", "[]"},
};

struct row {
    const char *what;
    size_t node;
    const char *member, *value; /* in the place of the fit one; NULL: none */
    int64_t skew_ms, uncertainty_ms;
    const char *expected; /* "level check", with "; " between */
};

#define PORT(program, number) "[[\"tcp\",\"" number "\",\"0.0.0.0\",\"" program "\"]]"

static const struct row rows[] = {
    {"fit", MASTER, NULL, NULL, 0, 0, ""},
    {"ubuntu", MASTER, "os_id", "\"ubuntu\"", 0, 0, "error system"}, /* of version 12 */
    {"debian 13", MASTER, "os_version", "\"13\"", 0, 0, ""},
    {"debian 12.7", MASTER, "os_version", "\"12.7\"", 0, 0, ""},
    {"debian 11", ETCD, "os_version", "\"11\"", 0, 0, "error system"},
    {"no version", ETCD, "os_version", "\"\"", 0, 0, "error system"},
    {"a version too large", ETCD, "os_version", "\"99999999999999999999\"", 0, 0, "error system"},
    {"another system", ETCD, "os_id", "\"fedora\"", 0, 0, "error system"},
    {"another machine", ETCD, "architecture", "\"mips\"", 0, 0, "error architecture"},
    {"arm", ETCD, "architecture", "\"aarch64\"", 0, 0, ""},
    {"clock within 2 s", ETCD, NULL, NULL, 2000, 0, ""},
    {"clock ahead", ETCD, NULL, NULL, 2001, 0, "warning clock"},
    {"clock behind", ETCD, NULL, NULL, -2001, 0, "warning clock"},
    {"a slow answer is no skew", ETCD, NULL, NULL, -9000, 7000, ""},
    {"clock at the backdate", ETCD, NULL, NULL, 300000, 0, "warning clock"},
    {"clock past it", ETCD, NULL, NULL, 300001, 0, "error clock"},
    {"clock far behind", ETCD, NULL, NULL, -86400000, 10, "error clock"},
    {"no time service", ETCD, "time_synchronized", "\"no\"", 0, 0, "warning time service"},
    {"one cpu", MASTER, "cpus", "\"1\"", 0, 0, "error cpus"},
    {"one cpu of a worker", WORKER, "cpus", "\"1\"", 0, 0, ""},
    {"cpus not said", MASTER, "cpus", "\"\"", 0, 0, "error cpus"},
    {"little memory", MASTER, "memory_kib", "\"1740799\"", 0, 0, "error memory"},
    {"enough memory", MASTER, "memory_kib", "\"1740800\"", 0, 0, ""},
    {"full disk, once", ETCD, "disks", "[[\"/\",\"9\",\"8\",\"/\"],[\"/var\",\"9\",\"8\",\"/\"]]", 0, 0, "error disk"},
    {"two full disks", ETCD, "disks", "[[\"/\",\"9\",\"8\",\"/\"],[\"/var\",\"9\",\"8\",\"/var\"]]", 0, 0,
     "error disk; error disk"},
    {"just enough", ETCD, "disks", "[[\"/\",\"9000000\",\"2097152\",\"/\"]]", 0, 0, ""},
    {"no disk", ETCD, "disks", "[]", 0, 0, "error disk"},
    {"swap", WORKER, "swaps", "[[\"/swapfile\",\"1000\"]]", 0, 0, "note swap"},
    {"swap on etcd", ETCD, "swaps", "[[\"/swapfile\",\"1000\"]]", 0, 0, ""},
    {"no module", WORKER, "modules", "[[\"overlay\",\"absent\"],[\"br_netfilter\",\"loaded\"]]", 0, 0,
     "warning module"},
    {"built in", WORKER, "modules", "[[\"overlay\",\"loaded\"],[\"br_netfilter\",\"absent\"]]", 0, 0, "warning module"},
    {"no modules on etcd", ETCD, "modules", "[]", 0, 0, ""},
    {"of this version", WORKER, "versions", "[[\"kubeadm\",\"v1.31.4\"],[\"kubelet\",\"Kubernetes v1.31.4\"]]", 0, 0,
     ""},
    {"another kubeadm", WORKER, "versions", "[[\"kubeadm\",\"v1.30.9\"]]", 0, 0, "error version"},
    {"another kubelet", MASTER, "versions", "[[\"kubelet\",\"Kubernetes v1.3.1\"]]", 0, 0, "error version"},
    {"a kubeadm that says nothing", MASTER, "versions", "[[\"kubeadm\",\"\"]]", 0, 0, "error version"},
    {"kubelet of etcd", ETCD, "versions", "[[\"kubelet\",\"Kubernetes v1.3.1\"]]", 0, 0, ""},
    {"another name", ETCD, "hostname", "\"mailer\"", 0, 0, "warning host name"},
    {"a hostname", MASTER, "hostname", "\"master.example.com\"", 0, 0, ""},
    {"with a domain", ETCD, "hostname", "\"etcd.example.com\"", 0, 0, ""},
    {"a longer name", ETCD, "hostname", "\"etcdone\"", 0, 0, "warning host name"},
    {"finds no name", MASTER, "names", "[]", 0, 0, "warning name; error name"},
    {"etcd needs no API server", ETCD, "names", "[[\"etcd\",\"192.0.2.1\"]]", 0, 0, ""},
    {"first address", MASTER, "addresses", "[[\"e\",\"192.0.2.3/24\"],[\"e\",\"192.0.2.20/24\"]]", 0, 0,
     "error address"},
    {"second address", MASTER, "addresses", "[[\"e\",\"192.0.2.2/24\"]]", 0, 0, "warning address"},
    {"API server", MASTER, "ports", PORT("kube-apiserver", "6443"), 0, 0, ""},
    {"cut name", MASTER, "ports", PORT("kube-controller", "10257"), 0, 0, ""},
    {"taken", MASTER, "ports", PORT("nginx", "6443"), 0, 0, "error port"},
    {"taken by nobody known", MASTER, "ports", PORT("", "6443"), 0, 0, "error port"},
    {"another role's port", ETCD, "ports", PORT("nginx", "6443"), 0, 0, ""},
    {"etcd's", ETCD, "ports", PORT("etcd", "2379"), 0, 0, ""},
    {"etcd's, taken", ETCD, "ports", PORT("consul", "2380"), 0, 0, "error port"},
    {"kubelet's, taken", WORKER, "ports", PORT("x", "10250"), 0, 0, "error port"},
    {"the endpoint's", LB, "ports", PORT("haproxy", "7443"), 0, 0, ""},
    {"the endpoint's, nginx", LB, "ports", PORT("nginx", "7443"), 0, 0, ""},
    {"the endpoint's, taken", LB, "ports", PORT("apache2", "7443"), 0, 0, "error port"},
    {"no ss", ETCD, "ports_known", "\"\"", 0, 0, "warning ports"},
    {"firewall", ETCD, "units", "[[\"ufw\",\"loaded\",\"active\",\"enabled\"]]", 0, 0, "warning firewall"},
    {"its own CA", ETCD, "authorities", "[[\"/etc/kubernetes/pki/ca.crt\",\"" CA_ONE "\"]]", 0, 0, ""},
    {"another CA", ETCD, "authorities", "[[\"/etc/kubernetes/pki/ca.crt\",\"" CA_TWO "\"]]", 0, 0, "error cluster"},
    {"half a cluster", ETCD, "remains", "[[\"/etc/kubernetes/kubelet.conf\"]]", 0, 0, "error cluster"},
    {"data of etcd", ETCD, "remains", "[[\"/var/lib/etcd\"]]", 0, 0, "error cluster"},
    {"a bring-up that was interrupted", ETCD, "begun", "[[\"etcd\"]]", 0, 0, ""},
    {"a restore that was interrupted", ETCD, "begun", "[[\"restore\"]]", 0, 0, "error etcd"},
};

static void facts_make(const char *name, const struct row *row, struct host_report *report)
{
    AUTO(bytes) text = {0};
    struct fault f = {0};
    bytes_append_text(&text, "{\"version\":1");
    for (size_t i = 0; i < ARRAY_SIZE(fit); i++) {
        char value[512];
        bool changed = row && row->member && strcmp(row->member, fit[i][0]) == 0;
        const char *blank = changed ? NULL : strstr(fit[i][1], "%s");
        snprintf(value, sizeof value, "%.*s%s%s", blank ? (int)(blank - fit[i][1]) : 511,
                 changed ? row->value : fit[i][1], blank ? name : "", blank ? blank + 2 : "");
        bytes_appendf(&text, ",\"%s\":%s", fit[i][0], value);
    }
    bytes_append_text(&text, "}");
    if (facts_read(bytes_span(&text), &report->facts, &f) != OK)
        fail_msg("%s: %s", bytes_text(&text), f.text);
    report->answered = true;
}

/* more  nodes */
static void cluster_make(const char *more, struct cluster *cluster)
{
    CLEANUP(document_auto) struct document *document = NULL;
    AUTO(bytes) text = {0};
    struct fault f = {0};
    bytes_appendf(&text, "%s%s", file, more);
    assert_int_equal(document_parse(bytes_span(&text), "c.yaml", &document, &f), OK);
    assert_int_equal(cluster_read(document, cluster, &f), OK);
}

static void found_text(const struct findings *findings, struct bytes *out)
{
    size_t errors = 0;
    for (size_t i = 0; i < findings->count; i++) {
        const struct finding *finding = &findings->rows[i];
        bytes_appendf(out, "%s%s %s", i ? "; " : "", finding_level_words[finding->level], finding->check);
        assert_true(finding->expected[0] && finding->remedy[0]);
        errors += finding->level == FINDING_ERROR;
    }
    assert_int_equal(findings->errors, errors);
}

static const char *const own[] = {CA_ONE, NULL};
static const struct check_authorities ours = {true, own}, unknown = {false, NULL};

static void one_host(void **state)
{
    (void)state;
    AUTO(cluster) cluster = {0};
    cluster_make("", &cluster);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        AUTO(findings) findings = {0};
        AUTO(bytes) found = {0};
        struct fault f = {0};
        struct host_report report = {
            .node = &cluster.nodes[rows[i].node], .skew_ms = rows[i].skew_ms, .uncertainty_ms = rows[i].uncertainty_ms};
        facts_make(report.node->name, &rows[i], &report);
        assert_int_equal(check_hosts(&cluster, &report, 1, &ours, &findings, &f), OK);
        found_text(&findings, &found);
        if (strcmp(bytes_text(&found), rows[i].expected) != 0)
            fail_msg("%s: \"%s\" instead of \"%s\"", rows[i].what, bytes_text(&found), rows[i].expected);
        host_facts_cleanup(&report.facts);
    }
}

/* Two hosts; the row is of the second one. */
static const struct row pairs[] = {
    {"different", WORKER, NULL, NULL, 0, 0, ""},
    {"a copy", WORKER, "machine_id", "\"id-etcd\"", 0, 0, "error machine id"},
    {"one host", WORKER, "hostname", "\"etcd\"", 0, 0, "warning host name; error host name"},
    {"no machine id", WORKER, "machine_id", "\"\"", 0, 0, ""},
    {"the same CA", WORKER, "authorities", "[[\"/etc/kubernetes/pki/ca.crt\",\"" CA_ONE "\"]]", 0, 0,
     "warning cluster; warning cluster"},
    {"another CA", WORKER, "authorities", "[[\"/etc/kubernetes/pki/ca.crt\",\"" CA_TWO "\"]]", 0, 0,
     "warning cluster; warning cluster; error cluster"},
    {"another place", WORKER, "authorities", "[[\"/etc/etcd/ca.crt\",\"" CA_TWO "\"]]", 0, 0,
     "warning cluster; warning cluster"},
};

static void two_hosts(void **state)
{
    (void)state;
    static const struct row first = {.member = "authorities",
                                     .value = "[[\"/etc/kubernetes/pki/ca.crt\",\"" CA_ONE "\"]]"};
    AUTO(cluster) cluster = {0};
    cluster_make("", &cluster);
    for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
        AUTO(findings) findings = {0};
        AUTO(bytes) found = {0};
        struct fault f = {0};
        struct host_report reports[] = {{.node = &cluster.nodes[ETCD]}, {.node = &cluster.nodes[pairs[i].node]}};
        bool authorities = pairs[i].member && strcmp(pairs[i].member, "authorities") == 0;
        facts_make("etcd", authorities ? &first : NULL, &reports[0]);
        facts_make(reports[1].node->name, &pairs[i], &reports[1]);
        assert_int_equal(check_hosts(&cluster, reports, 2, &unknown, &findings, &f), OK);
        found_text(&findings, &found);
        if (strcmp(bytes_text(&found), pairs[i].expected) != 0)
            fail_msg("%s: \"%s\" instead of \"%s\"", pairs[i].what, bytes_text(&found), pairs[i].expected);
        host_facts_cleanup(&reports[0].facts);
        host_facts_cleanup(&reports[1].facts);
    }
}

/* What the file is warned of, which has a node of each role; one more of etcd needs force. */
static void cluster_file(void **state)
{
    (void)state;
    static const char more[] = "  - {name: more, addresses: [192.0.2.6], roles: [etcd]}\n";
    static const struct {
        const char *more;
        bool force;
        const char *expected, *wanted;
    } cases[] = {
        {"", false, "warning cluster file; warning cluster file", "three etcd members"},
        {"", true, "warning cluster file; warning cluster file", "three etcd members"},
        {more, false, "error cluster file; warning cluster file", "an odd number of etcd members"},
        {more, true, "warning cluster file; warning cluster file", "an odd number of etcd members"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        AUTO(cluster) cluster = {0};
        AUTO(findings) findings = {0};
        AUTO(bytes) found = {0};
        struct fault f = {0};
        cluster_make(cases[i].more, &cluster);
        assert_int_equal(check_cluster(&cluster, cases[i].force, &findings, &f), OK);
        found_text(&findings, &found);
        assert_string_equal(bytes_text(&found), cases[i].expected);
        assert_string_equal(findings.rows[0].expected, cases[i].wanted);
        assert_null(findings.rows[0].node);
        assert_int_equal(strstr(findings.rows[0].remedy, "--force") != NULL, findings.errors == 1);
    }
}

static void silent(void **state)
{
    (void)state;
    AUTO(cluster) cluster = {0};
    AUTO(findings) findings = {0};
    struct fault f = {0};
    cluster_make("", &cluster);
    const struct host_report report = {.node = &cluster.nodes[0]};
    assert_int_equal(check_hosts(&cluster, &report, 1, &ours, &findings, &f), OK);
    assert_int_equal(findings.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(one_host), cmocka_unit_test(two_hosts),
                                       cmocka_unit_test(cluster_file), cmocka_unit_test(silent)};
    return cmocka_run_group_tests_name("check", tests, NULL, NULL);
}
