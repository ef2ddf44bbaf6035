#include "ca/clusters.h"

#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "ca/adopt.h"
#include "ca/crl.h"

/* One inventory. The list has a reference, and everybody who found it: an update puts another into the list. */
struct entry {
    struct cluster cluster; /* first: this is what is given out */
    _Atomic size_t references;
    uint64_t revision; /* of the row of its last update; 0: there was none */
};

struct clusters {
    pthread_rwlock_t lock;
    struct entry **items; /* in order of name */
    size_t count, capacity;
    pthread_mutex_t changing; /* one creation or update at a time: they are rare */
};

static struct entry *entry_of(const struct cluster *cluster)
{
    return (struct entry *)cluster;
}

const struct cluster *cluster_reference(const struct cluster *cluster)
{
    entry_of(cluster)->references++;
    return cluster;
}

void cluster_release(const struct cluster **cluster)
{
    struct entry *entry = entry_of(*cluster);
    if (!entry || --entry->references > 0)
        return;
    cluster_cleanup(&entry->cluster);
    free(entry);
}

enum err cluster_new(const struct document *document, const struct cluster **ret_cluster, struct fault *f)
{
    struct entry *entry = calloc(1, sizeof *entry);
    if (!entry)
        return fault_no_memory(f);
    entry->references = 1;
    CLEANUP(cluster_release) const struct cluster *cluster = &entry->cluster;
    TRY(cluster_read(document, &entry->cluster, f));
    *ret_cluster = TAKE(cluster);
    return OK;
}

static size_t clusters_position(const struct clusters *clusters, const char *name)
{
    size_t low = 0, high = clusters->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(clusters->items[middle]->cluster.name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* NULL when there is none. Under the lock. */
static struct entry **clusters_entry(const struct clusters *clusters, const char *name)
{
    size_t at = clusters_position(clusters, name);
    return at < clusters->count && strcmp(clusters->items[at]->cluster.name, name) == 0 ? &clusters->items[at] : NULL;
}

/* Under the lock, or before anybody else knows of `clusters`. */
static enum err clusters_insert(struct clusters *clusters, const struct cluster *take_cluster, struct fault *f)
{
    CLEANUP(cluster_release) const struct cluster *cluster = take_cluster;
    if (clusters->count == clusters->capacity) {
        size_t capacity = clusters->capacity * 2 + 8;
        struct entry **items = realloc(clusters->items, capacity * sizeof(struct entry *));
        if (!items)
            return fault_no_memory(f);
        clusters->items = items;
        clusters->capacity = capacity;
    }
    size_t at = clusters_position(clusters, cluster->name);
    memmove(clusters->items + at + 1, clusters->items + at, (clusters->count - at) * sizeof(struct entry *));
    clusters->items[at] = entry_of(TAKE(cluster));
    clusters->count++;
    return OK;
}

/* ---- the row of the last update ---- */

static enum err revision_read(struct store *store, const char *cluster, uint64_t *ret_revision, struct fault *f)
{
    AUTO(bytes) key = {0};
    AUTO(bytes) row = {0};
    key_cluster_update(cluster, &key);
    TRY(bytes_check(&key, f));
    enum err err = store_get(store, bytes_span(&key), &row, ret_revision, f);
    if (err != ERR_ABSENT)
        return err;
    fault_clear(f);
    *ret_revision = 0;
    return OK;
}

void cluster_expect(const struct cluster *cluster, struct change *change)
{
    AUTO(bytes) key = {0};
    key_cluster_update(cluster->name, &key);
    change_expect(change, &key, entry_of(cluster)->revision);
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
    CLEANUP(cluster_release) const struct cluster *cluster = NULL;
    TRY(cluster_new(document, &cluster, f));
    return clusters_insert(clusters, TAKE(cluster), f);
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
    pthread_mutex_init(&clusters->changing, NULL);
    AUTO(bytes) from = {0};
    AUTO(bytes) to = {0};
    key_prefix('c', &from);
    key_prefix_end('c', &to);
    struct load load = {clusters, f, OK};
    TRY(store_scan(store, bytes_span(&from), bytes_span(&to), false, load_row, &load, f));
    TRY(load.err);
    for (size_t i = 0; i < clusters->count; i++)
        TRY(revision_read(store, clusters->items[i]->cluster.name, &clusters->items[i]->revision, f));
    *ret_clusters = TAKE(clusters);
    return OK;
}

void clusters_free(struct clusters *clusters)
{
    if (!clusters)
        return;
    for (size_t i = 0; i < clusters->count; i++) {
        const struct cluster *cluster = &clusters->items[i]->cluster;
        cluster_release(&cluster);
    }
    free(clusters->items);
    pthread_mutex_destroy(&clusters->changing);
    pthread_rwlock_destroy(&clusters->lock);
    free(clusters);
}

/* ---- reading ---- */

enum err cluster_find(struct ca *ca, const char *name, const struct cluster **ret_cluster, struct fault *f)
{
    struct clusters *clusters = ca->clusters;
    pthread_rwlock_rdlock(&clusters->lock);
    struct entry **found = clusters_entry(clusters, name);
    const struct cluster *cluster = found ? cluster_reference(&(*found)->cluster) : NULL;
    pthread_rwlock_unlock(&clusters->lock);
    if (!cluster)
        return fault_set(f, CODE_NOT_FOUND, "no cluster \"%.64s\"", name);
    *ret_cluster = cluster;
    return OK;
}

void cluster_each(struct ca *ca, bool (*visit)(void *context, const struct cluster *cluster), void *context)
{
    struct clusters *clusters = ca->clusters;
    pthread_rwlock_rdlock(&clusters->lock);
    for (size_t i = 0; i < clusters->count && visit(context, &clusters->items[i]->cluster); i++) {
    }
    pthread_rwlock_unlock(&clusters->lock);
}

/* ---- changing ---- */

void clusters_lock(struct ca *ca)
{
    pthread_mutex_lock(&ca->clusters->changing);
}

void clusters_unlock(struct ca *ca)
{
    pthread_mutex_unlock(&ca->clusters->changing);
}

void cluster_settle(struct ca *ca)
{
    clusters_lock(ca);
    clusters_unlock(ca);
}

enum err clusters_replace(struct ca *ca, const struct cluster *take_cluster, struct fault *f)
{
    CLEANUP(cluster_release) const struct cluster *cluster = take_cluster;
    struct clusters *clusters = ca->clusters;
    TRY(revision_read(ca->store, cluster->name, &entry_of(cluster)->revision, f));
    pthread_rwlock_wrlock(&clusters->lock);
    struct entry **place = clusters_entry(clusters, cluster->name);
    const struct cluster *before = &(*place)->cluster;
    *place = entry_of(TAKE(cluster));
    pthread_rwlock_unlock(&clusters->lock);
    news_ring(ca->news, before->name, NULL); /* what its nodes are to have may be another */
    cluster_release(&before);
    return OK;
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
        TRY(crl_begin(ca->signer, creation->authorities[i], now, &creation->change, f));
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
                             struct idempotency *idempotency, const struct cluster *take_cluster, struct fault *f)
{
    CLEANUP(cluster_release) const struct cluster *cluster = take_cluster;
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
                                    struct idempotency *idempotency, const struct cluster *take_cluster,
                                    bool *ret_created, const struct cluster **ret_cluster, struct fault *f)
{
    CLEANUP(cluster_release) const struct cluster *cluster = take_cluster;
    char name[CLUSTER_NAME_MAX + 1];
    strcpy(name, cluster->name);
    CLEANUP(cluster_release) const struct cluster *known = NULL;
    if (cluster_find(ca, name, &known, f) == OK) {
        if (!span_equal(bytes_span(&known->document), bytes_span(&cluster->document)))
            return fault_set(f, CODE_CONFLICT,
                             "cluster \"%s\" exists with another inventory: `ensign cluster update` changes it", name);
        TRY(adoption_same(ca, name, adoption, f));
        *ret_created = false;
        *ret_cluster = TAKE(known);
        return OK;
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
    const struct cluster *cluster = NULL;
    TRY(cluster_new(document, &cluster, f));
    clusters_lock(ca);
    enum err err = cluster_create_once(ca, caller, adoption, idempotency, cluster, ret_created, ret_cluster, f);
    clusters_unlock(ca);
    return err;
}

enum err cluster_create(struct ca *ca, const struct caller *caller, const struct document *document,
                        struct idempotency *idempotency, bool *ret_created, const struct cluster **ret_cluster,
                        struct fault *f)
{
    return cluster_adopt(ca, caller, document, NULL, idempotency, ret_created, ret_cluster, f);
}
