/* sandbox.h: what the signer's process gives up before it touches a request. One way: nothing is ever given back. */
#ifndef ENSIGN_HSM_SANDBOX_H
#define ENSIGN_HSM_SANDBOX_H

#include <stddef.h>

#include "ca/base/fault.h"

/* No core dumps, no debugger, no new privileges; killed when its parent dies; no descriptors but those to keep and
 * stderr. SIGINT and SIGTERM are ignored, because the signer ends with its channel: a server that drains still signs.
 *   keep  ascending, above 2 */
MUST_USE enum err sandbox_process(const int *keep, size_t count, struct fault *f);

/* Locks the memory (where the limit allows: else only secrets are locked, see secret.h), then drops all capabilities.
 * Before the first thread, which inherits both. */
MUST_USE enum err sandbox_privileges(struct fault *f);

/* From now on any system call that signing does not need kills the process; opening a file only fails. For all threads
 * at once. */
MUST_USE enum err sandbox_calls(struct fault *f);

#endif
