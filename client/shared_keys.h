/* shared_keys.h: a control plane's part in the keys that it shares with the others (ca/shared_key.h,
 * client/envelope.h).
 *
 *     DIR/sealing.key            X25519: what others seal to this node
 *     DIR/shared/NAME.key, .pub  a key that this node has; before it is claimed or taken over the node's own proposal
 *
 * On a node of a cluster that was there before, the proposal is the key that is installed. The node has the key when
 * the public half of what lies in DIR/shared is the one that the service names: so a step that was interrupted is found
 * done or is done again, and a recovered key can be put there. */
#ifndef ENSIGN_CLIENT_SHARED_KEYS_H
#define ENSIGN_CLIENT_SHARED_KEYS_H

#include "ca/base/span.h"

enum { SHARED_KEYS_WAIT_SECONDS = 30 };

struct shared_keys {
    const char *path; /* DIR, of an enrolled node */
    int folder;       /* the same, opened and locked */
    const char *root; /* NULL: nothing is installed */
    int64_t wait_seconds;
};

/* Publishes the node's sealing key; makes and claims the key NAME, or opens the envelope with it; seals it for all who
 * have no envelope yet, the offline receiver among them; says that the node holds it; and installs it below root as
 * etc/kubernetes/pki/NAME.key and NAME.pub.
 * Errors: ERR_CONFLICT  CODE_PENDING: nobody sealed it for this node in time, and who can; CODE_CONFLICT: another key
 * is installed ERR_AUTH      CODE_UNTRUSTED: a sealing key or an envelope is not signed by whom it names. What can be
 * sealed for others is sealed before. */
MUST_USE enum err shared_keys_complete(const struct shared_keys *keys, const char *name, struct fault *f);

#endif
