/* What no file is rendered from. What is rendered: tests/golden/rendered/. */
#include "client/render/files.h"

#include <string.h>

#include "tests/unit/base/suite.h"

static const char text_cluster[] = "apiVersion: ensign/v1\n"
                                   "kind: Cluster\n"
                                   "name: lab\n"
                                   "kubernetesVersion: \"1.21\"\n"
                                   "controlPlaneEndpoint: 192.0.2.80:6443\n"
                                   "etcd: {topology: external}\n"
                                   "bootstrap:\n"
                                   "  loadBalancer: {kind: nginx-keepalived, interface: eth0}\n"
                                   "  kubeadm: {skipPhases: [addon/coredns, addon/kube-proxy]}\n"
                                   "  kubeProxy: {mode: none}\n"
                                   "nodes:\n"
                                   "  - {name: store, addresses: [192.0.2.61], roles: [etcd]}\n"
                                   "  - {name: helm, addresses: [192.0.2.51], roles: [control-plane]}\n"
                                   "  - {name: lbone, addresses: [192.0.2.82], roles: [load-balancer]}\n"
                                   "  - {name: lbtwo, addresses: [192.0.2.83], roles: [load-balancer]}\n";

/* A cluster with what renderers take. */
struct fixture {
    struct cluster cluster;
    struct profiles profiles;
    struct catalogue catalogue;
};

static int set_up(void **state)
{
    static struct fixture fixture;
    struct fault f = {0};
    CLEANUP(document_auto) struct document *document = NULL;
    assert_ok(document_parse(span_text(text_cluster), "c.yaml", &document, &f), &f);
    assert_ok(cluster_read(document, &fixture.cluster, &f), &f);
    assert_ok(profiles_shipped(&fixture.profiles, &f), &f);
    assert_ok(catalogue_make(&fixture.cluster, &fixture.profiles, &fixture.catalogue, &f), &f);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    catalogue_cleanup(&fixture->catalogue);
    profiles_cleanup(&fixture->profiles);
    cluster_cleanup(&fixture->cluster);
    return 0;
}

static enum err rendered(const struct fixture *fixture, render_function *function, const char *node,
                         const char *password, const char *token, struct fault *f)
{
    AUTO(bytes) text = {0};
    const struct render render = {.catalogue = &fixture->catalogue,
                                  .node = cluster_node(&fixture->cluster, node),
                                  .vrrp_password = password,
                                  .bootstrap_token = token};
    return function(&render, &text, f);
}

/* keepalived would take the first eight of a longer one without a word, and what follows a blank as another word. */
static void passwords_are_checked(void **state)
{
    static const char *const wrong[] = {NULL, "", "123456789", "two word", "a\nb", "a#b", "a\"b", "{"};
    struct fault f = {0};
    assert_ok(rendered(*state, render_keepalived, "lbone", "Halyard8", NULL, &f), &f);
    assert_ok(rendered(*state, render_keepalived, "lbone", "h", NULL, &f), &f);
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        fault_clear(&f);
        assert_int_equal(rendered(*state, render_keepalived, "lbone", wrong[i], NULL, &f), ERR_INPUT);
        assert_true(!wrong[i] || strlen(wrong[i]) < 2 || !strstr(f.text, wrong[i])); /* it is a secret */
    }
}

static void files_need_their_role(void **state)
{
    struct fault f = {0};
    assert_ok(rendered(*state, render_etcd, "store", NULL, NULL, &f), &f);
    assert_int_equal(rendered(*state, render_etcd, "helm", NULL, NULL, &f), ERR_INPUT);
    fault_clear(&f);
    assert_ok(rendered(*state, render_kubeadm_init, "helm", NULL, NULL, &f), &f);
    assert_int_equal(rendered(*state, render_kubeadm_init, "store", NULL, NULL, &f), ERR_INPUT);
}

static void a_token_needs_a_pin(void **state)
{
    struct fault f = {0};
    assert_ok(rendered(*state, render_kubeadm_join, "helm", NULL, NULL, &f), &f);
    assert_int_equal(rendered(*state, render_kubeadm_join, "helm", NULL, "abcdef.0123456789abcdef", &f), ERR_INPUT);
}

/* Before 1.22 a caller gives them on the command line; none stands twice. */
static void phases_are_joined(void **state)
{
    const struct fixture *fixture = *state;
    struct fault f = {0};
    AUTO(bytes) text = {0};
    assert_ok(render_skip_phases(&fixture->cluster, &text, &f), &f);
    assert_string_equal(bytes_text(&text), "addon/coredns,addon/kube-proxy");
}

/* Whatever a node's roles are, no two of its files have the same place. */
static void places_are_distinct(void **state)
{
    const struct fixture *fixture = *state;
    for (size_t i = 0; i < fixture->cluster.nodes_count; i++)
        for (const struct render_file *one = render_files; one->path; one++)
            for (const struct render_file *other = render_files; other < one; other++)
                assert_false(one->applies(&fixture->cluster, &fixture->cluster.nodes[i]) &&
                             other->applies(&fixture->cluster, &fixture->cluster.nodes[i]) &&
                             strcmp(one->path, other->path) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passwords_are_checked), cmocka_unit_test(files_need_their_role),
        cmocka_unit_test(a_token_needs_a_pin),   cmocka_unit_test(phases_are_joined),
        cmocka_unit_test(places_are_distinct),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
