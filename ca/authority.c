#include "ca/authority.h"

#include <pthread.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "ca/base/encode.h"
#include "hsm/signer_message.h"

struct authorities {
    pthread_rwlock_t lock;
    struct authority **items; /* each allocated on its own, so that pointers to it stay good */
    size_t count, capacity;
    void *keys; /* tsearch() of the hashes of their public keys, borrowed from the items */
};

/* What the CAs of each name are for. The longest leaf lifetime is two years: no shipped profile comes near it, and a
 * server that is broken into cannot have more signed. */
static const struct purpose {
    const char *name;
    const char *common_name;
    unsigned extended_key_usage;
} purposes[] = {
    {"etcd-ca", "etcd-ca", EXTENDED_SERVER_AUTH | EXTENDED_CLIENT_AUTH},
    {"kubernetes", "kubernetes", EXTENDED_SERVER_AUTH | EXTENDED_CLIENT_AUTH},
    {"front-proxy-ca", "front-proxy-ca", EXTENDED_CLIENT_AUTH},
    {AUTHORITY_SERVICE, "ensign-service-ca", EXTENDED_SERVER_AUTH | EXTENDED_CLIENT_AUTH},
};
static const int64_t leaf_lifetime_max_seconds = 2LL * 366 * 86400;
static const int64_t backdate_seconds = 300;

static enum err purpose_find(const char *name, const struct purpose **ret_purpose, struct fault *f)
{
    for (size_t i = 0; i < ARRAY_SIZE(purposes); i++)
        if (strcmp(purposes[i].name, name) == 0) {
            *ret_purpose = &purposes[i];
            return OK;
        }
    return fault_set(f, CODE_INTERNAL, "no CA has the name \"%.64s\"", name);
}

enum err authority_make(struct signer *signer, const char *cluster, const char *name, enum key_algorithm algorithm,
                        int64_t lifetime_seconds, int64_t now, struct authority_record *ret_record, struct fault *f)
{
    const struct purpose *purpose = NULL;
    TRY(purpose_find(name, &purpose, f));
    AUTO(certificate_content)
    content = {.authority = true,
               .key_usage = USAGE_DIGITAL_SIGNATURE | USAGE_KEY_CERT_SIGN | USAGE_CRL_SIGN,
               .not_before = now - backdate_seconds,
               .not_after = now + lifetime_seconds};
    strcpy(content.subject.common_name, purpose->common_name);
    TRY(alternative_names_add_dns(&content.names, purpose->common_name, f));
    struct grant grant = {.kind = GRANT_AUTHORITY,
                          .extended_key_usage = purpose->extended_key_usage,
                          .lifetime_max_seconds = leaf_lifetime_max_seconds};
    uint8_t serial[SERIAL_SIZE];
    serial_make(now, 0, serial);
    AUTO(authority_record) record = {.generation = 1, .created_at = now};
    strcpy(record.cluster, cluster);
    strcpy(record.name, name);
    TRY(signer_make_authority(signer, algorithm, &content, &grant, serial, &record.blob, &record.certificate, f));
    *ret_record = record;
    record = (struct authority_record){0};
    return OK;
}

enum err authority_make_imported(struct signer *signer, const char *cluster, const struct imported_authority *imported,
                                 uint32_t generation, int64_t now, struct authority_record *ret_record, struct fault *f)
{
    const struct purpose *purpose = NULL;
    TRY(purpose_find(imported->name, &purpose, f));
    const struct import_request request = {.certificate = imported->certificate,
                                           .box = imported->box,
                                           .extended_key_usage = purpose->extended_key_usage,
                                           .lifetime_max_seconds = leaf_lifetime_max_seconds,
                                           .now = now};
    AUTO(authority_record) record = {.generation = generation, .created_at = now};
    strcpy(record.cluster, cluster);
    strcpy(record.name, purpose->name);
    TRY(bytes_copy(imported->certificate, &record.certificate, f));
    TRY(signer_import_authority(signer, &request, &record.blob, f));
    *ret_record = record;
    record = (struct authority_record){0};
    return OK;
}

enum err authority_make_again(struct signer *signer, const struct authority *authority, int64_t now,
                              struct authority_record *ret_record, struct fault *f)
{
    uint8_t serial[SERIAL_SIZE];
    serial_make(now, 0, serial);
    AUTO(authority_record) record = {.generation = authority->record.generation + 1, .created_at = now};
    strcpy(record.cluster, authority->record.cluster);
    strcpy(record.name, authority->record.name);
    TRY(bytes_copy(bytes_span(&authority->record.blob), &record.blob, f));
    TRY(signer_reissue_authority(signer, bytes_span(&record.blob), serial, now - backdate_seconds, &record.certificate,
                                 f));
    *ret_record = record;
    record = (struct authority_record){0};
    return OK;
}

void authority_free(struct authority *authority)
{
    if (!authority)
        return;
    authority_record_cleanup(&authority->record);
    certificate_cleanup(&authority->certificate);
    bytes_free(&authority->pem);
    free(authority);
}

void authority_auto(struct authority **authority)
{
    authority_free(*authority);
}

enum err authority_new(struct authority_record *take_record, struct authority **ret_authority, struct fault *f)
{
    CLEANUP(authority_auto) struct authority *authority = calloc(1, sizeof *authority);
    if (!authority)
        return fault_no_memory(f);
    authority->record = *take_record;
    *take_record = (struct authority_record){0};
    TRY(certificate_parse_authority(bytes_span(&authority->record.certificate), &authority->certificate, f));
    authority->issuer.name = authority->certificate.body.subject_name;
    authority->issuer.algorithm = authority->certificate.public_key.algorithm;
    memcpy(authority->issuer.key_identifier, authority->certificate.body.subject_key_identifier, KEY_IDENTIFIER_SIZE);
    pem_append(&authority->pem, "CERTIFICATE", bytes_span(&authority->record.certificate));
    TRY(bytes_check(&authority->pem, f));
    *ret_authority = TAKE(authority);
    return OK;
}

/* The items are in order of cluster, name and generation. */
static int authority_compare(const struct authority *authority, const char *cluster, const char *name,
                             uint32_t generation)
{
    int order = strcmp(authority->record.cluster, cluster);
    if (order == 0)
        order = strcmp(authority->record.name, name);
    if (order == 0)
        order = (authority->record.generation > generation) - (authority->record.generation < generation);
    return order;
}

/* The first item that is not before the given one. */
static size_t authorities_position(const struct authorities *authorities, const char *cluster, const char *name,
                                   uint32_t generation)
{
    size_t low = 0, high = authorities->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (authority_compare(authorities->items[middle], cluster, name, generation) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int key_compare(const void *a, const void *b)
{
    return memcmp(a, b, SHA256_SIZE);
}

static void key_keep(void *key)
{
    (void)key; /* the tree borrows its keys */
}

static enum err authorities_insert(struct authorities *authorities, struct authority *authority, struct fault *f)
{
    if (authorities->count == authorities->capacity) {
        size_t capacity = authorities->capacity * 2 + 8;
        struct authority **items = realloc(authorities->items, capacity * sizeof(struct authority *));
        if (!items)
            return fault_no_memory(f);
        authorities->items = items;
        authorities->capacity = capacity;
    }
    if (!tsearch(authority->certificate.public_key.spki_sha256, &authorities->keys, key_compare))
        return fault_no_memory(f);
    const struct authority_record *record = &authority->record;
    size_t at = authorities_position(authorities, record->cluster, record->name, record->generation);
    memmove(authorities->items + at + 1, authorities->items + at,
            (authorities->count - at) * sizeof(struct authority *));
    authorities->items[at] = authority;
    authorities->count++;
    return OK;
}

enum err authorities_add(struct authorities *authorities, struct authority **take_authority, struct fault *f)
{
    pthread_rwlock_wrlock(&authorities->lock);
    enum err err = authorities_insert(authorities, *take_authority, f);
    pthread_rwlock_unlock(&authorities->lock);
    if (err == OK)
        *take_authority = NULL;
    return err;
}

struct load {
    struct authorities *authorities;
    struct fault *f;
    enum err err;
};

static bool load_row(void *context, struct span key, struct span value)
{
    (void)key;
    struct load *load = context;
    AUTO(authority_record) record = {0};
    CLEANUP(authority_auto) struct authority *authority = NULL;
    load->err = authority_record_unpack(value, &record, load->f);
    if (load->err == OK)
        load->err = authority_new(&record, &authority, load->f);
    if (load->err == OK)
        load->err = authorities_add(load->authorities, &authority, load->f);
    return load->err == OK;
}

static void authorities_auto(struct authorities **authorities)
{
    authorities_free(*authorities);
}

enum err authorities_load(struct store *store, struct authorities **ret_authorities, struct fault *f)
{
    CLEANUP(authorities_auto) struct authorities *authorities = calloc(1, sizeof *authorities);
    if (!authorities)
        return fault_no_memory(f);
    pthread_rwlock_init(&authorities->lock, NULL);
    AUTO(bytes) from = {0};
    AUTO(bytes) to = {0};
    key_prefix('a', &from);
    key_prefix_end('a', &to);
    struct load load = {authorities, f, OK};
    TRY(store_scan(store, bytes_span(&from), bytes_span(&to), false, load_row, &load, f));
    TRY(load.err);
    *ret_authorities = TAKE(authorities);
    return OK;
}

void authorities_free(struct authorities *authorities)
{
    if (!authorities)
        return;
    tdestroy(authorities->keys, key_keep);
    for (size_t i = 0; i < authorities->count; i++)
        authority_free(authorities->items[i]);
    free(authorities->items);
    pthread_rwlock_destroy(&authorities->lock);
    free(authorities);
}

/* The items of one CA are [*ret_from, return value). Under the lock. */
static size_t authorities_range(const struct authorities *authorities, const char *cluster, const char *name,
                                size_t *ret_from)
{
    *ret_from = authorities_position(authorities, cluster, name, 0);
    return authorities_position(authorities, cluster, name, UINT32_MAX);
}

const struct authority *authorities_find(struct authorities *authorities, const char *cluster, const char *name)
{
    pthread_rwlock_rdlock(&authorities->lock);
    size_t from;
    size_t to = authorities_range(authorities, cluster, name, &from);
    const struct authority *found = to > from ? authorities->items[to - 1] : NULL;
    pthread_rwlock_unlock(&authorities->lock);
    return found;
}

bool authorities_has_key(struct authorities *authorities, const uint8_t spki_sha256[SHA256_SIZE])
{
    pthread_rwlock_rdlock(&authorities->lock);
    bool found = tfind(spki_sha256, &authorities->keys, key_compare) != NULL;
    pthread_rwlock_unlock(&authorities->lock);
    return found;
}

void authorities_each(struct authorities *authorities, bool (*visit)(void *context, const struct authority *authority),
                      void *context)
{
    pthread_rwlock_rdlock(&authorities->lock);
    for (size_t i = 0; i < authorities->count && visit(context, authorities->items[i]); i++)
        ;
    pthread_rwlock_unlock(&authorities->lock);
}

enum err authorities_bundle(struct authorities *authorities, const char *cluster, const char *name,
                            struct bytes *ret_pem, struct fault *f)
{
    AUTO(bytes) pem = {0};
    pthread_rwlock_rdlock(&authorities->lock);
    size_t from;
    for (size_t i = authorities_range(authorities, cluster, name, &from); i-- > from;)
        bytes_append_span(&pem, bytes_span(&authorities->items[i]->pem));
    pthread_rwlock_unlock(&authorities->lock);
    TRY(bytes_check(&pem, f));
    if (pem.size == 0)
        return fault_set(f, CODE_NOT_FOUND, "cluster \"%s\" has no CA \"%s\"", cluster, name);
    *ret_pem = pem;
    pem = (struct bytes){0};
    return OK;
}
