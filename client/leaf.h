/* leaf.h: certificates of leaves, whoever made them (kubeadm, cfssl, openssl): read with OpenSSL, not held to the form
 * that Ensign writes.  Threads: pure. */
#ifndef ENSIGN_CLIENT_LEAF_H
#define ENSIGN_CLIENT_LEAF_H

#include <openssl/x509.h>

#include "ca/base/cleanup.h"
#include "ca/x509/public_key.h"

AUTO_POINTER(X509, X509_free)

/* The first certificate of a PEM text; NULL when it does not begin with one, or that is a CA's. The caller frees it. */
X509 *leaf_read_pem(struct span pem);
bool leaf_signed_by(X509 *leaf, const struct public_key *issuer);

#endif
