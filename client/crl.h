/* crl.h: the CRL of etcd's CA on the hosts of etcd (--client-crl-file), which etcd reads at each connection: a file
 * that is missing or damaged keeps every client out, so that one that is there gives way only to what is right, and
 * newer. RFC 5280 §5. It lies beside the CA bundle, as crl.der: /etc/etcd/pki/crl.der,
 * /etc/kubernetes/pki/etcd/crl.der. */
#ifndef ENSIGN_CLIENT_CRL_H
#define ENSIGN_CLIENT_CRL_H

#include "client/session.h"
#include "policies/catalogue.h"

struct crl_facts {
    int64_t number;      /* §5.2.3, as far as it is below 2^63 */
    int64_t next_update; /* UTC seconds */
};

/* One DER CRL, and nothing behind it, signed by a CA of the bundle (PEM) that has the name of its issuer, with a
 * number, and valid now. CODE_UNTRUSTED says what is wrong. Pure. */
MUST_USE enum err crl_check(struct span der, struct span bundle, int64_t now, struct crl_facts *ret_facts,
                            struct fault *f);

/* The bundle of etcd's CA on a host of etcd, beside which its CRL lies; NULL: this is none. */
const struct catalogue_item *crl_neighbour(const struct catalogue *catalogue, const char *node);

/* Fetches the CRL, and puts it below root in the place of an older one, or of one that does not parse. One that is
 * older than what is there is ERR_AUTH (CODE_UNTRUSTED). Nothing happens when the service has no CRLs.
 *   bundle     of the service, PEM
 *   ret_facts  of what lies there now; number 0: nothing */
MUST_USE enum err crl_update(struct session *session, int root, const struct catalogue *catalogue, const char *node,
                             struct span bundle, struct crl_facts *ret_facts, struct fault *f);

#endif
