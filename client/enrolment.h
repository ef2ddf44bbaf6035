/* enrolment.h: getting a node's certificates with a join token, in steps that can be interrupted and run again.
 *
 *     DIR/context                                              for later commands on this node
 *     DIR/PROFILE/{tls.key,tls.crt,chain.crt,ca.crt}           always one complete set
 *     DIR/.pending/PROFILE/{tls.key,request.csr}               stored before the request is sent, so that the next run
 *                                                              asks again for the same key and gets the same answer */
#ifndef ENSIGN_CLIENT_ENROLMENT_H
#define ENSIGN_CLIENT_ENROLMENT_H

#include "client/session.h"
#include "policies/cluster.h"

enum { ENROLMENT_SHARED_MAX = 8 };

struct enrolment_item {
    const struct profile *profile;
    enum key_algorithm algorithm;
    const char *replaces; /* of a renewal: the serial of the certificate that is installed; else NULL */
    struct span bundle;   /* PEM, borrowed: the CAs that may have issued it; empty: those that come with it */
};

struct enrolment {
    struct session *session;
    int folder;
    const struct profiles *profiles;
    int64_t lifetime_seconds;                  /* what is asked for; 0: the profile's */
    struct document *answer;                   /* of GET /v1/enrolment; of a renewal, GET /v1/clusters/{cluster} */
    const char *cluster, *node, *log_verifier; /* borrowed from it */
    struct enrolment_item items[PROFILES_MAX];
    size_t items_count;
    const char *shared[ENROLMENT_SHARED_MAX]; /* keys that the node shares with others; borrowed from the answer */
    size_t shared_count;
};

/* What the token is for. All certificates of the node are chosen. */
MUST_USE enum err enrolment_fetch(struct enrolment *enrolment, struct fault *f);

/* The certificates that the folder holds already are this node's: ERR_CONFLICT names one of another node, which would
 * be replaced. */
MUST_USE enum err enrolment_check_owner(const struct enrolment *enrolment, struct fault *f);

/* Chooses these profiles instead, each once; with count 0 nothing changes. */
MUST_USE enum err enrolment_choose(struct enrolment *enrolment, const char *const *names, size_t count,
                                   struct fault *f);

/* Leaves a set alone that is complete, not revoked, and has the CA bundle of today; otherwise says why, asks for the
 * certificate, checks it and installs it. */
MUST_USE enum err enrolment_complete(const struct enrolment *enrolment, const struct enrolment_item *item,
                                     struct fault *f);

/* Asks for a successor of what is installed, as the node itself instead of by a token, and installs it: by a key of its
 * own, which is the same until the successor is installed, however often that is interrupted. */
MUST_USE enum err enrolment_renew(const struct enrolment *enrolment, const struct enrolment_item *item,
                                  struct fault *f);

/* Removes what a run that was interrupted left of this profile, unless its renewal is still to be finished. */
MUST_USE enum err enrolment_tidy(const struct enrolment *enrolment, const char *name, struct fault *f);

/* Writes DIR/context, unless it is there or the node has no identity. */
MUST_USE enum err enrolment_context(const struct enrolment *enrolment, struct fault *f);

void enrolment_cleanup(struct enrolment *enrolment);

#endif
