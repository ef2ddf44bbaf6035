/* hooks.h: who reads a file that was put into place, and how it comes to use it.
 *
 * etcd and kube-apiserver read their certificates and keys again by themselves (a "hot" reload): etcd at each
 * handshake; the API server what it serves with while it runs, as soon as it has noticed the change, and the pair by
 * which it is etcd's client with its next connection. The CA bundles that etcd, an API server as etcd's client and
 * kube-controller-manager trust are read at the start only, and a kubeconfig that embeds its certificate is never read
 * again: there the program is restarted. A static pod is restarted by stopping its container, which the kubelet starts
 * again at once: its manifest stays where it is, so an agent that dies meanwhile leaves nothing behind.
 *
 * Who restarts what others in the cluster depend on holds the service's lease of that group.  Threads: pure. */
#ifndef ENSIGN_CLIENT_AGENT_HOOKS_H
#define ENSIGN_CLIENT_AGENT_HOOKS_H

#include "policies/catalogue.h"

enum hook_kind {
    HOOK_CONTAINER, /* stop the container `subject` */
    HOOK_UNIT,      /* systemctl restart `subject` */
};

enum hook_health { HEALTH_NONE, HEALTH_ETCD, HEALTH_APISERVER };

struct hook {
    enum hook_kind kind;
    const char *subject;
    const char *group; /* of the lease that is needed; NULL: none */
    enum hook_health health;
};

enum { HOOKS_MAX = 2 };

/* What follows a change of this item on its node, in this order; the number of them, 0 when all that use it are hot. */
size_t hooks_of(const struct cluster *cluster, const struct catalogue_item *item, struct hook ret_hooks[HOOKS_MAX]);

/* The ports of the node's own programs that show a certificate of this profile; the second may be 0. False: nobody
 * shows it to who connects. */
bool served_ports(const char *profile, unsigned ret_ports[2]);

#endif
