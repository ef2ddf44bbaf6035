#include "server/json.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "ca/base/document.h"
#include "ca/base/encode.h"
#include "ca/base/json_text.h"

/* ---- values ---- */

json_t *json_bytes(struct span text)
{
    return text.size ? json_stringn((const char *)text.data, text.size) : json_null();
}

static json_t *json_taken(struct bytes *take_text)
{
    json_t *json = take_text->failed ? NULL : json_bytes(bytes_span(take_text));
    bytes_free(take_text);
    return json;
}

json_t *json_hex(struct span data)
{
    struct bytes text = {0};
    hex_append(&text, data);
    return json_taken(&text);
}

json_t *json_time(int64_t seconds)
{
    char text[TIME_TEXT_SIZE];
    time_text(seconds, text);
    return json_string(text);
}

json_t *json_page(json_t *take_items, struct span cursor)
{
    struct bytes text = {0};
    base64url_append(&text, cursor);
    return json_pack("{so so}", "items", take_items, "next_cursor", json_taken(&text));
}

void json_cleanup(json_t **json)
{
    json_decref(*json);
}

/* ---- objects ---- */

json_t *json_authority(const struct authority *authority)
{
    const struct certificate *certificate = &authority->certificate;
    return json_pack("{ss so ss so so}", "name", authority->record.name, "key_identifier",
                     json_hex(SPAN_OF(authority->issuer.key_identifier)), "algorithm",
                     key_algorithm_name(certificate->public_key.algorithm), "not_after",
                     json_time(certificate->body.content.not_after), "sha256", json_hex(SPAN_OF(certificate->sha256)));
}

static json_t *json_authorities(struct ca *ca, const char *cluster)
{
    json_t *list = json_array();
    for (const char *const *name = cluster_authorities; *name; name++) {
        const struct authority *authority = authorities_find(ca->authorities, cluster, *name);
        if (authority)
            json_list_add(&list, json_authority(authority));
    }
    return list;
}

static json_t *json_cluster_document(const struct cluster *cluster)
{
    json_error_t error;
    return json_load_whole(bytes_span(&cluster->document), JSON_REJECT_DUPLICATES, &error);
}

static json_t *json_warnings(const struct cluster *cluster)
{
    json_t *warnings = json_array();
    for (size_t i = 0; i < cluster->warnings_count; i++)
        json_list_add(&warnings, json_string(cluster->warnings[i].text));
    return warnings;
}

static json_t *json_inventory(const struct cluster *cluster, json_t *take_authorities)
{
    return json_pack("{ss so so so}", "name", cluster->name, "document", json_cluster_document(cluster), "authorities",
                     take_authorities, "warnings", json_warnings(cluster));
}

json_t *json_cluster_line(struct ca *ca, const struct cluster *cluster)
{
    json_t *inventory = json_inventory(cluster, json_authorities(ca, cluster->name));
    json_object_del(json_object_get(inventory, "document"), "nodes");
    return inventory;
}

json_t *json_cluster_made(const struct cluster_made *made)
{
    json_t *list = json_array();
    for (const struct authority *const *authority = made->authorities; *authority; authority++)
        json_list_add(&list, json_authority(*authority));
    return json_inventory(made->cluster, list);
}

enum err json_document_text(const struct cluster *cluster, json_t *take_rest, struct bytes *ret_text, struct fault *f)
{
    AUTO(bytes) text = {0};
    char *rest = take_rest ? json_dumps(take_rest, JSON_COMPACT | JSON_EMBED) : NULL;
    json_decref(take_rest);
    if (!rest)
        return fault_no_memory(f);
    bytes_appendf(&text, "{%s,\"document\":", rest);
    free(rest);
    bytes_append_span(&text, bytes_span(&cluster->document));
    bytes_append_text(&text, "}");
    return bytes_give(&text, ret_text, f);
}

enum err json_cluster_text(struct ca *ca, const struct cluster *cluster, struct bytes *ret_text, struct fault *f)
{
    json_t *rest = json_pack("{ss so so}", "name", cluster->name, "authorities", json_authorities(ca, cluster->name),
                             "warnings", json_warnings(cluster));
    return json_document_text(cluster, rest, ret_text, f);
}

static json_t *json_token_uses(const struct token_record *record)
{
    json_t *list = json_array();
    for (size_t i = 0; i < record->uses_count; i++)
        json_list_add(&list, json_pack("{ss so}", "profile", record->uses[i].profile, "serial",
                                       json_hex(SPAN_OF(record->uses[i].serial))));
    return list;
}

json_t *json_token(const struct token_record *record, int64_t now)
{
    return json_pack("{so ss ss ss so so ss so}", "id", json_hex(SPAN_OF(record->id)), "cluster", record->cluster,
                     "node", record->node, "state", token_state(record, now), "created_at",
                     json_time(record->created_at), "expires_at", json_time(record->expires_at), "created_by",
                     record->created_by, "uses", json_token_uses(record));
}

/* ---- certificates ----
 *
 * As text: see ca/base/json_text.h. */

static void member_words(struct bytes *out, const char *name, const char *const *words, unsigned bits)
{
    member_begin(out, name);
    bytes_append_text(out, "[");
    for (unsigned i = 0; words[i]; i++)
        if (bits & (1u << i))
            element_string(out, words[i]);
    bytes_append_text(out, "]");
}

static void member_dns(struct bytes *out, const struct alternative_names *names)
{
    member_begin(out, "dns");
    bytes_append_text(out, "[");
    for (size_t i = 0; i < names->dns_count; i++)
        element_string(out, names->dns[i]);
    bytes_append_text(out, "]");
}

static void member_addresses(struct bytes *out, const struct alternative_names *names)
{
    member_begin(out, "addresses");
    bytes_append_text(out, "[");
    for (size_t i = 0; i < names->addresses_count; i++) {
        char text[ADDRESS_TEXT_SIZE];
        address_text(&names->addresses[i], text);
        element_string(out, text);
    }
    bytes_append_text(out, "]");
}

/* What a certificate holds: the same members in a decision and in a certificate. */
static void content_members(struct bytes *out, const struct certificate_content *content)
{
    char subject[512];
    distinguished_name_text(&content->subject, subject, sizeof subject);
    member_string(out, "subject", subject);
    member_dns(out, &content->names);
    member_addresses(out, &content->names);
    member_words(out, "key_usage", usage_words, content->key_usage);
    member_words(out, "extended_key_usage", extended_usage_words, content->extended_key_usage);
    member_time(out, "not_before", content->not_before);
    member_time(out, "not_after", content->not_after);
}

enum err json_decision_text(const struct decision *decision, struct bytes *ret_text, struct fault *f)
{
    struct bytes text = {0};
    bytes_append_text(&text, "{\"decision\":{");
    member_string(&text, "profile", decision->profile->name);
    member_string(&text, "authority", decision->authority);
    member_string(&text, "cluster", decision->cluster);
    member_string_or_null(&text, "node", decision->node);
    member_string_or_null(&text, "identity", decision->identity);
    content_members(&text, &decision->content);
    bytes_append_text(&text, "}}");
    return bytes_give(&text, ret_text, f);
}

static void record_members(struct bytes *out, const struct certificate_record *record,
                           const struct certificate_content *content, int64_t now)
{
    uint8_t sha256[SHA256_SIZE];
    crypto_hash_sha256(sha256, record->certificate.data, record->certificate.size);
    member_hex(out, "serial", SPAN_OF(record->serial));
    member_string(out, "cluster", record->cluster);
    member_string(out, "authority", record->authority);
    member_string_or_null(out, "node", record->node);
    member_string(out, "profile", record->profile);
    member_string_or_null(out, "identity", record->identity);
    member_string_or_null(out, "role", requester_word(record->role));
    content_members(out, content);
    member_string(out, "state", certificate_record_state(record, now));
    member_time(out, "issued_at", record->issued_at);
    member_string(out, "requested_by", record->requested_by);
    member_hex(out, "spki_sha256", SPAN_OF(record->spki_sha256));
    member_hex(out, "sha256", SPAN_OF(sha256));
    member_integer(out, "log_sequence", (int64_t)record->log_sequence);
}

/* The service's CA issues the identities of the nodes of all clusters. */
static const char *issuing_cluster(const struct certificate_record *record)
{
    return strcmp(record->authority, AUTHORITY_SERVICE) == 0 ? CLUSTER_SERVICE : record->cluster;
}

static enum err content_read(const struct certificate_record *record, struct certificate *ret_certificate,
                             struct fault *f)
{
    if (certificate_parse(bytes_span(&record->certificate), ret_certificate, f) == OK)
        return OK;
    char why[sizeof f->text];
    fault_line(f, why, sizeof why);
    fault_clear(f);
    return fault_set(f, CODE_DAMAGED, "a stored certificate does not parse: %s", why);
}

static enum err certificate_element(const struct certificate_record *record, int64_t now, struct bytes *text,
                                    struct fault *f)
{
    AUTO(certificate) certificate = {0};
    TRY(content_read(record, &certificate, f));
    element_begin(text);
    bytes_append_text(text, "{");
    record_members(text, record, &certificate.body.content, now);
    if (certificate.body.has_authority_key_identifier)
        member_hex(text, "authority_key_identifier", SPAN_OF(certificate.body.authority_key_identifier));
    else
        member_string_or_null(text, "authority_key_identifier", NULL);
    bytes_append_text(text, "}");
    return OK;
}

enum err json_certificates_text(struct ca *ca, const struct certificate_record *records, size_t count,
                                struct span cursor, struct bytes *ret_text, struct fault *f)
{
    AUTO(bytes) text = {0}, next = {0};
    bytes_append_text(&text, "{\"items\":[");
    for (size_t i = 0; i < count; i++)
        TRY(certificate_element(&records[i], ca_now(ca), &text, f));
    bytes_append_text(&text, "]");
    base64url_append(&next, cursor);
    TRY(bytes_check(&next, f));
    member_string_or_null(&text, "next_cursor", bytes_text(&next));
    bytes_append_text(&text, "}");
    return bytes_give(&text, ret_text, f);
}

/* Nothing in a PEM needs an escape but the ends of its lines. */
static void pem_member(struct bytes *text, const char *name, struct span pem)
{
    member_begin(text, name);
    bytes_append(text, "\"", 1);
    while (pem.size > 0) {
        const uint8_t *end = memchr(pem.data, '\n', pem.size);
        size_t line = end ? (size_t)(end - pem.data) : pem.size;
        bytes_append(text, pem.data, line);
        bytes_append(text, "\\n", end ? 2 : 0);
        line += end ? 1 : 0;
        pem = span(pem.data + line, pem.size - line);
    }
    bytes_append(text, "\"", 1);
}

/* The certificate, its chain (it and the CA that issued it), and all CAs of that name. */
static enum err pem_members(struct ca *ca, const struct certificate_record *record, struct bytes *text, struct fault *f)
{
    const char *cluster = issuing_cluster(record);
    const struct authority *issuer = authorities_find(ca->authorities, cluster, record->authority);
    if (!issuer)
        return fault_set(f, CODE_DAMAGED, "the CA \"%s\" of cluster \"%s\" is not in the database", record->authority,
                         cluster);
    AUTO(bytes) bundle = {0}, chain = {0};
    TRY(authorities_bundle(ca->authorities, cluster, record->authority, &bundle, f));
    pem_append(&chain, "CERTIFICATE", bytes_span(&record->certificate));
    size_t leaf_size = chain.size;
    bytes_append_span(&chain, bytes_span(&issuer->pem));
    TRY(bytes_check(&chain, f));
    pem_member(text, "certificate", span(chain.data, leaf_size));
    pem_member(text, "chain", bytes_span(&chain));
    pem_member(text, "bundle", bytes_span(&bundle));
    return OK;
}

enum err json_certificate_text(struct ca *ca, const struct certificate_record *record,
                               const struct certificate_content *content, struct bytes *ret_text, struct fault *f)
{
    AUTO(certificate) certificate = {0};
    AUTO(bytes) text = {0};
    if (!content)
        TRY(content_read(record, &certificate, f));
    bytes_append_text(&text, "{");
    record_members(&text, record, content ? content : &certificate.body.content, ca_now(ca));
    TRY(pem_members(ca, record, &text, f));
    bytes_append_text(&text, "}");
    return bytes_give(&text, ret_text, f);
}
