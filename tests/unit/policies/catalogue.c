/* The catalogue: what each node has, by topology and version. tests/golden/ has it whole for the example clusters. */
#include "policies/catalogue.h"
#include "tests/unit/policies/suite.h"

static const char external[] = "apiVersion: ensign/v1\n"
                               "kind: Cluster\n"
                               "name: lab\n"
                               "kubernetesVersion: \"1.31\"\n"
                               "controlPlaneEndpoint: 192.0.2.81:8443\n"
                               "networking: {}\n"
                               "apiServer: {}\n"
                               "etcd: {topology: external}\n"
                               "nodes:\n"
                               "  - {name: e1, hostnames: [e1.lab], addresses: [192.0.2.61], roles: [etcd]}\n"
                               "  - {name: w1, addresses: [192.0.2.71], roles: [worker]}\n"
                               "  - name: m1\n"
                               "    hostnames: [m1.lab]\n"
                               "    addresses: [192.0.2.51, 192.0.2.151]\n"
                               "    roles: [control-plane]\n"
                               "  - {name: m2, addresses: [\"2001:db8::52\"], roles: [control-plane]}\n"
                               "  - {name: lb, addresses: [192.0.2.81], roles: [load-balancer]}\n";

static const char stacked[] =
    "apiVersion: ensign/v1\n"
    "kind: Cluster\n"
    "name: lab\n"
    "kubernetesVersion: \"1.31\"\n"
    "controlPlaneEndpoint: api.lab:6443\n"
    "etcd: {topology: stacked}\n"
    "nodes:\n"
    "  - {name: m1, hostnames: [m1.lab], addresses: [192.0.2.51], roles: [control-plane, etcd]}\n"
    "  - {name: m2, addresses: [192.0.2.52], roles: [control-plane, etcd, worker]}\n"
    "  - {name: w1, addresses: [192.0.2.71], roles: [worker]}\n";

static struct profiles profiles;

static int profiles_make(void **state)
{
    (void)state;
    struct fault f = {0};
    assert_ok(profiles_shipped(&profiles, &f), &f);
    return 0;
}

static int profiles_free(void **state)
{
    (void)state;
    profiles_cleanup(&profiles);
    return 0;
}

/* The catalogue of text, with one occurrence of `from` replaced where from is not NULL. */
static void catalogue_of(const char *text, const char *from, const char *to, struct cluster *ret_cluster,
                         struct catalogue *ret_catalogue)
{
    struct fault f = {0};
    char edited[2048];
    CLEANUP(document_auto) struct document *document = NULL;
    text_edit(text, from ? from : "", from ? to : "", edited, sizeof edited);
    assert_ok(document_parse(span_text(edited), "c.yaml", &document, &f), &f);
    assert_ok(cluster_read(document, ret_cluster, &f), &f);
    assert_ok(catalogue_make(ret_cluster, &profiles, ret_catalogue, &f), &f);
}

static const struct catalogue_item *item_find(const struct catalogue *catalogue, const char *node, const char *name)
{
    for (size_t i = 0; i < catalogue->count; i++)
        if (strcmp(catalogue->items[i].node->name, node) == 0 && strcmp(catalogue->items[i].name, name) == 0)
            return &catalogue->items[i];
    return NULL;
}

/* ---- which items ---- */

static void items_text(const struct catalogue *catalogue, const char *node, struct bytes *out)
{
    for (size_t i = 0; i < catalogue->count; i++)
        if (strcmp(catalogue->items[i].node->name, node) == 0)
            bytes_appendf(out, "%s%s%s", out->size ? " " : "", catalogue->items[i].name,
                          catalogue->items[i].kind == CATALOGUE_BUNDLE ? "*" : "");
}

#define IDENTITY "service-ca* node-identity "
#define MASTER IDENTITY "kubernetes* apiserver apiserver-kubelet-client front-proxy-ca* front-proxy-client etcd-ca* "
#define CONFIGS " kubelet controller-manager scheduler"

static void nodes_have_what_their_roles_need(void **state)
{
    (void)state;
    static const struct {
        const char *text, *from, *to, *node, *items;
    } cases[] = {
        {external, NULL, NULL, "e1", IDENTITY "etcd-ca* etcd-member etcd-healthcheck-client"},
        {external, "external", "external, certificates: separate", "e1",
         IDENTITY "etcd-ca* etcd-server etcd-peer etcd-healthcheck-client"},
        {external, NULL, NULL, "lb", "service-ca* node-identity"},
        {external, NULL, NULL, "w1", IDENTITY "kubernetes* kubelet"},
        {external, NULL, NULL, "m1", MASTER "apiserver-etcd-client sa admin super-admin" CONFIGS},
        {external, NULL, NULL, "m2", MASTER "apiserver-etcd-client sa admin" CONFIGS},
        {external, "1.31", "1.29", "m1", MASTER "apiserver-etcd-client sa admin super-admin" CONFIGS},
        {external, "1.31", "1.28", "m1", MASTER "apiserver-etcd-client sa admin" CONFIGS},
        {external, "[worker]", "[worker, load-balancer]", "w1", IDENTITY "kubernetes* kubelet"},
        {stacked, NULL, NULL, "m1",
         MASTER "etcd-server etcd-peer etcd-healthcheck-client apiserver-etcd-client sa admin super-admin" CONFIGS},
        {stacked, NULL, NULL, "m2",
         MASTER "etcd-server etcd-peer etcd-healthcheck-client apiserver-etcd-client sa admin" CONFIGS},
        {stacked, "stacked", "stacked, certificates: member", "m2",
         MASTER "etcd-member etcd-healthcheck-client apiserver-etcd-client sa admin" CONFIGS},
        {stacked, NULL, NULL, "w1", IDENTITY "kubernetes* kubelet"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        AUTO(cluster) cluster = {0};
        AUTO(catalogue) catalogue = {0};
        AUTO(bytes) found = {0};
        catalogue_of(cases[i].text, cases[i].from, cases[i].to, &cluster, &catalogue);
        items_text(&catalogue, cases[i].node, &found);
        assert_string_equal(bytes_text(&found), cases[i].items);
    }
}

/* ---- what is in them ---- */

static const char *item_line(const struct catalogue_item *item)
{
    static char line[1024];
    char subject[200], extended[100];
    AUTO(bytes) out = {0};
    distinguished_name_text(&item->content.subject, subject, sizeof subject);
    extended_usage_text(item->content.extended_key_usage, extended, sizeof extended);
    bytes_appendf(&out, "%s; %s; %s;", item->authority, subject, extended);
    for (size_t i = 0; i < item->content.names.dns_count; i++)
        bytes_appendf(&out, " %s", item->content.names.dns[i]);
    for (size_t i = 0; i < item->content.names.addresses_count; i++) {
        char text[ADDRESS_TEXT_SIZE];
        address_text(&item->content.names.addresses[i], text);
        bytes_appendf(&out, " %s", text);
    }
    snprintf(line, sizeof line, "%s", bytes_text(&out));
    return line;
}

#define SERVING "kubernetes; CN=kube-apiserver; serverAuth; "
#define SERVICE " kubernetes kubernetes.default kubernetes.default.svc kubernetes.default.svc."
#define KUBELET_CLIENT "CN=kube-apiserver-kubelet-client; clientAuth;"

static const struct {
    const char *text, *from, *to, *node, *name, *line;
} contents[] = {
    {external, NULL, NULL, "m1", "apiserver", SERVING "m1" SERVICE "cluster.local 10.96.0.1 192.0.2.51 192.0.2.81"},
    {external, NULL, NULL, "m2", "apiserver", SERVING "m2" SERVICE "cluster.local 10.96.0.1 2001:db8::52 192.0.2.81"},
    {stacked, NULL, NULL, "m1", "apiserver", SERVING "m1" SERVICE "cluster.local api.lab 10.96.0.1 192.0.2.51"},
    {external, "controlPlaneEndpoint: 192.0.2.81:8443\n", "", "m1", "apiserver",
     SERVING "m1" SERVICE "cluster.local 10.96.0.1 192.0.2.51"},
    {external, "192.0.2.81:8443", "\"[2001:db8::81]:6443\"", "m1", "apiserver",
     SERVING "m1" SERVICE "cluster.local 10.96.0.1 192.0.2.51 2001:db8::81"},
    {external, "192.0.2.81:8443", "m1:6443", "m1", "apiserver", /* once */
     SERVING "m1" SERVICE "cluster.local 10.96.0.1 192.0.2.51"},
    {external, "networking: {}", "networking: {dnsDomain: k8s.lab}", "m1", "apiserver",
     SERVING "m1" SERVICE "k8s.lab 10.96.0.1 192.0.2.51 192.0.2.81"},
    {external, "networking: {}", "networking: {serviceSubnet: 198.18.0.0/16}", "m1", "apiserver",
     SERVING "m1" SERVICE "cluster.local 198.18.0.1 192.0.2.51 192.0.2.81"},
    {external, "networking: {}", "networking: {serviceSubnet: 10.0.0.240/28}", "m1", "apiserver",
     SERVING "m1" SERVICE "cluster.local 10.0.0.241 192.0.2.51 192.0.2.81"},
    {external, "networking: {}", "networking: {serviceSubnet: \"fd00:10:96::/112\"}", "m1", "apiserver",
     SERVING "m1" SERVICE "cluster.local fd00:10:96::1 192.0.2.51 192.0.2.81"},
    {external, "apiServer: {}", "apiServer: {certSANs: [api.lab, 198.51.100.7, kubernetes, \"2001:db8::7\", m1]}", "m1",
     "apiserver",
     SERVING "m1" SERVICE "cluster.local api.lab 10.96.0.1 192.0.2.51 192.0.2.81 198.51.100.7 2001:db8::7"},

    {external, "1.31", "1.28", "m1", "apiserver-kubelet-client", "kubernetes; O=system:masters, " KUBELET_CLIENT},
    {external, "1.31", "1.29", "m1", "apiserver-kubelet-client",
     "kubernetes; O=kubeadm:cluster-admins, " KUBELET_CLIENT},
    {external, "1.31", "1.33.11", "m1", "apiserver-kubelet-client",
     "kubernetes; O=kubeadm:cluster-admins, " KUBELET_CLIENT},
    {external, "1.31", "1.33.12", "m1", "apiserver-kubelet-client", "kubernetes; " KUBELET_CLIENT},
    {external, "1.31", "1.33", "m1", "apiserver-kubelet-client",
     "kubernetes; O=kubeadm:cluster-admins, " KUBELET_CLIENT},
    {external, "1.31", "1.37", "m1", "apiserver-kubelet-client", "kubernetes; " KUBELET_CLIENT},
    {external, "1.31", "1.28", "m2", "admin", "kubernetes; O=system:masters, CN=kubernetes-admin; clientAuth;"},
    {external, "1.31", "1.29", "m2", "admin", "kubernetes; O=kubeadm:cluster-admins, CN=kubernetes-admin; clientAuth;"},
    {external, "1.31", "1.37", "m2", "admin", "kubernetes; O=kubeadm:cluster-admins, CN=kubernetes-admin; clientAuth;"},
    {external, "1.31", "1.29", "m1", "super-admin",
     "kubernetes; O=system:masters, CN=kubernetes-super-admin; clientAuth;"},

    {external, NULL, NULL, "m1", "front-proxy-client", "front-proxy-ca; CN=front-proxy-client; clientAuth;"},
    {external, NULL, NULL, "m1", "apiserver-etcd-client", "etcd-ca; CN=kube-apiserver-etcd-client; clientAuth;"},
    {external, NULL, NULL, "w1", "kubelet", "kubernetes; O=system:nodes, CN=system:node:w1; clientAuth;"},
    {external, NULL, NULL, "m1", "kubelet", "kubernetes; O=system:nodes, CN=system:node:m1; clientAuth;"},
    {external, NULL, NULL, "m1", "controller-manager", "kubernetes; CN=system:kube-controller-manager; clientAuth;"},
    {external, NULL, NULL, "m1", "scheduler", "kubernetes; CN=system:kube-scheduler; clientAuth;"},
    {external, NULL, NULL, "e1", "etcd-member",
     "etcd-ca; CN=e1; serverAuth, clientAuth; e1 e1.lab localhost 192.0.2.61 127.0.0.1 ::1"},
    {external, NULL, NULL, "e1", "etcd-healthcheck-client", "etcd-ca; CN=kube-etcd-healthcheck-client; clientAuth;"},
    {external, NULL, NULL, "lb", "node-identity", "service-ca; CN=lb; clientAuth;"},
    {stacked, NULL, NULL, "m1", "etcd-server",
     "etcd-ca; CN=m1; serverAuth, clientAuth; m1 m1.lab localhost 192.0.2.51 127.0.0.1 ::1"},
    {stacked, NULL, NULL, "m1", "etcd-peer",
     "etcd-ca; CN=m1; serverAuth, clientAuth; m1 m1.lab localhost 192.0.2.51 127.0.0.1 ::1"},
};

static void certificates_hold_what_kubeadm_gives_them(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(contents); i++) {
        AUTO(cluster) cluster = {0};
        AUTO(catalogue) catalogue = {0};
        catalogue_of(contents[i].text, contents[i].from, contents[i].to, &cluster, &catalogue);
        const struct catalogue_item *item = item_find(&catalogue, contents[i].node, contents[i].name);
        if (!item)
            fail_msg("%s has no %s", contents[i].node, contents[i].name);
        assert_string_equal(item_line(item), contents[i].line);
        assert_int_equal(item->content.not_before, -300);
        assert_int_equal(item->content.not_after, strcmp(item->name, "node-identity") ? 8760 * 3600 : 2160 * 3600);
        assert_int_equal(item->algorithm, KEY_ECDSA_P256);
    }
}

/* ---- where they lie ---- */

#define PKI "/etc/kubernetes/pki/"

static void files_lie_where_kubeadm_looks(void **state)
{
    (void)state;
    static const struct {
        const char *text, *node, *name;
        enum catalogue_kind kind;
        const char *path, *key_path;
        unsigned mode;
        const char *server;
    } cases[] = {
        {stacked, "m1", "kubernetes", CATALOGUE_BUNDLE, PKI "ca.crt", NULL, 0644, ""},
        {stacked, "m1", "front-proxy-ca", CATALOGUE_BUNDLE, PKI "front-proxy-ca.crt", NULL, 0644, ""},
        {stacked, "m1", "etcd-ca", CATALOGUE_BUNDLE, PKI "etcd/ca.crt", NULL, 0644, ""},
        {stacked, "m1", "apiserver", CATALOGUE_CERTIFICATE, PKI "apiserver.crt", PKI "apiserver.key", 0644, ""},
        {stacked, "m1", "etcd-peer", CATALOGUE_CERTIFICATE, PKI "etcd/peer.crt", PKI "etcd/peer.key", 0644, ""},
        {stacked, "m1", "sa", CATALOGUE_KEY_PAIR, PKI "sa.pub", PKI "sa.key", 0600, ""},
        {stacked, "m1", "admin", CATALOGUE_KUBECONFIG, "/etc/kubernetes/admin.conf", NULL, 0600,
         "https://api.lab:6443"},
        {external, "m1", "super-admin", CATALOGUE_KUBECONFIG, "/etc/kubernetes/super-admin.conf", NULL, 0600,
         "https://192.0.2.81:8443"},
        {external, "w1", "kubelet", CATALOGUE_KUBECONFIG, "/etc/kubernetes/kubelet.conf", NULL, 0600,
         "https://192.0.2.81:8443"},
        {external, "m1", "controller-manager", CATALOGUE_KUBECONFIG, "/etc/kubernetes/controller-manager.conf", NULL,
         0600, "https://192.0.2.51:6443"},
        {external, "m2", "scheduler", CATALOGUE_KUBECONFIG, "/etc/kubernetes/scheduler.conf", NULL, 0600,
         "https://[2001:db8::52]:6443"},
        {external, "m1", "etcd-ca", CATALOGUE_BUNDLE, PKI "etcd/ca.crt", NULL, 0644, ""},
        {external, "e1", "etcd-ca", CATALOGUE_BUNDLE, "/etc/etcd/pki/ca.crt", NULL, 0644, ""},
        {external, "e1", "etcd-member", CATALOGUE_CERTIFICATE, "/etc/etcd/pki/member.crt", "/etc/etcd/pki/member.key",
         0644, ""},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        AUTO(cluster) cluster = {0};
        AUTO(catalogue) catalogue = {0};
        catalogue_of(cases[i].text, NULL, NULL, &cluster, &catalogue);
        const struct catalogue_item *item = item_find(&catalogue, cases[i].node, cases[i].name);
        assert_non_null(item);
        assert_int_equal(item->kind, cases[i].kind);
        assert_string_equal(item->path, cases[i].path);
        assert_string_equal(item->key_path ? item->key_path : "", cases[i].key_path ? cases[i].key_path : "");
        assert_int_equal(item->mode, cases[i].mode);
        assert_int_equal(item->key_mode, 0600);
        assert_string_equal(item->server, cases[i].server);
    }
}

/* Without a load balancer a control plane goes to itself, a worker to the first control plane. */
static void kubeconfigs_without_an_endpoint_name_a_control_plane(void **state)
{
    (void)state;
    AUTO(cluster) cluster = {0};
    AUTO(catalogue) catalogue = {0};
    catalogue_of(external, "controlPlaneEndpoint: 192.0.2.81:8443\n", "", &cluster, &catalogue);
    assert_string_equal(item_find(&catalogue, "w1", "kubelet")->server, "https://192.0.2.51:6443");
    assert_string_equal(item_find(&catalogue, "m1", "admin")->server, "https://192.0.2.51:6443");
    assert_string_equal(item_find(&catalogue, "m2", "kubelet")->server, "https://[2001:db8::52]:6443");
}

static void shared_are_the_key_pair_and_what_the_file_says(void **state)
{
    (void)state;
    static const char *const to[] = {"external", "external, apiserverClient: perControlPlane",
                                     "external, apiserverClient: shared"};
    for (size_t i = 0; i < ARRAY_SIZE(to); i++) {
        AUTO(cluster) cluster = {0};
        AUTO(catalogue) catalogue = {0};
        catalogue_of(external, "external", to[i], &cluster, &catalogue);
        for (size_t j = 0; j < catalogue.count; j++) {
            const char *name = catalogue.items[j].name;
            bool client = strcmp(name, "apiserver-etcd-client") == 0;
            assert_int_equal(catalogue.items[j].shared, strcmp(name, "sa") == 0 || (client && i == 2));
        }
        const char *names[CATALOGUE_SHARED_MAX];
        assert_int_equal(catalogue_shared_names(&cluster, names), i == 2 ? 2 : 1);
        assert_true(catalogue_shares(&cluster, "sa"));
        assert_false(catalogue_shares_certificate(&cluster, "sa"));
        assert_int_equal(catalogue_shares(&cluster, "apiserver-etcd-client"), i == 2);
        assert_int_equal(catalogue_shares_certificate(&cluster, "apiserver-etcd-client"), i == 2);
        assert_false(catalogue_shares(&cluster, "apiserver"));
        assert_false(catalogue_shares(&cluster, ""));
    }
}

static void shared_keys_are_of_the_kind_that_the_catalogue_has(void **state)
{
    (void)state;
    static const struct {
        const char *version, *keys;
        enum key_algorithm pair, client;
    } cases[] = {
        {"1.31", "", KEY_ECDSA_P256, KEY_ECDSA_P256},
        {"1.20", "", KEY_RSA_2048, KEY_ECDSA_P256}, /* whose kubeadm takes no other pair */
        {"1.20", ", apiserverClient: shared}\nkeys: {certificates: rsa-3072", KEY_RSA_3072, KEY_RSA_3072},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        AUTO(cluster) cluster = {0};
        AUTO(catalogue) catalogue = {0};
        char text[2048], etcd[128];
        snprintf(etcd, sizeof etcd, "external%s", cases[i].keys[0] ? cases[i].keys : ", apiserverClient: shared");
        text_edit(external, "1.31", cases[i].version, text, sizeof text);
        catalogue_of(text, "external", etcd, &cluster, &catalogue);
        assert_int_equal(catalogue_shared_algorithm(&cluster, &profiles, "sa"), cases[i].pair);
        assert_int_equal(catalogue_shared_algorithm(&cluster, &profiles, "apiserver-etcd-client"), cases[i].client);
        assert_int_equal(catalogue_shared_algorithm(&cluster, &profiles, "apiserver"), KEY_NONE);
        assert_int_equal(item_find(&catalogue, "m1", "sa")->algorithm, cases[i].pair);
    }
}

static void kubeconfigs_refer_to_files_where_the_file_says_so(void **state)
{
    (void)state;
    static const char *const by_file[] = {"kubelet", "controller-manager", "scheduler"};
    for (int files = 0; files < 2; files++) {
        AUTO(cluster) cluster = {0};
        AUTO(catalogue) catalogue = {0};
        catalogue_of(external, "networking: {}", files ? "kubeconfigs: files" : "kubeconfigs: embedded", &cluster,
                     &catalogue);
        for (size_t i = 0; i < ARRAY_SIZE(by_file); i++) {
            const struct catalogue_item *item = item_find(&catalogue, "m1", by_file[i]);
            char path[128];
            snprintf(path, sizeof path, "/etc/kubernetes/pki/%s-client.crt", by_file[i]);
            assert_int_equal(item->certificate_path != NULL, files);
            assert_int_equal(item->key_path != NULL, files);
            if (files) {
                assert_string_equal(item->certificate_path, path);
                assert_string_equal(item->bundle_path, item_find(&catalogue, "m1", "kubernetes")->path);
                assert_int_equal(item->key_mode, 0600);
                assert_int_equal(item->certificate_mode, 0644);
            }
        }
        AUTO(cluster) old = {0};
        AUTO(catalogue) old_catalogue = {0};
        catalogue_of(external, "\"1.31\"", files ? "\"1.25\"\nkubeconfigs: files" : "\"1.25\"", &old, &old_catalogue);
        assert_int_equal(item_find(&old_catalogue, "w1", "kubelet")->certificate_path != NULL, files);
        assert_null(item_find(&old_catalogue, "w1", "kubelet")->bundle_path);
        assert_null(item_find(&catalogue, "m1", "admin")->key_path);
        assert_null(item_find(&catalogue, "m1", "super-admin")->certificate_path);
    }
    assert_true(catalogue_path_taken("/etc/kubernetes/pki/kubelet-client.key", PATH_CLIENT_KEY));
}

/* What `paths` names lies there, and the rest where it always does. */
static void paths_are_those_of_the_file(void **state)
{
    (void)state;
    AUTO(cluster) cluster = {0};
    AUTO(catalogue) catalogue = {0};
    catalogue_of(
        external, "networking: {}",
        "paths:\n"
        "  etcdClient: {caFile: /etc/kubernetes/pki/etcd/etcd-ca.crt, keyFile: /etc/kubernetes/pki/etcd/a.key}\n"
        "  etcdMember: {caFile: /etc/etcd/ca.pem, certFile: /etc/etcd/kubernetes.pem}",
        &cluster, &catalogue);
    const struct catalogue_item *client = item_find(&catalogue, "m2", "apiserver-etcd-client");
    const struct catalogue_item *member = item_find(&catalogue, "e1", "etcd-member");
    assert_string_equal(item_find(&catalogue, "m1", "etcd-ca")->path, "/etc/kubernetes/pki/etcd/etcd-ca.crt");
    assert_string_equal(client->path, "/etc/kubernetes/pki/apiserver-etcd-client.crt");
    assert_string_equal(client->key_path, "/etc/kubernetes/pki/etcd/a.key");
    assert_string_equal(item_find(&catalogue, "e1", "etcd-ca")->path, "/etc/etcd/ca.pem");
    assert_string_equal(cluster.crl_path, "/etc/etcd/crl.der");
    assert_string_equal(member->path, "/etc/etcd/kubernetes.pem");
    assert_string_equal(member->key_path, "/etc/etcd/pki/member.key");
    assert_string_equal(item_find(&catalogue, "m1", "kubernetes")->path, "/etc/kubernetes/pki/ca.crt");
}

static void keys_are_of_the_kind_that_the_file_says(void **state)
{
    (void)state;
    AUTO(cluster) cluster = {0};
    AUTO(catalogue) catalogue = {0};
    catalogue_of(external, "networking: {}", "keys: {certificates: rsa-3072}", &cluster, &catalogue);
    for (size_t i = 0; i < catalogue.count; i++)
        assert_int_equal(catalogue.items[i].algorithm,
                         catalogue.items[i].kind == CATALOGUE_BUNDLE ? KEY_NONE : KEY_RSA_3072);
    unsigned usage = item_find(&catalogue, "m1", "apiserver")->content.key_usage;
    assert_int_equal(usage, USAGE_DIGITAL_SIGNATURE | USAGE_KEY_ENCIPHERMENT);
}

/* What enrolment fetches is what the catalogue lists, for every profile and node. */
static void expected_is_what_is_listed(void **state)
{
    (void)state;
    static const char *const texts[] = {external, stacked};
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        AUTO(cluster) cluster = {0};
        AUTO(catalogue) catalogue = {0};
        catalogue_of(texts[i], NULL, NULL, &cluster, &catalogue);
        for (size_t node = 0; node < cluster.nodes_count; node++)
            for (size_t j = 0; j < profiles.count; j++) {
                const struct catalogue_item *item =
                    item_find(&catalogue, cluster.nodes[node].name, profiles.items[j].name);
                assert_int_equal(catalogue_expects(&cluster, &cluster.nodes[node], &profiles.items[j]), item != NULL);
            }
    }
}

/* Pages of whole nodes, one behind the other, are the whole. */
static void parts_make_the_whole(void **state)
{
    (void)state;
    static const size_t limits[] = {CATALOGUE_NODE_ITEMS_MAX, CATALOGUE_NODE_ITEMS_MAX + 5, 500};
    struct fault f = {0};
    AUTO(cluster) cluster = {0};
    AUTO(catalogue) whole = {0};
    catalogue_of(external, NULL, NULL, &cluster, &whole);
    for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
        size_t items = 0, pages = 0;
        for (size_t first = 0, count; first < cluster.nodes_count; first += count, pages++) {
            AUTO(catalogue) part = {0};
            count = catalogue_nodes_within(&cluster, first, limits[i]);
            assert_true(count > 0);
            assert_ok(catalogue_make_part(&cluster, &profiles, first, count, &part, &f), &f);
            assert_true(part.count <= limits[i]);
            for (size_t j = 0; j < part.count; j++, items++) {
                assert_ptr_equal(part.items[j].node, whole.items[items].node);
                assert_string_equal(part.items[j].name, whole.items[items].name);
            }
        }
        assert_int_equal(items, whole.count);
        assert_int_equal(pages, limits[i] == 500 ? 1 : 2);
    }
}

static void missing_profiles_are_told(void **state)
{
    (void)state;
    const struct profiles none = {0};
    struct fault f = {0};
    AUTO(cluster) cluster = {0};
    AUTO(catalogue) catalogue = {0};
    struct catalogue untouched = {.count = 7};
    catalogue_of(external, NULL, NULL, &cluster, &catalogue);
    assert_int_equal(catalogue_make(&cluster, &none, &untouched, &f), ERR_ABSENT);
    assert_says(&f, "no profile \"node-identity\"");
    assert_int_equal(untouched.count, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nodes_have_what_their_roles_need),
        cmocka_unit_test(certificates_hold_what_kubeadm_gives_them),
        cmocka_unit_test(files_lie_where_kubeadm_looks),
        cmocka_unit_test(kubeconfigs_without_an_endpoint_name_a_control_plane),
        cmocka_unit_test(shared_are_the_key_pair_and_what_the_file_says),
        cmocka_unit_test(shared_keys_are_of_the_kind_that_the_catalogue_has),
        cmocka_unit_test(kubeconfigs_refer_to_files_where_the_file_says_so),
        cmocka_unit_test(paths_are_those_of_the_file),
        cmocka_unit_test(keys_are_of_the_kind_that_the_file_says),
        cmocka_unit_test(expected_is_what_is_listed),
        cmocka_unit_test(parts_make_the_whole),
        cmocka_unit_test(missing_profiles_are_told),
    };
    return cmocka_run_group_tests(tests, profiles_make, profiles_free);
}
