#include "policies/catalogue.h"

#include <stdlib.h>
#include <string.h>

#include "ca/base/encode.h"
#include "policies/json.h"

const char *const catalogue_kind_words[] = {"certificate", "kubeconfig", "key-pair", "ca-bundle", NULL};

#define KUBERNETES "/etc/kubernetes/"
#define PKI KUBERNETES "pki/"
#define ETCD "/etc/etcd/pki/"
#define IDENTITY "/etc/ensign/node/node-identity/"

enum {
    ROLES_KUBELET = ROLE_CONTROL_PLANE | ROLE_WORKER,
    ROLES_ALL = ROLE_ETCD | ROLE_CONTROL_PLANE | ROLE_WORKER | ROLE_LOAD_BALANCER,
};

/* On which clusters and nodes, besides the role. */
enum condition { /* bits; all that are set must hold */
                 IF_EXTERNAL = 1 << 0,
                 IF_STACKED = 1 << 1,
                 IF_MEMBER = 1 << 2,      /* one certificate for an etcd member's two sides */
                 IF_SEPARATE = 1 << 3,    /* two */
                 IF_FIRST = 1 << 4,       /* where kubeadm init runs */
                 IF_SUPER_ADMIN = 1 << 5, /* a version that has super-admin.conf */
};

/* Which API server a kubeconfig names. */
enum reach { REACH_NONE, REACH_ENDPOINT, REACH_LOCAL };

/* The fixed list. Paths of kubeadm: cmd/kubeadm/app/constants/constants.go. */
static const struct layout {
    enum catalogue_kind kind;
    const char *name;
    unsigned roles, conditions;
    const char *path, *key_path;
    enum reach reach;
} layouts[] = {
    {CATALOGUE_BUNDLE, AUTHORITY_SERVICE, ROLES_ALL, 0, IDENTITY "ca.crt", NULL, 0},
    {CATALOGUE_CERTIFICATE, "node-identity", ROLES_ALL, 0, IDENTITY "tls.crt", IDENTITY "tls.key", 0},

    {CATALOGUE_BUNDLE, "etcd-ca", ROLE_ETCD, IF_EXTERNAL, ETCD "ca.crt", NULL, 0},
    {CATALOGUE_CERTIFICATE, "etcd-member", ROLE_ETCD, IF_EXTERNAL | IF_MEMBER, ETCD "member.crt", ETCD "member.key", 0},
    {CATALOGUE_CERTIFICATE, "etcd-server", ROLE_ETCD, IF_EXTERNAL | IF_SEPARATE, ETCD "server.crt", ETCD "server.key",
     0},
    {CATALOGUE_CERTIFICATE, "etcd-peer", ROLE_ETCD, IF_EXTERNAL | IF_SEPARATE, ETCD "peer.crt", ETCD "peer.key", 0},
    {CATALOGUE_CERTIFICATE, "etcd-healthcheck-client", ROLE_ETCD, IF_EXTERNAL, ETCD "healthcheck-client.crt",
     ETCD "healthcheck-client.key", 0},

    {CATALOGUE_BUNDLE, "kubernetes", ROLES_KUBELET, 0, PKI "ca.crt", NULL, 0},
    {CATALOGUE_CERTIFICATE, "apiserver", ROLE_CONTROL_PLANE, 0, PKI "apiserver.crt", PKI "apiserver.key", 0},
    {CATALOGUE_CERTIFICATE, "apiserver-kubelet-client", ROLE_CONTROL_PLANE, 0, PKI "apiserver-kubelet-client.crt",
     PKI "apiserver-kubelet-client.key", 0},
    {CATALOGUE_BUNDLE, "front-proxy-ca", ROLE_CONTROL_PLANE, 0, PKI "front-proxy-ca.crt", NULL, 0},
    {CATALOGUE_CERTIFICATE, "front-proxy-client", ROLE_CONTROL_PLANE, 0, PKI "front-proxy-client.crt",
     PKI "front-proxy-client.key", 0},
    {CATALOGUE_BUNDLE, "etcd-ca", ROLE_CONTROL_PLANE, 0, PKI "etcd/ca.crt", NULL, 0},
    /* Not kubeadm's: a stacked member with one certificate draws a warning when the cluster is made. */
    {CATALOGUE_CERTIFICATE, "etcd-member", ROLE_ETCD, IF_STACKED | IF_MEMBER, PKI "etcd/member.crt",
     PKI "etcd/member.key", 0},
    {CATALOGUE_CERTIFICATE, "etcd-server", ROLE_ETCD, IF_STACKED | IF_SEPARATE, PKI "etcd/server.crt",
     PKI "etcd/server.key", 0},
    {CATALOGUE_CERTIFICATE, "etcd-peer", ROLE_ETCD, IF_STACKED | IF_SEPARATE, PKI "etcd/peer.crt", PKI "etcd/peer.key",
     0},
    {CATALOGUE_CERTIFICATE, "etcd-healthcheck-client", ROLE_ETCD, IF_STACKED, PKI "etcd/healthcheck-client.crt",
     PKI "etcd/healthcheck-client.key", 0},
    {CATALOGUE_CERTIFICATE, "apiserver-etcd-client", ROLE_CONTROL_PLANE, 0, PKI "apiserver-etcd-client.crt",
     PKI "apiserver-etcd-client.key", 0},
    {CATALOGUE_KEY_PAIR, "sa", ROLE_CONTROL_PLANE, 0, PKI "sa.pub", PKI "sa.key", 0},

    {CATALOGUE_KUBECONFIG, "admin", ROLE_CONTROL_PLANE, 0, KUBERNETES "admin.conf", NULL, REACH_ENDPOINT},
    {CATALOGUE_KUBECONFIG, "super-admin", ROLE_CONTROL_PLANE, IF_FIRST | IF_SUPER_ADMIN, KUBERNETES "super-admin.conf",
     NULL, REACH_ENDPOINT},
    {CATALOGUE_KUBECONFIG, "kubelet", ROLES_KUBELET, 0, KUBERNETES "kubelet.conf", NULL, REACH_ENDPOINT},
    {CATALOGUE_KUBECONFIG, "controller-manager", ROLE_CONTROL_PLANE, 0, KUBERNETES "controller-manager.conf", NULL,
     REACH_LOCAL},
    {CATALOGUE_KUBECONFIG, "scheduler", ROLE_CONTROL_PLANE, 0, KUBERNETES "scheduler.conf", NULL, REACH_LOCAL},
};

/* Where the PEMs of kubeconfigs lie in a cluster that wants them in files. */
static const struct kubeconfig_files {
    const char *name, *certificate_path, *key_path;
} kubeconfig_files[] = {
    {"kubelet", PKI "kubelet-client.crt", PKI "kubelet-client.key"},
    {"controller-manager", PKI "controller-manager-client.crt", PKI "controller-manager-client.key"},
    {"scheduler", PKI "scheduler-client.crt", PKI "scheduler-client.key"},
};

/* What the cluster file may put elsewhere. */
static const char *const movable_paths[PATHS_COUNT] = {
    [PATH_CLIENT_CA] = PKI "etcd/ca.crt",
    [PATH_CLIENT_CERTIFICATE] = PKI "apiserver-etcd-client.crt",
    [PATH_CLIENT_KEY] = PKI "apiserver-etcd-client.key",
    [PATH_MEMBER_CA] = ETCD "ca.crt",
    [PATH_MEMBER_CERTIFICATE] = ETCD "member.crt",
    [PATH_MEMBER_KEY] = ETCD "member.key",
};

/* ---- which of them ---- */

static unsigned conditions_of(const struct cluster *cluster, const struct node_entry *node)
{
    bool first = node->roles & ROLE_CONTROL_PLANE && node == cluster_first_control_plane(cluster);
    return (cluster->etcd_topology == ETCD_EXTERNAL ? IF_EXTERNAL : IF_STACKED) |
           (cluster->etcd_certificates == ETCD_MEMBER ? IF_MEMBER : IF_SEPARATE) | (first ? IF_FIRST : 0u) |
           (cluster_kubernetes(cluster)->super_admin_organization ? IF_SUPER_ADMIN : 0u);
}

static bool layout_applies(const struct layout *layout, const struct node_entry *node, unsigned conditions)
{
    return layout->roles & node->roles && !(layout->conditions & ~conditions);
}

static bool layout_has_profile(const struct layout *layout)
{
    return layout->kind == CATALOGUE_CERTIFICATE || layout->kind == CATALOGUE_KUBECONFIG;
}

bool catalogue_expects(const struct cluster *cluster, const struct node_entry *node, const struct profile *profile)
{
    const unsigned conditions = conditions_of(cluster, node);
    for (size_t i = 0; i < ARRAY_SIZE(layouts); i++)
        if (layout_has_profile(&layouts[i]) && strcmp(layouts[i].name, profile->name) == 0 &&
            layout_applies(&layouts[i], node, conditions))
            return true;
    return false;
}

static bool path_is(const char *layout_path, const char *path)
{
    return layout_path && strcmp(layout_path, path) == 0;
}

bool catalogue_path_taken(const char *path, enum cluster_path which)
{
    if (strcmp(path, movable_paths[which]) == 0)
        return false;
    for (size_t i = 0; i < ARRAY_SIZE(layouts); i++)
        if (path_is(layouts[i].path, path) || path_is(layouts[i].key_path, path))
            return true;
    for (size_t i = 0; i < ARRAY_SIZE(kubeconfig_files); i++)
        if (path_is(kubeconfig_files[i].certificate_path, path) || path_is(kubeconfig_files[i].key_path, path))
            return true;
    return false;
}

static bool layout_shared(const struct layout *layout, const struct cluster *cluster)
{
    return layout->kind == CATALOGUE_KEY_PAIR ||
           (cluster->etcd_client_shared && strcmp(layout->name, "apiserver-etcd-client") == 0);
}

size_t catalogue_shared_names(const struct cluster *cluster, const char *ret_names[CATALOGUE_SHARED_MAX])
{
    size_t count = 0;
    for (size_t i = 0; i < ARRAY_SIZE(layouts) && count < CATALOGUE_SHARED_MAX; i++)
        if (layout_shared(&layouts[i], cluster))
            ret_names[count++] = layouts[i].name;
    return count;
}

/* NULL when it is not shared. */
static const struct layout *shared_find(const struct cluster *cluster, const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(layouts); i++)
        if (strcmp(layouts[i].name, name) == 0 && layout_shared(&layouts[i], cluster))
            return &layouts[i];
    return NULL;
}

bool catalogue_shares(const struct cluster *cluster, const char *name)
{
    return shared_find(cluster, name) != NULL;
}

bool catalogue_shares_certificate(const struct cluster *cluster, const char *name)
{
    const struct layout *layout = shared_find(cluster, name);
    return layout && layout->kind == CATALOGUE_CERTIFICATE;
}

enum key_algorithm catalogue_algorithm(const struct cluster *cluster, const struct profile *profile)
{
    if (profile->keys & (1u << cluster->certificate_algorithm))
        return cluster->certificate_algorithm;
    enum key_algorithm algorithm = KEY_NONE + 1;
    while (algorithm + 1 < KEY_ALGORITHM_COUNT && !(profile->keys & (1u << algorithm)))
        algorithm++;
    return algorithm;
}

/* ---- what is in them ---- */

/* As an admin's empty request is decided at the moment 0, by a CA that does not end. */
static enum err content_decide(const struct cluster *cluster, struct catalogue_item *item, struct fault *f)
{
    const struct caller admin = {.kind = REQUESTER_ADMIN};
    const struct request request = {.public_key = {.algorithm = item->algorithm}};
    const struct subject_of_decision subject = {
        .cluster = cluster, .node = item->node->name, .identity = "", .authority_not_after = INT64_MAX};
    AUTO(decision) decision = {0};
    TRY(decide(item->profile, &admin, &subject, &request, 0, &decision, f));
    item->content = decision.content;
    decision.content = (struct certificate_content){0};
    return OK;
}

static void server_choose(const struct layout *layout, const struct cluster *cluster, struct catalogue_item *item)
{
    if (layout->reach == REACH_ENDPOINT)
        apiserver_url(cluster, item->node, item->server);
    if (layout->reach == REACH_LOCAL)
        apiserver_url_local(item->node, item->server);
}

/* NULL stays NULL. */
static const char *path_choose(const struct cluster *cluster, const char *standard)
{
    for (size_t i = 0; standard && i < PATHS_COUNT; i++)
        if (cluster->paths[i][0] && strcmp(movable_paths[i], standard) == 0)
            return cluster->paths[i];
    return standard;
}

const char *catalogue_members_bundle(const struct cluster *cluster)
{
    return path_choose(cluster, cluster->etcd_topology == ETCD_STACKED ? PKI "etcd/ca.crt" : ETCD "ca.crt");
}

static enum key_algorithm key_pair_algorithm(const struct cluster *cluster)
{
    const enum key_algorithm wanted = cluster->certificate_algorithm;
    const bool rsa = wanted == KEY_RSA_2048 || wanted == KEY_RSA_3072 || wanted == KEY_RSA_4096;
    return rsa || cluster_kubernetes(cluster)->service_accounts_ecdsa ? wanted : KEY_RSA_2048;
}

enum key_algorithm catalogue_shared_algorithm(const struct cluster *cluster, const struct profiles *profiles,
                                              const char *name)
{
    if (!catalogue_shares(cluster, name))
        return KEY_NONE;
    const struct profile *profile = catalogue_shares_certificate(cluster, name) ? profiles_find(profiles, name) : NULL;
    return profile ? catalogue_algorithm(cluster, profile) : key_pair_algorithm(cluster);
}

/* PEMs that can be replaced without the kubeconfig: clients read them anew, and embedded ones never. */
static void kubeconfig_refer(const struct cluster *cluster, struct catalogue_item *item)
{
    for (size_t i = 0; i < ARRAY_SIZE(kubeconfig_files); i++)
        if (strcmp(kubeconfig_files[i].name, item->name) == 0) {
            item->certificate_path = kubeconfig_files[i].certificate_path;
            item->key_path = kubeconfig_files[i].key_path;
            item->bundle_path = cluster_kubernetes(cluster)->kubeconfig_ca_file ? PKI "ca.crt" : NULL;
        }
}

/* Modes are kubeadm's: only certificates are for everybody to read. */
static enum err item_make(const struct layout *layout, const struct cluster *cluster, const struct profiles *profiles,
                          struct catalogue_item *item, struct fault *f)
{
    bool public = layout->kind == CATALOGUE_CERTIFICATE || layout->kind == CATALOGUE_BUNDLE;
    item->kind = layout->kind;
    item->name = layout->name;
    item->path = path_choose(cluster, layout->path);
    item->key_path = path_choose(cluster, layout->key_path);
    if (layout->kind == CATALOGUE_KUBECONFIG && cluster->kubeconfig_files)
        kubeconfig_refer(cluster, item);
    item->mode = public ? 0644 : 0600;
    item->key_mode = 0600;
    item->certificate_mode = 0644;
    item->authority = layout->kind == CATALOGUE_BUNDLE ? layout->name : NULL;
    item->shared = layout_shared(layout, cluster);
    item->transient = (layout->conditions & IF_SUPER_ADMIN) != 0;
    if (layout->kind == CATALOGUE_KEY_PAIR)
        item->algorithm = key_pair_algorithm(cluster);
    if (!layout_has_profile(layout))
        return OK;
    item->profile = profiles_find(profiles, layout->name);
    if (!item->profile)
        return fault_set(f, CODE_NOT_FOUND, "there is no profile \"%s\"", layout->name);
    item->authority = item->profile->issuer;
    item->algorithm = catalogue_algorithm(cluster, item->profile);
    server_choose(layout, cluster, item);
    return content_decide(cluster, item, f);
}

/* ---- all of them ---- */

_Static_assert(ARRAY_SIZE(layouts) <= CATALOGUE_NODE_ITEMS_MAX, "a page has room for every node");

static size_t node_items_count(const struct cluster *cluster, const struct node_entry *node)
{
    const unsigned conditions = conditions_of(cluster, node);
    size_t count = 0;
    for (size_t i = 0; i < ARRAY_SIZE(layouts); i++)
        count += layout_applies(&layouts[i], node, conditions);
    return count;
}

size_t catalogue_nodes_within(const struct cluster *cluster, size_t first, size_t items_max)
{
    size_t node = first, items = 0;
    while (node < cluster->nodes_count && (items += node_items_count(cluster, &cluster->nodes[node])) <= items_max)
        node++;
    return node - first;
}

static enum err node_add(const struct node_entry *node, const struct profiles *profiles, struct catalogue *catalogue,
                         struct fault *f)
{
    const unsigned conditions = conditions_of(catalogue->cluster, node);
    for (size_t i = 0; i < ARRAY_SIZE(layouts); i++) {
        if (!layout_applies(&layouts[i], node, conditions))
            continue;
        struct catalogue_item *item = &catalogue->items[catalogue->count++];
        item->node = node;
        TRY(item_make(&layouts[i], catalogue->cluster, profiles, item, f));
    }
    return OK;
}

enum err catalogue_make_part(const struct cluster *cluster, const struct profiles *profiles, size_t first, size_t count,
                             struct catalogue *ret_catalogue, struct fault *f)
{
    size_t room = 1; /* never none: calloc() may give NULL for that */
    for (size_t i = first; i < first + count; i++)
        room += node_items_count(cluster, &cluster->nodes[i]);
    AUTO(catalogue) catalogue = {.cluster = cluster, .items = calloc(room, sizeof(struct catalogue_item))};
    if (!catalogue.items)
        return fault_no_memory(f);
    for (size_t i = first; i < first + count; i++)
        TRY(node_add(&cluster->nodes[i], profiles, &catalogue, f));
    *ret_catalogue = catalogue;
    catalogue = (struct catalogue){0};
    return OK;
}

enum err catalogue_make(const struct cluster *cluster, const struct profiles *profiles, struct catalogue *ret_catalogue,
                        struct fault *f)
{
    return catalogue_make_part(cluster, profiles, 0, cluster->nodes_count, ret_catalogue, f);
}

void catalogue_cleanup(struct catalogue *catalogue)
{
    for (size_t i = 0; i < catalogue->count; i++)
        certificate_content_cleanup(&catalogue->items[i].content);
    free(catalogue->items);
    *catalogue = (struct catalogue){0};
}

/* ---- as JSON ---- */

static json_t *file_json(const char *path, unsigned mode)
{
    char text[8];
    snprintf(text, sizeof text, "%04o", mode);
    return json_pack("{ss ss ss}", "path", path, "owner", "root", "mode", text);
}

static json_t *subject_json(const struct distinguished_name *subject)
{
    json_t *organizations = json_array();
    for (size_t i = 0; i < subject->organizations_count; i++)
        json_list_add(&organizations, json_string(subject->organizations[i]));
    return json_pack("{ss so}", "common_name", subject->common_name, "organizations", organizations);
}

/* What a certificate of this item holds. */
static json_t *content_json(const struct catalogue_item *item)
{
    const struct certificate_content *content = &item->content;
    char lifetime[DURATION_TEXT_SIZE];
    duration_text(content->not_after, lifetime);
    return json_pack("{so so so so so ss}", "subject", subject_json(&content->subject), "dns",
                     json_dns(&content->names), "addresses", json_addresses(&content->names), "key_usage",
                     json_words(usage_words, content->key_usage), "extended_key_usage",
                     json_words(extended_usage_words, content->extended_key_usage), "lifetime", lifetime);
}

/* What an item does not have is not a member. */
static json_t *item_json(const struct catalogue_item *item)
{
    json_t *files = json_array();
    json_list_add(&files, file_json(item->path, item->mode));
    if (item->certificate_path)
        json_list_add(&files, file_json(item->certificate_path, item->certificate_mode));
    if (item->key_path)
        json_list_add(&files, file_json(item->key_path, item->key_mode));
    json_t *json = json_pack("{ss ss ss ss* ss* so sb}", "node", item->node->name, "kind",
                             catalogue_kind_words[item->kind], "name", item->name, "authority", item->authority,
                             "server", item->server[0] ? item->server : NULL, "files", files, "shared", item->shared);
    if (item->transient)
        json_member_add(&json, "transient", json_true());
    if (item->algorithm != KEY_NONE)
        json_member_add(&json, "key_algorithm", json_string(key_algorithm_name(item->algorithm)));
    if (item->profile)
        json_member_add(&json, "certificate", content_json(item));
    return json;
}

json_t *catalogue_json(const struct catalogue *catalogue)
{
    const struct cluster *cluster = catalogue->cluster;
    char version[32];
    json_t *items = json_array();
    for (size_t i = 0; i < catalogue->count; i++)
        json_list_add(&items, item_json(&catalogue->items[i]));
    if (cluster->kubernetes_patch == KUBERNETES_PATCH_UNKNOWN)
        snprintf(version, sizeof version, "1.%u", cluster->kubernetes_minor);
    else
        snprintf(version, sizeof version, "1.%u.%d", cluster->kubernetes_minor, cluster->kubernetes_patch);
    return json_pack("{ss ss ss so}", "cluster", cluster->name, "kubernetes", version, "kubeadm_api",
                     cluster_kubernetes(cluster)->kubeadm_api, "items", items);
}
