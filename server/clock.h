/* clock.h: time that only goes forward, for deadlines and durations. */
#ifndef ENSIGN_SERVER_CLOCK_H
#define ENSIGN_SERVER_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline int64_t clock_microseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static inline int64_t clock_milliseconds(void)
{
    return clock_microseconds() / 1000;
}

#endif
