#include "ca/adopt.h"

#include <sodium.h>
#include <string.h>

#include "ca/x509/foreign.h"
#include "policies/catalogue.h"

const struct imported_authority *adoption_find(const struct adoption *adoption, const char *name)
{
    for (size_t i = 0; adoption && i < adoption->authorities_count; i++)
        if (strcmp(adoption->authorities[i].name, name) == 0)
            return &adoption->authorities[i];
    return NULL;
}

/* ---- is it one for this cluster? ---- */

/* Every certificate that the cluster is to have from this CA. */
static enum err names_check(struct ca *ca, const struct cluster *cluster, const char *name,
                            const struct certificate *certificate, struct fault *f)
{
    if (!foreign_constrained(certificate))
        return OK;
    AUTO(catalogue) catalogue = {0};
    TRY(catalogue_make(cluster, &ca->profiles, &catalogue, f));
    for (size_t i = 0; i < catalogue.count; i++) {
        const struct catalogue_item *item = &catalogue.items[i];
        struct fault why = {0};
        if (!item->profile || strcmp(item->authority, name) != 0)
            continue;
        enum err err = foreign_names_check(certificate, &item->content, &why);
        if (err == ERR_INPUT)
            fault_reason(f, "/nameConstraints", "they exclude the %s certificate of %s", item->name, item->node->name);
        else if (err != OK) {
            *f = why;
            return err;
        }
    }
    return fault_if_reasons(f, CODE_INVALID,
                            "its name constraints (RFC 5280 §4.2.1.10) exclude names of the cluster: they cannot be "
                            "changed, so correct the cluster file or make another CA");
}

struct key_search {
    const char *cluster;
    const uint8_t *spki_sha256;
    bool found;
};

static bool key_visit(void *context, const struct authority *authority)
{
    struct key_search *search = context;
    search->found = strcmp(authority->record.cluster, search->cluster) != 0 &&
                    memcmp(authority->certificate.public_key.spki_sha256, search->spki_sha256, SHA256_SIZE) == 0;
    return !search->found;
}

/* One cluster's certificates must be worth nothing in another. */
static enum err key_check(struct ca *ca, const char *cluster, const struct certificate *certificate, struct fault *f)
{
    struct key_search search = {cluster, certificate->public_key.spki_sha256, false};
    authorities_each(ca->authorities, key_visit, &search);
    return search.found ? fault_set(f, CODE_CONFLICT, "its key is that of a CA of another cluster") : OK;
}

static enum err adopt_checked(struct ca *ca, const struct cluster *cluster, const struct imported_authority *imported,
                              uint32_t generation, int64_t now, struct authority_record *ret_record, struct fault *f)
{
    AUTO(certificate) certificate = {0};
    TRY(certificate_parse_authority(imported->certificate, &certificate, f));
    TRY(names_check(ca, cluster, imported->name, &certificate, f));
    TRY(key_check(ca, cluster->name, &certificate, f));
    return authority_make_imported(ca->signer, cluster->name, imported, generation, now, ret_record, f);
}

enum err adopt_authority(struct ca *ca, const struct cluster *cluster, const struct imported_authority *imported,
                         uint32_t generation, int64_t now, struct authority_record *ret_record, struct fault *f)
{
    if (adopt_checked(ca, cluster, imported, generation, now, ret_record, f) == OK)
        return OK;
    char text[sizeof f->text];
    memcpy(text, f->text, sizeof text);
    return fault_set(f, f->code, "CA \"%s\": %.400s", imported->name, text);
}

struct certificate_search {
    const char *cluster;
    const struct imported_authority *imported;
    const struct authority *found;
};

static bool certificate_visit(void *context, const struct authority *authority)
{
    struct certificate_search *search = context;
    if (strcmp(authority->record.cluster, search->cluster) == 0 &&
        strcmp(authority->record.name, search->imported->name) == 0 &&
        span_equal(bytes_span(&authority->record.certificate), search->imported->certificate))
        search->found = authority;
    return !search->found;
}

static const struct authority *authority_same(struct ca *ca, const char *cluster,
                                              const struct imported_authority *imported)
{
    struct certificate_search search = {cluster, imported, NULL};
    authorities_each(ca->authorities, certificate_visit, &search);
    return search.found;
}

bool adopted_already(struct ca *ca, const char *cluster, const struct imported_authority *imported)
{
    return authority_same(ca, cluster, imported) != NULL;
}

/* ---- events ---- */

void adoption_event(const struct adoption *adoption, struct bytes *event)
{
    member_begin(event, "imported");
    bytes_append_text(event, "[");
    for (size_t i = 0; i < adoption->authorities_count; i++)
        element_string(event, adoption->authorities[i].name);
    bytes_append_text(event, "]");
    member_begin(event, "certificates");
    bytes_append_text(event, "[");
    for (size_t i = 0; i < adoption->certificates_count; i++) {
        const struct found_certificate *found = &adoption->certificates[i];
        element_begin(event);
        bytes_append_text(event, "{");
        member_string(event, "file", found->file);
        member_string(event, "serial", found->serial);
        member_string_or_null(event, "authority", found->authority);
        member_hex(event, "sha256", SPAN_OF(found->sha256));
        bytes_append_text(event, "}");
    }
    bytes_append_text(event, "]");
}

static void authority_event(const char *event, const struct caller *caller, const struct authority_record *record,
                            struct change *change)
{
    char actor[DNS_NAME_MAX + 32];
    uint8_t hash[SHA256_SIZE];
    caller_text(caller, actor, sizeof actor);
    event_begin(&change->event, event, actor);
    member_string(&change->event, "cluster", record->cluster);
    member_string(&change->event, "authority", record->name);
    member_integer(&change->event, "generation", record->generation);
    crypto_hash_sha256(hash, record->certificate.data, record->certificate.size);
    member_hex(&change->event, "ca_sha256", SPAN_OF(hash));
}

/* ---- another generation of a CA ---- */

static enum err generation_commit(struct ca *ca, const struct caller *caller, const char *event,
                                  struct authority_record *take_record, const struct authority **ret_authority,
                                  struct fault *f)
{
    CLEANUP(authority_auto) struct authority *authority = NULL;
    AUTO(change) change = {0};
    AUTO(bytes) key = {0}, expected = {0}, row = {0};
    key_authority(take_record->cluster, take_record->name, take_record->generation, &key);
    key_authority(take_record->cluster, take_record->name, take_record->generation, &expected);
    authority_record_pack(take_record, &row);
    change_expect(&change, &expected, 0);
    change_put(&change, &key, &row);
    authority_event(event, caller, take_record, &change);
    TRY(authority_new(take_record, &authority, f));
    TRY(ledger_commit(ca->ledger, &change, f));
    const struct authority *added = authority;
    TRY(authorities_add(ca->authorities, &authority, f));
    news_ring(ca->news, added->record.cluster, NULL);
    *ret_authority = added;
    return OK;
}

static enum err authority_current(struct ca *ca, const char *cluster, const char *name,
                                  const struct authority **ret_authority, struct fault *f)
{
    *ret_authority = authorities_find(ca->authorities, cluster, name);
    return *ret_authority ? OK : fault_set(f, CODE_NOT_FOUND, "cluster \"%.64s\" has no CA \"%.64s\"", cluster, name);
}

static bool found_visit(void *context, const struct certificate_record *record)
{
    (void)record;
    *(bool *)context = true;
    return false;
}

/* Whether a certificate of this profile was ever issued in the cluster. */
static enum err profile_used(struct ca *ca, const char *cluster, const char *profile, bool *ret_used, struct fault *f)
{
    const struct certificate_query query = {.cluster = cluster, .profile = profile, .now = ca_now(ca)};
    *ret_used = false;
    return index_each(ca->index, &query, found_visit, ret_used, f);
}

static enum err unused_check(struct ca *ca, const char *cluster, const char *name, struct fault *f)
{
    bool used = false;
    for (size_t i = 0; i < ca->profiles.count && !used; i++)
        if (strcmp(ca->profiles.items[i].issuer, name) == 0)
            TRY(profile_used(ca, cluster, ca->profiles.items[i].name, &used, f));
    if (used)
        return fault_set(f, CODE_CONFLICT,
                         "the CA \"%s\" of cluster \"%s\" has issued certificates, which would not be trusted under "
                         "another one: adopt the CAs when the cluster is created",
                         name, cluster);
    return OK;
}

enum err authority_import(struct ca *ca, const struct caller *caller, const char *cluster,
                          const struct imported_authority *imported, bool *ret_created,
                          const struct authority **ret_authority, struct fault *f)
{
    CLEANUP(cluster_release) const struct cluster *found = NULL;
    const struct authority *current = NULL;
    struct moment now;
    TRY(cluster_find(ca, cluster, &found, f));
    TRY(authority_current(ca, cluster, imported->name, &current, f));
    *ret_created = false;
    *ret_authority = authority_same(ca, cluster, imported);
    if (*ret_authority)
        return OK;
    TRY(unused_check(ca, cluster, imported->name, f));
    TRY(clock_require(ca->clock, &now, f));
    TRY(restore_require(ca->restore, f));
    AUTO(authority_record) record = {0};
    TRY(adopt_authority(ca, found, imported, current->record.generation + 1, now.seconds, &record, f));
    TRY(generation_commit(ca, caller, "authority.imported", &record, ret_authority, f));
    *ret_created = true;
    return OK;
}

enum err authority_reissue(struct ca *ca, const struct caller *caller, const char *cluster, const char *name,
                           bool *ret_created, const struct authority **ret_authority, struct fault *f)
{
    const struct authority *current = NULL;
    struct moment now;
    TRY(authority_current(ca, cluster, name, &current, f));
    *ret_created = false;
    *ret_authority = current;
    if (current->certificate.body.content.key_usage & USAGE_CRL_SIGN)
        return OK;
    TRY(clock_require(ca->clock, &now, f));
    TRY(restore_require(ca->restore, f));
    if (now.seconds > current->certificate.body.content.not_after)
        return fault_set(f, CODE_CONFLICT, "the CA \"%s\" has expired, and its end does not change", name);
    AUTO(authority_record) record = {0};
    TRY(authority_make_again(ca->signer, current, now.seconds, &record, f));
    TRY(generation_commit(ca, caller, "authority.reissued", &record, ret_authority, f));
    *ret_created = true;
    return OK;
}
