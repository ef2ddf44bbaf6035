/* agent.h: what keeps a node's certificates alive: `ensign agent`, one thread, as root on each node.
 *
 * A turn looks at all that the catalogue has for the node. A certificate that is due is renewed in steps that can be
 * interrupted anywhere: key and request are stored, the successor is asked for with this key however often it takes,
 * checked, and put into the node's folder as one set; from there it is installed where kubeadm and etcd look; who reads
 * it only at its start is restarted; what is shown over TLS is compared; the service is told. Each certificate is for
 * itself: one that fails is tried again, later each time, and holds up no other. A kubeconfig gets another server once
 * that one can be used (server_change.c).
 *
 * Between turns the agent waits for the service to have work; without that it goes by time. Who never lets it wait
 * makes it pause. What it fetched before is not sent again while it is the same (client/answers.h). */
#ifndef ENSIGN_CLIENT_AGENT_AGENT_H
#define ENSIGN_CLIENT_AGENT_AGENT_H

#include <stdbool.h>

#include "ca/base/fault.h"

struct agent_options {
    const char *sets;          /* the node's folder */
    const char *root;          /* NULL: nothing is installed */
    const char *settings_path; /* of agent.yaml */
    bool settings_required;
    const char *metrics_path; /* NULL: none */
    bool once;                /* one turn */
};

/* Until SIGTERM or SIGINT, or, with `once`, until all that is due is done or was tried.
 * Errors of `once`: CODE_EXPIRING something needs a new join token; CODE_PENDING something waits for others; those of
 * what failed. */
MUST_USE enum err agent_run(const struct agent_options *options, struct fault *f);

#endif
