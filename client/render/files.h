/* files.h: which files a host has beside its PKI, and where. A file whose secret is given has mode 0600. Threads: pure.
 */
#ifndef ENSIGN_CLIENT_RENDER_FILES_H
#define ENSIGN_CLIENT_RENDER_FILES_H

#include "client/render/render.h"

/* What a file is for, and so when it has to be there. */
enum render_purpose {
    RENDER_HOST,          /* kernel, container runtime, kubelet */
    RENDER_ETCD,          /* a member of an external etcd */
    RENDER_LOAD_BALANCER, /* HAProxy; nginx and keepalived */
    RENDER_STATIC_POD,    /* kube-vip, which the kubelet of a control plane starts */
    RENDER_KUBEADM,
    RENDER_SETTINGS, /* of control planes, as they are to be while they run */
    RENDER_CNI,
};

#define RENDER_KUBEADM_PATH "/etc/kubernetes/kubeadm.yaml"
#define ETCD_JOIN_PATH "/run/ensign-etcd-join" /* variables of etcd for the first start of a member that was added */
#define RENDER_SETTINGS_PATH "/etc/kubernetes/ensign-control-plane.yaml"
#define RENDER_ROUTES_UNIT "ensign-pod-routes.service"

struct render_file {
    enum render_purpose purpose;
    const char *path;
    unsigned mode;
    bool (*applies)(const struct cluster *cluster, const struct node_entry *node);
    render_function *render;
};

/* The last one has no path. No two of the same path apply to one node. */
extern const struct render_file render_files[];

/* The phases that kubeadm init skips, joined with commas; empty: none. Before 1.22 they are no part of its
 * configuration: give them by --skip-phases. ERR_NOMEM. */
MUST_USE enum err render_skip_phases(const struct cluster *cluster, struct bytes *ret_text, struct fault *f);

#endif
