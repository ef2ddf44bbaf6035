/* target.h: how each node of a cluster file is reached by SSH.  Threads: pure. */
#ifndef ENSIGN_CLIENT_BOOTSTRAP_TARGET_H
#define ENSIGN_CLIENT_BOOTSTRAP_TARGET_H

#include "policies/cluster.h"

struct target {
    const struct node_entry *node;
    char address[ADDRESS_TEXT_SIZE]; /* where the user's ssh configuration has no HostName for the node's name */
    const char *standard_user;       /* the same of User */
    const char *forced_address;      /* of the cluster file: stronger than the configuration; NULL: none */
    unsigned port;                   /* the same; 0: none */
    const char *user;                /* the same; NULL: none */
    const char *host_key;            /* "type base64": this and no other; NULL: as known_hosts has it */
};

/* One for each node, in the order of the file. Borrows from the cluster; owned array, freed with free(). */
MUST_USE enum err targets_make(const struct cluster *cluster, struct target **ret_targets, struct fault *f);

#endif
