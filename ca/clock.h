/* clock.h: what time it is, and whether the machine's clock may be believed. All times of what is issued and recorded
 * come from here.
 *
 * Two things are remembered, in the row "m clock", with each commit of the ledger: the *mark*, which is the latest time
 * that was trusted, and when this machine started, by the clock that was trusted then. How long ago that is
 * (CLOCK_BOOTTIME, which also counts while the machine sleeps) nobody can set, so it says what time it is now:
 *
 *   expected  =  started + time since then
 *   trusted  <=>  within 5 minutes of the expected time, and at most 5 minutes before the mark
 *
 * At the first look after a start of the machine nothing is expected yet: any time from the mark to `max_offline`
 * after it is believed. While the clock is not trusted nothing is issued and the mark stays; that ends when the clock
 * is right again, or when an admin says that it is (clock_acknowledge() in ca/ca.h).
 *
 *   clock_judge.c    the rule, and the stored row: pure
 *   clock_source.c   the one place that asks the machine
 *   clock.c          one clock for all threads */
#ifndef ENSIGN_CA_CLOCK_H
#define ENSIGN_CA_CLOCK_H

#include "ca/store.h"

enum { CLOCK_TOLERANCE_SECONDS = 300, BOOT_ID_SIZE = 16 };

/* Times are UTC seconds since 1970. */
struct clock_state {
    int64_t mark;       /* the latest time that was trusted; 0: none yet, any time is believed */
    int64_t started_at; /* this machine, by the clock that was trusted then; 0: not known */
    uint8_t boot_id[BOOT_ID_SIZE];
};

/* What the machine says. */
struct clock_sample {
    int64_t wall_seconds;
    uint32_t wall_nanoseconds;
    int64_t uptime_seconds; /* since the start of the machine, sleep included */
};

enum clock_verdict { CLOCK_TRUSTED, CLOCK_BEHIND, CLOCK_AHEAD };

struct moment {
    enum clock_verdict verdict;
    int64_t seconds; /* for records: never goes back, and stands still at the mark while the clock is not trusted */
    uint32_t nanoseconds;
    int64_t now;  /* by which expiry is judged: as above; while the clock is not trusted the expected time, and when
                     none is expected the clock's, but never before the mark */
    int64_t wall; /* what the clock says, */
    int64_t earliest, latest; /* and when it would be trusted */
};

/* ---- pure ---- */

/* Judges the sample; a trusted one moves the mark and, at first, says when the machine started. */
void clock_judge(struct clock_state *state, const struct clock_sample *sample, int64_t max_offline_seconds,
                 struct moment *ret_moment);
/* The state in which this sample is right. */
struct clock_state clock_state_from(const struct clock_sample *sample, const uint8_t boot_id[BOOT_ID_SIZE]);
const char *clock_verdict_word(enum clock_verdict verdict); /* "trusted", "behind", "ahead" */
/* ERR_IO (CODE_CLOCK_UNTRUSTED), with the times and the remedy. */
MUST_USE enum err moment_check(const struct moment *moment, struct fault *f);

void clock_state_pack(const struct clock_state *state, struct bytes *out);
MUST_USE enum err clock_state_unpack(struct span row, struct clock_state *ret_state, struct fault *f);

/* ---- the machine ---- */

void clock_sample(struct clock_sample *ret_sample);
/* Another one after each start of the machine; zeros when it cannot be found. */
void clock_boot_id(uint8_t ret_id[BOOT_ID_SIZE]);

/* What a clock is opened with. The id comes from a file: a process that gives up files makes this before. */
struct clock_basis {
    int64_t max_offline_seconds; /* how much later than the mark it may be after a start of the machine */
    uint8_t boot_id[BOOT_ID_SIZE];
};
struct clock_basis clock_basis(int64_t max_offline_seconds);

/* ---- one clock for all threads ---- */

struct clock;

/* The row of the store, as far as it is of this start of the machine; none: any time is believed. */
MUST_USE enum err clock_open(struct store *store, const struct clock_basis *basis, struct clock **ret_clock,
                             struct fault *f);
void clock_close(struct clock *clock);

struct moment clock_read(struct clock *clock);
/* How far ahead a clock may be that is believed after a start of the machine. */
int64_t clock_max_offline(const struct clock *clock);
/* For what needs the right time. ERR_IO (CODE_CLOCK_UNTRUSTED). */
MUST_USE enum err clock_require(struct clock *clock, struct moment *ret_moment, struct fault *f);

/* The ledger's: what it stores, and what an acknowledgement that is durable makes of it. */
struct clock_state clock_remembered(struct clock *clock);
void clock_adopt(struct clock *clock, const struct clock_state *state);

#endif
