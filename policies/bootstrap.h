/* bootstrap.h: how the hosts of a cluster become one: the optional section `bootstrap` of a cluster file, and what a
 * node's entry says for it. It decides nothing about certificates. All of it has defaults, which are shown:
 *
 *     bootstrap:
 *       ssh: {user: root, port: 22, hostKeys: {masterone: "ssh-ed25519 AAAA…"}}   # none: those that are known already
 *       packages:
 *         kubernetes: {source: present}       # present | distribution | "deb …", a line of APT's, with keyFile
 *         containerRuntime: {source: distribution, keyFile: /path/of/key.asc, version: "1.6.20~ds1-1"}
 *         ensign: {source: present}           # present | /path/of/ensign.deb, on this machine
 *       containerRuntime:
 *         name: containerd                    # containerd | cri-o
 *         cgroupDriver: systemd               # systemd | cgroupfs
 *         socket: unix:///run/containerd/containerd.sock   # cri-o: unix:///var/run/crio/crio.sock
 *         sandboxImage: registry.k8s.io/pause:3.9           # none: the runtime's own
 *       loadBalancer:
 *         kind: none                          # none | haproxy | nginx-keepalived | kube-vip
 *         virtualAddress: 192.168.13.70       # the last two; default: controlPlaneEndpoint, where that is an address
 *         interface: eth0                     # the last two, which need it
 *         routerId: 70                        # VRRP's; default: the last byte of virtualAddress
 *         image: …                            # kube-vip's, which needs it, with a version
 *       etcd: {dataDir: /var/lib/etcd, environment: {ETCD_HEARTBEAT_INTERVAL: "250"}}  # environment: external etcd's
 *       kubeadm:
 *         skipPhases: []                      # of kubeadm init
 *         apiServer: {extraArgs: {}}          # and controllerManager, scheduler, kubelet; values are strings
 *         imageRepository: registry.k8s.io    # none: kubeadm's own
 *         featureGates: {}                    # of kubeadm
 *         controlPlaneTimeout: 4m
 *       kubeProxy: {mode: iptables}           # iptables | ipvs | nftables (from 1.31 on) | none
 *       cni: none                             # none | {manifest: /path} | {command: [program, …]} | {bridge: true}
 *     nodes:
 *       - labels: {node-role.kubernetes.io/worker: ""}
 *         taints: ["dedicated=gpu:NoSchedule"]  # of a kubelet; none given: kubeadm's own; []: none
 *         ssh: {address: 203.0.113.7, port: 2222, user: admin}   # where they are not the cluster's or the first
 * address
 *
 * Whatever ends up in a file on a host is of plain characters: it cannot begin another line or another setting there.
 * Texts are borrowed from the document's tree, which the structs here keep.  Threads: pure. */
#ifndef ENSIGN_POLICIES_BOOTSTRAP_H
#define ENSIGN_POLICIES_BOOTSTRAP_H

#include "ca/base/document.h"
#include "ca/x509/name.h"

struct cluster;
struct node_entry;

enum package_source { PACKAGE_PRESENT, PACKAGE_DISTRIBUTION, PACKAGE_REPOSITORY, PACKAGE_FILE };
enum container_runtime { RUNTIME_CONTAINERD, RUNTIME_CRIO };
enum cgroup_driver { CGROUP_SYSTEMD, CGROUP_CGROUPFS };
enum balancer { BALANCER_NONE, BALANCER_HAPROXY, BALANCER_NGINX_KEEPALIVED, BALANCER_KUBE_VIP };
enum proxy_mode { PROXY_IPTABLES, PROXY_IPVS, PROXY_NFTABLES, PROXY_NONE };
enum cni { CNI_NONE, CNI_MANIFEST, CNI_COMMAND, CNI_BRIDGE };

/* Whose command line has more arguments. */
enum component {
    COMPONENT_APISERVER,
    COMPONENT_CONTROLLER_MANAGER,
    COMPONENT_SCHEDULER,
    COMPONENT_KUBELET,
    COMPONENTS_COUNT
};

extern const char *const cgroup_driver_words[]; /* "systemd", "cgroupfs", NULL */
extern const char *const proxy_mode_words[];    /* "iptables", "ipvs", "nftables", "none", NULL */

enum { KUBE_SKIP_PHASES_MAX = 32, CNI_WORDS_MAX = 32, NODE_TAINTS_MAX = 16 };

struct packages {
    enum package_source source;
    const char *repository; /* PACKAGE_REPOSITORY: the line of APT's; else NULL */
    const char *key_file;   /* of its signatures, absolute, on this machine; NULL with the other sources */
    const char *version;    /* NULL: the newest */
    const char *file;       /* PACKAGE_FILE: a .deb, absolute, on this machine; else NULL */
};

struct bootstrap {
    json_t *tree; /* owned; NULL where there is no such section. What is borrowed below is borrowed from it. */

    const char *ssh_user;
    unsigned ssh_port;
    const json_t *host_keys; /* node's name -> "type base64"; NULL: none */

    struct packages kubernetes_packages, runtime_packages;
    struct packages ensign_packages; /* present or a file */

    enum container_runtime runtime;
    enum cgroup_driver cgroup_driver;
    const char *runtime_socket; /* "unix:///…" */
    const char *sandbox_image;  /* NULL: the runtime's own */

    enum balancer balancer;
    bool has_virtual_address; /* always with keepalived and kube-vip */
    struct address virtual_address;
    const char *interface;
    unsigned router_id; /* 1..255 */
    const char *kube_vip_image;

    const char *etcd_data_dir;
    const json_t *etcd_environment; /* name -> text; NULL: none */

    const json_t *skip_phases;                  /* texts; NULL: none */
    const json_t *extra_args[COMPONENTS_COUNT]; /* name without dashes -> text; NULL: none */
    const char *image_repository;               /* NULL: kubeadm's own */
    const json_t *feature_gates;                /* name -> boolean; NULL: none */
    int64_t control_plane_timeout_seconds;

    enum proxy_mode proxy_mode;

    enum cni cni;
    const char *cni_manifest;  /* a path on this machine */
    const json_t *cni_command; /* words */
};

/* What a node's entry says for it. */
struct node_bootstrap {
    json_t *labels;                     /* owned; name -> text; NULL: none */
    json_t *taints;                     /* owned; "key[=value]:Effect"; NULL: kubeadm's own */
    json_t *ssh;                        /* owned */
    const char *ssh_address, *ssh_user; /* borrowed from it; NULL: the node's first address, the cluster's user */
    unsigned ssh_port;                  /* 0: the cluster's */
};

/* Fills cluster->bootstrap from the document's root, and nodes[].bootstrap; reports what is wrong as reasons. The rest
 * of the cluster is there already. */
void bootstrap_read(const struct node *root, struct cluster *cluster);
void bootstrap_cleanup(struct bootstrap *bootstrap);
void node_bootstrap_cleanup(struct node_bootstrap *bootstrap);

#endif
