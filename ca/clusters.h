/* clusters.h: the inventories in memory, by name. An inventory is never changed in place: an update puts another one
 * there, and who has a reference to the one before keeps that. What is decided by an inventory goes in only while it is
 * the present one (cluster_expect() in ca.h): an update writes the row "v <cluster>", which that expects unchanged. */
#ifndef ENSIGN_CA_CLUSTERS_H
#define ENSIGN_CA_CLUSTERS_H

#include "ca/store.h"
#include "policies/cluster.h"

struct ca;
struct clusters; /* thread-safe */

MUST_USE enum err clusters_load(struct store *store, struct clusters **ret_clusters, struct fault *f);
void clusters_free(struct clusters *clusters);

/* ---- for those who change them ---- */

/* One that nobody else knows of yet, with one reference. Errors: those of cluster_read(). */
MUST_USE enum err cluster_new(const struct document *document, const struct cluster **ret_cluster, struct fault *f);

const struct cluster *cluster_reference(const struct cluster *cluster);

/* One creation or update at a time. */
void clusters_lock(struct ca *ca);
void clusters_unlock(struct ca *ca);

/* Puts it in the place of the one of its name, which is there, after its commit; under clusters_lock(). When it fails
 * nothing is issued for the cluster before the next start, since the one in memory is not the one in the store. */
MUST_USE enum err clusters_replace(struct ca *ca, const struct cluster *take_cluster, struct fault *f);

#endif
