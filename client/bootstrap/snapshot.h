/* snapshot.h: snapshots of etcd as `etcdctl snapshot save` writes them: the database, whose pages fill sectors, and
 * behind it the SHA-256 of all that. That tells a whole file from a damaged one; it proves nothing about who made it.
 */
#ifndef ENSIGN_CLIENT_BOOTSTRAP_SNAPSHOT_H
#define ENSIGN_CLIENT_BOOTSTRAP_SNAPSHOT_H

#include "ca/base/encode.h"
#include "client/bootstrap/step.h"

/* ERR_INPUT says what is wrong with these bytes.  Pure.
 *   name  of the file, for the fault */
MUST_USE enum err snapshot_check(struct span content, const char *name, struct fault *f);

struct snapshot {
    struct span content;           /* of the file, as it is on the disk: mapped */
    char digest[SHA256_TEXT_SIZE]; /* of the whole file */
};

/* One that is whole. Refused when others than its owner may read or change it. */
MUST_USE enum err snapshot_open(const char *path, struct snapshot *ret_snapshot, struct fault *f);
/* The same of an open file. */
MUST_USE enum err snapshot_map(int fd, const char *name, struct snapshot *ret_snapshot, struct fault *f);
void snapshot_cleanup(struct snapshot *snapshot);

/* What etcd's own tool says of the file. */
struct snapshot_status {
    int64_t revision, keys, bytes; /* keys: of all revisions that are in it */
};

/* Reads the line "snapshot REVISION KEYS BYTES". false: there is none. */
bool snapshot_status_read(const char *text, struct snapshot_status *ret_status);

/* Behind the last line that begins with this word and a space; NULL. */
const char *snapshot_line(const char *text, const char *word);

/* Of a member: takes a snapshot, which it prints. */
extern const struct step_kind step_snapshot_save;

#endif
