/* inventory.h: the nodes of a cluster file, and that no name or address stands at two of them. */
#ifndef ENSIGN_POLICIES_INVENTORY_H
#define ENSIGN_POLICIES_INVENTORY_H

#include "policies/cluster.h"

/* Fills cluster->nodes from the list, reporting what is wrong as reasons. ERR_NOMEM. */
MUST_USE enum err inventory_read(const struct node *list, struct cluster *cluster, struct fault *f);

#endif
