/* sandbox.h: what the processes of ensignd give up before they touch a request. One way: nothing is ever given back,
 * and threads and processes that are started later begin without it. In this order, all but sandbox_calls() before the
 * first other thread:
 *
 *                        supervisor      signer           server
 *   sandbox_descriptors                  all others'      all others'
 *   sandbox_privileges   x               x                x
 *   sandbox_libraries                    x                x
 *   sandbox_memory                       locked
 *   sandbox_files                        none are left    the state folder's are left
 *   sandbox_calls        some go         few are left     some are left */
#ifndef ENSIGN_HSM_SANDBOX_H
#define ENSIGN_HSM_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>

#include "ca/base/fault.h"

/* Closes all descriptors but these.
 *   keep  open ones, in any order; sorted on return */
MUST_USE enum err sandbox_descriptors(int *keep, size_t count, struct fault *f);

/* No core dumps, no debugger, no new privileges, no capabilities. The bounding set is emptied where the process may,
 * which root may; the limit of locked memory is lifted where it may, for the signer that is started later. */
MUST_USE enum err sandbox_privileges(struct fault *f);

/* What the libraries load from files, they load now. */
MUST_USE enum err sandbox_libraries(struct fault *f);

/* Locks all memory, present and future; where the limit is not lifted only secrets are locked (secret.h). */
MUST_USE enum err sandbox_memory(struct fault *f);

/* From now on no file can be opened but those below `folder` (NULL: none at all) and, with a folder, what /proc tells
 * the process about itself; no TCP port is bound or connected to, and no other process gets a signal. Nothing is given
 * up where the kernel has no Landlock, or not all of that (Linux 5.13: files; 6.7: ports; 6.12: signals). */
MUST_USE enum err sandbox_files(const char *folder, struct fault *f);
bool sandbox_files_available(void);

/* A system call that the role does not need kills the process from now on. For all threads at once.
 * The supervisor's calls bind the other two as well, which it forks, whatever their libraries do at the start: so its
 * list has what none of them ever needs. The lists of the other two have what they need, and all else kills. */
enum sandbox_role { SANDBOX_SUPERVISOR, SANDBOX_SIGNER, SANDBOX_SERVER };
MUST_USE enum err sandbox_calls(enum sandbox_role role, struct fault *f);

#endif
