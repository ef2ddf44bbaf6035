/* crl.h: the CRL of each CA: a complete one (RFC 5280 §5), made from the revocations (ca/revocation.h), always there.
 *
 *   p <cluster> 0 <authority>    crl_record
 *
 * One CRL per name of a CA, signed by its newest generation. A reissued CA has the key and the name that it had; after
 * an import, what older generations signed is in the CRL of the newest all the same: serials are unique across all CAs
 * here, and etcd compares nothing else.
 *
 * A CRL is made in the commit that makes the CA, after each revocation, when half of its life is over, and when the
 * clock was ahead at the last one. Its number is the time in microseconds, or one more than the last where that is
 * larger: no CRL is made in less than one, so it never runs ahead of time, and rises over a restored copy, too. A
 * certificate leaves when a CRL that was made after it expired has listed it (§3.3). Up to CRL_ENTRIES_MAX are listed.
 *
 * The clock and an older copy of the database stop issuance, but no CRL: who revokes must not have to wait.
 * Threads: any; one CRL is made at a time, with all that was revoked until then. */
#ifndef ENSIGN_CA_CRL_H
#define ENSIGN_CA_CRL_H

#include "ca/ca.h"

enum { CRL_LIFE_SECONDS = 7 * 86400 };

struct crl_record {
    char cluster[CLUSTER_NAME_MAX + 1]; /* CLUSTER_SERVICE for AUTHORITY_SERVICE */
    char authority[AUTHORITY_NAME_MAX + 1];
    uint32_t generation; /* of the CA that signed it */
    uint64_t number;
    int64_t this_update, next_update;
    uint32_t entries;
    struct bytes der;
};
void key_crl(const char *cluster, const char *authority, struct bytes *out);
void crl_record_pack(const struct crl_record *record, struct bytes *out);
MUST_USE enum err crl_record_unpack(struct span row, struct crl_record *ret_record, struct fault *f);
void crl_record_cleanup(struct crl_record *record);

/* A first, empty CRL of a CA that is about to be stored, for the commit that does. Without cRLSign there is none, and
 * ret_record is empty. */
MUST_USE enum err crl_first(struct signer *signer, const struct authority *authority, int64_t now,
                            struct crl_record *ret_record, struct fault *f);

/* The change that stores the CA stores such a CRL, too. */
MUST_USE enum err crl_begin(struct signer *signer, const struct authority *authority, int64_t now,
                            struct change *change, struct fault *f);

/* As it is stored. ERR_ABSENT: there is none. */
MUST_USE enum err crl_stored(struct ca *ca, const char *cluster, const char *authority, struct crl_record *ret_record,
                             struct fault *f);

/* The CRL as it is; made when there is none of this generation yet.
 * ERR_ABSENT no such CA; ERR_CONFLICT (CODE_CONFLICT) its certificate has no cRLSign; when it has to be made, errors of
 * crl_refresh(). */
MUST_USE enum err crl_get(struct ca *ca, const char *cluster, const char *authority, struct crl_record *ret_record,
                          struct fault *f);

/* The CRL with everything that was revoked when this was called: as it is, or a new one, when that does not list it,
 * half of its life is over, or it is of another generation. Errors: as crl_get(); ERR_LIMIT (CODE_TOO_LARGE) there are
 * too many revocations; those of ledger_commit(). */
MUST_USE enum err crl_refresh(struct ca *ca, const char *cluster, const char *authority, struct crl_record *ret_record,
                              struct fault *f);

/* crl_refresh() of every CA that can sign CRLs. What fails is told, and the others go on; returns how many failed so
 * that it is worth trying again soon. */
size_t crl_refresh_all(struct ca *ca,
                       void (*tell)(const char *cluster, const char *authority, const struct fault *why));

/* Erases the revocations that no CRL will list any more, some in each commit: what expired so long ago that it has
 * expired by a clock that was believed and ahead, too (clock_max_offline()). None while the clock is not trusted. Of a
 * CA that has no CRL they stay. */
MUST_USE enum err crl_expire(struct ca *ca, size_t *ret_removed, struct fault *f);

/* Calls visit for each stored CRL until it returns false. */
MUST_USE enum err crl_each(struct ca *ca, bool (*visit)(void *context, const struct crl_record *record), void *context,
                           struct fault *f);

#endif
