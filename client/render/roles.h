/* roles.h: what a host is in its cluster: which programs run there, and so which files and steps it has.  Threads:
 * pure. */
#ifndef ENSIGN_CLIENT_RENDER_ROLES_H
#define ENSIGN_CLIENT_RENDER_ROLES_H

#include "policies/cluster.h"

typedef bool node_is(const struct cluster *cluster, const struct node_entry *node);

node_is is_any, has_kubelet, has_containerd, has_crio, has_external_etcd, has_haproxy, has_nginx, has_kube_vip;
node_is has_balancer;   /* a program of its own: HAProxy or nginx */
node_is is_etcd_member; /* external or stacked */
node_is has_bridge;
node_is is_control_plane, is_first_control_plane, is_further_control_plane, is_only_worker;
node_is joins; /* has a kubelet, but kubeadm init does not run there */

#endif
