#include "ca/record.h"

#include <string.h>

/* ---- keys ---- */

void key_name(const char *name, struct bytes *out)
{
    bytes_append(out, name, strlen(name) + 1);
}

void key_meta(const char *name, struct bytes *out)
{
    pack_u8(out, 'm');
    bytes_append_text(out, name);
}

void key_authority(const char *cluster, const char *authority, uint32_t generation, struct bytes *out)
{
    pack_u8(out, 'a');
    key_name(cluster, out);
    key_name(authority, out);
    pack_u32(out, generation);
}

void key_cluster(const char *cluster, struct bytes *out)
{
    pack_u8(out, 'c');
    bytes_append_text(out, cluster);
}

void key_cluster_update(const char *cluster, struct bytes *out)
{
    pack_u8(out, 'v');
    bytes_append_text(out, cluster);
}

void key_token(const uint8_t id[TOKEN_ID_SIZE], struct bytes *out)
{
    pack_u8(out, 't');
    bytes_append(out, id, TOKEN_ID_SIZE);
}

void key_certificate(const uint8_t serial[SERIAL_SIZE], struct bytes *out)
{
    pack_u8(out, 's');
    bytes_append(out, serial, SERIAL_SIZE);
}

void key_leaf(uint64_t sequence, struct bytes *out)
{
    pack_u8(out, 'l');
    pack_u64(out, sequence);
}

void key_answer(uint32_t day, const uint8_t id[SHA256_SIZE], struct bytes *out)
{
    pack_u8(out, 'i');
    pack_u32(out, day);
    bytes_append(out, id, SHA256_SIZE);
}

void key_prefix(char letter, struct bytes *out)
{
    pack_u8(out, (uint8_t)letter);
}

void key_prefix_end(char letter, struct bytes *out)
{
    pack_u8(out, (uint8_t)(letter + 1));
}

/* ---- rows ---- */

enum {
    SERVICE_VERSION = 1,
    AUTHORITY_VERSION = 1,
    CLUSTER_VERSION = 1,
    CLUSTER_UPDATE_VERSION = 1,
    TOKEN_VERSION = 1,
    CERTIFICATE_VERSION = 1,
    ANSWER_VERSION = 1,
};

enum err row_begin(struct span row, uint8_t version, const char *what, struct unpack *ret_in, struct fault *f)
{
    *ret_in = unpack_begin(row);
    uint8_t found = unpack_u8(ret_in);
    if (found != version)
        return fault_set(f, CODE_DAMAGED, "%s has version %u, this program reads %u", what, found, version);
    return OK;
}

void service_record_pack(const struct service_record *record, struct bytes *out)
{
    pack_u8(out, SERVICE_VERSION);
    pack_text(out, record->origin);
    pack_fixed(out, SPAN_OF(record->log_public_key));
    pack_span(out, bytes_span(&record->log_blob));
    alternative_names_pack(&record->names, out);
    pack_i64(out, record->created_at);
}

void service_record_cleanup(struct service_record *record)
{
    bytes_free(&record->log_blob);
    alternative_names_cleanup(&record->names);
}

enum err service_record_unpack(struct span row, struct service_record *ret_record, struct fault *f)
{
    struct unpack in;
    TRY(row_begin(row, SERVICE_VERSION, "the service's row", &in, f));
    AUTO(service_record) record = {0};
    unpack_text(&in, record.origin, sizeof record.origin);
    unpack_fixed(&in, record.log_public_key, sizeof record.log_public_key);
    TRY(bytes_copy(unpack_span(&in), &record.log_blob, f));
    TRY(alternative_names_unpack(&in, &record.names, f));
    record.created_at = unpack_i64(&in);
    TRY(unpack_finish(&in, "the service's row", f));
    *ret_record = record;
    record = (struct service_record){0};
    return OK;
}

void authority_record_pack(const struct authority_record *record, struct bytes *out)
{
    pack_u8(out, AUTHORITY_VERSION);
    pack_text(out, record->cluster);
    pack_text(out, record->name);
    pack_u32(out, record->generation);
    pack_span(out, bytes_span(&record->blob));
    pack_span(out, bytes_span(&record->certificate));
    pack_i64(out, record->created_at);
}

void authority_record_cleanup(struct authority_record *record)
{
    bytes_free(&record->blob);
    bytes_free(&record->certificate);
}

enum err authority_record_unpack(struct span row, struct authority_record *ret_record, struct fault *f)
{
    struct unpack in;
    TRY(row_begin(row, AUTHORITY_VERSION, "a CA's row", &in, f));
    AUTO(authority_record) record = {0};
    unpack_text(&in, record.cluster, sizeof record.cluster);
    unpack_text(&in, record.name, sizeof record.name);
    record.generation = unpack_u32(&in);
    TRY(bytes_copy(unpack_span(&in), &record.blob, f));
    TRY(bytes_copy(unpack_span(&in), &record.certificate, f));
    record.created_at = unpack_i64(&in);
    TRY(unpack_finish(&in, "a CA's row", f));
    *ret_record = record;
    record = (struct authority_record){0};
    return OK;
}

void cluster_record_pack(const struct cluster_record *record, struct bytes *out)
{
    pack_u8(out, CLUSTER_VERSION);
    pack_span(out, bytes_span(&record->document));
    pack_i64(out, record->created_at);
    pack_text(out, record->created_by);
}

void cluster_update_pack(int64_t updated_at, struct bytes *out)
{
    pack_u8(out, CLUSTER_UPDATE_VERSION);
    pack_i64(out, updated_at);
}

void cluster_record_cleanup(struct cluster_record *record)
{
    bytes_free(&record->document);
}

enum err cluster_record_unpack(struct span row, struct cluster_record *ret_record, struct fault *f)
{
    struct unpack in;
    TRY(row_begin(row, CLUSTER_VERSION, "a cluster's row", &in, f));
    AUTO(cluster_record) record = {0};
    TRY(bytes_copy(unpack_span(&in), &record.document, f));
    record.created_at = unpack_i64(&in);
    unpack_text(&in, record.created_by, sizeof record.created_by);
    TRY(unpack_finish(&in, "a cluster's row", f));
    *ret_record = record;
    record = (struct cluster_record){0};
    return OK;
}

void token_record_pack(const struct token_record *record, struct bytes *out)
{
    pack_u8(out, TOKEN_VERSION);
    pack_fixed(out, SPAN_OF(record->id));
    pack_fixed(out, SPAN_OF(record->secret_sha256));
    pack_text(out, record->cluster);
    pack_text(out, record->node);
    pack_i64(out, record->created_at);
    pack_i64(out, record->expires_at);
    pack_i64(out, record->revoked_at);
    pack_text(out, record->created_by);
    pack_u8(out, (uint8_t)record->uses_count);
    for (size_t i = 0; i < record->uses_count; i++) {
        pack_text(out, record->uses[i].profile);
        pack_fixed(out, SPAN_OF(record->uses[i].spki_sha256));
        pack_fixed(out, SPAN_OF(record->uses[i].serial));
    }
}

enum err token_record_unpack(struct span row, struct token_record *ret_record, struct fault *f)
{
    struct unpack in;
    TRY(row_begin(row, TOKEN_VERSION, "a token's row", &in, f));
    struct token_record record = {0};
    unpack_fixed(&in, record.id, sizeof record.id);
    unpack_fixed(&in, record.secret_sha256, sizeof record.secret_sha256);
    unpack_text(&in, record.cluster, sizeof record.cluster);
    unpack_text(&in, record.node, sizeof record.node);
    record.created_at = unpack_i64(&in);
    record.expires_at = unpack_i64(&in);
    record.revoked_at = unpack_i64(&in);
    unpack_text(&in, record.created_by, sizeof record.created_by);
    record.uses_count = unpack_u8(&in);
    if (record.uses_count > TOKEN_USES_MAX)
        return fault_set(f, CODE_DAMAGED, "a token's row lists %zu uses", record.uses_count);
    for (size_t i = 0; i < record.uses_count; i++) {
        unpack_text(&in, record.uses[i].profile, sizeof record.uses[i].profile);
        unpack_fixed(&in, record.uses[i].spki_sha256, sizeof record.uses[i].spki_sha256);
        unpack_fixed(&in, record.uses[i].serial, sizeof record.uses[i].serial);
    }
    TRY(unpack_finish(&in, "a token's row", f));
    *ret_record = record;
    return OK;
}

void certificate_record_pack(const struct certificate_record *record, struct bytes *out)
{
    pack_u8(out, CERTIFICATE_VERSION);
    pack_fixed(out, SPAN_OF(record->serial));
    pack_text(out, record->cluster);
    pack_text(out, record->authority);
    pack_text(out, record->node);
    pack_text(out, record->profile);
    pack_text(out, record->identity);
    pack_u16(out, (uint16_t)record->role);
    pack_text(out, record->requested_by);
    pack_i64(out, record->issued_at);
    pack_i64(out, record->not_before);
    pack_i64(out, record->not_after);
    pack_i64(out, record->revoked_at);
    pack_fixed(out, SPAN_OF(record->spki_sha256));
    pack_u64(out, record->log_sequence);
    pack_span(out, bytes_span(&record->certificate));
}

void certificate_record_cleanup(struct certificate_record *record)
{
    bytes_free(&record->certificate);
}

enum err certificate_record_unpack(struct span row, struct certificate_record *ret_record, struct fault *f)
{
    struct unpack in;
    TRY(row_begin(row, CERTIFICATE_VERSION, "a certificate's row", &in, f));
    AUTO(certificate_record) record = {0};
    unpack_fixed(&in, record.serial, sizeof record.serial);
    unpack_text(&in, record.cluster, sizeof record.cluster);
    unpack_text(&in, record.authority, sizeof record.authority);
    unpack_text(&in, record.node, sizeof record.node);
    unpack_text(&in, record.profile, sizeof record.profile);
    unpack_text(&in, record.identity, sizeof record.identity);
    record.role = unpack_u16(&in);
    unpack_text(&in, record.requested_by, sizeof record.requested_by);
    record.issued_at = unpack_i64(&in);
    record.not_before = unpack_i64(&in);
    record.not_after = unpack_i64(&in);
    record.revoked_at = unpack_i64(&in);
    unpack_fixed(&in, record.spki_sha256, sizeof record.spki_sha256);
    record.log_sequence = unpack_u64(&in);
    TRY(bytes_copy(unpack_span(&in), &record.certificate, f));
    TRY(unpack_finish(&in, "a certificate's row", f));
    *ret_record = record;
    record = (struct certificate_record){0};
    return OK;
}

void answer_record_pack(const struct answer_record *record, struct bytes *out)
{
    pack_u8(out, ANSWER_VERSION);
    pack_fixed(out, SPAN_OF(record->request_sha256));
    pack_i64(out, record->created_at);
    pack_u16(out, record->status);
    pack_text(out, record->location);
    pack_span(out, bytes_span(&record->body));
}

void answer_record_cleanup(struct answer_record *record)
{
    bytes_free(&record->body);
}

enum err answer_record_unpack(struct span row, struct answer_record *ret_record, struct fault *f)
{
    struct unpack in;
    TRY(row_begin(row, ANSWER_VERSION, "a kept answer's row", &in, f));
    AUTO(answer_record) record = {0};
    unpack_fixed(&in, record.request_sha256, sizeof record.request_sha256);
    record.created_at = unpack_i64(&in);
    record.status = unpack_u16(&in);
    unpack_text(&in, record.location, sizeof record.location);
    TRY(bytes_copy(unpack_span(&in), &record.body, f));
    TRY(unpack_finish(&in, "a kept answer's row", f));
    *ret_record = record;
    record = (struct answer_record){0};
    return OK;
}

const char *certificate_record_state(const struct certificate_record *record, int64_t now)
{
    if (record->revoked_at)
        return "revoked";
    return record->not_after < now ? "expired" : "valid";
}
