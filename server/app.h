/* app.h: what every handler can reach. */
#ifndef ENSIGN_SERVER_APP_H
#define ENSIGN_SERVER_APP_H

#include "ca/ca.h"
#include "server/config.h"
#include "server/http.h"
#include "server/metrics.h"
#include "server/throttle.h"

struct app {
    const struct config *config;
    struct ca *ca;
    struct signer *signer;
    struct http_server *http;
    struct metrics *metrics;
    struct {
        struct throttle *failures; /* of authentication, by address */
        struct throttle *refusals; /* that are written to the audit log, by identity */
        struct throttle *requests; /* by identity */
        struct throttle *lines;    /* of the log, about what these refuse; one bucket */
    } limits;
    _Atomic uint64_t strangers;      /* refused callers whom nobody knows, since the last leaf about them */
    _Atomic int64_t usage_looked_at; /* milliseconds */
    _Atomic bool nearly_full;        /* the store, as it was told last */
    int control_fd;                  /* to the supervisor */
};

/* The name of the admin on the Unix socket; no other identity may have it. */
#define CALLER_ROOT "root"

/* server/auth.c */
/* CODE_UNAUTHENTICATED, or CODE_RATE_LIMITED (fault.retry_after_seconds says for how long) for who
 *   - fails to prove who it is more often than its address may; who succeeds is never kept out by failures of others
 *     behind the same address;
 *   - may not use the route, more often than its identity may be told so: the refusal by role is written to the audit
 *     log here, with a leaf each;
 *   - asks more often than its identity may, when there is such a limit. */
http_authenticate auth_authenticate;
/* For ca->denial_admit; context: struct app. */
denial_admit auth_denial_admit;

/* server/observe.c */
http_observe answer_observe;

/* server/routes.c: the table, ended by a row without a method */
extern const struct route routes[];

#endif
