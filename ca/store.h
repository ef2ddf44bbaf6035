/* store.h: the contract of a store: get, scan, commit. Its shape is etcd's: one ordered key space, a revision per
 * commit, and commits that are a batch of writes with expectations. store_lmdb.c fulfils it; tests/unit/store is its
 * contract suite.
 *
 * Each value is stored with the revision of the commit that wrote it and a checksum over key, revision and value;
 * a value that fails its checksum is CODE_DAMAGED and never returned.
 *
 * Threads: everything may be called from any thread; commits are serialised.
 */
#ifndef ENSIGN_CA_STORE_H
#define ENSIGN_CA_STORE_H

#include "ca/base/span.h"

enum { STORE_KEY_MAX = 400, STORE_VALUE_MAX = 1 << 20 };

struct store;

/* Opens (create: makes) the environment in folder `path`, which must exist. Refuses a folder that another process has
 * open for writing, and a file that is no such store, with one clear sentence (CODE_DAMAGED, CODE_CONFLICT). What is on
 * a disk that takes no writes can be read; store_stopped() tells when it is to be opened again for writing. */
MUST_USE enum err store_lmdb_open(const char *path, bool create, struct store **ret_store, struct fault *f);
/* For reading, also while another process has it open for writing. The user must be that process's, or root: who reads
 * is noted in a file of the folder. */
MUST_USE enum err store_lmdb_open_beside(const char *path, struct store **ret_store, struct fault *f);
void store_close(struct store *store);

/* Writes the file of another environment with the same rows to fd, which may be a pipe: one snapshot, without what was
 * erased. A reader that is slow makes the store grow meanwhile. */
MUST_USE enum err store_copy(struct store *store, int fd, struct fault *f);

/* ret_value  a copy; ret_revision (may be NULL) the revision that wrote it, > 0.  ERR_ABSENT when there is none. */
MUST_USE enum err store_get(struct store *store, struct span key, struct bytes *ret_value, uint64_t *ret_revision,
                            struct fault *f);

/* Calls visit for each key in [from, to) in order (backwards: from the last) until it returns false. One snapshot.
 * key and value are borrowed for the call; visit must not call the store. A damaged row ends the scan with ERR_IO. */
typedef bool store_visit(void *context, struct span key, struct span value);
MUST_USE enum err store_scan(struct store *store, struct span from, struct span to, bool backwards, store_visit *visit,
                             void *context, struct fault *f);

/* Reads all rows: each passes its checksum, is in its place, and none is missing or there twice, as far as the store's
 * own structures tell (a checksum is no help against a row that cannot be found). ERR_IO (CODE_DAMAGED) otherwise. */
MUST_USE enum err store_verify(struct store *store, uint64_t *ret_rows, struct fault *f);

/* What a commit needs to be true. revision 0: the key is absent. */
struct expectation {
    struct span key;
    uint64_t revision;
};

struct write {
    struct span key;
    struct span value;
    bool erase; /* value is ignored; erasing an absent key is fine */
};

/* All or nothing, durable when it returns OK. A failed expectation: ERR_CONFLICT, nothing changed.
 * CODE_READ_ONLY when the disk is full or does not take writes (LMDB reports a full disk as EIO). */
MUST_USE enum err store_commit(struct store *store, const struct expectation *expectations, size_t expectations_count,
                               const struct write *writes, size_t writes_count, struct fault *f);

/* ERR_IO (CODE_READ_ONLY) when a commit would likely fail for want of space or a read-only file system. Cheap: asked
 * before anything is signed. */
MUST_USE enum err store_check_writable(struct store *store, struct fault *f);

/* True when this open store will never work again, although another process might open it: end this one. */
bool store_stopped(struct store *store);

struct store_usage {
    uint64_t used_bytes;
    uint64_t size_bytes;  /* of the map, which grows */
    uint64_t limit_bytes; /* what its disk can hold now */
};
void store_usage(struct store *store, struct store_usage *ret_usage);

#endif
