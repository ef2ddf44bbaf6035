/* revocation.h: certificates revoked by what they are for. */
#ifndef ENSIGN_CLIENT_REVOCATION_H
#define ENSIGN_CLIENT_REVOCATION_H

#include <jansson.h>

#include "client/session.h"

/* Of a cluster, all valid ones that match; tells of join tokens that went with them, and of a CRL that is late.
 *   selector  {reason, and node, profile, user as far as they matter}
 *   ret_list  {items: [certificate]}; owned */
MUST_USE enum err revocations_make(struct session *session, const char *cluster, const json_t *selector,
                                   json_t **ret_list, struct fault *f);

/* Tells why no CRL lists what was revoked; not a text: one does. */
void revocation_crl_tell(const json_t *problem);

#endif
