#include "server/http_watch.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "server/clock.h"
#include "server/logger.h"

enum { ROUND_MILLISECONDS = 100 };

struct watch {
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct watch_entry *entries; /* under the mutex */
    size_t count;                /* of them; under the mutex */
    bool stopping;               /* under the mutex */
    _Atomic bool draining;
};

static bool entry_expired(const struct watch *watch, const struct watch_entry *entry, int64_t now)
{
    return (entry->deadline != 0 && entry->deadline <= now) || (watch->draining && !entry->busy);
}

/* The number of entries that are busy. */
static size_t watch_round(struct watch *watch)
{
    int64_t now = clock_milliseconds();
    size_t busy = 0;
    for (struct watch_entry *entry = watch->entries; entry; entry = entry->next) {
        busy += entry->busy;
        if (!entry_expired(watch, entry, now))
            continue;
        if (entry->busy)
            log_message(LOG_LEVEL_INFO, "ended the connection of %s: it took too long", entry->remote);
        watch_deadline(entry, 0);
        shutdown(entry->fd, SHUT_RDWR);
    }
    return busy;
}

/* Waits for a change; with entries at most until the next round. */
static void watch_wait(struct watch *watch)
{
    if (!watch->entries) {
        pthread_cond_wait(&watch->changed, &watch->mutex);
        return;
    }
    int64_t until = clock_milliseconds() + ROUND_MILLISECONDS;
    struct timespec time = {until / 1000, until % 1000 * 1000000};
    while (!watch->stopping && pthread_cond_timedwait(&watch->changed, &watch->mutex, &time) != ETIMEDOUT)
        ;
}

static void *watch_run(void *context)
{
    struct watch *watch = context;
    pthread_mutex_lock(&watch->mutex);
    while (!watch->stopping) {
        watch_wait(watch);
        watch_round(watch);
    }
    pthread_mutex_unlock(&watch->mutex);
    return NULL;
}

enum err watch_new(struct watch **ret_watch, struct fault *f)
{
    struct watch *watch = calloc(1, sizeof *watch);
    if (!watch)
        return fault_no_memory(f);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&watch->mutex, NULL);
    pthread_cond_init(&watch->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    errno = pthread_create(&watch->thread, NULL, watch_run, watch);
    if (errno != 0) {
        enum err err = fault_errno(f, "cannot start a thread");
        free(watch);
        return err;
    }
    *ret_watch = watch;
    return OK;
}

void watch_free(struct watch *watch)
{
    pthread_mutex_lock(&watch->mutex);
    watch->stopping = true;
    pthread_cond_signal(&watch->changed);
    pthread_mutex_unlock(&watch->mutex);
    pthread_join(watch->thread, NULL);
    pthread_cond_destroy(&watch->changed);
    pthread_mutex_destroy(&watch->mutex);
    free(watch);
}

void watch_add(struct watch *watch, struct watch_entry *entry)
{
    pthread_mutex_lock(&watch->mutex);
    entry->previous = NULL;
    entry->next = watch->entries;
    if (entry->next)
        entry->next->previous = entry;
    else
        pthread_cond_signal(&watch->changed);
    watch->entries = entry;
    watch->count++;
    pthread_mutex_unlock(&watch->mutex);
}

void watch_remove(struct watch *watch, struct watch_entry *entry)
{
    pthread_mutex_lock(&watch->mutex);
    if (entry->previous)
        entry->previous->next = entry->next;
    else
        watch->entries = entry->next;
    if (entry->next)
        entry->next->previous = entry->previous;
    watch->count--;
    pthread_mutex_unlock(&watch->mutex);
}

size_t watch_count(struct watch *watch)
{
    pthread_mutex_lock(&watch->mutex);
    size_t count = watch->count;
    pthread_mutex_unlock(&watch->mutex);
    return count;
}

void watch_deadline(struct watch_entry *entry, int milliseconds)
{
    entry->deadline = milliseconds ? clock_milliseconds() + milliseconds : 0;
}

void watch_drain(struct watch *watch, int seconds)
{
    static const struct timespec pause = {0, 20L * 1000 * 1000};
    int64_t until = clock_milliseconds() + (int64_t)seconds * 1000;
    size_t busy;
    watch->draining = true;
    do {
        pthread_mutex_lock(&watch->mutex);
        busy = watch_round(watch);
        pthread_mutex_unlock(&watch->mutex);
        nanosleep(&pause, NULL);
    } while (busy && clock_milliseconds() < until);
}

bool watch_draining(struct watch *watch)
{
    return watch->draining;
}
