/* upgrade.h: another version of Kubernetes on a cluster's hosts, node by node: the first control plane, the others, the
 * workers. What is to be done follows from what the hosts say (facts.h), as in step.h.
 *
 * Certificates come after: those of the version before are good for the newer one, but not the other way round
 * (policies/kubernetes.h), so the service gets the new version when no API server is of the old one any more.
 *
 * While a node is worked on there is a mark on it, UPGRADE_MARK: whoever is killed is gone on with by the next run,
 * which does the whole node again.  Threads: pure. */
#ifndef ENSIGN_CLIENT_BOOTSTRAP_UPGRADE_H
#define ENSIGN_CLIENT_BOOTSTRAP_UPGRADE_H

#include "client/bootstrap/plan.h"

#define UPGRADE_MARK "upgrading" /* among LIST_BEGUN */

struct kubernetes_version {
    unsigned minor;
    int patch;
};
enum { KUBERNETES_VERSION_SIZE = 24 };

/* The first "1.MINOR.PATCH" in the text, perhaps after "v"; false: there is none. */
bool kubernetes_version_find(const char *text, struct kubernetes_version *ret_version);
/* <0, 0, >0 */
int kubernetes_version_compare(const struct kubernetes_version *a, const struct kubernetes_version *b);

/* What an administrator asks for. */
struct upgrade {
    struct kubernetes_version to;
    char text[KUBERNETES_VERSION_SIZE]; /* of it: "1.21.3" */
    bool force;                         /* nodes that have the version already, too */
    bool drain_force;                   /* pods that nothing makes again are deleted */
    int64_t drain_seconds;
    /* What the cluster files say; patch perhaps KUBERNETES_PATCH_UNKNOWN. */
    struct kubernetes_version file, service;
};

/* "1.21.3" or "v1.21.3", no pre-release. ERR_INPUT (CODE_USAGE). */
MUST_USE enum err upgrade_version_read(const char *text, struct upgrade *upgrade, struct fault *f);

/* In the order in which they are done on a node. */
enum upgrade_part { UPGRADE_KUBEADM, UPGRADE_DRAIN, UPGRADE_KUBELET, UPGRADE_UNCORDON, UPGRADE_END, UPGRADE_PARTS };
extern const struct step_kind upgrade_kinds[UPGRADE_PARTS];
/* Whether it is done by kubectl, and so on the first control plane. */
bool upgrade_part_is_elsewhere(const struct step_kind *kind);

/* ERR_INPUT with a reason for each thing that speaks against it: versions that hosts do not tell, another way than one
 * minor up, programs that are not there, a node that has not joined. Every host has answered. */
MUST_USE enum err upgrade_check(const struct upgrade *upgrade, const struct step_view *views, size_t count,
                                struct fault *f);

/* Rows of upgrade_kinds in the order in which they are done; the last part of a node is not told of. */
MUST_USE enum err upgrade_plan(const struct upgrade *upgrade, const struct step_view *views, size_t count,
                               struct plan *ret_plan, struct fault *f);

/* The certificates of `to` are others than those of the version that the service has. */
bool upgrade_changes_certificates(const struct upgrade *upgrade);

/* The variables of steps that are parts of an upgrade, for sh.
 *   node  that is upgraded, wherever the step runs */
MUST_USE enum err upgrade_variables(const struct upgrade *upgrade, const struct step_view *view,
                                    const struct node_entry *node, struct bytes *out, struct fault *f);

#endif
