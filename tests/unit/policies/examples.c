/* The example clusters: the hosts of the originals, and who may have whose names. tests/golden/ has their certificates.
 */
#include "tests/unit/policies/suite.h"

static const char *const examples[] = {"vagrant-external-etcd", "nginx-keepalived-external-etcd",
                                       "haproxy-stacked-etcd"};

static void example_read(const char *name, struct cluster *ret_cluster)
{
    char path[512];
    struct fault f = {0};
    CLEANUP(document_auto) struct document *document = NULL;
    snprintf(path, sizeof path, "%s/%s.yaml", getenv("EXAMPLES"), name);
    assert_ok(document_load(path, &document, &f), &f);
    assert_ok(cluster_read(document, ret_cluster, &f), &f);
    assert_int_equal(ret_cluster->warnings_count, 0);
}

/* The hosts as the original documents have them. */
static const struct {
    size_t example;
    const char *name, *hostname, *address;
    unsigned roles;
} hosts[] = {
    {0, "etcdone", "etcdone.example.com", "192.168.29.61", ROLE_ETCD},
    {0, "etcdtwo", "etcdtwo.example.com", "192.168.29.62", ROLE_ETCD},
    {0, "etcdthree", "etcdthree.example.com", "192.168.29.63", ROLE_ETCD},
    {0, "masterone", "masterone.example.com", "192.168.29.51", ROLE_CONTROL_PLANE},
    {0, "mastertwo", "mastertwo.example.com", "192.168.29.52", ROLE_CONTROL_PLANE},
    {0, "masterthree", "masterthree.example.com", "192.168.29.53", ROLE_CONTROL_PLANE},
    {0, "lb", "lb.example.com", "192.168.29.81", ROLE_LOAD_BALANCER},
    {0, "workerone", "workerone.example.com", "192.168.29.71", ROLE_WORKER},
    {1, "k8setcd1.isociel.com", "k8setcd1", "192.168.13.35", ROLE_ETCD},
    {1, "k8setcd2.isociel.com", "k8setcd2", "192.168.13.36", ROLE_ETCD},
    {1, "k8setcd3.isociel.com", "k8setcd3", "192.168.13.37", ROLE_ETCD},
    {1, "k8smaster1.isociel.com", "k8smaster1", "192.168.13.61", ROLE_CONTROL_PLANE},
    {1, "k8smaster2.isociel.com", "k8smaster2", "192.168.13.62", ROLE_CONTROL_PLANE},
    {1, "k8smaster3.isociel.com", "k8smaster3", "192.168.13.63", ROLE_CONTROL_PLANE},
    {1, "k8sworker1.isociel.com", "k8sworker1", "192.168.13.65", ROLE_WORKER},
    {1, "k8sworker2.isociel.com", "k8sworker2", "192.168.13.66", ROLE_WORKER},
    {1, "k8sworker3.isociel.com", "k8sworker3", "192.168.13.67", ROLE_WORKER},
    {1, "k8svrrp1.isociel.com", "k8svrrp1", "192.168.13.71", ROLE_LOAD_BALANCER},
    {1, "k8svrrp2.isociel.com", "k8svrrp2", "192.168.13.72", ROLE_LOAD_BALANCER},
    {2, "controlplane1", NULL, "192.0.2.11", ROLE_CONTROL_PLANE | ROLE_ETCD},
    {2, "controlplane2", NULL, "192.0.2.12", ROLE_CONTROL_PLANE | ROLE_ETCD},
    {2, "controlplane3", NULL, "192.0.2.13", ROLE_CONTROL_PLANE | ROLE_ETCD},
};

static void hosts_are_those_of_the_originals(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(hosts); i++) {
        AUTO(cluster) cluster = {0};
        example_read(examples[hosts[i].example], &cluster);
        const struct node_entry *node = cluster_node(&cluster, hosts[i].name);
        if (!node)
            fail_msg("no node %s", hosts[i].name);
        struct fault f = {0};
        struct address address;
        assert_ok(address_parse(hosts[i].address, &address, &f), &f);
        assert_true(alternative_names_has_address(&node->names, &address));
        assert_int_equal(node->roles, hosts[i].roles);
        if (hosts[i].hostname)
            assert_true(alternative_names_has_dns(&node->names, hosts[i].hostname));
    }
}

/* For no example and no profile does a node get another node's name or address. */
static void nobody_gets_anothers_names(void **state)
{
    (void)state;
    struct fault f = {0};
    AUTO(profiles) profiles = {0};
    assert_ok(profiles_shipped(&profiles, &f), &f);
    const struct profile *member = profiles_find(&profiles, "etcd-member");
    for (size_t i = 0; i < ARRAY_SIZE(examples); i++) {
        AUTO(cluster) cluster = {0};
        example_read(examples[i], &cluster);
        for (size_t asking = 0; asking < cluster.nodes_count; asking++)
            for (size_t other = 0; other < cluster.nodes_count; other++) {
                const struct caller admin = {.kind = REQUESTER_ADMIN};
                const struct subject_of_decision subject = {.cluster = &cluster,
                                                            .node = cluster.nodes[asking].name,
                                                            .identity = "",
                                                            .authority_not_after = INT64_MAX};
                const struct request request = {.public_key = {.algorithm = KEY_ECDSA_P256},
                                                .names = cluster.nodes[other].names};
                AUTO(decision) decision = {0};
                fault_clear(&f);
                enum err err = decide(member, &admin, &subject, &request, 0, &decision, &f);
                bool granted = asking == other && cluster.nodes[asking].roles & ROLE_ETCD;
                assert_int_equal(err, granted ? OK : ERR_DENIED);
            }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hosts_are_those_of_the_originals),
        cmocka_unit_test(nobody_gets_anothers_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
