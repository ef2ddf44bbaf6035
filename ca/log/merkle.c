#include "ca/log/merkle.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <sodium.h>

/* RFC 9162 §2.1.1: the prefixes keep a leaf from passing as an inner node. */
enum { LEAF_PREFIX = 0x00, NODE_PREFIX = 0x01, PARTS_MAX = 3 };

static EVP_MD *openssl_sha256; /* fetched once, for ever: a fetch for each hash costs as much as the hash */

static void openssl_sha256_fetch(void)
{
    openssl_sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
}

/* A third of the time of sha256_portable, with the processor's SHA instructions; but it allocates, so it can fail. */
static bool sha256_accelerated(const struct span parts[PARTS_MAX], uint8_t ret_hash[MERKLE_HASH_SIZE])
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, openssl_sha256_fetch);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool good = context && openssl_sha256 && EVP_DigestInit_ex(context, openssl_sha256, NULL) == 1;
    for (size_t i = 0; good && i < PARTS_MAX; i++)
        good = EVP_DigestUpdate(context, parts[i].data, parts[i].size) == 1;
    good = good && EVP_DigestFinal_ex(context, ret_hash, NULL) == 1;
    EVP_MD_CTX_free(context);
    return good;
}

static void sha256_portable(const struct span parts[PARTS_MAX], uint8_t ret_hash[MERKLE_HASH_SIZE])
{
    crypto_hash_sha256_state state;
    crypto_hash_sha256_init(&state);
    for (size_t i = 0; i < PARTS_MAX; i++)
        crypto_hash_sha256_update(&state, parts[i].data, parts[i].size);
    crypto_hash_sha256_final(&state, ret_hash);
}

static void sha256(const struct span parts[PARTS_MAX], struct merkle_hash *ret_hash)
{
    if (!sha256_accelerated(parts, ret_hash->data))
        sha256_portable(parts, ret_hash->data);
}

void merkle_leaf_hash(struct span leaf, struct merkle_hash *ret_hash)
{
    static const uint8_t prefix[] = {LEAF_PREFIX};
    sha256((const struct span[PARTS_MAX]){SPAN_OF(prefix), leaf}, ret_hash);
}

static void node_hash(const struct merkle_hash *left, const struct merkle_hash *right, struct merkle_hash *ret_hash)
{
    static const uint8_t prefix[] = {NODE_PREFIX};
    sha256((const struct span[PARTS_MAX]){SPAN_OF(prefix), SPAN_OF(left->data), SPAN_OF(right->data)}, ret_hash);
}

/* How many complete subtrees make up a tree of that size. */
static size_t subtrees_count(uint64_t size)
{
    return (size_t)__builtin_popcountll(size);
}

/* As a carry runs through a binary counter: each trailing one bit of the size is a subtree that the new one completes.
 */
void merkle_append(struct merkle_frontier *frontier, const struct merkle_hash *leaf)
{
    struct merkle_hash subtree = *leaf;
    size_t count = subtrees_count(frontier->size);
    for (uint64_t carry = frontier->size; carry & 1; carry >>= 1)
        node_hash(&frontier->hashes[--count], &subtree, &subtree);
    frontier->hashes[count] = subtree;
    frontier->size++;
}

void merkle_root(const struct merkle_frontier *frontier, struct merkle_hash *ret_root)
{
    size_t count = subtrees_count(frontier->size);
    if (count == 0) {
        sha256((const struct span[PARTS_MAX]){{NULL, 0}}, ret_root);
        return;
    }
    struct merkle_hash root = frontier->hashes[--count];
    while (count > 0)
        node_hash(&frontier->hashes[--count], &root, &root);
    *ret_root = root;
}

void merkle_frontier_pack(const struct merkle_frontier *frontier, struct bytes *out)
{
    pack_u64(out, frontier->size);
    for (size_t i = 0; i < subtrees_count(frontier->size); i++)
        pack_fixed(out, SPAN_OF(frontier->hashes[i].data));
}

void merkle_frontier_unpack(struct unpack *in, struct merkle_frontier *ret_frontier)
{
    struct merkle_frontier frontier = {.size = unpack_u64(in)};
    if (frontier.size >> MERKLE_LEVELS_MAX)
        in->failed = true;
    for (size_t i = 0; !in->failed && i < subtrees_count(frontier.size); i++)
        unpack_fixed(in, frontier.hashes[i].data, MERKLE_HASH_SIZE);
    if (!in->failed)
        *ret_frontier = frontier;
}
