/* key_cache.h: opened keys by the SHA-256 of their blobs, so that a blob is decrypted and decoded once and not for each
 * signature. Bounded; a key that is pushed out lives until its last user releases it.  Threads: safe. */
#ifndef ENSIGN_HSM_KEY_CACHE_H
#define ENSIGN_HSM_KEY_CACHE_H

#include "hsm/key.h"

struct key_cache;

/* seal must outlive the cache. */
MUST_USE enum err key_cache_new(const struct seal *seal, struct key_cache **ret_cache, struct fault *f);
void key_cache_free(struct key_cache *cache);

struct cached_key;
MUST_USE enum err key_cache_get(struct key_cache *cache, struct span blob, struct cached_key **ret_key,
                                struct fault *f);
const struct key *cached_key(const struct cached_key *cached);
void key_cache_release(struct key_cache *cache, struct cached_key *cached);

#endif
