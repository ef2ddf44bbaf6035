/* index.h: search indexes over certificates: projections of the records, rebuilt by `ensignd reindex`.
 *
 *   x c <cluster> 0 <serial>            x n <cluster> 0 <node> 0 <serial>
 *   x p <profile> 0 <serial>            x e <not after, u64> <serial>
 *   x k <SHA-256 of a public key>       its owner (ca/key_owner.h)
 *
 * They follow the commits in large batches. What is committed but not indexed yet is the tail, held in memory; a query
 * reads the index and the tail, so its answer is exact. `m index` says how many leaves have been seen; at start the
 * rest of the log is read again.  Thread-safe. */
#ifndef ENSIGN_CA_INDEX_H
#define ENSIGN_CA_INDEX_H

#include "ca/key_owner.h"
#include "ca/ledger.h"

struct index;

/* Opens in two steps, because the ledger observes into the index. Each certificate that is observed releases the claim
 * on its key when it is indexed. */
MUST_USE enum err index_open(struct store *store, struct key_claims *claims, struct index **ret_index, struct fault *f);
ledger_observer index_observe; /* context: the struct index */
/* Starts the thread that writes the tail out. */
MUST_USE enum err index_start(struct index *index, struct fault *f);
void index_close(struct index *index);

/* Drops all indexes and makes them again from the log. */
MUST_USE enum err index_rebuild(struct store *store, uint64_t *ret_certificates, struct fault *f);

enum { PAGE_MAX = 500 };

struct certificate_query {
    const char *cluster, *node, *profile; /* NULL: any. node needs cluster */
    const char *state;                    /* NULL, "valid", "expired", "revoked" */
    int64_t not_after_before;             /* 0, or only certificates that expire before this time */
    int64_t now;
    size_t limit;       /* 1..PAGE_MAX */
    struct span cursor; /* empty, or ret_cursor of the page before */
};

/* One page, which may hold fewer than the limit, even none, though there is more: then the cursor says so. In order of
 * expiry when neither node, cluster nor profile is given but a state or not_after_before is; else in order of serial,
 * which is about the order of issuance. ret_records  limit structs, the caller's, cleaned up by it; ret_cursor empty at
 * the end. */
MUST_USE enum err index_query(struct index *index, const struct certificate_query *query,
                              struct certificate_record *ret_records, size_t *ret_count, struct bytes *ret_cursor,
                              struct fault *f);

/* All that the query asks for, from its cursor on and whatever its limit is, until the visitor says false. */
MUST_USE enum err index_each(struct index *index, const struct certificate_query *query,
                             bool (*visit)(void *context, const struct certificate_record *record), void *context,
                             struct fault *f);

#endif
