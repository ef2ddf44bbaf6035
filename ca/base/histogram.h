/* histogram.h: how long things took, as counts per bucket: what a Prometheus histogram is made of.
 *
 * Counts only grow and begin at 0 with the process. Threads: any; observing takes no lock. A reader that comes in the
 * middle may find a sum that is a few observations ahead of the counts, or behind them. */
#ifndef ENSIGN_CA_BASE_HISTOGRAM_H
#define ENSIGN_CA_BASE_HISTOGRAM_H

#include <stdint.h>

enum { HISTOGRAM_BUCKETS = 14 };

/* The upper bounds, ascending. */
extern const int64_t histogram_bounds_microseconds[HISTOGRAM_BUCKETS];

struct histogram {                                  /* {0} is empty */
    _Atomic uint64_t counts[HISTOGRAM_BUCKETS + 1]; /* each bucket's own; the last is above all bounds */
    _Atomic uint64_t sum_microseconds;
};

/* Time that only goes forward, to take differences of. */
int64_t histogram_clock_microseconds(void);

void histogram_observe(struct histogram *histogram, int64_t microseconds);

#endif
