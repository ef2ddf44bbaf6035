#include "client/render/roles.h"

bool is_any(const struct cluster *cluster, const struct node_entry *node)
{
    (void)cluster, (void)node;
    return true;
}

bool has_kubelet(const struct cluster *cluster, const struct node_entry *node)
{
    (void)cluster;
    return node->roles & (ROLE_CONTROL_PLANE | ROLE_WORKER);
}

bool has_containerd(const struct cluster *cluster, const struct node_entry *node)
{
    return has_kubelet(cluster, node) && cluster->bootstrap.runtime == RUNTIME_CONTAINERD;
}

bool has_crio(const struct cluster *cluster, const struct node_entry *node)
{
    return has_kubelet(cluster, node) && cluster->bootstrap.runtime == RUNTIME_CRIO;
}

bool is_etcd_member(const struct cluster *cluster, const struct node_entry *node)
{
    (void)cluster;
    return node->roles & ROLE_ETCD;
}

bool has_external_etcd(const struct cluster *cluster, const struct node_entry *node)
{
    return node->roles & ROLE_ETCD && cluster->etcd_topology == ETCD_EXTERNAL;
}

static bool balances(const struct cluster *cluster, const struct node_entry *node, enum balancer balancer)
{
    return node->roles & ROLE_LOAD_BALANCER && cluster->bootstrap.balancer == balancer;
}

bool has_haproxy(const struct cluster *cluster, const struct node_entry *node)
{
    return balances(cluster, node, BALANCER_HAPROXY);
}

bool has_nginx(const struct cluster *cluster, const struct node_entry *node)
{
    return balances(cluster, node, BALANCER_NGINX_KEEPALIVED);
}

bool has_balancer(const struct cluster *cluster, const struct node_entry *node)
{
    return has_haproxy(cluster, node) || has_nginx(cluster, node);
}

bool has_kube_vip(const struct cluster *cluster, const struct node_entry *node)
{
    return node->roles & ROLE_CONTROL_PLANE && cluster->bootstrap.balancer == BALANCER_KUBE_VIP;
}

bool has_bridge(const struct cluster *cluster, const struct node_entry *node)
{
    return has_kubelet(cluster, node) && cluster->bootstrap.cni == CNI_BRIDGE;
}

bool is_control_plane(const struct cluster *cluster, const struct node_entry *node)
{
    (void)cluster;
    return node->roles & ROLE_CONTROL_PLANE;
}

bool is_first_control_plane(const struct cluster *cluster, const struct node_entry *node)
{
    return node == cluster_first_control_plane(cluster);
}

bool is_further_control_plane(const struct cluster *cluster, const struct node_entry *node)
{
    return node->roles & ROLE_CONTROL_PLANE && !is_first_control_plane(cluster, node);
}

bool is_only_worker(const struct cluster *cluster, const struct node_entry *node)
{
    (void)cluster;
    return node->roles & ROLE_WORKER && !(node->roles & ROLE_CONTROL_PLANE);
}

bool joins(const struct cluster *cluster, const struct node_entry *node)
{
    return has_kubelet(cluster, node) && !is_first_control_plane(cluster, node);
}
