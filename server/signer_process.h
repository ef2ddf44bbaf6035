/* signer_process.h: forks a signer. The parent gets its channel, and never a key. */
#ifndef ENSIGN_SERVER_SIGNER_PROCESS_H
#define ENSIGN_SERVER_SIGNER_PROCESS_H

#include "hsm/seal.h"
#include "server/process.h"

/* create  makes the seal first: for init
 * ret_channel  the server's end */
MUST_USE enum err signer_process_start(const struct seal_config *seal, const char *state, bool create,
                                       struct process *ret_process, int *ret_channel, struct fault *f);

#endif
