/* revoked.c: the rows of revocations and of keys that others know, and what of it is held in memory. */
#include <pthread.h>
#include <search.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "ca/revocation.h"
#include "ca/rows.h"

enum { REVOCATION_VERSION = 1, KNOWN_KEY_VERSION = 1 };

/* ---- rows ---- */

void key_revocation(const char *cluster, const char *authority, const uint8_t *serial, struct bytes *out)
{
    key_prefix('q', out);
    key_name(cluster, out);
    key_name(authority, out);
    if (serial)
        bytes_append(out, serial, SERIAL_SIZE);
}

void revocation_record_pack(const struct revocation_record *record, struct bytes *out)
{
    pack_u8(out, REVOCATION_VERSION);
    pack_text(out, record->cluster);
    pack_text(out, record->authority);
    pack_fixed(out, SPAN_OF(record->serial));
    pack_i64(out, record->revoked_at);
    pack_u8(out, record->reason);
    pack_i64(out, record->not_after);
    pack_fixed(out, SPAN_OF(record->sha256));
}

enum err revocation_record_unpack(struct span row, struct revocation_record *ret_record, struct fault *f)
{
    struct unpack in;
    TRY(row_begin(row, REVOCATION_VERSION, "a revocation's row", &in, f));
    struct revocation_record record = {0};
    unpack_text(&in, record.cluster, sizeof record.cluster);
    unpack_text(&in, record.authority, sizeof record.authority);
    unpack_fixed(&in, record.serial, sizeof record.serial);
    record.revoked_at = unpack_i64(&in);
    record.reason = unpack_u8(&in);
    record.not_after = unpack_i64(&in);
    unpack_fixed(&in, record.sha256, sizeof record.sha256);
    TRY(unpack_finish(&in, "a revocation's row", f));
    *ret_record = record;
    return OK;
}

void key_known_key(const uint8_t spki_sha256[SHA256_SIZE], struct bytes *out)
{
    key_prefix('b', out);
    bytes_append(out, spki_sha256, SHA256_SIZE);
}

void known_key_pack(const struct known_key *key, struct bytes *out)
{
    pack_u8(out, KNOWN_KEY_VERSION);
    pack_fixed(out, SPAN_OF(key->serial));
    pack_i64(out, key->revoked_at);
}

enum err known_key_unpack(struct span row, struct known_key *ret_key, struct fault *f)
{
    struct unpack in;
    TRY(row_begin(row, KNOWN_KEY_VERSION, "the row of a key that others know", &in, f));
    struct known_key key = {0};
    unpack_fixed(&in, key.serial, sizeof key.serial);
    key.revoked_at = unpack_i64(&in);
    TRY(unpack_finish(&in, "the row of a key that others know", f));
    *ret_key = key;
    return OK;
}

struct each {
    bool (*visit)(void *context, const struct revocation_record *record);
    void *context;
};

static enum err each_row(void *context, struct span row, bool *more, struct fault *f)
{
    struct each *each = context;
    struct revocation_record record;
    TRY(revocation_record_unpack(row, &record, f));
    *more = each->visit(each->context, &record);
    return OK;
}

enum err revocation_each(struct ca *ca, const char *cluster, const char *authority,
                         bool (*visit)(void *context, const struct revocation_record *record), void *context,
                         struct fault *f)
{
    static const uint8_t last[SERIAL_SIZE] = {[0 ... SERIAL_SIZE - 1] = 0xff};
    AUTO(bytes) from = {0};
    AUTO(bytes) to = {0};
    struct each each = {visit, context};
    key_revocation(cluster, authority, NULL, &from);
    key_revocation(cluster, authority, last, &to);
    return rows_each(ca->store, &from, &to, each_row, &each, f);
}

/* ---- in memory ---- */

struct revocations {
    pthread_rwlock_t lock;
    void *tree; /* tsearch() of struct revocation_record */
    atomic_bool unlisted;
};

static int hash_compare(const void *a, const void *b)
{
    const struct revocation_record *one = a, *other = b;
    int order = strcmp(one->cluster, other->cluster);
    if (order == 0)
        order = strcmp(one->authority, other->authority);
    return order ? order : memcmp(one->sha256, other->sha256, SHA256_SIZE);
}

enum err revocations_add(struct revocations *revocations, const struct revocation_record *record, struct fault *f)
{
    struct revocation_record *copy = malloc(sizeof *copy);
    if (!copy)
        return fault_no_memory(f);
    *copy = *record;
    pthread_rwlock_wrlock(&revocations->lock);
    struct revocation_record **node = tsearch(copy, &revocations->tree, hash_compare);
    pthread_rwlock_unlock(&revocations->lock);
    if (!node || *node != copy)
        free(copy);
    return node ? OK : fault_no_memory(f);
}

void revocations_remove(struct revocations *revocations, const struct revocation_record *record)
{
    pthread_rwlock_wrlock(&revocations->lock);
    struct revocation_record **node = tfind(record, &revocations->tree, hash_compare);
    struct revocation_record *found = node ? *node : NULL;
    if (found)
        tdelete(found, &revocations->tree, hash_compare);
    pthread_rwlock_unlock(&revocations->lock);
    free(found);
}

static enum err load_row(void *context, struct span row, bool *more, struct fault *f)
{
    (void)more; /* all of them */
    struct revocation_record record;
    TRY(revocation_record_unpack(row, &record, f));
    return revocations_add(context, &record, f);
}

static void revocations_auto(struct revocations **revocations)
{
    revocations_free(*revocations);
}

enum err revocations_load(struct store *store, struct revocations **ret_revocations, struct fault *f)
{
    CLEANUP(revocations_auto) struct revocations *revocations = calloc(1, sizeof *revocations);
    if (!revocations)
        return fault_no_memory(f);
    pthread_rwlock_init(&revocations->lock, NULL);
    revocations->unlisted = true;
    AUTO(bytes) from = {0};
    AUTO(bytes) to = {0};
    key_prefix('q', &from);
    key_prefix_end('q', &to);
    TRY(rows_each(store, &from, &to, load_row, revocations, f));
    *ret_revocations = TAKE(revocations);
    return OK;
}

void revocations_free(struct revocations *revocations)
{
    if (!revocations)
        return;
    tdestroy(revocations->tree, free);
    pthread_rwlock_destroy(&revocations->lock);
    free(revocations);
}

bool revocations_has(struct revocations *revocations, const char *cluster, const char *authority,
                     const uint8_t sha256[SHA256_SIZE])
{
    struct revocation_record wanted = {0};
    snprintf(wanted.cluster, sizeof wanted.cluster, "%s", cluster);
    snprintf(wanted.authority, sizeof wanted.authority, "%s", authority);
    memcpy(wanted.sha256, sha256, SHA256_SIZE);
    pthread_rwlock_rdlock(&revocations->lock);
    bool found = tfind(&wanted, &revocations->tree, hash_compare) != NULL;
    pthread_rwlock_unlock(&revocations->lock);
    return found;
}

struct walk {
    const char *cluster, *authority;
    void (*visit)(void *context, const struct revocation_record *record);
    void *context;
};

static void walk_visit(const void *node, VISIT which, void *context)
{
    const struct revocation_record *record = *(const struct revocation_record *const *)node;
    const struct walk *walk = context;
    bool in_order = which == postorder || which == leaf;
    if (in_order && (!walk->cluster || strcmp(record->cluster, walk->cluster) == 0) &&
        (!walk->authority || strcmp(record->authority, walk->authority) == 0))
        walk->visit(walk->context, record);
}

void revocations_each(struct revocations *revocations, const char *cluster, const char *authority,
                      void (*visit)(void *context, const struct revocation_record *record), void *context)
{
    struct walk walk = {cluster, authority, visit, context};
    pthread_rwlock_rdlock(&revocations->lock);
    twalk_r(revocations->tree, walk_visit, &walk);
    pthread_rwlock_unlock(&revocations->lock);
}

bool revocations_take_unlisted(struct revocations *revocations)
{
    return atomic_exchange(&revocations->unlisted, false);
}

void revocations_set_unlisted(struct revocations *revocations)
{
    revocations->unlisted = true;
}
