/* The Merkle tree: the frontier has the root that RFC 9162 §2.1.1 defines for its leaves, and survives being stored; a
 * stored frontier is read as it was written or not at all. */
#include "ca/log/merkle.h"

#include <sodium.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

enum { LEAVES_MAX = 200 };

/* By the definition: the largest power of two below n goes to the left. */
static void root_of(const struct merkle_hash *leaves, size_t count, struct merkle_hash *ret_root)
{
    uint8_t node[1 + 2 * MERKLE_HASH_SIZE] = {1};
    if (count == 1) {
        *ret_root = leaves[0];
        return;
    }
    size_t left = 1;
    while (2 * left < count)
        left *= 2;
    struct merkle_hash half;
    root_of(leaves, left, &half);
    memcpy(node + 1, half.data, MERKLE_HASH_SIZE);
    root_of(leaves + left, count - left, &half);
    memcpy(node + 1 + MERKLE_HASH_SIZE, half.data, MERKLE_HASH_SIZE);
    crypto_hash_sha256(ret_root->data, node, sizeof node);
}

static void frontier_again(struct merkle_frontier *frontier)
{
    AUTO(bytes) packed = {0};
    merkle_frontier_pack(frontier, &packed);
    struct unpack in = unpack_begin(bytes_span(&packed));
    fuzz_fresh(frontier, sizeof *frontier);
    merkle_frontier_unpack(&in, frontier);
    fuzz_must(unpack_finish(&in, "frontier", fuzz_fault()), fuzz_fault());
}

/* One leaf for each byte of the input; an odd one stores the frontier and reads it again. */
static void tree_hold(struct span input)
{
    static struct merkle_hash leaves[LEAVES_MAX];
    struct merkle_frontier frontier = {0};
    struct merkle_hash root, expected;
    for (size_t i = 0; i < input.size && i < LEAVES_MAX; i++) {
        merkle_leaf_hash(span(input.data, i), &leaves[i]);
        merkle_append(&frontier, &leaves[i]);
        if (input.data[i] & 1)
            frontier_again(&frontier);
    }
    merkle_root(&frontier, &root);
    if (frontier.size == 0)
        crypto_hash_sha256(expected.data, (const uint8_t *)"", 0);
    else
        root_of(leaves, frontier.size, &expected);
    HOLDS(memcmp(root.data, expected.data, MERKLE_HASH_SIZE) == 0);
}

static void frontier_hold(struct span input)
{
    struct merkle_frontier frontier;
    struct merkle_hash root;
    AUTO(bytes) again = {0};
    struct unpack in = unpack_begin(input);
    fuzz_fresh(&frontier, sizeof frontier);
    merkle_frontier_unpack(&in, &frontier);
    if (in.failed) {
        HOLDS(!fuzz_kept(ERR_IO, &(struct fault){.code = CODE_DAMAGED}, &frontier, sizeof frontier));
        return;
    }
    merkle_frontier_pack(&frontier, &again);
    HOLDS(span_equal(bytes_span(&again), span(input.data, input.size - in.rest.size)));
    merkle_root(&frontier, &root);
    merkle_append(&frontier, &root);
    merkle_root(&frontier, &root);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = span(data, size);
    if (fuzz_choice(&input, 2) == 0)
        tree_hold(input);
    else
        frontier_hold(input);
    return 0;
}

void fuzz_seeds(void)
{
    struct merkle_frontier frontier = {.size = 11};
    AUTO(bytes) packed = {0};
    merkle_frontier_pack(&frontier, &packed);
    fuzz_seed_choice(0, span_text("abcdefghijklm"));
    fuzz_seed_choice(1, bytes_span(&packed));
    fuzz_seed_choice(1, SPAN_OF("\x7f\xff\xff\xff\xff\xff\xff"));
}
