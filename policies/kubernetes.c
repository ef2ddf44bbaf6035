#include "policies/kubernetes.h"

#include <stddef.h>
#include <string.h>

#include "ca/base/cleanup.h"

#define MASTERS "system:masters"
#define ADMINS "kubeadm:cluster-admins"
#define NO_ORGANIZATION ""
#define API(version) "kubeadm.k8s.io/" version

/* What holds from a version on, until the next row. Sources: cmd/kubeadm of github.com/kubernetes/kubernetes, in the
 * files that the rows name, and the release notes. */
static const struct row {
    unsigned minor;
    int patch;
    struct kubernetes_facts facts;
} rows[] = {
    /* app/phases/certs/certlist.go, app/phases/kubeconfig/kubeconfig.go: SystemPrivilegedGroup for both */
    {20, 0, {MASTERS, MASTERS, NULL, false, false, API("v1beta2")}},
    /* app/apis/kubeadm/v1beta3 is new */
    {22, 0, {MASTERS, MASTERS, NULL, false, false, API("v1beta3")}},
    /* app/util/pkiutil/pki_helpers.go: TryLoadPrivatePublicKeyFromDisk() takes ECDSA, too ("allow RSA and ECDSA format
     * keys in preflight check"). Later patches of 1.22 to 1.25 do so as well; an RSA key is good for all.
     * app/phases/kubeconfig/kubeconfig.go: validateKubeConfig() reads the CA from the file that a kubeconfig names
     * (github.com/kubernetes/kubernetes/pull/111783). */
    {26, 0, {MASTERS, MASTERS, NULL, true, true, API("v1beta3")}},
    /* app/constants/constants.go: ClusterAdminsGroupAndClusterRoleBinding, SuperAdminKubeConfigFileName are new */
    {29, 0, {ADMINS, ADMINS, MASTERS, true, true, API("v1beta3")}},
    /* app/apis/kubeadm/v1beta4 is new */
    {31, 0, {ADMINS, ADMINS, MASTERS, true, true, API("v1beta4")}},
    /* "use a dedicated ClusterRole 'system:kubelet-api-admin' for the kube-apiserver kubelet client", in each release
     * branch from a patch of its own: app/phases/certs/certlist.go without an organization,
     * AllowAPIServerToAccessKubeletAPI() in app/phases/bootstraptoken/node */
    {33, 12, {NO_ORGANIZATION, ADMINS, MASTERS, true, true, API("v1beta4")}},
    {34, 0, {ADMINS, ADMINS, MASTERS, true, true, API("v1beta4")}}, /* as 1.31 */
    {34, 8, {NO_ORGANIZATION, ADMINS, MASTERS, true, true, API("v1beta4")}},
    {35, 0, {ADMINS, ADMINS, MASTERS, true, true, API("v1beta4")}}, /* as 1.31 */
    {35, 5, {NO_ORGANIZATION, ADMINS, MASTERS, true, true, API("v1beta4")}},
    {36, 0, {ADMINS, ADMINS, MASTERS, true, true, API("v1beta4")}}, /* as 1.31 */
    {36, 1, {NO_ORGANIZATION, ADMINS, MASTERS, true, true, API("v1beta4")}},
    /* the same from the first release on; app/apis/kubeadm/v1beta3 is gone */
    {37, 0, {NO_ORGANIZATION, ADMINS, MASTERS, true, true, API("v1beta4")}},
};

const struct kubernetes_facts *kubernetes_facts(unsigned minor, int patch)
{
    int known = patch == KUBERNETES_PATCH_UNKNOWN ? 0 : patch;
    size_t i = ARRAY_SIZE(rows) - 1;
    while (i > 0 && (rows[i].minor > minor || (rows[i].minor == minor && rows[i].patch > known)))
        i--;
    return &rows[i].facts;
}

bool kubernetes_group_is_admins(const char *group)
{
    return strcmp(group, MASTERS) == 0 || strcmp(group, ADMINS) == 0;
}
