/* store_lmdb.h: LMDB's own options, for tests of faults; the service opens with store_lmdb_open(). */
#ifndef ENSIGN_CA_STORE_LMDB_H
#define ENSIGN_CA_STORE_LMDB_H

#include "ca/store.h"

struct store_lmdb_options {
    bool create;
    bool beside;         /* for reading only, while another process may write */
    bool unsafe_no_sync; /* commits are not durable: the control of the power-cut test */
    size_t map_bytes;    /* 0: what the file system can hold */
};

MUST_USE enum err store_lmdb_open_with(const char *path, const struct store_lmdb_options *options,
                                       struct store **ret_store, struct fault *f);

#endif
