#include "hsm/key_cache.h"

#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

/* A key can stand in one of KEYS_PER_SET places, so that a look-up compares a few hashes and no more. */
enum { SETS = 256, KEYS_PER_SET = 4 };

struct cached_key {
    uint8_t sha256[SHA256_SIZE]; /* of the blob */
    struct key *key;
    size_t users; /* the cache itself is one */
};

struct key_cache {
    const struct seal *seal;
    pthread_mutex_t lock;
    size_t turn; /* which place of a full set is given up next */
    struct cached_key *sets[SETS][KEYS_PER_SET];
};

enum err key_cache_new(const struct seal *seal, struct key_cache **ret_cache, struct fault *f)
{
    struct key_cache *cache = calloc(1, sizeof *cache);
    if (!cache)
        return fault_no_memory(f);
    cache->seal = seal;
    pthread_mutex_init(&cache->lock, NULL);
    *ret_cache = cache;
    return OK;
}

/* Under the lock, but for a key that nobody else has seen yet. */
static void cached_key_drop(struct cached_key *cached)
{
    if (!cached || --cached->users > 0)
        return;
    key_free(cached->key);
    free(cached);
}

void key_cache_free(struct key_cache *cache)
{
    if (!cache)
        return;
    for (size_t set = 0; set < SETS; set++)
        for (size_t place = 0; place < KEYS_PER_SET; place++)
            cached_key_drop(cache->sets[set][place]);
    pthread_mutex_destroy(&cache->lock);
    free(cache);
}

/* The place of the key with this hash, else an empty place, else NULL. Under the lock. */
static struct cached_key **place_find(struct key_cache *cache, const uint8_t sha256[SHA256_SIZE])
{
    struct cached_key **set = cache->sets[sha256[0] % SETS], **empty = NULL;
    for (size_t place = 0; place < KEYS_PER_SET; place++) {
        if (!set[place])
            empty = &set[place];
        else if (memcmp(set[place]->sha256, sha256, SHA256_SIZE) == 0)
            return &set[place];
    }
    return empty;
}

static struct cached_key *cache_find(struct key_cache *cache, const uint8_t sha256[SHA256_SIZE])
{
    pthread_mutex_lock(&cache->lock);
    struct cached_key **place = place_find(cache, sha256);
    struct cached_key *found = place ? *place : NULL;
    if (found)
        found->users++;
    pthread_mutex_unlock(&cache->lock);
    return found;
}

/* Another thread may have opened the same key meanwhile: the newer copy takes its place. */
static void cache_insert(struct key_cache *cache, struct cached_key *opened)
{
    pthread_mutex_lock(&cache->lock);
    struct cached_key **place = place_find(cache, opened->sha256);
    if (!place)
        place = &cache->sets[opened->sha256[0] % SETS][cache->turn++ % KEYS_PER_SET];
    cached_key_drop(*place);
    *place = opened;
    pthread_mutex_unlock(&cache->lock);
}

enum err key_cache_get(struct key_cache *cache, struct span blob, struct cached_key **ret_key, struct fault *f)
{
    uint8_t sha256[SHA256_SIZE];
    crypto_hash_sha256(sha256, blob.data, blob.size);
    struct cached_key *cached = cache_find(cache, sha256);
    if (!cached) {
        CLEANUP(key_auto) struct key *key = NULL;
        TRY(key_open(cache->seal, blob, &key, f));
        cached = malloc(sizeof *cached);
        if (!cached)
            return fault_no_memory(f);
        *cached = (struct cached_key){.key = TAKE(key), .users = 2}; /* the cache and the caller */
        memcpy(cached->sha256, sha256, sizeof sha256);
        cache_insert(cache, cached);
    }
    *ret_key = cached;
    return OK;
}

const struct key *cached_key(const struct cached_key *cached)
{
    return cached->key;
}

void key_cache_release(struct key_cache *cache, struct cached_key *cached)
{
    pthread_mutex_lock(&cache->lock);
    cached_key_drop(cached);
    pthread_mutex_unlock(&cache->lock);
}
