/* revocation.h: certificates that count no more before they expire.
 *
 *   q <cluster> 0 <authority> 0 <serial>    revocation_record, under the CA that issued it; erased when it has expired
 *                                           (crl_expire() in ca/crl.h)
 *   b <SHA-256 of SubjectPublicKeyInfo>     known_key: of a certificate that was revoked for keyCompromise; stays
 *
 * Nothing is issued any more for a key that others know, whoever asks and whatever for: who revokes so asks for a new
 * key.
 *
 * A revocation is durable (record, row, leaf, and the block of the lineage, in one commit) before the CRL is made,
 * which is a commit of its own (ca/crl.h). When the CRL cannot be made, the revocation stands, and `unlisted` stays
 * true until it could be; at start it is true until somebody has looked.
 *
 * What is revoked and not expired is held in memory, too, by the certificate's hash: Kubernetes names the certificate
 * of a caller so.  Threads: any. */
#ifndef ENSIGN_CA_REVOCATION_H
#define ENSIGN_CA_REVOCATION_H

#include "ca/ca.h"

struct revocation_record {
    char cluster[CLUSTER_NAME_MAX + 1]; /* of the CA: CLUSTER_SERVICE for AUTHORITY_SERVICE */
    char authority[AUTHORITY_NAME_MAX + 1];
    uint8_t serial[SERIAL_SIZE];
    int64_t revoked_at;
    uint8_t reason; /* RFC 5280 §5.3.1 */
    int64_t not_after;
    uint8_t sha256[SHA256_SIZE]; /* of the certificate's DER */
};
/* serial NULL: what the keys of this CA begin with */
void key_revocation(const char *cluster, const char *authority, const uint8_t *serial, struct bytes *out);
void revocation_record_pack(const struct revocation_record *record, struct bytes *out);
MUST_USE enum err revocation_record_unpack(struct span row, struct revocation_record *ret_record, struct fault *f);

/* A key that others than its owner know. */
struct known_key {
    uint8_t serial[SERIAL_SIZE]; /* of the certificate that was revoked for it */
    int64_t revoked_at;
};
void key_known_key(const uint8_t spki_sha256[SHA256_SIZE], struct bytes *out);
void known_key_pack(const struct known_key *key, struct bytes *out);
MUST_USE enum err known_key_unpack(struct span row, struct known_key *ret_key, struct fault *f);

/* ---- revoking ---- */

/* ret_record: what stands now; again, it is what was stored the first time, and nothing is written, unless the reason
 * is keyCompromise and was another one: that takes its place. ERR_ABSENT; ERR_CONFLICT (CODE_CONFLICT) it has expired,
 * revoked before or not; ERR_DENIED (CODE_POLICY_DENIED) an operator, for what belongs to no node or user of a cluster:
 * an identity of the service, or its own certificate. The denial is in the audit log. */
MUST_USE enum err revocation_make(struct ca *ca, const struct caller *caller, const uint8_t serial[SERIAL_SIZE],
                                  uint8_t reason, struct revocation_record *ret_record, struct fault *f);

struct revocation_selector {
    const char *cluster;
    const char *node, *profile, *user; /* NULL: any; at least one is given. A node alone: without what it shares */
};

enum { REVOCATIONS_MAX = 500 };
struct revocations_made {
    struct certificate_record records[REVOCATIONS_MAX]; /* as they were before */
    size_t count;
    size_t tokens; /* join tokens of the node that were revoked: with a node, and neither profile nor user */
    bool more;     /* there were more than REVOCATIONS_MAX: ask again */
};
/* Revokes all valid certificates that the selector matches, some in each commit: what was done stays done when it
 * fails, and asking again does the rest. ret_made  filled also on failure; revocations_made_cleanup() */
MUST_USE enum err revocation_make_all(struct ca *ca, const struct caller *caller,
                                      const struct revocation_selector *selector, uint8_t reason,
                                      struct revocations_made *ret_made, struct fault *f);
void revocations_made_cleanup(struct revocations_made *made);

/* ---- keys that others know, for issue() ---- */

/* Adds a reason at "/csr/publicKey" when this is one. Errors: of reading. */
MUST_USE enum err revocation_key_judge(struct ca *ca, const uint8_t spki_sha256[SHA256_SIZE], struct fault *f);
/* The change fails (ERR_CONFLICT) when it has become one meanwhile. */
void revocation_key_expect(const uint8_t spki_sha256[SHA256_SIZE], struct change *change);

/* Under which cluster a CA of that name stands. */
const char *revocation_cluster(const char *cluster, const char *authority);

/* ---- reading ---- */

MUST_USE enum err revocation_each(struct ca *ca, const char *cluster, const char *authority,
                                  bool (*visit)(void *context, const struct revocation_record *record), void *context,
                                  struct fault *f);

struct revocations; /* in memory */

/* One that is committed. */
MUST_USE enum err revocations_add(struct revocations *revocations, const struct revocation_record *record,
                                  struct fault *f);
/* One that is erased. */
void revocations_remove(struct revocations *revocations, const struct revocation_record *record);
MUST_USE enum err revocations_load(struct store *store, struct revocations **ret_revocations, struct fault *f);
void revocations_free(struct revocations *revocations);
/* Whether the certificate with this hash is one of this CA that was revoked. */
bool revocations_has(struct revocations *revocations, const char *cluster, const char *authority,
                     const uint8_t sha256[SHA256_SIZE]);
/* In order of cluster, authority and hash; of one CA where they are given. visit must not call these functions. */
void revocations_each(struct revocations *revocations, const char *cluster, const char *authority,
                      void (*visit)(void *context, const struct revocation_record *record), void *context);

/* Whether there may be something that no CRL lists. Taking it makes it false. */
bool revocations_take_unlisted(struct revocations *revocations);
void revocations_set_unlisted(struct revocations *revocations);

#endif
