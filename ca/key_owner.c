#include "ca/key_owner.h"

#include <pthread.h>
#include <search.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

struct claim {
    uint8_t spki_sha256[SHA256_SIZE]; /* first: the tree's key */
    uint8_t owner[KEY_OWNER_SIZE];
    size_t count;
};

struct key_claims {
    struct store *store;
    pthread_mutex_t lock;
    void *tree; /* tsearch() of struct claim, under the lock */
};

void key_owner(const char *cluster, const char *node, const char *identity, uint8_t ret_owner[KEY_OWNER_SIZE])
{
    crypto_hash_sha256_state state;
    crypto_hash_sha256_init(&state);
    const char *const parts[] = {cluster, node, identity};
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
        crypto_hash_sha256_update(&state, (const unsigned char *)parts[i], strlen(parts[i]) + 1);
    crypto_hash_sha256_final(&state, ret_owner);
}

void key_owner_row(const uint8_t spki_sha256[SHA256_SIZE], struct bytes *out)
{
    pack_u8(out, 'x');
    pack_u8(out, 'k');
    pack_fixed(out, span(spki_sha256, SHA256_SIZE));
}

enum err key_claims_new(struct store *store, struct key_claims **ret_claims, struct fault *f)
{
    struct key_claims *claims = calloc(1, sizeof *claims);
    if (!claims)
        return fault_no_memory(f);
    claims->store = store;
    pthread_mutex_init(&claims->lock, NULL);
    *ret_claims = claims;
    return OK;
}

void key_claims_free(struct key_claims *claims)
{
    if (!claims)
        return;
    tdestroy(claims->tree, free);
    pthread_mutex_destroy(&claims->lock);
    free(claims);
}

static int claim_compare(const void *a, const void *b)
{
    return memcmp(a, b, SHA256_SIZE);
}

/* The claim on this key, a new one if there is none; NULL without memory. Under the lock. */
static struct claim *claim_find(struct key_claims *claims, const uint8_t spki_sha256[SHA256_SIZE],
                                const uint8_t owner[KEY_OWNER_SIZE])
{
    struct claim **found = tfind(spki_sha256, &claims->tree, claim_compare);
    if (found)
        return *found;
    struct claim *claim = calloc(1, sizeof *claim);
    if (!claim)
        return NULL;
    memcpy(claim->spki_sha256, spki_sha256, SHA256_SIZE);
    memcpy(claim->owner, owner, KEY_OWNER_SIZE);
    if (tsearch(claim, &claims->tree, claim_compare))
        return claim;
    free(claim);
    return NULL;
}

static enum err claim_add(struct key_claims *claims, const uint8_t spki_sha256[SHA256_SIZE],
                          const uint8_t owner[KEY_OWNER_SIZE], bool *ret_claimed, struct fault *f)
{
    pthread_mutex_lock(&claims->lock);
    struct claim *claim = claim_find(claims, spki_sha256, owner);
    *ret_claimed = claim && memcmp(claim->owner, owner, KEY_OWNER_SIZE) == 0;
    if (*ret_claimed)
        claim->count++;
    pthread_mutex_unlock(&claims->lock);
    return claim ? OK : fault_no_memory(f);
}

void key_release(struct key_claims *claims, const uint8_t spki_sha256[SHA256_SIZE])
{
    pthread_mutex_lock(&claims->lock);
    struct claim **found = tfind(spki_sha256, &claims->tree, claim_compare);
    struct claim *claim = found ? *found : NULL;
    if (claim && --claim->count == 0) {
        tdelete(claim, &claims->tree, claim_compare);
        free(claim);
    }
    pthread_mutex_unlock(&claims->lock);
}

/* Whether the index knows the key as somebody else's. */
static enum err row_is_of_another(struct key_claims *claims, const uint8_t spki_sha256[SHA256_SIZE],
                                  const uint8_t owner[KEY_OWNER_SIZE], bool *ret_other, struct fault *f)
{
    AUTO(bytes) key = {0};
    AUTO(bytes) row = {0};
    key_owner_row(spki_sha256, &key);
    TRY(bytes_check(&key, f));
    enum err err = store_get(claims->store, bytes_span(&key), &row, NULL, f);
    *ret_other = err == OK && !span_equal(bytes_span(&row), span(owner, KEY_OWNER_SIZE));
    if (err != ERR_ABSENT)
        return err;
    fault_clear(f);
    return OK;
}

/* The memory before the index: what moves from the one to the other meanwhile is then found in either. */
enum err key_claim(struct key_claims *claims, const uint8_t spki_sha256[SHA256_SIZE],
                   const uint8_t owner[KEY_OWNER_SIZE], bool *ret_claimed, struct fault *f)
{
    bool claimed = false, other = false;
    TRY(claim_add(claims, spki_sha256, owner, &claimed, f));
    enum err err = claimed ? row_is_of_another(claims, spki_sha256, owner, &other, f) : OK;
    if (claimed && (err != OK || other))
        key_release(claims, spki_sha256);
    *ret_claimed = claimed && err == OK && !other;
    return err;
}
