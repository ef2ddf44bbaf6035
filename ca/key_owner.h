/* key_owner.h: a public key has one owner: a node, an identity of a person or program, a user of a
 * cluster, or the service itself.
 *
 * The owner of each key that was certified stands in the search indexes, which follow the commits (ca/index.h):
 *
 *   x k <SHA-256 of the SubjectPublicKeyInfo>   owner, 32 bytes
 *
 * What is about to be certified, or is not indexed yet, is claimed in memory. A claim looks at both, so it is exact,
 * and of two who ask at the same time one gets the key.  Threads: any. */
#ifndef ENSIGN_CA_KEY_OWNER_H
#define ENSIGN_CA_KEY_OWNER_H

#include "ca/record.h"
#include "ca/store.h"

enum { KEY_OWNER_SIZE = 32 };

/* Who has a certificate of this cluster, node and identity or user, as they stand in its record. */
void key_owner(const char *cluster, const char *node, const char *identity, uint8_t ret_owner[KEY_OWNER_SIZE]);
void key_owner_row(const uint8_t spki_sha256[SHA256_SIZE], struct bytes *out);

struct key_claims;

MUST_USE enum err key_claims_new(struct store *store, struct key_claims **ret_claims, struct fault *f);
void key_claims_free(struct key_claims *claims);

/* *ret_claimed is false when somebody else has the key. Else each claim is released once: when nothing was certified,
 * or when the index has the row. */
MUST_USE enum err key_claim(struct key_claims *claims, const uint8_t spki_sha256[SHA256_SIZE],
                            const uint8_t owner[KEY_OWNER_SIZE], bool *ret_claimed, struct fault *f);
void key_release(struct key_claims *claims, const uint8_t spki_sha256[SHA256_SIZE]);

#endif
