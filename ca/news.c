#include "ca/news.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { READERS_MAX = 256 };

struct news {
    pthread_mutex_t mutex;
    struct news_reader *readers; /* under the mutex, as all of them is */
    size_t count, max;
    bool stopped;
};

enum err news_new(struct news **ret_news, struct fault *f)
{
    struct news *news = calloc(1, sizeof *news);
    if (!news)
        return fault_no_memory(f);
    news->max = READERS_MAX;
    pthread_mutex_init(&news->mutex, NULL);
    *ret_news = news;
    return OK;
}

void news_free(struct news *news)
{
    if (!news)
        return;
    pthread_mutex_destroy(&news->mutex);
    free(news);
}

void news_limit(struct news *news, unsigned readers_max)
{
    news->max = readers_max;
}

/* ---- ringing ---- */

static bool concerns(const struct news_reader *reader, const char *cluster, const char *node)
{
    return strcmp(reader->cluster, cluster) == 0 && (!node || strcmp(reader->node, node) == 0);
}

void news_ring(struct news *news, const char *cluster, const char *node)
{
    pthread_mutex_lock(&news->mutex);
    for (struct news_reader *reader = news->readers; reader; reader = reader->next)
        if (concerns(reader, cluster, node)) {
            reader->rung = true;
            pthread_cond_signal(&reader->woken);
        }
    pthread_mutex_unlock(&news->mutex);
}

/* The names in a key end with 0 or with the key, behind which bytes have a NUL (ca/base/span.h). */
static void row_ring(struct news *news, const struct bytes *key)
{
    const char *text = bytes_text(key), *cluster = text + 1;
    if ((text[0] != 'g' && text[0] != 'p') || key->size < 2)
        return;
    const char *node = cluster + strlen(cluster) + 1;
    bool place = text[0] == 'g' && node < text + key->size;
    news_ring(news, cluster, place && node[0] ? node : NULL); /* a place without a node is all control planes' */
}

void news_observe(void *context, const struct change *change)
{
    for (size_t i = 0; i < change->writes_count; i++)
        row_ring(context, &change->writes[i].key);
}

/* ---- reading ---- */

static void reader_dismiss(struct news_reader *reader)
{
    reader->dismissed = true;
    pthread_cond_signal(&reader->woken);
}

/* The deadline is of the monotonic clock, which no step of the other one moves. */
static void reader_make(struct news_reader *reader, const char *cluster, const char *node)
{
    pthread_condattr_t attributes;
    *reader = (struct news_reader){.cluster = cluster, .node = node};
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&reader->woken, &attributes);
    pthread_condattr_destroy(&attributes);
}

static void reader_insert(struct news *news, struct news_reader *reader)
{
    for (struct news_reader *other = news->readers; other; other = other->next)
        if (concerns(other, reader->cluster, reader->node))
            reader_dismiss(other);
    reader->next = news->readers;
    if (news->readers)
        news->readers->previous = reader;
    news->readers = reader;
    news->count++;
}

bool news_join(struct news *news, struct news_reader *reader, const char *cluster, const char *node)
{
    pthread_mutex_lock(&news->mutex);
    bool joins = !news->stopped && news->count < news->max;
    if (joins) {
        reader_make(reader, cluster, node);
        reader_insert(news, reader);
    }
    pthread_mutex_unlock(&news->mutex);
    return joins;
}

bool news_wait(struct news *news, struct news_reader *reader, int64_t until_milliseconds)
{
    const struct timespec until = {until_milliseconds / 1000, until_milliseconds % 1000 * 1000000};
    int result = 0;
    pthread_mutex_lock(&news->mutex);
    while (!reader->rung && !reader->dismissed && result != ETIMEDOUT)
        result = pthread_cond_timedwait(&reader->woken, &news->mutex, &until);
    bool rung = reader->rung && !reader->dismissed;
    reader->rung = false;
    pthread_mutex_unlock(&news->mutex);
    return rung;
}

void news_leave(struct news *news, struct news_reader *reader)
{
    pthread_mutex_lock(&news->mutex);
    if (reader->previous)
        reader->previous->next = reader->next;
    else
        news->readers = reader->next;
    if (reader->next)
        reader->next->previous = reader->previous;
    news->count--;
    pthread_mutex_unlock(&news->mutex);
    pthread_cond_destroy(&reader->woken);
}

size_t news_readers(struct news *news)
{
    pthread_mutex_lock(&news->mutex);
    size_t count = news->count;
    pthread_mutex_unlock(&news->mutex);
    return count;
}

void news_stop(struct news *news)
{
    pthread_mutex_lock(&news->mutex);
    news->stopped = true;
    for (struct news_reader *reader = news->readers; reader; reader = reader->next)
        reader_dismiss(reader);
    pthread_mutex_unlock(&news->mutex);
}
