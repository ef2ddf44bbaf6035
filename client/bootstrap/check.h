/* check.h: whether hosts are fit for the cluster that they shall be: what they say (facts.h) held against the cluster
 * file.  Threads: pure. */
#ifndef ENSIGN_CLIENT_BOOTSTRAP_CHECK_H
#define ENSIGN_CLIENT_BOOTSTRAP_CHECK_H

#include "client/bootstrap/facts.h"
#include "policies/cluster.h"

struct host_report {
    const struct node_entry *node;
    bool answered; /* else there are no facts */
    struct host_facts facts;
    int64_t skew_ms;        /* its clock is ahead of ours by this much, */
    int64_t uncertainty_ms; /* give or take: half of what the question took */
};

/* Hosts with an error cannot be bootstrapped. */
enum finding_level { FINDING_ERROR, FINDING_WARNING, FINDING_NOTE };
extern const char *const finding_level_words[]; /* "error", "warning", "note", NULL */

struct finding {
    const struct node_entry *node; /* NULL: it is of the cluster file */
    enum finding_level level;
    const char *check; /* "clock" */
    char expected[128];
    char seen[256];
    const char *remedy;
};

struct findings {
    struct finding *rows;
    size_t count, capacity, errors;
    bool failed; /* memory ran out */
};

/* The cluster's own CA certificates: SHA-256, hex. */
struct check_authorities {
    bool known;                /* false: nobody was asked which they are */
    const char *const *sha256; /* NULL-terminated, or NULL */
};

/* Adds what the cluster file is warned of.
 *   force  what is refused else, an even number of etcd members, is a warning, too
 * ERR_NOMEM. */
MUST_USE enum err check_cluster(const struct cluster *cluster, bool force, struct findings *findings, struct fault *f);

/* Adds what is found of each host by itself, then of all together. In the order of the reports. ERR_NOMEM. */
MUST_USE enum err check_hosts(const struct cluster *cluster, const struct host_report *reports, size_t count,
                              const struct check_authorities *authorities, struct findings *findings, struct fault *f);
/* Forgets those of one check. */
void findings_drop(struct findings *findings, const char *check);
void findings_cleanup(struct findings *findings);

#define CHECK_VERSION "version" /* of kubeadm and the kubelet, against the cluster file */

#endif
