/* Cluster files: what they give, and every way in which they can be wrong. */
#include "tests/unit/policies/suite.h"

static const char text_right[] = "apiVersion: ensign/v1\n"
                                 "kind: Cluster\n"
                                 "name: lab\n"
                                 "kubernetesVersion: \"1.31\"\n"
                                 "controlPlaneEndpoint: 192.0.2.81:6443\n"
                                 "networking: {serviceSubnet: 10.96.0.0/12, podSubnet: 10.244.0.0/16}\n"
                                 "etcd: {topology: external}\n"
                                 "nodes:\n"
                                 "  - name: etcdone\n"
                                 "    hostnames: [etcdone.example.com]\n"
                                 "    addresses: [192.0.2.61, \"2001:db8::61\"]\n"
                                 "    roles: [etcd]\n"
                                 "  - {name: etcdtwo, addresses: [192.0.2.62], roles: [etcd]}\n"
                                 "  - {name: etcdthree, addresses: [192.0.2.63], roles: [etcd]}\n"
                                 "  - {name: masterone, addresses: [192.0.2.51], roles: [control-plane]}\n"
                                 "  - {name: mastertwo, addresses: [192.0.2.52], roles: [control-plane]}\n";

static enum err cluster_of(const char *text, struct cluster *ret_cluster, struct fault *f)
{
    CLEANUP(document_auto) struct document *document = NULL;
    assert_ok(document_parse(span_text(text), "c.yaml", &document, f), f);
    return cluster_read(document, ret_cluster, f);
}

static void right_cluster_is_read(void **state)
{
    (void)state;
    struct fault f = {0};
    char text[ADDRESS_TEXT_SIZE];
    AUTO(cluster) cluster = {0};
    assert_ok(cluster_of(text_right, &cluster, &f), &f);
    assert_string_equal(cluster.name, "lab");
    assert_int_equal(cluster.kubernetes_minor, 31);
    assert_int_equal(cluster.kubernetes_patch, KUBERNETES_PATCH_UNKNOWN);
    assert_string_equal(cluster.endpoint_host, "192.0.2.81");
    assert_int_equal(cluster.endpoint_port, 6443);
    assert_string_equal(cluster.dns_domain, "cluster.local");
    assert_int_equal(cluster.service_subnet.prefix_bits, 12);
    assert_int_equal(cluster.pod_subnet.prefix_bits, 16);
    assert_int_equal(cluster.etcd_topology, ETCD_EXTERNAL);
    assert_int_equal(cluster.etcd_certificates, ETCD_MEMBER);
    assert_false(cluster.etcd_client_shared);
    assert_false(cluster.kubeconfig_files);
    assert_false(cluster.has_recovery);
    assert_true(alternative_names_empty(&cluster.apiserver_names));
    assert_ptr_equal(cluster_first_control_plane(&cluster), &cluster.nodes[3]);
    assert_int_equal(cluster.authority_algorithm, KEY_ECDSA_P256);
    assert_int_equal(cluster.certificate_algorithm, KEY_ECDSA_P256);
    assert_int_equal(cluster.authority_lifetime_seconds, 87600LL * 3600);
    assert_int_equal(cluster.nodes_count, 5);
    assert_int_equal(cluster.warnings_count, 0);
    const struct node_entry *node = cluster_node(&cluster, "etcdone");
    assert_ptr_equal(node, &cluster.nodes[0]);
    assert_int_equal(node->roles, ROLE_ETCD);
    assert_int_equal(node->names.dns_count, 1);
    assert_string_equal(node->names.dns[0], "etcdone.example.com");
    assert_int_equal(node->names.addresses_count, 2);
    address_text(&node->names.addresses[1], text);
    assert_string_equal(text, "2001:db8::61");
    assert_ptr_equal(cluster_node(&cluster, "mastertwo"), &cluster.nodes[4]);
    assert_null(cluster_node(&cluster, "etcd"));
    assert_null(cluster_node(&cluster, ""));
    assert_null(cluster_node(&cluster, "etcdone.example.com"));
}

/* The base point (RFC 7748 section 4.1). */
#define RECOVERY_KEY "CQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

static void choices_are_read(void **state)
{
    (void)state;
    struct fault f = {0};
    char choices[2048], text[2048];
    AUTO(cluster) cluster = {0};
    text_edit(text_right, "\"1.31\"\ncontrolPlaneEndpoint: 192.0.2.81:6443", "\"1.33.12\"", choices, sizeof choices);
    text_edit(choices, "etcd: {topology: external}\n",
              "etcd: {topology: external, certificates: separate, apiserverClient: shared}\n"
              "apiServer: {certSANs: [api.example.com, \"2001:db8::7\", etcdone, 192.0.2.7]}\n"
              "users: {groups: [manager, \"team:night shift\"]}\n"
              "kubeconfigs: files\n"
              "keys: {authorities: rsa-4096, certificates: ecdsa-p384}\nlifetimes: {authorities: 365d}\n"
              "recovery: {publicKey: " RECOVERY_KEY "}\n",
              text, sizeof text);
    assert_ok(cluster_of(text, &cluster, &f), &f);
    assert_int_equal(cluster.kubernetes_minor, 33);
    assert_int_equal(cluster.kubernetes_patch, 12);
    assert_int_equal(cluster.etcd_certificates, ETCD_SEPARATE);
    assert_true(cluster.etcd_client_shared);
    assert_true(cluster.kubeconfig_files);
    assert_int_equal(cluster.apiserver_names.dns_count, 2);
    assert_string_equal(cluster.apiserver_names.dns[1], "etcdone");
    assert_int_equal(cluster.apiserver_names.addresses_count, 2);
    assert_int_equal(cluster.apiserver_names.addresses[0].size, 16);
    assert_int_equal(cluster.user_groups_count, 2);
    assert_string_equal(cluster.user_groups[1], "team:night shift");
    assert_int_equal(cluster.authority_algorithm, KEY_RSA_4096);
    assert_int_equal(cluster.certificate_algorithm, KEY_ECDSA_P384);
    assert_int_equal(cluster.authority_lifetime_seconds, 365 * 86400);
    assert_true(cluster.has_recovery);
    assert_int_equal(cluster.recovery_key[0], 9);
}

/* What is stored is the same whatever the order and the form in which it was written, and can be read again. */
static void document_is_canonical(void **state)
{
    (void)state;
    static const char json[] = "{\"nodes\":[{\"roles\":[\"etcd\",\"control-plane\"],\"addresses\":[\"192.0.2.1\"],"
                               "\"name\":\"one\"}],\"etcd\":{\"topology\":\"stacked\"},\"kubernetesVersion\":\"1.30\","
                               "\"name\":\"lab\",\"kind\":\"Cluster\",\"apiVersion\":\"ensign/v1\"}";
    static const char yaml[] =
        "apiVersion: ensign/v1\nkind: Cluster\nname: lab\nkubernetesVersion: '1.30' # a comment\n"
        "etcd:\n  topology: stacked\nnodes:\n  - name: one\n    addresses: [192.0.2.1]\n"
        "    roles: [etcd, control-plane]\n";
    struct fault f = {0};
    AUTO(cluster) first = {0};
    AUTO(cluster) second = {0};
    AUTO(cluster) again = {0};
    CLEANUP(document_auto) struct document *document = NULL;
    assert_ok(cluster_of(yaml, &first, &f), &f);
    assert_ok(document_parse_json(span_text(json), &document, &f), &f);
    assert_ok(cluster_read(document, &second, &f), &f);
    assert_string_equal(bytes_text(&first.document), bytes_text(&second.document));
    assert_ok(cluster_of(bytes_text(&first.document), &again, &f), &f);
    assert_string_equal(bytes_text(&again.document), bytes_text(&first.document));
    assert_int_equal(strncmp(bytes_text(&first.document), "{\"apiVersion\":\"ensign/v1\",\"etcd\":{", 33), 0);
}

#define LETTERS_10 "abcdefghij"
#define LETTERS_50 LETTERS_10 LETTERS_10 LETTERS_10 LETTERS_10 LETTERS_10
#define LETTERS_53 LETTERS_50 "abc"
#define LABELS_230 LETTERS_50 "a." LETTERS_50 "b." LETTERS_50 "c." LETTERS_50 "d." LETTERS_10 "abcdefghijkl"
#define LABELS_231 LETTERS_50 "a." LETTERS_50 "b." LETTERS_50 "c." LETTERS_50 "d." LETTERS_10 "abcdefghijklm"

static const struct wrong {
    const char *from, *to, *pointer, *says;
} wrongs[] = {
    {"", "extra: 1\n", "c.yaml:17:1", "unknown key \"extra\""},
    {"hostnames:", "hostname:", "c.yaml:10:5", "did you mean \"hostnames\"?"},
    {"addresses: [192.0.2.62]", "adresses: [192.0.2.62]", "c.yaml:13:21", "did you mean \"addresses\"?"},
    {"addresses: [192.0.2.62], ", "", "c.yaml:13:5", "\"addresses\" is missing"},
    {"ensign/v1", "v1", "c.yaml:1:13", "ensign/v1"},
    {"kind: Cluster", "kind: Profile", "c.yaml:2:7", "Cluster"},
    {"name: lab", "name: Lab", "c.yaml:3:7", "lower-case"},
    {"name: lab", "name: a.b", "c.yaml:3:7", "a.b"},
    {"name: lab", "name: ensign", "c.yaml:3:7", "the service's own"},
    {"name: lab", "name: ../lab", "c.yaml:3:7", "lower-case"},
    {"name: lab", "name: a123456789012345678901234567890123456789012345678901234567890123", "c.yaml:3:7", "1 to 63"},
    {"\"1.31\"", "1.31", "c.yaml:4:20", "quotes"},
    {"\"1.31\"", "1.20", "c.yaml:4:20", "quotes"},
    {"\"1.31\"", "\"1.19\"", "c.yaml:4:20", "\"1.20\" to \"1.37\""},
    {"\"1.31\"", "\"1.38\"", "c.yaml:4:20", "\"1.20\" to \"1.37\""},
    {"\"1.31\"", "\"1. 31\"", "c.yaml:4:20", "\"1.20\" to \"1.37\""},
    {"\"1.31\"", "\"1.+31\"", "c.yaml:4:20", "\"1.20\" to \"1.37\""},
    {"\"1.31\"", "\"1.31.\"", "c.yaml:4:20", "\"1.20\" to \"1.37\""},
    {"\"1.31\"", "\"1.31.2x\"", "c.yaml:4:20", "\"1.20\" to \"1.37\""},
    {"\"1.31\"", "\"2.31\"", "c.yaml:4:20", "\"1.20\" to \"1.37\""},
    {"192.0.2.81:6443", "192.0.2.81", "c.yaml:5:23", "host:port"},
    {"192.0.2.81:6443", "\"192.0.2.81:\"", "c.yaml:5:23", "host:port"},
    {"192.0.2.81:6443", "192.0.2.81:0", "c.yaml:5:23", "host:port"},
    {"192.0.2.81:6443", "192.0.2.81:65536", "c.yaml:5:23", "host:port"},
    {"192.0.2.81:6443", "192.0.2.81:+6443", "c.yaml:5:23", "host:port"},
    {"192.0.2.81:6443", "192.0.2.256:6443", "c.yaml:5:23", "host:port"},
    {"192.0.2.81:6443", "2001:db8::1:6443", "c.yaml:5:23", "host:port"},
    {"192.0.2.81:6443", "\"[192.0.2.81]:6443\"", "c.yaml:5:23", "host:port"},
    {"192.0.2.81:6443", "API.example.com:6443", "c.yaml:5:23", "host:port"},
    {"192.0.2.81:6443", "https://api:6443", "c.yaml:5:23", "host:port"},
    {"10.96.0.0/12", "10.96.0.1/12", "c.yaml:6:29", "bits behind"},
    {"10.96.0.0/12", "10.96.0.0/29", "c.yaml:6:29", "room for at least 10"},
    {"10.96.0.0/12", "10.96.0.0/32", "c.yaml:6:29", "room for at least 10"},
    {"10.96.0.0/12", "\"fd00:1::/125\"", "c.yaml:6:29", "room for at least 10"},
    {"networking: {", "apiServer: {certSans: []}\nnetworking: {", "c.yaml:6:13", "did you mean \"certSANs\"?"},
    {"networking: {", "apiServer: {certSANs: x}\nnetworking: {", "c.yaml:6:23", "list"},
    {"networking: {", "apiServer: {certSANs: [API.example.com]}\nnetworking: {", "c.yaml:6:24", "no DNS name"},
    {"networking: {", "apiServer: {certSANs: [\"*.example.com\"]}\nnetworking: {", "c.yaml:6:24", "no DNS name"},
    {"networking: {", "apiServer: {certSANs: [192.0.2.300]}\nnetworking: {", "c.yaml:6:24", "no DNS name"},
    {"networking: {", "apiServer: {certSANs: [a, 192.0.2.7, a]}\nnetworking: {", "c.yaml:6:38",
     "\"a\" stands here twice"},
    {"networking: {", "apiServer: {certSANs: [\"::7\", \"0::7\"]}\nnetworking: {", "c.yaml:6:31", "twice"},
    {"networking: {", "users: {group: [a]}\nnetworking: {", "c.yaml:6:9", "did you mean \"groups\"?"},
    {"networking: {", "users: {groups: manager}\nnetworking: {", "c.yaml:6:17", "list"},
    {"networking: {", "users: {groups: [\"system:masters\"]}\nnetworking: {", "c.yaml:6:18", "Kubernetes' own groups"},
    {"networking: {", "users: {groups: [\"kubeadm:cluster-admins\"]}\nnetworking: {", "c.yaml:6:18",
     "Kubernetes' own groups"},
    {"networking: {", "users: {groups: [a, b, a]}\nnetworking: {", "c.yaml:6:24", "\"a\" stands here twice"},
    {"networking: {", "users: {groups: [\"a,b\"]}\nnetworking: {", "c.yaml:6:18", "without commas"},
    {"networking: {", "users: {groups: [\"a\\tb\"]}\nnetworking: {", "c.yaml:6:18", "printable"},
    {"networking: {", "users: {groups: [\"a\\u00e4\"]}\nnetworking: {", "c.yaml:6:18", "printable"},
    {"networking: {", "users: {groups: [\" a\"]}\nnetworking: {", "c.yaml:6:18", "without a blank"},
    {"networking: {", "users: {groups: [\"a \"]}\nnetworking: {", "c.yaml:6:18", "without a blank"},
    {"networking: {", "users: {groups: [\"\"]}\nnetworking: {", "c.yaml:6:18", "1 to 64"},
    {"networking: {", "users: {groups: [7]}\nnetworking: {", "c.yaml:6:18", "string"},
    {"networking: {",
     "users: {groups: [a1234567890123456789012345678901234567890123456789012345678901234]}\nnetworking: {",
     "c.yaml:6:18", "1 to 64"},
    {"networking: {", "recovery: {}\nnetworking: {", "c.yaml:6:11", "publicKey"},
    {"networking: {", "recovery: {publicKey: x}\nnetworking: {", "c.yaml:6:23", "X25519"},
    {"networking: {", "recovery: {publicKey: " RECOVERY_KEY "A}\nnetworking: {", "c.yaml:6:23", "X25519"},
    {"networking: {", "recovery: {publicKey: AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA}\nnetworking: {",
     "c.yaml:6:23", "X25519"},
    {"networking: {", "recovery: {key: x}\nnetworking: {", "c.yaml:6:12", "unknown key"},
    {"networking: {", "networking: {dnsDomain: " LABELS_231 ", ", "c.yaml:6:25", "longer than 253"},
    {"topology: external", "topology: external, apiserverClient: own", "c.yaml:7:45", "perControlPlane, shared"},
    {"networking: {", "kubeconfigs: both\nnetworking: {", "c.yaml:6:14", "embedded, files"},
    {"name: mastertwo", "name: " LETTERS_53, "c.yaml:16:12", "at most 52"},
    {"10.96.0.0/12", "10.96.0.0/33", "c.yaml:6:29", "CIDR"},
    {"10.96.0.0/12", "10.96.0.0", "c.yaml:6:29", "CIDR"},
    {"10.244.0.0/16", "10.97.0.0/16", "c.yaml:6:13", "overlap"},
    {"10.244.0.0/16", "10.0.0.0/8", "c.yaml:6:13", "overlap"},
    {"networking: {", "networking: {dnsDomain: Cluster.Local, ", "c.yaml:6:25", "DNS name"},
    {"topology: external", "topology: internal", "c.yaml:7:18", "external, stacked"},
    {"topology: external", "certificates: member", "c.yaml:7:7", "\"topology\" is missing"},
    {"etcd: {topology: external}\n", "", "c.yaml:1:1", "\"etcd\" is missing"},
    {"topology: external", "topology: stacked", "c.yaml:9:5", "needs both roles"},
    {"topology: external}", "topology: external}\nkeys: {authorities: ed25519}", "c.yaml:8:21", "ecdsa-p256"},
    {"topology: external}", "topology: external}\nlifetimes: {authorities: 31y}", "c.yaml:8:26", "duration"},
    {"topology: external}", "topology: external}\nlifetimes: {authorities: 59m}", "c.yaml:8:26", "an hour"},
    {"topology: external}", "topology: external}\npaths: {etcd: {}}", "c.yaml:8:9", "unknown"},
    {"topology: external}", "topology: external}\npaths: {etcdClient: {ca: /etc/etcd/a.crt}}", "c.yaml:8:22",
     "unknown key"},
    {"topology: external}", "topology: external}\npaths: {etcdClient: {caFile: etc/etcd/a.crt}}", "c.yaml:8:30",
     "no path"},
    {"topology: external}", "topology: external}\npaths: {etcdClient: {caFile: /etc/cron.d/a.crt}}", "c.yaml:8:30",
     "no path"},
    {"topology: external}", "topology: external}\npaths: {etcdClient: {caFile: /etc/kubernetes/manifests/a.crt}}",
     "c.yaml:8:30", "no path"},
    {"topology: external}", "topology: external}\npaths: {etcdClient: {caFile: /etc/etcd/../cron.d/a.crt}}",
     "c.yaml:8:30", "no path"},
    {"topology: external}", "topology: external}\npaths: {etcdClient: {caFile: /etc/etcd/./a.crt}}", "c.yaml:8:30",
     "no path"},
    {"topology: external}", "topology: external}\npaths: {etcdClient: {caFile: /etc/etcd//a.crt}}", "c.yaml:8:30",
     "no path"},
    {"topology: external}", "topology: external}\npaths: {etcdClient: {caFile: /etc/etcd/etcd.conf}}", "c.yaml:8:30",
     "no path"},
    {"topology: external}", "topology: external}\npaths: {etcdClient: {caFile: /etc/etcd/.crt}}", "c.yaml:8:30",
     "no path"},
    {"topology: external}", "topology: external}\npaths: {etcdClient: {caFile: \"/etc/etcd/a b.crt\"}}", "c.yaml:8:30",
     "no path"},
    {"topology: external}", "topology: external}\npaths: {etcdClient: {certFile: /etc/kubernetes/pki/apiserver.crt}}",
     "c.yaml:8:32", "another file"},
    {"topology: external}",
     "topology: external}\npaths: {etcdClient: {certFile: /etc/kubernetes/pki/apiserver-etcd-client.key}}",
     "c.yaml:8:32", "another file"},
    {"topology: external}",
     "topology: external}\npaths: {etcdClient: {certFile: /etc/etcd/a.pem, keyFile: /etc/etcd/a.pem}}", "c.yaml:8:58",
     "stands here twice"},
    {"topology: external}", "topology: external}\npaths: {etcdMember: {keyFile: /etc/etcd/pki/healthcheck-client.key}}",
     "c.yaml:8:31", "another file"},
    {"topology: external}",
     "topology: external, certificates: separate}\npaths: {etcdMember: {caFile: /etc/etcd/a.crt}}", "c.yaml:8:21",
     "one certificate"},
    {"topology: external}", "topology: stacked}\npaths: {}", "c.yaml:8:8", "stacked"},
    {"name: etcdtwo", "name: etcdone", "c.yaml:13:12", "\"etcdone\" stands at node \"etcdone\" (c.yaml:9:11) already"},
    {"name: etcdtwo", "name: etcdone.example.com", "c.yaml:13:12",
     "\"etcdone.example.com\" stands at node \"etcdone\" (c.yaml:10:17) already"},
    {"[etcdone.example.com]", "[etcdone]", "c.yaml:10:17", "\"etcdone\" stands at node \"etcdone\" (c.yaml:9:11)"},
    {"[etcdone.example.com]", "[x, x]", "c.yaml:10:20", "\"x\" stands at node \"etcdone\" (c.yaml:10:17)"},
    {"[192.0.2.62]", "[192.0.2.61]", "c.yaml:13:33", "\"192.0.2.61\" stands at node \"etcdone\" (c.yaml:11:17)"},
    {"[192.0.2.62]", "[\"2001:DB8:0::61\"]", "c.yaml:13:33", "\"2001:db8::61\" stands at node \"etcdone\""},
    {"name: etcdtwo", "name: Etcdtwo", "c.yaml:13:12", "DNS name"},
    {"name: etcdtwo", "name: etcdtwo.", "c.yaml:13:12", "DNS name"},
    {"name: etcdtwo", "name: \"*\"", "c.yaml:13:12", "DNS name"},
    {"name: etcdtwo", "name: 192.0.2.62", "c.yaml:13:12", "DNS name"},
    {"name: etcdtwo", "name: localhost", "c.yaml:13:12", "localhost"},
    {"name: etcdtwo", "name: a1234567890123456789012345678901.a1234567890123456789012345678901", "c.yaml:13:12",
     "common name"},
    {"[192.0.2.62]", "[192.0.2.62/32]", "c.yaml:13:33", "address"},
    {"[192.0.2.62]", "[192.0.2]", "c.yaml:13:33", "address"},
    {"[192.0.2.62]", "[\"::ffff:192.0.2.62\"]", "c.yaml:13:33", "mapped"},
    {"[192.0.2.62]", "[127.0.0.1]", "c.yaml:13:33", "no address of one node"},
    {"[192.0.2.62]", "[\"::1\"]", "c.yaml:13:33", "no address of one node"},
    {"[192.0.2.62]", "[0.0.0.0]", "c.yaml:13:33", "no address of one node"},
    {"[192.0.2.62]", "[255.255.255.255]", "c.yaml:13:33", "no address of one node"},
    {"[192.0.2.62]", "[224.0.0.1]", "c.yaml:13:33", "no address of one node"},
    {"[192.0.2.62]", "[\"fe80::1\"]", "c.yaml:13:33", "no address of one node"},
    {"[192.0.2.62]", "[10.96.0.1]", "c.yaml:13:33", "subnet"},
    {"[192.0.2.62]", "[10.244.3.4]", "c.yaml:13:33", "subnet"},
    {"[192.0.2.62]", "[]", "c.yaml:13:32", "needs an address"},
    {"[192.0.2.62]", "192.0.2.62", "c.yaml:13:32", "list"},
    {"[192.0.2.62]", "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]", "c.yaml:13:32", "at most 16"},
    {"192.0.2.62], roles: [etcd]", "192.0.2.62], roles: []", "c.yaml:13:53", "needs a role"},
    {"192.0.2.62], roles: [etcd]", "192.0.2.62], roles: [master]", "c.yaml:13:54", "control-plane"},
    {"192.0.2.62], roles: [etcd]", "192.0.2.62], roles: [etcd, control-plane]", "c.yaml:13:5", "both roles"},
    {"  - {name: etcdtwo, addresses: [192.0.2.62], roles: [etcd]}", "  - etcdtwo", "c.yaml:13:5", "object"},
};

static void wrong_clusters_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(wrongs); i++) {
        char text[2048];
        struct fault f = {0};
        struct cluster cluster = {.name = "untouched"};
        text_edit(text_right, wrongs[i].from, wrongs[i].to, text, sizeof text);
        if (cluster_of(text, &cluster, &f) != ERR_INPUT)
            fail_msg("taken: %s", wrongs[i].to);
        assert_int_equal(f.code, CODE_INVALID);
        assert_string_equal(cluster.name, "untouched");
        assert_reason(&f, wrongs[i].pointer, wrongs[i].says);
    }
}

static void right_variants_are_taken(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to;
    } cases[] = {
        {"\"1.31\"", "\"1.20\""},
        {"\"1.31\"", "'1.37.11'"},
        {"192.0.2.81:6443", "\"[2001:db8::1]:6443\""},
        {"192.0.2.81:6443", "api.example.com:443"},
        {"controlPlaneEndpoint: 192.0.2.81:6443\n", ""},
        {"serviceSubnet: 10.96.0.0/12, ", ""},
        {"10.96.0.0/12", "\"fd00:1::/108\""},
        {"10.96.0.0/12", "10.96.0.0/28"},
        {"10.96.0.0/12", "\"fd00:1::/124\""},
        {"networking: {", "apiServer: {}\nnetworking: {"},
        {"networking: {", "networking: {dnsDomain: " LABELS_230 ", "},
        {"name: mastertwo", "name: " LETTERS_50 "ab"},
        {"name: etcdtwo", "name: " LETTERS_53}, /* runs no kubelet */
        {"[192.0.2.62]", "[127.0.0.62]"},
        {"name: lab", "name: a12345678901234567890123456789012345678901234567890123456789012"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char text[2048];
        struct fault f = {0};
        AUTO(cluster) cluster = {0};
        text_edit(text_right, cases[i].from, cases[i].to, text, sizeof text);
        assert_ok(cluster_of(text, &cluster, &f), &f);
    }
}

static void everything_wrong_is_told_at_once(void **state)
{
    (void)state;
    struct fault f = {0};
    struct cluster cluster;
    assert_int_equal(cluster_of("kind: x\n"
                                "name: ensign\n"
                                "kubernetesVersion: 1.31\n"
                                "networking: {podSubnet: 10.0.0.0/99}\n"
                                "etcd: {topology: x}\n"
                                "nodes:\n"
                                "  - {name: A, addresses: [x], roles: [y], z: 1}\n"
                                "  - {name: b, addresses: [192.0.2.1], roles: [etcd]}\n"
                                "  - {name: b, addresses: [192.0.2.1], roles: [etcd]}\n",
                                &cluster, &f),
                     ERR_INPUT);
    static const char *const says[] = {
        "c.yaml:1:1: \"apiVersion\" is missing",
        "c.yaml:1:7: \"x\"",
        "c.yaml:2:7: \"ensign\"",
        "c.yaml:3:20: \"kubernetesVersion\"",
        "c.yaml:4:25: ",
        "c.yaml:5:18: \"x\"",
        "c.yaml:7:12: \"A\"",
        "c.yaml:7:27: \"x\"",
        "c.yaml:7:39: \"y\"",
        "c.yaml:7:43: unknown key \"z\"",
        "c.yaml:9:12: \"b\"",
        "c.yaml:9:27: \"192.0.2.1\"",
    };
    for (size_t i = 0; i < ARRAY_SIZE(says); i++)
        assert_says(&f, says[i]);
}

/* The API takes JSON, whose errors name a pointer. */
static void json_errors_name_pointers(void **state)
{
    (void)state;
    static const char json[] =
        "{\"apiVersion\":\"ensign/v1\",\"kind\":\"Cluster\",\"name\":\"lab\","
        "\"kubernetesVersion\":\"1.30\",\"etcd\":{\"topology\":\"stacked\"},\"nodes\":["
        "{\"name\":\"one\",\"addresses\":[\"192.0.2.1\"],\"roles\":[\"etcd\",\"control-plane\"]},"
        "{\"name\":\"two\",\"addresses\":[\"192.0.2.1\"],\"roles\":[\"worker\"]}]}";
    struct fault f = {0};
    struct cluster cluster;
    CLEANUP(document_auto) struct document *document = NULL;
    assert_ok(document_parse_json(span_text(json), &document, &f), &f);
    assert_int_equal(cluster_read(document, &cluster, &f), ERR_INPUT);
    assert_reason(&f, "/nodes/1/addresses/0", "stands at node \"one\" (/nodes/0/addresses/0) already");
}

static void warnings_are_given(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to, *says;
    } cases[] = {
        {"  - {name: mastertwo, addresses: [192.0.2.52], roles: [control-plane]}\n", "",
         "one control plane: while it is down nobody can change anything, and nothing that fails is replaced; three "
         "survive the failure of one"},
        {"controlPlaneEndpoint: 192.0.2.81:6443\n", "",
         "several control planes and no controlPlaneEndpoint: kubeadm needs one to join them"},
    };
    static const char stacked[] = "apiVersion: ensign/v1\nkind: Cluster\nname: lab\nkubernetesVersion: \"1.31\"\n"
                                  "controlPlaneEndpoint: 192.0.2.81:6443\n"
                                  "etcd: {topology: stacked, certificates: separate}\nnodes:\n"
                                  "  - {name: one, addresses: [192.0.2.1], roles: [etcd, control-plane]}\n"
                                  "  - {name: two, addresses: [192.0.2.2], roles: [etcd, control-plane]}\n"
                                  "  - {name: three, addresses: [192.0.2.3], roles: [etcd, control-plane]}\n";
    char text[2048];
    struct fault f = {0};
    AUTO(cluster) separate = {0};
    AUTO(cluster) member = {0};
    assert_ok(cluster_of(stacked, &separate, &f), &f);
    assert_int_equal(separate.warnings_count, 0);
    text_edit(stacked, "separate", "member", text, sizeof text);
    assert_ok(cluster_of(text, &member, &f), &f);
    assert_int_equal(member.warnings_count, 1);
    assert_non_null(strstr(member.warnings[0].text, "kubeadm expects two"));
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        AUTO(cluster) cluster = {0};
        text_edit(text_right, cases[i].from, cases[i].to, text, sizeof text);
        assert_ok(cluster_of(text, &cluster, &f), &f);
        assert_int_equal(cluster.warnings_count, 1);
        assert_string_equal(cluster.warnings[0].text, cases[i].says);
        assert_false(cluster.warnings[0].needs_force);
    }
}

static void quorum_is_told(void **state)
{
    (void)state;
    static const struct {
        size_t members;
        const char *says; /* NULL: nothing */
        bool needs_force;
    } cases[] = {
        {1,
         "one etcd member: while it is down the API servers are, too, and with its disk the cluster's state is lost; "
         "three survive the failure of one",
         false},
        {2, "2 etcd members have a quorum of 2: they survive the failure of 0, as 1 does; 3 survive that of 1", true},
        {3, NULL, false},
        {4, "4 etcd members have a quorum of 3: they survive the failure of 1, as 3 do; 5 survive that of 2", true},
        {5, NULL, false},
        {6, "6 etcd members have a quorum of 4: they survive the failure of 2, as 5 do; 7 survive that of 3", true},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        AUTO(cluster) cluster = {0};
        AUTO(bytes) text = {0};
        struct fault f = {0};
        bytes_append_text(&text, "apiVersion: ensign/v1\nkind: Cluster\nname: lab\nkubernetesVersion: \"1.31\"\n"
                                 "controlPlaneEndpoint: 192.0.2.81:6443\netcd: {topology: external}\nnodes:\n"
                                 "  - {name: one, addresses: [192.0.2.1], roles: [control-plane]}\n"
                                 "  - {name: two, addresses: [192.0.2.2], roles: [control-plane]}\n");
        for (size_t member = 1; member <= cases[i].members; member++)
            bytes_appendf(&text, "  - {name: etcd%zu, addresses: [192.0.2.6%zu], roles: [etcd]}\n", member, member);
        assert_ok(cluster_of(bytes_text(&text), &cluster, &f), &f);
        assert_int_equal(cluster.warnings_count, cases[i].says != NULL);
        assert_string_equal(cluster.warnings[0].text, cases[i].says ? cases[i].says : "");
        assert_int_equal(cluster.warnings[0].needs_force, cases[i].needs_force);
    }
}

/* As many nodes as there may be; one more is refused, and so is a duplicate at the far end. */
static void large_clusters_are_read(void **state)
{
    (void)state;
    struct fault f = {0};
    AUTO(bytes) text = {0};
    AUTO(cluster) cluster = {0};
    struct cluster none;
    bytes_append_text(&text, text_right);
    for (unsigned i = 5; i < NODES_MAX; i++)
        bytes_appendf(&text, "  - {name: worker-%u, addresses: [10.0.%u.%u], roles: [worker]}\n", i, i / 256, i % 256);
    assert_ok(cluster_of(bytes_text(&text), &cluster, &f), &f);
    assert_int_equal(cluster.nodes_count, NODES_MAX);
    for (size_t i = 0; i < cluster.nodes_count; i++)
        assert_ptr_equal(cluster_node(&cluster, cluster.nodes[i].name), &cluster.nodes[i]);
    AUTO(bytes) twice = {0};
    const char *last = strstr(bytes_text(&text), "  - {name: worker-4999");
    bytes_append(&twice, text.data, (size_t)((const uint8_t *)last - text.data));
    bytes_append_text(&twice, "  - {name: last, addresses: [192.0.2.61], roles: [worker]}\n");
    assert_int_equal(cluster_of(bytes_text(&twice), &none, &f), ERR_INPUT);
    assert_reason(&f, "c.yaml:5011:30", "stands at node \"etcdone\" (c.yaml:11:17)");
    fault_clear(&f);
    bytes_append_text(&text, "  - {name: more, addresses: [10.1.0.0], roles: [worker]}\n");
    assert_int_equal(cluster_of(bytes_text(&text), &none, &f), ERR_INPUT);
    assert_says(&f, "at most 5000");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(right_cluster_is_read),
        cmocka_unit_test(choices_are_read),
        cmocka_unit_test(document_is_canonical),
        cmocka_unit_test(wrong_clusters_are_refused),
        cmocka_unit_test(right_variants_are_taken),
        cmocka_unit_test(everything_wrong_is_told_at_once),
        cmocka_unit_test(json_errors_name_pointers),
        cmocka_unit_test(warnings_are_given),
        cmocka_unit_test(quorum_is_told),
        cmocka_unit_test(large_clusters_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
