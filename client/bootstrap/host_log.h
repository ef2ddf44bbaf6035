/* host_log.h: what was done on a host, kept in $XDG_STATE_HOME/ensign/CLUSTER/HOST.log (0600): the commands' names, how
 * they ended, and what they printed; never what they were given to read. */
#ifndef ENSIGN_CLIENT_BOOTSTRAP_HOST_LOG_H
#define ENSIGN_CLIENT_BOOTSTRAP_HOST_LOG_H

#include "client/process.h"

/* The folder of a cluster's logs, made when it is absent. */
MUST_USE enum err host_log_folder(const char *cluster, struct bytes *ret_path, int *ret_folder, struct fault *f);
/* Of one host, to append to. */
MUST_USE enum err host_log_open(int folder, const char *host, int *ret_log, struct fault *f);

/* A log that cannot be written to does not stop the work. -1 is no log. */
void host_log_text(int log, const char *format, ...) __attribute__((format(printf, 2, 3)));
void host_log_command(int log, const char *title, int64_t milliseconds, const struct process_result *result);

#endif
