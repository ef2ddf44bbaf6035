/* health.h: whether etcd or the API server of this node serve again after a restart: HTTPS, verified by the cluster's
 * CA. */
#ifndef ENSIGN_CLIENT_AGENT_HEALTH_H
#define ENSIGN_CLIENT_AGENT_HEALTH_H

#include <stdbool.h>

#include "ca/base/span.h"

struct health_request {
    const char *endpoint;                 /* "host:port" */
    const char *path;                     /* "/health" */
    const char *at;                       /* "host:port", which is asked in its place; NULL: nobody is */
    bool named;                           /* its certificate must be for that endpoint; any answer will do */
    struct span bundle, certificate, key; /* PEM; without a client's certificate both are empty */
};

/* One attempt: OK when it answers 200. ERR_IO says what it answers else; ERR_AUTH (CODE_UNTRUSTED) that its
 * certificate is none of the CA's for that name. Unless `named` says so, the name is not compared: it is this node's
 * own address, which need not be among the server's names. */
MUST_USE enum err health_ask(const struct health_request *request, struct fault *f);

#endif
