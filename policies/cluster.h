/* cluster.h: a cluster file: the inventory that every decision is checked against. It holds no secret.
 *
 *     apiVersion: ensign/v1
 *     kind: Cluster
 *     name: vagrant                            # lower-case label
 *     kubernetesVersion: "1.31"                # or with a patch, "1.33.12": see policies/kubernetes.h
 *     controlPlaneEndpoint: 192.168.29.81:6443 # host:port of the load balancer
 *     networking: {dnsDomain: cluster.local, serviceSubnet: 10.96.0.0/12, podSubnet: 10.244.0.0/16}
 *     users: {groups: [manager, developers]}   # that `ensign user create` may give: see policies/users.h
 *     apiServer: {certSANs: [api.example.com, 192.0.2.7]}   # more names and addresses of every API server
 *     etcd:
 *       topology: external                     # stacked | external
 *       certificates: member                   # member | separate
 *       apiserverClient: perControlPlane       # perControlPlane | shared: one pair for all API servers
 *     kubeconfigs: embedded                    # embedded | files: those of kubelet, controller manager and scheduler
 *                                            # name their PEMs below /etc/kubernetes/pki instead of holding them
 *     keys: {authorities: ecdsa-p256, certificates: ecdsa-p256}
 *     lifetimes: {authorities: 87600h}
 *     paths:                                   # of an external etcd's files, where they are not the catalogue's
 *       etcdClient: {caFile: /etc/kubernetes/pki/etcd/etcd-ca.crt}   # and certFile, keyFile: of the API servers
 *       etcdMember: {certFile: /etc/etcd/server.pem}                 # and caFile, keyFile: of the members
 *     recovery: {publicKey: 7mHs…}           # X25519 in base64url, of `ensign recovery keygen`: who has its private
 *                                            # key can open the keys that the control planes share
 *     bootstrap: {…}                           # how hosts become this cluster: see policies/bootstrap.h
 *     nodes:
 *       - name: etcdone                        # exactly the node's Kubernetes name
 *         hostnames: [etcdone.example.com]
 *         addresses: [192.168.29.61]
 *         roles: [etcd]                        # and labels, taints, ssh: see policies/bootstrap.h
 *
 * An address may stand at one node only; names and hostnames too. A node has neither localhost nor 127.0.0.1, ::1, a
 * multicast or link-local address, nor one of the subnets of pods and services. Its first address is what its API
 * server advertises. The subnet of services has room for ten, as kubeadm wants it; the name of a node that runs a
 * kubelet has at most 52 letters, since its common name begins with "system:node:". controlPlaneEndpoint, networking,
 * apiServer, users, kubeconfigs, keys, lifetimes, recovery have defaults or may be left out where noted in struct
 * cluster. Threads: pure; a cluster is read-only once made.
 *
 * A client of Kubernetes reads a certificate that its kubeconfig names anew within minutes, an embedded one only when
 * it starts. (The CA stays embedded for versions before 1.26, whose kubeadm takes no kubeconfig that names its file.)
 * kubeadm shows /etc/kubernetes/pki to the pod of the controller manager; to the scheduler's it has to be told to
 * (scheduler.extraVolumes). What people copy, admin.conf and super-admin.conf, has everything embedded either way.
 *
 * A path of `paths` is below /etc/kubernetes/pki or /etc/etcd and ends in .crt, .key or .pem: nodes write there as root
 * what the service tells them, so it must not lead to what somebody runs (/etc/kubernetes/manifests, /etc/cron.d).
 */
#ifndef ENSIGN_POLICIES_CLUSTER_H
#define ENSIGN_POLICIES_CLUSTER_H

#include "policies/bootstrap.h"
#include "policies/kubernetes.h"
#include "policies/profile.h"

enum {
    CLUSTER_NAME_MAX = 63,
    NODES_MAX = 5000,
    NODE_HOSTNAMES_MAX = 16,
    NODE_ADDRESSES_MAX = 16,
    CERT_SANS_MAX = 64,
    CLUSTER_PATH_MAX = 255,
    USER_GROUPS_MAX = 64,
    SEALING_KEY_SIZE = 32, /* X25519 (RFC 7748) */
};

/* The cluster name of the service's own certificates; a cluster file may not have it. */
#define CLUSTER_SERVICE "ensign"
#define AUTHORITY_SERVICE "service-ca"

#define CLUSTER_DNS_SERVICE "kubernetes.default.svc." /* and dns_domain: a name of every API server */

enum etcd_topology { ETCD_EXTERNAL, ETCD_STACKED };
enum etcd_certificates { ETCD_MEMBER, ETCD_SEPARATE }; /* one certificate for server and peer, or two */

/* What `paths` can put elsewhere. */
enum cluster_path {
    PATH_CLIENT_CA,
    PATH_CLIENT_CERTIFICATE,
    PATH_CLIENT_KEY,
    PATH_MEMBER_CA,
    PATH_MEMBER_CERTIFICATE,
    PATH_MEMBER_KEY,
    PATHS_COUNT
};

struct node_entry {
    char name[DNS_NAME_MAX + 1];
    unsigned roles;                 /* enum node_role bits */
    struct alternative_names names; /* hostnames and addresses; without the name itself */
    struct node_bootstrap bootstrap;
};

/* What is allowed, and yet not well. */
struct cluster_warning {
    bool needs_force;   /* no cluster is made of such a file unless somebody insists (--force) */
    const char *wanted; /* "an odd number of etcd members"; static */
    char text[200];     /* what there is instead, and what follows from that */
};

struct cluster {
    char name[CLUSTER_NAME_MAX + 1];
    unsigned kubernetes_minor;            /* KUBERNETES_MINOR_MIN..MAX */
    int kubernetes_patch;                 /* or KUBERNETES_PATCH_UNKNOWN */
    char endpoint_host[DNS_NAME_MAX + 1]; /* empty when there is none */
    unsigned endpoint_port;
    char dns_domain[DNS_NAME_MAX + 1];         /* default cluster.local */
    struct network service_subnet, pod_subnet; /* defaults 10.96.0.0/12, 10.244.0.0/16 */
    struct alternative_names apiserver_names;  /* apiServer.certSANs */
    char user_groups[USER_GROUPS_MAX][ATTRIBUTE_MAX + 1];
    size_t user_groups_count;
    enum etcd_topology etcd_topology;
    enum etcd_certificates etcd_certificates;
    bool etcd_client_shared;                  /* all API servers have the same apiserver-etcd-client; default false */
    bool kubeconfig_files;                    /* default false */
    enum key_algorithm authority_algorithm;   /* default ecdsa-p256 */
    enum key_algorithm certificate_algorithm; /* what enrolment makes; default ecdsa-p256 */
    int64_t authority_lifetime_seconds;       /* default 87600h */
    bool has_recovery;                        /* default false */
    uint8_t recovery_key[SEALING_KEY_SIZE];
    char paths[PATHS_COUNT][CLUSTER_PATH_MAX + 1]; /* empty: where the catalogue has it */
    char crl_path[CLUSTER_PATH_MAX + 16];          /* of etcd's CRL: beside the CA bundle of its members */
    struct bootstrap bootstrap;
    struct node_entry *nodes; /* in the order of the file */
    const struct node_entry **nodes_by_name;
    size_t nodes_count;
    const struct node_entry *initialised; /* the control plane that others join, as its host says; NULL: not known */
    struct bytes document; /* the file as compact JSON with sorted keys: stored, compared, returned by the API */
    struct cluster_warning warnings[8];
    size_t warnings_count;
};

MUST_USE enum err cluster_read(const struct document *document, struct cluster *ret_cluster, struct fault *f);
void cluster_cleanup(struct cluster *cluster);
const struct node_entry *cluster_node(const struct cluster *cluster, const char *name); /* NULL */

/* How many nodes have one of these roles (enum node_role bits). */
size_t cluster_role_count(const struct cluster *cluster, unsigned roles);

/* Where kubeadm init runs: the first control plane of the file, unless another one is known to be initialised. */
const struct node_entry *cluster_first_control_plane(const struct cluster *cluster);
/* What the cluster's version of Kubernetes is like. Static. */
const struct kubernetes_facts *cluster_kubernetes(const struct cluster *cluster);

/* The authorities that a cluster has: "etcd-ca", "kubernetes", "front-proxy-ca", NULL. */
extern const char *const cluster_authorities[];

#endif
