#include "ca/clusters.h"

#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "ca/adopt.h"

struct clusters {
    pthread_rwlock_t lock;
    struct cluster **items; /* in order of name */
    size_t count, capacity;
    pthread_mutex_t creating; /* one creation at a time: it makes keys, and is rare */
};

static void cluster_free(struct cluster *cluster)
{
    if (!cluster)
        return;
    cluster_cleanup(cluster);
    free(cluster);
}

static void cluster_auto(struct cluster **cluster)
{
    cluster_free(*cluster);
}

static enum err cluster_new(const struct document *document, struct cluster **ret_cluster, struct fault *f)
{
    CLEANUP(cluster_auto) struct cluster *cluster = calloc(1, sizeof *cluster);
    if (!cluster)
        return fault_no_memory(f);
    TRY(cluster_read(document, cluster, f));
    *ret_cluster = TAKE(cluster);
    return OK;
}

static size_t clusters_position(const struct clusters *clusters, const char *name)
{
    size_t low = 0, high = clusters->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(clusters->items[middle]->name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Under the lock, or before anybody else knows of `clusters`. */
static enum err clusters_insert(struct clusters *clusters, struct cluster *take_cluster, struct fault *f)
{
    if (clusters->count == clusters->capacity) {
        size_t capacity = clusters->capacity * 2 + 8;
        struct cluster **items = realloc(clusters->items, capacity * sizeof(struct cluster *));
        if (!items) {
            cluster_free(take_cluster);
            return fault_no_memory(f);
        }
        clusters->items = items;
        clusters->capacity = capacity;
    }
    size_t at = clusters_position(clusters, take_cluster->name);
    memmove(clusters->items + at + 1, clusters->items + at, (clusters->count - at) * sizeof(struct cluster *));
    clusters->items[at] = take_cluster;
    clusters->count++;
    return OK;
}

/* ---- loading ---- */

struct load {
    struct clusters *clusters;
    struct fault *f;
    enum err err;
};

static enum err cluster_load(struct clusters *clusters, struct span row, struct fault *f)
{
    AUTO(cluster_record) record = {0};
    TRY(cluster_record_unpack(row, &record, f));
    CLEANUP(document_auto) struct document *document = NULL;
    TRY(document_parse_json(bytes_span(&record.document), &document, f));
    struct cluster *cluster = NULL;
    TRY(cluster_new(document, &cluster, f));
    return clusters_insert(clusters, cluster, f);
}

static bool load_row(void *context, struct span key, struct span value)
{
    (void)key;
    struct load *load = context;
    load->err = cluster_load(load->clusters, value, load->f);
    return load->err == OK;
}

static void clusters_auto(struct clusters **clusters)
{
    clusters_free(*clusters);
}

enum err clusters_load(struct store *store, struct clusters **ret_clusters, struct fault *f)
{
    CLEANUP(clusters_auto) struct clusters *clusters = calloc(1, sizeof *clusters);
    if (!clusters)
        return fault_no_memory(f);
    pthread_rwlock_init(&clusters->lock, NULL);
    pthread_mutex_init(&clusters->creating, NULL);
    AUTO(bytes) from = {0};
    AUTO(bytes) to = {0};
    key_prefix('c', &from);
    key_prefix_end('c', &to);
    struct load load = {clusters, f, OK};
    TRY(store_scan(store, bytes_span(&from), bytes_span(&to), false, load_row, &load, f));
    TRY(load.err);
    *ret_clusters = TAKE(clusters);
    return OK;
}

void clusters_free(struct clusters *clusters)
{
    if (!clusters)
        return;
    for (size_t i = 0; i < clusters->count; i++)
        cluster_free(clusters->items[i]);
    free(clusters->items);
    pthread_mutex_destroy(&clusters->creating);
    pthread_rwlock_destroy(&clusters->lock);
    free(clusters);
}

/* ---- reading ---- */

enum err cluster_find(struct ca *ca, const char *name, const struct cluster **ret_cluster, struct fault *f)
{
    struct clusters *clusters = ca->clusters;
    pthread_rwlock_rdlock(&clusters->lock);
    size_t at = clusters_position(clusters, name);
    const struct cluster *found =
        at < clusters->count && strcmp(clusters->items[at]->name, name) == 0 ? clusters->items[at] : NULL;
    pthread_rwlock_unlock(&clusters->lock);
    if (!found)
        return fault_set(f, CODE_NOT_FOUND, "no cluster \"%.64s\"", name);
    *ret_cluster = found;
    return OK;
}

void cluster_each(struct ca *ca, bool (*visit)(void *context, const struct cluster *cluster), void *context)
{
    struct clusters *clusters = ca->clusters;
    pthread_rwlock_rdlock(&clusters->lock);
    for (size_t i = 0; i < clusters->count && visit(context, clusters->items[i]); i++) {
    }
    pthread_rwlock_unlock(&clusters->lock);
}

/* ---- creation ---- */

enum { AUTHORITIES_OF_CLUSTER = 3 };

struct creation {
    struct authority *authorities[AUTHORITIES_OF_CLUSTER + 1]; /* ended by NULL */
    struct change change;
};

static void creation_cleanup(struct creation *creation)
{
    for (size_t i = 0; i < AUTHORITIES_OF_CLUSTER; i++)
        authority_free(creation->authorities[i]);
    change_cleanup(&creation->change);
}

/* The first generation: brought along, or made. */
static enum err creation_authority(struct ca *ca, const struct cluster *cluster, const char *name,
                                   const struct adoption *adoption, int64_t now, struct authority_record *ret_record,
                                   struct fault *f)
{
    const struct imported_authority *imported = adoption_find(adoption, name);
    if (imported)
        return adopt_authority(ca, cluster, imported, 1, now, ret_record, f);
    if (adoption && !adoption->generate_missing)
        return fault_set(f, CODE_INVALID, "the CA \"%s\" is missing: bring it along, or have it generated", name);
    return authority_make(ca->signer, cluster->name, name, cluster->authority_algorithm,
                          cluster->authority_lifetime_seconds, now, ret_record, f);
}

static enum err creation_authorities(struct ca *ca, const struct cluster *cluster, const struct adoption *adoption,
                                     int64_t now, struct creation *creation, struct fault *f)
{
    for (size_t i = 0; i < AUTHORITIES_OF_CLUSTER; i++) {
        AUTO(authority_record) record = {0};
        TRY(creation_authority(ca, cluster, cluster_authorities[i], adoption, now, &record, f));
        AUTO(bytes) key = {0};
        AUTO(bytes) row = {0};
        key_authority(record.cluster, record.name, record.generation, &key);
        authority_record_pack(&record, &row);
        change_put(&creation->change, &key, &row);
        TRY(authority_new(&record, &creation->authorities[i], f));
    }
    return OK;
}

static enum err creation_cluster(const struct cluster *cluster, const char *actor, int64_t now,
                                 struct creation *creation, struct fault *f)
{
    AUTO(cluster_record) record = {.created_at = now};
    snprintf(record.created_by, sizeof record.created_by, "%s", actor);
    TRY(bytes_copy(bytes_span(&cluster->document), &record.document, f));
    AUTO(bytes) key = {0};
    AUTO(bytes) expected = {0};
    AUTO(bytes) row = {0};
    key_cluster(cluster->name, &key);
    key_cluster(cluster->name, &expected);
    cluster_record_pack(&record, &row);
    change_expect(&creation->change, &expected, 0);
    change_put(&creation->change, &key, &row);
    return OK;
}

static void creation_event(const struct cluster *cluster, const char *actor, const struct adoption *adoption,
                           struct creation *creation)
{
    uint8_t hash[SHA256_SIZE];
    struct bytes *event = &creation->change.event;
    event_begin(event, adoption ? "cluster.adopted" : "cluster.created", actor);
    member_string(event, "cluster", cluster->name);
    crypto_hash_sha256(hash, cluster->document.data, cluster->document.size);
    member_hex(event, "document_sha256", SPAN_OF(hash));
    for (size_t i = 0; i < AUTHORITIES_OF_CLUSTER; i++) {
        char member[AUTHORITY_NAME_MAX + 8];
        snprintf(member, sizeof member, "%s_sha256", cluster_authorities[i]);
        const struct bytes *certificate = &creation->authorities[i]->record.certificate;
        crypto_hash_sha256(hash, certificate->data, certificate->size);
        member_hex(event, member, SPAN_OF(hash));
    }
    if (adoption)
        adoption_event(adoption, event);
}

static enum err cluster_make(struct ca *ca, const struct caller *caller, const struct adoption *adoption,
                             struct idempotency *idempotency, struct cluster *take_cluster, struct fault *f)
{
    CLEANUP(cluster_auto) struct cluster *cluster = take_cluster;
    char actor[DNS_NAME_MAX + 32];
    caller_text(caller, actor, sizeof actor);
    AUTO(creation) creation = {0};
    struct moment now;
    TRY(clock_require(ca->clock, &now, f));
    TRY(restore_require(ca->restore, f));
    TRY(creation_authorities(ca, cluster, adoption, now.seconds, &creation, f));
    TRY(creation_cluster(cluster, actor, now.seconds, &creation, f));
    creation_event(cluster, actor, adoption, &creation);
    struct cluster_made made = {cluster, (const struct authority *const *)creation.authorities};
    idempotency_attach(idempotency, &made, &creation.change);
    TRY(ledger_commit(ca->ledger, &creation.change, f));
    for (size_t i = 0; i < AUTHORITIES_OF_CLUSTER; i++)
        TRY(authorities_add(ca->authorities, &creation.authorities[i], f));
    pthread_rwlock_wrlock(&ca->clusters->lock);
    enum err err = clusters_insert(ca->clusters, TAKE(cluster), f);
    pthread_rwlock_unlock(&ca->clusters->lock);
    return err;
}

static enum err adoption_same(struct ca *ca, const char *cluster, const struct adoption *adoption, struct fault *f)
{
    for (size_t i = 0; adoption && i < adoption->authorities_count; i++)
        if (!adopted_already(ca, cluster, &adoption->authorities[i]))
            return fault_set(f, CODE_CONFLICT, "cluster \"%s\" exists with another CA \"%s\"", cluster,
                             adoption->authorities[i].name);
    return OK;
}

static enum err cluster_create_once(struct ca *ca, const struct caller *caller, const struct adoption *adoption,
                                    struct idempotency *idempotency, struct cluster *take_cluster, bool *ret_created,
                                    const struct cluster **ret_cluster, struct fault *f)
{
    CLEANUP(cluster_auto) struct cluster *cluster = take_cluster;
    char name[CLUSTER_NAME_MAX + 1];
    strcpy(name, cluster->name);
    const struct cluster *known = NULL;
    if (cluster_find(ca, name, &known, f) == OK) {
        if (!span_equal(bytes_span(&known->document), bytes_span(&cluster->document)))
            return fault_set(f, CODE_CONFLICT,
                             "cluster \"%s\" exists with another inventory; changing it is not possible yet", name);
        *ret_created = false;
        *ret_cluster = known;
        return adoption_same(ca, name, adoption, f);
    }
    fault_clear(f);
    TRY(cluster_make(ca, caller, adoption, idempotency, TAKE(cluster), f));
    *ret_created = true;
    return cluster_find(ca, name, ret_cluster, f);
}

enum err cluster_adopt(struct ca *ca, const struct caller *caller, const struct document *document,
                       const struct adoption *adoption, struct idempotency *idempotency, bool *ret_created,
                       const struct cluster **ret_cluster, struct fault *f)
{
    struct cluster *cluster = NULL;
    TRY(cluster_new(document, &cluster, f));
    pthread_mutex_lock(&ca->clusters->creating);
    enum err err = cluster_create_once(ca, caller, adoption, idempotency, cluster, ret_created, ret_cluster, f);
    pthread_mutex_unlock(&ca->clusters->creating);
    return err;
}

enum err cluster_create(struct ca *ca, const struct caller *caller, const struct document *document,
                        struct idempotency *idempotency, bool *ret_created, const struct cluster **ret_cluster,
                        struct fault *f)
{
    return cluster_adopt(ca, caller, document, NULL, idempotency, ret_created, ret_cluster, f);
}
