#include "ca/crl.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "ca/revocation.h"
#include "ca/rows.h"

enum { CRL_VERSION = 1, MICROSECONDS = 1000000, SPENT_MAX = 128 };

/* ---- rows ---- */

void key_crl(const char *cluster, const char *authority, struct bytes *out)
{
    key_prefix('p', out);
    key_name(cluster, out);
    bytes_append_text(out, authority);
}

void crl_record_pack(const struct crl_record *record, struct bytes *out)
{
    pack_u8(out, CRL_VERSION);
    pack_text(out, record->cluster);
    pack_text(out, record->authority);
    pack_u32(out, record->generation);
    pack_u64(out, record->number);
    pack_i64(out, record->this_update);
    pack_i64(out, record->next_update);
    pack_u32(out, record->entries);
    pack_span(out, bytes_span(&record->der));
}

void crl_record_cleanup(struct crl_record *record)
{
    bytes_free(&record->der);
}

enum err crl_record_unpack(struct span row, struct crl_record *ret_record, struct fault *f)
{
    struct unpack in;
    TRY(row_begin(row, CRL_VERSION, "a CRL's row", &in, f));
    AUTO(crl_record) record = {0};
    unpack_text(&in, record.cluster, sizeof record.cluster);
    unpack_text(&in, record.authority, sizeof record.authority);
    record.generation = unpack_u32(&in);
    record.number = unpack_u64(&in);
    record.this_update = unpack_i64(&in);
    record.next_update = unpack_i64(&in);
    record.entries = unpack_u32(&in);
    TRY(bytes_copy(unpack_span(&in), &record.der, f));
    TRY(unpack_finish(&in, "a CRL's row", f));
    *ret_record = record;
    record = (struct crl_record){0};
    return OK;
}

/* *ret_revision 0: there is none. */
static enum err row_load(struct ca *ca, const char *cluster, const char *authority, struct crl_record *ret_record,
                         uint64_t *ret_revision, struct fault *f)
{
    AUTO(bytes) key = {0};
    AUTO(bytes) row = {0};
    key_crl(cluster, authority, &key);
    TRY(bytes_check(&key, f));
    *ret_revision = 0;
    enum err err = store_get(ca->store, bytes_span(&key), &row, ret_revision, f);
    if (err != ERR_ABSENT)
        return err == OK ? crl_record_unpack(bytes_span(&row), ret_record, f) : err;
    fault_clear(f);
    return OK;
}

static void row_put(const struct crl_record *record, struct change *change)
{
    AUTO(bytes) key = {0};
    AUTO(bytes) row = {0};
    key_crl(record->cluster, record->authority, &key);
    crl_record_pack(record, &row);
    change_put(change, &key, &row);
}

/* ---- making one ---- */

static bool authority_signs(const struct authority *authority)
{
    return authority->certificate.body.content.key_usage & USAGE_CRL_SIGN;
}

/* entries  sorted; borrowed */
static enum err record_make(struct signer *signer, const struct authority *authority, struct crl_entry *entries,
                            size_t count, uint64_t number, int64_t now, struct crl_record *ret_record, struct fault *f)
{
    struct crl crl = {.signature_algorithm = signature_algorithm(authority->issuer.algorithm),
                      .issuer_name = authority->issuer.name,
                      .number = number,
                      .this_update = now,
                      .next_update = now + CRL_LIFE_SECONDS,
                      .entries = entries,
                      .entries_count = count};
    memcpy(crl.authority_key_identifier, authority->issuer.key_identifier, KEY_IDENTIFIER_SIZE);
    AUTO(bytes) draft = {0};
    AUTO(crl_record)
    record = {.generation = authority->record.generation,
              .number = number,
              .this_update = now,
              .next_update = crl.next_update,
              .entries = (uint32_t)count};
    strcpy(record.cluster, authority->record.cluster);
    strcpy(record.authority, authority->record.name);
    TRY(crl_build(&crl, &draft, f));
    TRY(signer_sign_crl(signer, bytes_span(&authority->record.blob), bytes_span(&draft), &record.der, f));
    *ret_record = record;
    record = (struct crl_record){0};
    return OK;
}

enum err crl_first(struct signer *signer, const struct authority *authority, int64_t now, struct crl_record *ret_record,
                   struct fault *f)
{
    if (!authority_signs(authority))
        return OK;
    return record_make(signer, authority, NULL, 0, (uint64_t)now * MICROSECONDS, now, ret_record, f);
}

enum err crl_begin(struct signer *signer, const struct authority *authority, int64_t now, struct change *change,
                   struct fault *f)
{
    AUTO(crl_record) record = {0};
    TRY(crl_first(signer, authority, now, &record, f));
    if (record.der.size > 0)
        row_put(&record, change);
    return OK;
}

/* ---- what it must list ---- */

/* What had expired when the last CRL was made was listed there once more. A clock that is wrong says nothing. */
static bool entry_spent(const struct crl_record *last, const struct moment *now, const struct revocation_record *record)
{
    return last->der.size > 0 && now->verdict == CLOCK_TRUSTED && record->not_after < last->this_update &&
           record->not_after < now->now;
}

struct listing {
    const struct crl_record *last; /* the stored one; its der is empty when there is none */
    const struct moment *now;
    struct crl crl;            /* what that lists */
    struct crl_entry *entries; /* of the next */
    size_t count, capacity;
    bool unlisted; /* something was revoked that the last does not list, or for another reason */
    struct fault *f;
    enum err err;
};

static void listing_cleanup(struct listing *listing)
{
    crl_cleanup(&listing->crl);
    free(listing->entries);
}

static enum err entry_add(struct listing *listing, const struct revocation_record *record)
{
    if (listing->count == listing->capacity) {
        size_t capacity = listing->capacity * 2 + 64;
        struct crl_entry *entries = reallocarray(listing->entries, capacity, sizeof *entries);
        if (!entries)
            return fault_no_memory(listing->f);
        listing->entries = entries;
        listing->capacity = capacity;
    }
    struct crl_entry *entry = &listing->entries[listing->count++];
    *entry = (struct crl_entry){.revoked_at = record->revoked_at, .reason = record->reason};
    memcpy(entry->serial, record->serial, SERIAL_SIZE);
    return OK;
}

static bool listing_visit(void *context, const struct revocation_record *record)
{
    struct listing *listing = context;
    if (entry_spent(listing->last, listing->now, record))
        return true;
    const struct crl_entry *listed = crl_find(&listing->crl, record->serial);
    listing->unlisted |= !listed || listed->reason != record->reason;
    listing->err = entry_add(listing, record);
    return listing->err == OK;
}

static enum err listing_read(struct ca *ca, const struct authority *authority, struct listing *listing, struct fault *f)
{
    listing->f = f;
    if (listing->last->der.size > 0)
        TRY(crl_parse_signed(bytes_span(&listing->last->der), &listing->crl, f));
    TRY(revocation_each(ca, authority->record.cluster, authority->record.name, listing_visit, listing, f));
    return listing->err;
}

static bool crl_due(const struct listing *listing, const struct authority *authority)
{
    const struct crl_record *last = listing->last;
    int64_t now = listing->now->now;
    return last->der.size == 0 || last->generation != authority->record.generation || listing->unlisted ||
           now >= last->this_update + CRL_LIFE_SECONDS / 2 || now < last->this_update - CLOCK_TOLERANCE_SECONDS;
}

/* ---- the next one ---- */

static enum err next_commit(struct ca *ca, const struct crl_record *next, uint64_t revision, struct fault *f)
{
    AUTO(change) change = {0};
    AUTO(bytes) expected = {0};
    uint8_t hash[SHA256_SIZE];
    key_crl(next->cluster, next->authority, &expected);
    change_expect(&change, &expected, revision);
    row_put(next, &change);
    crypto_hash_sha256(hash, next->der.data, next->der.size);
    event_begin(&change.event, "crl.signed", "service crl");
    member_string(&change.event, "cluster", next->cluster);
    member_string(&change.event, "authority", next->authority);
    member_integer(&change.event, "number", (int64_t)next->number);
    member_integer(&change.event, "revoked", next->entries);
    member_time(&change.event, "next_update", next->next_update);
    member_hex(&change.event, "crl_sha256", SPAN_OF(hash));
    return ledger_commit(ca->ledger, &change, f);
}

static uint64_t next_number(const struct crl_record *last, const struct moment *now)
{
    uint64_t time = (uint64_t)now->now * MICROSECONDS + now->nanoseconds / 1000;
    return last->number >= time ? last->number + 1 : time;
}

/* Under the lock. */
static enum err refresh(struct ca *ca, const struct authority *authority, struct crl_record *ret_record,
                        struct fault *f)
{
    AUTO(crl_record) last = {0};
    AUTO(crl_record) next = {0};
    uint64_t revision = 0;
    const struct moment now = clock_read(ca->clock);
    TRY(row_load(ca, authority->record.cluster, authority->record.name, &last, &revision, f));
    AUTO(listing) listing = {.last = &last, .now = &now};
    TRY(listing_read(ca, authority, &listing, f));
    if (!crl_due(&listing, authority)) {
        *ret_record = last;
        last = (struct crl_record){0};
        return OK;
    }
    TRY(record_make(ca->signer, authority, listing.entries, listing.count, next_number(&last, &now), now.now, &next,
                    f));
    TRY(next_commit(ca, &next, revision, f));
    *ret_record = next;
    next = (struct crl_record){0};
    return OK;
}

static enum err authority_find(struct ca *ca, const char *cluster, const char *name,
                               const struct authority **ret_authority, struct fault *f)
{
    const struct authority *authority = authorities_find(ca->authorities, cluster, name);
    if (!authority)
        return fault_set(f, CODE_NOT_FOUND, "cluster \"%.64s\" has no CA \"%.64s\"", cluster, name);
    if (!authority_signs(authority))
        return fault_set(f, CODE_CONFLICT,
                         "the certificate of the CA \"%s\" of cluster \"%s\" has no cRLSign, so nobody would take its "
                         "CRL: give it one that has with `ensign ca reissue`",
                         name, cluster);
    *ret_authority = authority;
    return OK;
}

enum err crl_refresh(struct ca *ca, const char *cluster, const char *authority, struct crl_record *ret_record,
                     struct fault *f)
{
    const struct authority *found = NULL;
    TRY(authority_find(ca, cluster, authority, &found, f));
    pthread_mutex_lock(&ca->crl_lock);
    enum err err = refresh(ca, found, ret_record, f);
    pthread_mutex_unlock(&ca->crl_lock);
    return err;
}

enum err crl_stored(struct ca *ca, const char *cluster, const char *authority, struct crl_record *ret_record,
                    struct fault *f)
{
    uint64_t revision = 0;
    TRY(row_load(ca, cluster, authority, ret_record, &revision, f));
    return revision ? OK : fault_set(f, CODE_NOT_FOUND, "the CA \"%s\" has no CRL yet", authority);
}

enum err crl_get(struct ca *ca, const char *cluster, const char *authority, struct crl_record *ret_record,
                 struct fault *f)
{
    const struct authority *found = NULL;
    AUTO(crl_record) record = {0};
    uint64_t revision = 0;
    TRY(authority_find(ca, cluster, authority, &found, f));
    TRY(row_load(ca, cluster, authority, &record, &revision, f));
    if (revision == 0 || record.generation != found->record.generation)
        return crl_refresh(ca, cluster, authority, ret_record, f);
    *ret_record = record;
    record = (struct crl_record){0};
    return OK;
}

/* ---- all of them ---- */

struct names {
    const struct authority **items;
    size_t count, capacity;
    bool failed;
};

static bool names_add(void *context, const struct authority *authority)
{
    struct names *names = context;
    if (names->count == names->capacity) {
        size_t capacity = names->capacity * 2 + 64;
        const struct authority **items = reallocarray(names->items, capacity, sizeof *items);
        names->failed = !items;
        if (!items)
            return false;
        names->items = items;
        names->capacity = capacity;
    }
    names->items[names->count++] = authority;
    return true;
}

/* Not what waiting does not mend: the operator was told, or will be. */
static bool worth_another(enum err err)
{
    return err == ERR_IO || err == ERR_NOMEM;
}

size_t crl_refresh_all(struct ca *ca, void (*tell)(const char *cluster, const char *authority, const struct fault *why))
{
    struct names names = {0};
    authorities_each(ca->authorities, names_add, &names);
    size_t failed = names.failed;
    for (size_t i = 0; i < names.count; i++) {
        const struct authority_record *record = &names.items[i]->record;
        AUTO(crl_record) crl = {0};
        struct fault why = {0};
        if (authorities_find(ca->authorities, record->cluster, record->name) != names.items[i] ||
            !authority_signs(names.items[i]))
            continue;
        enum err err = crl_refresh(ca, record->cluster, record->name, &crl, &why);
        if (err != OK && tell)
            tell(record->cluster, record->name, &why);
        failed += worth_another(err);
    }
    free(names.items);
    return failed;
}

/* ---- what no CRL will list any more ---- */

struct spent {
    const struct crl_record *last;
    struct moment now;
    int64_t before; /* what expired before then goes */
    struct revocation_record records[SPENT_MAX];
    size_t count;
};

static bool spent_visit(void *context, const struct revocation_record *record)
{
    struct spent *spent = context;
    if (entry_spent(spent->last, &spent->now, record) && record->not_after < spent->before)
        spent->records[spent->count++] = *record;
    return spent->count < SPENT_MAX;
}

static void keys_cleanup(struct bytes (*keys)[SPENT_MAX])
{
    for (size_t i = 0; i < SPENT_MAX; i++)
        bytes_free(&(*keys)[i]);
}

/* One commit. */
static enum err spent_erase(struct ca *ca, const struct spent *spent, struct fault *f)
{
    CLEANUP(keys_cleanup) struct bytes keys[SPENT_MAX] = {{0}};
    struct write writes[SPENT_MAX];
    for (size_t i = 0; i < spent->count; i++) {
        const struct revocation_record *record = &spent->records[i];
        key_revocation(record->cluster, record->authority, record->serial, &keys[i]);
        TRY(bytes_check(&keys[i], f));
        writes[i] = (struct write){.key = bytes_span(&keys[i]), .erase = true};
    }
    if (spent->count > 0)
        TRY(store_commit(ca->store, NULL, 0, writes, spent->count, f));
    for (size_t i = 0; i < spent->count; i++)
        revocations_remove(ca->revocations, &spent->records[i]);
    return OK;
}

/* Of one CA. Under the lock: the CRL that was the last to list them stays the last. */
static enum err authority_expire(struct ca *ca, const struct authority_record *authority, size_t *removed,
                                 struct fault *f)
{
    AUTO(crl_record) last = {0};
    struct spent spent = {.last = &last, .now = clock_read(ca->clock)};
    uint64_t revision = 0;
    spent.before = spent.now.now - clock_max_offline(ca->clock);
    TRY(row_load(ca, authority->cluster, authority->name, &last, &revision, f));
    do {
        spent.count = 0;
        TRY(revocation_each(ca, authority->cluster, authority->name, spent_visit, &spent, f));
        TRY(spent_erase(ca, &spent, f));
        *removed += spent.count;
    } while (spent.count == SPENT_MAX);
    return OK;
}

enum err crl_expire(struct ca *ca, size_t *ret_removed, struct fault *f)
{
    struct names names = {0};
    enum err err = OK;
    *ret_removed = 0;
    authorities_each(ca->authorities, names_add, &names);
    for (size_t i = 0; err == OK && i < names.count; i++) {
        pthread_mutex_lock(&ca->crl_lock);
        err = authority_expire(ca, &names.items[i]->record, ret_removed, f);
        pthread_mutex_unlock(&ca->crl_lock);
    }
    free(names.items);
    return err != OK || !names.failed ? err : fault_no_memory(f);
}

struct each {
    bool (*visit)(void *context, const struct crl_record *record);
    void *context;
};

static enum err each_row(void *context, struct span row, bool *more, struct fault *f)
{
    struct each *each = context;
    AUTO(crl_record) record = {0};
    TRY(crl_record_unpack(row, &record, f));
    *more = each->visit(each->context, &record);
    return OK;
}

enum err crl_each(struct ca *ca, bool (*visit)(void *context, const struct crl_record *record), void *context,
                  struct fault *f)
{
    AUTO(bytes) from = {0};
    AUTO(bytes) to = {0};
    key_prefix('p', &from);
    key_prefix_end('p', &to);
    struct each each = {visit, context};
    return rows_each(ca->store, &from, &to, each_row, &each, f);
}
