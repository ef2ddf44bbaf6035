/* catalogue.h: everything of a cluster's PKI that lies on its nodes: which certificate, kubeconfig, key pair and CA
 * bundle each node has, and where. It follows from the cluster file, the profiles and the version of Kubernetes alone;
 * what a certificate holds is what decide() gives the node for that profile.
 *
 * Control planes and workers have kubeadm's files below /etc/kubernetes; the members of an external etcd theirs in
 * /etc/etcd/pki; every node its identity at this service in /etc/ensign/node, where `ensign enroll` puts it. All files
 * belong to root. Threads: pure.
 */
#ifndef ENSIGN_POLICIES_CATALOGUE_H
#define ENSIGN_POLICIES_CATALOGUE_H

#include "policies/apiserver.h"
#include "policies/decide.h"

enum catalogue_kind {
    CATALOGUE_CERTIFICATE, /* path and key_path */
    CATALOGUE_KUBECONFIG,  /* certificate, key, CA bundle and server in one file: path; or it names the others,
                              certificate_path, key_path and mostly bundle_path */
    CATALOGUE_KEY_PAIR,    /* without a certificate: the public key in path, the private key in key_path */
    CATALOGUE_BUNDLE,      /* the CA's certificates: path */
};
extern const char *const catalogue_kind_words[]; /* "certificate", "kubeconfig", "key-pair", "ca-bundle", NULL */

struct catalogue_item {
    enum catalogue_kind kind;
    const struct node_entry *node; /* where it lies */
    const char *name;              /* the profile's or the authority's; "sa" for the service accounts' key pair */
    const char *authority;         /* who issues it or whose bundle it is; NULL for a key pair */
    const struct profile *profile; /* of a certificate and a kubeconfig, else NULL */
    /* Of these two; its times count from the moment of issue: not_before -300, not_after 31536000, say. */
    struct certificate_content content;
    enum key_algorithm algorithm; /* KEY_NONE for a bundle */
    const char *path, *key_path;  /* absolute; the cluster's or static; key_path NULL where there is none */
    const char *certificate_path, *bundle_path; /* that a kubeconfig names; NULL: it holds what lies there */
    unsigned mode, key_mode, certificate_mode;
    char server[SERVER_URL_SIZE]; /* of a kubeconfig, else empty */
    bool transient;               /* only kubeadm init needs it: it may be removed from the node after that */
    bool shared;                  /* the same on every node that has it, key and all: made once */
};

/* Items in the order of the nodes in the file, and of one fixed list at each node. Borrows from cluster and profiles.
 */
struct catalogue {
    const struct cluster *cluster;
    struct catalogue_item *items;
    size_t count;
};

/* Errors: ERR_ABSENT a profile that the catalogue names is not among profiles; ERR_DENIED as decide(); ERR_NOMEM. */
MUST_USE enum err catalogue_make(const struct cluster *cluster, const struct profiles *profiles,
                                 struct catalogue *ret_catalogue, struct fault *f);
/* Of `count` of its nodes only, from the one with index `first` on. */
MUST_USE enum err catalogue_make_part(const struct cluster *cluster, const struct profiles *profiles, size_t first,
                                      size_t count, struct catalogue *ret_catalogue, struct fault *f);
void catalogue_cleanup(struct catalogue *catalogue);

enum { CATALOGUE_NODE_ITEMS_MAX = 32 }; /* no node has more */
/* How many nodes from this one on have at most items_max items together: for a page of whole nodes.
 *   items_max  at least CATALOGUE_NODE_ITEMS_MAX */
size_t catalogue_nodes_within(const struct cluster *cluster, size_t first, size_t items_max);

/* {"cluster", "kubernetes", "kubeadm_api", "items": [...]}; a new value, NULL when memory runs out. */
json_t *catalogue_json(const struct catalogue *catalogue);

/* Whether the node holds a certificate of this profile, in whatever form: what enrolment fetches without --profile,
 * unless the control planes share it. */
bool catalogue_expects(const struct cluster *cluster, const struct node_entry *node, const struct profile *profile);

/* Where the members of its etcd have the CA bundle. Borrowed. */
const char *catalogue_members_bundle(const struct cluster *cluster);

/* Whether another file than this one lies there by default. */
bool catalogue_path_taken(const char *path, enum cluster_path which);

/* What the control planes of the cluster share: "sa", and "apiserver-etcd-client" where its file says so. How many. */
enum { CATALOGUE_SHARED_MAX = 2 };
size_t catalogue_shared_names(const struct cluster *cluster, const char *ret_names[CATALOGUE_SHARED_MAX]);
/* Whether that is one of them, and whether it is one with a certificate, of the profile of that name. */
bool catalogue_shares(const struct cluster *cluster, const char *name);
bool catalogue_shares_certificate(const struct cluster *cluster, const char *name);
/* The kind of key that it has. KEY_NONE when the cluster does not share it. */
enum key_algorithm catalogue_shared_algorithm(const struct cluster *cluster, const struct profiles *profiles,
                                              const char *name);

/* The kind of key that the cluster wants where the profile allows it, else the first that it does. */
enum key_algorithm catalogue_algorithm(const struct cluster *cluster, const struct profile *profile);

#endif
