/* Who may have a certificate that may do everything in a cluster, and what operators may have. */
#include "tests/unit/policies/question.h"

static void operators_may_ask_for_nodes(void **state)
{
    const struct fixture *fixture = *state;
    static const enum requester kinds[] = {REQUESTER_OPERATOR, REQUESTER_ADMIN};
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        AUTO(question) question = question_make(fixture);
        AUTO(decision) decision = {0};
        struct fault f = {0};
        question.caller = (struct caller){.kind = kinds[i], .name = "alice"};
        question.subject.node = "etcdtwo";
        assert_ok(ask(fixture, &question, &decision, &f), &f);
        assert_string_equal(decision.node, "etcdtwo");
    }
}

/* Every profile, by everybody who may ask for one: who may do everything in the cluster is for admins, and for the
 * node's own token. */
static void administrators_are_not_for_operators(void **state)
{
    const struct fixture *fixture = *state;
    static const struct {
        const char *profile;
        unsigned minor;
        int patch;
        const char *group; /* "": none; then the operator gets it */
    } cases[] = {
        {"admin", 20, 0, "system:masters"},
        {"admin", 31, 0, "kubeadm:cluster-admins"},
        {"admin", 37, 0, "kubeadm:cluster-admins"},
        {"super-admin", 31, 0, "system:masters"},
        {"super-admin", 37, 0, "system:masters"},
        {"apiserver-kubelet-client", 20, 0, "system:masters"},
        {"apiserver-kubelet-client", 31, 0, "kubeadm:cluster-admins"},
        {"apiserver-kubelet-client", 33, 12, ""},
        {"apiserver-kubelet-client", 37, 0, ""},
        {"apiserver-etcd-client", 31, 0, ""},
        {"apiserver", 31, 0, ""},
        {"kubelet", 31, 0, ""},
    };
    static const enum requester kinds[] = {REQUESTER_TOKEN, REQUESTER_ADMIN, REQUESTER_OPERATOR};
    for (size_t i = 0; i < ARRAY_SIZE(cases) * ARRAY_SIZE(kinds); i++) {
        size_t row = i / ARRAY_SIZE(kinds);
        AUTO(question) question = question_make(fixture);
        AUTO(decision) decision = {0};
        struct fault f = {0};
        struct cluster cluster = fixture->cluster; /* borrows */
        cluster.kubernetes_minor = cases[row].minor;
        cluster.kubernetes_patch = cases[row].patch;
        question.profile = cases[row].profile;
        question.subject.cluster = &cluster;
        question.subject.node = "masterone";
        strcpy(question.caller.node, "masterone");
        question.caller.kind = kinds[i % ARRAY_SIZE(kinds)];
        print_message("%s of 1.%u.%d by %u\n", question.profile, cluster.kubernetes_minor, cluster.kubernetes_patch,
                      question.caller.kind);
        enum err err = ask(fixture, &question, &decision, &f);
        bool refused = question.caller.kind == REQUESTER_OPERATOR && cases[row].group[0];
        assert_int_equal(err, refused ? ERR_DENIED : OK);
        if (!refused) {
            assert_int_equal(decision.content.subject.organizations_count > 0,
                             cases[row].group[0] || strcmp(question.profile, "kubelet") == 0);
            continue;
        }
        assert_reason(&f, "/profile", cases[row].group);
        assert_reason(&f, "/profile", "an admin may ask for it, or the node itself, with a token");
    }
}

/* The rule is about the certificate, so it holds for a profile that forgets it. */
static void profiles_cannot_give_administrators_to_operators(void **state)
{
    const struct fixture *fixture = *state;
    static const char *const groups[] = {"system:masters", "kubeadm:cluster-admins"};
    for (size_t i = 0; i < ARRAY_SIZE(groups); i++) {
        struct profile profile = *profiles_find(&fixture->profiles, "etcd-member"); /* borrows */
        AUTO(question) question = question_make(fixture);
        AUTO(decision) decision = {0};
        struct fault f = {0};
        question.caller = (struct caller){.kind = REQUESTER_OPERATOR, .name = "alice"};
        assert_ok(decide(&profile, &question.caller, &question.subject, &question.request, now, &decision, &f), &f);
        strcpy(profile.subject.organizations[profile.subject.organizations_count++], groups[i]);
        decision_cleanup(&decision);
        decision = (struct decision){0};
        assert_int_equal(decide(&profile, &question.caller, &question.subject, &question.request, now, &decision, &f),
                         ERR_DENIED);
        assert_reason(&f, "/profile", groups[i]);
        assert_int_equal(f.reasons_count, 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(operators_may_ask_for_nodes),
        cmocka_unit_test(administrators_are_not_for_operators),
        cmocka_unit_test(profiles_cannot_give_administrators_to_operators),
    };
    return cmocka_run_group_tests(tests, fixture_make, fixture_free);
}
