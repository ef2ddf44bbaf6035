/* serve.h: the process that faces the network: it has the store and the API, and no CA key. */
#ifndef ENSIGN_SERVER_SERVE_H
#define ENSIGN_SERVER_SERVE_H

#include "server/config.h"

struct serve {
    const struct config *config;
    int listen_fd, unix_fd;
    int control_fd; /* brings the channels of new signers; its end is the supervisor's */
    int lock_fd;    /* kept open: the lock on the state folder is the server's too */
};

/* Gives up what serving does not need (hsm/sandbox.h), and all descriptors but these and stdio: the supervisor's copies
 * would keep channels open whose owner has died. Then runs until SIGTERM, which lets the requests in progress end.
 * SIGHUP looks at the TLS certificate at once. Writes 'R' to ready_fd when it serves. context: struct serve. */
MUST_USE enum err serve_run(void *context, int ready_fd, struct fault *f);

#endif
