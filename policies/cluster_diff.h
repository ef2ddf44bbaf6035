/* cluster_diff.h: what an update of a cluster file changes, whether it may, and what to know about it.
 *
 * A cluster stays what it is: its name, where etcd runs, and the kind of key that its CAs have cannot be changed by an
 * update. All else can: what was issued before stays valid until it expires, and what it lacks is issued anew.
 * Threads: pure. */
#ifndef ENSIGN_POLICIES_CLUSTER_DIFF_H
#define ENSIGN_POLICIES_CLUSTER_DIFF_H

#include <jansson.h>

#include "policies/cluster.h"

/* Lists that whoever has the difference owns. */
struct cluster_diff {
    /* {"path", "before", "after"}: values of the two files, null where one has none. A path is a pointer (RFC 6901)
     * into the file, but for nodes, which go by name: "/nodes/etcdone/addresses". In order of path; a node that comes
     * or goes is one entry. Empty when the files say the same, perhaps with the nodes in another order. */
    json_t *changes;
    json_t *warnings; /* texts: what does not follow from the update by itself */
};

/* Errors: ERR_INPUT with a reason for each value that cannot be changed, at its pointer; ERR_NOMEM. */
MUST_USE enum err cluster_diff(const struct cluster *before, const struct cluster *after, struct cluster_diff *ret_diff,
                               struct fault *f);
void cluster_diff_cleanup(struct cluster_diff *diff);

#endif
