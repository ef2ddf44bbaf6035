#include "client/bootstrap/target.h"

#include <stdlib.h>

/* What the cluster file says, not what it leaves to the defaults: the user's own configuration comes before these. */
static const json_t *said(const struct cluster *cluster, const char *key)
{
    return json_object_get(json_object_get(cluster->bootstrap.tree, "ssh"), key);
}

static void target_make(const struct cluster *cluster, const struct node_entry *node, struct target *target)
{
    const struct bootstrap *bootstrap = &cluster->bootstrap;
    target->node = node;
    target->standard_user = bootstrap->ssh_user;
    target->forced_address = node->bootstrap.ssh_address;
    target->user = node->bootstrap.ssh_user        ? node->bootstrap.ssh_user
                   : said(cluster, "user") != NULL ? bootstrap->ssh_user
                                                   : NULL;
    target->port = node->bootstrap.ssh_port        ? node->bootstrap.ssh_port
                   : said(cluster, "port") != NULL ? bootstrap->ssh_port
                                                   : 0;
    target->host_key = json_string_value(json_object_get(bootstrap->host_keys, node->name));
    address_text(&node->names.addresses[0], target->address);
}

enum err targets_make(const struct cluster *cluster, struct target **ret_targets, struct fault *f)
{
    struct target *targets = calloc(cluster->nodes_count, sizeof *targets);
    if (!targets)
        return fault_no_memory(f);
    for (size_t i = 0; i < cluster->nodes_count; i++)
        target_make(cluster, &cluster->nodes[i], &targets[i]);
    *ret_targets = targets;
    return OK;
}
