/* The decision: what is granted, and every attempt to get more. */
#include "tests/unit/policies/question.h"

static void content_is_of_profile_and_inventory(void **state)
{
    const struct fixture *fixture = *state;
    AUTO(question) question = question_make(fixture);
    AUTO(decision) decision = {0};
    struct fault f = {0};
    assert_ok(ask(fixture, &question, &decision, &f), &f);
    const struct certificate_content *content = &decision.content;
    assert_string_equal(content->subject.common_name, "etcdone");
    assert_int_equal(content->subject.organizations_count, 0);
    static const char *const dns[] = {"etcdone", "etcdone.example.com", "localhost"};
    static const char *const addresses[] = {"192.168.29.61", "127.0.0.1", "::1"};
    assert_int_equal(content->names.dns_count, 3);
    assert_int_equal(content->names.addresses_count, 3);
    for (size_t i = 0; i < 3; i++) {
        char text[ADDRESS_TEXT_SIZE];
        address_text(&content->names.addresses[i], text);
        assert_string_equal(content->names.dns[i], dns[i]);
        assert_string_equal(text, addresses[i]);
    }
    assert_int_equal(content->key_usage, USAGE_DIGITAL_SIGNATURE);
    assert_int_equal(content->extended_key_usage, EXTENDED_SERVER_AUTH | EXTENDED_CLIENT_AUTH);
    assert_int_equal(content->not_before, now - 300);
    assert_int_equal(content->not_after, now + 365 * day);
    assert_false(content->authority);
    assert_string_equal(decision.profile->name, "etcd-member");
    assert_string_equal(decision.cluster, "lab");
    assert_string_equal(decision.authority, "etcd-ca");
    assert_string_equal(decision.node, "etcdone");
    assert_string_equal(decision.identity, "");
}

static void key_encipherment_is_for_rsa_servers(void **state)
{
    const struct fixture *fixture = *state;
    static const struct {
        const char *profile;
        enum key_algorithm algorithm;
        bool encipherment;
    } cases[] = {
        {"etcd-member", KEY_RSA_2048, true},
        {"etcd-member", KEY_RSA_4096, true},
        {"etcd-member", KEY_ECDSA_P384, false},
        {"etcd-healthcheck-client", KEY_RSA_2048, false},
        {"etcd-healthcheck-client", KEY_ECDSA_P256, false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        AUTO(question) question = question_make(fixture);
        AUTO(decision) decision = {0};
        struct fault f = {0};
        question.profile = cases[i].profile;
        question.request.public_key.algorithm = cases[i].algorithm;
        assert_ok(ask(fixture, &question, &decision, &f), &f);
        assert_int_equal((decision.content.key_usage & USAGE_KEY_ENCIPHERMENT) != 0, cases[i].encipherment);
    }
}

/* The request may repeat what it gets, or parts of it; what it repeats changes nothing. */
static void equal_requests_are_granted(void **state)
{
    const struct fixture *fixture = *state;
    AUTO(question) question = question_make(fixture);
    AUTO(decision) decision = {0};
    struct fault f = {0};
    strcpy(question.request.subject.common_name, "etcdone");
    dns_ask(&question, "etcdone.example.com");
    address_ask(&question, "127.0.0.1");
    question.request.has_key_usage = question.request.has_extended_key_usage = true;
    question.request.key_usage = USAGE_DIGITAL_SIGNATURE | USAGE_KEY_ENCIPHERMENT;
    question.request.extended_key_usage = EXTENDED_CLIENT_AUTH;
    assert_ok(ask(fixture, &question, &decision, &f), &f);
    assert_int_equal(decision.content.names.dns_count, 3);
    assert_int_equal(decision.content.extended_key_usage, EXTENDED_SERVER_AUTH | EXTENDED_CLIENT_AUTH);
}

static void foreign_names_are_refused(void **state)
{
    const struct fixture *fixture = *state;
    static const struct {
        const char *profile, *node, *dns, *address, *says;
    } cases[] = {
        {"etcd-member", "etcdone", NULL, "192.168.29.62", "address 192.168.29.62 belongs to node etcdtwo"},
        {"etcd-member", "etcdone", "etcdtwo", NULL, "name etcdtwo belongs to node etcdtwo"},
        {"etcd-member", "etcdone", "etcdtwo.example.com", NULL, "belongs to node etcdtwo"},
        {"etcd-member", "etcdone", "masterone", NULL, "belongs to node masterone"},
        {"etcd-member", "etcdone", "evil.example.com", NULL, "none that this profile gives"},
        {"etcd-member", "etcdone", "example.com", NULL, "none that this profile gives"},
        {"etcd-member", "etcdone", "etcdone.example.com.evil.com", NULL, "none that this profile gives"},
        {"etcd-member", "etcdone", "kubernetes.default.svc", NULL, "none that this profile gives"},
        {"etcd-member", "etcdone", NULL, "192.168.29.99", "none that this profile gives"},
        {"etcd-member", "etcdone", NULL, "127.0.0.2", "none that this profile gives"},
        {"etcd-member", "etcdone", NULL, "::2", "none that this profile gives"},
        {"apiserver-etcd-client", "masterone", "masterone", NULL, "none that this profile gives"},
        {"apiserver-etcd-client", "masterone", NULL, "192.168.29.51", "none that this profile gives"},
        {"etcd-healthcheck-client", "etcdone", "etcdone", NULL, "none that this profile gives"},
        {"node-identity", "etcdone", "localhost", NULL, "none that this profile gives"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        AUTO(question) question = question_make(fixture);
        question.profile = cases[i].profile;
        question.subject.node = cases[i].node;
        strcpy(question.caller.node, cases[i].node);
        if (cases[i].dns)
            dns_ask(&question, cases[i].dns);
        else
            address_ask(&question, cases[i].address);
        denied(fixture, &question, "/csr/subjectAltName", cases[i].says);
    }
}

/* One certificate for all control planes: of the custodian, for the key that it claimed. */
static void shared_certificates_are_the_custodians(void **state)
{
    const struct fixture *fixture = *state;
    static const struct {
        const char *custodian;
        bool other_key;
        const char *pointer, *says;
    } cases[] = {
        {NULL, true, NULL, NULL},
        {"masterone", false, NULL, NULL},
        {"masterone", true, "/csr/publicKey", "\"masterone\" claimed another key"},
        {"mastertwo", false, "/node", "\"mastertwo\" is its custodian"},
        {"mastertwo", true, "/node", "\"mastertwo\" is its custodian"},
        {"", true, "/node", "none has claimed its key yet"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        AUTO(question) question = question_make(fixture);
        AUTO(decision) decision = {0};
        struct fault f = {0};
        question.profile = "apiserver-etcd-client";
        question.caller.kind = i % 2 ? REQUESTER_NODE : REQUESTER_TOKEN;
        question.subject.node = "masterone";
        strcpy(question.caller.node, "masterone");
        question.subject.custodian = cases[i].custodian;
        question.subject.key_unclaimed = cases[i].other_key;
        if (cases[i].pointer)
            denied(fixture, &question, cases[i].pointer, cases[i].says);
        else
            assert_ok(ask(fixture, &question, &decision, &f), &f);
    }
}

static void foreign_subjects_are_refused(void **state)
{
    const struct fixture *fixture = *state;
    static const struct {
        const char *common_name, *organization;
    } cases[] = {
        {"etcdtwo", NULL},      {"ETCDONE", NULL}, {"etcdone.example.com", NULL},        {"etcdone", "system:masters"},
        {"", "system:masters"}, {"root", NULL},    {"kube-apiserver-etcd-client", NULL},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        AUTO(question) question = question_make(fixture);
        strcpy(question.request.subject.common_name, cases[i].common_name);
        if (cases[i].organization) {
            strcpy(question.request.subject.organizations[0], cases[i].organization);
            question.request.subject.organizations_count = 1;
        }
        denied(fixture, &question, "/csr/subject", "CN=etcdone");
    }
}

static void foreign_usages_are_refused(void **state)
{
    const struct fixture *fixture = *state;
    static const struct {
        const char *profile;
        unsigned key_usage, extended;
        const char *pointer, *says;
    } cases[] = {
        {"etcd-member", USAGE_KEY_CERT_SIGN, 0, "/csr/keyUsage", "keyCertSign"},
        {"etcd-member", USAGE_DIGITAL_SIGNATURE | USAGE_CRL_SIGN, 0, "/csr/keyUsage", "cRLSign"},
        {"etcd-member", USAGE_NON_REPUDIATION, 0, "/csr/keyUsage", "nonRepudiation"},
        {"etcd-healthcheck-client", 0, EXTENDED_SERVER_AUTH, "/csr/extendedKeyUsage", "serverAuth"},
        {"node-identity", 0, EXTENDED_SERVER_AUTH | EXTENDED_CLIENT_AUTH, "/csr/extendedKeyUsage", "serverAuth"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        AUTO(question) question = question_make(fixture);
        question.profile = cases[i].profile;
        question.request.has_key_usage = cases[i].key_usage != 0;
        question.request.key_usage = cases[i].key_usage;
        question.request.has_extended_key_usage = cases[i].extended != 0;
        question.request.extended_key_usage = cases[i].extended;
        denied(fixture, &question, cases[i].pointer, cases[i].says);
    }
}

static void keys_of_others_are_refused(void **state)
{
    const struct fixture *fixture = *state;
    struct question question = question_make(fixture);
    question.subject.key_owner = "another node, identity or user";
    denied(fixture, &question, "/csr/publicKey", "belongs to another node, identity or user");
    question_cleanup(&question);
}

static void callers_stay_at_their_place(void **state)
{
    const struct fixture *fixture = *state;
    static const struct {
        const char *profile;
        enum requester kind;
        const char *cluster, *own_node, *node, *pointer, *says;
    } cases[] = {
        {"etcd-member", REQUESTER_TOKEN, "lab", "etcdtwo", "etcdone", "/node", "for node \"etcdtwo\" only"},
        {"etcd-member", REQUESTER_TOKEN, "lab", "etcdon", "etcdone", "/node", "for node \"etcdon\" only"},
        {"etcd-member", REQUESTER_TOKEN, "lab", "", "etcdone", "/node", "for node \"\" only"},
        {"etcd-member", REQUESTER_TOKEN, "other", "etcdone", "etcdone", "/cluster", "belongs to cluster \"other\""},
        {"etcd-member", REQUESTER_TOKEN, "", "etcdone", "etcdone", "/cluster", "belongs to cluster \"\""},
        {"etcd-member", REQUESTER_NODE, "lab", "etcdtwo", "etcdone", "/node", "for node \"etcdtwo\" only"},
        {"etcd-member", REQUESTER_NODE, "other", "etcdone", "etcdone", "/cluster", "belongs to cluster \"other\""},
        {"etcd-member", REQUESTER_AUDITOR, "", "", "etcdone", "/profile",
         "token, node, operator, admin to ask for; this caller is auditor"},
        {"etcd-member", REQUESTER_SERVICE, "", "", "etcdone", "/profile", "this caller is service"},
        {"apiserver-etcd-client", REQUESTER_TOKEN, "lab", "etcdone", "etcdone", "/node",
         "role control-plane; \"etcdone\" has etcd"},
        {"apiserver-etcd-client", REQUESTER_ADMIN, "", "", "workerone", "/node", "\"workerone\" has worker"},
        {"etcd-member", REQUESTER_ADMIN, "", "", "masterone", "/node", "\"masterone\" has control-plane"},
        {"etcd-member", REQUESTER_ADMIN, "", "", "etcdnine", "/node", "no node \"etcdnine\""},
        {"etcd-member", REQUESTER_ADMIN, "", "", "etcdone.example.com", "/node", "no node"},
        {"etcd-member", REQUESTER_ADMIN, "", "", "", "/node", "which node?"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        AUTO(question) question = question_make(fixture);
        question.profile = cases[i].profile;
        question.caller = (struct caller){.kind = cases[i].kind};
        strcpy(question.caller.cluster, cases[i].cluster);
        strcpy(question.caller.node, cases[i].own_node);
        question.subject.node = cases[i].node;
        denied(fixture, &question, cases[i].pointer, cases[i].says);
    }
}

static struct question identity_question(const struct fixture *fixture, const char *name)
{
    struct question question = question_make(fixture);
    question.profile = "identity";
    question.caller = (struct caller){.kind = REQUESTER_ADMIN, .name = "root"};
    question.subject.cluster = NULL;
    question.subject.node = "";
    question.subject.identity = name;
    return question;
}

static void identities_are_for_admins_to_give(void **state)
{
    const struct fixture *fixture = *state;
    AUTO(question) question = identity_question(fixture, "alice@example.com");
    AUTO(decision) decision = {0};
    struct fault f = {0};
    assert_ok(ask(fixture, &question, &decision, &f), &f);
    assert_string_equal(decision.content.subject.common_name, "alice@example.com");
    assert_string_equal(decision.identity, "alice@example.com");
    assert_string_equal(decision.cluster, CLUSTER_SERVICE);
    assert_string_equal(decision.node, "");
    assert_int_equal(decision.content.extended_key_usage, EXTENDED_CLIENT_AUTH);
    assert_true(alternative_names_empty(&decision.content.names));
    question.caller.kind = REQUESTER_OPERATOR;
    denied(fixture, &question, "/profile", "is for admin");
    question.caller.kind = REQUESTER_ADMIN;
    question.subject.node = "etcdone";
    denied(fixture, &question, "/node", "not for nodes");
    static const char *const names[] = {"", "a b", "a,O=x", "a\nb", "a/b", "\xc3\xa9"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        AUTO(question) wrong = identity_question(fixture, names[i]);
        denied(fixture, &wrong, "/name", "letters, digits");
    }
    AUTO(question)
    longer = identity_question(fixture, "01234567890123456789012345678901234567890123456789012345678901234");
    denied(fixture, &longer, "/name", "at most 64");
}

static void service_names_are_the_services_own(void **state)
{
    const struct fixture *fixture = *state;
    AUTO(question) question = identity_question(fixture, "");
    AUTO(decision) decision = {0};
    struct fault f = {0};
    question.profile = "service";
    question.caller.kind = REQUESTER_SERVICE;
    question.subject.service_names = &fixture->service_names;
    assert_ok(ask(fixture, &question, &decision, &f), &f);
    assert_string_equal(decision.content.subject.common_name, "ensignd");
    assert_int_equal(decision.content.names.dns_count, 1);
    assert_string_equal(decision.content.names.dns[0], "ca.example.com");
    assert_int_equal(decision.content.extended_key_usage, EXTENDED_SERVER_AUTH);
    question.caller.kind = REQUESTER_ADMIN;
    denied(fixture, &question, "/profile", "is for service");
    question.caller.kind = REQUESTER_SERVICE;
    question.request.public_key.algorithm = KEY_RSA_2048;
    denied(fixture, &question, "/csr/publicKey", "rsa-2048");
}

static void lifetimes_are_bounded(void **state)
{
    const struct fixture *fixture = *state;
    static const struct {
        int64_t asked, ca_left, granted; /* granted 0: refused */
        const char *pointer, *says;
    } cases[] = {
        {0, 3650 * day, 365 * day, NULL, NULL},
        {day, 3650 * day, day, NULL, NULL},
        {365 * day, 3650 * day, 365 * day, NULL, NULL},
        {0, 30 * day, 30 * day, NULL, NULL}, /* the CA's end cuts */
        {day, 3600, 3600, NULL, NULL},
        {365 * day + 1, 3650 * day, 0, "/lifetime_seconds", "365d"},
        {INT64_MAX, 3650 * day, 0, "/lifetime_seconds", "365d"},
        {1, 3650 * day, 0, "/lifetime_seconds", "60s"},
        {-1, 3650 * day, 0, "/lifetime_seconds", "60s"},
        {INT64_MIN, 3650 * day, 0, "/lifetime_seconds", "60s"},
        {0, 0, 0, "/profile", "expired"},
        {0, -day, 0, "/profile", "expired"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        AUTO(question) question = question_make(fixture);
        AUTO(decision) decision = {0};
        struct fault f = {0};
        question.subject.lifetime_seconds = cases[i].asked;
        question.subject.authority_not_after = now + cases[i].ca_left;
        if (!cases[i].granted) {
            denied(fixture, &question, cases[i].pointer, cases[i].says);
            continue;
        }
        assert_ok(ask(fixture, &question, &decision, &f), &f);
        assert_int_equal(decision.content.not_after, now + cases[i].granted);
    }
}

/* Certificates for Kubernetes: other subjects and names than the profile and the cluster give are refused. */
static void kubernetes_subjects_are_the_clusters(void **state)
{
    const struct fixture *fixture = *state;
    static const struct {
        const char *profile, *node, *common_name, *organization, *pointer, *says; /* pointer NULL: granted */
    } cases[] = {
        {"kubelet", "workerone", "system:node:workerone", "system:nodes", NULL, NULL},
        {"kubelet", "masterone", "system:node:masterone", "system:nodes", NULL, NULL},
        {"kubelet", "workerone", "system:node:masterone", "system:nodes", "/csr/subject", "CN=system:node:workerone"},
        {"kubelet", "workerone", "workerone", "system:nodes", "/csr/subject", "CN=system:node:workerone"},
        {"kubelet", "workerone", "system:node:workerone", "system:masters", "/csr/subject", "O=system:nodes"},
        {"kubelet", "workerone", "system:node:workerone", "", "/csr/subject", "O=system:nodes"},
        {"kubelet", "etcdone", "", "", "/node", "role control-plane, worker"},
        {"admin", "masterone", "kubernetes-admin", "kubeadm:cluster-admins", NULL, NULL},
        {"admin", "masterone", "kubernetes-admin", "system:masters", "/csr/subject", "O=kubeadm:cluster-admins"},
        {"admin", "workerone", "", "", "/node", "role control-plane"},
        {"super-admin", "masterone", "kubernetes-super-admin", "system:masters", NULL, NULL},
        {"super-admin", "workerone", "", "", "/node", "role control-plane"},
        {"apiserver", "workerone", "", "", "/node", "role control-plane"},
        {"scheduler", "workerone", "", "", "/node", "role control-plane"},
        {"controller-manager", "masterone", "system:kube-controller-manager", "", NULL, NULL},
        {"apiserver-kubelet-client", "masterone", "kube-apiserver-kubelet-client", "kubeadm:cluster-admins", NULL,
         NULL},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        AUTO(question) question = question_make(fixture);
        AUTO(decision) decision = {0};
        struct fault f = {0};
        question.profile = cases[i].profile;
        question.subject.node = cases[i].node;
        strcpy(question.caller.node, cases[i].node);
        strcpy(question.request.subject.common_name, cases[i].common_name);
        strcpy(question.request.subject.organizations[0], cases[i].organization);
        question.request.subject.organizations_count = cases[i].organization[0] != '\0';
        if (cases[i].pointer)
            denied(fixture, &question, cases[i].pointer, cases[i].says);
        else
            assert_ok(ask(fixture, &question, &decision, &f), &f);
    }
}

static void api_servers_get_their_own_names_only(void **state)
{
    const struct fixture *fixture = *state;
    static const struct {
        const char *dns, *address, *says; /* NULL: granted */
    } cases[] = {
        {"masterone", NULL, NULL},
        {"kubernetes.default.svc.cluster.local", NULL, NULL},
        {NULL, "10.96.0.1", NULL},
        {NULL, "192.168.29.51", NULL},
        {"kubernetes.default.svc.cluster", NULL, "none that this profile gives"},
        {"localhost", NULL, "none that this profile gives"},
        {"workerone", NULL, "belongs to node workerone"},
        {NULL, "10.96.0.2", "none that this profile gives"},
        {NULL, "127.0.0.1", "none that this profile gives"},
        {NULL, "192.168.29.71", "belongs to node workerone"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        AUTO(question) question = question_make(fixture);
        AUTO(decision) decision = {0};
        struct fault f = {0};
        question.profile = "apiserver";
        question.subject.node = "masterone";
        strcpy(question.caller.node, "masterone");
        if (cases[i].dns)
            dns_ask(&question, cases[i].dns);
        else
            address_ask(&question, cases[i].address);
        if (cases[i].says)
            denied(fixture, &question, "/csr/subjectAltName", cases[i].says);
        else
            assert_ok(ask(fixture, &question, &decision, &f), &f);
    }
}

static void old_versions_have_no_super_admin(void **state)
{
    const struct fixture *fixture = *state;
    AUTO(question) question = question_make(fixture);
    struct cluster old = fixture->cluster; /* borrows */
    old.kubernetes_minor = 28;
    question.profile = "super-admin";
    question.subject.cluster = &old;
    question.subject.node = "masterone";
    strcpy(question.caller.node, "masterone");
    denied(fixture, &question, "/profile", "Kubernetes 1.28 has no super-admin");
}

/* A cluster file may not have such a name; if one came in another way, it would not be cut. */
static void long_names_of_kubelets_are_refused(void **state)
{
    const struct fixture *fixture = *state;
    struct node_entry nodes[] = {fixture->cluster.nodes[3]};
    const struct node_entry *by_name[] = {&nodes[0]};
    struct cluster cluster = fixture->cluster; /* borrows */
    AUTO(question) question = question_make(fixture);
    strcpy(nodes[0].name, "abcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabc"); /* 53 */
    cluster.nodes = nodes;
    cluster.nodes_by_name = by_name;
    cluster.nodes_count = 1;
    question.profile = "kubelet";
    question.subject.cluster = &cluster;
    question.subject.node = nodes[0].name;
    strcpy(question.caller.node, nodes[0].name);
    denied(fixture, &question, "/node", "at most 64 characters (RFC 5280 A.1), with \"system:node:\"");
    AUTO(decision) decision = {0};
    struct fault f = {0};
    nodes[0].name[52] = question.caller.node[52] = '\0';
    assert_ok(ask(fixture, &question, &decision, &f), &f);
    assert_int_equal(strlen(decision.content.subject.common_name), ATTRIBUTE_MAX);
}

static void all_reasons_come_at_once(void **state)
{
    const struct fixture *fixture = *state;
    AUTO(question) question = question_make(fixture);
    struct decision decision;
    struct fault f = {0};
    question.profile = "apiserver-etcd-client";
    strcpy(question.caller.cluster, "other");
    strcpy(question.caller.node, "etcdtwo");
    question.subject.lifetime_seconds = 9999 * day;
    question.request = (struct request){.public_key = {.algorithm = KEY_NONE},
                                        .subject = {.common_name = "root"},
                                        .has_key_usage = true,
                                        .key_usage = USAGE_KEY_CERT_SIGN,
                                        .has_extended_key_usage = true,
                                        .extended_key_usage = EXTENDED_SERVER_AUTH,
                                        .excess = {"CA:TRUE", "e-mail a@b"},
                                        .excess_count = 2};
    dns_ask(&question, "masterone");
    address_ask(&question, "192.168.29.62");
    assert_int_equal(ask(fixture, &question, &decision, &f), ERR_DENIED);
    static const struct {
        const char *pointer, *says;
    } reasons[] = {
        {"/cluster", "other"},
        {"/node", "etcdtwo"},
        {"/node", "control-plane"},
        {"/lifetime_seconds", "365d"},
        {"/csr/subject", "CN=root"},
        {"/csr/subjectAltName", "name masterone belongs to node masterone"},
        {"/csr/subjectAltName", "address 192.168.29.62 belongs to node etcdtwo"},
        {"/csr/keyUsage", "keyCertSign"},
        {"/csr/extendedKeyUsage", "serverAuth"},
        {"/csr/publicKey", ""},
        {"/csr/extensions", "CA:TRUE"},
        {"/csr/extensions", "e-mail a@b"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(reasons); i++)
        assert_reason(&f, reasons[i].pointer, reasons[i].says);
    assert_int_equal(f.reasons_count, ARRAY_SIZE(reasons));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(content_is_of_profile_and_inventory),
        cmocka_unit_test(key_encipherment_is_for_rsa_servers),
        cmocka_unit_test(equal_requests_are_granted),
        cmocka_unit_test(foreign_names_are_refused),
        cmocka_unit_test(shared_certificates_are_the_custodians),
        cmocka_unit_test(foreign_subjects_are_refused),
        cmocka_unit_test(foreign_usages_are_refused),
        cmocka_unit_test(keys_of_others_are_refused),
        cmocka_unit_test(callers_stay_at_their_place),
        cmocka_unit_test(identities_are_for_admins_to_give),
        cmocka_unit_test(service_names_are_the_services_own),
        cmocka_unit_test(lifetimes_are_bounded),
        cmocka_unit_test(kubernetes_subjects_are_the_clusters),
        cmocka_unit_test(api_servers_get_their_own_names_only),
        cmocka_unit_test(old_versions_have_no_super_admin),
        cmocka_unit_test(long_names_of_kubelets_are_refused),
        cmocka_unit_test(all_reasons_come_at_once),
    };
    return cmocka_run_group_tests(tests, fixture_make, fixture_free);
}
