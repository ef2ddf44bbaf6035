/* Cluster files: the document that is kept of one is read again as the same cluster, and whatever is accepted has a
 * catalogue: no certificate that it needs is refused later. */
#include "policies/catalogue.h"

#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/x509.h"

static void nodes_hold(const struct cluster *cluster, const struct cluster *again)
{
    HOLDS(cluster->nodes_count == again->nodes_count && cluster->nodes_count <= NODES_MAX);
    for (size_t i = 0; i < cluster->nodes_count; i++) {
        const struct node_entry *a = &cluster->nodes[i], *b = &again->nodes[i];
        HOLDS(dns_name_valid(a->name) && cluster_node(cluster, a->name) == a);
        HOLDS(strcmp(a->name, b->name) == 0 && a->roles == b->roles && names_same(&a->names, &b->names));
    }
    HOLDS(!cluster_node(cluster, "no such node"));
}

static void cluster_hold(const struct cluster *cluster)
{
    CLEANUP(document_auto) struct document *document = NULL;
    AUTO(cluster) again = {0};
    struct fault *f = fuzz_fault();
    fuzz_must(document_parse_json(bytes_span(&cluster->document), &document, f), f);
    fuzz_must(cluster_read(document, &again, f), f);
    HOLDS(span_equal(bytes_span(&cluster->document), bytes_span(&again.document)));
    HOLDS(strcmp(cluster->name, again.name) == 0 && cluster->kubernetes_minor == again.kubernetes_minor);
    HOLDS(cluster->kubernetes_patch == again.kubernetes_patch &&
          kubernetes_facts(again.kubernetes_minor, again.kubernetes_patch));
    HOLDS(cluster->etcd_client_shared == again.etcd_client_shared);
    HOLDS(names_same(&cluster->apiserver_names, &again.apiserver_names));
    HOLDS(cluster_first_control_plane(cluster));
    HOLDS(strcmp(cluster->endpoint_host, again.endpoint_host) == 0 && cluster->endpoint_port == again.endpoint_port);
    HOLDS(cluster->warnings_count == again.warnings_count);
    HOLDS(!network_overlaps(&cluster->service_subnet, &cluster->pod_subnet));
    nodes_hold(cluster, &again);
}

static void catalogue_hold(const struct cluster *cluster)
{
    static struct profiles profiles;
    AUTO(catalogue) catalogue = {0};
    struct fault *f = fuzz_fault();
    if (!profiles.count)
        fuzz_must(profiles_shipped(&profiles, f), f);
    fuzz_must(catalogue_make(cluster, &profiles, &catalogue, f), f);
    HOLDS(catalogue.count >= 2 * cluster->nodes_count);
    json_auto_t *json = catalogue_json(&catalogue);
    HOLDS(json_array_size(json_object_get(json, "items")) == catalogue.count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(document_auto) struct document *document = NULL;
    struct cluster cluster;
    struct fault *f = fuzz_fault();
    if (document_parse(span(data, size), "cluster.yaml", &document, f) != OK)
        return 0;
    fuzz_fresh(&cluster, sizeof cluster);
    if (!fuzz_kept(cluster_read(document, &cluster, f), f, &cluster, sizeof cluster))
        return 0;
    cluster_hold(&cluster);
    catalogue_hold(&cluster);
    cluster_cleanup(&cluster);
    return 0;
}

void fuzz_seeds(void)
{
    fuzz_seed_text("apiVersion: ensign/v1\nkind: Cluster\nname: vagrant\nkubernetesVersion: \"1.31\"\n"
                   "controlPlaneEndpoint: 192.168.29.81:6443\n"
                   "networking: {dnsDomain: cluster.local, serviceSubnet: 10.96.0.0/12, podSubnet: 10.244.0.0/16}\n"
                   "apiServer: {certSANs: [api.example.com, 192.0.2.7, \"fd00::7\"]}\n"
                   "etcd: {topology: external, certificates: member, apiserverClient: shared}\n"
                   "keys: {authorities: ecdsa-p256, certificates: rsa-2048}\nlifetimes: {authorities: 87600h}\n"
                   "paths: {etcdClient: {caFile: /etc/kubernetes/pki/etcd/etcd-ca.crt, keyFile: /etc/etcd/a.key}}\n"
                   "nodes:\n"
                   "  - {name: etcdone, hostnames: [etcdone.example.com], addresses: [192.168.29.61], roles: [etcd]}\n"
                   "  - {name: m1, addresses: [192.168.29.71, \"fd00::1\"], roles: [control-plane]}\n"
                   "  - {name: lb, addresses: [192.168.29.81], roles: [load-balancer, worker]}\n");
    fuzz_seed_text("apiVersion: ensign/v1\nkind: Cluster\nname: s\nkubernetesVersion: v1.20.3\n"
                   "controlPlaneEndpoint: \"[fd00::9]:6443\"\nnetworking: {serviceSubnet: \"fd00:1::/108\"}\n"
                   "etcd: {topology: stacked}\nnodes:\n"
                   "  - {name: m1, addresses: [10.0.0.1], roles: [etcd, control-plane]}\n"
                   "  - {name: m2, addresses: [10.0.0.2], roles: [control-plane, etcd]}\n");
    fuzz_seed_text(
        "{\"apiVersion\":\"ensign/v1\",\"kind\":\"Cluster\",\"name\":\"a\",\"kubernetesVersion\":\"1.31\","
        "\"etcd\":{\"topology\":\"external\"},\"nodes\":[{\"name\":\"a\",\"roles\":[\"etcd\"]},{\"name\":\"b\","
        "\"hostnames\":[\"a\"],\"roles\":[\"control-plane\"]}]}");
}
