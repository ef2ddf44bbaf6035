/* process.h: a child process that dies with its parent and says when it is ready or why it cannot be. */
#ifndef ENSIGN_SERVER_PROCESS_H
#define ENSIGN_SERVER_PROCESS_H

#include <stdbool.h>
#include <sys/types.h>

#include "ca/base/span.h"

struct process {
    const char *name;
    pid_t pid;    /* 0: none */
    int ready_fd; /* -1 once it has said which */
    bool silent;  /* it ended without a word: killed, not failed */
};

/* Runs in the child. Writes one byte 'R' to ready_fd when it is ready. A failure becomes what process_ready() says,
 * and the exit status. */
typedef enum err process_main(void *context, int ready_fd, struct fault *f);

/* Fork without exec: the caller has no threads. */
MUST_USE enum err process_start(const char *name, process_main *run, void *context, struct process *ret_process,
                                struct fault *f);

/* Waits until the process is ready or has failed; then fills f with its own fault. */
MUST_USE enum err process_ready(struct process *process, struct fault *f);

#endif
