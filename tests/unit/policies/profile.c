/* Profiles: the shipped ones, and what a document may not say. */
#include "policies/cluster.h"
#include "tests/unit/policies/suite.h"

enum {
    ANY_KEY = 1 << KEY_ECDSA_P256 | 1 << KEY_ECDSA_P384 | 1 << KEY_RSA_2048 | 1 << KEY_RSA_3072 | 1 << KEY_RSA_4096
};
enum { NODE_ASKS = REQUESTER_TOKEN | REQUESTER_NODE | REQUESTER_OPERATOR | REQUESTER_ADMIN };
enum { ADMIN_ASKS = REQUESTER_TOKEN | REQUESTER_NODE | REQUESTER_ADMIN };
enum { OF_NODE = NAMES_NODE_NAME | NAMES_NODE_HOSTNAMES | NAMES_NODE_ADDRESSES };
enum { ANY_NODE = ROLE_ETCD | ROLE_CONTROL_PLANE | ROLE_WORKER | ROLE_LOAD_BALANCER };
enum { SERVER = EXTENDED_SERVER_AUTH, CLIENT = EXTENDED_CLIENT_AUTH };

enum { APISERVER = NAMES_NODE_NAME | NAMES_APISERVER };
static const struct expected {
    const char *name, *issuer, *common_name;
    enum common_name_source from;
    unsigned requesters, roles, names_from, extended;
    size_t literal_names;
    enum organization_source organizations_from;
    const char *prefix, *organization;
} shipped[] = {
    {"apiserver-etcd-client", "etcd-ca", "kube-apiserver-etcd-client", 0, NODE_ASKS | REQUESTER_NODE,
     ROLE_CONTROL_PLANE, 0, CLIENT, 0, 0, "", NULL},
    {"etcd-healthcheck-client", "etcd-ca", "kube-etcd-healthcheck-client", 0, NODE_ASKS, ROLE_ETCD, 0, CLIENT, 0, 0, "",
     NULL},
    {"etcd-member", "etcd-ca", "", COMMON_NAME_NODE, NODE_ASKS, ROLE_ETCD, OF_NODE, SERVER | CLIENT, 3, 0, "", NULL},
    {"etcd-server", "etcd-ca", "", COMMON_NAME_NODE, NODE_ASKS, ROLE_ETCD, OF_NODE, SERVER | CLIENT, 3, 0, "", NULL},
    {"etcd-peer", "etcd-ca", "", COMMON_NAME_NODE, NODE_ASKS, ROLE_ETCD, OF_NODE, SERVER | CLIENT, 3, 0, "", NULL},
    {"node-identity", "service-ca", "", COMMON_NAME_NODE, NODE_ASKS, ANY_NODE, 0, CLIENT, 0, 0, "", NULL},
    {"identity", "service-ca", "", COMMON_NAME_IDENTITY, REQUESTER_ADMIN, 0, 0, CLIENT, 0, 0, "", NULL},
    {"service", "service-ca", "ensignd", 0, REQUESTER_SERVICE, 0, NAMES_SERVICE, SERVER, 0, 0, "", NULL},
    {"apiserver", "kubernetes", "kube-apiserver", 0, NODE_ASKS, ROLE_CONTROL_PLANE, APISERVER, SERVER, 0, 0, "", NULL},
    {"apiserver-kubelet-client", "kubernetes", "kube-apiserver-kubelet-client", 0, NODE_ASKS, ROLE_CONTROL_PLANE, 0,
     CLIENT, 0, ORGANIZATIONS_KUBELET_CLIENT, "", NULL},
    {"front-proxy-client", "front-proxy-ca", "front-proxy-client", 0, NODE_ASKS, ROLE_CONTROL_PLANE, 0, CLIENT, 0, 0,
     "", NULL},
    {"admin", "kubernetes", "kubernetes-admin", 0, ADMIN_ASKS, ROLE_CONTROL_PLANE, 0, CLIENT, 0, ORGANIZATIONS_ADMIN,
     "", NULL},
    {"super-admin", "kubernetes", "kubernetes-super-admin", 0, ADMIN_ASKS, ROLE_CONTROL_PLANE, 0, CLIENT, 0,
     ORGANIZATIONS_SUPER_ADMIN, "", NULL},
    {"kubelet", "kubernetes", "", COMMON_NAME_NODE, NODE_ASKS, ROLE_CONTROL_PLANE | ROLE_WORKER, 0, CLIENT, 0, 0,
     "system:node:", "system:nodes"},
    {"controller-manager", "kubernetes", "system:kube-controller-manager", 0, NODE_ASKS, ROLE_CONTROL_PLANE, 0, CLIENT,
     0, 0, "", NULL},
    {"user", "kubernetes", "", COMMON_NAME_USER, REQUESTER_OPERATOR | REQUESTER_ADMIN, 0, 0, CLIENT, 0,
     ORGANIZATIONS_USER, "", NULL},
    {"cluster-admin", "kubernetes", "", COMMON_NAME_USER, REQUESTER_ADMIN, 0, 0, CLIENT, 0, ORGANIZATIONS_ADMIN, "",
     NULL},
    {"scheduler", "kubernetes", "system:kube-scheduler", 0, NODE_ASKS, ROLE_CONTROL_PLANE, 0, CLIENT, 0, 0, "", NULL},
};

static void shipped_profiles_are_what_they_should_be(void **state)
{
    (void)state;
    struct fault f = {0};
    AUTO(profiles) profiles = {0};
    assert_ok(profiles_shipped(&profiles, &f), &f);
    assert_int_equal(profiles.count, ARRAY_SIZE(shipped));
    for (size_t i = 0; i < ARRAY_SIZE(shipped); i++) {
        const struct expected *want = &shipped[i];
        const struct profile *profile = profiles_find(&profiles, want->name);
        assert_non_null(profile);
        assert_string_equal(profile->issuer, want->issuer);
        assert_string_equal(profile->subject.common_name, want->common_name);
        assert_int_equal(profile->organizations_from, want->organizations_from);
        assert_string_equal(profile->common_name_prefix, want->prefix);
        assert_int_equal(profile->subject.organizations_count, want->organization ? 1 : 0);
        if (want->organization)
            assert_string_equal(profile->subject.organizations[0], want->organization);
        assert_int_equal(profile->common_name_from, want->from);
        assert_int_equal(profile->requesters, want->requesters);
        assert_int_equal(profile->node_roles, want->roles);
        assert_int_equal(profile->names_from, want->names_from);
        assert_int_equal(profile->extended_key_usage, want->extended);
        assert_int_equal(profile->names.dns_count + profile->names.addresses_count, want->literal_names);
        assert_int_equal(profile->key_usage & ~(unsigned)USAGE_KEY_ENCIPHERMENT, USAGE_DIGITAL_SIGNATURE);
        assert_int_equal(profile->keys & ~(unsigned)ANY_KEY, 0);
        assert_int_equal(profile->backdate_seconds, 300);
    }
    assert_null(profiles_find(&profiles, "no-such-profile"));
}

static const char text_right[] = "apiVersion: ensign/v1\n"
                                 "kind: Profile\n"
                                 "name: web\n"
                                 "description: A web server\n"
                                 "issuer: kubernetes\n"
                                 "requesters: [token, node]\n"
                                 "nodeRoles: [worker]\n"
                                 "subject: {commonName: web, organizations: [a, b]}\n"
                                 "names: {from: [node.name], dns: [localhost], addresses: [127.0.0.1, \"::1\"]}\n"
                                 "keyUsage: [digitalSignature]\n"
                                 "extendedKeyUsage: [serverAuth]\n"
                                 "keys: [rsa-2048, ecdsa-p384]\n"
                                 "lifetime: 24h\n"
                                 "backdate: 1m\n";

static enum err profile_of(const char *text, struct profile *ret_profile, struct fault *f)
{
    CLEANUP(document_auto) struct document *document = NULL;
    assert_ok(document_parse(span_text(text), "p.yaml", &document, f), f);
    return profile_read(document, ret_profile, f);
}

static void right_profile_is_read(void **state)
{
    (void)state;
    struct fault f = {0};
    AUTO(profile) profile = {0};
    assert_ok(profile_of(text_right, &profile, &f), &f);
    assert_string_equal(profile.name, "web");
    assert_string_equal(profile.description, "A web server");
    assert_int_equal(profile.requesters, REQUESTER_TOKEN | REQUESTER_NODE);
    assert_int_equal(profile.node_roles, ROLE_WORKER);
    assert_string_equal(profile.subject.organizations[1], "b");
    assert_int_equal(profile.names.dns_count, 1);
    assert_int_equal(profile.names.addresses_count, 2);
    assert_int_equal(profile.keys, 1 << KEY_RSA_2048 | 1 << KEY_ECDSA_P384);
    assert_int_equal(profile.lifetime_seconds, 86400);
    assert_int_equal(profile.default_lifetime_seconds, 86400);
    assert_int_equal(profile.backdate_seconds, 60);
}

static void wrong_profiles_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to, *pointer, *says;
    } cases[] = {
        {"", "extra: 1\n", "p.yaml:15:1", "unknown key \"extra\""},
        {"organizations:", "organisations:", "p.yaml:8:28", "did you mean \"organizations\"?"},
        {"from: [", "form: [", "p.yaml:9:9", "did you mean \"from\"?"},
        {"ensign/v1", "ensign/v2", "p.yaml:1:13", "ensign/v1"},
        {"kind: Profile", "kind: Cluster", "p.yaml:2:7", "Profile"},
        {"name: web", "name: Web", "p.yaml:3:7", "Web"},
        {"name: web", "name: a.b", "p.yaml:3:7", "a.b"},
        {"name: web\n", "", "p.yaml:1:1", "\"name\" is missing"},
        {"issuer: kubernetes", "issuer: kubernetes2", "p.yaml:5:9", "none of: etcd-ca, kubernetes, front-proxy-ca"},
        {"[token, node]", "[]", "p.yaml:6:13", "nobody"},
        {"[token, node]", "[token, root]", "p.yaml:6:21", "\"root\" is none of"},
        {"[token, node]", "[token, token]", "p.yaml:6:21", "twice"},
        {"[token, node]", "token", "p.yaml:6:13", "list"},
        {"nodeRoles: [worker]", "nodeRoles: []", "p.yaml:7:12", "needs nodeRoles"},
        {"nodeRoles: [worker]", "nodeRoles: []", "p.yaml:6:13", "tokens"},
        {"token, node]\nnodeRoles: [worker]\nsubject: {commonName: web, organizations: [a, b]}\nnames: {from: "
         "[node.name]",
         "admin]\nnodeRoles: []\nsubject: {commonName: web}\nnames: {from: [cluster.apiserver]", "p.yaml:7:12",
         "or its cluster needs nodeRoles"},
        {"token, node]\nnodeRoles: [worker]\nsubject: {commonName: web, organizations: [a, b]}\nnames: {from: "
         "[node.name], ",
         "admin]\nnodeRoles: []\nsubject: {commonName: web, organizationsFrom: kubernetes.admin}\nnames: {",
         "p.yaml:7:12", "or its cluster needs nodeRoles"},
        {"[node.name]", "[service.names]", "p.yaml:7:12", "not for nodes"},
        {"commonName: web", "commonNameFrom: identity.name", "p.yaml:7:12", "not for nodes"},
        {"commonName: web", "commonNameFrom: csr", "p.yaml:8:27", "node.name, identity.name, user.name"},
        {"commonName: web", "commonNameFrom: user.name", "p.yaml:7:12", "not for nodes"},
        {"issuer: kubernetes\nrequesters: [token, node]\nnodeRoles: [worker]\nsubject: {commonName: web",
         "issuer: service-ca\nrequesters: [admin]\nnodeRoles: []\nsubject: {commonNameFrom: user.name", "p.yaml:7:12",
         "by a CA of the cluster"},
        {"organizations: [a, b]", "organizationsFrom: user.groups", "p.yaml:8:47", "need commonNameFrom: user.name"},
        {"commonName: web", "commonName: web, commonNameFrom: node.name", "p.yaml:8:10", "one of"},
        {"commonName: web, ", "", "p.yaml:8:10", "one of"},
        {"organizations: [a, b]", "organizations: [a], organizationsFrom: kubernetes.admin", "p.yaml:8:10",
         "may have one of"},
        {"organizations: [a, b]", "organizationsFrom: csr", "p.yaml:8:47",
         "kubernetes.kubelet-client, kubernetes.admin, kubernetes.super-admin, user.groups"},
        {"commonName: web", "commonNameFrom: node.name, commonNamePrefix: \"system:\"", "p.yaml:8:56",
         "\"system:node:\""},
        {"commonName: web", "commonName: web, commonNamePrefix: \"system:node:\"", "p.yaml:8:46",
         "before a node's name"},
        {"commonName: web", "commonNameFrom: identity.name, commonNamePrefix: \"system:node:\"", "p.yaml:8:60",
         "before a node's name"},
        {"commonName: web", "commonName: 7", "p.yaml:8:23", "quotes"},
        {"commonName: web", "commonName: x1234567890123456789012345678901234567890123456789012345678901234",
         "p.yaml:8:23", "1 to 64"},
        {"[localhost]", "[\"*.example.com\"]", "p.yaml:9:34", "DNS name"},
        {"[localhost]", "[LOCALHOST]", "p.yaml:9:34", "DNS name"},
        {"[localhost]", "[10.0.0.1]", "p.yaml:9:34", "DNS name"},
        {"\"::1\"", "\"::ffff:1.2.3.4\"", "p.yaml:9:69", "mapped"},
        {"\"::1\"", "127.1", "p.yaml:9:69", "quotes"},
        {"[digitalSignature]", "[]", "p.yaml:10:11", "digitalSignature"},
        {"[digitalSignature]", "[keyEncipherment]", "p.yaml:10:11", "digitalSignature"},
        {"[digitalSignature]", "[digitalSignature, keyCertSign]", "p.yaml:10:11", "at most keyEncipherment"},
        {"[digitalSignature]", "[digitalSignature, cRLSign]", "p.yaml:10:11", "at most keyEncipherment"},
        {"[digitalSignature]", "[digitalSignature, nonRepudiation]", "p.yaml:10:11", "at most keyEncipherment"},
        {"[serverAuth]", "[]", "p.yaml:11:19", "serverAuth or clientAuth"},
        {"[serverAuth]", "[codeSigning]", "p.yaml:11:20", "none of: serverAuth, clientAuth"},
        {"names: {from: [node.name], dns: [localhost], addresses: [127.0.0.1, \"::1\"]}\n", "", "p.yaml:10:19",
         "needs names"},
        {"[rsa-2048, ecdsa-p384]", "[]", "p.yaml:12:7", "kind of key"},
        {"rsa-2048", "rsa-1024", "p.yaml:12:8", "none of: ecdsa-p256"},
        {"rsa-2048", "none", "p.yaml:12:8", "none of: ecdsa-p256"},
        {"lifetime: 24h", "lifetime: 24", "p.yaml:13:11", "string"},
        {"lifetime: 24h", "lifetime: 9m", "p.yaml:13:11", "10 minutes"},
        {"lifetime: 24h", "lifetime: 367d", "p.yaml:13:11", "366 days"},
        {"lifetime: 24h", "lifetime: 24h\ndefaultLifetime: 25h", "p.yaml:14:18", "not longer than lifetime"},
        {"lifetime: 24h", "lifetime: 24h\ndefaultLifetime: 9m", "p.yaml:14:18", "10 minutes"},
        {"backdate: 1m", "backdate: 61m", "p.yaml:14:11", "an hour"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char text[2048];
        struct fault f = {0};
        struct profile profile = {.name = "untouched"};
        text_edit(text_right, cases[i].from, cases[i].to, text, sizeof text);
        if (profile_of(text, &profile, &f) != ERR_INPUT)
            fail_msg("taken: %s", cases[i].to);
        assert_int_equal(f.code, CODE_INVALID);
        assert_string_equal(profile.name, "untouched");
        assert_reason(&f, cases[i].pointer, cases[i].says);
    }
}

static void everything_wrong_is_told_at_once(void **state)
{
    (void)state;
    struct fault f = {0};
    struct profile profile;
    assert_int_equal(profile_of("kind: x\nname: 1\nissuer: y\nrequesters: [z]\nlifetime: 1w\nq: 1\n", &profile, &f),
                     ERR_INPUT);
    static const char *const says[] = {"\"apiVersion\" is missing", "\"x\", where \"Profile\" is expected",
                                       "\"name\" must be",          "\"y\" is none of",
                                       "\"z\" is none of",          "expected a duration",
                                       "unknown key \"q\"",         "\"subject\" is missing",
                                       "\"keys\" is missing",       "\"backdate\" is missing"};
    for (size_t i = 0; i < ARRAY_SIZE(says); i++)
        assert_says(&f, says[i]);
}

/* What a cluster has, a profile can name. */
static void authorities_are_issuers(void **state)
{
    (void)state;
    for (size_t i = 0; cluster_authorities[i]; i++) {
        char text[2048], issuer[64];
        struct fault f = {0};
        AUTO(profile) profile = {0};
        snprintf(issuer, sizeof issuer, "issuer: %s\n", cluster_authorities[i]);
        text_edit(text_right, "issuer: kubernetes\n", issuer, text, sizeof text);
        assert_ok(profile_of(text, &profile, &f), &f);
        assert_string_equal(profile.issuer, cluster_authorities[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shipped_profiles_are_what_they_should_be),
        cmocka_unit_test(right_profile_is_read),
        cmocka_unit_test(wrong_profiles_are_refused),
        cmocka_unit_test(everything_wrong_is_told_at_once),
        cmocka_unit_test(authorities_are_issuers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
