#include "client/agent/schedule.h"

#include <sodium.h>
#include <string.h>

static const uint64_t golden = UINT64_C(0x9e3779b97f4a7c15);

/* 0..range-1; another one for each turn. */
static int64_t spread(uint64_t seed, unsigned turn, int64_t range)
{
    uint64_t mixed = seed + turn * golden;
    mixed = (mixed ^ (mixed >> 32)) * golden;
    return range > 0 ? (int64_t)((mixed >> 16) % (uint64_t)range) : 0;
}

static int64_t renewal_time(const struct schedule_facts *facts)
{
    int64_t life = facts->not_after - facts->issued_at;
    return facts->issued_at + life * 2 / 3 - spread(facts->seed, 0, life / 10);
}

int64_t schedule_backoff(unsigned failures, int64_t left_seconds, uint64_t seed)
{
    if (failures == 0)
        return 0;
    unsigned doublings = failures - 1 < 16 ? failures - 1 : 16;
    int64_t wait = (int64_t)SCHEDULE_BACKOFF_FIRST_SECONDS << doublings;
    int64_t fraction = left_seconds / SCHEDULE_BACKOFF_FRACTION;
    if (wait > SCHEDULE_BACKOFF_MAX_SECONDS)
        wait = SCHEDULE_BACKOFF_MAX_SECONDS;
    if (wait > fraction)
        wait = fraction;
    if (wait < 1)
        wait = 1;
    return wait - spread(seed, failures, wait / 2);
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

struct schedule schedule_decide(const struct schedule_facts *facts)
{
    if (facts->now >= facts->not_after)
        return (struct schedule){SCHEDULE_EXPIRED, facts->not_after};
    if (facts->blocked)
        return (struct schedule){SCHEDULE_BLOCKED, facts->not_after};
    int64_t at = facts->marked ? facts->issued_at : renewal_time(facts);
    if (facts->resting > 0 && !facts->marked)
        at = later(at, facts->now + facts->resting);
    if (facts->failures > 0 && facts->failed_at <= facts->now) {
        int64_t left = facts->not_after - facts->failed_at;
        at = later(at, facts->failed_at + schedule_backoff(facts->failures, left, facts->seed));
    }
    return (struct schedule){facts->now >= at ? SCHEDULE_DUE : SCHEDULE_WAIT, at};
}

uint64_t schedule_seed(const char *node, const char *profile, const char *serial)
{
    const char *const parts[] = {node, profile, serial};
    crypto_generichash_state state;
    uint64_t seed = 0;
    uint8_t digest[crypto_generichash_BYTES];
    crypto_generichash_init(&state, NULL, 0, sizeof digest);
    for (unsigned i = 0; i < sizeof parts / sizeof parts[0]; i++)
        crypto_generichash_update(&state, (const uint8_t *)parts[i], strlen(parts[i]) + 1);
    crypto_generichash_final(&state, digest, sizeof digest);
    memcpy(&seed, digest, sizeof seed);
    return seed;
}
