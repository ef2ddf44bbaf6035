/* predecessor.h: what kubeadm, cfssl or openssl put where a file of Ensign's is to lie, on a node of a cluster that was
 * there before (ensign cluster adopt). It may go when nothing is lost with it:
 *
 *   certificate   one CA of the bundle issued it; it has the new one's common name (whose of etcd's nobody reads), and
 *                 no name or address that the new one has not
 *   key           the one of such a certificate beside it
 *   kubeconfig    for one user, with nothing in it but what ours have; the same server; such a certificate
 *   CA bundle     no certificate that is not in the new one
 *
 * Threads: pure. */
#ifndef ENSIGN_CLIENT_PREDECESSOR_H
#define ENSIGN_CLIENT_PREDECESSOR_H

#include "policies/catalogue.h"

/* A certificate, kubeconfig or CA bundle.
 *   item    what comes in its place
 *   bundle  PEM: the certificates of the item's CA
 * Errors: ERR_INPUT says what would be lost. */
MUST_USE enum err predecessor_check(const struct catalogue_item *item, struct span bundle, struct span present,
                                    struct fault *f);
/* A key; certificate: what lies beside it. Errors as above. */
MUST_USE enum err predecessor_check_key(const struct catalogue_item *item, struct span bundle, struct span certificate,
                                        struct span key, struct fault *f);

#endif
