/* install_node.h: installing what the catalogue has for the node of an enrolment: certificates and keys from its sets,
 * CA bundles from the service. Where everything lies this program works out from the cluster file: the service names no
 * path (but see `paths` in policies/cluster.h). */
#ifndef ENSIGN_CLIENT_INSTALL_NODE_H
#define ENSIGN_CLIENT_INSTALL_NODE_H

#include "client/enrolment.h"
#include "client/install.h"

enum { AUTHORITIES_MAX = 4 };

struct install_node {
    const struct enrolment *enrolment;
    bool whole; /* all that the node has; else only what the chosen profiles are for */
    int root;   /* opened */
    bool force;
    struct cluster cluster;
    struct catalogue catalogue;            /* of this node */
    struct bytes bundles[AUTHORITIES_MAX]; /* in the order of cluster_authorities; empty where the node needs none */
};

/* Given the enrolment, `whole`, root and `force`: reads the rest from the service. ERR_AUTH when the cluster file that
 * it names is not of this node. */
MUST_USE enum err install_node_open(struct install_node *node, struct fault *f);

/* What install_node_write() would refuse, as far as that can be told from the sets that are there already. */
MUST_USE enum err install_node_check(const struct install_node *node, struct fault *f);

/* Whether all of it is there already, as it should be. Errors: what install_node_write() would refuse. */
MUST_USE enum err install_node_whole(const struct install_node *node, bool *ret_whole, struct fault *f);

/* When all sets are complete. What is shared by several nodes is left out. */
MUST_USE enum err install_node_write(const struct install_node *node, struct fault *f);

/* The certificates of a CA, PEM; empty where the node needs none. */
struct span install_node_bundle(const struct install_node *node, const char *authority);

void install_node_cleanup(struct install_node *node);

#endif
