#include "client/render/files.h"

static bool has_kubelet(const struct cluster *cluster, const struct node_entry *node)
{
    (void)cluster;
    return node->roles & (ROLE_CONTROL_PLANE | ROLE_WORKER);
}

static bool has_containerd(const struct cluster *cluster, const struct node_entry *node)
{
    return has_kubelet(cluster, node) && cluster->bootstrap.runtime == RUNTIME_CONTAINERD;
}

static bool has_crio(const struct cluster *cluster, const struct node_entry *node)
{
    return has_kubelet(cluster, node) && cluster->bootstrap.runtime == RUNTIME_CRIO;
}

static bool has_external_etcd(const struct cluster *cluster, const struct node_entry *node)
{
    return node->roles & ROLE_ETCD && cluster->etcd_topology == ETCD_EXTERNAL;
}

static bool balances(const struct cluster *cluster, const struct node_entry *node, enum balancer balancer)
{
    return node->roles & ROLE_LOAD_BALANCER && cluster->bootstrap.balancer == balancer;
}

static bool has_haproxy(const struct cluster *cluster, const struct node_entry *node)
{
    return balances(cluster, node, BALANCER_HAPROXY);
}

static bool has_nginx(const struct cluster *cluster, const struct node_entry *node)
{
    return balances(cluster, node, BALANCER_NGINX_KEEPALIVED);
}

static bool has_kube_vip(const struct cluster *cluster, const struct node_entry *node)
{
    return node->roles & ROLE_CONTROL_PLANE && cluster->bootstrap.balancer == BALANCER_KUBE_VIP;
}

static bool is_first(const struct cluster *cluster, const struct node_entry *node)
{
    return node == cluster_first_control_plane(cluster);
}

static bool joins(const struct cluster *cluster, const struct node_entry *node)
{
    return has_kubelet(cluster, node) && !is_first(cluster, node);
}

static bool has_bridge(const struct cluster *cluster, const struct node_entry *node)
{
    return has_kubelet(cluster, node) && cluster->bootstrap.cni == CNI_BRIDGE;
}

const struct render_file render_files[] = {
    {RENDER_HOST, "/etc/modules-load.d/ensign.conf", 0644, has_kubelet, render_modules},
    {RENDER_HOST, "/etc/sysctl.d/90-ensign.conf", 0644, has_kubelet, render_sysctls},
    {RENDER_HOST, "/etc/containerd/config.toml", 0644, has_containerd, render_containerd},
    {RENDER_HOST, "/etc/crio/crio.conf.d/90-ensign.conf", 0644, has_crio, render_crio},
    {RENDER_HOST, "/etc/crictl.yaml", 0644, has_kubelet, render_crictl},
    {RENDER_HOST, "/etc/default/kubelet", 0644, has_kubelet, render_kubelet},
    {RENDER_ETCD, "/etc/default/etcd", 0644, has_external_etcd, render_etcd},
    {RENDER_ETCD, "/etc/systemd/system/etcd.service.d/ensign.conf", 0644, has_external_etcd, render_etcd_unit},
    {RENDER_LOAD_BALANCER, "/etc/haproxy/haproxy.cfg", 0644, has_haproxy, render_haproxy},
    {RENDER_LOAD_BALANCER, "/etc/nginx/nginx.conf", 0644, has_nginx, render_nginx},
    {RENDER_LOAD_BALANCER, "/etc/keepalived/keepalived.conf", 0600, has_nginx, render_keepalived},
    {RENDER_LOAD_BALANCER, "/etc/kubernetes/manifests/kube-vip.yaml", 0600, has_kube_vip, render_kube_vip},
    {RENDER_KUBEADM, RENDER_KUBEADM_PATH, 0600, is_first, render_kubeadm_init},
    {RENDER_KUBEADM, RENDER_KUBEADM_PATH, 0600, joins, render_kubeadm_join},
    {RENDER_CNI, "/etc/cni/net.d/10-ensign-bridge.conflist", 0644, has_bridge, render_cni_bridge},
    {RENDER_CNI, "/etc/systemd/system/" RENDER_ROUTES_UNIT, 0644, has_bridge, render_cni_routes},
    {0},
};
