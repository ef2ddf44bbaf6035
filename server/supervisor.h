/* supervisor.h: the process that keeps the signer and the server alive. It has no threads, never sees a key, and holds
 * the listening sockets, so that connections wait rather than fail while a server is started again.
 *
 *   state/lock             flock: one ensignd on a state folder
 *   state/run/NAME.pid     of supervisor, signer and server
 *   state/run/port         the port that the server listens on */
#ifndef ENSIGN_SERVER_SUPERVISOR_H
#define ENSIGN_SERVER_SUPERVISOR_H

#include "server/config.h"

/* Until SIGTERM or SIGINT. Fails, with nothing changed, when the service cannot be started at all. */
MUST_USE enum err supervisor_run(const struct config *config, struct fault *f);

/* Takes state/lock. CODE_CONFLICT when another ensignd has it.
 *   ret_fd  keeps the lock until it is closed here and in all children */
MUST_USE enum err state_lock(const char *state, int *ret_fd, struct fault *f);

#endif
