/* listen.h: the sockets that the service listens on. They do not block: a connection that is gone again before it is
 * accepted would stop the server. */
#ifndef ENSIGN_SERVER_LISTEN_H
#define ENSIGN_SERVER_LISTEN_H

#include "server/config.h"

/* ret_port  the one that was bound: another than the configured one when that is 0. CODE_CONFLICT: port in use. */
MUST_USE enum err listen_tcp(const struct config *config, int *ret_fd, unsigned *ret_port, struct fault *f);
/* Replaces a socket that nobody listens on any more; mode 0600. */
MUST_USE enum err listen_unix(const char *path, int *ret_fd, struct fault *f);

#endif
