/* kube-vip as a static pod on each control plane: the leader has the virtual address and answers ARP for it
 * (kube-vip.io/docs/installation/static). */
#include "client/render/render.h"

#include <stdio.h>

#include "client/yaml_text.h"
#include "policies/json.h"

/* In the pod the file has one name, whichever it is on the host. */
#define KUBECONFIG "/etc/kubernetes/admin.conf"
#define SUPER_KUBECONFIG "/etc/kubernetes/super-admin.conf"

static void variable_add(json_t **list, const char *name, const char *value)
{
    json_list_add(list, json_pack("{ss ss}", "name", name, "value", value));
}

static json_t *environment_json(const struct bootstrap *bootstrap)
{
    /* Its older releases read vip_cidr, its newer ones vip_subnet; each leaves the other alone. */
    const char *prefix = bootstrap->virtual_address.size == 16 ? "128" : "32";
    char address[ADDRESS_TEXT_SIZE], port[8];
    json_t *list = json_array();
    address_text(&bootstrap->virtual_address, address);
    snprintf(port, sizeof port, "%d", APISERVER_PORT);
    variable_add(&list, "address", address);
    variable_add(&list, "port", port);
    variable_add(&list, "vip_interface", bootstrap->interface);
    variable_add(&list, "vip_cidr", prefix);
    variable_add(&list, "vip_subnet", prefix);
    variable_add(&list, "vip_arp", "true");
    variable_add(&list, "cp_enable", "true");
    variable_add(&list, "cp_namespace", "kube-system");
    variable_add(&list, "vip_leaderelection", "true");
    variable_add(&list, "vip_leasename", "plndr-cp-lock");
    variable_add(&list, "vip_leaseduration", "5");
    variable_add(&list, "vip_renewdeadline", "3");
    variable_add(&list, "vip_retryperiod", "1");
    json_list_add(&list, json_pack("{ss s{s{ss}}}", "name", "vip_nodename", "valueFrom", "fieldRef", "fieldPath",
                                   "spec.nodeName"));
    return list;
}

static json_t *container_json(const struct bootstrap *bootstrap)
{
    return json_pack("{ss ss ss s[s] so s{s{s[ss] s[s]}} s[{ss ss sb}]}", "name", "kube-vip", "image",
                     bootstrap->kube_vip_image, "imagePullPolicy", "IfNotPresent", "args", "manager", "env",
                     environment_json(bootstrap), "securityContext", "capabilities", "add", "NET_ADMIN", "NET_RAW",
                     "drop", "ALL", "volumeMounts", "name", "kubeconfig", "mountPath", KUBECONFIG, "readOnly", 1);
}

/* It asks the API server of its own host, by the name "kubernetes", which is in that one's certificate. */
static json_t *pod_json(const struct bootstrap *bootstrap, const char *kubeconfig)
{
    json_t *spec = json_pack("{s[o] sb s[{ss s[s]}] s[{ss s{ss ss}}]}", "containers", container_json(bootstrap),
                             "hostNetwork", 1, "hostAliases", "ip", "127.0.0.1", "hostnames", "kubernetes", "volumes",
                             "name", "kubeconfig", "hostPath", "path", kubeconfig, "type", "File");
    return json_pack("{ss ss s{ss ss} so}", "apiVersion", "v1", "kind", "Pod", "metadata", "name", "kube-vip",
                     "namespace", "kube-system", "spec", spec);
}

enum err render_kube_vip(const struct render *render, struct bytes *ret_text, struct fault *f)
{
    const struct cluster *cluster = render_cluster(render);
    bool super = render->before_init && render->node == cluster_first_control_plane(cluster) &&
                 cluster_kubernetes(cluster)->super_admin_organization;
    json_auto_t *pod = pod_json(&cluster->bootstrap, super ? SUPER_KUBECONFIG : KUBECONFIG);
    AUTO(bytes) out = {0};
    if (!pod)
        return fault_no_memory(f);
    render_banner(&out);
    TRY(yaml_append(&out, pod, YAML_PLAIN, f));
    return bytes_give(&out, ret_text, f);
}
