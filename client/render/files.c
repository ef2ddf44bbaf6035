#include "client/render/files.h"

#include "client/render/roles.h"

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
    {RENDER_STATIC_POD, "/etc/kubernetes/manifests/kube-vip.yaml", 0600, has_kube_vip, render_kube_vip},
    {RENDER_KUBEADM, RENDER_KUBEADM_PATH, 0600, is_first_control_plane, render_kubeadm_init},
    {RENDER_KUBEADM, RENDER_KUBEADM_PATH, 0600, joins, render_kubeadm_join},
    {RENDER_SETTINGS, RENDER_SETTINGS_PATH, 0600, is_control_plane, render_settings},
    {RENDER_CNI, "/etc/cni/net.d/10-ensign-bridge.conflist", 0644, has_bridge, render_cni_bridge},
    {RENDER_CNI, "/etc/systemd/system/" RENDER_ROUTES_UNIT, 0644, has_bridge, render_cni_routes},
    {0},
};
