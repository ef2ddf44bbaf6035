#include "ca/verify.h"

#include <inttypes.h>
#include <jansson.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "ca/base/document.h"
#include "ca/base/encode.h"
#include "ca/crl.h"
#include "ca/deployed.h"
#include "ca/lease.h"
#include "ca/ledger.h"
#include "ca/lineage.h"
#include "ca/meta.h"
#include "ca/revocation.h"
#include "ca/rotation.h"
#include "ca/shared_key.h"

static const char index_kinds[] = "cpe"; /* of those that have every certificate (ca/index.h) */

/* What an entry of the log issues. */
struct issue {
    uint8_t serial[SERIAL_SIZE];
    uint8_t sha256[SHA256_SIZE];
    uint64_t sequence;
    enum requester role;   /* at this service; 0: none */
    bool present, revoked; /* as a record, and what that says */
    int64_t not_after;
    unsigned revocations; /* rows */
};

struct verify {
    struct issue *issues; /* in order of serial, once all are there */
    size_t issues_count, issues_capacity;
    struct merkle_frontier frontier;
    uint64_t certificates, indexed[sizeof index_kinds - 1];
    int64_t crl_time; /* of the newest CRL */
    struct fault *fault;
    enum err err; /* of a visit, which ends the scan */
};

static void verify_cleanup(struct verify *verify)
{
    free(verify->issues);
}

static int issue_order(const void *a, const void *b)
{
    return memcmp(a, b, SERIAL_SIZE);
}

static struct issue *issue_find(const struct verify *verify, const uint8_t *serial)
{
    return verify->issues ? bsearch(serial, verify->issues, verify->issues_count, sizeof *verify->issues, issue_order)
                          : NULL;
}

/* "certificate 0cf5…: <what>" */
static void serial_reason(struct verify *verify, const uint8_t *serial, const char *what)
{
    char pointer[sizeof "certificate " + SERIAL_TEXT_SIZE] = "certificate ";
    hex_text(span(serial, SERIAL_SIZE), pointer + strlen(pointer), SERIAL_TEXT_SIZE);
    fault_reason(verify->fault, pointer, "%s", what);
}

/* ---- the log ---- */

/* False when it is none that there is. */
static bool role_read(const json_t *event, enum requester *ret_role)
{
    const json_t *role = json_object_get(event, "role");
    for (unsigned i = 0; role && requester_words[i]; i++)
        if (strcmp(requester_words[i], json_string_value(role) ? json_string_value(role) : "") == 0) {
            *ret_role = (enum requester)(1u << i);
            return true;
        }
    return !role;
}

static enum err issue_add(struct verify *verify, const json_t *event, struct fault *f)
{
    const char *serial = json_string_value(json_object_get(event, "serial"));
    const char *hash = json_string_value(json_object_get(event, "certificate_sha256"));
    struct issue issue = {.sequence = verify->frontier.size};
    if (!serial || !hash || !role_read(event, &issue.role))
        return fault_set(f, CODE_DAMAGED, "entry %" PRIu64 " of the log does not say what it issues", issue.sequence);
    TRY(hex_decode(serial, issue.serial, sizeof issue.serial, f));
    TRY(hex_decode(hash, issue.sha256, sizeof issue.sha256, f));
    if (verify->issues_count == verify->issues_capacity) {
        size_t capacity = verify->issues_capacity * 2 + 1024;
        struct issue *issues = reallocarray(verify->issues, capacity, sizeof *issues);
        if (!issues)
            return fault_no_memory(f);
        verify->issues = issues;
        verify->issues_capacity = capacity;
    }
    verify->issues[verify->issues_count++] = issue;
    return OK;
}

static enum err leaf_add(struct verify *verify, struct span key, struct span leaf, struct fault *f)
{
    AUTO(bytes) expected = {0};
    struct merkle_hash hash;
    key_leaf(verify->frontier.size, &expected);
    TRY(bytes_check(&expected, f));
    if (!span_equal(key, bytes_span(&expected)))
        return fault_set(f, CODE_DAMAGED, "entry %" PRIu64 " of the log is missing", verify->frontier.size);
    json_error_t error;
    json_t *event = json_load_whole(leaf, 0, &error);
    const char *name = json_string_value(json_object_get(event, "event"));
    if (!name)
        fault_reason(f, "log", "entry %" PRIu64 " says no event", verify->frontier.size);
    enum err err = name && strcmp(name, "certificate.issued") == 0 ? issue_add(verify, event, f) : OK;
    json_decref(event);
    merkle_leaf_hash(leaf, &hash);
    merkle_append(&verify->frontier, &hash);
    return err;
}

static bool leaf_visit(void *context, struct span key, struct span leaf)
{
    struct verify *verify = context;
    verify->err = leaf_add(verify, key, leaf, verify->fault);
    return verify->err == OK;
}

static enum err log_verify(struct store *store, struct verify *verify, struct fault *f)
{
    struct merkle_frontier stored;
    struct merkle_hash root, stored_root;
    TRY(ledger_frontier_stored(store, &stored, f));
    merkle_root(&verify->frontier, &root);
    merkle_root(&stored, &stored_root);
    if (stored.size != verify->frontier.size || memcmp(&root, &stored_root, sizeof root) != 0)
        return fault_set(f, CODE_DAMAGED,
                         "the log has %" PRIu64 " entries, which do not give its stored tree of %" PRIu64,
                         verify->frontier.size, stored.size);
    if (verify->issues)
        qsort(verify->issues, verify->issues_count, sizeof *verify->issues, issue_order);
    return OK;
}

/* ---- what must agree with it ---- */

static enum err certificate_add(struct verify *verify, struct span key, struct span row, struct fault *f)
{
    AUTO(certificate_record) record = {0};
    TRY(certificate_record_unpack(row, &record, f));
    uint8_t sha256[SHA256_SIZE];
    crypto_hash_sha256(sha256, record.certificate.data, record.certificate.size);
    struct issue *issue = issue_find(verify, record.serial);
    verify->certificates++;
    if (key.size != 1 + SERIAL_SIZE || memcmp(key.data + 1, record.serial, SERIAL_SIZE) != 0)
        serial_reason(verify, record.serial, "is stored under another serial");
    else if (!issue)
        serial_reason(verify, record.serial, "no entry of the log issues it");
    else if (memcmp(issue->sha256, sha256, sizeof sha256) != 0 || issue->sequence != record.log_sequence)
        serial_reason(verify, record.serial, "the log issues another one with this serial");
    else {
        issue->present = true;
        issue->revoked = record.revoked_at != 0;
        issue->not_after = record.not_after;
        if (issue->role != record.role)
            serial_reason(verify, record.serial, "has another role than the log gives it");
    }
    return OK;
}

static bool certificate_visit(void *context, struct span key, struct span row)
{
    struct verify *verify = context;
    verify->err = certificate_add(verify, key, row, verify->fault);
    return verify->err == OK;
}

static bool token_visit(void *context, struct span key, struct span row)
{
    (void)key;
    struct verify *verify = context;
    struct token_record record;
    verify->err = token_record_unpack(row, &record, verify->fault);
    for (size_t i = 0; verify->err == OK && i < record.uses_count; i++)
        if (!issue_find(verify, record.uses[i].serial))
            serial_reason(verify, record.uses[i].serial, "a token got it, and no entry of the log issues it");
    return verify->err == OK;
}

static bool authority_visit(void *context, struct span key, struct span row)
{
    (void)key;
    struct verify *verify = context;
    AUTO(authority_record) record = {0};
    AUTO(certificate) certificate = {0};
    verify->err = authority_record_unpack(row, &record, verify->fault);
    if (verify->err == OK)
        verify->err = certificate_parse_authority(bytes_span(&record.certificate), &certificate, verify->fault);
    return verify->err == OK;
}

static bool cluster_visit(void *context, struct span key, struct span row)
{
    (void)key;
    struct verify *verify = context;
    AUTO(cluster_record) record = {0};
    verify->err = cluster_record_unpack(row, &record, verify->fault);
    return verify->err == OK;
}

static bool sealing_key_visit(void *context, struct span key, struct span row)
{
    (void)key;
    struct verify *verify = context;
    AUTO(sealing_key) record = {0};
    verify->err = sealing_key_unpack(row, &record, verify->fault);
    return verify->err == OK;
}

static bool shared_key_visit(void *context, struct span key, struct span row)
{
    (void)key;
    struct verify *verify = context;
    AUTO(shared_key) record = {0};
    verify->err = shared_key_unpack(row, &record, verify->fault);
    return verify->err == OK;
}

static bool lineage_visit(void *context, struct span key, struct span row)
{
    (void)key;
    struct verify *verify = context;
    struct lineage_record record;
    verify->err = lineage_record_unpack(row, &record, verify->fault);
    if (verify->err == OK && !issue_find(verify, record.current))
        serial_reason(verify, record.current, "it counts at a place, and no entry of the log issues it");
    return verify->err == OK;
}

static bool deployed_visit(void *context, struct span key, struct span row)
{
    (void)key;
    struct verify *verify = context;
    struct deployed_record record;
    verify->err = deployed_record_unpack(row, &record, verify->fault);
    return verify->err == OK;
}

/* Counts what there is of it. */
static bool mark_count(void *context, const struct mark *mark)
{
    (void)mark;
    uint32_t *count = context;
    ++*count;
    return true;
}

/* A rotation stands before its marks. */
static bool rotation_visit(void *context, struct span key, struct span row)
{
    struct verify *verify = context;
    struct rotation_key parsed;
    struct rotation rotation;
    uint32_t count = 0;
    if (!rotation_key_parse(key, &parsed))
        verify->err = fault_set(verify->fault, CODE_DAMAGED, "a key of a rotation has a wrong size");
    else if (parsed.marks)
        verify->err = marks_unpack(row, mark_count, &count, verify->fault);
    else
        verify->err = rotation_unpack(row, &rotation, verify->fault);
    return verify->err == OK;
}

static bool lease_visit(void *context, struct span key, struct span row)
{
    (void)key;
    struct verify *verify = context;
    struct lease lease;
    verify->err = lease_unpack(row, &lease, verify->fault);
    return verify->err == OK;
}

static bool revocation_visit(void *context, struct span key, struct span row)
{
    (void)key;
    struct verify *verify = context;
    struct revocation_record record;
    verify->err = revocation_record_unpack(row, &record, verify->fault);
    struct issue *issue = verify->err == OK ? issue_find(verify, record.serial) : NULL;
    if (issue)
        issue->revocations++;
    else if (verify->err == OK)
        serial_reason(verify, record.serial, "it is revoked, and no entry of the log issues it");
    return verify->err == OK;
}

static bool known_key_visit(void *context, struct span key, struct span row)
{
    (void)key;
    struct verify *verify = context;
    struct known_key known;
    verify->err = known_key_unpack(row, &known, verify->fault);
    const struct issue *issue = verify->err == OK ? issue_find(verify, known.serial) : NULL;
    if (verify->err == OK && (!issue || !issue->revoked))
        serial_reason(verify, known.serial, "others know its key, and it is not revoked");
    return verify->err == OK;
}

static bool crl_visit(void *context, struct span key, struct span row)
{
    (void)key;
    struct verify *verify = context;
    AUTO(crl_record) record = {0};
    AUTO(crl) crl = {0};
    verify->err = crl_record_unpack(row, &record, verify->fault);
    if (verify->err == OK)
        verify->err = crl_parse_signed(bytes_span(&record.der), &crl, verify->fault);
    if (verify->err == OK && record.this_update > verify->crl_time)
        verify->crl_time = record.this_update;
    for (size_t i = 0; verify->err == OK && i < crl.entries_count; i++) {
        const struct issue *issue = issue_find(verify, crl.entries[i].serial);
        if (!issue || !issue->revoked)
            serial_reason(verify, crl.entries[i].serial, "a CRL lists it, and it is not revoked");
    }
    return verify->err == OK;
}

static bool index_visit(void *context, struct span key, struct span row)
{
    (void)row;
    struct verify *verify = context;
    bool by_serial = key.size < 2 || key.data[1] != 'k'; /* which are by public key */
    if (by_serial && (key.size < 2 + SERIAL_SIZE || !issue_find(verify, key.data + key.size - SERIAL_SIZE)))
        fault_reason(verify->fault, "index", "it knows a certificate that no entry of the log issues");
    const char *kind = key.size > 1 ? memchr(index_kinds, key.data[1], sizeof index_kinds - 1) : NULL;
    if (kind)
        verify->indexed[kind - index_kinds]++;
    return true;
}

/* ---- all of it ---- */

static enum err rows_visit(struct store *store, char letter, store_visit *visit, struct verify *verify, struct fault *f)
{
    AUTO(bytes) from = {0};
    AUTO(bytes) to = {0};
    key_prefix(letter, &from);
    key_prefix_end(letter, &to);
    TRY(bytes_check(&from, f));
    TRY(bytes_check(&to, f));
    TRY(store_scan(store, bytes_span(&from), bytes_span(&to), false, visit, verify, f));
    return verify->err;
}

static enum err index_verify(struct store *store, struct verify *verify, struct fault *f)
{
    AUTO(bytes) row = {0};
    struct fault why = {0}; /* meta_get() clears the fault of an absent row, and f has reasons */
    if (meta_get(store, "index", &row, &why) != OK)
        return fault_set(f, why.code, "%s", why.text);
    if (row.size == 0)
        return OK;
    struct unpack in = unpack_begin(bytes_span(&row));
    unpack_u8(&in); /* of another form: they are made again at start */
    uint64_t seen = unpack_u64(&in), expected = 0;
    TRY(unpack_finish(&in, "the progress of the search indexes", f));
    for (size_t i = 0; i < verify->issues_count; i++)
        expected += verify->issues[i].sequence < seen;
    for (size_t i = 0; i < ARRAY_SIZE(verify->indexed); i++)
        if (verify->indexed[i] < expected || verify->indexed[i] != verify->indexed[0])
            fault_reason(f, "index", "%" PRIu64 " certificates of %" PRIu64 " are in index %c: run ensignd reindex",
                         verify->indexed[i], expected, index_kinds[i]);
    return OK;
}

static void issues_missing(struct verify *verify)
{
    for (size_t i = 0; i < verify->issues_count; i++) {
        const struct issue *issue = &verify->issues[i];
        if (!issue->present)
            serial_reason(verify, issue->serial, "the log issues it, and it is not there");
        bool erased = issue->revoked && issue->revocations == 0 && issue->not_after < verify->crl_time;
        if (!erased && issue->revocations != (issue->revoked ? 1U : 0U))
            serial_reason(verify, issue->serial, "its record and the list of revocations do not agree");
    }
}

enum err database_verify(struct store *store, struct verified *ret_verified, struct fault *f)
{
    static const struct {
        char letter;
        store_visit *visit;
    } parts[] = {{'s', certificate_visit}, {'t', token_visit},      {'a', authority_visit},  {'c', cluster_visit},
                 {'n', sealing_key_visit}, {'k', shared_key_visit}, {'g', lineage_visit},    {'d', deployed_visit},
                 {'r', rotation_visit},    {'w', lease_visit},      {'q', revocation_visit}, {'p', crl_visit},
                 {'b', known_key_visit},   {'x', index_visit}};
    AUTO(verify) verify = {.fault = f};
    uint64_t rows = 0;
    TRY(store_verify(store, &rows, f));
    TRY(rows_visit(store, 'l', leaf_visit, &verify, f));
    TRY(log_verify(store, &verify, f));
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
        TRY(rows_visit(store, parts[i].letter, parts[i].visit, &verify, f));
    TRY(index_verify(store, &verify, f));
    issues_missing(&verify);
    TRY(fault_if_reasons(f, CODE_DAMAGED, "the parts of the database do not agree"));
    *ret_verified = (struct verified){rows, verify.frontier.size, verify.certificates};
    return OK;
}
