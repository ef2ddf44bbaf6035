/* throttle.h: limits on what one address or one identity may do: a token bucket each, in a table of a fixed size.
 *
 * A bucket holds `burst` tokens when it is full and gets `per_minute` of them back. Whoever takes from an empty one is
 * told in how many whole seconds it has a token again.
 *
 * The table forgets: where a new key finds no room, it takes the place of the key whose bucket is closest to being
 * full, which so gets a full one. Where keys go depends on a secret of this process: nobody can aim at somebody else's
 * place. */
#ifndef ENSIGN_SERVER_THROTTLE_H
#define ENSIGN_SERVER_THROTTLE_H

#include "ca/base/span.h"

/* ---- one bucket: pure ---- */

struct throttle_rate {
    unsigned burst, per_minute; /* 1..10^6; burst 0: no limit */
};

struct bucket { /* {0} is full */
    int64_t full_at_microseconds;
};

/* Takes a token and returns 0; from an empty bucket it takes none and returns the seconds, ≥ 1, until it has one.
 * now: of a clock that only goes forward. */
int bucket_take(struct bucket *bucket, const struct throttle_rate *rate, int64_t now_microseconds);

/* ---- a table of them. Threads: any ---- */

struct throttle;

/* rate is copied. */
MUST_USE enum err throttle_new(const struct throttle_rate *rate, struct throttle **ret_throttle, struct fault *f);
void throttle_free(struct throttle *throttle);

/* As bucket_take(), on the bucket of this key. */
int throttle_take(struct throttle *throttle, struct span key, int64_t now_microseconds);

/* The key of an address as http_request.remote gives it: of IPv6 the first 64 bits, as whoever has one address has all
 * of those; other texts as they are. */
struct address_key {
    uint8_t data[16];
    size_t size;
};
void address_key_make(const char *remote, struct address_key *ret_key);

#endif
