/* metrics.h: what the server counts of itself: answers by route, and the dates of its TLS certificate.
 *
 * Threads: metrics_request() and metrics_tls() from any thread, without a lock; they cost some ten nanoseconds. */
#ifndef ENSIGN_SERVER_METRICS_H
#define ENSIGN_SERVER_METRICS_H

#include "server/http.h"

struct metrics;

/* routes as for http_server_start(); they stay the caller's. */
MUST_USE enum err metrics_new(const struct route *routes, struct metrics **ret_metrics, struct fault *f);
void metrics_free(struct metrics *metrics);

/* An answer. route: one of the table, NULL when the request fits none. */
void metrics_request(struct metrics *metrics, const struct route *route, int status, double seconds);
void metrics_tls(struct metrics *metrics, int64_t not_before, int64_t not_after);

struct metrics_validity {
    int64_t not_before, not_after; /* UTC seconds; 0: not known yet */
};
struct metrics_validity metrics_tls_validity(const struct metrics *metrics);

/* The family ensign_http_request_duration_seconds{route,method,code}: route is the pattern of the table and method is
 * the table's (GET also for HEAD), so that no caller makes a new series; "other" for what fits no row. */
void metrics_requests_write(const struct metrics *metrics, struct bytes *out);

/* The families process_*. What the kernel does not tell is left out. */
void metrics_process_write(const struct metrics *metrics, struct bytes *out);

#endif
