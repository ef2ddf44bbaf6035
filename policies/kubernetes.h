/* kubernetes.h: what differs between the versions of Kubernetes. Nothing else in Ensign knows versions.
 *
 * A cluster file may leave the patch out. Then the facts are those of the minor's first release, because they work with
 * every later patch too: where a patch takes rights away from a certificate (1.33.12, 1.34.8, 1.35.5, 1.36.1), kubeadm
 * gives them by a ClusterRoleBinding instead, which an older patch does not make and an upgrade may leave out. Who
 * writes the patch gets exactly what that kubeadm makes.  Threads: pure.
 */
#ifndef ENSIGN_POLICIES_KUBERNETES_H
#define ENSIGN_POLICIES_KUBERNETES_H

#include <stdbool.h>

enum { KUBERNETES_MINOR_MIN = 20, KUBERNETES_MINOR_MAX = 37, KUBERNETES_PATCH_UNKNOWN = -1 };

/* The first minors with something that configurations of hosts depend on. */
enum {
    KUBERNETES_MINOR_SKIP_PHASES = 22, /* kubeadm's configuration has skipPhases (v1beta3) */
    KUBERNETES_MINOR_SOCKET_URL = 24,  /* to kubeadm a CRI socket is a URL; before, a path */
    KUBERNETES_MINOR_NFTABLES = 31,    /* kube-proxy's nftables, without a feature gate */
    KUBERNETES_MINOR_ARGS_LIST = 31,   /* kubeadm's extraArgs are a list, its time limits in one place (v1beta4) */
};

struct kubernetes_facts {
    /* The O of apiserver-kubelet-client; "": none, and the user kube-apiserver-kubelet-client must be bound to the
     * ClusterRole system:kubelet-api-admin. */
    const char *kubelet_client_organization;
    const char *admin_organization;       /* of admin.conf */
    const char *super_admin_organization; /* of super-admin.conf; NULL: there is none */
    bool service_accounts_ecdsa; /* whether kubeadm join takes a key pair sa that is ECDSA; else it must be RSA */
    bool kubeconfig_ca_file; /* whether kubeadm takes a kubeconfig that names the file of its CA; else it is embedded */
    const char *kubeadm_api; /* the newest apiVersion of a configuration that this kubeadm reads */
};

/* minor  KUBERNETES_MINOR_MIN..MAX;  patch  or KUBERNETES_PATCH_UNKNOWN.  Static. */
const struct kubernetes_facts *kubernetes_facts(unsigned minor, int patch);

/* Whether who is in this group may do everything in the cluster: it is past RBAC, or kubeadm binds it to cluster-admin
 * (ClusterRoleBinding). */
bool kubernetes_group_is_admins(const char *group);

#endif
