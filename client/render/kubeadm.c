/* kubeadm's configuration, of the version that the cluster's kubeadm reads (kubernetes.io/docs/reference/config-api),
 * from one tree. What differs between the versions is in arguments_json(), time_limit_add() and skip_phases_add().
 *
 * The cluster's CA keys are on no node: kubeadm finds a CA without its key, takes certificates and kubeconfigs as they
 * lie there, and by itself starts the controller manager with empty --cluster-signing-cert-file and -key-file
 * (cmd/kubeadm/app/phases/controlplane/manifests.go, from 1.20 to today). So the configuration says nothing about it.
 * The kubelet must not renew its certificate by a request to a cluster that signs none: rotateCertificates is false,
 * and its kubelet.conf is renewed as it came. */
#include "client/render/files.h"

#include <stdio.h>
#include <string.h>

#include "client/render/roles.h"
#include "client/yaml_text.h"
#include "policies/json.h"

#define KUBELET_CONF "/etc/kubernetes/kubelet.conf"
#define TOKEN_LIFE "4h0m0s" /* a bring-up and some patience; it is deleted at its end */

enum { SOCKET_SCHEME_SIZE = 7 }; /* "unix://" */

/* ---- what differs ---- */

/* {name: value}; from v1beta4 on [{name, value}]. */
static json_t *arguments_json(const struct cluster *cluster, const json_t *arguments)
{
    const char *name;
    json_t *value;
    if (cluster->kubernetes_minor < KUBERNETES_MINOR_ARGS_LIST)
        return json_deep_copy(arguments);
    json_t *list = json_array();
    json_object_foreach((json_t *)(uintptr_t)arguments, name, value)
        json_list_add(&list, json_pack("{ss ss}", "name", name, "value", json_string_value(value)));
    return list;
}

/* As a duration of Go. */
static json_t *time_limit_json(const struct cluster *cluster)
{
    return json_sprintf("%llds", (long long)cluster->bootstrap.control_plane_timeout_seconds);
}

/* Of the configurations of init and join; before v1beta4 it is the API server's. */
static void time_limit_add(const struct cluster *cluster, json_t **configuration)
{
    if (cluster->kubernetes_minor >= KUBERNETES_MINOR_ARGS_LIST)
        json_member_add(configuration, "timeouts",
                        json_pack("{so}", "controlPlaneComponentHealthCheck", time_limit_json(cluster)));
}

static bool phase_stands(const json_t *phases, const char *phase)
{
    for (size_t i = 0; i < json_array_size(phases); i++)
        if (strcmp(json_string_value(json_array_get(phases, i)), phase) == 0)
            return true;
    return false;
}

static json_t *skip_phases_json(const struct bootstrap *bootstrap)
{
    json_t *phases = bootstrap->skip_phases ? json_deep_copy(bootstrap->skip_phases) : json_array();
    if (bootstrap->proxy_mode == PROXY_NONE && !phase_stands(bootstrap->skip_phases, "addon/kube-proxy"))
        json_list_add(&phases, json_string("addon/kube-proxy"));
    return phases;
}

enum err render_skip_phases(const struct cluster *cluster, struct bytes *ret_text, struct fault *f)
{
    json_auto_t *phases = skip_phases_json(&cluster->bootstrap);
    struct bytes out = {0};
    if (!phases)
        return fault_no_memory(f);
    for (size_t i = 0; i < json_array_size(phases); i++)
        bytes_appendf(&out, "%s%s", i ? "," : "", json_string_value(json_array_get(phases, i)));
    return bytes_give(&out, ret_text, f);
}

static void skip_phases_add(const struct cluster *cluster, json_t **configuration)
{
    json_t *phases = skip_phases_json(&cluster->bootstrap);
    if (phases && (json_array_size(phases) == 0 || cluster->kubernetes_minor < KUBERNETES_MINOR_SKIP_PHASES))
        json_decref(phases);
    else
        json_member_add(configuration, "skipPhases", phases);
}

static const char *socket_text(const struct cluster *cluster)
{
    const char *url = cluster->bootstrap.runtime_socket;
    return cluster->kubernetes_minor < KUBERNETES_MINOR_SOCKET_URL ? url + SOCKET_SCHEME_SIZE : url;
}

/* ---- parts ---- */

static json_t *document_json_of(const struct cluster *cluster, const char *kind)
{
    return json_pack("{ss ss}", "apiVersion", cluster_kubernetes(cluster)->kubeadm_api, "kind", kind);
}

/* "key[=value]:Effect" */
static json_t *taint_json(const char *text)
{
    const char *colon = strrchr(text, ':');
    const char *equals = memchr(text, '=', (size_t)(colon - text));
    const char *key_end = equals ? equals : colon;
    json_t *taint = json_pack("{ss% ss}", "key", text, (size_t)(key_end - text), "effect", colon + 1);
    if (taint && equals && equals + 1 < colon)
        json_member_add(&taint, "value", json_stringn(equals + 1, (size_t)(colon - equals - 1)));
    return taint;
}

static json_t *taints_json(const json_t *texts)
{
    json_t *list = json_array();
    for (size_t i = 0; i < json_array_size(texts); i++)
        json_list_add(&list, taint_json(json_string_value(json_array_get(texts, i))));
    return list;
}

static json_t *registration_json(const struct render *render)
{
    const struct cluster *cluster = render_cluster(render);
    const json_t *arguments = cluster->bootstrap.extra_args[COMPONENT_KUBELET];
    json_t *registration = json_pack("{ss ss}", "name", render->node->name, "criSocket", socket_text(cluster));
    if (render->node->bootstrap.taints)
        json_member_add(&registration, "taints", taints_json(render->node->bootstrap.taints));
    if (json_object_size(arguments))
        json_member_add(&registration, "kubeletExtraArgs", arguments_json(cluster, arguments));
    return registration;
}

static json_t *local_endpoint_json(const struct render *render)
{
    char address[ADDRESS_TEXT_SIZE];
    address_text(&render->node->names.addresses[0], address);
    return json_pack("{ss si}", "advertiseAddress", address, "bindPort", APISERVER_PORT);
}

static void version_text(const struct render *render, char ret_text[32])
{
    const struct cluster *cluster = render_cluster(render);
    int patch = cluster->kubernetes_patch == KUBERNETES_PATCH_UNKNOWN ? 0 : cluster->kubernetes_patch;
    if (render->kubernetes_version)
        snprintf(ret_text, 32, "v%s", render->kubernetes_version);
    else
        snprintf(ret_text, 32, "v1.%u.%d", cluster->kubernetes_minor, patch);
}

static json_t *endpoint_json(const struct cluster *cluster)
{
    bool version6 = strchr(cluster->endpoint_host, ':') != NULL;
    return json_sprintf("%s%s%s:%u", version6 ? "[" : "", cluster->endpoint_host, version6 ? "]" : "",
                        cluster->endpoint_port);
}

/* ---- ClusterConfiguration ---- */

static json_t *network_json(const struct network *network)
{
    char base[ADDRESS_TEXT_SIZE];
    address_text(&network->base, base);
    return json_sprintf("%s/%u", base, network->prefix_bits);
}

static json_t *networking_json(const struct cluster *cluster)
{
    return json_pack("{ss so so}", "dnsDomain", cluster->dns_domain, "podSubnet", network_json(&cluster->pod_subnet),
                     "serviceSubnet", network_json(&cluster->service_subnet));
}

static enum err external_etcd_json(const struct render *render, json_t **ret_json, struct fault *f)
{
    const struct cluster *cluster = render_cluster(render);
    const struct catalogue_item *bundle, *client;
    json_t *endpoints = json_array();
    for (size_t i = 0; i < cluster->nodes_count; i++) {
        char host[HOST_TEXT_SIZE];
        if (!(cluster->nodes[i].roles & ROLE_ETCD))
            continue;
        render_host(&cluster->nodes[i], host);
        json_list_add(&endpoints, json_sprintf("https://%s:2379", host));
    }
    json_auto_t *owned = endpoints;
    TRY(render_item(render, "etcd-ca", &bundle, f));
    TRY(render_item(render, "apiserver-etcd-client", &client, f));
    *ret_json = json_pack("{s{sO ss ss ss}}", "external", "endpoints", owned, "caFile", bundle->path, "certFile",
                          client->path, "keyFile", client->key_path);
    return *ret_json ? OK : fault_no_memory(f);
}

/* kubeadm mounts its folder of etcd's PKI into the pod. */
static enum err stacked_etcd_json(const struct render *render, json_t **ret_json, struct fault *f)
{
    const struct cluster *cluster = render_cluster(render);
    json_t *local = json_pack("{ss}", "dataDir", cluster->bootstrap.etcd_data_dir);
    if (render->etcd_has_crl) {
        json_auto_t *arguments =
            json_pack("{ss ss}", "client-crl-file", cluster->crl_path, "peer-crl-file", cluster->crl_path);
        json_member_add(&local, "extraArgs", arguments ? arguments_json(cluster, arguments) : NULL);
    }
    *ret_json = json_pack("{so}", "local", local);
    return *ret_json ? OK : fault_no_memory(f);
}

static json_t *sans_json(const struct alternative_names *names)
{
    json_t *list = json_dns(names);
    json_auto_t *addresses = json_addresses(names);
    if (list && addresses && json_array_extend(list, addresses) == 0)
        return list;
    json_decref(list);
    return NULL;
}

static json_t *apiserver_json(const struct cluster *cluster)
{
    const json_t *arguments = cluster->bootstrap.extra_args[COMPONENT_APISERVER];
    json_t *apiserver = json_object();
    if (!alternative_names_empty(&cluster->apiserver_names))
        json_member_add(&apiserver, "certSANs", sans_json(&cluster->apiserver_names));
    if (json_object_size(arguments))
        json_member_add(&apiserver, "extraArgs", arguments_json(cluster, arguments));
    if (cluster->kubernetes_minor < KUBERNETES_MINOR_ARGS_LIST)
        json_member_add(&apiserver, "timeoutForControlPlane", time_limit_json(cluster));
    return apiserver;
}

static void component_add(const struct cluster *cluster, enum component component, const char *name,
                          json_t **configuration)
{
    const json_t *arguments = cluster->bootstrap.extra_args[component];
    if (json_object_size(arguments))
        json_member_add(configuration, name, json_pack("{so}", "extraArgs", arguments_json(cluster, arguments)));
}

/* version  NULL: whoever uses it says it */
static enum err cluster_configuration(const struct render *render, const char *version, json_t **ret_json,
                                      struct fault *f)
{
    const struct cluster *cluster = render_cluster(render);
    const struct bootstrap *bootstrap = &cluster->bootstrap;
    json_t *etcd;
    TRY(cluster->etcd_topology == ETCD_EXTERNAL ? external_etcd_json(render, &etcd, f)
                                                : stacked_etcd_json(render, &etcd, f));
    json_t *json = document_json_of(cluster, "ClusterConfiguration");
    json_member_add(&json, "clusterName", json_string(cluster->name));
    if (version)
        json_member_add(&json, "kubernetesVersion", json_string(version));
    if (cluster->endpoint_host[0])
        json_member_add(&json, "controlPlaneEndpoint", endpoint_json(cluster));
    if (bootstrap->image_repository)
        json_member_add(&json, "imageRepository", json_string(bootstrap->image_repository));
    if (json_object_size(bootstrap->feature_gates))
        json_member_add(&json, "featureGates", json_deep_copy(bootstrap->feature_gates));
    json_member_add(&json, "networking", networking_json(cluster));
    json_member_add(&json, "etcd", etcd);
    json_member_add(&json, "apiServer", apiserver_json(cluster));
    component_add(cluster, COMPONENT_CONTROLLER_MANAGER, "controllerManager", &json);
    component_add(cluster, COMPONENT_SCHEDULER, "scheduler", &json);
    *ret_json = json;
    return json ? OK : fault_no_memory(f);
}

/* ---- the other documents ---- */

static enum err init_configuration(const struct render *render, json_t **ret_json, struct fault *f)
{
    const struct cluster *cluster = render_cluster(render);
    json_t *json = document_json_of(cluster, "InitConfiguration");
    if (render->bootstrap_token)
        json_member_add(&json, "bootstrapTokens",
                        json_pack("[{ss ss ss}]", "token", render->bootstrap_token, "ttl", TOKEN_LIFE, "description",
                                  "ensign cluster apply"));
    json_member_add(&json, "localAPIEndpoint", local_endpoint_json(render));
    json_member_add(&json, "nodeRegistration", registration_json(render));
    skip_phases_add(cluster, &json);
    time_limit_add(cluster, &json);
    *ret_json = json;
    return json ? OK : fault_no_memory(f);
}

static json_t *proxy_configuration(const struct cluster *cluster)
{
    return json_pack("{ss ss ss}", "apiVersion", "kubeproxy.config.k8s.io/v1alpha1", "kind", "KubeProxyConfiguration",
                     "mode", proxy_mode_words[cluster->bootstrap.proxy_mode]);
}

static json_t *kubelet_configuration(const struct cluster *cluster)
{
    return json_pack("{ss ss ss sb}", "apiVersion", "kubelet.config.k8s.io/v1beta1", "kind", "KubeletConfiguration",
                     "cgroupDriver", cgroup_driver_words[cluster->bootstrap.cgroup_driver], "rotateCertificates", 0);
}

/* By a token, or by what the node has already: its own identity may read what a join needs. */
static json_t *discovery_json(const struct render *render)
{
    const struct cluster *cluster = render_cluster(render);
    char url[SERVER_URL_SIZE];
    if (!render->bootstrap_token)
        return json_pack("{s{ss}}", "file", "kubeConfigPath", KUBELET_CONF);
    apiserver_url(cluster, cluster_first_control_plane(cluster), url);
    return json_pack("{s{ss ss s[s]}}", "bootstrapToken", "token", render->bootstrap_token, "apiServerEndpoint",
                     url + strlen("https://"), "caCertHashes", render->ca_pin);
}

static enum err join_configuration(const struct render *render, json_t **ret_json, struct fault *f)
{
    const struct cluster *cluster = render_cluster(render);
    json_t *json = document_json_of(cluster, "JoinConfiguration");
    json_t *registration = registration_json(render);
    /* They lie there before the join, which expects to make them. */
    json_t *ignored =
        json_pack("[ss]", "FileAvailable--etc-kubernetes-kubelet.conf", "FileAvailable--etc-kubernetes-pki-ca.crt");
    if (has_kube_vip(cluster, render->node))
        json_list_add(&ignored, json_string("DirAvailable--etc-kubernetes-manifests"));
    json_member_add(&registration, "ignorePreflightErrors", ignored);
    json_member_add(&json, "discovery", discovery_json(render));
    if (render->node->roles & ROLE_CONTROL_PLANE)
        json_member_add(&json, "controlPlane", json_pack("{so}", "localAPIEndpoint", local_endpoint_json(render)));
    json_member_add(&json, "nodeRegistration", registration);
    time_limit_add(cluster, &json);
    *ret_json = json;
    return json ? OK : fault_no_memory(f);
}

/* ---- files ---- */

/* "---" stands between documents only: kubeadm takes a comment before the first for a document without a kind. */
static enum err document_append(struct bytes *out, json_t *take_json, struct fault *f)
{
    json_auto_t *json = take_json;
    if (out->size)
        bytes_append_text(out, "---\n");
    else
        render_banner(out);
    return json ? yaml_append(out, json, YAML_PLAIN, f) : fault_no_memory(f);
}

enum err render_kubeadm_init(const struct render *render, struct bytes *ret_text, struct fault *f)
{
    const struct cluster *cluster = render_cluster(render);
    AUTO(bytes) out = {0};
    char version[32];
    json_t *json = NULL;
    version_text(render, version);
    TRY(init_configuration(render, &json, f));
    TRY(document_append(&out, json, f));
    TRY(cluster_configuration(render, version, &json, f));
    TRY(document_append(&out, json, f));
    if (cluster->bootstrap.proxy_mode != PROXY_NONE)
        TRY(document_append(&out, proxy_configuration(cluster), f));
    TRY(document_append(&out, kubelet_configuration(cluster), f));
    return bytes_give(&out, ret_text, f);
}

enum err render_kubeadm_join(const struct render *render, struct bytes *ret_text, struct fault *f)
{
    AUTO(bytes) out = {0};
    json_t *json = NULL;
    if (render->bootstrap_token && !render->ca_pin)
        return fault_set(f, CODE_INVALID, "a join by token needs the pin of the cluster's CA");
    TRY(join_configuration(render, &json, f));
    TRY(document_append(&out, json, f));
    return bytes_give(&out, ret_text, f);
}

/* What kubeadm's phases for a running control plane read. It names no version, which is that of what runs, and nothing
 * that is of use at a join only. */
enum err render_settings(const struct render *render, struct bytes *ret_text, struct fault *f)
{
    const struct cluster *cluster = render_cluster(render);
    AUTO(bytes) out = {0};
    json_t *json = document_json_of(cluster, "InitConfiguration");
    json_member_add(&json, "localAPIEndpoint", local_endpoint_json(render));
    json_member_add(&json, "nodeRegistration",
                    json_pack("{ss ss}", "name", render->node->name, "criSocket", socket_text(cluster)));
    TRY(document_append(&out, json, f));
    TRY(cluster_configuration(render, NULL, &json, f));
    TRY(document_append(&out, json, f));
    if (cluster->bootstrap.proxy_mode != PROXY_NONE)
        TRY(document_append(&out, proxy_configuration(cluster), f));
    return bytes_give(&out, ret_text, f);
}
