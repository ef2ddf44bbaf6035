/* fitness.h: whether hosts are fit for their cluster, as `ensign cluster check` and what comes after it tell it. */
#ifndef ENSIGN_CLIENT_FITNESS_H
#define ENSIGN_CLIENT_FITNESS_H

#include "client/bootstrap/hosts.h"
#include "client/session.h"

struct hosts_options hosts_options_read(const struct arguments *arguments);

/* Adds what is found of the cluster file and of its hosts.
 *   session  which CAs are the cluster's own; NULL: nobody is asked
 *   force    see check_cluster() */
MUST_USE enum err fitness_check(struct session *session, const struct hosts *hosts, bool force,
                                struct findings *findings, struct fault *f);

/* On standard output: what was found, and, for programs, what each host said.
 *   ret_errors  of findings and of hosts that did not answer */
MUST_USE enum err fitness_print(const struct hosts *hosts, const struct findings *findings, enum output_format format,
                                size_t *ret_errors, struct fault *f);

/* A fault begins with the host that it is of: what it says besides, where that stands in another column. */
const char *without_host(const char *text, const char *name);

/* OK when there are none. */
MUST_USE enum err fitness_refused(const struct hosts *hosts, size_t errors, struct fault *f);

#endif
