/* channel.h: socket pairs between the processes, and handing one end to a process that runs already. */
#ifndef ENSIGN_SERVER_CHANNEL_H
#define ENSIGN_SERVER_CHANNEL_H

#include "ca/base/span.h"

MUST_USE enum err channel_new(int ret_ends[2], struct fault *f); /* SOCK_SEQPACKET, closed on exec */

/* Both with SCM_RIGHTS over a channel. False when the other end is gone. */
bool channel_send_fd(int channel, int fd);
bool channel_receive_fd(int channel, int *ret_fd);

/* The server says that the signer does not answer, and the supervisor hears it. */
void channel_send_stuck(int channel);
bool channel_receive_stuck(int channel);

#endif
