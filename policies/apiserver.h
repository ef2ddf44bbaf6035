/* apiserver.h: where a kube-apiserver is reached, and so what its certificate and the kubeconfigs say; as kubeadm has
 * it. Nodes are of the given cluster.  Threads: pure. */
#ifndef ENSIGN_POLICIES_APISERVER_H
#define ENSIGN_POLICIES_APISERVER_H

#include "policies/cluster.h"

enum { APISERVER_PORT = 6443, SERVER_URL_SIZE = DNS_NAME_MAX + 24 };

/* The address of the Service "kubernetes": the first behind the subnet's own. */
struct address apiserver_service_address(const struct cluster *cluster);

/* Adds, in kubeadm's order: kubernetes, kubernetes.default, kubernetes.default.svc, kubernetes.default.svc.DNSDOMAIN;
 * the service address, the node's first address (what it advertises), the host of controlPlaneEndpoint,
 * apiServer.certSANs. The node's name is not among them. Fills whatever it can before ERR_NOMEM. */
MUST_USE enum err apiserver_names_add(const struct cluster *cluster, const struct node_entry *node,
                                      struct alternative_names *names, struct fault *f);

/* "https://host:port": of controlPlaneEndpoint; without one, of the node's own API server if it is a control plane,
 * else of the first control plane's. */
void apiserver_url(const struct cluster *cluster, const struct node_entry *node, char ret_url[SERVER_URL_SIZE]);
/* Of the API server on this control plane. */
void apiserver_url_local(const struct node_entry *node, char ret_url[SERVER_URL_SIZE]);

#endif
