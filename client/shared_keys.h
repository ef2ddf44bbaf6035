/* shared_keys.h: a control plane's part in the keys that it shares with the others (ca/shared_key.h,
 * client/envelope.h).
 *
 *     DIR/sealing.key            X25519: what others seal to this node
 *     DIR/shared/NAME.key, .pub  a key that this node has; .pub of one without a certificate
 *     DIR/shared/NAME.new        its own proposal, before the service names it as the cluster's
 *     DIR/NAME                   key, certificate, chain and CA bundle of one with a certificate: a set as enrolment's
 *
 * The node has the key when the public half of NAME.key is the one that the service names: so a step that was
 * interrupted is found done or is done again, and a recovered key can be put there. On a
 * node of a cluster that was there before, what it claims is the key that is installed. */
#ifndef ENSIGN_CLIENT_SHARED_KEYS_H
#define ENSIGN_CLIENT_SHARED_KEYS_H

#include "client/answers.h"

enum { SHARED_KEYS_WAIT_SECONDS = 30 };

struct shared_keys {
    const char *path; /* DIR, of an enrolled node */
    int folder;       /* the same, opened and locked */
    const char *root; /* NULL: nothing is installed */
    bool force;       /* replaces files there that are not ensign's */
    int64_t wait_seconds;
    int64_t lifetime_seconds; /* of a certificate that is asked for; 0: the profile's */
    struct answers *answers;  /* what the service said before (client/answers.h); NULL: none is kept */
};

/* For each of these keys, or with count 0 for all that the cluster shares: publishes the node's sealing key; makes and
 * claims the key, and obtains its certificate if it is one that has such, or opens the envelope with it; seals it for
 * all who have no envelope yet, the offline receiver among them; says that the node holds it; and installs it where the
 * catalogue has it. What keeps one key from this node keeps no other.
 * Errors, the first of them, CODE_PENDING last:
 *   ERR_CONFLICT  CODE_PENDING: nobody sealed it for this node in time, and who can; CODE_CONFLICT: what lies where it
 *                 belongs is not ensign's (client/install.h): then it is not claimed either
 *   ERR_AUTH      CODE_UNTRUSTED: a sealing key or an envelope is not signed by whom it names, or the certificate is
 * not the key's. What can be sealed for others is sealed before. */
MUST_USE enum err shared_keys_complete(const struct shared_keys *keys, const char *const *names, size_t count,
                                       struct fault *f);

/* Renews the certificate that goes with a key, as the custodian of the next generation: with a new key, which takes the
 * way of the first one to all others, who get it by shared_keys_complete(). What is installed stays until all of the
 * new is there. When another node renews it at the same time, its key is taken. CODE_USAGE for a key without a
 * certificate; else as shared_keys_complete(). */
MUST_USE enum err shared_keys_renew(const struct shared_keys *keys, const char *name, struct fault *f);

#endif
