#include "server/verify.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ca/ca.h"
#include "ca/verify.h"
#include "server/process.h"

static enum err database_open_verify(const char *state, struct fault *f)
{
    struct verified verified;
    struct store *store = NULL;
    TRY(ca_store_open(state, &store, f));
    enum err err = database_verify(store, &verified, f);
    store_close(store);
    TRY(err);
    printf("Verified %" PRIu64 " rows: %" PRIu64 " entries of the log, %" PRIu64 " certificates.\n", verified.rows,
           verified.entries, verified.certificates);
    fflush(stdout);
    return OK;
}

static enum err verify_main(void *context, int ready_fd, struct fault *f)
{
    const struct config *config = context;
    TRY(database_open_verify(config->state, f));
    return write(ready_fd, "R", 1) == 1 ? OK : fault_errno(f, "cannot tell what was found");
}

/* In a process of its own: LMDB crashes on some damage. */
enum err verify_run(const struct config *config, struct fault *f)
{
    struct process process;
    TRY(process_start("verification", verify_main, (void *)config, &process, f));
    enum err err = process_ready(&process, f);
    waitpid(process.pid, NULL, 0);
    if (err == OK || !process.silent)
        return err;
    fault_clear(f);
    return fault_set(f, CODE_DAMAGED, "%s/data.mdb is so damaged that reading it crashes: restore a backup",
                     config->state);
}
