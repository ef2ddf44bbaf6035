/* renewal.h: may a node have a successor of this certificate? What is in the successor is policies/decide's to say.
 *
 * A node may replace what is current at a place of its own (ca/lineage.h), while that is valid, and by a fresh key. It
 * may ask for the successor that it has already again, by the same key, until it has reported that as installed: so it
 * gets its answer though the first one was lost. */
#ifndef ENSIGN_CA_RENEWAL_H
#define ENSIGN_CA_RENEWAL_H

#include "ca/work.h"

struct renewal {
    struct lineage_record lineage;
    uint64_t revision; /* of its row */
    bool again;        /* the current certificate is the answer */
};

/* Adds all that is against it as reasons, pointers "/replaces" and "/csr/publicKey". Certificates of other nodes look
 * like such as were never issued. Errors: of reading. */
MUST_USE enum err renewal_judge(struct ca *ca, const struct place *place, const uint8_t replaces[SERIAL_SIZE],
                                const uint8_t spki_sha256[SHA256_SIZE], int64_t now, struct renewal *ret_renewal,
                                struct fault *f);

/* Whether another certificate is issued for a profile of this node, where `current` counts now. What is due (half of
 * its life is over), what a rotation marks and what is not as the node gets it today is issued whenever it is asked
 * for; beyond that at most ca->renewals_per_hour in an hour: so neither an agent that is broken nor who has its
 * identity fills the disk. node  who asks; of a certificate that control planes share, one of them ERR_LIMIT
 * (CODE_RATE_LIMITED) with retry_after_seconds. */
MUST_USE enum err renewal_admit(struct ca *ca, const struct cluster *cluster, const char *node, const char *profile,
                                const uint8_t current[SERIAL_SIZE], int64_t now, struct fault *f);

#endif
