/* tokens.c: join tokens. The service never sees a secret before its first use, and stores only its hash. */
#include <sodium.h>
#include <string.h>

#include "ca/base/encode.h"
#include "ca/ca.h"
#include "ca/rows.h"

static const int64_t lifetime_min_seconds = 60, lifetime_max_seconds = 7LL * 86400;

const char *token_state(const struct token_record *record, int64_t now)
{
    if (record->revoked_at)
        return "revoked";
    return record->expires_at <= now ? "expired" : "active";
}

/* A token for a node that does not exist, or that lives for ever, is refused when it is made rather than when it is
 * used. */
static enum err token_check(struct ca *ca, const struct token_request *request, struct fault *f)
{
    CLEANUP(cluster_release) const struct cluster *cluster = NULL;
    TRY(cluster_find(ca, request->cluster, &cluster, f));
    if (!cluster_node(cluster, request->node))
        fault_reason(f, "/node", "cluster \"%s\" has no node \"%s\"", request->cluster, request->node);
    if (request->lifetime_seconds < lifetime_min_seconds || request->lifetime_seconds > lifetime_max_seconds)
        fault_reason(f, "/ttl_seconds", "a token lives between 60 s and 7 days");
    return fault_if_reasons(f, CODE_INVALID, "this token cannot be made");
}

static void token_write(struct change *change, const struct token_record *record, uint64_t revision)
{
    AUTO(bytes) key = {0};
    AUTO(bytes) expected = {0};
    AUTO(bytes) row = {0};
    key_token(record->id, &key);
    key_token(record->id, &expected);
    token_record_pack(record, &row);
    change_expect(change, &expected, revision);
    change_put(change, &key, &row);
}

static void token_event(struct bytes *event, const char *name, const char *actor, const struct token_record *record)
{
    event_begin(event, name, actor);
    member_hex(event, "token", SPAN_OF(record->id));
    member_string(event, "cluster", record->cluster);
    member_string(event, "node", record->node);
}

enum err token_create(struct ca *ca, const struct caller *caller, const struct token_request *request,
                      struct token_record *ret_record, struct fault *f)
{
    TRY(token_check(ca, request, f));
    struct moment now;
    TRY(clock_require(ca->clock, &now, f));
    TRY(restore_require(ca->restore, f));
    struct token_record record = {.created_at = now.seconds};
    record.expires_at = record.created_at + request->lifetime_seconds;
    memcpy(record.id, request->id, sizeof record.id);
    memcpy(record.secret_sha256, request->secret_sha256, sizeof record.secret_sha256);
    snprintf(record.cluster, sizeof record.cluster, "%s", request->cluster);
    snprintf(record.node, sizeof record.node, "%s", request->node);
    caller_text(caller, record.created_by, sizeof record.created_by);
    AUTO(change) change = {0};
    token_write(&change, &record, 0);
    token_event(&change.event, "token.created", record.created_by, &record);
    member_time(&change.event, "expires_at", record.expires_at);
    idempotency_attach(request->idempotency, &record, &change);
    enum err err = ledger_commit(ca->ledger, &change, f);
    if (err == ERR_CONFLICT)
        return fault_set(f, CODE_CONFLICT, "a token with this id exists");
    TRY(err);
    *ret_record = record;
    return OK;
}

enum err token_get(struct ca *ca, const uint8_t id[TOKEN_ID_SIZE], struct token_record *ret_record,
                   uint64_t *ret_revision, struct fault *f)
{
    AUTO(bytes) key = {0};
    AUTO(bytes) row = {0};
    key_token(id, &key);
    TRY(bytes_check(&key, f));
    enum err err = store_get(ca->store, bytes_span(&key), &row, ret_revision, f);
    if (err == ERR_ABSENT)
        return fault_set(f, CODE_NOT_FOUND, "no such token");
    TRY(err);
    return token_record_unpack(bytes_span(&row), ret_record, f);
}

enum err token_revoke(struct ca *ca, const struct caller *caller, const uint8_t id[TOKEN_ID_SIZE], struct fault *f)
{
    struct token_record record;
    uint64_t revision = 0;
    TRY(token_get(ca, id, &record, &revision, f));
    if (record.revoked_at)
        return OK;
    record.revoked_at = clock_read(ca->clock).seconds; /* also when the clock is not trusted */
    char actor[DNS_NAME_MAX + 32];
    caller_text(caller, actor, sizeof actor);
    AUTO(change) change = {0};
    token_write(&change, &record, revision);
    token_event(&change.event, "token.revoked", actor, &record);
    return ledger_commit(ca->ledger, &change, f);
}

struct each {
    bool (*visit)(void *context, const struct token_record *record);
    void *context;
};

static enum err each_row(void *context, struct span row, bool *more, struct fault *f)
{
    struct each *each = context;
    struct token_record record;
    TRY(token_record_unpack(row, &record, f));
    *more = each->visit(each->context, &record);
    return OK;
}

enum err token_each(struct ca *ca, bool (*visit)(void *context, const struct token_record *record), void *context,
                    struct fault *f)
{
    AUTO(bytes) from = {0};
    AUTO(bytes) to = {0};
    key_prefix('t', &from);
    key_prefix_end('t', &to);
    struct each each = {visit, context};
    return rows_each(ca->store, &from, &to, each_row, &each, f);
}

enum err token_authenticate(struct ca *ca, const uint8_t id[TOKEN_ID_SIZE], const uint8_t secret[TOKEN_SECRET_SIZE],
                            struct caller *ret_caller, struct fault *f)
{
    uint8_t hash[SHA256_SIZE];
    crypto_hash_sha256(hash, secret, TOKEN_SECRET_SIZE);
    struct token_record record = {0};
    uint64_t revision = 0;
    enum err err = token_get(ca, id, &record, &revision, f);
    if (err != OK && err != ERR_ABSENT)
        return err;
    /* One answer, after the same work, whether the token is unknown or its secret wrong. */
    if (sodium_memcmp(hash, record.secret_sha256, sizeof hash) != 0 || err == ERR_ABSENT)
        return fault_set(f, CODE_UNAUTHENTICATED, "this token is not known here");
    const char *state = token_state(&record, ca_now(ca));
    if (strcmp(state, "active") != 0)
        return fault_set(f, CODE_UNAUTHENTICATED, "this token is %s; have a new one made with `ensign token create`",
                         state);
    struct caller caller = {.kind = REQUESTER_TOKEN};
    hex_text(SPAN_OF(record.id), caller.name, sizeof caller.name);
    strcpy(caller.cluster, record.cluster);
    strcpy(caller.node, record.node);
    *ret_caller = caller;
    return OK;
}
