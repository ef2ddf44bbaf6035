#include "policies/cluster.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ca/base/encode.h"
#include "policies/catalogue.h"
#include "policies/inventory.h"
#include "policies/users.h"
#include "policies/words.h"

const char *const cluster_authorities[] = {"etcd-ca", "kubernetes", "front-proxy-ca", NULL};

/* kubeadm refuses a subnet of services with room for fewer than ten. */
enum { SERVICE_SUBNET_BITS_MIN = 4 };

static const int64_t authority_lifetime_default_seconds = 87600LL * 3600;
static const int64_t authority_lifetime_min_seconds = 3600;
static const int64_t authority_lifetime_max_seconds = 30LL * 366 * 86400;

/* ---- parts of the document ---- */

static void name_read(const struct node *root, struct cluster *cluster)
{
    struct node name = node_get(root, "name");
    if (!node_text(&name, NODE_REQUIRED, cluster->name, sizeof cluster->name))
        return;
    if (!dns_name_valid(cluster->name) || strchr(cluster->name, '.'))
        node_error(&name, "\"%s\" is no name of lower-case letters, digits and hyphens", cluster->name);
    if (strcmp(cluster->name, CLUSTER_SERVICE) == 0)
        node_error(&name, "\"" CLUSTER_SERVICE "\" is the service's own name");
}

/* A number of 1 to `digits` digits, behind which *text is moved; sscanf() would take signs and blanks too. */
static bool number_take(const char **text, size_t digits, unsigned *ret_number)
{
    size_t size = strspn(*text, "0123456789");
    if (size == 0 || size > digits)
        return false;
    *ret_number = (unsigned)strtoul(*text, NULL, 10);
    *text += size;
    return true;
}

/* "1.31" or "1.31.2", perhaps with a "v". */
static bool version_parse(const char *text, unsigned *ret_minor, int *ret_patch)
{
    unsigned minor, patch;
    bool patched;
    text += *text == 'v';
    if (strncmp(text, "1.", 2) != 0)
        return false;
    text += 2;
    if (!number_take(&text, 2, &minor))
        return false;
    patched = *text == '.';
    text += patched;
    if (patched && !number_take(&text, 3, &patch))
        return false;
    if (*text)
        return false;
    *ret_minor = minor;
    *ret_patch = patched ? (int)patch : KUBERNETES_PATCH_UNKNOWN;
    return true;
}

static void version_read(const struct node *root, struct cluster *cluster)
{
    struct node version = node_get(root, "kubernetesVersion");
    const char *text;
    if (!node_string(&version, NODE_REQUIRED, &text))
        return;
    if (!version_parse(text, &cluster->kubernetes_minor, &cluster->kubernetes_patch) ||
        cluster->kubernetes_minor < KUBERNETES_MINOR_MIN || cluster->kubernetes_minor > KUBERNETES_MINOR_MAX)
        node_error(&version, "\"%s\" is no version from \"1.%d\" to \"1.%d\"", text, KUBERNETES_MINOR_MIN,
                   KUBERNETES_MINOR_MAX);
}

/* "host:port" or "[IPv6]:port" */
static bool endpoint_parse(const char *text, char *ret_host, size_t size, unsigned *ret_port)
{
    const char *colon = strrchr(text, ':');
    const char *digits = colon ? colon + 1 : "";
    unsigned port;
    if (!number_take(&digits, 5, &port) || *digits || port < 1 || port > 65535)
        return false;
    bool bracketed = text[0] == '[' && colon > text + 2 && colon[-1] == ']';
    const char *host = bracketed ? text + 1 : text;
    size_t host_size = (size_t)(colon - host) - bracketed;
    if (host_size == 0 || host_size >= size)
        return false;
    char copy[DNS_NAME_MAX + 1];
    snprintf(copy, sizeof copy, "%.*s", (int)host_size, host);
    struct address address;
    struct fault fault = {0};
    bool is_address = address_parse(copy, &address, &fault) == OK;
    if (is_address ? bracketed != (address.size == 16) : bracketed || !dns_name_valid(copy))
        return false;
    memcpy(ret_host, copy, host_size + 1);
    *ret_port = port;
    return true;
}

static void endpoint_read(const struct node *root, struct cluster *cluster)
{
    struct node endpoint = node_get(root, "controlPlaneEndpoint");
    const char *text;
    if (node_string(&endpoint, NODE_OPTIONAL, &text) &&
        !endpoint_parse(text, cluster->endpoint_host, sizeof cluster->endpoint_host, &cluster->endpoint_port))
        node_error(&endpoint, "\"%s\" is no host:port, such as 192.168.29.81:6443 or api.example.com:6443", text);
}

static void subnet_read(const struct node *networking, const char *key, const char *standard, struct network *network)
{
    struct node subnet = node_get(networking, key);
    struct fault fault = {0};
    const char *text = standard;
    if (node_present(&subnet) && !node_string(&subnet, NODE_REQUIRED, &text))
        return;
    if (network_parse(text, network, &fault) != OK)
        node_error(&subnet, "%s", fault.text);
}

static void domain_read(const struct node *networking, struct cluster *cluster)
{
    struct node domain = node_get(networking, "dnsDomain");
    strcpy(cluster->dns_domain, "cluster.local");
    if (!node_text(&domain, NODE_OPTIONAL, cluster->dns_domain, sizeof cluster->dns_domain))
        return;
    if (!dns_name_valid(cluster->dns_domain))
        node_error(&domain, "\"%s\" is no DNS name in lower case", cluster->dns_domain);
    else if (strlen(CLUSTER_DNS_SERVICE) + strlen(cluster->dns_domain) > DNS_NAME_MAX)
        node_error(&domain, "with \"" CLUSTER_DNS_SERVICE "\" before it that is longer than %d characters",
                   DNS_NAME_MAX);
}

static void networking_read(const struct node *root, struct cluster *cluster)
{
    static const char *const keys[] = {"dnsDomain", "serviceSubnet", "podSubnet", NULL};
    struct node networking = node_get(root, "networking");
    const struct network *services = &cluster->service_subnet, *pods = &cluster->pod_subnet;
    node_allow(&networking, keys);
    domain_read(&networking, cluster);
    subnet_read(&networking, "serviceSubnet", "10.96.0.0/12", &cluster->service_subnet);
    subnet_read(&networking, "podSubnet", "10.244.0.0/16", &cluster->pod_subnet);
    if (services->base.size && services->base.size * 8 - services->prefix_bits < SERVICE_SUBNET_BITS_MIN) {
        struct node subnet = node_get(&networking, "serviceSubnet");
        node_error(&subnet, "a subnet of services has room for at least 10");
    }
    if (services->base.size && pods->base.size && network_overlaps(services, pods))
        node_error(&networking, "serviceSubnet and podSubnet overlap");
}

static enum err cert_san_add(const struct node *item, const char *text, struct alternative_names *names,
                             struct fault *f)
{
    struct address address;
    struct fault fault = {0};
    bool is_address = address_parse(text, &address, &fault) == OK;
    if (!is_address && !dns_name_valid(text))
        node_error(item, "\"%s\" is no DNS name in lower case (RFC 1123) and no address", text);
    else if (is_address ? alternative_names_has_address(names, &address) : alternative_names_has_dns(names, text))
        node_error(item, "\"%s\" stands here twice", text);
    else if (is_address)
        return alternative_names_add_address(names, &address, f);
    else
        return alternative_names_add_dns(names, text, f);
    return OK;
}

static enum err apiserver_read(const struct node *root, struct cluster *cluster, struct fault *f)
{
    static const char *const keys[] = {"certSANs", NULL};
    struct node apiserver = node_get(root, "apiServer");
    struct node list = node_get(&apiserver, "certSANs");
    node_allow(&apiserver, keys);
    size_t count = node_count(&list, NODE_OPTIONAL, CERT_SANS_MAX);
    for (size_t i = 0; i < count; i++) {
        struct node item = node_at(&list, i);
        const char *text;
        if (node_string(&item, NODE_REQUIRED, &text))
            TRY(cert_san_add(&item, text, &cluster->apiserver_names, f));
    }
    return OK;
}

static void etcd_read(const struct node *root, struct cluster *cluster)
{
    static const char *const keys[] = {"topology", "certificates", "apiserverClient", NULL};
    static const char *const topologies[] = {"external", "stacked", NULL};
    static const char *const certificates[] = {"member", "separate", NULL};
    static const char *const clients[] = {"perControlPlane", "shared", NULL};
    struct node etcd = node_get(root, "etcd");
    size_t word = 0;
    if (!node_present(&etcd) && json_is_object(root->value))
        node_error(root, "\"etcd\" is missing: its topology is external or stacked");
    node_allow(&etcd, keys);
    struct node topology = node_get(&etcd, "topology");
    struct node layout = node_get(&etcd, "certificates");
    struct node client = node_get(&etcd, "apiserverClient");
    if (node_present(&etcd) && node_word(&topology, NODE_REQUIRED, topologies, &word))
        cluster->etcd_topology = word == 0 ? ETCD_EXTERNAL : ETCD_STACKED;
    /* kubeadm makes two certificates for a stacked member; the documents' external members have one. */
    cluster->etcd_certificates = cluster->etcd_topology == ETCD_STACKED ? ETCD_SEPARATE : ETCD_MEMBER;
    if (node_word(&layout, NODE_OPTIONAL, certificates, &word))
        cluster->etcd_certificates = word == 0 ? ETCD_MEMBER : ETCD_SEPARATE;
    if (node_word(&client, NODE_OPTIONAL, clients, &word))
        cluster->etcd_client_shared = word == 1;
}

static void kubeconfigs_read(const struct node *root, struct cluster *cluster)
{
    static const char *const words[] = {"embedded", "files", NULL};
    struct node kubeconfigs = node_get(root, "kubeconfigs");
    size_t word = 0;
    if (node_word(&kubeconfigs, NODE_OPTIONAL, words, &word))
        cluster->kubeconfig_files = word == 1;
}

static enum key_algorithm algorithm_read(const struct node *keys, const char *key)
{
    struct node algorithm = node_get(keys, key);
    size_t word;
    return node_word(&algorithm, NODE_OPTIONAL, key_words, &word) ? (enum key_algorithm)(KEY_ECDSA_P256 + word)
                                                                  : KEY_ECDSA_P256;
}

static void keys_read(const struct node *root, struct cluster *cluster)
{
    static const char *const keys_keys[] = {"authorities", "certificates", NULL};
    static const char *const lifetimes_keys[] = {"authorities", NULL};
    struct node keys = node_get(root, "keys");
    struct node lifetimes = node_get(root, "lifetimes");
    struct node lifetime = node_get(&lifetimes, "authorities");
    node_allow(&keys, keys_keys);
    node_allow(&lifetimes, lifetimes_keys);
    cluster->authority_algorithm = algorithm_read(&keys, "authorities");
    cluster->certificate_algorithm = algorithm_read(&keys, "certificates");
    cluster->authority_lifetime_seconds = authority_lifetime_default_seconds;
    if (node_duration(&lifetime, NODE_OPTIONAL, &cluster->authority_lifetime_seconds) &&
        (cluster->authority_lifetime_seconds < authority_lifetime_min_seconds ||
         cluster->authority_lifetime_seconds > authority_lifetime_max_seconds))
        node_error(&lifetime, "a CA lives between an hour and 30 years");
}

/* ---- where etcd's files lie ---- */

static bool path_ends(const char *path, const char *ending)
{
    size_t size = strlen(path), tail = strlen(ending);
    return size > tail && strcmp(path + size - tail, ending) == 0;
}

/* Below one of two folders, by names of plain characters that do not begin with a dot. */
static bool path_valid(const char *path)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/";
    bool below = strncmp(path, "/etc/kubernetes/pki/", 20) == 0 || strncmp(path, "/etc/etcd/", 10) == 0;
    bool named = path_ends(path, ".crt") || path_ends(path, ".key") || path_ends(path, ".pem");
    return below && named && path[strspn(path, plain)] == '\0' && !strstr(path, "/.") && !strstr(path, "//");
}

static void path_read(const struct node *group, const char *key, enum cluster_path which, enum cluster_path first,
                      struct cluster *cluster)
{
    struct node node = node_get(group, key);
    char *path = cluster->paths[which];
    if (!node_text(&node, NODE_OPTIONAL, path, CLUSTER_PATH_MAX + 1))
        return;
    if (!path_valid(path))
        node_error(&node, "\"%s\" is no path of a .crt, .key or .pem file below /etc/kubernetes/pki or /etc/etcd",
                   path);
    if (catalogue_path_taken(path, which))
        node_error(&node, "\"%s\" is where another file lies", path);
    for (enum cluster_path other = first; other < which; other++)
        if (strcmp(cluster->paths[other], path) == 0)
            node_error(&node, "\"%s\" stands here twice", path);
}

static void path_group_read(const struct node *paths, const char *key, enum cluster_path first, struct cluster *cluster)
{
    static const char *const keys[] = {"caFile", "certFile", "keyFile", NULL};
    struct node group = node_get(paths, key);
    node_allow(&group, keys);
    for (unsigned i = 0; keys[i]; i++)
        path_read(&group, keys[i], first + i, first, cluster);
    if (first == PATH_MEMBER_CA && node_present(&group) && cluster->etcd_certificates == ETCD_SEPARATE)
        node_error(&group, "only members with one certificate (etcd.certificates: member) can have it elsewhere");
}

static void paths_read(const struct node *root, struct cluster *cluster)
{
    static const char *const keys[] = {"etcdClient", "etcdMember", NULL};
    struct node paths = node_get(root, "paths");
    node_allow(&paths, keys);
    if (node_present(&paths) && cluster->etcd_topology == ETCD_STACKED)
        node_error(&paths, "the files of a stacked etcd lie where kubeadm looks for them");
    path_group_read(&paths, "etcdClient", PATH_CLIENT_CA, cluster);
    path_group_read(&paths, "etcdMember", PATH_MEMBER_CA, cluster);
}

/* ---- recovery ---- */

static void recovery_read(const struct node *root, struct cluster *cluster)
{
    static const char *const recovery_keys[] = {"publicKey", NULL};
    static const uint8_t zero[SEALING_KEY_SIZE];
    struct node recovery = node_get(root, "recovery");
    struct node key = node_get(&recovery, "publicKey");
    const char *text;
    node_allow(&recovery, recovery_keys);
    if (!node_present(&recovery) || !node_string(&key, NODE_REQUIRED, &text))
        return;
    struct fault why = {0};
    AUTO(bytes) data = {0};
    if (base64url_decode(span_text(text), &data, &why) != OK || data.size != SEALING_KEY_SIZE ||
        memcmp(data.data, zero, sizeof zero) == 0) {
        node_error(&key, "this is no X25519 public key: `ensign recovery keygen` prints one of 43 characters");
        return;
    }
    memcpy(cluster->recovery_key, data.data, SEALING_KEY_SIZE);
    cluster->has_recovery = true;
}

/* ---- the whole ---- */

static void warn(struct cluster *cluster, bool needs_force, const char *wanted, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static void warn(struct cluster *cluster, bool needs_force, const char *wanted, const char *format, ...)
{
    if (cluster->warnings_count == ARRAY_SIZE(cluster->warnings))
        return;
    struct cluster_warning *warning = &cluster->warnings[cluster->warnings_count++];
    *warning = (struct cluster_warning){.needs_force = needs_force, .wanted = wanted};
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(warning->text, sizeof warning->text, format, arguments);
    va_end(arguments);
}

size_t cluster_role_count(const struct cluster *cluster, unsigned roles)
{
    size_t count = 0;
    for (size_t i = 0; i < cluster->nodes_count; i++)
        count += (cluster->nodes[i].roles & roles) != 0;
    return count;
}

/* Where etcd runs must be what the topology says. */
static void topology_check(const struct node *list, const struct cluster *cluster)
{
    const unsigned both = ROLE_ETCD | ROLE_CONTROL_PLANE;
    for (size_t i = 0; i < cluster->nodes_count; i++) {
        struct node item = node_at(list, i);
        unsigned roles = cluster->nodes[i].roles & both;
        if (cluster->etcd_topology == ETCD_STACKED && roles && roles != both)
            node_error(&item,
                       "stacked etcd runs on the control planes: node \"%s\" needs both roles, etcd and "
                       "control-plane, or neither",
                       cluster->nodes[i].name);
        if (cluster->etcd_topology == ETCD_EXTERNAL && roles == both)
            node_error(&item, "external etcd has nodes of its own: node \"%s\" has both roles, etcd and control-plane",
                       cluster->nodes[i].name);
    }
    if (cluster->nodes_count && cluster_role_count(cluster, ROLE_ETCD) == 0)
        node_error(list, "no node has the role etcd");
    if (cluster->nodes_count && cluster_role_count(cluster, ROLE_CONTROL_PLANE) == 0)
        node_error(list, "no node has the role control-plane");
}

/* Of n members n / 2 + 1 have to be there: one more than an odd number survives no failure more. */
static void quorum_check(struct cluster *cluster)
{
    size_t etcd = cluster_role_count(cluster, ROLE_ETCD);
    if (etcd == 1)
        warn(cluster, false, "three etcd members",
             "one etcd member: while it is down the API servers are, too, and with its disk the cluster's state is "
             "lost; three survive the failure of one");
    else if (etcd % 2 == 0)
        warn(cluster, true, "an odd number of etcd members",
             "%zu etcd members have a quorum of %zu: they survive the failure of %zu, as %zu %s; %zu survive that of "
             "%zu",
             etcd, etcd / 2 + 1, etcd / 2 - 1, etcd - 1, etcd == 2 ? "does" : "do", etcd + 1, etcd / 2);
}

static void warnings_add(struct cluster *cluster)
{
    if (cluster->etcd_topology == ETCD_STACKED && cluster->etcd_certificates == ETCD_MEMBER)
        warn(
            cluster, false, "etcd.certificates: separate",
            "stacked etcd with one certificate per member: kubeadm expects two, so leave out \"certificates\" or write "
            "\"separate\"");
    quorum_check(cluster);
    if (cluster_role_count(cluster, ROLE_CONTROL_PLANE) == 1)
        warn(cluster, false, "three control planes",
             "one control plane: while it is down nobody can change anything, and nothing that fails is replaced; "
             "three survive the failure of one");
    else if (!cluster->endpoint_host[0])
        warn(cluster, false, "a controlPlaneEndpoint",
             "several control planes and no controlPlaneEndpoint: kubeadm needs one to join them");
}

static enum err document_keep(const struct document *document, struct cluster *cluster, struct fault *f)
{
    char *text = json_dumps(document_json(document), JSON_COMPACT | JSON_SORT_KEYS);
    if (!text)
        return fault_no_memory(f);
    bytes_append_text(&cluster->document, text);
    free(text);
    return bytes_check(&cluster->document, f);
}

static void crl_path_make(struct cluster *cluster)
{
    const char *bundle = catalogue_members_bundle(cluster);
    snprintf(cluster->crl_path, sizeof cluster->crl_path, "%.*s/crl.der", (int)(strrchr(bundle, '/') - bundle), bundle);
}

enum err cluster_read(const struct document *document, struct cluster *ret_cluster, struct fault *f)
{
    static const char *const keys[] = {"apiVersion",
                                       "kind",
                                       "name",
                                       "kubernetesVersion",
                                       "controlPlaneEndpoint",
                                       "networking",
                                       "apiServer",
                                       "etcd",
                                       "users",
                                       "kubeconfigs",
                                       "keys",
                                       "lifetimes",
                                       "paths",
                                       "recovery",
                                       "bootstrap",
                                       "nodes",
                                       NULL};
    AUTO(cluster) cluster = {0};
    struct node root = document_root(document, f);
    struct node nodes = node_get(&root, "nodes");
    node_allow(&root, keys);
    document_kind(&root, "Cluster");
    name_read(&root, &cluster);
    version_read(&root, &cluster);
    endpoint_read(&root, &cluster);
    networking_read(&root, &cluster);
    TRY(apiserver_read(&root, &cluster, f));
    users_read(&root, &cluster);
    etcd_read(&root, &cluster);
    kubeconfigs_read(&root, &cluster);
    keys_read(&root, &cluster);
    paths_read(&root, &cluster);
    crl_path_make(&cluster);
    recovery_read(&root, &cluster);
    TRY(inventory_read(&nodes, &cluster, f));
    topology_check(&nodes, &cluster);
    bootstrap_read(&root, &cluster);
    TRY(fault_if_reasons(f, CODE_INVALID, "%s is not a valid cluster file", document_name(document)));
    warnings_add(&cluster);
    TRY(document_keep(document, &cluster, f));
    *ret_cluster = cluster;
    cluster = (struct cluster){0};
    return OK;
}

void cluster_cleanup(struct cluster *cluster)
{
    for (size_t i = 0; i < cluster->nodes_count; i++) {
        alternative_names_cleanup(&cluster->nodes[i].names);
        node_bootstrap_cleanup(&cluster->nodes[i].bootstrap);
    }
    bootstrap_cleanup(&cluster->bootstrap);
    free(cluster->nodes);
    free(cluster->nodes_by_name);
    alternative_names_cleanup(&cluster->apiserver_names);
    bytes_free(&cluster->document);
}

static int node_match(const void *name, const void *entry)
{
    return strcmp(name, (*(const struct node_entry *const *)entry)->name);
}

const struct node_entry *cluster_node(const struct cluster *cluster, const char *name)
{
    if (cluster->nodes_count == 0)
        return NULL;
    const struct node_entry *const *found =
        bsearch(name, cluster->nodes_by_name, cluster->nodes_count, sizeof *cluster->nodes_by_name, node_match);
    return found ? *found : NULL;
}

const struct node_entry *cluster_first_control_plane(const struct cluster *cluster)
{
    for (size_t i = 0; i < cluster->nodes_count && !cluster->initialised; i++)
        if (cluster->nodes[i].roles & ROLE_CONTROL_PLANE)
            return &cluster->nodes[i];
    return cluster->initialised; /* cluster_read() sees to it that there is one */
}

const struct kubernetes_facts *cluster_kubernetes(const struct cluster *cluster)
{
    return kubernetes_facts(cluster->kubernetes_minor, cluster->kubernetes_patch);
}
