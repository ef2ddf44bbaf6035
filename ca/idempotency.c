#include "ca/idempotency.h"

#include <sodium.h>
#include <string.h>

#include "ca/ca.h"

enum { DAY_SECONDS = 86400, EXPIRE_BATCH_MAX = 128 };

/* ---- who asks what ---- */

static bool key_valid(const char *key)
{
    size_t size = strlen(key);
    for (const char *at = key; *at; at++)
        if (*at < 0x20 || *at > 0x7e)
            return false;
    return size >= 1 && size <= IDEMPOTENCY_KEY_MAX;
}

/* No part but the last holds a NUL, so that different parts never run together. */
static void hash_texts(const char *const *texts, struct span last, uint8_t ret_hash[SHA256_SIZE])
{
    crypto_hash_sha256_state state;
    crypto_hash_sha256_init(&state);
    for (; *texts; texts++)
        crypto_hash_sha256_update(&state, (const uint8_t *)*texts, strlen(*texts) + 1);
    crypto_hash_sha256_update(&state, last.data, last.size);
    crypto_hash_sha256_final(&state, ret_hash);
}

enum err idempotency_begin(struct ca *ca, const struct caller *caller, const char *key, const char *method,
                           const char *path, struct span body, struct idempotency *idempotency, struct fault *f)
{
    if (!key_valid(key))
        return fault_set(f, CODE_INVALID, "an Idempotency-Key has 1 to %d printable characters", IDEMPOTENCY_KEY_MAX);
    char actor[DNS_NAME_MAX + 32];
    caller_text(caller, actor, sizeof actor);
    hash_texts((const char *const[]){actor, NULL}, span_text(key), idempotency->id);
    hash_texts((const char *const[]){method, path, NULL}, body, idempotency->request_sha256);
    idempotency->held = &ca->idempotency_locks[idempotency->id[0] % IDEMPOTENCY_LOCKS];
    pthread_mutex_lock(idempotency->held);
    idempotency->now = ca_now(ca);
    return OK;
}

void idempotency_cleanup(struct idempotency *idempotency)
{
    if (idempotency->held)
        pthread_mutex_unlock(idempotency->held);
    idempotency->held = NULL;
}

/* ---- answers that are kept ---- */

/* Rows are in order of days, so that what is old stands together. */
static uint32_t day_of(int64_t seconds)
{
    return (uint32_t)(seconds / DAY_SECONDS);
}

static enum err day_find(struct ca *ca, const struct idempotency *idempotency, uint32_t day,
                         struct answer_record *ret_record, struct fault *f)
{
    AUTO(bytes) key = {0};
    AUTO(bytes) row = {0};
    AUTO(answer_record) record = {0};
    key_answer(day, idempotency->id, &key);
    TRY(bytes_check(&key, f));
    TRY(store_get(ca->store, bytes_span(&key), &row, NULL, f));
    TRY(answer_record_unpack(bytes_span(&row), &record, f));
    if (record.created_at + IDEMPOTENCY_SECONDS <= idempotency->now)
        return fault_set(f, CODE_NOT_FOUND, "kept no longer");
    if (memcmp(record.request_sha256, idempotency->request_sha256, SHA256_SIZE) != 0)
        return fault_set(f, CODE_IDEMPOTENCY_MISMATCH,
                         "this Idempotency-Key came with another request before: make up a new key for each request");
    *ret_record = record;
    record = (struct answer_record){0};
    return OK;
}

enum err idempotency_find(struct ca *ca, const struct idempotency *idempotency, struct answer_record *ret_record,
                          struct fault *f)
{
    uint32_t today = day_of(idempotency->now);
    enum err err = day_find(ca, idempotency, today, ret_record, f);
    if (err != ERR_ABSENT)
        return err;
    fault_clear(f);
    return day_find(ca, idempotency, today - 1, ret_record, f);
}

/* ---- keeping ---- */

static enum err answer_complete(void *context, struct change *change, struct fault *f)
{
    const struct idempotency *idempotency = context;
    AUTO(answer_record) answer = {.created_at = idempotency->now};
    memcpy(answer.request_sha256, idempotency->request_sha256, SHA256_SIZE);
    TRY(idempotency->answer(idempotency->context, idempotency->made, &answer, f));
    struct bytes *row = &change->writes[idempotency->write].value;
    answer_record_pack(&answer, row);
    TRY(bytes_check(row, f));
    if (row->size > STORE_VALUE_MAX)
        return fault_set(f, CODE_TOO_LARGE,
                         "the answer is too large to be kept: send this request without an Idempotency-Key");
    return OK;
}

/* The key is written from the start, so that changes of one batch notice each other; its value follows. */
void idempotency_attach(struct idempotency *idempotency, const void *made, struct change *change)
{
    if (!idempotency)
        return;
    AUTO(bytes) key = {0};
    AUTO(bytes) expected = {0};
    struct bytes later = {0};
    uint32_t today = day_of(idempotency->now);
    key_answer(today, idempotency->id, &key);
    key_answer(today, idempotency->id, &expected);
    change_expect(change, &expected, 0);
    idempotency->made = made;
    idempotency->write = change->writes_count;
    change_put(change, &key, &later);
    change->complete = answer_complete;
    change->complete_context = idempotency;
}

/* ---- removal ---- */

struct expiry {
    struct bytes keys[EXPIRE_BATCH_MAX];
    size_t count;
};

static void expiry_cleanup(struct expiry *expiry)
{
    for (size_t i = 0; i < expiry->count; i++)
        bytes_free(&expiry->keys[i]);
}

static bool expiry_add(void *context, struct span key, struct span value)
{
    (void)value;
    struct expiry *expiry = context;
    bytes_append_span(&expiry->keys[expiry->count++], key);
    return expiry->count < EXPIRE_BATCH_MAX;
}

/* One commit. */
static enum err expire_some(struct ca *ca, struct span from, struct span to, size_t *ret_removed, struct fault *f)
{
    AUTO(expiry) expiry = {0};
    struct write writes[EXPIRE_BATCH_MAX];
    *ret_removed = 0;
    TRY(store_scan(ca->store, from, to, false, expiry_add, &expiry, f));
    for (size_t i = 0; i < expiry.count; i++) {
        TRY(bytes_check(&expiry.keys[i], f));
        writes[i] = (struct write){.key = bytes_span(&expiry.keys[i]), .erase = true};
    }
    if (expiry.count > 0)
        TRY(store_commit(ca->store, NULL, 0, writes, expiry.count, f));
    *ret_removed = expiry.count;
    return OK;
}

enum err idempotency_expire(struct ca *ca, size_t *ret_removed, struct fault *f)
{
    static const uint8_t first[SHA256_SIZE];
    AUTO(bytes) from = {0};
    AUTO(bytes) to = {0};
    size_t removed;
    key_prefix('i', &from);
    key_answer(day_of(ca_now(ca)) - 1, first, &to);
    TRY(bytes_check(&from, f));
    TRY(bytes_check(&to, f));
    *ret_removed = 0;
    do {
        TRY(expire_some(ca, bytes_span(&from), bytes_span(&to), &removed, f));
        *ret_removed += removed;
    } while (removed == EXPIRE_BATCH_MAX);
    return OK;
}
