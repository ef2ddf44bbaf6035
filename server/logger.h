/* logger.h: one JSON object per line on stderr, written with one write(2).
 *
 *   {"time":"2026-11-21T04:00:00.123Z","level":"info","process":"server","message":"…", …}
 *
 * Callers never pass headers, bodies, query strings or anything else that may hold a secret.
 * Threads: log_open() before any thread is started; the rest from any thread. */
#ifndef ENSIGN_SERVER_LOGGER_H
#define ENSIGN_SERVER_LOGGER_H

#include "server/config.h"

/* process  a string that stays valid: "supervisor", "server", "signer" */
void log_open(enum log_level level, const char *process);
bool log_enabled(enum log_level level);

/* A line of its own. */
void log_message(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* With the members "code" and "detail" of a fault. */
void log_fault(enum log_level level, const char *message, const struct fault *fault);

/* A line made member by member: {0} bytes, log_begin, members, log_end. Empty texts are left out. */
void log_begin(struct bytes *line, enum log_level level, const char *message);
void log_text(struct bytes *line, const char *member, const char *text);
void log_number(struct bytes *line, const char *member, int64_t number);
void log_milliseconds(struct bytes *line, const char *member, double seconds);
void log_reason(struct bytes *line, const struct fault *fault);
void log_end(struct bytes *line); /* writes and frees it */

#endif
