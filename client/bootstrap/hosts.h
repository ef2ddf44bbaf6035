/* hosts.h: the hosts of a cluster, as a command works with them: reached, looked at, all at the same time. */
#ifndef ENSIGN_CLIENT_BOOTSTRAP_HOSTS_H
#define ENSIGN_CLIENT_BOOTSTRAP_HOSTS_H

#include "client/bootstrap/check.h"
#include "client/bootstrap/interrupt.h"
#include "client/bootstrap/runner.h"

struct hosts_options {
    const char *ssh_config;         /* NULL: the user's and the system's */
    const char *sudo_password_file; /* NULL: asked for where it is needed */
    size_t parallel;                /* > 0 */
};

struct hosts {
    struct cluster *cluster;
    size_t count;
    struct interrupt interrupt;
    struct target *targets;
    struct ssh ssh;
    struct runner runner;
    int logs;
    struct bytes logs_path;
    struct host_report *reports; /* one per node, in the order of the cluster file */
    const char ***files;         /* what each is asked for besides (facts_question); borrowed. NULL: nothing */
    struct outcome *outcomes;    /* what each node came to */
};

/* The cluster must outlive the hosts, which must not move. */
MUST_USE enum err hosts_open(struct cluster *cluster, const struct hosts_options *options, struct hosts *hosts,
                             struct fault *f);
/* Ends the connections; a signal that came meanwhile ends the program here. */
void hosts_cleanup(struct hosts *hosts);

/* Connects, becomes root and asks all hosts for their facts. Hosts where that fails have an outcome that says why, and
 * no facts. Errors: only what concerns all of them. */
MUST_USE enum err hosts_look(struct hosts *hosts, const struct hosts_options *options, struct fault *f);

bool hosts_answered(const struct hosts *hosts); /* all of them */

/* ERR_IO: a signal has come, which ends the program when the hosts are left. */
MUST_USE enum err hosts_interrupted(const struct hosts *hosts, struct fault *f);

/* Asks all of them again, who have answered before. ERR_IO: one does not any more. */
MUST_USE enum err hosts_look_again(struct hosts *hosts, struct fault *f);

#endif
