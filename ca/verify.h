/* verify.h: the whole database held against itself.
 *
 *   rows          each passes its checksum and is found (store_verify)
 *   log           its entries are numbered without a gap, and give the stored Merkle tree (RFC 9162 §2.1)
 *   certificates  are exactly those that the log issues: serial, hash, place in the log, and role at this service
 *   tokens        name only such certificates; CAs and clusters parse
 *   indexes       know no others, and all that they say they have seen
 *
 * For a store that nobody writes meanwhile. */
#ifndef ENSIGN_CA_VERIFY_H
#define ENSIGN_CA_VERIFY_H

#include "ca/store.h"

struct verified {
    uint64_t rows, entries, certificates;
};

/* ERR_IO (CODE_DAMAGED), with reasons where the parts do not agree. */
MUST_USE enum err database_verify(struct store *store, struct verified *ret_verified, struct fault *f);

#endif
