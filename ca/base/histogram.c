#include "ca/base/histogram.h"

#include <stdatomic.h>
#include <time.h>

/* From a read out of the page cache to the 30 s that a signer has. */
const int64_t histogram_bounds_microseconds[HISTOGRAM_BUCKETS] = {
    500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000, 2500000, 10000000, 30000000,
};

int64_t histogram_clock_microseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

void histogram_observe(struct histogram *histogram, int64_t microseconds)
{
    int bucket = 0;
    while (bucket < HISTOGRAM_BUCKETS && microseconds > histogram_bounds_microseconds[bucket])
        bucket++;
    atomic_fetch_add_explicit(&histogram->counts[bucket], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&histogram->sum_microseconds, microseconds > 0 ? (uint64_t)microseconds : 0,
                              memory_order_relaxed);
}
