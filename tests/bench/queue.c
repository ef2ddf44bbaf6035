#include "tests/bench/queue.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#include "tests/bench/wire.h"

enum { TICK_MILLISECONDS = 10 };

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct due **heap; /* the earliest first */
    size_t count;
    bool stopping;
} queue = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

void queue_make(size_t capacity)
{
    if (!(queue.heap = calloc(capacity, sizeof(struct due *))))
        stop("no memory");
}

void queue_free(void)
{
    free(queue.heap);
}

static void heap_swap(size_t a, size_t b)
{
    struct due *due = queue.heap[a];
    queue.heap[a] = queue.heap[b];
    queue.heap[b] = due;
}

static bool heap_before(size_t a, size_t b)
{
    return queue.heap[a]->at < queue.heap[b]->at;
}

static struct due *heap_pop(void)
{
    struct due *first = queue.heap[0];
    queue.heap[0] = queue.heap[--queue.count];
    for (size_t at = 0, child; (child = 2 * at + 1) < queue.count; at = child) {
        if (child + 1 < queue.count && heap_before(child + 1, child))
            child++;
        if (!heap_before(child, at))
            break;
        heap_swap(at, child);
    }
    return first;
}

void queue_put(struct due *due)
{
    pthread_mutex_lock(&queue.lock);
    size_t at = queue.count++;
    queue.heap[at] = due;
    for (; at > 0 && heap_before(at, (at - 1) / 2); at = (at - 1) / 2)
        heap_swap(at, (at - 1) / 2);
    pthread_mutex_unlock(&queue.lock);
}

struct due *queue_take(void)
{
    struct due *due = NULL;
    pthread_mutex_lock(&queue.lock);
    while (!queue.stopping && (queue.count == 0 || queue.heap[0]->at > seconds_now()))
        pthread_cond_wait(&queue.changed, &queue.lock);
    if (!queue.stopping)
        due = heap_pop();
    pthread_mutex_unlock(&queue.lock);
    return due;
}

void queue_run(double until, size_t workers)
{
    while (seconds_now() < until) {
        nanosleep(&(struct timespec){.tv_nsec = TICK_MILLISECONDS * 1000000L}, NULL);
        pthread_mutex_lock(&queue.lock);
        for (size_t i = 0; i < queue.count && i < workers && queue.heap[i]->at <= seconds_now(); i++)
            pthread_cond_signal(&queue.changed);
        pthread_mutex_unlock(&queue.lock);
    }
    pthread_mutex_lock(&queue.lock);
    queue.stopping = true;
    pthread_cond_broadcast(&queue.changed);
    pthread_mutex_unlock(&queue.lock);
}
