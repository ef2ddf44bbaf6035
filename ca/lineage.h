/* lineage.h: which certificate counts at a place, and which one it replaced. A place is a cluster, a node and a
 * profile.
 *
 *   g <cluster> 0 <node> 0 <profile>    lineage_record
 *
 * A certificate that a join token fetches begins the lineage of its place anew; a renewal (ca/renewal.h) moves it on.
 * It is written in the commit that issues: a place has one successor at a time, whoever asks at once. What operators
 * and admins have issued for a node is no part of a lineage that there is: whether the node has its key nobody knows
 * here.
 *
 * Places that were served before there were lineages, or by operators only, have no row. Until they get one, the newest
 * valid certificate of the place stands in for it; if none is valid, the newest.  Threads: any. */
#ifndef ENSIGN_CA_LINEAGE_H
#define ENSIGN_CA_LINEAGE_H

#include "ca/ca.h"

struct place {
    const char *cluster, *node, *profile;
};

struct lineage_record {
    char cluster[CLUSTER_NAME_MAX + 1];
    char node[DNS_NAME_MAX + 1];
    char profile[PROFILE_NAME_MAX + 1];
    uint8_t current[SERIAL_SIZE];  /* zeros: nothing was issued for this place yet */
    uint8_t previous[SERIAL_SIZE]; /* what it replaced; zeros when there is none */
    int64_t installed_at;          /* when the node reported that current is installed; 0: not yet */
    int64_t blocked_at;            /* from then on nothing of it is renewed; 0: not blocked */
    uint8_t blocked_reason;        /* RFC 5280 §5.3.1 */
};

/* ---- rows ---- */
void key_lineage(const struct place *place, struct bytes *out);
void lineage_record_pack(const struct lineage_record *record, struct bytes *out);
/* ERR_IO (CODE_DAMAGED) when the row does not parse. */
MUST_USE enum err lineage_record_unpack(struct span row, struct lineage_record *ret_record, struct fault *f);

/* ---- reading ---- */

/* The row alone: what a change expects and replaces. Without one, ret_record is the place without certificates, and
 * *ret_revision 0. */
MUST_USE enum err lineage_row(struct ca *ca, const struct place *place, struct lineage_record *ret_record,
                              uint64_t *ret_revision, struct fault *f);
/* The row, or what stands in for it (*ret_revision 0). ERR_ABSENT (CODE_NOT_FOUND): nothing was issued for the place.
 */
MUST_USE enum err lineage_get(struct ca *ca, const struct place *place, struct lineage_record *ret_record,
                              uint64_t *ret_revision, struct fault *f);
/* Calls visit for each row of the cluster, in order of node and profile, until it returns false; visit must not call
 * the store. Places without a row are not among them. node: of this one only; NULL: of all */
MUST_USE enum err lineage_each(struct ca *ca, const char *cluster, const char *node,
                               bool (*visit)(void *context, const struct lineage_record *record), void *context,
                               struct fault *f);

/* Whether the certificate of this place was replaced by one that is installed. */
bool lineage_superseded(const struct lineage_record *lineage, const uint8_t serial[SERIAL_SIZE]);

/* ---- changing ---- */

/* The change stores the lineage, if its row still has this revision. */
void lineage_put(const struct lineage_record *lineage, uint64_t revision, struct change *change);
/* The certificate with this serial is current from now on, and what was is previous. */
void lineage_advance(struct lineage_record *lineage, const uint8_t serial[SERIAL_SIZE]);
/* The change blocks the place: nothing of it is renewed until a join token begins it anew. lineage and revision as
 * lineage_get() returned them; reason of RFC 5280 §5.3.1. One that is blocked stays as it is. */
void lineage_block(const struct lineage_record *lineage, uint64_t revision, int64_t now, uint8_t reason,
                   struct change *change);

#endif
