#include "policies/inventory.h"

#include <stdlib.h>
#include <string.h>

#include "policies/words.h"

/* What is collected while the nodes are read. */
struct reading {
    struct cluster *cluster;
    json_t *claims; /* name or address -> the text that says which node has it, and where */
    struct fault *f;
};

/* The node has this name or address, unless another one has it already. */
static enum err claim(const struct reading *reading, const struct node_entry *entry, const struct node *node,
                      const char *text)
{
    const char *before = json_string_value(json_object_get(reading->claims, text));
    if (before) {
        node_error(node, "\"%s\" stands at %s already", text, before);
        return OK;
    }
    char place[PLACE_TEXT_SIZE];
    node_place(node, place);
    json_t *owner = json_sprintf("node \"%s\" (%s)", entry->name, place);
    return json_object_set_new(reading->claims, text, owner) == 0 ? OK : fault_no_memory(reading->f);
}

/* ---- one node ---- */

static enum err name_add(const struct reading *reading, struct node_entry *entry, const struct node *item,
                         const char *name)
{
    if (!dns_name_valid(name))
        node_error(item, "\"%s\" is no DNS name in lower case (RFC 1123)", name);
    else if (strcmp(name, "localhost") == 0)
        node_error(item, "every host is \"localhost\": it is no name of one node");
    else {
        TRY(claim(reading, entry, item, name));
        if (strcmp(name, entry->name) != 0)
            TRY(alternative_names_add_dns(&entry->names, name, reading->f));
    }
    return OK;
}

static enum err hostnames_read(const struct reading *reading, const struct node *node, struct node_entry *entry)
{
    struct node list = node_get(node, "hostnames");
    size_t count = node_count(&list, NODE_OPTIONAL, NODE_HOSTNAMES_MAX);
    for (size_t i = 0; i < count; i++) {
        struct node item = node_at(&list, i);
        const char *name;
        if (node_string(&item, NODE_REQUIRED, &name))
            TRY(name_add(reading, entry, &item, name));
    }
    return OK;
}

/* Addresses that are every host's, several hosts', or nobody's: 0/8, 127.0.0.1, 224/3; ::, ::1, ff00::/8, fe80::/10. */
static bool address_is_special(const struct address *address)
{
    static const uint8_t loopback4[] = {127, 0, 0, 1}, zero[15] = {0};
    const uint8_t *data = address->data;
    if (address->size == 4)
        return data[0] == 0 || data[0] >= 224 || memcmp(data, loopback4, 4) == 0;
    return (memcmp(data, zero, 15) == 0 && data[15] <= 1) || data[0] == 0xff ||
           (data[0] == 0xfe && (data[1] & 0xc0) == 0x80);
}

static enum err address_add(const struct reading *reading, struct node_entry *entry, const struct node *item,
                            const char *text)
{
    const struct cluster *cluster = reading->cluster;
    struct address address;
    struct fault fault = {0};
    char canonical[ADDRESS_TEXT_SIZE];
    if (address_parse(text, &address, &fault) != OK) {
        node_error(item, "\"%s\": %s", text, fault.text);
        return OK;
    }
    address_text(&address, canonical);
    if (address_is_special(&address))
        node_error(item, "%s is no address of one node", canonical);
    else if (network_contains(&cluster->service_subnet, &address) || network_contains(&cluster->pod_subnet, &address))
        node_error(item, "%s is in the subnet of pods or services", canonical);
    TRY(claim(reading, entry, item, canonical));
    return alternative_names_add_address(&entry->names, &address, reading->f);
}

static enum err addresses_read(const struct reading *reading, const struct node *node, struct node_entry *entry)
{
    struct node list = node_get(node, "addresses");
    size_t count = node_count(&list, NODE_REQUIRED, NODE_ADDRESSES_MAX);
    if (json_is_array(list.value) && json_array_size(list.value) == 0)
        node_error(&list, "a node needs an address");
    for (size_t i = 0; i < count; i++) {
        struct node item = node_at(&list, i);
        const char *text;
        if (node_string(&item, NODE_REQUIRED, &text))
            TRY(address_add(reading, entry, &item, text));
    }
    return OK;
}

static enum err entry_read(const struct reading *reading, const struct node *node, struct node_entry *entry)
{
    static const char *const keys[] = {"name", "hostnames", "addresses", "roles", "labels", "taints", "ssh", NULL};
    node_allow(node, keys);
    struct node name = node_get(node, "name");
    struct node roles = node_get(node, "roles");
    if (node_text(&name, NODE_REQUIRED, entry->name, sizeof entry->name)) {
        TRY(name_add(reading, entry, &name, entry->name));
        if (strlen(entry->name) > ATTRIBUTE_MAX)
            node_error(&name, "a node's name is its common name: at most %d characters (RFC 5280 A.1)", ATTRIBUTE_MAX);
    }
    TRY(hostnames_read(reading, node, entry));
    TRY(addresses_read(reading, node, entry));
    entry->roles = words_read(&roles, NODE_REQUIRED, node_role_words);
    if (entry->roles & (ROLE_CONTROL_PLANE | ROLE_WORKER) && strlen(entry->name) > KUBELET_NAME_MAX)
        node_error(&name,
                   "this node runs a kubelet, whose common name is \"" KUBELET_COMMON_NAME_PREFIX
                   "\" and the node's name: at "
                   "most %d characters (RFC 5280 A.1)",
                   KUBELET_NAME_MAX);
    if (json_is_array(roles.value) && json_array_size(roles.value) == 0)
        node_error(&roles, "a node needs a role");
    return OK;
}

/* ---- all of them ---- */

static int name_compare(const void *a, const void *b)
{
    const struct node_entry *const *first = a, *const *second = b;
    return strcmp((*first)->name, (*second)->name);
}

static void nodes_sort(struct cluster *cluster)
{
    for (size_t i = 0; i < cluster->nodes_count; i++)
        cluster->nodes_by_name[i] = &cluster->nodes[i];
    qsort(cluster->nodes_by_name, cluster->nodes_count, sizeof *cluster->nodes_by_name, name_compare);
}

static enum err nodes_alloc(struct cluster *cluster, size_t count, struct fault *f)
{
    cluster->nodes = calloc(count, sizeof *cluster->nodes);
    cluster->nodes_by_name = calloc(count, sizeof *cluster->nodes_by_name);
    if (!cluster->nodes || !cluster->nodes_by_name)
        return fault_no_memory(f);
    cluster->nodes_count = count;
    return OK;
}

enum err inventory_read(const struct node *list, struct cluster *cluster, struct fault *f)
{
    size_t count = node_count(list, NODE_REQUIRED, NODES_MAX);
    if (json_is_array(list->value) && json_array_size(list->value) == 0)
        node_error(list, "a cluster needs nodes");
    if (count == 0)
        return OK;
    json_auto_t *claims = json_object();
    if (!claims)
        return fault_no_memory(f);
    TRY(nodes_alloc(cluster, count, f));
    const struct reading reading = {cluster, claims, f};
    for (size_t i = 0; i < count; i++) {
        struct node item = node_at(list, i);
        TRY(entry_read(&reading, &item, &cluster->nodes[i]));
    }
    nodes_sort(cluster);
    return OK;
}
