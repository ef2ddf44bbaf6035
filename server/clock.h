/* clock.h: time that only goes forward, for deadlines and durations. */
#ifndef ENSIGN_SERVER_CLOCK_H
#define ENSIGN_SERVER_CLOCK_H

#include <stdbool.h>
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

/* For what another process is about to give up: a short pause, and whether to try again. */
static inline bool clock_try_again(int64_t until_milliseconds)
{
    static const struct timespec pause = {0, 20L * 1000 * 1000};
    nanosleep(&pause, NULL);
    return clock_milliseconds() < until_milliseconds;
}

#endif
