/* abort.c: linked into a control build of ensignd with --wrap=fault_no_memory: it ends where memory runs out, as
 * programs do that do not expect it. */
#include <stdlib.h>

#include "ca/base/fault.h"

MUST_USE enum err __wrap_fault_no_memory(struct fault *f);

enum err __wrap_fault_no_memory(struct fault *f)
{
    (void)f;
    abort();
}
