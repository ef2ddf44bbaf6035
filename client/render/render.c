#include "client/render/render.h"

#include <stdio.h>
#include <string.h>

enum err render_item(const struct render *render, const char *name, const struct catalogue_item **ret_item,
                     struct fault *f)
{
    const struct catalogue *catalogue = render->catalogue;
    for (size_t i = 0; i < catalogue->count; i++)
        if (catalogue->items[i].node == render->node && strcmp(catalogue->items[i].name, name) == 0) {
            *ret_item = &catalogue->items[i];
            return OK;
        }
    return fault_set(f, CODE_INVALID, "node \"%s\" has no %s", render->node->name, name);
}

void render_host(const struct node_entry *node, char ret_host[HOST_TEXT_SIZE])
{
    char text[ADDRESS_TEXT_SIZE];
    bool version6 = node->names.addresses[0].size == 16;
    address_text(&node->names.addresses[0], text);
    snprintf(ret_host, HOST_TEXT_SIZE, "%s%s%s", version6 ? "[" : "", text, version6 ? "]" : "");
}

void render_banner(struct bytes *out)
{
    bytes_append_text(out, "# Written by ensign from the cluster file: change that one.\n");
}

void render_pairs(struct bytes *out, const json_t *pairs, const char *before, const char *between, const char *after)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)pairs, name, value)
        bytes_appendf(out, "%s%s%s%s%s", before, name, between, json_string_value(value), after);
}

unsigned render_ordinal(const struct render *render, unsigned roles)
{
    const struct cluster *cluster = render_cluster(render);
    unsigned ordinal = 0;
    for (const struct node_entry *node = cluster->nodes; node < render->node; node++)
        ordinal += (node->roles & roles) != 0;
    return ordinal;
}
