/* profile.h: a profile, from its strict document: what a certificate of one kind holds and who may ask for it.
 *
 *     apiVersion: ensign/v1
 *     kind: Profile
 *     name: etcd-member
 *     description: One certificate for an etcd member's server and peer side
 *     issuer: etcd-ca                  # authority: etcd-ca, kubernetes, front-proxy-ca of the cluster; service-ca
 *     requesters: [token, operator, admin]
 *     nodeRoles: [etcd]                # which nodes it is for; [] for none (identity, service)
 *     subject:
 *       commonNameFrom: node.name      # or identity.name, user.name; or commonName: literal
 *       commonNamePrefix: "system:node:"                    # before node.name; closed list: this one
 *       organizations: []              # or organizationsFrom: see organization_source
 *     names:
 *       from: [node.name, node.hostnames, node.addresses]   # closed list: see name_source
 *       dns: [localhost]
 *       addresses: [127.0.0.1, "::1"]
 *     keyUsage: [digitalSignature, keyEncipherment]
 *     extendedKeyUsage: [serverAuth, clientAuth]
 *     keys: [ecdsa-p256, ecdsa-p384, rsa-2048, rsa-3072, rsa-4096]
 *     lifetime: 8760h                  # at most
 *     defaultLifetime: 720h            # when none is asked for; the longest when left out
 *     backdate: 5m
 *
 * A profile of a user is for a cluster, but for none of its nodes. Unknown keys are errors. Threads: pure; a profile is
 * read-only once made.
 */
#ifndef ENSIGN_POLICIES_PROFILE_H
#define ENSIGN_POLICIES_PROFILE_H

#include "ca/base/document.h"
#include "ca/x509/draft.h"
#include "policies/kubernetes.h"

enum { PROFILE_NAME_MAX = 63, AUTHORITY_NAME_MAX = 31, PROFILES_MAX = 64 };

enum requester { /* bits */
                 REQUESTER_TOKEN = 1 << 0,
                 REQUESTER_NODE = 1 << 1,
                 REQUESTER_OPERATOR = 1 << 2,
                 REQUESTER_ADMIN = 1 << 3,
                 REQUESTER_AUDITOR = 1 << 4,
                 REQUESTER_SERVICE = 1 << 5, /* ensignd for itself */
};

enum node_role { /* bits */
                 ROLE_ETCD = 1 << 0,
                 ROLE_CONTROL_PLANE = 1 << 1,
                 ROLE_WORKER = 1 << 2,
                 ROLE_LOAD_BALANCER = 1 << 3,
};
extern const char *const requester_words[]; /* "token", "node", "operator", "admin", "auditor", "service", NULL */
extern const char *const node_role_words[]; /* "etcd", "control-plane", "worker", "load-balancer", NULL */

enum name_source { /* bits: where names come from, besides the literal ones */
                   NAMES_NODE_NAME = 1 << 0,
                   NAMES_NODE_HOSTNAMES = 1 << 1,
                   NAMES_NODE_ADDRESSES = 1 << 2,
                   NAMES_SERVICE = 1 << 3,   /* the service's own --name list */
                   NAMES_APISERVER = 1 << 4, /* cluster.apiserver: see policies/apiserver.h */
};

enum common_name_source { COMMON_NAME_LITERAL, COMMON_NAME_NODE, COMMON_NAME_IDENTITY, COMMON_NAME_USER };

/* Where O comes from: literal, or from what the cluster's version of Kubernetes has there (policies/kubernetes.h):
 * "kubernetes.kubelet-client", "kubernetes.admin", "kubernetes.super-admin"; or "user.groups", those of the user that
 * it is asked for (policies/users.h). */
enum organization_source {
    ORGANIZATIONS_LITERAL,
    ORGANIZATIONS_KUBELET_CLIENT,
    ORGANIZATIONS_ADMIN,
    ORGANIZATIONS_SUPER_ADMIN,
    ORGANIZATIONS_USER,
};

#define KUBELET_COMMON_NAME_PREFIX "system:node:"
enum {
    COMMON_NAME_PREFIX_MAX = (int)sizeof KUBELET_COMMON_NAME_PREFIX - 1,
    KUBELET_NAME_MAX = ATTRIBUTE_MAX - COMMON_NAME_PREFIX_MAX, /* of a node that runs a kubelet */
};

struct profile {
    char name[PROFILE_NAME_MAX + 1];
    char description[256];
    char issuer[AUTHORITY_NAME_MAX + 1];
    unsigned requesters;
    unsigned node_roles;
    enum common_name_source common_name_from;
    char common_name_prefix[COMMON_NAME_PREFIX_MAX + 1]; /* before a node's name; may be empty */
    enum organization_source organizations_from;
    struct distinguished_name subject; /* common_name empty when it is not literal */
    unsigned names_from;
    struct alternative_names names; /* literal ones */
    unsigned key_usage;
    unsigned extended_key_usage;
    unsigned keys; /* 1 << enum key_algorithm */
    int64_t lifetime_seconds, default_lifetime_seconds, backdate_seconds;
};

MUST_USE enum err profile_read(const struct document *document, struct profile *ret_profile, struct fault *f);
void profile_cleanup(struct profile *profile);

size_t profile_name_max(const struct profile *profile); /* of the name that goes into the common name, in letters */

/* The subject for the node, identity or user of this name, which is cut to profile_name_max() letters; without the
 * groups of a user.
 *   facts  of the cluster's version of Kubernetes; NULL where there is no cluster
 * False: that version has no such subject. */
bool profile_subject(const struct profile *profile, const char *name, const struct kubernetes_facts *facts,
                     struct distinguished_name *ret_subject);

/* All profiles of the service, by name. Owns them. */
struct profiles {
    struct profile *items;
    size_t count;
};
/* The shipped documents, which are part of the program. */
MUST_USE enum err profiles_shipped(struct profiles *ret_profiles, struct fault *f);
const struct profile *profiles_find(const struct profiles *profiles, const char *name); /* NULL */
void profiles_cleanup(struct profiles *profiles);

#endif
