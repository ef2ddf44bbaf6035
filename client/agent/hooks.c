#include "client/agent/hooks.h"

#include <string.h>

#define GROUP_ETCD "etcd"
#define GROUP_CONTROL_PLANE "control-plane"

enum where { ANYWHERE, AT_EXTERNAL_ETCD, AT_STACKED_ETCD, AT_CONTROL_PLANE };

/* All that fit. What has none is hot. */
static const struct row {
    enum catalogue_kind kind;
    const char *name;
    enum where where;
    struct hook hook;
} rows[] = {
    {CATALOGUE_KUBECONFIG,
     "controller-manager",
     ANYWHERE,
     {HOOK_CONTAINER, "kube-controller-manager", GROUP_CONTROL_PLANE, HEALTH_APISERVER}},
    {CATALOGUE_KUBECONFIG,
     "scheduler",
     ANYWHERE,
     {HOOK_CONTAINER, "kube-scheduler", GROUP_CONTROL_PLANE, HEALTH_APISERVER}},
    {CATALOGUE_KUBECONFIG, "kubelet", ANYWHERE, {HOOK_UNIT, "kubelet", NULL, HEALTH_NONE}},
    {CATALOGUE_BUNDLE, "etcd-ca", AT_EXTERNAL_ETCD, {HOOK_UNIT, "etcd", GROUP_ETCD, HEALTH_ETCD}},
    {CATALOGUE_BUNDLE, "etcd-ca", AT_STACKED_ETCD, {HOOK_CONTAINER, "etcd", GROUP_ETCD, HEALTH_ETCD}},
    {CATALOGUE_BUNDLE,
     "etcd-ca",
     AT_CONTROL_PLANE,
     {HOOK_CONTAINER, "kube-apiserver", GROUP_CONTROL_PLANE, HEALTH_APISERVER}},
    {CATALOGUE_BUNDLE,
     "kubernetes",
     AT_CONTROL_PLANE,
     {HOOK_CONTAINER, "kube-controller-manager", GROUP_CONTROL_PLANE, HEALTH_APISERVER}},
};

static bool is_at(const struct cluster *cluster, const struct node_entry *node, enum where where)
{
    bool external = cluster->etcd_topology == ETCD_EXTERNAL;
    switch (where) {
    case AT_EXTERNAL_ETCD:
        return external && node->roles & ROLE_ETCD;
    case AT_STACKED_ETCD:
        return !external && node->roles & ROLE_ETCD;
    case AT_CONTROL_PLANE:
        return node->roles & ROLE_CONTROL_PLANE;
    default:
        return true;
    }
}

size_t hooks_of(const struct cluster *cluster, const struct catalogue_item *item, struct hook ret_hooks[HOOKS_MAX])
{
    size_t count = 0;
    if (item->certificate_path) /* a kubeconfig that names files, which are looked at every five minutes */
        return 0;
    for (size_t i = 0; i < ARRAY_SIZE(rows) && count < HOOKS_MAX; i++)
        if (rows[i].kind == item->kind && strcmp(rows[i].name, item->name) == 0 &&
            is_at(cluster, item->node, rows[i].where))
            ret_hooks[count++] = rows[i].hook;
    return count;
}

bool served_ports(const char *profile, unsigned ret_ports[2])
{
    static const struct {
        const char *profile;
        unsigned ports[2];
    } served[] = {
        {"etcd-member", {2379, 2380}}, {"etcd-server", {2379, 0}}, {"etcd-peer", {2380, 0}}, {"apiserver", {6443, 0}}};
    for (size_t i = 0; i < ARRAY_SIZE(served); i++)
        if (strcmp(served[i].profile, profile) == 0) {
            memcpy(ret_ports, served[i].ports, sizeof served[i].ports);
            return true;
        }
    return false;
}
