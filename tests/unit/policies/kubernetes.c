/* What differs between the versions of Kubernetes, around each border. */
#include "policies/kubernetes.h"
#include "tests/unit/policies/suite.h"

#define MASTERS "system:masters"
#define ADMINS "kubeadm:cluster-admins"

enum { UNKNOWN = KUBERNETES_PATCH_UNKNOWN };

static const struct {
    unsigned minor;
    int patch;
    const char *kubelet_client, *admin, *super_admin, *api;
} cases[] = {
    {20, UNKNOWN, MASTERS, MASTERS, NULL, "v1beta2"},  {21, 14, MASTERS, MASTERS, NULL, "v1beta2"},
    {22, 0, MASTERS, MASTERS, NULL, "v1beta3"},        {28, 0, MASTERS, MASTERS, NULL, "v1beta3"},
    {25, 999, MASTERS, MASTERS, NULL, "v1beta3"},      {26, 0, MASTERS, MASTERS, NULL, "v1beta3"},
    {28, 999, MASTERS, MASTERS, NULL, "v1beta3"},      {29, 0, ADMINS, ADMINS, MASTERS, "v1beta3"},
    {29, UNKNOWN, ADMINS, ADMINS, MASTERS, "v1beta3"}, {30, 14, ADMINS, ADMINS, MASTERS, "v1beta3"},
    {31, 0, ADMINS, ADMINS, MASTERS, "v1beta4"},       {32, 999, ADMINS, ADMINS, MASTERS, "v1beta4"},
    {33, 0, ADMINS, ADMINS, MASTERS, "v1beta4"},       {33, 11, ADMINS, ADMINS, MASTERS, "v1beta4"},
    {33, 12, "", ADMINS, MASTERS, "v1beta4"},          {33, 999, "", ADMINS, MASTERS, "v1beta4"},
    {33, UNKNOWN, ADMINS, ADMINS, MASTERS, "v1beta4"}, {34, 0, ADMINS, ADMINS, MASTERS, "v1beta4"},
    {34, 7, ADMINS, ADMINS, MASTERS, "v1beta4"},       {34, 8, "", ADMINS, MASTERS, "v1beta4"},
    {34, UNKNOWN, ADMINS, ADMINS, MASTERS, "v1beta4"}, {35, 0, ADMINS, ADMINS, MASTERS, "v1beta4"},
    {35, 4, ADMINS, ADMINS, MASTERS, "v1beta4"},       {35, 5, "", ADMINS, MASTERS, "v1beta4"},
    {35, UNKNOWN, ADMINS, ADMINS, MASTERS, "v1beta4"}, {36, 0, ADMINS, ADMINS, MASTERS, "v1beta4"},
    {36, 1, "", ADMINS, MASTERS, "v1beta4"},           {36, UNKNOWN, ADMINS, ADMINS, MASTERS, "v1beta4"},
    {37, 0, "", ADMINS, MASTERS, "v1beta4"},           {37, UNKNOWN, "", ADMINS, MASTERS, "v1beta4"},
    {37, 3, "", ADMINS, MASTERS, "v1beta4"},
};

static void facts_are_those_of_the_version(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const struct kubernetes_facts *facts = kubernetes_facts(cases[i].minor, cases[i].patch);
        print_message("1.%u.%d\n", cases[i].minor, cases[i].patch);
        assert_string_equal(facts->kubelet_client_organization, cases[i].kubelet_client);
        assert_string_equal(facts->admin_organization, cases[i].admin);
        assert_int_equal(facts->super_admin_organization != NULL, cases[i].super_admin != NULL);
        if (cases[i].super_admin)
            assert_string_equal(facts->super_admin_organization, cases[i].super_admin);
        assert_int_equal(facts->service_accounts_ecdsa, cases[i].minor >= 26);
        assert_int_equal(facts->kubeconfig_ca_file, cases[i].minor >= 26);
        assert_string_equal(facts->kubeadm_api + strlen("kubeadm.k8s.io/"), cases[i].api);
    }
}

static void admins_are_two_groups(void **state)
{
    (void)state;
    static const char *const others[] = {"",      "system:nodes", "system:master", "system:masters2", "cluster-admins",
                                         "ADMINS"};
    assert_true(kubernetes_group_is_admins(MASTERS));
    assert_true(kubernetes_group_is_admins(ADMINS));
    for (size_t i = 0; i < ARRAY_SIZE(others); i++)
        assert_false(kubernetes_group_is_admins(others[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(facts_are_those_of_the_version),
                                       cmocka_unit_test(admins_are_two_groups)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
