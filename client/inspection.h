/* inspection.h: fetches what should be on the nodes of clusters and what was issued for them, and makes rows of both.
 *
 * Walks the lists once for each cluster, whatever the number of its nodes. Time is the service's, not this machine's:
 * what it calls valid and expired is judged by the same clock, which it guards against jumps; a laptop whose clock is
 * wrong must neither raise an alarm nor keep one back. */
#ifndef ENSIGN_CLIENT_INSPECTION_H
#define ENSIGN_CLIENT_INSPECTION_H

#include "client/api.h"
#include "client/coverage.h"

struct inspection {
    struct api *api; /* borrowed */
    int64_t now, threshold_seconds;
    json_t *service_authorities; /* of the service itself, which issues the identities of nodes: a list of the API */
    /* {"cluster", "node", "name", "profile", "kind", "path", "state", "serial", "authority", "differences",
     *  "deployed", "deployed_serial", "served_serial", "deployed_detail", "seen_at" (client/deployment.h), "not_after",
     *  "residual_time", "residual_seconds", "externally_managed"}, null for what a row does not have. The name is
     *  kubeadm's: "apiserver", "admin.conf"; of a person's or program's "PROFILE/NAME", without a node; "crl" of the
     *  CRL that an agent has installed, which differs when the service has a newer one. */
    json_t *certificates;
    /* The service's, and those of the clusters that were added:
     * {"cluster", "name", "key_identifier", "not_after", "residual_time", "residual_seconds", "externally_managed"} */
    json_t *authorities;
};

/* Asks what time it is, and says on standard error when the service does not trust its clock. */
MUST_USE enum err inspection_open(struct api *api, int64_t threshold_seconds, struct inspection *ret_inspection,
                                  struct fault *f);
void inspection_cleanup(struct inspection *inspection);

/* Adds the rows of a cluster and of its users, or of one of its nodes (node not NULL).
 *
 * A user is expected to go on when a certificate of it is valid; nobody knows whether who let one expire should still
 * have one. Users' certificates live for a month by default, so one expires soon in the last third of its life at the
 * earliest, which is when `ensign user create` asks for another. */
MUST_USE enum err inspection_add(struct inspection *inspection, const char *cluster, const char *node, struct fault *f);
/* Adds the service's own: its TLS certificate, and the newest of each person or program that has one that is valid. */
MUST_USE enum err inspection_add_service(struct inspection *inspection, struct fault *f);

/* How many expire below the threshold, have expired, are missing, differ, or are not in use where they belong, of
 * certificates that should be, of CRLs and of CAs. */
size_t inspection_due(const struct inspection *inspection);

#endif
