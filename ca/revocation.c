#include "ca/revocation.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "ca/base/encode.h"
#include "ca/lineage.h"

enum {
    ATTEMPTS_MAX = 50, /* rows change meanwhile: read them again, this often at most */
    BATCH_MAX = 9,     /* in one change: a record, a row, a key and a lineage each, and the leaf */
};
_Static_assert(4 * BATCH_MAX + 1 <= CHANGE_WRITES_MAX && 2 * BATCH_MAX <= CHANGE_EXPECTATIONS_MAX, "they fit");

const char *revocation_cluster(const char *cluster, const char *authority)
{
    return strcmp(authority, AUTHORITY_SERVICE) == 0 ? CLUSTER_SERVICE : cluster;
}

/* ---- one batch ---- */

struct batch {
    const struct caller *caller;
    uint8_t reason;
    int64_t now;
    struct revocation_record rows[BATCH_MAX];
    size_t count;
    struct change change;
};

static void batch_cleanup(struct batch *batch)
{
    change_cleanup(&batch->change);
}

static enum err record_load(struct ca *ca, const uint8_t serial[SERIAL_SIZE], struct certificate_record *ret_record,
                            uint64_t *ret_revision, struct fault *f)
{
    AUTO(bytes) key = {0};
    AUTO(bytes) row = {0};
    key_certificate(serial, &key);
    TRY(bytes_check(&key, f));
    TRY(store_get(ca->store, bytes_span(&key), &row, ret_revision, f));
    return certificate_record_unpack(bytes_span(&row), ret_record, f);
}

static void record_put(const struct certificate_record *record, uint64_t revision, struct change *change)
{
    AUTO(bytes) expected = {0};
    AUTO(bytes) key = {0};
    AUTO(bytes) row = {0};
    key_certificate(record->serial, &expected);
    key_certificate(record->serial, &key);
    certificate_record_pack(record, &row);
    change_expect(change, &expected, revision);
    change_put(change, &key, &row);
}

static void row_put(const struct certificate_record *record, uint8_t reason, struct batch *batch)
{
    AUTO(bytes) key = {0};
    AUTO(bytes) row = {0};
    struct revocation_record *revocation = &batch->rows[batch->count++];
    *revocation =
        (struct revocation_record){.revoked_at = record->revoked_at, .reason = reason, .not_after = record->not_after};
    strcpy(revocation->cluster, revocation_cluster(record->cluster, record->authority));
    strcpy(revocation->authority, record->authority);
    memcpy(revocation->serial, record->serial, SERIAL_SIZE);
    crypto_hash_sha256(revocation->sha256, record->certificate.data, record->certificate.size);
    key_revocation(revocation->cluster, revocation->authority, revocation->serial, &key);
    revocation_record_pack(revocation, &row);
    change_put(&batch->change, &key, &row);
}

/* Who holds the key of what counts at a place, or did until its successor is installed. */
static bool counts_at(const struct lineage_record *lineage, const struct certificate_record *record)
{
    bool current = memcmp(lineage->current, record->serial, SERIAL_SIZE) == 0;
    return current || (memcmp(lineage->previous, record->serial, SERIAL_SIZE) == 0 && !lineage->installed_at);
}

/* The place of the whole cluster, where it counts there: then all control planes share it. Else the node's own.
 * ERR_ABSENT: it is of no place, as a user's. */
static enum err place_find(struct ca *ca, const struct certificate_record *record, struct lineage_record *ret_lineage,
                           uint64_t *ret_revision, struct fault *f)
{
    const struct place shared = {record->cluster, "", record->profile},
                       own = {record->cluster, record->node, record->profile};
    TRY(lineage_row(ca, &shared, ret_lineage, ret_revision, f));
    if (*ret_revision && counts_at(ret_lineage, record))
        return OK;
    if (!record->node[0])
        return fault_set(f, CODE_NOT_FOUND, "of no place");
    return lineage_get(ca, &own, ret_lineage, ret_revision, f);
}

/* Nothing more is renewed there. */
static enum err place_block(struct ca *ca, const struct certificate_record *record, struct batch *batch,
                            struct fault *f)
{
    struct lineage_record lineage;
    uint64_t revision = 0;
    enum err err = place_find(ca, record, &lineage, &revision, f);
    if (err == ERR_ABSENT) {
        fault_clear(f);
        return OK;
    }
    TRY(err);
    if (counts_at(&lineage, record))
        lineage_block(&lineage, revision, batch->now, batch->reason, &batch->change);
    return OK;
}

static void known_key_put(const struct certificate_record *record, struct batch *batch)
{
    AUTO(bytes) key = {0};
    AUTO(bytes) row = {0};
    struct known_key known = {.revoked_at = batch->now};
    memcpy(known.serial, record->serial, SERIAL_SIZE);
    key_known_key(record->spki_sha256, &key);
    known_key_pack(&known, &row);
    change_put(&batch->change, &key, &row);
}

static enum err batch_add(struct ca *ca, const uint8_t serial[SERIAL_SIZE], struct batch *batch, struct fault *f)
{
    AUTO(certificate_record) record = {0};
    uint64_t revision = 0;
    TRY(record_load(ca, serial, &record, &revision, f));
    bool again = record.revoked_at != 0;
    if (again && batch->reason != CRL_KEY_COMPROMISE)
        return OK;
    if (!again) {
        TRY(place_block(ca, &record, batch, f)); /* which looks at the record as it is now */
        record.revoked_at = batch->now;
    }
    record_put(&record, revision, &batch->change);
    row_put(&record, batch->reason, batch);
    if (batch->reason == CRL_KEY_COMPROMISE)
        known_key_put(&record, batch);
    return OK;
}

static void batch_event(struct batch *batch)
{
    struct bytes *event = &batch->change.event;
    char actor[DNS_NAME_MAX + 32], serial[SERIAL_TEXT_SIZE];
    caller_text(batch->caller, actor, sizeof actor);
    event_begin(event, "certificate.revoked", actor);
    member_string(event, "reason", crl_reason_word(batch->reason));
    member_begin(event, "serials");
    bytes_append_text(event, "[");
    for (size_t i = 0; i < batch->count; i++) {
        hex_text(SPAN_OF(batch->rows[i].serial), serial, sizeof serial);
        element_string(event, serial);
    }
    bytes_append_text(event, "]");
}

static enum err batch_once(struct ca *ca, const struct certificate_record *records, size_t count, struct batch *batch,
                           struct fault *f)
{
    for (size_t i = 0; i < count; i++)
        TRY(batch_add(ca, records[i].serial, batch, f));
    if (batch->count == 0)
        return OK;
    batch_event(batch);
    TRY(ledger_commit(ca->ledger, &batch->change, f));
    for (size_t i = 0; i < batch->count; i++)
        TRY(revocations_add(ca->revocations, &batch->rows[i], f));
    return OK;
}

/* Those that are revoked meanwhile are left as they are, but for the reason keyCompromise. */
static enum err batch_run(struct ca *ca, const struct caller *caller, const struct certificate_record *records,
                          size_t count, uint8_t reason, struct fault *f)
{
    for (int attempt = 1;; attempt++) {
        /* also when the clock is not trusted */
        AUTO(batch) batch = {.caller = caller, .reason = reason, .now = clock_read(ca->clock).seconds};
        enum err err = batch_once(ca, records, count, &batch, f);
        if (err != ERR_CONFLICT || attempt == ATTEMPTS_MAX)
            return err;
        fault_clear(f);
    }
}

/* ---- one ---- */

static enum err caller_check(struct ca *ca, const struct caller *caller, const struct certificate_record *record,
                             struct fault *f)
{
    char what[64 + SERIAL_TEXT_SIZE] = "revocation of ";
    struct fault why = {0};
    if (caller->kind == REQUESTER_ADMIN || strcmp(record->cluster, CLUSTER_SERVICE) != 0)
        return OK;
    hex_text(SPAN_OF(record->serial), what + strlen(what), SERIAL_TEXT_SIZE);
    enum err err = fault_set(&why, CODE_POLICY_DENIED, "only an admin revokes identities of the service itself");
    TRY(audit_denial(ca, caller, what, &why, f));
    *f = why;
    return err;
}

static enum err row_load(struct ca *ca, const struct certificate_record *record, struct revocation_record *ret_record,
                         struct fault *f)
{
    AUTO(bytes) key = {0};
    AUTO(bytes) row = {0};
    key_revocation(revocation_cluster(record->cluster, record->authority), record->authority, record->serial, &key);
    TRY(bytes_check(&key, f));
    TRY(store_get(ca->store, bytes_span(&key), &row, NULL, f));
    return revocation_record_unpack(bytes_span(&row), ret_record, f);
}

enum err revocation_make(struct ca *ca, const struct caller *caller, const uint8_t serial[SERIAL_SIZE], uint8_t reason,
                         struct revocation_record *ret_record, struct fault *f)
{
    AUTO(certificate_record) record = {0};
    TRY(certificate_get(ca, serial, &record, f));
    TRY(caller_check(ca, caller, &record, f));
    if (!record.revoked_at && record.not_after < ca_now(ca))
        return fault_set(f, CODE_CONFLICT, "this certificate has expired: there is nothing to revoke");
    if (!record.revoked_at)
        TRY(batch_run(ca, caller, &record, 1, reason, f));
    enum err err = row_load(ca, &record, ret_record, f);
    if (err == ERR_ABSENT)
        return fault_set(f, CODE_CONFLICT, "this certificate was revoked, and has expired since then");
    if (err != OK || reason != CRL_KEY_COMPROMISE || ret_record->reason == CRL_KEY_COMPROMISE)
        return err;
    TRY(batch_run(ca, caller, &record, 1, reason, f)); /* what was said first was not all */
    return row_load(ca, &record, ret_record, f);
}

/* ---- keys that others know ---- */

enum err revocation_key_judge(struct ca *ca, const uint8_t spki_sha256[SHA256_SIZE], struct fault *f)
{
    AUTO(bytes) key = {0};
    AUTO(bytes) row = {0};
    struct known_key known;
    struct fault why = {0};
    key_known_key(spki_sha256, &key);
    TRY(bytes_check(&key, f));
    enum err err = store_get(ca->store, bytes_span(&key), &row, NULL, &why);
    if (err == OK)
        err = known_key_unpack(bytes_span(&row), &known, &why);
    if (err == ERR_ABSENT)
        return OK;
    if (err != OK) {
        *f = why;
        return err;
    }
    char serial[SERIAL_TEXT_SIZE];
    hex_text(SPAN_OF(known.serial), serial, sizeof serial);
    fault_reason(f, "/csr/publicKey", "others know this key (%s was revoked for keyCompromise): make a new key",
                 serial);
    return OK;
}

void revocation_key_expect(const uint8_t spki_sha256[SHA256_SIZE], struct change *change)
{
    AUTO(bytes) key = {0};
    key_known_key(spki_sha256, &key);
    change_expect(change, &key, 0);
}

/* ---- all that a selector matches ---- */

void revocations_made_cleanup(struct revocations_made *made)
{
    for (size_t i = 0; i < made->count; i++)
        certificate_record_cleanup(&made->records[i]);
    made->count = 0;
}

/* What control planes share was issued through one of them, and stays when that one goes. */
static enum err is_shared(struct ca *ca, const struct certificate_record *record, bool *ret_shared, struct fault *f)
{
    const struct place place = {record->cluster, "", record->profile};
    struct lineage_record lineage;
    uint64_t revision = 0;
    TRY(lineage_row(ca, &place, &lineage, &revision, f));
    *ret_shared = revision && counts_at(&lineage, record);
    return OK;
}

static enum err is_selected(struct ca *ca, const struct revocation_selector *selector,
                            const struct certificate_record *record, bool *ret_selected, struct fault *f)
{
    bool shared = false;
    if (selector->node && !selector->profile)
        TRY(is_shared(ca, record, &shared, f));
    *ret_selected = !shared && (!selector->user || strcmp(record->identity, selector->user) == 0);
    return OK;
}

/* Keeps of the records from this one on those that are selected; on an error, all. */
static enum err selected_keep(struct ca *ca, const struct revocation_selector *selector, size_t from,
                              struct revocations_made *made, struct fault *f)
{
    enum err err = OK;
    size_t kept = from;
    for (size_t i = from; i < made->count; i++) {
        struct certificate_record record = made->records[i];
        bool selected = true;
        if (err == OK)
            err = is_selected(ca, selector, &record, &selected, f);
        if (err != OK || selected)
            made->records[kept++] = record;
        else
            certificate_record_cleanup(&record);
    }
    made->count = kept;
    return err;
}

static enum err selector_find(struct ca *ca, const struct revocation_selector *selector, struct revocations_made *made,
                              struct fault *f)
{
    struct certificate_query query = {.cluster = selector->cluster,
                                      .node = selector->node,
                                      .profile = selector->profile,
                                      .state = "valid",
                                      .now = ca_now(ca)};
    AUTO(bytes) cursor = {0};
    do {
        AUTO(bytes) next = {0};
        size_t found = 0, before = made->count;
        query.limit = REVOCATIONS_MAX - before;
        query.cursor = bytes_span(&cursor);
        TRY(index_query(ca->index, &query, made->records + before, &found, &next, f));
        made->count += found;
        TRY(selected_keep(ca, selector, before, made, f));
        bytes_free(&cursor);
        cursor = next;
        next = (struct bytes){0};
    } while (cursor.size > 0 && made->count < REVOCATIONS_MAX);
    made->more = cursor.size > 0;
    return OK;
}

struct token_search {
    const struct revocation_selector *selector;
    int64_t now;
    struct bytes ids;
};

static bool token_visit(void *context, const struct token_record *record)
{
    struct token_search *search = context;
    if (strcmp(record->cluster, search->selector->cluster) == 0 && strcmp(record->node, search->selector->node) == 0 &&
        strcmp(token_state(record, search->now), "active") == 0)
        bytes_append(&search->ids, record->id, TOKEN_ID_SIZE);
    return true;
}

/* First of all: a token could fetch what would then be missed. */
static enum err tokens_revoke(struct ca *ca, const struct caller *caller, const struct revocation_selector *selector,
                              size_t *ret_count, struct fault *f)
{
    struct token_search search = {.selector = selector, .now = ca_now(ca)};
    enum err err = token_each(ca, token_visit, &search, f);
    if (err == OK)
        err = bytes_check(&search.ids, f);
    for (size_t at = 0; err == OK && at < search.ids.size; at += TOKEN_ID_SIZE, ++*ret_count)
        err = token_revoke(ca, caller, search.ids.data + at, f);
    bytes_free(&search.ids);
    return err;
}

enum err revocation_make_all(struct ca *ca, const struct caller *caller, const struct revocation_selector *selector,
                             uint8_t reason, struct revocations_made *ret_made, struct fault *f)
{
    ret_made->count = ret_made->tokens = 0;
    ret_made->more = false;
    if (selector->node && !selector->profile && !selector->user)
        TRY(tokens_revoke(ca, caller, selector, &ret_made->tokens, f));
    TRY(selector_find(ca, selector, ret_made, f));
    for (size_t done = 0; done < ret_made->count; done += BATCH_MAX) {
        size_t left = ret_made->count - done;
        TRY(batch_run(ca, caller, ret_made->records + done, left < BATCH_MAX ? left : BATCH_MAX, reason, f));
    }
    return OK;
}
