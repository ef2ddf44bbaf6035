/* join_token.h: a join token for a node, made here and known to the service. */
#ifndef ENSIGN_CLIENT_JOIN_TOKEN_H
#define ENSIGN_CLIENT_JOIN_TOKEN_H

#include "client/session.h"

/* The service gets the hash of its secret; the secret goes to the caller, and nowhere else.
 *   ret_text  the token and a line end; a secret */
MUST_USE enum err join_token(struct session *session, const char *cluster, const char *node, int64_t ttl_seconds,
                             struct bytes *ret_text, struct fault *f);

#endif
