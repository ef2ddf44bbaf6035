/* work.h: what a node's agent has to do: which of its certificates are to be renewed before their time, and why.
 *
 * A certificate is renewed when a rotation (ca/rotation.h) marks it, or when it is not as the node would get it today
 * (policies/difference.h). Its time, which is the rule, is the agent's own affair. What cannot be renewed, because its
 * place is blocked or it has expired, has no reason: that is a matter for a new join token.  Threads: any. */
#ifndef ENSIGN_CA_WORK_H
#define ENSIGN_CA_WORK_H

#include "ca/lineage.h"
#include "ca/rotation.h"
#include "policies/difference.h"

enum { WORK_DETAIL_SIZE = 320 };
_Static_assert((int)WORK_DETAIL_SIZE >= (int)DIFFERENCE_TEXT_SIZE, "a difference has room");

struct work_item {
    const struct catalogue_item *item; /* with a profile */
    bool issued;                       /* there is a current one, with this serial */
    uint8_t serial[SERIAL_SIZE];
    bool blocked;
    const char *reason; /* "rotation", "names", "issuer", "profile"; NULL: leave it as it is */
    char detail[WORK_DETAIL_SIZE];
    bool marked; /* by this rotation */
    uint8_t rotation[ROTATION_ID_SIZE];
};

struct work {
    struct catalogue catalogue; /* of the node */
    struct work_item items[CATALOGUE_NODE_ITEMS_MAX];
    size_t count;
};

/* Borrows from the cluster. ERR_ABSENT: the inventory has no such node. */
MUST_USE enum err work_make(struct ca *ca, const struct cluster *cluster, const char *node, struct work *ret_work,
                            struct fault *f);
void work_cleanup(struct work *work);

/* The place of an item: of one that is shared, that of the whole cluster, whose node is "". */
struct place work_place(const struct cluster *cluster, const struct catalogue_item *item);

/* Whether and how the stored certificate differs from what its place gets today. */
MUST_USE enum err work_difference(struct ca *ca, const struct cluster *cluster, const struct catalogue_item *item,
                                  const struct certificate_record *record, enum difference *ret_difference,
                                  char ret_detail[DIFFERENCE_TEXT_SIZE], struct fault *f);

#endif
