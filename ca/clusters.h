/* clusters.h: the inventories in memory, by name. Clusters are never changed in place, so pointers stay good. */
#ifndef ENSIGN_CA_CLUSTERS_H
#define ENSIGN_CA_CLUSTERS_H

#include "ca/store.h"
#include "policies/cluster.h"

struct clusters; /* thread-safe */

MUST_USE enum err clusters_load(struct store *store, struct clusters **ret_clusters, struct fault *f);
void clusters_free(struct clusters *clusters);

#endif
