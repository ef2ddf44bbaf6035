/* ledger.h: the one writer. Every change of state and its audit leaf go through it, in one durable commit.
 *
 * Callers hand in a change and wait. One committer thread takes all that wait; checks their expectations; sends the
 * drafts to the signer in one batch; numbers the events and extends the Merkle tree; commits everything in one store
 * transaction; and answers all. A change whose expectation or signature fails fails alone. What the clock remembers
 * (ca/clock.h) is in each commit, and in one an hour when there is nothing else to commit.
 *
 * An audit leaf is JSON text, stored once and never serialised again:
 *   {"v":1,"sequence":7,"time":"2026-11-21T04:00:00Z",<members of the event>}
 * where the members begin with "event" and "actor". The leaf of an issued certificate ends with its SHA-256.
 */
#ifndef ENSIGN_CA_LEDGER_H
#define ENSIGN_CA_LEDGER_H

#include <semaphore.h>

#include "ca/authority.h"
#include "ca/base/json_text.h"
#include "ca/clock.h"
#include "ca/record.h"
#include "ca/store.h"
#include "hsm/signer.h"

/* CHANGE_WRITES_MAX counts the caller's writes and the two that the ledger adds (record and leaf). A node's report
 * about all that it has is one change, which may expect the reports of those that it shares a certificate with to stay
 * as they are. */
enum { CHANGE_WRITES_MAX = 40, CHANGE_EXPECTATIONS_MAX = 72 };

struct change {
    struct {
        struct bytes key;
        uint64_t revision;
    } expectations[CHANGE_EXPECTATIONS_MAX];
    size_t expectations_count;
    struct {
        struct bytes key, value;
    } writes[CHANGE_WRITES_MAX];
    size_t writes_count;
    struct bytes event; /* JSON members, without braces */

    /* For an issue: */
    const struct authority *authority; /* NULL when nothing is to be signed */
    struct bytes draft;
    struct certificate_record *record; /* borrowed; the ledger fills in certificate and log_sequence and stores it */

    struct clock_state clock; /* what an admin acknowledged, else zeros: from this commit on the clock remembers it */

    uint64_t sequence; /* out: of the leaf */

    /* Called by the committer when record and sequence are known, to complete the value of a write; it must not block.
     * NULL: there is nothing to complete. */
    enum err (*complete)(void *context, struct change *change, struct fault *f);
    void *complete_context;

    /* The ledger's own: */
    struct change *next;
    sem_t finished;
    struct fault *fault;
    enum err err;
};
/* The key must have this revision (0: be absent). The bytes are moved into the change (take_key is then empty).
 */
void change_expect(struct change *change, struct bytes *take_key, uint64_t revision);
void change_put(struct change *change, struct bytes *take_key, struct bytes *take_value);
/* ERR_NOMEM when any part of it could not be built. */
MUST_USE enum err change_check(const struct change *change, struct fault *f);
void change_cleanup(struct change *change);

/* Begins the members of an event: "event":"token.created","actor":"admin root". More follow by ca/base/json_text.h. */
void event_begin(struct bytes *event, const char *name, const char *actor);

struct ledger;

/* Told of each committed change, in order, before its caller wakes; must not block. */
typedef void ledger_observer(void *context, const struct change *change);

/* Reads the frontier and verifies it against the tail of the log. ERR_IO (CODE_DAMAGED) when they do not agree. */
MUST_USE enum err ledger_open(struct store *store, struct signer *signer, struct clock *clock,
                              ledger_observer *observer, void *context, struct ledger **ret_ledger, struct fault *f);
/* Commits what waits, then stops. */
void ledger_close(struct ledger *ledger);

/* Blocks until the change is durable or failed. Thread-safe.
 * ERR_CONFLICT  an expectation failed: read again, decide again
 * ERR_IO        CODE_SIGNER_DOWN, CODE_READ_ONLY (before anything is signed), CODE_IO
 * ERR_DENIED    the signer refused the draft */
MUST_USE enum err ledger_commit(struct ledger *ledger, struct change *change, struct fault *f);

/* The tree that the store has; its size is 0 when nothing was logged. */
MUST_USE enum err ledger_frontier_stored(struct store *store, struct merkle_frontier *ret_frontier, struct fault *f);

/* The root of the tree that its first `size` leaves give, which are all read. ERR_IO when they are not there. */
MUST_USE enum err ledger_root_at(struct store *store, uint64_t size, struct merkle_hash *ret_root, struct fault *f);

/* The tree that is durable now. */
void ledger_frontier(struct ledger *ledger, struct merkle_frontier *ret_frontier);

/* True after a commit has failed in a way that leaves the store read-only until it succeeds again. */
bool ledger_read_only(struct ledger *ledger);

#endif
