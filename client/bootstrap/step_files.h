/* step_files.h: the files of steps that are not rendered from the cluster file alone, and where they and others lie. A
 * part of step.h.  Threads: pure. */
#ifndef ENSIGN_CLIENT_BOOTSTRAP_STEP_FILES_H
#define ENSIGN_CLIENT_BOOTSTRAP_STEP_FILES_H

#include "client/bootstrap/step.h"
#include "client/render/roles.h"

#define MARKS_FOLDER "/var/lib/ensign-apply" /* of steps.sh: what is being done, and what is seen nowhere else */
#define APISERVER_MANIFEST "/etc/kubernetes/manifests/kube-apiserver.yaml"
#define KUBELET_CONFIG "/var/lib/kubelet/config.yaml"
#define SUPER_ADMIN_CONF "/etc/kubernetes/super-admin.conf"
#define RESTORE_MANIFESTS_PATH "/etc/kubernetes/ensign-restore" /* of what was stopped; where a rename reaches */
#define CNI_BRIDGE_PATH "/usr/lib/cni/bridge"
#define CNI_MANIFEST_PATH "/etc/kubernetes/ensign-cni.yaml"
#define CNI_COMMAND_PATH "/var/lib/ensign-apply/cni-command"
#define LABELS_PATH "/var/lib/ensign-apply/node-labels"
#define APISERVER_NAMES_PATH "/var/lib/ensign-apply/apiserver-names"
#define KUBECONFIGS_PATH "/var/lib/ensign-apply/kubeconfigs"
#define ENSIGN_PACKAGE_PATH "/var/cache/ensign/ensign.deb"

/* Of the kernel, by name; NULL at the end. */
const char *const *step_modules(const struct cluster *cluster);
/* The unit of the container runtime. */
const char *step_runtime(const struct cluster *cluster);

node_is applies_cni_manifest, applies_cni_command, applies_labels;
node_is is_first_with_network; /* a CNI comes with the cluster file, so that nodes become Ready */

typedef enum err step_more_files(const struct step_view *view, struct step_files *files, struct fault *f);
step_more_files repository_files, ensign_files, cni_manifest_files, cni_command_files, label_files;
step_more_files names_files;         /* of the API server's certificate, a line each */
step_more_files kubeconfigs_files;   /* lines of PATH SERVER */
step_more_files control_plane_files; /* both */

#endif
