/* holders.h: the control planes that share a certificate, and what each of them has reported of it (ca/deployed.h).
 *
 * These are the control planes of today's inventory that have published a sealing key (ca/shared_key.h): who has not
 * takes no part yet, and need not have the certificate.  Threads: any. */
#ifndef ENSIGN_CA_HOLDERS_H
#define ENSIGN_CA_HOLDERS_H

#include "ca/deployed.h"

struct holder {
    const char *node;
    const struct deployed_certificate *report; /* NULL: it has said nothing of this certificate */
    uint64_t revision;                         /* of its report; 0: it has reported nothing at all */
};

/* Calls visit for each of them, in order of name, until it returns false. What it is given is borrowed for the call.
 *   profile  of a certificate that the cluster shares (catalogue_shares_certificate()) */
typedef bool holder_visit(void *context, const struct holder *holder);
MUST_USE enum err holders_each(struct ca *ca, const struct cluster *cluster, const char *profile, holder_visit *visit,
                               void *context, struct fault *f);

#endif
