/* process.h: one program, run to its end: bytes in, bytes out, and never longer or more than allowed.
 *
 * It has a session of its own, so it cannot ask anything on the terminal, and a Ctrl-C there does not reach it; the
 * caller's stop descriptor does. What runs too long, prints too much or is stopped is killed with its whole process
 * group. Threads: any number at the same time. */
#ifndef ENSIGN_CLIENT_PROCESS_H
#define ENSIGN_CLIENT_PROCESS_H

#include "ca/base/span.h"

struct process {
    const char *const *arguments; /* NULL-terminated; the first is looked up in PATH */
    struct span input, more;      /* its standard input, one behind the other; then end of file */
    int output_file;              /* > 0: its standard output, of which nothing is read here then */
    int64_t deadline_ms;          /* from its start; > 0 */
    size_t output_max;            /* bytes, of standard output and of standard error each */
    bool output_cut;              /* what is more is thrown away; else the program is killed */
    int stop;                     /* readable when everything is to end; -1: never */
};

enum process_end { PROCESS_EXITED, PROCESS_LATE, PROCESS_FLOODED, PROCESS_STOPPED };

struct process_result {
    enum process_end end;
    int status;                 /* exit code, or 128 and the signal's number; of PROCESS_EXITED only */
    struct bytes output, error; /* what it had printed by then */
};

/* ERR_IO when it cannot be started. What it prints is waited for until it exits, not until its last child closes it. */
MUST_USE enum err process_run(const struct process *process, struct process_result *ret_result, struct fault *f);
void process_result_cleanup(struct process_result *result); /* wipes it */

int64_t clock_monotonic_ms(void);

#endif
