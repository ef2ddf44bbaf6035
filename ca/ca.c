#include "ca/ca.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ca/clusters.h"
#include "ca/crl.h"
#include "ca/meta.h"
#include "ca/revocation.h"
#include "ca/rotation.h"

/* The service's own CA lives longer than any cluster's: replacing it means visiting every node. */
static const int64_t service_authority_lifetime_seconds = 20LL * 366 * 86400;

int64_t ca_now(const struct ca *ca)
{
    return clock_read(ca->clock).now;
}

const char *requester_word(enum requester kind)
{
    static const struct {
        enum requester kind;
        const char *word;
    } words[] = {
        {REQUESTER_TOKEN, "token"}, {REQUESTER_NODE, "node"},       {REQUESTER_OPERATOR, "operator"},
        {REQUESTER_ADMIN, "admin"}, {REQUESTER_AUDITOR, "auditor"}, {REQUESTER_SERVICE, "service"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        if (words[i].kind == kind)
            return words[i].word;
    return NULL;
}

void caller_text(const struct caller *caller, char *ret_text, size_t size)
{
    const char *word = requester_word(caller->kind);
    snprintf(ret_text, size, "%s %s", word ? word : "nobody", caller->name);
}

/* ---- creation ---- */

static enum err put(struct write *write, struct bytes *key, struct bytes *row, struct fault *f)
{
    TRY(bytes_check(key, f));
    TRY(bytes_check(row, f));
    *write = (struct write){bytes_span(key), bytes_span(row), false};
    return OK;
}

/* The first rows, in one commit. */
static enum err rows_create(struct store *store, const struct service_record *service,
                            const struct authority_record *authority, const struct crl_record *crl,
                            const struct clock_state *clock, struct fault *f)
{
    AUTO(bytes) schema_key = {0};
    AUTO(bytes) schema = {0};
    AUTO(bytes) service_key = {0};
    AUTO(bytes) service_row = {0};
    AUTO(bytes) authority_key = {0};
    AUTO(bytes) authority_row = {0};
    AUTO(bytes) crl_key = {0};
    AUTO(bytes) crl_row = {0};
    AUTO(bytes) clock_key = {0};
    AUTO(bytes) clock_row = {0};
    key_meta("schema", &schema_key);
    pack_u32(&schema, RECORD_SCHEMA);
    key_meta("service", &service_key);
    service_record_pack(service, &service_row);
    key_authority(authority->cluster, authority->name, authority->generation, &authority_key);
    authority_record_pack(authority, &authority_row);
    key_crl(crl->cluster, crl->authority, &crl_key);
    crl_record_pack(crl, &crl_row);
    key_meta("clock", &clock_key);
    clock_state_pack(clock, &clock_row);
    struct write writes[5];
    TRY(put(&writes[0], &schema_key, &schema, f));
    TRY(put(&writes[1], &service_key, &service_row, f));
    TRY(put(&writes[2], &authority_key, &authority_row, f));
    TRY(put(&writes[3], &clock_key, &clock_row, f));
    TRY(put(&writes[4], &crl_key, &crl_row, f));
    struct expectation absent = {bytes_span(&schema_key), 0};
    return store_commit(store, &absent, 1, writes, ARRAY_SIZE(writes), f);
}

static void store_auto(struct store **store)
{
    store_close(*store);
}

enum err ca_create(const char *path, struct signer *signer, const struct alternative_names *names, const char *origin,
                   struct fault *f)
{
    struct clock_sample now;
    uint8_t boot_id[BOOT_ID_SIZE];
    clock_sample(&now);
    clock_boot_id(boot_id);
    struct clock_state clock = clock_state_from(&now, boot_id);
    AUTO(service_record) service = {.created_at = now.wall_seconds};
    AUTO(authority_record) record = {0};
    AUTO(crl_record) crl = {0};
    CLEANUP(authority_auto) struct authority *authority = NULL;
    snprintf(service.origin, sizeof service.origin, "%s", origin);
    TRY(alternative_names_copy(names, &service.names, f));
    TRY(signer_make_log(signer, origin, &service.log_blob, service.log_public_key, f));
    TRY(authority_make(signer, CLUSTER_SERVICE, AUTHORITY_SERVICE, KEY_ECDSA_P256, service_authority_lifetime_seconds,
                       service.created_at, &record, f));
    TRY(authority_new(&record, &authority, f));
    TRY(crl_first(signer, authority, service.created_at, &crl, f));
    CLEANUP(store_auto) struct store *store = NULL;
    TRY(store_lmdb_open(path, true, &store, f));
    return rows_create(store, &service, &authority->record, &crl, &clock, f);
}

/* ---- opening ---- */

static enum err row_load(struct store *store, const char *name, struct bytes *ret_row, struct fault *f)
{
    TRY(meta_get(store, name, ret_row, f));
    if (ret_row->size == 0)
        return fault_set(f, CODE_DAMAGED, "the database has no row \"%s\": it was not made by `ensignd init`", name);
    return OK;
}

static enum err schema_check(struct store *store, struct fault *f)
{
    AUTO(bytes) row = {0};
    TRY(row_load(store, "schema", &row, f));
    struct unpack in = unpack_begin(bytes_span(&row));
    uint32_t schema = unpack_u32(&in);
    TRY(unpack_finish(&in, "the schema version", f));
    if (schema > RECORD_SCHEMA)
        return fault_set(f, CODE_DAMAGED,
                         "the database has schema %u and this ensignd reads up to %u: install a newer ensignd", schema,
                         (unsigned)RECORD_SCHEMA);
    return OK;
}

enum err ca_store_open(const char *path, struct store **ret_store, struct fault *f)
{
    CLEANUP(store_auto) struct store *store = NULL;
    TRY(store_lmdb_open(path, false, &store, f));
    TRY(schema_check(store, f));
    *ret_store = TAKE(store);
    return OK;
}

static void change_observe(void *context, const struct change *change)
{
    struct ca *ca = context;
    index_observe(ca->index, change);
    news_observe(ca->news, change);
}

static enum err parts_open(struct ca *ca, const char *path, const struct clock_basis *basis, struct fault *f)
{
    AUTO(bytes) row = {0};
    TRY(profiles_shipped(&ca->profiles, f));
    TRY(ca_store_open(path, &ca->store, f));
    TRY(row_load(ca->store, "service", &row, f));
    TRY(service_record_unpack(bytes_span(&row), &ca->service, f));
    TRY(clock_open(ca->store, basis, &ca->clock, f));
    ca->opened_at = ca_now(ca);
    TRY(heartbeats_new(&ca->heartbeats, f));
    TRY(restore_open(ca->store, &ca->restore, f));
    TRY(authorities_load(ca->store, &ca->authorities, f));
    TRY(clusters_load(ca->store, &ca->clusters, f));
    TRY(key_claims_new(ca->store, &ca->claims, f));
    TRY(revocations_load(ca->store, &ca->revocations, f));
    TRY(index_open(ca->store, ca->claims, &ca->index, f));
    TRY(rotations_load(ca->store, &ca->rotations, f));
    TRY(news_new(&ca->news, f));
    TRY(ledger_open(ca->store, ca->signer, ca->clock, change_observe, ca, &ca->ledger, f));
    return index_start(ca->index, f);
}

static void ca_auto(struct ca **ca)
{
    ca_close(*ca);
}

enum err ca_open(const char *path, struct signer *signer, const struct clock_basis *basis, struct ca **ret_ca,
                 struct fault *f)
{
    CLEANUP(ca_auto) struct ca *ca = calloc(1, sizeof *ca);
    if (!ca)
        return fault_no_memory(f);
    ca->signer = signer;
    pthread_mutex_init(&ca->checkpoint.lock, NULL);
    pthread_mutex_init(&ca->crl_lock, NULL);
    for (size_t i = 0; i < IDEMPOTENCY_LOCKS; i++)
        pthread_mutex_init(&ca->idempotency_locks[i], NULL);
    sem_init(&ca->crypto, 0, (unsigned)(2 * sysconf(_SC_NPROCESSORS_ONLN)));
    TRY(parts_open(ca, path, basis, f));
    *ret_ca = TAKE(ca);
    return OK;
}

void ca_close(struct ca *ca)
{
    if (!ca)
        return;
    ledger_close(ca->ledger);
    index_close(ca->index);
    news_free(ca->news);
    rotations_free(ca->rotations);
    key_claims_free(ca->claims);
    heartbeats_free(ca->heartbeats);
    revocations_free(ca->revocations);
    restore_close(ca->restore);
    clock_close(ca->clock);
    clusters_free(ca->clusters);
    authorities_free(ca->authorities);
    service_record_cleanup(&ca->service);
    store_close(ca->store);
    profiles_cleanup(&ca->profiles);
    bytes_free(&ca->checkpoint.note);
    pthread_mutex_destroy(&ca->checkpoint.lock);
    pthread_mutex_destroy(&ca->crl_lock);
    for (size_t i = 0; i < IDEMPOTENCY_LOCKS; i++)
        pthread_mutex_destroy(&ca->idempotency_locks[i]);
    blocklist_cleanup(&ca->blocked_keys);
    sem_destroy(&ca->crypto);
    free(ca);
}
