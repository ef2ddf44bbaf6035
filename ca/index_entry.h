/* index_entry.h: what ca/index.c, which keeps the indexes, and ca/index_query.c, which reads them, share. */
#ifndef ENSIGN_CA_INDEX_ENTRY_H
#define ENSIGN_CA_INDEX_ENTRY_H

#include "ca/index.h"

enum { POSITION_MAX = 8 + SERIAL_SIZE };

/* What the indexes know of one certificate. */
struct entry {
    uint8_t serial[SERIAL_SIZE];
    char cluster[CLUSTER_NAME_MAX + 1];
    char node[DNS_NAME_MAX + 1];
    char profile[PROFILE_NAME_MAX + 1];
    uint8_t spki_sha256[SHA256_SIZE], owner[KEY_OWNER_SIZE];
    int64_t not_after;
    uint64_t sequence; /* of its leaf */
};

/* Everything of an index key but the position, which is the serial, after the expiry in the index of kind 'e'. */
void key_index(char kind, const char *cluster, const char *node, const char *profile, struct bytes *out);
void position_append(char kind, const struct entry *entry, struct bytes *out);

/* Calls visit, under the lock, for each certificate that is committed and not in the store's indexes yet, until it
 * fails; returns what it returned. */
MUST_USE enum err index_tail_each(struct index *index, enum err (*visit)(void *context, const struct entry *entry),
                                  void *context);
struct store *index_store(const struct index *index);

MUST_USE enum err entry_load(struct store *store, const uint8_t serial[SERIAL_SIZE],
                             struct certificate_record *ret_record, struct fault *f);

#endif
