/* program.h: a program that the agent runs: without a shell, for a limited time, its output kept for a report. */
#ifndef ENSIGN_CLIENT_AGENT_PROGRAM_H
#define ENSIGN_CLIENT_AGENT_PROGRAM_H

#include "ca/base/span.h"

/* Runs words[0] (found by $PATH) with these arguments (NULL-terminated) as process.h does, standard input empty.
 * ret_output gets the beginning of what it wrote. ERR_ABSENT: there is no such program. ERR_IO: it could not be
 * started, did not exit with 0, or was killed; the text has the output. */
MUST_USE enum err program_run(const char *const *words, int64_t timeout_seconds, struct bytes *ret_output,
                              struct fault *f);

#endif
