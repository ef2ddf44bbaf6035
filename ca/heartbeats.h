/* heartbeats.h: when each node's agent was last heard of. In memory only: it changes with every call of an agent, and
 * nothing is decided by it.  Threads: any. */
#ifndef ENSIGN_CA_HEARTBEATS_H
#define ENSIGN_CA_HEARTBEATS_H

#include "ca/base/span.h"

struct heartbeats;

MUST_USE enum err heartbeats_new(struct heartbeats **ret_heartbeats, struct fault *f);
void heartbeats_free(struct heartbeats *heartbeats);

/* now: UTC seconds. Without memory it is as if nothing was heard. */
void heartbeat(struct heartbeats *heartbeats, const char *cluster, const char *node, int64_t now);
/* 0: not since the service was opened. */
int64_t heartbeat_at(struct heartbeats *heartbeats, const char *cluster, const char *node);

#endif
