/* shared_proposal.h: on a node of a cluster that was there before, the shared key that its API server uses already. */
#ifndef ENSIGN_CLIENT_SHARED_PROPOSAL_H
#define ENSIGN_CLIENT_SHARED_PROPOSAL_H

#include "ca/base/span.h"

/* What lies below root as etc/kubernetes/pki/NAME.key: a secret. ERR_ABSENT also with root NULL. */
MUST_USE enum err shared_proposal(const char *root, const char *name, struct bytes *ret_pem, struct fault *f);

#endif
