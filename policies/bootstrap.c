#include "policies/bootstrap.h"

#include <string.h>

#include "policies/apiserver.h"
#include "policies/bootstrap_text.h"

const char *const cgroup_driver_words[] = {"systemd", "cgroupfs", NULL};
const char *const proxy_mode_words[] = {"iptables", "ipvs", "nftables", "none", NULL};

/* As kubeadm has it, and what it may be. */
static const int64_t control_plane_timeout_seconds = 240;
static const int64_t control_plane_timeout_min_seconds = 10;
static const int64_t control_plane_timeout_max_seconds = 3600;

/* ---- SSH ---- */

static void port_read(const struct node *object, unsigned *port)
{
    struct node node = node_get(object, "port");
    int64_t number;
    if (node_integer(&node, NODE_OPTIONAL, 1, 65535, &number))
        *port = (unsigned)number;
}

static void host_keys_read(const struct node *ssh, const struct cluster *cluster, struct bootstrap *bootstrap)
{
    struct node keys = node_get(ssh, "hostKeys");
    const char *name;
    json_t *value;
    bootstrap->host_keys = text_map_read(&keys, text_host_name, text_host_key);
    json_object_foreach(keys.value, name, value)
    {
        struct node key = node_get(&keys, name);
        if (cluster->nodes_count && !cluster_node(cluster, name))
            node_error(&key, "there is no node \"%s\"", name);
    }
}

static void ssh_read(const struct node *section, const struct cluster *cluster, struct bootstrap *bootstrap)
{
    static const char *const keys[] = {"user", "port", "hostKeys", NULL};
    struct node ssh = node_get(section, "ssh");
    node_allow(&ssh, keys);
    bootstrap->ssh_user = "root";
    bootstrap->ssh_port = 22;
    text_read(&ssh, "user", text_user, &bootstrap->ssh_user);
    port_read(&ssh, &bootstrap->ssh_port);
    host_keys_read(&ssh, cluster, bootstrap);
}

/* ---- packages ---- */

static void source_read(const struct node *group, struct packages *packages)
{
    struct node node = node_get(group, "source");
    const char *text;
    if (!node_string(&node, NODE_OPTIONAL, &text))
        return;
    if (strcmp(text, "present") == 0)
        packages->source = PACKAGE_PRESENT;
    else if (strcmp(text, "distribution") == 0)
        packages->source = PACKAGE_DISTRIBUTION;
    else if (text_apt_line.valid(text)) {
        packages->source = PACKAGE_REPOSITORY;
        packages->repository = text;
    } else
        node_error(&node, "\"%s\" is not present, distribution or a line of APT's that begins with \"deb \"", text);
}

static void packages_read(const struct node *section, const char *name, enum package_source standard,
                          struct packages *packages)
{
    static const char *const keys[] = {"source", "keyFile", "version", NULL};
    struct node group = node_get(section, name);
    struct node key_file = node_get(&group, "keyFile");
    node_allow(&group, keys);
    packages->source = standard;
    source_read(&group, packages);
    text_read(&group, "keyFile", text_path, &packages->key_file);
    text_read(&group, "version", text_package_version, &packages->version);
    if (packages->source == PACKAGE_REPOSITORY && !packages->key_file)
        node_error(&group, "packages of a repository need a keyFile: the key that signs them");
    if (packages->source == PACKAGE_REPOSITORY && strstr(packages->repository, "signed-by"))
        node_error(&group, "leave signed-by out: the keyFile is put on the hosts, and the line then names it");
    if (packages->source != PACKAGE_REPOSITORY && packages->key_file)
        node_error(&key_file, "only the packages of a repository (source: \"deb …\") have a keyFile");
}

/* ensign itself is there, or comes as a file. */
static void ensign_read(const struct node *section, struct packages *packages)
{
    static const char *const keys[] = {"source", NULL};
    struct node group = node_get(section, "ensign");
    struct node node = node_get(&group, "source");
    const char *text;
    node_allow(&group, keys);
    packages->source = PACKAGE_PRESENT;
    if (!node_string(&node, NODE_OPTIONAL, &text) || strcmp(text, "present") == 0)
        return;
    packages->source = PACKAGE_FILE;
    packages->file = text;
    size_t size = strlen(text);
    if (!text_path.valid(text) || size < 4 || strcmp(text + size - 4, ".deb") != 0)
        node_error(&node, "\"%s\" is not present or the absolute path of a .deb", text);
}

static void all_packages_read(const struct node *section, struct bootstrap *bootstrap)
{
    static const char *const keys[] = {"kubernetes", "containerRuntime", "ensign", NULL};
    struct node packages = node_get(section, "packages");
    node_allow(&packages, keys);
    packages_read(&packages, "kubernetes", PACKAGE_PRESENT, &bootstrap->kubernetes_packages);
    packages_read(&packages, "containerRuntime", PACKAGE_DISTRIBUTION, &bootstrap->runtime_packages);
    ensign_read(&packages, &bootstrap->ensign_packages);
}

/* ---- the container runtime ---- */

static void runtime_read(const struct node *section, struct bootstrap *bootstrap)
{
    static const char *const keys[] = {"name", "cgroupDriver", "socket", "sandboxImage", NULL};
    static const char *const names[] = {"containerd", "cri-o", NULL};
    static const char *const sockets[] = {"unix:///run/containerd/containerd.sock", "unix:///var/run/crio/crio.sock"};
    struct node runtime = node_get(section, "containerRuntime");
    struct node name = node_get(&runtime, "name");
    struct node driver = node_get(&runtime, "cgroupDriver");
    size_t word = 0;
    node_allow(&runtime, keys);
    if (node_word(&name, NODE_OPTIONAL, names, &word))
        bootstrap->runtime = (enum container_runtime)word;
    if (node_word(&driver, NODE_OPTIONAL, cgroup_driver_words, &word))
        bootstrap->cgroup_driver = (enum cgroup_driver)word;
    bootstrap->runtime_socket = sockets[bootstrap->runtime];
    text_read(&runtime, "socket", text_socket, &bootstrap->runtime_socket);
    text_read(&runtime, "sandboxImage", text_image, &bootstrap->sandbox_image);
}

/* ---- the load balancer ---- */

static void virtual_address_read(const struct node *balancer, const struct cluster *cluster,
                                 struct bootstrap *bootstrap)
{
    struct node node = node_get(balancer, "virtualAddress");
    struct fault no_address = {0};
    const char *text = cluster->endpoint_host;
    bool given = node_string(&node, NODE_OPTIONAL, &text);
    bootstrap->has_virtual_address = address_parse(text, &bootstrap->virtual_address, &no_address) == OK;
    if (given && !bootstrap->has_virtual_address)
        node_error(&node, "\"%s\": %s", text, no_address.text);
    if (!given && !bootstrap->has_virtual_address)
        node_error(balancer, "\"virtualAddress\" is missing, and controlPlaneEndpoint is no address");
    for (size_t i = 0; bootstrap->has_virtual_address && i < cluster->nodes_count; i++)
        if (alternative_names_has_address(&cluster->nodes[i].names, &bootstrap->virtual_address))
            node_error(given ? &node : balancer, "the virtual address is one of node \"%s\"", cluster->nodes[i].name);
}

/* What moves an address from host to host. */
static void failover_read(const struct node *balancer, const struct cluster *cluster, struct bootstrap *bootstrap)
{
    struct node router = node_get(balancer, "routerId");
    const struct address *address = &bootstrap->virtual_address;
    int64_t id = 0;
    virtual_address_read(balancer, cluster, bootstrap);
    if (bootstrap->has_virtual_address)
        id = address->data[address->size - 1];
    node_integer(&router, NODE_OPTIONAL, 1, 255, &id);
    bootstrap->router_id = id ? (unsigned)id : 1;
    text_read(balancer, "interface", text_interface, &bootstrap->interface);
    if (!bootstrap->interface)
        node_error(balancer, "\"interface\" is missing: the one that has the virtual address");
}

/* HAProxy and nginx listen where an API server of the same host does. */
static void balancer_port_check(const struct node *balancer, const struct cluster *cluster)
{
    const unsigned both = ROLE_LOAD_BALANCER | ROLE_CONTROL_PLANE;
    for (size_t i = 0; cluster->endpoint_port == APISERVER_PORT && i < cluster->nodes_count; i++)
        if ((cluster->nodes[i].roles & both) == both)
            node_error(balancer, "node \"%s\" is a control plane too: controlPlaneEndpoint needs another port than %d",
                       cluster->nodes[i].name, APISERVER_PORT);
}

static void balancer_hosts_check(const struct node *balancer, const struct cluster *cluster, enum balancer kind)
{
    size_t hosts = cluster_role_count(cluster, ROLE_LOAD_BALANCER);
    if (cluster->nodes_count == 0 || kind == BALANCER_NONE)
        return;
    if (!cluster->endpoint_host[0])
        node_error(balancer, "a load balancer needs a controlPlaneEndpoint");
    if (kind != BALANCER_KUBE_VIP)
        balancer_port_check(balancer, cluster);
    else if (cluster->endpoint_host[0] && cluster->endpoint_port != APISERVER_PORT)
        node_error(balancer, "kube-vip moves an address only: controlPlaneEndpoint needs the API server's port, %d",
                   APISERVER_PORT);
    if (kind == BALANCER_KUBE_VIP && hosts)
        node_error(balancer, "kube-vip runs on the control planes, but there is a node with the role load-balancer");
    if (kind == BALANCER_HAPROXY && hosts == 0)
        node_error(balancer, "no node has the role load-balancer");
    if (kind == BALANCER_NGINX_KEEPALIVED && hosts < 2)
        node_error(balancer, "a virtual address needs at least two nodes with the role load-balancer");
}

static void balancer_read(const struct node *section, const struct cluster *cluster, struct bootstrap *bootstrap)
{
    static const char *const keys[] = {"kind", "virtualAddress", "interface", "routerId", "image", NULL};
    static const char *const plain_keys[] = {"kind", NULL};
    static const char *const kinds[] = {"none", "haproxy", "nginx-keepalived", "kube-vip", NULL};
    struct node balancer = node_get(section, "loadBalancer");
    struct node kind = node_get(&balancer, "kind");
    size_t word = 0;
    if (node_word(&kind, NODE_OPTIONAL, kinds, &word))
        bootstrap->balancer = (enum balancer)word;
    bool moves = bootstrap->balancer == BALANCER_NGINX_KEEPALIVED || bootstrap->balancer == BALANCER_KUBE_VIP;
    node_allow(&balancer, moves ? keys : plain_keys);
    if (moves)
        failover_read(&balancer, cluster, bootstrap);
    text_read(&balancer, "image", text_image, &bootstrap->kube_vip_image);
    if (bootstrap->balancer == BALANCER_KUBE_VIP && !bootstrap->kube_vip_image)
        node_error(&balancer, "\"image\" is missing: kube-vip's, with a version");
    balancer_hosts_check(&balancer, cluster, bootstrap->balancer);
}

/* ---- etcd, kubeadm, the network ---- */

static void etcd_read(const struct node *section, const struct cluster *cluster, struct bootstrap *bootstrap)
{
    static const char *const keys[] = {"dataDir", "environment", NULL};
    struct node etcd = node_get(section, "etcd");
    struct node environment = node_get(&etcd, "environment");
    node_allow(&etcd, keys);
    bootstrap->etcd_data_dir = "/var/lib/etcd";
    text_read(&etcd, "dataDir", text_path, &bootstrap->etcd_data_dir);
    bootstrap->etcd_environment = text_map_read(&environment, text_etcd_variable, text_value);
    if (node_present(&environment) && cluster->etcd_topology == ETCD_STACKED)
        node_error(&environment, "a stacked etcd has no environment: kubeadm writes its command line");
}

static void kubeadm_read(const struct node *section, struct bootstrap *bootstrap)
{
    static const char *const keys[] = {"skipPhases",      "apiServer",    "controllerManager",   "scheduler", "kubelet",
                                       "imageRepository", "featureGates", "controlPlaneTimeout", NULL};
    static const char *const component_keys[] = {"extraArgs", NULL};
    struct node kubeadm = node_get(section, "kubeadm");
    struct node phases = node_get(&kubeadm, "skipPhases");
    struct node gates = node_get(&kubeadm, "featureGates");
    struct node timeout = node_get(&kubeadm, "controlPlaneTimeout");
    node_allow(&kubeadm, keys);
    bootstrap->skip_phases = text_list_read(&phases, KUBE_SKIP_PHASES_MAX, text_phase);
    for (unsigned i = 0; i < COMPONENTS_COUNT; i++) {
        struct node component = node_get(&kubeadm, keys[1 + i]);
        struct node arguments = node_get(&component, "extraArgs");
        node_allow(&component, component_keys);
        bootstrap->extra_args[i] = text_map_read(&arguments, text_argument, text_value);
    }
    text_read(&kubeadm, "imageRepository", text_image, &bootstrap->image_repository);
    bootstrap->feature_gates = truth_map_read(&gates, text_argument);
    bootstrap->control_plane_timeout_seconds = control_plane_timeout_seconds;
    if (node_duration(&timeout, NODE_OPTIONAL, &bootstrap->control_plane_timeout_seconds) &&
        (bootstrap->control_plane_timeout_seconds < control_plane_timeout_min_seconds ||
         bootstrap->control_plane_timeout_seconds > control_plane_timeout_max_seconds))
        node_error(&timeout, "kubeadm waits for the control plane between 10 seconds and an hour");
}

static void proxy_read(const struct node *section, const struct cluster *cluster, struct bootstrap *bootstrap)
{
    static const char *const keys[] = {"mode", NULL};
    struct node proxy = node_get(section, "kubeProxy");
    struct node mode = node_get(&proxy, "mode");
    size_t word = 0;
    node_allow(&proxy, keys);
    if (node_word(&mode, NODE_OPTIONAL, proxy_mode_words, &word))
        bootstrap->proxy_mode = (enum proxy_mode)word;
    if (bootstrap->proxy_mode == PROXY_NFTABLES && cluster->kubernetes_minor < KUBERNETES_MINOR_NFTABLES)
        node_error(&mode, "kube-proxy has nftables from 1.%d on", KUBERNETES_MINOR_NFTABLES);
}

/* One of the three ways of an object; more or none of them is wrong. */
static void cni_object_read(const struct node *cni, struct bootstrap *bootstrap)
{
    static const char *const keys[] = {"manifest", "command", "bridge", NULL};
    struct node command = node_get(cni, "command");
    struct node bridge = node_get(cni, "bridge");
    bool bridged = false;
    node_allow(cni, keys);
    text_read(cni, "manifest", text_path, &bootstrap->cni_manifest);
    bootstrap->cni_command = text_list_read(&command, CNI_WORDS_MAX, text_value);
    if (node_bool(&bridge, NODE_OPTIONAL, &bridged) && !bridged)
        node_error(&bridge, "leave it out, or write \"cni: none\"");
    if (json_object_size(cni->value) != 1)
        node_error(cni, "one of manifest, command and bridge is expected here");
    if (bootstrap->cni_command && json_array_size(bootstrap->cni_command) == 0)
        node_error(&command, "a command needs a program");
    bootstrap->cni = bootstrap->cni_manifest ? CNI_MANIFEST : bootstrap->cni_command ? CNI_COMMAND : CNI_BRIDGE;
}

static void cni_read(const struct node *section, const struct cluster *cluster, struct bootstrap *bootstrap)
{
    static const char *const none[] = {"none", NULL};
    struct node cni = node_get(section, "cni");
    size_t word;
    if (json_is_object(cni.value))
        cni_object_read(&cni, bootstrap);
    else
        node_word(&cni, NODE_OPTIONAL, none, &word);
    /* A node of the bridge has 256 addresses, and each its own number in the third byte. */
    if (bootstrap->cni == CNI_BRIDGE && (cluster->pod_subnet.base.size != 4 || cluster->pod_subnet.prefix_bits > 16))
        node_error(&cni, "the bridge needs a podSubnet of IPv4 with a prefix of at most 16 bits");
    if (bootstrap->cni == CNI_BRIDGE && cluster_role_count(cluster, ROLE_CONTROL_PLANE | ROLE_WORKER) > 255)
        node_error(&cni, "the bridge is for at most 255 nodes");
}

/* ---- nodes ---- */

static void node_ssh_read(const struct node *entry, struct node_bootstrap *bootstrap)
{
    static const char *const keys[] = {"address", "port", "user", NULL};
    struct node ssh = node_get(entry, "ssh");
    node_allow(&ssh, keys);
    bootstrap->ssh = json_incref(ssh.value);
    text_read(&ssh, "address", text_host_name, &bootstrap->ssh_address);
    text_read(&ssh, "user", text_user, &bootstrap->ssh_user);
    port_read(&ssh, &bootstrap->ssh_port);
}

static void node_entry_read(const struct node *entry, struct node_entry *node)
{
    struct node_bootstrap *bootstrap = &node->bootstrap;
    struct node labels = node_get(entry, "labels");
    struct node taints = node_get(entry, "taints");
    text_map_read(&labels, text_label, text_label_value);
    text_list_read(&taints, NODE_TAINTS_MAX, text_taint);
    bootstrap->labels = json_incref(labels.value);
    bootstrap->taints = json_incref(taints.value);
    if ((labels.value || taints.value) && !(node->roles & (ROLE_CONTROL_PLANE | ROLE_WORKER)))
        node_error(labels.value ? &labels : &taints, "only a node with a kubelet has labels and taints");
    node_ssh_read(entry, bootstrap);
}

void bootstrap_read(const struct node *root, struct cluster *cluster)
{
    static const char *const keys[] = {
        "ssh", "packages", "containerRuntime", "loadBalancer", "etcd", "kubeadm", "kubeProxy", "cni", NULL};
    struct node section = node_get(root, "bootstrap");
    struct node nodes = node_get(root, "nodes");
    struct bootstrap *bootstrap = &cluster->bootstrap;
    node_allow(&section, keys);
    bootstrap->tree = json_incref(section.value);
    ssh_read(&section, cluster, bootstrap);
    all_packages_read(&section, bootstrap);
    runtime_read(&section, bootstrap);
    balancer_read(&section, cluster, bootstrap);
    etcd_read(&section, cluster, bootstrap);
    kubeadm_read(&section, bootstrap);
    proxy_read(&section, cluster, bootstrap);
    cni_read(&section, cluster, bootstrap);
    for (size_t i = 0; i < cluster->nodes_count; i++) {
        struct node entry = node_at(&nodes, i);
        node_entry_read(&entry, &cluster->nodes[i]);
    }
}

void bootstrap_cleanup(struct bootstrap *bootstrap)
{
    json_decref(bootstrap->tree);
    *bootstrap = (struct bootstrap){0};
}

void node_bootstrap_cleanup(struct node_bootstrap *bootstrap)
{
    json_decref(bootstrap->labels);
    json_decref(bootstrap->taints);
    json_decref(bootstrap->ssh);
    *bootstrap = (struct node_bootstrap){0};
}
