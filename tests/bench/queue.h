/* queue.h: who is due next, for many threads. There is one queue.  Threads: any. */
#ifndef ENSIGN_TESTS_BENCH_QUEUE_H
#define ENSIGN_TESTS_BENCH_QUEUE_H

#include <stddef.h>

/* What is queued begins with this. */
struct due {
    double at; /* seconds of the monotonic clock */
};

void queue_make(size_t capacity); /* before others use it */
void queue_free(void);
void queue_put(struct due *due);
/* Waits for the next whose time has come; NULL at the end. */
struct due *queue_take(void);
/* Wakes as many of these workers as are needed, every tick, until that time; then there is nothing to take any more. */
void queue_run(double until, size_t workers);

#endif
