#include "ca/heartbeats.h"

#include <pthread.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

struct beat {
    const char *cluster, *node;
    int64_t at;
};

struct heartbeats {
    pthread_mutex_t lock;
    void *tree; /* tsearch() of struct beat, under the lock */
};

static int beat_compare(const void *a, const void *b)
{
    const struct beat *left = a, *right = b;
    int order = strcmp(left->cluster, right->cluster);
    return order ? order : strcmp(left->node, right->node);
}

static void beat_free(void *beat)
{
    free(beat);
}

enum err heartbeats_new(struct heartbeats **ret_heartbeats, struct fault *f)
{
    struct heartbeats *heartbeats = calloc(1, sizeof *heartbeats);
    if (!heartbeats)
        return fault_no_memory(f);
    pthread_mutex_init(&heartbeats->lock, NULL);
    *ret_heartbeats = heartbeats;
    return OK;
}

void heartbeats_free(struct heartbeats *heartbeats)
{
    if (!heartbeats)
        return;
    tdestroy(heartbeats->tree, beat_free);
    pthread_mutex_destroy(&heartbeats->lock);
    free(heartbeats);
}

/* One block: the beat, and behind it the names that it points to. */
static struct beat *beat_new(const char *cluster, const char *node)
{
    size_t cluster_size = strlen(cluster) + 1, node_size = strlen(node) + 1;
    struct beat *beat = malloc(sizeof *beat + cluster_size + node_size);
    if (!beat)
        return NULL;
    char *names = (char *)(beat + 1);
    memcpy(names, cluster, cluster_size);
    memcpy(names + cluster_size, node, node_size);
    *beat = (struct beat){names, names + cluster_size, 0};
    return beat;
}

/* Under the lock. NULL: none, or without memory. */
static struct beat *beat_find(struct heartbeats *heartbeats, const char *cluster, const char *node, bool make)
{
    const struct beat wanted = {cluster, node, 0};
    struct beat **found = tfind(&wanted, &heartbeats->tree, beat_compare);
    if (found || !make)
        return found ? *found : NULL;
    struct beat *beat = beat_new(cluster, node);
    if (beat && tsearch(beat, &heartbeats->tree, beat_compare))
        return beat;
    free(beat);
    return NULL;
}

void heartbeat(struct heartbeats *heartbeats, const char *cluster, const char *node, int64_t now)
{
    pthread_mutex_lock(&heartbeats->lock);
    struct beat *beat = beat_find(heartbeats, cluster, node, true);
    if (beat)
        beat->at = now;
    pthread_mutex_unlock(&heartbeats->lock);
}

int64_t heartbeat_at(struct heartbeats *heartbeats, const char *cluster, const char *node)
{
    pthread_mutex_lock(&heartbeats->lock);
    const struct beat *beat = beat_find(heartbeats, cluster, node, false);
    int64_t at = beat ? beat->at : 0;
    pthread_mutex_unlock(&heartbeats->lock);
    return at;
}
