/* host_command.h: what the commands that work on a cluster's hosts begin with: its file, the service, the hosts. */
#ifndef ENSIGN_CLIENT_HOST_COMMAND_H
#define ENSIGN_CLIENT_HOST_COMMAND_H

#include "client/bootstrap/bringup.h"
#include "client/bootstrap/upgrade.h"
#include "client/command.h"
#include "client/output.h"
#include "client/session.h"

/* Zeroed at first. It must not move. */
struct host_command {
    enum output_format format;
    struct document *document;
    struct cluster cluster;
    struct session session;
    struct hosts hosts;
    struct bringup bringup;
    struct plan_choice choice; /* by --only */
    bool force;
    /* Its hosts go to another version of Kubernetes, which `cluster` is of then; the cluster file may differ in that,
     * and in where packages come from, from the service's. NULL: they do not. Borrowed. */
    struct upgrade *upgrade;
};

/* Opens all and asks each host what it is like. Refused unless the service has this very file, but see
 * `upgrade`. A host that does not answer is no error here. */
MUST_USE enum err host_command_look(struct host_command *command, const struct arguments *arguments, struct fault *f);
/* Refuses hosts that are not fit or do not answer, all at once, and prints why; and an even number of etcd members,
 * unless --force is given. What else the cluster file is warned of it says. */
MUST_USE enum err host_command_check(struct host_command *command, struct fault *f);
/* The plan of the bring-up, on standard output. Of cmd_bringup.c. */
MUST_USE enum err bringup_plan_print(const struct host_command *command, struct fault *f);
void host_command_cleanup(struct host_command *command);

#endif
