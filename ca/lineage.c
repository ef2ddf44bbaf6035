#include "ca/lineage.h"

#include <string.h>

#include "ca/rows.h"

enum { LINEAGE_VERSION = 1 };

/* ---- rows ---- */

void key_lineage(const struct place *place, struct bytes *out)
{
    key_prefix('g', out);
    key_name(place->cluster, out);
    key_name(place->node, out);
    bytes_append_text(out, place->profile);
}

void lineage_record_pack(const struct lineage_record *record, struct bytes *out)
{
    pack_u8(out, LINEAGE_VERSION);
    pack_text(out, record->cluster);
    pack_text(out, record->node);
    pack_text(out, record->profile);
    pack_fixed(out, SPAN_OF(record->current));
    pack_fixed(out, SPAN_OF(record->previous));
    pack_i64(out, record->installed_at);
    pack_i64(out, record->blocked_at);
    pack_u8(out, record->blocked_reason);
}

enum err lineage_record_unpack(struct span row, struct lineage_record *ret_record, struct fault *f)
{
    struct unpack in;
    TRY(row_begin(row, LINEAGE_VERSION, "a lineage's row", &in, f));
    struct lineage_record record = {0};
    unpack_text(&in, record.cluster, sizeof record.cluster);
    unpack_text(&in, record.node, sizeof record.node);
    unpack_text(&in, record.profile, sizeof record.profile);
    unpack_fixed(&in, record.current, sizeof record.current);
    unpack_fixed(&in, record.previous, sizeof record.previous);
    record.installed_at = unpack_i64(&in);
    record.blocked_at = unpack_i64(&in);
    record.blocked_reason = unpack_u8(&in);
    TRY(unpack_finish(&in, "a lineage's row", f));
    *ret_record = record;
    return OK;
}

/* ---- reading ---- */

enum err lineage_row(struct ca *ca, const struct place *place, struct lineage_record *ret_record,
                     uint64_t *ret_revision, struct fault *f)
{
    AUTO(bytes) key = {0};
    AUTO(bytes) row = {0};
    key_lineage(place, &key);
    TRY(bytes_check(&key, f));
    enum err err = store_get(ca->store, bytes_span(&key), &row, ret_revision, f);
    if (err != ERR_ABSENT)
        return err == OK ? lineage_record_unpack(bytes_span(&row), ret_record, f) : err;
    fault_clear(f);
    *ret_revision = 0;
    *ret_record = (struct lineage_record){0};
    snprintf(ret_record->cluster, sizeof ret_record->cluster, "%s", place->cluster);
    snprintf(ret_record->node, sizeof ret_record->node, "%s", place->node);
    snprintf(ret_record->profile, sizeof ret_record->profile, "%s", place->profile);
    return OK;
}

struct stand_in {
    int64_t now;
    uint8_t *serial;
    bool valid;
};

/* The newest, for they come in order of serial, and a valid one before any other. */
static bool stand_in_visit(void *context, const struct certificate_record *record)
{
    struct stand_in *stand_in = context;
    bool valid = strcmp(certificate_record_state(record, stand_in->now), "valid") == 0;
    if (valid || !stand_in->valid) {
        stand_in->valid = valid;
        memcpy(stand_in->serial, record->serial, SERIAL_SIZE);
    }
    return true;
}

static enum err stand_in_find(struct ca *ca, const struct place *place, uint8_t serial[SERIAL_SIZE], struct fault *f)
{
    const struct certificate_query query = {
        .cluster = place->cluster, .node = place->node, .profile = place->profile, .now = ca_now(ca)};
    struct stand_in stand_in = {query.now, serial, false};
    return index_each(ca->index, &query, stand_in_visit, &stand_in, f);
}

static bool serial_is_zero(const uint8_t serial[SERIAL_SIZE])
{
    static const uint8_t zeros[SERIAL_SIZE];
    return memcmp(serial, zeros, SERIAL_SIZE) == 0;
}

enum err lineage_get(struct ca *ca, const struct place *place, struct lineage_record *ret_record,
                     uint64_t *ret_revision, struct fault *f)
{
    struct lineage_record record;
    uint64_t revision = 0;
    uint8_t stand_in[SERIAL_SIZE] = {0};
    TRY(lineage_row(ca, place, &record, &revision, f));
    if (!revision) {
        TRY(stand_in_find(ca, place, stand_in, f));
        TRY(lineage_row(ca, place, &record, &revision, f)); /* the newest may have come with it meanwhile */
    }
    if (!revision)
        memcpy(record.current, stand_in, SERIAL_SIZE);
    if (serial_is_zero(record.current))
        return fault_set(f, CODE_NOT_FOUND, "nothing was issued for profile \"%.64s\" of node \"%.253s\"",
                         place->profile, place->node);
    *ret_record = record;
    *ret_revision = revision;
    return OK;
}

struct each {
    bool (*visit)(void *context, const struct lineage_record *record);
    void *context;
};

static enum err each_row(void *context, struct span row, bool *more, struct fault *f)
{
    struct each *each = context;
    struct lineage_record record;
    TRY(lineage_record_unpack(row, &record, f));
    *more = each->visit(each->context, &record);
    return OK;
}

enum err lineage_each(struct ca *ca, const char *cluster, const char *node,
                      bool (*visit)(void *context, const struct lineage_record *record), void *context, struct fault *f)
{
    AUTO(bytes) from = {0};
    AUTO(bytes) to = {0};
    key_prefix('g', &from);
    key_name(cluster, &from);
    if (node)
        key_name(node, &from);
    pack_fixed(&to, bytes_span(&from));
    pack_u8(&to, 0xff); /* names are ASCII */
    struct each each = {visit, context};
    return rows_each(ca->store, &from, &to, each_row, &each, f);
}

/* Serials are in order of time, as far as the clock's steps go: what was replaced directly is known for certain. */
bool lineage_superseded(const struct lineage_record *lineage, const uint8_t serial[SERIAL_SIZE])
{
    return lineage->installed_at &&
           (memcmp(serial, lineage->previous, SERIAL_SIZE) == 0 || memcmp(serial, lineage->current, SERIAL_SIZE) < 0);
}

/* ---- changing ---- */

void lineage_put(const struct lineage_record *lineage, uint64_t revision, struct change *change)
{
    const struct place place = {lineage->cluster, lineage->node, lineage->profile};
    AUTO(bytes) expected = {0};
    AUTO(bytes) key = {0};
    AUTO(bytes) row = {0};
    key_lineage(&place, &expected);
    key_lineage(&place, &key);
    lineage_record_pack(lineage, &row);
    change_expect(change, &expected, revision);
    change_put(change, &key, &row);
}

void lineage_advance(struct lineage_record *lineage, const uint8_t serial[SERIAL_SIZE])
{
    memcpy(lineage->previous, lineage->current, SERIAL_SIZE);
    memcpy(lineage->current, serial, SERIAL_SIZE);
    lineage->installed_at = 0;
    lineage->blocked_at = 0;
    lineage->blocked_reason = 0;
}

void lineage_block(const struct lineage_record *lineage, uint64_t revision, int64_t now, uint8_t reason,
                   struct change *change)
{
    struct lineage_record blocked = *lineage;
    if (blocked.blocked_at)
        return;
    blocked.blocked_at = now;
    blocked.blocked_reason = reason;
    lineage_put(&blocked, revision, change);
}
