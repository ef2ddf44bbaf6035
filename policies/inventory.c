#include "policies/inventory.h"

#include <stdlib.h>
#include <string.h>

#include "policies/words.h"

/* Where a name or address stands; the text is the name, or the address as text. */
struct mention {
    char text[DNS_NAME_MAX + 1];
    size_t node; /* index */
};

struct mentions {
    struct mention *items;
    size_t count;
};

static void mentions_cleanup(struct mentions *mentions)
{
    free(mentions->items);
}

static void mention_add(struct mentions *mentions, size_t node, const char *text)
{
    struct mention *mention = &mentions->items[mentions->count++];
    snprintf(mention->text, sizeof mention->text, "%s", text);
    mention->node = node;
}

static int mention_compare(const void *a, const void *b)
{
    const struct mention *first = a, *second = b;
    int order = strcmp(first->text, second->text);
    return order ? order : (first->node > second->node) - (first->node < second->node);
}

/* ---- one node ---- */

static void hostnames_read(const struct node *node, struct node_entry *entry, size_t index, struct mentions *mentions)
{
    struct node list = node_get(node, "hostnames");
    size_t count = node_count(&list, NODE_OPTIONAL, NODE_HOSTNAMES_MAX);
    for (size_t i = 0; i < count; i++) {
        struct node item = node_at(&list, i);
        struct fault fault = {0};
        const char *name;
        if (!node_string(&item, NODE_REQUIRED, &name))
            continue;
        if (!dns_name_valid(name)) {
            node_error(&item, "\"%s\" is no DNS name in lower case", name);
            continue;
        }
        mention_add(mentions, index, name);
        if (alternative_names_add_dns(&entry->names, name, &fault) != OK)
            node_error(&item, "%s", fault.text);
    }
}

static void addresses_read(const struct node *node, struct node_entry *entry, size_t index, struct mentions *mentions)
{
    struct node list = node_get(node, "addresses");
    size_t count = node_count(&list, NODE_REQUIRED, NODE_ADDRESSES_MAX);
    if (count == 0 && node_present(&list))
        node_error(&list, "a node needs an address");
    for (size_t i = 0; i < count; i++) {
        struct node item = node_at(&list, i);
        struct fault fault = {0};
        struct address address;
        char canonical[ADDRESS_TEXT_SIZE];
        const char *text;
        if (!node_string(&item, NODE_REQUIRED, &text))
            continue;
        if (address_parse(text, &address, &fault) != OK) {
            node_error(&item, "%s", fault.text);
            continue;
        }
        address_text(&address, canonical);
        mention_add(mentions, index, canonical);
        if (alternative_names_add_address(&entry->names, &address, &fault) != OK)
            node_error(&item, "%s", fault.text);
    }
}

static void entry_read(const struct node *node, struct node_entry *entry, size_t index, struct mentions *mentions)
{
    static const char *const keys[] = {"name", "hostnames", "addresses", "roles", NULL};
    node_allow(node, keys);
    struct node name = node_get(node, "name");
    struct node roles = node_get(node, "roles");
    if (node_text(&name, NODE_REQUIRED, entry->name, sizeof entry->name)) {
        mention_add(mentions, index, entry->name);
        if (!dns_name_valid(entry->name))
            node_error(&name, "\"%s\" is no name that a Kubernetes node can have (lower-case DNS name)", entry->name);
        else if (strlen(entry->name) > ATTRIBUTE_MAX)
            node_error(&name, "a node's name is its common name: at most %d characters (RFC 5280 A.1)", ATTRIBUTE_MAX);
    }
    hostnames_read(node, entry, index, mentions);
    addresses_read(node, entry, index, mentions);
    entry->roles = words_read(&roles, NODE_REQUIRED, node_role_words);
    if (!entry->roles && node_present(&roles) && json_is_array(roles.value) && json_array_size(roles.value) == 0)
        node_error(&roles, "a node needs a role");
}

/* ---- all of them ---- */

static void mentions_check(const struct node *list, const struct cluster *cluster, struct mentions *mentions)
{
    qsort(mentions->items, mentions->count, sizeof *mentions->items, mention_compare);
    for (size_t i = 1; i < mentions->count; i++) {
        const struct mention *before = &mentions->items[i - 1], *mention = &mentions->items[i];
        if (strcmp(before->text, mention->text) != 0)
            continue;
        struct node item = node_at(list, mention->node);
        if (before->node == mention->node)
            node_error(&item, "\"%s\" stands twice at this node", mention->text);
        else
            node_error(&item, "\"%s\" stands at node \"%s\" already", mention->text,
                       cluster->nodes[before->node].name);
    }
}

enum err inventory_read(const struct node *list, struct cluster *cluster, struct fault *f)
{
    size_t count = node_count(list, NODE_REQUIRED, NODES_MAX);
    if (count == 0) {
        if (node_present(list))
            node_error(list, "a cluster needs nodes");
        return OK;
    }
    AUTO(mentions) mentions = {
        .items = calloc(count * (1 + NODE_HOSTNAMES_MAX + NODE_ADDRESSES_MAX), sizeof(struct mention))};
    cluster->nodes = calloc(count, sizeof *cluster->nodes);
    if (!mentions.items || !cluster->nodes)
        return fault_no_memory(f);
    cluster->nodes_count = count;
    for (size_t i = 0; i < count; i++) {
        struct node item = node_at(list, i);
        entry_read(&item, &cluster->nodes[i], i, &mentions);
    }
    mentions_check(list, cluster, &mentions);
    return OK;
}
