#include "ca/holders.h"

#include "ca/shared_key.h"

static enum err holder_read(struct ca *ca, const struct cluster *cluster, const char *node,
                            struct deployed_record *record, uint64_t *ret_revision, struct fault *f)
{
    enum err err = deployed_get(ca, cluster->name, node, record, ret_revision, f);
    if (err != ERR_ABSENT)
        return err;
    fault_clear(f);
    record->certificates_count = 0;
    *ret_revision = 0;
    return OK;
}

enum err holders_each(struct ca *ca, const struct cluster *cluster, const char *profile, holder_visit *visit,
                      void *context, struct fault *f)
{
    AUTO(sealing_keys) keys = {0};
    struct deployed_record record = {0};
    bool more = true;
    TRY(sealing_keys_load(ca, cluster->name, &keys, f));
    for (size_t i = 0; i < keys.count && more; i++) {
        const struct node_entry *node = cluster_node(cluster, keys.items[i].node);
        struct holder holder = {.node = keys.items[i].node};
        if (!node || !(node->roles & ROLE_CONTROL_PLANE))
            continue;
        TRY(holder_read(ca, cluster, holder.node, &record, &holder.revision, f));
        holder.report = deployed_find(&record, profile);
        more = visit(context, &holder);
    }
    return OK;
}
