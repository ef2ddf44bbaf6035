/* service.h: a whole service in this process, with a signer in another: store, CA, HTTP on a Unix socket. Everybody is
 * an admin. Started by the first call, ended and removed at exit. */
#ifndef ENSIGN_TESTS_FUZZ_SERVICE_H
#define ENSIGN_TESTS_FUZZ_SERVICE_H

#include "ca/base/span.h"

/* A new connection. */
int service_connect(void);

/* Sends all, says that there is no more, and reads until the other side hangs up (at most 10 s). */
void service_exchange(struct span request, struct bytes *ret_answer);

/* Reads one answer of HTTP/1.1 from the beginning of *answers, which is moved behind it, and checks its form: a status
 * other than 500, a length that is true, JSON where it says JSON. Returns the status; 0 when there is no (whole) one.
 *   has_body  the request was not HEAD */
int service_answer_check(struct span *answers, bool has_body);

#endif
