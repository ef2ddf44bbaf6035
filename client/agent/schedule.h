/* schedule.h: when a certificate is renewed: after two thirds of its life, less up to a tenth of it, so that nodes
 * which were enrolled together do not come together; at once when the service asks for it.  Threads: pure. */
#ifndef ENSIGN_CLIENT_AGENT_SCHEDULE_H
#define ENSIGN_CLIENT_AGENT_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

enum {
    SCHEDULE_BACKOFF_FIRST_SECONDS = 2,
    SCHEDULE_BACKOFF_MAX_SECONDS = 3600,
    SCHEDULE_BACKOFF_FRACTION = 10, /* a tenth of what is left of the life at most: short lives get several attempts */
};

/* Times are UTC seconds. */
struct schedule_facts {
    int64_t now;
    int64_t issued_at, not_after; /* issued_at: without the profile's backdate */
    uint64_t seed;                /* schedule_seed(): another one for each certificate */
    bool marked;                  /* the service wants it renewed */
    bool blocked;                 /* the service renews nothing of this place */
    unsigned failures;            /* attempts in a row that failed */
    int64_t failed_at; /* the last of them; later than now: the clock was set back, and nothing is waited for */
    int64_t resting;   /* seconds for which it is too fresh to be due, whatever the clock says of its age */
};

enum schedule_verdict {
    SCHEDULE_WAIT,    /* until `at` */
    SCHEDULE_DUE,     /* now */
    SCHEDULE_BLOCKED, /* it needs a new join token */
    SCHEDULE_EXPIRED, /* it needs a new join token */
};

struct schedule {
    enum schedule_verdict verdict;
    int64_t at; /* when it is due, or was; not_after when it is blocked or expired */
};

struct schedule schedule_decide(const struct schedule_facts *facts);

/* The same for the same node, profile and serial; spread evenly. */
uint64_t schedule_seed(const char *node, const char *profile, const char *serial);

/* How long to stay away after this many failures: twice as long each time, up to an hour or a fraction of what is left,
 * less up to a half. */
int64_t schedule_backoff(unsigned failures, int64_t left_seconds, uint64_t seed);

#endif
