/* authority.h: the CAs of all clusters, in memory: make, load, find. */
#ifndef ENSIGN_CA_AUTHORITY_H
#define ENSIGN_CA_AUTHORITY_H

#include "ca/record.h"
#include "ca/store.h"
#include "hsm/signer.h"

/* One CA. Never changes and lives as long as its table, so pointers to it may be kept. */
struct authority {
    struct authority_record record;
    struct certificate certificate; /* parsed from the record */
    struct bytes pem;               /* the same as text */
    struct issuer issuer;           /* borrows from certificate */
};

struct authorities; /* thread-safe */

MUST_USE enum err authorities_load(struct store *store, struct authorities **ret_authorities, struct fault *f);
void authorities_free(struct authorities *authorities);

/* The newest generation; NULL when there is none. */
const struct authority *authorities_find(struct authorities *authorities, const char *cluster, const char *name);
/* Whether the key is that of any CA. */
bool authorities_has_key(struct authorities *authorities, const uint8_t spki_sha256[SHA256_SIZE]);
/* Has the signer make the first generation of a CA; what it may sign follows from its name. Nothing is stored. */
MUST_USE enum err authority_make(struct signer *signer, const char *cluster, const char *name,
                                 enum key_algorithm algorithm, int64_t lifetime_seconds, int64_t now,
                                 struct authority_record *ret_record, struct fault *f);

/* A CA that somebody has already. Borrows. */
struct imported_authority {
    const char *name;        /* "kubernetes" */
    struct span certificate; /* DER */
    struct span box;         /* its private key, PKCS#8, sealed to the signer (hsm/import.h) */
};
/* The same for such a CA, with the generation that it is to have. Errors: those of certificate_parse_authority(),
 * foreign_authority_check(), signer_import_authority(). */
MUST_USE enum err authority_make_imported(struct signer *signer, const char *cluster,
                                          const struct imported_authority *imported, uint32_t generation, int64_t now,
                                          struct authority_record *ret_record, struct fault *f);

/* The next generation of a CA with the same key: another certificate (key_reissue_authority). */
MUST_USE enum err authority_make_again(struct signer *signer, const struct authority *authority, int64_t now,
                                       struct authority_record *ret_record, struct fault *f);

/* The parsed form. Takes the record. */
MUST_USE enum err authority_new(struct authority_record *take_record, struct authority **ret_authority,
                                struct fault *f);
void authority_free(struct authority *authority);
void authority_auto(struct authority **authority); /* for CLEANUP() */

/* Adds a CA that has just been committed; *take_authority is NULL when it was added. */
MUST_USE enum err authorities_add(struct authorities *authorities, struct authority **take_authority, struct fault *f);

/* Calls visit for each CA, in order of cluster, name and generation, until it returns false; visit must not call these
 * functions. */
void authorities_each(struct authorities *authorities, bool (*visit)(void *context, const struct authority *authority),
                      void *context);

/* PEM of all CAs of that name, newest first: the trust bundle. ERR_ABSENT when there is none. */
MUST_USE enum err authorities_bundle(struct authorities *authorities, const char *cluster, const char *name,
                                     struct bytes *ret_pem, struct fault *f);

#endif
