/* adopt.h: CAs that exist already: how a cluster comes to use them. */
#ifndef ENSIGN_CA_ADOPT_H
#define ENSIGN_CA_ADOPT_H

#include "ca/ca.h"

enum { ADOPTED_AUTHORITIES_MAX = 3, FOUND_CERTIFICATES_MAX = 500, FOUND_FILE_MAX = 255 };

/* A leaf certificate that the admin's client found beside the CAs: for the audit log, as the client tells it. */
struct found_certificate {
    const char *file, *serial; /* relative; hexadecimal digits */
    const char *authority;     /* of the CAs that are adopted, the one that issued it; NULL: none */
    uint8_t sha256[SHA256_SIZE];
};

/* The CAs that a cluster is created with. Borrows. */
struct adoption {
    struct imported_authority authorities[ADOPTED_AUTHORITIES_MAX];
    size_t authorities_count;
    bool generate_missing; /* make those that are not among them; else they must be all */
    const struct found_certificate *certificates;
    size_t certificates_count;
};
/* NULL when the adoption does not bring it along. adoption may be NULL. */
const struct imported_authority *adoption_find(const struct adoption *adoption, const char *name);

/* A record of a CA that is brought along. It must be one to issue under (foreign_authority_check), its name constraints
 * must permit every certificate of the cluster, and its key may be no other cluster's. Nothing is stored. The fault's
 * text names the CA. */
MUST_USE enum err adopt_authority(struct ca *ca, const struct cluster *cluster,
                                  const struct imported_authority *imported, uint32_t generation, int64_t now,
                                  struct authority_record *ret_record, struct fault *f);
/* Whether the cluster has this very certificate among the generations of that CA. */
bool adopted_already(struct ca *ca, const char *cluster, const struct imported_authority *imported);

/* The members "imported" and "certificates" of an event. */
void adoption_event(const struct adoption *adoption, struct bytes *event);

/* As cluster_create(), with these CAs. ERR_INPUT also for a CA that is missing or not one to issue under. The same
 * document with the same CAs again changes nothing; with others it is ERR_CONFLICT. */
MUST_USE enum err cluster_adopt(struct ca *ca, const struct caller *caller, const struct document *document,
                                const struct adoption *adoption, struct idempotency *idempotency, bool *ret_created,
                                const struct cluster **ret_cluster, struct fault *f);

/* Puts a CA that is brought along in the place of the cluster's, as long as that has issued nothing: ERR_CONFLICT
 * otherwise. The one that it replaces stays in the bundle, behind it. The same again changes nothing. */
MUST_USE enum err authority_import(struct ca *ca, const struct caller *caller, const char *cluster,
                                   const struct imported_authority *imported, bool *ret_created,
                                   const struct authority **ret_authority, struct fault *f);
/* Makes another certificate of the CA, with cRLSign, unless it has that already. ERR_CONFLICT when it has expired. */
MUST_USE enum err authority_reissue(struct ca *ca, const struct caller *caller, const char *cluster, const char *name,
                                    bool *ret_created, const struct authority **ret_authority, struct fault *f);

#endif
