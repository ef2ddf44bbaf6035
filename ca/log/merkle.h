/* merkle.h: the Merkle tree over the audit log (RFC 9162 §2.1), as a frontier: the roots of the complete subtrees, from
 * left to right, from which the tree is extended and its root computed.  Threads: pure. */
#ifndef ENSIGN_CA_LOG_MERKLE_H
#define ENSIGN_CA_LOG_MERKLE_H

#include "ca/base/pack.h"

enum { MERKLE_HASH_SIZE = 32, MERKLE_LEVELS_MAX = 63 };

struct merkle_hash {
    uint8_t data[MERKLE_HASH_SIZE];
};

struct merkle_frontier {
    uint64_t size;                                /* leaves */
    struct merkle_hash hashes[MERKLE_LEVELS_MAX]; /* one for each bit set in size, the largest subtree first */
};

void merkle_leaf_hash(struct span leaf, struct merkle_hash *ret_hash); /* SHA-256(0x00 ‖ leaf) */
void merkle_append(struct merkle_frontier *frontier, const struct merkle_hash *leaf);
void merkle_root(const struct merkle_frontier *frontier, struct merkle_hash *ret_root); /* of no leaves: SHA-256("") */

void merkle_frontier_pack(const struct merkle_frontier *frontier, struct bytes *out);
void merkle_frontier_unpack(struct unpack *in, struct merkle_frontier *ret_frontier); /* marks `in` failed */

#endif
