/* cluster.h: a cluster file: the inventory that every decision is checked against. It holds no secret.
 *
 *     apiVersion: ensign/v1
 *     kind: Cluster
 *     name: vagrant                            # lower-case label
 *     kubernetesVersion: "1.31"
 *     controlPlaneEndpoint: 192.168.29.81:6443 # host:port of the load balancer
 *     networking: {dnsDomain: cluster.local, serviceSubnet: 10.96.0.0/12, podSubnet: 10.244.0.0/16}
 *     etcd: {topology: external, certificates: member}      # stacked | external; member | separate
 *     keys: {authorities: ecdsa-p256, certificates: ecdsa-p256}
 *     lifetimes: {authorities: 87600h}
 *     nodes:
 *       - name: etcdone                        # exactly the node's Kubernetes name
 *         hostnames: [etcdone.example.com]
 *         addresses: [192.168.29.61]
 *         roles: [etcd]
 *
 * An address may stand at one node only; names and hostnames too. A node has neither localhost nor 127.0.0.1, ::1, a
 * multicast or link-local address, nor one of the subnets of pods and services. controlPlaneEndpoint, networking, keys,
 * lifetimes have defaults or may be left out where noted in struct cluster. Two or four etcd members draw a warning.
 * Threads: pure; a cluster is read-only once made.
 */
#ifndef ENSIGN_POLICIES_CLUSTER_H
#define ENSIGN_POLICIES_CLUSTER_H

#include "policies/profile.h"

enum { CLUSTER_NAME_MAX = 63, NODES_MAX = 5000, NODE_HOSTNAMES_MAX = 16, NODE_ADDRESSES_MAX = 16 };

/* The cluster name of the service's own certificates; a cluster file may not have it. */
#define CLUSTER_SERVICE "ensign"
#define AUTHORITY_SERVICE "service-ca"

enum etcd_topology { ETCD_EXTERNAL, ETCD_STACKED };
enum etcd_certificates { ETCD_MEMBER, ETCD_SEPARATE }; /* one certificate for server and peer, or two */

struct node_entry {
    char name[DNS_NAME_MAX + 1];
    unsigned roles;                 /* enum node_role bits */
    struct alternative_names names; /* hostnames and addresses; without the name itself */
};

struct cluster {
    char name[CLUSTER_NAME_MAX + 1];
    unsigned kubernetes_minor;            /* 20..37 */
    char endpoint_host[DNS_NAME_MAX + 1]; /* empty when there is none */
    unsigned endpoint_port;
    char dns_domain[DNS_NAME_MAX + 1];         /* default cluster.local */
    struct network service_subnet, pod_subnet; /* defaults 10.96.0.0/12, 10.244.0.0/16 */
    enum etcd_topology etcd_topology;
    enum etcd_certificates etcd_certificates;
    enum key_algorithm authority_algorithm;   /* default ecdsa-p256 */
    enum key_algorithm certificate_algorithm; /* what enrolment makes; default ecdsa-p256 */
    int64_t authority_lifetime_seconds;       /* default 87600h */
    struct node_entry *nodes;                 /* in the order of the file */
    const struct node_entry **nodes_by_name;
    size_t nodes_count;
    struct bytes document; /* the file as compact JSON with sorted keys: stored, compared, returned by the API */
    char warnings[8][160];
    size_t warnings_count;
};

MUST_USE enum err cluster_read(const struct document *document, struct cluster *ret_cluster, struct fault *f);
void cluster_cleanup(struct cluster *cluster);
const struct node_entry *cluster_node(const struct cluster *cluster, const char *name); /* NULL */

/* The authorities that a cluster has: "etcd-ca", "kubernetes", "front-proxy-ca", NULL. */
extern const char *const cluster_authorities[];

/* Whether a node of this cluster holds a certificate of this profile by its roles (what enrolment fetches without
 * --profile; policy checks roles by itself). etcd.certificates chooses between etcd-member and etcd-server + etcd-peer;
 * node-identity is for every node. */
bool cluster_expects(const struct cluster *cluster, const struct node_entry *node, const struct profile *profile);

#endif
