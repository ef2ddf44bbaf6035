/* rotation.h: certificates that are to be replaced before their time: all of a cluster, of a node, of a profile.
 *
 *   r <cluster> 0 <id>            rotation
 *   r <cluster> 0 <id> <u16>      its marks, a part of them
 *
 * A rotation is a list of marks: a place, and the serial that is to be replaced there. It is made once and never
 * changes. A mark is done when the place has another certificate that is installed, which its lineage (ca/lineage.h)
 * and the node's report (ca/deployed.h), or those of all that share it (ca/holders.h), say: nothing is written as
 * agents go on, and one renewal does for every mark that the certificate has. Ids are in the order of time. Places of
 * today's inventory alone are marked, and such as have a certificate.  Threads: any. */
#ifndef ENSIGN_CA_ROTATION_H
#define ENSIGN_CA_ROTATION_H

#include "ca/deployed.h"
#include "ca/lineage.h"

enum { ROTATION_ID_SIZE = 16, ROTATION_REASON_MAX = 255 };

/* Which places. */
struct rotation_selector {
    char node[DNS_NAME_MAX + 1];        /* empty: all */
    char profile[PROFILE_NAME_MAX + 1]; /* empty: all */
    bool has_serial;
    uint8_t serial[SERIAL_SIZE];
    int64_t expiring_within_seconds; /* 0: whenever they expire */
    bool changed;                    /* only what differs from what the place gets today */
};

struct rotation {
    uint8_t id[ROTATION_ID_SIZE];
    char cluster[CLUSTER_NAME_MAX + 1];
    int64_t created_at;
    char created_by[DNS_NAME_MAX + 32];
    char reason[ROTATION_REASON_MAX + 1]; /* or empty */
    struct rotation_selector selector;
    uint32_t places;
};

/* node "": the one of all control planes */
struct mark {
    char node[DNS_NAME_MAX + 1];
    char profile[PROFILE_NAME_MAX + 1];
    uint8_t serial[SERIAL_SIZE];
};

/* ---- rows ---- */

void key_rotation(const char *cluster, const uint8_t id[ROTATION_ID_SIZE], struct bytes *out);
void key_marks(const char *cluster, const uint8_t id[ROTATION_ID_SIZE], uint16_t part, struct bytes *out);
void mark_pack(const struct mark *mark, struct bytes *out); /* a part is a version byte and marks */
void rotation_pack(const struct rotation *rotation, struct bytes *out);
/* ERR_IO (CODE_DAMAGED) when the row does not parse. */
MUST_USE enum err rotation_unpack(struct span row, struct rotation *ret_rotation, struct fault *f);
/* Calls visit for each mark of a part until it returns false. */
typedef bool mark_visit(void *context, const struct mark *mark);
MUST_USE enum err marks_unpack(struct span row, mark_visit *visit, void *context, struct fault *f);
/* What a key is of. False: of neither. The cluster is borrowed. */
struct rotation_key {
    const char *cluster;
    uint8_t id[ROTATION_ID_SIZE];
    bool marks; /* a part of its marks, or the rotation itself */
};
bool rotation_key_parse(struct span key, struct rotation_key *ret_key);

/* ---- what is marked: for each place its last mark, in memory ---- */

struct rotations;
MUST_USE enum err rotations_load(struct store *store, struct rotations **ret_rotations, struct fault *f);
/* When it is durable. A later mark of the same place stays. */
MUST_USE enum err rotations_add(struct rotations *rotations, const char *cluster, const uint8_t id[ROTATION_ID_SIZE],
                                const struct mark *mark, struct fault *f);
void rotations_free(struct rotations *rotations);
/* Whether the serial at the place is to be replaced, and by which rotation. */
bool rotations_marked(struct rotations *rotations, const struct place *place, const uint8_t serial[SERIAL_SIZE],
                      uint8_t ret_id[ROTATION_ID_SIZE]);

/* ---- making and reading ---- */

struct rotation_request {
    struct rotation_selector selector;
    const char *reason;              /* "" for none; at most ROTATION_REASON_MAX bytes */
    struct idempotency *idempotency; /* makes a struct rotation; may be NULL */
};
/* Marks what the selector chooses now. Nothing chosen: nothing is made, and ret_rotation->places is 0.
 * ERR_INPUT: no such node, profile or current serial; ERR_LIMIT more than fits; ERR_IO (CODE_CLOCK_UNTRUSTED,
 * CODE_RESTORED). */
MUST_USE enum err rotation_create(struct ca *ca, const struct caller *caller, const struct cluster *cluster,
                                  const struct rotation_request *request, struct rotation *ret_rotation,
                                  struct fault *f);

MUST_USE enum err rotation_get(struct ca *ca, const char *cluster, const uint8_t id[ROTATION_ID_SIZE],
                               struct rotation *ret_rotation, struct fault *f);
/* Calls visit for each rotation of the cluster, the newest first, until it returns false; visit must not call the
 * store. before: only what is older than this one; NULL: all */
MUST_USE enum err rotation_each(struct ca *ca, const char *cluster, const uint8_t before[ROTATION_ID_SIZE],
                                bool (*visit)(void *context, const struct rotation *rotation), void *context,
                                struct fault *f);

/* ---- progress ---- */

enum mark_state {
    MARK_MARKED,
    MARK_RENEWED,         /* there is a new one, and its node has not reported it */
    MARK_WAITING_RESTART, /* it is installed, and the server presents the old one */
    MARK_FAILED,          /* it cannot be renewed, or could not be installed */
    MARK_INSTALLED,       /* done */
    MARK_SERVED,          /* done */
};
extern const char *const mark_state_words[]; /* of enum mark_state; NULL-terminated */

struct mark_progress {
    enum mark_state state;
    uint8_t successor[SERIAL_SIZE]; /* zeros while there is none */
    char detail[DEPLOYED_DETAIL_MAX + 1];
};

/* What is known of a mark. Pure.
 *   lineage  of its place; NULL: its node or profile is not in the inventory any more
 *   report   what the node said of the profile last; NULL: nothing
 *   state    of the marked certificate: "valid", "expired", "revoked" */
void mark_judge(const struct mark *mark, const struct lineage_record *lineage,
                const struct deployed_certificate *report, const char *state, struct mark_progress *ret_progress);

/* Of a mark that several nodes share: what is known of it on this one, beside those before it (first: none). It is as
 * far as the last of them, and has failed when one has. Pure. */
void mark_join(struct mark_progress *all, bool first, const char *node, const struct mark_progress *one);

/* Calls visit for each of `count` marks of the rotation, from the one with this number on, with what is known of it,
 * until it returns false. */
typedef bool progress_visit(void *context, const struct mark *mark, const struct mark_progress *progress);
MUST_USE enum err rotation_progress(struct ca *ca, const struct cluster *cluster, const struct rotation *rotation,
                                    uint32_t first, uint32_t count, progress_visit *visit, void *context,
                                    struct fault *f);

#endif
