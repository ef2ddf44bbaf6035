/* lint.h: the signer's last look at a draft: parsed strictly and held against the grant of the key,
 * which must be a CA's. Of CRLs the same.  Threads: pure. */
#ifndef ENSIGN_HSM_LINT_H
#define ENSIGN_HSM_LINT_H

#include "ca/x509/grant.h"

/* ERR_DENIED or ERR_INPUT with all reasons; the signer signs nothing that fails here. */
MUST_USE enum err lint_draft(const struct grant *grant, struct span draft, struct fault *f);
MUST_USE enum err lint_crl(const struct grant *grant, struct span draft, struct fault *f);

#endif
