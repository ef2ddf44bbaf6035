#include "ca/deployed.h"

#include <stdlib.h>
#include <string.h>

#include "ca/crl.h"
#include "ca/holders.h"
#include "ca/lineage.h"
#include "ca/rows.h"
#include "policies/catalogue.h"

/* A lineage changes when its node renews meanwhile: read it again, this often at most. */
enum { ATTEMPTS_MAX = 50, DEPLOYED_VERSION = 1 };

/* They are sorted: a place in the list would not be the caller's. */
static const char certificates_pointer[] = "/certificates";

const char *const deployed_state_words[] = {"installed", "served", "waiting-restart", "not-served", "failed", NULL};

/* ---- rows ---- */

void key_deployed(const char *cluster, const char *node, struct bytes *out)
{
    key_prefix('d', out);
    key_name(cluster, out);
    bytes_append_text(out, node);
}

static void certificate_pack(const struct deployed_certificate *certificate, struct bytes *out)
{
    pack_text(out, certificate->profile);
    pack_fixed(out, SPAN_OF(certificate->serial));
    pack_u8(out, (uint8_t)certificate->state);
    pack_fixed(out, SPAN_OF(certificate->served));
    pack_i64(out, certificate->not_after);
    pack_text(out, certificate->detail);
}

void deployed_record_pack(const struct deployed_record *record, struct bytes *out)
{
    pack_u8(out, DEPLOYED_VERSION);
    pack_text(out, record->cluster);
    pack_text(out, record->node);
    pack_i64(out, record->reported_at);
    pack_text(out, record->agent_version);
    pack_u8(out, (uint8_t)record->certificates_count);
    for (size_t i = 0; i < record->certificates_count; i++)
        certificate_pack(&record->certificates[i], out);
    pack_u8(out, (uint8_t)record->crls_count);
    for (size_t i = 0; i < record->crls_count; i++) {
        pack_text(out, record->crls[i].authority);
        pack_i64(out, record->crls[i].number);
    }
}

static enum err certificate_unpack(struct unpack *in, struct deployed_certificate *certificate, struct fault *f)
{
    unpack_text(in, certificate->profile, sizeof certificate->profile);
    unpack_fixed(in, certificate->serial, sizeof certificate->serial);
    uint8_t state = unpack_u8(in);
    unpack_fixed(in, certificate->served, sizeof certificate->served);
    certificate->not_after = unpack_i64(in);
    unpack_text(in, certificate->detail, sizeof certificate->detail);
    if (state > DEPLOYED_FAILED)
        return fault_set(f, CODE_DAMAGED, "a report's row has state %u", state);
    certificate->state = (enum deployed_state)state;
    return OK;
}

enum err deployed_record_unpack(struct span row, struct deployed_record *ret_record, struct fault *f)
{
    struct unpack in;
    TRY(row_begin(row, DEPLOYED_VERSION, "a report's row", &in, f));
    struct deployed_record record = {0};
    unpack_text(&in, record.cluster, sizeof record.cluster);
    unpack_text(&in, record.node, sizeof record.node);
    record.reported_at = unpack_i64(&in);
    unpack_text(&in, record.agent_version, sizeof record.agent_version);
    record.certificates_count = unpack_u8(&in);
    if (record.certificates_count > DEPLOYED_CERTIFICATES_MAX)
        return fault_set(f, CODE_DAMAGED, "a report's row lists %zu certificates", record.certificates_count);
    for (size_t i = 0; i < record.certificates_count; i++)
        TRY(certificate_unpack(&in, &record.certificates[i], f));
    record.crls_count = unpack_u8(&in);
    if (record.crls_count > DEPLOYED_CRLS_MAX)
        return fault_set(f, CODE_DAMAGED, "a report's row lists %zu CRLs", record.crls_count);
    for (size_t i = 0; i < record.crls_count; i++) {
        unpack_text(&in, record.crls[i].authority, sizeof record.crls[i].authority);
        record.crls[i].number = unpack_i64(&in);
    }
    TRY(unpack_finish(&in, "a report's row", f));
    *ret_record = record;
    return OK;
}

/* ---- reading ---- */

enum err deployed_get(struct ca *ca, const char *cluster, const char *node, struct deployed_record *ret_record,
                      uint64_t *ret_revision, struct fault *f)
{
    AUTO(bytes) key = {0};
    AUTO(bytes) row = {0};
    key_deployed(cluster, node, &key);
    TRY(bytes_check(&key, f));
    enum err err = store_get(ca->store, bytes_span(&key), &row, ret_revision, f);
    if (err == ERR_ABSENT)
        return fault_set(f, CODE_NOT_FOUND, "node \"%.253s\" has reported nothing yet", node);
    TRY(err);
    return deployed_record_unpack(bytes_span(&row), ret_record, f);
}

struct each {
    bool (*visit)(void *context, const struct deployed_record *record);
    void *context;
};

static enum err each_row(void *context, struct span row, bool *more, struct fault *f)
{
    struct each *each = context;
    struct deployed_record record;
    TRY(deployed_record_unpack(row, &record, f));
    *more = each->visit(each->context, &record);
    return OK;
}

enum err deployed_each(struct ca *ca, const char *cluster, const char *after,
                       bool (*visit)(void *context, const struct deployed_record *record), void *context,
                       struct fault *f)
{
    AUTO(bytes) from = {0};
    AUTO(bytes) to = {0};
    key_deployed(cluster, after ? after : "", &from);
    if (after)
        pack_u8(&from, 0);
    key_deployed(cluster, "\x7f", &to); /* names of nodes are ASCII */
    struct each each = {visit, context};
    return rows_each(ca->store, &from, &to, each_row, &each, f);
}

const struct deployed_certificate *deployed_find(const struct deployed_record *record, const char *profile)
{
    for (size_t i = 0; i < record->certificates_count; i++)
        if (strcmp(record->certificates[i].profile, profile) == 0)
            return &record->certificates[i];
    return NULL;
}

int64_t deployed_seen_at(struct ca *ca, const struct deployed_record *record)
{
    int64_t heard = heartbeat_at(ca->heartbeats, record->cluster, record->node);
    return heard > record->reported_at ? heard : record->reported_at;
}

bool deployed_silent(struct ca *ca, const struct deployed_record *record)
{
    int64_t seen = deployed_seen_at(ca, record);
    if (seen < ca->opened_at)
        seen = ca->opened_at; /* what came before, nobody remembers */
    return ca_now(ca) - seen > AGENT_SILENT_SECONDS;
}

enum err newest_crls_read(struct ca *ca, const char *cluster, struct newest_crls *ret_crls, struct fault *f)
{
    *ret_crls = (struct newest_crls){0};
    for (const char *const *name = cluster_authorities; *name; name++) {
        AUTO(crl_record) crl = {0};
        enum err err = crl_stored(ca, cluster, *name, &crl, f);
        if (err == ERR_ABSENT) {
            fault_clear(f);
            continue;
        }
        TRY(err);
        struct deployed_crl *item = &ret_crls->items[ret_crls->count++];
        snprintf(item->authority, sizeof item->authority, "%s", *name);
        item->number = (int64_t)crl.number;
    }
    return OK;
}

int64_t newest_crl_number(const struct newest_crls *crls, const char *authority)
{
    for (size_t i = 0; i < crls->count; i++)
        if (strcmp(crls->items[i].authority, authority) == 0)
            return crls->items[i].number;
    return 0;
}

/* ---- counting ---- */

struct count {
    struct ca *ca;
    struct newest_crls newest;
    struct deployed_counts counts;
    struct bytes nodes; /* the names of those that have reported, in order, each with its NUL */
    size_t next;        /* of these, while the lineages are read in the same order */
};

static void count_cleanup(struct count *count)
{
    bytes_free(&count->nodes);
}

static bool agent_count(void *context, const struct deployed_record *record)
{
    struct count *count = context;
    count->counts.agents++;
    count->counts.silent += deployed_silent(count->ca, record);
    for (size_t i = 0; i < record->certificates_count; i++) {
        count->counts.waiting_restart += record->certificates[i].state == DEPLOYED_WAITING_RESTART;
        count->counts.not_deployed += record->certificates[i].state == DEPLOYED_NOT_SERVED;
    }
    for (size_t i = 0; i < record->crls_count; i++)
        count->counts.crls_outdated +=
            record->crls[i].number < newest_crl_number(&count->newest, record->crls[i].authority);
    bytes_append(&count->nodes, record->node, strlen(record->node) + 1);
    return true;
}

static bool lineage_count(void *context, const struct lineage_record *lineage)
{
    struct count *count = context;
    const char *node = NULL;
    while (count->next < count->nodes.size) {
        node = (const char *)count->nodes.data + count->next;
        if (strcmp(node, lineage->node) >= 0)
            break;
        count->next += strlen(node) + 1;
    }
    bool has_agent = count->next < count->nodes.size && strcmp(node, lineage->node) == 0;
    count->counts.not_deployed += has_agent && !lineage->installed_at;
    return true;
}

enum err deployed_count(struct ca *ca, const char *cluster, struct deployed_counts *ret_counts, struct fault *f)
{
    AUTO(count) count = {.ca = ca};
    TRY(newest_crls_read(ca, cluster, &count.newest, f));
    TRY(deployed_each(ca, cluster, NULL, agent_count, &count, f));
    TRY(bytes_check(&count.nodes, f));
    if (count.nodes.size > 0)
        TRY(lineage_each(ca, cluster, NULL, lineage_count, &count, f));
    *ret_counts = count.counts;
    return OK;
}

/* ---- reporting ---- */

/* Profile and authority are what these begin with. */
static int name_compare(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* In an order of its own: another order is no news. */
static void report_sort(struct deployed_record *report)
{
    qsort(report->certificates, report->certificates_count, sizeof report->certificates[0], name_compare);
    qsort(report->crls, report->crls_count, sizeof report->crls[0], name_compare);
}

static enum err report_check(const struct deployed_record *report, struct fault *f)
{
    for (size_t i = 1; i < report->certificates_count; i++)
        if (strcmp(report->certificates[i - 1].profile, report->certificates[i].profile) == 0)
            fault_reason(f, certificates_pointer, "profile \"%s\" is there twice", report->certificates[i].profile);
    return fault_if_reasons(f, CODE_INVALID, "the report is not valid");
}

/* Whether they are stored as the same bytes. Without memory: no. */
static bool certificate_equal(const struct deployed_certificate *a, const struct deployed_certificate *b)
{
    AUTO(bytes) left = {0};
    AUTO(bytes) right = {0};
    certificate_pack(a, &left);
    certificate_pack(b, &right);
    return !left.failed && !right.failed && span_equal(bytes_span(&left), bytes_span(&right));
}

static bool report_is_news(const struct deployed_record *report, const struct deployed_record *before)
{
    AUTO(bytes) left = {0};
    AUTO(bytes) right = {0};
    struct deployed_record then = *report;
    then.reported_at = before->reported_at;
    deployed_record_pack(&then, &left);
    deployed_record_pack(before, &right);
    return left.failed || right.failed || !span_equal(bytes_span(&left), bytes_span(&right));
}

/* The certificate belongs to its place, where it is installed from now on if it says so. */
static enum err certificate_take(struct ca *ca, const struct deployed_record *report,
                                 const struct deployed_certificate *certificate, struct change *change, struct fault *f)
{
    const struct place place = {report->cluster, report->node, certificate->profile};
    struct lineage_record lineage;
    uint64_t revision = 0;
    struct fault why = {0};
    enum err err = lineage_get(ca, &place, &lineage, &revision, &why);
    bool current = err == OK && memcmp(certificate->serial, lineage.current, SERIAL_SIZE) == 0;
    bool previous = err == OK && memcmp(certificate->serial, lineage.previous, SERIAL_SIZE) == 0;
    if (err != OK && err != ERR_ABSENT) {
        *f = why;
        return err;
    }
    if (!current && !previous)
        fault_reason(f, certificates_pointer,
                     "of profile \"%s\" it is neither the certificate that counts here, nor the one before",
                     certificate->profile);
    if (!current || certificate->state == DEPLOYED_FAILED || lineage.installed_at)
        return OK;
    lineage.installed_at = report->reported_at;
    lineage_put(&lineage, revision, change);
    return OK;
}

/* ---- what control planes share ---- */

static bool report_is_shared(const struct cluster *cluster, const struct deployed_record *report, const char *profile)
{
    const struct node_entry *node = cluster_node(cluster, report->node);
    return node && node->roles & ROLE_CONTROL_PLANE && catalogue_shares_certificate(cluster, profile);
}

/* Who was away may have any that there was before. */
static enum err shared_known(struct ca *ca, const struct deployed_record *report,
                             const struct deployed_certificate *certificate, struct fault *f)
{
    AUTO(certificate_record) record = {0};
    struct fault why = {0};
    enum err err = certificate_get(ca, certificate->serial, &record, &why);
    if (err == OK && strcmp(record.cluster, report->cluster) == 0 && strcmp(record.profile, certificate->profile) == 0)
        return OK;
    if (err == OK || err == ERR_ABSENT) {
        fault_reason(f, certificates_pointer, "of profile \"%s\" it is none that the control planes shared",
                     certificate->profile);
        return OK;
    }
    *f = why;
    return err;
}

/* Whether all others have it as well; what they say of it must not change meanwhile. */
struct agreement {
    const struct deployed_record *report;
    const struct deployed_certificate *certificate;
    struct change *change;
    bool whole;
};

static bool agreement_visit(void *context, const struct holder *holder)
{
    struct agreement *agreement = context;
    const struct deployed_certificate *theirs = holder->report;
    AUTO(bytes) expected = {0};
    if (strcmp(holder->node, agreement->report->node) == 0)
        return true;
    key_deployed(agreement->report->cluster, holder->node, &expected);
    change_expect(agreement->change, &expected, holder->revision);
    agreement->whole = agreement->whole && theirs && theirs->state != DEPLOYED_FAILED &&
                       memcmp(theirs->serial, agreement->certificate->serial, SERIAL_SIZE) == 0;
    return true;
}

static enum err shared_take(struct ca *ca, const struct cluster *cluster, const struct deployed_record *report,
                            const struct deployed_certificate *certificate, struct change *change, struct fault *f)
{
    const struct place place = {report->cluster, "", certificate->profile};
    struct agreement agreement = {report, certificate, change, true};
    struct lineage_record lineage;
    uint64_t revision = 0;
    TRY(lineage_row(ca, &place, &lineage, &revision, f));
    if (memcmp(certificate->serial, lineage.current, SERIAL_SIZE) != 0)
        return shared_known(ca, report, certificate, f);
    if (certificate->state == DEPLOYED_FAILED || lineage.installed_at)
        return OK;
    TRY(holders_each(ca, cluster, certificate->profile, agreement_visit, &agreement, f));
    if (!agreement.whole)
        return OK;
    lineage.installed_at = report->reported_at;
    lineage_put(&lineage, revision, change);
    return OK;
}

/* ---- storing a report ---- */

static void crls_event(struct bytes *event, const struct deployed_record *report)
{
    member_begin(event, "crls");
    bytes_append_text(event, "[");
    for (size_t i = 0; i < report->crls_count; i++) {
        element_begin(event);
        bytes_append_text(event, "{");
        member_string(event, "authority", report->crls[i].authority);
        member_integer(event, "number", report->crls[i].number);
        bytes_append_text(event, "}");
    }
    bytes_append_text(event, "]");
}

static void report_event(struct bytes *event, const struct caller *caller, const struct deployed_record *report,
                         const struct deployed_record *before)
{
    char actor[DNS_NAME_MAX + 32];
    caller_text(caller, actor, sizeof actor);
    event_begin(event, "certificate.deployed", actor);
    member_string(event, "cluster", report->cluster);
    member_string(event, "node", report->node);
    member_string(event, "agent_version", report->agent_version);
    member_begin(event, "certificates");
    bytes_append_text(event, "[");
    for (size_t i = 0; i < report->certificates_count; i++) {
        const struct deployed_certificate *certificate = &report->certificates[i];
        const struct deployed_certificate *then = deployed_find(before, certificate->profile);
        if (then && certificate_equal(certificate, then))
            continue;
        element_begin(event);
        bytes_append_text(event, "{");
        member_string(event, "profile", certificate->profile);
        member_hex(event, "serial", SPAN_OF(certificate->serial));
        member_string(event, "state", deployed_state_words[certificate->state]);
        bytes_append_text(event, "}");
    }
    bytes_append_text(event, "]");
    crls_event(event, report);
}

static enum err certificates_take(struct ca *ca, const struct cluster *cluster, const struct deployed_record *report,
                                  struct change *change, struct fault *f)
{
    for (size_t i = 0; i < report->certificates_count; i++) {
        const struct deployed_certificate *certificate = &report->certificates[i];
        if (report_is_shared(cluster, report, certificate->profile))
            TRY(shared_take(ca, cluster, report, certificate, change, f));
        else
            TRY(certificate_take(ca, report, certificate, change, f));
    }
    return fault_if_reasons(f, CODE_INVALID, "the report is not about what was issued to this node");
}

static enum err report_once(struct ca *ca, const struct caller *caller, const struct cluster *cluster,
                            struct deployed_record *report, struct fault *f)
{
    AUTO(change) change = {0};
    AUTO(bytes) expected = {0};
    AUTO(bytes) key = {0};
    AUTO(bytes) row = {0};
    struct deployed_record before = {0};
    uint64_t revision = 0;
    enum err err = deployed_get(ca, report->cluster, report->node, &before, &revision, f);
    if (err != OK && err != ERR_ABSENT)
        return err;
    fault_clear(f);
    TRY(certificates_take(ca, cluster, report, &change, f));
    if (change.writes_count == 0 && revision && !report_is_news(report, &before))
        return OK;
    key_deployed(report->cluster, report->node, &expected);
    key_deployed(report->cluster, report->node, &key);
    deployed_record_pack(report, &row);
    change_expect(&change, &expected, revision);
    change_put(&change, &key, &row);
    report_event(&change.event, caller, report, &before);
    return ledger_commit(ca->ledger, &change, f);
}

enum err deployed_report(struct ca *ca, const struct caller *caller, struct deployed_record *report, struct fault *f)
{
    CLEANUP(cluster_release) const struct cluster *cluster = NULL;
    snprintf(report->cluster, sizeof report->cluster, "%s", caller->cluster);
    snprintf(report->node, sizeof report->node, "%s", caller->node);
    report->reported_at = clock_read(ca->clock).seconds; /* also when the clock is not trusted */
    report_sort(report);
    TRY(report_check(report, f));
    TRY(cluster_find(ca, report->cluster, &cluster, f));
    for (int attempt = 1;; attempt++) {
        enum err err = report_once(ca, caller, cluster, report, f);
        if (err != ERR_CONFLICT || attempt == ATTEMPTS_MAX) {
            if (err == OK)
                heartbeat(ca->heartbeats, report->cluster, report->node, ca_now(ca));
            return err;
        }
        fault_clear(f);
    }
}
