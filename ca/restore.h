/* restore.h: what happens when the database is an older copy of itself. Such a copy agrees with itself; what it lacks
 * was issued, revoked or logged all the same. So nothing is issued from it until an admin has acknowledged that:
 *
 *   restored     `ensignd restore` says that it put the copy there
 *   rolled_back  somebody shows a checkpoint that the service signed (POST /v1/audit/witness), and that its log does
 *                not have: the copy was put there by hand
 *
 * Kept in the row "m restore". An acknowledgement settles all checkpoints up to the largest that was shown before it:
 * they are of the end of the log that was lost. A larger one, which nobody knew of, stops issuance again. */
#ifndef ENSIGN_CA_RESTORE_H
#define ENSIGN_CA_RESTORE_H

#include "ca/clock.h"
#include "ca/log/checkpoint.h"
#include "policies/decide.h"

enum restore_cause { RESTORE_NONE, RESTORE_BACKUP, RESTORE_ROLLBACK };

struct restore_state {
    enum restore_cause cause; /* what waits for an acknowledgement; NONE: nothing, and the next three say nothing */
    int64_t time;             /* when the backup was begun, or the rollback found out; UTC seconds */
    uint64_t entries;         /* of the log then */
    struct merkle_hash root;
    uint64_t shown;   /* the size of the largest checkpoint that was shown and that this log does not have; 0: none */
    uint64_t settled; /* what was acknowledged: checkpoints that this log does not have, up to this size */
};

const char *restore_cause_word(enum restore_cause cause); /* "none", "restored", "rolled_back" */
void restore_state_pack(const struct restore_state *state, struct bytes *out);
MUST_USE enum err restore_state_unpack(struct span row, struct restore_state *ret_state, struct fault *f);

struct restore;

MUST_USE enum err restore_open(struct store *store, struct restore **ret_restore, struct fault *f);
void restore_close(struct restore *restore);
struct restore_state restore_read(struct restore *restore);
/* For what may not be done with an old copy. ERR_IO (CODE_RESTORED). */
MUST_USE enum err restore_require(struct restore *restore, struct fault *f);

/* For `ensignd restore`, before anybody else opens the store: records, in the audit log too, that it is a copy that was
 * begun at this time.
 *   ret_state  of the copy as it came */
MUST_USE enum err restore_mark(struct store *store, const struct clock_basis *basis, int64_t begun_at,
                               struct restore_state *ret_state, struct fault *f);

struct ca;

/* The admin knows that what came after these entries is missing. ERR_INPUT when it is another number; nothing happens
 * when nothing waits. Is in the audit log when it returns. */
MUST_USE enum err restore_acknowledge(struct ca *ca, const struct caller *caller, uint64_t entries, struct fault *f);

enum witness { WITNESS_IN_LOG, WITNESS_SETTLED, WITNESS_NOT_IN_LOG };

/* Somebody shows a signed note. Of a size that the log has, its leaves are read. WITNESS_NOT_IN_LOG: nothing is issued
 * any more, which the audit log says. ERR_INPUT when the note is not one of this service. */
MUST_USE enum err restore_witness(struct ca *ca, const struct caller *caller, struct span note,
                                  enum witness *ret_witness, struct fault *f);

#endif
