/* ssh_config.h: the ssh_config(5) for a run: what must be so comes first, then the user's own configuration, then what
 * the cluster file knows of addresses; the first value of a keyword is the one that counts.  Threads: pure. */
#ifndef ENSIGN_CLIENT_BOOTSTRAP_SSH_CONFIG_H
#define ENSIGN_CLIENT_BOOTSTRAP_SSH_CONFIG_H

#include "client/bootstrap/target.h"

/* folder  where control sockets (their number) and known_hosts files (NAME.known) are
 * config  see ssh_open(); absolute or NULL */
void ssh_config_write(struct bytes *out, const struct target *targets, size_t count, const char *folder,
                      const char *config);

#endif
