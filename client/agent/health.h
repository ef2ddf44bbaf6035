/* health.h: whether etcd or the API server of this node serve again after a restart: HTTPS, verified by the cluster's
 * CA. */
#ifndef ENSIGN_CLIENT_AGENT_HEALTH_H
#define ENSIGN_CLIENT_AGENT_HEALTH_H

#include "ca/base/span.h"

struct health_request {
    const char *endpoint;                 /* "host:port" */
    const char *path;                     /* "/health" */
    struct span bundle, certificate, key; /* PEM; without a client's certificate both are empty */
};

/* One attempt: OK when it answers 200. ERR_IO (CODE_UNREACHABLE) says what it answers else. The server's name is not
 * compared: it is this node's own address, which need not be among its names. */
MUST_USE enum err health_ask(const struct health_request *request, struct fault *f);

#endif
