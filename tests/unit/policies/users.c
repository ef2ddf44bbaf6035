/* The decision about users: who they may be, and which groups they get. */
#include "tests/unit/policies/question.h"

static struct question user_question(const struct fixture *fixture, const char *profile, enum requester kind)
{
    struct question question = question_make(fixture);
    question.profile = profile;
    question.caller = (struct caller){.kind = kind};
    question.subject.node = "";
    question.subject.user.name = "jane";
    return question;
}

static void users_have_their_name_and_groups(void **state)
{
    const struct fixture *fixture = *state;
    static const char *const groups[] = {"manager", "team:night shift"};
    AUTO(question) question = user_question(fixture, "user", REQUESTER_OPERATOR);
    AUTO(decision) decision = {0};
    struct fault f = {0};
    question.subject.user = (struct user){"jane", groups, 2};
    strcpy(question.request.subject.common_name, "jane");
    strcpy(question.request.subject.organizations[0], "team:night shift");
    strcpy(question.request.subject.organizations[1], "manager");
    question.request.subject.organizations_count = 2;
    assert_ok(ask(fixture, &question, &decision, &f), &f);
    const struct certificate_content *content = &decision.content;
    assert_string_equal(content->subject.common_name, "jane");
    assert_int_equal(content->subject.organizations_count, 2);
    assert_string_equal(content->subject.organizations[0], "manager");
    assert_string_equal(content->subject.organizations[1], "team:night shift");
    assert_int_equal(content->key_usage, USAGE_DIGITAL_SIGNATURE);
    assert_int_equal(content->extended_key_usage, EXTENDED_CLIENT_AUTH);
    assert_true(alternative_names_empty(&content->names));
    assert_int_equal(content->not_after, now + 30 * day);
    assert_string_equal(decision.cluster, "lab");
    assert_string_equal(decision.authority, "kubernetes");
    assert_string_equal(decision.node, "");
    assert_string_equal(decision.identity, "jane");
}

static void users_may_have_no_group_and_live_a_year(void **state)
{
    const struct fixture *fixture = *state;
    AUTO(question) question = user_question(fixture, "user", REQUESTER_ADMIN);
    AUTO(decision) decision = {0};
    struct fault f = {0};
    question.subject.user.name = "jane.doe_2-x@example.com";
    question.subject.lifetime_seconds = 365 * day;
    assert_ok(ask(fixture, &question, &decision, &f), &f);
    assert_int_equal(decision.content.subject.organizations_count, 0);
    assert_int_equal(decision.content.not_after, now + 365 * day);
}

/* The admin group is the one of the cluster's version. */
static void admins_of_clusters_are_of_its_version(void **state)
{
    const struct fixture *fixture = *state;
    static const struct {
        unsigned minor;
        const char *name, *organization;
    } cases[] = {
        {28, "kubernetes-admin", "system:masters"},
        {29, "kubernetes-admin", "kubeadm:cluster-admins"},
        {37, "alice", "kubeadm:cluster-admins"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        AUTO(question) question = user_question(fixture, "cluster-admin", REQUESTER_ADMIN);
        AUTO(decision) decision = {0};
        struct cluster cluster = fixture->cluster; /* borrows */
        struct fault f = {0};
        cluster.kubernetes_minor = cases[i].minor;
        question.subject.cluster = &cluster;
        question.subject.user.name = cases[i].name;
        assert_ok(ask(fixture, &question, &decision, &f), &f);
        assert_string_equal(decision.content.subject.common_name, cases[i].name);
        assert_int_equal(decision.content.subject.organizations_count, 1);
        assert_string_equal(decision.content.subject.organizations[0], cases[i].organization);
        assert_int_equal(decision.content.extended_key_usage, EXTENDED_CLIENT_AUTH);
        assert_int_equal(decision.content.not_after, now + 30 * day);
        assert_string_equal(decision.identity, cases[i].name);
        assert_string_equal(decision.cluster, "lab");
    }
}

static void users_get_no_more_than_the_cluster_gives(void **state)
{
    const struct fixture *fixture = *state;
    static const struct {
        const char *profile, *name, *group, *pointer, *says;
        enum requester kind; /* 0: operator */
    } cases[] = {
        {"user", "system:admin", NULL, "/user", "Kubernetes' own components", 0},
        {"user", "kubernetes-admin", NULL, "/user", "Kubernetes' own components", 0},
        {"user", "kube-apiserver-kubelet-client", NULL, "/user", "Kubernetes' own components", 0},
        {"user", "front-proxy-client", NULL, "/user", "Kubernetes' own components", 0},
        {"user", NULL, NULL, "/user", "letters, digits", 0},
        {"user", "", NULL, "/user", "letters, digits", 0},
        {"user", "jane doe", NULL, "/user", "letters, digits", 0},
        {"user", "jane,O=system:masters", NULL, "/user", "letters, digits", 0},
        {"user", "jane\n", NULL, "/user", "letters, digits", 0},
        {"user", "j\xc3\xa4ne", NULL, "/user", "letters, digits", 0},
        {"user", "a1234567890123456789012345678901234567890123456789012345678901234", NULL, "/user", "at most 64", 0},
        {"user", "jane", "managers", "/groups/0", "lists: manager, developers, team:night shift", 0},
        {"user", "jane", "Manager", "/groups/0", "users.groups in the file of cluster \"lab\"", 0},
        {"user", "jane", "", "/groups/0", "none of the groups", 0},
        {"user", "jane", "system:masters", "/groups/0", "Kubernetes' own groups", 0},
        {"user", "jane", "system:nodes", "/groups/0", "Kubernetes' own groups", 0},
        {"user", "jane", "kubeadm:cluster-admins", "/groups/0", "Kubernetes' own groups", 0},
        {"user", "jane", NULL, "/profile", "is for operator, admin to ask for", REQUESTER_AUDITOR},
        {"user", "jane", NULL, "/profile", "is for operator, admin to ask for", REQUESTER_SERVICE},
        {"cluster-admin", "system:admin", NULL, "/user", "letters, digits", REQUESTER_ADMIN},
        {"cluster-admin", NULL, NULL, "/user", "letters, digits", REQUESTER_ADMIN},
        {"cluster-admin", "jane", "manager", "/groups", "does not take groups", REQUESTER_ADMIN},
        {"identity", "jane", NULL, "/user", "not for users", REQUESTER_ADMIN},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        AUTO(question)
        question = user_question(fixture, cases[i].profile, cases[i].kind ? cases[i].kind : REQUESTER_OPERATOR);
        question.subject.identity = strcmp(cases[i].profile, "identity") == 0 ? "jane" : "";
        question.subject.user = (struct user){cases[i].name, &cases[i].group, cases[i].group != NULL};
        denied(fixture, &question, cases[i].pointer, cases[i].says);
    }
}

static void admins_of_clusters_are_for_admins_to_name(void **state)
{
    const struct fixture *fixture = *state;
    struct fault f = {0};
    struct decision decision;
    AUTO(question) question = user_question(fixture, "cluster-admin", REQUESTER_OPERATOR);
    assert_int_equal(ask(fixture, &question, &decision, &f), ERR_DENIED);
    assert_reason(&f, "/profile", "is for admin to ask for; this caller is operator");
    assert_reason(&f, "/profile", "O=kubeadm:cluster-admins may do everything in the cluster");
    assert_int_equal(f.reasons_count, 2);
}

/* What a certificate of a component is called, no user is: else its rights were to be had from a group's list. */
static void names_of_components_are_not_for_users(void **state)
{
    const struct fixture *fixture = *state;
    size_t seen = 0;
    for (size_t i = 0; i < fixture->profiles.count; i++) {
        const struct profile *profile = &fixture->profiles.items[i];
        const char *name = profile->subject.common_name;
        if (!name[0] || strcmp(profile->issuer, AUTHORITY_SERVICE) == 0)
            continue;
        struct fault f = {0};
        struct decision decision;
        AUTO(question) question = user_question(fixture, "user", REQUESTER_ADMIN);
        question.subject.user.name = name;
        assert_int_equal(ask(fixture, &question, &decision, &f), ERR_DENIED);
        assert_reason(&f, "/user", "Kubernetes' own components");
        seen++;
    }
    assert_true(seen >= 8);
}

static void groups_are_few_and_different(void **state)
{
    const struct fixture *fixture = *state;
    static const char *const twice[] = {"manager", "developers", "manager"};
    static const char *const many[ORGANIZATIONS_MAX + 1] = {"manager"};
    struct cluster open = fixture->cluster; /* borrows */
    AUTO(question) question = user_question(fixture, "user", REQUESTER_ADMIN);
    question.subject.user = (struct user){"jane", twice, 3};
    denied(fixture, &question, "/groups/2", "twice");
    struct fault f = {0};
    struct decision decision;
    const char *filled[ORGANIZATIONS_MAX + 1];
    for (size_t i = 0; i < ARRAY_SIZE(many); i++)
        filled[i] = many[0];
    question.subject.user = (struct user){"jane", filled, ARRAY_SIZE(filled)};
    assert_int_equal(ask(fixture, &question, &decision, &f), ERR_DENIED);
    assert_reason(&f, "/groups", "at most 8 groups");
    /* A file cannot list such a group; if it came in another way, it would be refused still. */
    strcpy(open.user_groups[0], "system:masters");
    question.subject.cluster = &open;
    static const char *const masters = "system:masters";
    question.subject.user = (struct user){"jane", &masters, 1};
    denied(fixture, &question, "/groups/0", "Kubernetes' own groups");
    open.user_groups_count = 0;
    question.subject.user.groups = twice;
    denied(fixture, &question, "/groups/0", "lists no groups for users");
    question.subject.cluster = NULL;
    question.subject.user.groups_count = 0;
    denied(fixture, &question, "/cluster", "for users of a cluster");
}

/* Nodes and tokens get no user, and a user no node. */
static void users_and_nodes_are_different(void **state)
{
    const struct fixture *fixture = *state;
    AUTO(question) question = question_make(fixture);
    static const char *const manager = "manager";
    struct fault f = {0};
    struct decision decision;
    question.subject.user = (struct user){"jane", &manager, 1};
    assert_int_equal(ask(fixture, &question, &decision, &f), ERR_DENIED);
    assert_reason(&f, "/user", "not for users");
    assert_reason(&f, "/groups", "does not take groups");
    assert_int_equal(f.reasons_count, 2);
    fault_clear(&f);
    question.profile = "user";
    assert_int_equal(ask(fixture, &question, &decision, &f), ERR_DENIED);
    assert_reason(&f, "/profile", "this caller is token");
    assert_reason(&f, "/node", "not for nodes");
    assert_int_equal(f.reasons_count, 2);
}

static void requests_of_users_ask_for_no_more(void **state)
{
    const struct fixture *fixture = *state;
    AUTO(question) question = user_question(fixture, "user", REQUESTER_ADMIN);
    strcpy(question.request.subject.common_name, "jane");
    strcpy(question.request.subject.organizations[0], "system:masters");
    question.request.subject.organizations_count = 1;
    denied(fixture, &question, "/csr/subject", "O=system:masters");
    question.request.subject = (struct distinguished_name){0};
    dns_ask(&question, "masterone");
    denied(fixture, &question, "/csr/subjectAltName", "belongs to node masterone");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(users_have_their_name_and_groups),
        cmocka_unit_test(users_may_have_no_group_and_live_a_year),
        cmocka_unit_test(admins_of_clusters_are_of_its_version),
        cmocka_unit_test(users_get_no_more_than_the_cluster_gives),
        cmocka_unit_test(admins_of_clusters_are_for_admins_to_name),
        cmocka_unit_test(names_of_components_are_not_for_users),
        cmocka_unit_test(groups_are_few_and_different),
        cmocka_unit_test(users_and_nodes_are_different),
        cmocka_unit_test(requests_of_users_ask_for_no_more),
    };
    return cmocka_run_group_tests(tests, fixture_make, fixture_free);
}
