/* restore.h: a snapshot in the place of the data of all members of etcd. Everything is done by steps on hosts that may
 * each be run again (snapshot.sh): whoever is killed in between is gone on with by the next one, which looks again. */
#ifndef ENSIGN_CLIENT_BOOTSTRAP_RESTORE_H
#define ENSIGN_CLIENT_BOOTSTRAP_RESTORE_H

#include "client/bootstrap/bringup.h"
#include "client/bootstrap/snapshot.h"

enum { RESTORE_ID_SIZE = 24, MEMBER_TEXT_SIZE = 24 };

/* How far a member is with one that was begun. */
enum restore_progress { RESTORE_NONE, RESTORE_PREPARED, RESTORE_SWITCHED, RESTORE_STARTED };

struct member_look {
    bool healthy, leader;
    enum restore_progress progress;
    /* The rest unless it is none. */
    char id[RESTORE_ID_SIZE]; /* when it was begun: "20261121T205500Z" */
    char digest[SHA256_TEXT_SIZE];
    int64_t revision; /* of the data that were made of the snapshot */
};

/* What gate_restore_look() says. ERR_INPUT: it is something else. Pure. */
MUST_USE enum err member_look_read(const char *text, struct member_look *ret_look, struct fault *f);

/* Which of these restores is gone on with: one of the snapshot with this digest that is as far on all members that a
 * next step needs it of. RESTORE_NONE: none, so that one begins anew. Pure.
 *   looks      one per host; those that are not `members` are not looked at
 *   ret_found  a look that has the id and the revision; NULL with RESTORE_NONE */
enum restore_progress restore_found(const struct member_look *looks, const bool *members, size_t count,
                                    const char *digest, const struct member_look **ret_found);

/* What a member has after it. */
struct member_data {
    int64_t revision;                                    /* now */
    char keys[MEMBER_TEXT_SIZE], hash[MEMBER_TEXT_SIZE]; /* as of the snapshot: numbers; "-": no longer known */
};

/* That members have the snapshot's revision or a later one, and the same as of then: what gate_restore_verify() says of
 * those that are `chosen`. ERR_INPUT says which is not. Pure.
 *   nodes  the cluster's; entries are one per node each */
MUST_USE enum err members_compare(const struct node_entry *nodes, const struct bytes *outputs, const bool *chosen,
                                  size_t count, int64_t revision, struct member_data *ret_members, struct fault *f);

struct restore {
    struct bringup *bringup;
    const struct snapshot *snapshot;
    struct member_look *looks;   /* one per host */
    struct member_data *members; /* the same, when it is done */
    bool *chosen, *is_member;
    enum restore_progress progress; /* of the restore that this one goes on with */
    char id[RESTORE_ID_SIZE];
    int64_t revision; /* 0: not known yet */
};

/* Asks the members how they are. Borrows; those that did not answer are left out.
 *   snapshot  NULL: none is restored */
MUST_USE enum err restore_open(struct restore *ret_restore, struct bringup *bringup, const struct snapshot *snapshot,
                               struct fault *f);
void restore_cleanup(struct restore *restore);

/* A healthy member, a follower where there is one: a host. ERR_ABSENT. */
MUST_USE enum err restore_healthy(const struct restore *restore, size_t *ret_host, struct fault *f);

/* Makes the plan of the bring-up the one of this restore. */
MUST_USE enum err restore_plan(struct restore *restore, struct fault *f);

/* Does what is planned. Afterwards all members have the same data, those of the snapshot. */
MUST_USE enum err restore_apply(struct restore *restore, struct fault *f);

#endif
