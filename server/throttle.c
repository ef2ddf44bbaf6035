#include "server/throttle.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

enum {
    SETS = 512, /* with 8 ways, 64 KiB */
    WAYS = 8,
    MINUTE_MICROSECONDS = 60 * 1000 * 1000,
    SECOND_MICROSECONDS = 1000 * 1000,
    ADDRESS_PREFIX_SIZE = 8,
};

/* A bucket is the time at which it is full again: each token that is taken moves it by what one takes to come back. */
int bucket_take(struct bucket *bucket, const struct throttle_rate *rate, int64_t now_microseconds)
{
    if (rate->burst == 0)
        return 0;
    int64_t token = MINUTE_MICROSECONDS / (int64_t)rate->per_minute, room = token * (int64_t)rate->burst;
    int64_t full_at = bucket->full_at_microseconds > now_microseconds ? bucket->full_at_microseconds : now_microseconds;
    int64_t wait = full_at + token - room - now_microseconds;
    if (wait > 0)
        return (int)((wait + SECOND_MICROSECONDS - 1) / SECOND_MICROSECONDS);
    bucket->full_at_microseconds = full_at + token;
    return 0;
}

/* ---- the table ---- */

struct slot {
    uint64_t key; /* hashed */
    struct bucket bucket;
};

struct throttle {
    struct throttle_rate rate;
    uint8_t secret[crypto_shorthash_KEYBYTES];
    pthread_mutex_t mutex; /* over the slots */
    struct slot slots[SETS][WAYS];
};

enum err throttle_new(const struct throttle_rate *rate, struct throttle **ret_throttle, struct fault *f)
{
    struct throttle *throttle = calloc(1, sizeof *throttle);
    if (!throttle)
        return fault_no_memory(f);
    throttle->rate = *rate;
    pthread_mutex_init(&throttle->mutex, NULL);
    randombytes_buf(throttle->secret, sizeof throttle->secret);
    *ret_throttle = throttle;
    return OK;
}

void throttle_free(struct throttle *throttle)
{
    if (!throttle)
        return;
    pthread_mutex_destroy(&throttle->mutex);
    free(throttle);
}

/* The key's own slot, or the one that loses least by being given to it. */
static struct slot *slot_find(struct slot *set, uint64_t key)
{
    struct slot *fullest = &set[0];
    for (size_t i = 0; i < WAYS; i++) {
        if (set[i].key == key)
            return &set[i];
        if (set[i].bucket.full_at_microseconds < fullest->bucket.full_at_microseconds)
            fullest = &set[i];
    }
    *fullest = (struct slot){.key = key};
    return fullest;
}

int throttle_take(struct throttle *throttle, struct span key, int64_t now_microseconds)
{
    uint64_t hash;
    _Static_assert(sizeof hash == crypto_shorthash_BYTES, "a key is one hash");
    if (throttle->rate.burst == 0)
        return 0;
    crypto_shorthash((uint8_t *)&hash, key.data, key.size, throttle->secret);
    pthread_mutex_lock(&throttle->mutex);
    struct slot *slot = slot_find(throttle->slots[hash % SETS], hash);
    int seconds = bucket_take(&slot->bucket, &throttle->rate, now_microseconds);
    pthread_mutex_unlock(&throttle->mutex);
    return seconds;
}

void address_key_make(const char *remote, struct address_key *ret_key)
{
    *ret_key = (struct address_key){0};
    if (inet_pton(AF_INET, remote, ret_key->data) == 1) {
        ret_key->size = sizeof(struct in_addr);
    } else if (inet_pton(AF_INET6, remote, ret_key->data) == 1) {
        ret_key->size = ADDRESS_PREFIX_SIZE;
    } else {
        ret_key->size = strnlen(remote, sizeof ret_key->data);
        memcpy(ret_key->data, remote, ret_key->size);
    }
}
