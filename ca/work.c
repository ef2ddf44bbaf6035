#include "ca/work.h"

#include <string.h>

struct place work_place(const struct cluster *cluster, const struct catalogue_item *item)
{
    return (struct place){cluster->name, item->shared ? "" : item->node->name, item->profile->name};
}

enum err work_difference(struct ca *ca, const struct cluster *cluster, const struct catalogue_item *item,
                         const struct certificate_record *record, enum difference *ret_difference,
                         char ret_detail[DIFFERENCE_TEXT_SIZE], struct fault *f)
{
    bool of_service = strcmp(item->authority, AUTHORITY_SERVICE) == 0;
    const struct authority *issuer =
        authorities_find(ca->authorities, of_service ? CLUSTER_SERVICE : cluster->name, item->authority);
    AUTO(certificate) certificate = {0};
    if (!issuer)
        return fault_set(f, CODE_NOT_FOUND, "cluster \"%s\" has no CA \"%s\"", cluster->name, item->authority);
    TRY(certificate_parse(bytes_span(&record->certificate), &certificate, f));
    *ret_difference = difference_find(&certificate, item, issuer->issuer.key_identifier, ret_detail);
    return OK;
}

/* A rotation comes before what would be renewed anyway: its maker waits for it. */
static enum err reason_find(struct ca *ca, const struct cluster *cluster, const struct place *place, int64_t now,
                            struct work_item *work, struct fault *f)
{
    AUTO(certificate_record) record = {0};
    TRY(certificate_get(ca, work->serial, &record, f));
    if (strcmp(certificate_record_state(&record, now), "valid") != 0)
        return OK;
    work->marked = rotations_marked(ca->rotations, place, work->serial, work->rotation);
    if (work->marked) {
        struct rotation rotation;
        TRY(rotation_get(ca, cluster->name, work->rotation, &rotation, f));
        snprintf(work->detail, sizeof work->detail, "%s", rotation.reason[0] ? rotation.reason : rotation.created_by);
        work->reason = "rotation";
        return OK;
    }
    enum difference difference = DIFFERENCE_NONE;
    TRY(work_difference(ca, cluster, work->item, &record, &difference, work->detail, f));
    work->reason = difference_words[difference];
    return OK;
}

static enum err item_make(struct ca *ca, const struct cluster *cluster, const struct catalogue_item *item, int64_t now,
                          struct work_item *work, struct fault *f)
{
    struct place place = work_place(cluster, item);
    struct lineage_record lineage;
    uint64_t revision;
    work->item = item;
    enum err err = lineage_get(ca, &place, &lineage, &revision, f);
    if (err == ERR_ABSENT) {
        fault_clear(f);
        return OK;
    }
    TRY(err);
    work->issued = true;
    work->blocked = lineage.blocked_at != 0;
    memcpy(work->serial, lineage.current, SERIAL_SIZE);
    return work->blocked ? OK : reason_find(ca, cluster, &place, now, work, f);
}

enum err work_make(struct ca *ca, const struct cluster *cluster, const char *node, struct work *ret_work,
                   struct fault *f)
{
    const struct node_entry *entry = cluster_node(cluster, node);
    int64_t now = ca_now(ca);
    if (!entry)
        return fault_set(f, CODE_NOT_FOUND, "cluster \"%s\" has no node \"%.253s\"", cluster->name, node);
    AUTO(work) work = {0};
    TRY(catalogue_make_part(cluster, &ca->profiles, (size_t)(entry - cluster->nodes), 1, &work.catalogue, f));
    for (size_t i = 0; i < work.catalogue.count; i++)
        if (work.catalogue.items[i].profile)
            TRY(item_make(ca, cluster, &work.catalogue.items[i], now, &work.items[work.count++], f));
    *ret_work = work;
    work = (struct work){0};
    return OK;
}

void work_cleanup(struct work *work)
{
    catalogue_cleanup(&work->catalogue);
}
