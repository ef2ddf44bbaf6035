/* cluster_update.h: another inventory for a cluster that exists.
 *
 * From the commit on, nothing is issued by the inventory before: each issue expects the inventory that it was decided
 * by (cluster_expect()), and is decided anew when that has changed. Tokens and identities of nodes that are removed are
 * refused from then on (server/auth.c); what was issued for them stays listed. */
#ifndef ENSIGN_CA_CLUSTER_UPDATE_H
#define ENSIGN_CA_CLUSTER_UPDATE_H

#include "ca/ca.h"
#include "policies/cluster_diff.h"

struct cluster_update {
    const struct cluster *after; /* the inventory that was asked for: a reference */
    struct cluster_diff diff;
    bool updated; /* false: a dry run, or the document is the same */
};
void cluster_update_cleanup(struct cluster_update *update);

/* The document takes the place of `before`, which the caller has found, and decided on. Is in the audit log with what
 * changed when it returns.
 * Errors: those of cluster_read(); ERR_INPUT of cluster_diff(); ERR_CONFLICT when `before` is not the present inventory
 * any more: of those who update it at the same time one does. CODE_CLOCK_UNTRUSTED, CODE_RESTORED; those of
 * ledger_commit(). */
MUST_USE enum err cluster_update(struct ca *ca, const struct caller *caller, const struct cluster *before,
                                 const struct document *document, bool dry_run, struct cluster_update *ret_update,
                                 struct fault *f);

#endif
