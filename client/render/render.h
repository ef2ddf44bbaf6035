/* render.h: the files that make a host what its roles want, beside its PKI: each a pure function of the cluster file
 * and of the little that is not in it. A file per program; files.h says which host has which, and where.
 *
 * What a cluster file may have (policies/bootstrap.h) is of plain characters, so nothing is quoted but in YAML and
 * JSON. Threads: pure. */
#ifndef ENSIGN_CLIENT_RENDER_RENDER_H
#define ENSIGN_CLIENT_RENDER_RENDER_H

#include "policies/catalogue.h"

/* Whose files, and what is not in the cluster file. */
struct render {
    const struct catalogue *catalogue; /* of all of the cluster's nodes, and so the cluster */
    const struct node_entry *node;
    const char *kubernetes_version; /* "1.31.4", which kubeadm has; NULL: the cluster file's, else its minor's first */
    /* kubeadm. A secret, which then is in its file; NULL: init makes none that is known, join uses the node's own
     * kubelet.conf, which lies there already. */
    const char *bootstrap_token;
    const char *ca_pin;        /* "sha256:…" of the cluster's CA; with a token only */
    const char *vrrp_password; /* a secret of 1..8 letters and digits, which then is in keepalived's file */
    bool etcd_has_crl;         /* the CRL is on the node; without the file, etcd would refuse every client */
    bool before_init;          /* kube-vip: there is no RBAC yet, which admin.conf needs from 1.29 on */
};

/* Each gives a whole file. Errors: ERR_INPUT what the node's roles or the cluster file do not have, or a password that
 * keepalived would cut; ERR_NOMEM. */
typedef enum err render_function(const struct render *render, struct bytes *ret_text, struct fault *f);

MUST_USE render_function render_modules;      /* modules-load.d(5) */
MUST_USE render_function render_sysctls;      /* sysctl.d(5) */
MUST_USE render_function render_containerd;   /* config.toml */
MUST_USE render_function render_crio;         /* a drop-in of crio.conf */
MUST_USE render_function render_crictl;       /* crictl.yaml */
MUST_USE render_function render_kubelet;      /* /etc/default/kubelet */
MUST_USE render_function render_etcd;         /* /etc/default/etcd */
MUST_USE render_function render_etcd_unit;    /* a drop-in of etcd.service */
MUST_USE render_function render_haproxy;      /* haproxy.cfg */
MUST_USE render_function render_nginx;        /* nginx.conf */
MUST_USE render_function render_keepalived;   /* keepalived.conf */
MUST_USE render_function render_kube_vip;     /* manifest of a static pod */
MUST_USE render_function render_kubeadm_init; /* on the first control plane; see kubeadm.c */
MUST_USE render_function render_kubeadm_join; /* on all others with a kubelet */
MUST_USE render_function render_settings;     /* of a control plane that runs: kubeadm's, without a version */
MUST_USE render_function render_cni_bridge;   /* a list of network configurations */
MUST_USE render_function render_cni_routes;   /* a unit: the routes to the other nodes' pods */

/* ---- what they share ---- */

static inline const struct cluster *render_cluster(const struct render *render)
{
    return render->catalogue->cluster;
}

/* The item of this name on this node. ERR_INPUT: there is none. */
MUST_USE enum err render_item(const struct render *render, const char *name, const struct catalogue_item **ret_item,
                              struct fault *f);

/* The node's first address as URLs and host:port have it: IPv6 in brackets. */
enum { HOST_TEXT_SIZE = ADDRESS_TEXT_SIZE + 2 };
void render_host(const struct node_entry *node, char ret_host[HOST_TEXT_SIZE]);

/* The first line of a file: who wrote it. All formats here but JSON have "#" for comments. */
void render_banner(struct bytes *out);

/* {"name": "value"} or NULL, as lines NAMEvalue with this before and between. */
void render_pairs(struct bytes *out, const json_t *pairs, const char *before, const char *between, const char *after);

/* The members of etcd as its --initial-cluster has them: "one=https://192.0.2.1:2380,two=…". */
void render_members(const struct cluster *cluster, struct bytes *out);

/* The ordinal of the node among those with one of these roles, from 0. */
unsigned render_ordinal(const struct render *render, unsigned roles);

#endif
