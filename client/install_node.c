#include "client/install_node.h"

#include <string.h>

#include "client/files.h"
#include "client/issued.h"
#include "client/output.h"

void install_node_cleanup(struct install_node *node)
{
    for (size_t i = 0; i < AUTHORITIES_MAX; i++)
        bytes_free(&node->bundles[i]);
    catalogue_cleanup(&node->catalogue);
    cluster_cleanup(&node->cluster);
}

/* ---- what there is to install ---- */

static bool profile_chosen(const struct enrolment *enrolment, const struct profile *profile)
{
    for (size_t i = 0; i < enrolment->items_count; i++)
        if (enrolment->items[i].profile == profile)
            return true;
    return false;
}

static bool authority_chosen(const struct enrolment *enrolment, const char *authority)
{
    for (size_t i = 0; i < enrolment->items_count; i++)
        if (strcmp(enrolment->items[i].profile->issuer, authority) == 0)
            return true;
    return false;
}

/* The node's own identity is used from its set; what control planes share comes by client/shared_keys.h. */
static bool item_installed(const struct install_node *node, const struct catalogue_item *item)
{
    if (strcmp(item->node->name, node->enrolment->node) != 0 || item->shared ||
        (item->authority && strcmp(item->authority, AUTHORITY_SERVICE) == 0))
        return false;
    return node->whole || (item->profile ? profile_chosen(node->enrolment, item->profile)
                                         : authority_chosen(node->enrolment, item->authority));
}

static size_t authority_index(const char *authority)
{
    size_t i = 0;
    while (cluster_authorities[i] && strcmp(cluster_authorities[i], authority) != 0)
        i++;
    return i;
}

struct span install_node_bundle(const struct install_node *node, const char *authority)
{
    size_t i = authority_index(authority);
    return cluster_authorities[i] ? bytes_span(&node->bundles[i]) : span(NULL, 0);
}

static enum err bundles_fetch(struct install_node *node, struct fault *f)
{
    for (size_t i = 0; i < node->catalogue.count; i++) {
        const struct catalogue_item *item = &node->catalogue.items[i];
        if (!item_installed(node, item))
            continue;
        struct bytes *bundle = &node->bundles[authority_index(item->authority)];
        if (bundle->size == 0)
            TRY(session_bundle(node->enrolment->session, node->cluster.name, item->authority, bundle, f));
    }
    return OK;
}

enum err install_node_open(struct install_node *node, struct fault *f)
{
    const struct enrolment *enrolment = node->enrolment;
    CLEANUP(document_auto) struct document *document = NULL;
    struct node root = document_root(enrolment->answer, f), file = node_get(&root, "document");
    if (!node_present(&file))
        return fault_set(f, CODE_UNTRUSTED, "the service does not say what the cluster is like");
    TRY(document_of_node(&file, &document, f));
    if (cluster_read(document, &node->cluster, f) != OK)
        return fault_set(f, CODE_UNTRUSTED, "this program does not understand the cluster file that the service has");
    const struct node_entry *own = cluster_node(&node->cluster, enrolment->node);
    if (strcmp(node->cluster.name, enrolment->cluster) != 0 || !own)
        return fault_set(f, CODE_UNTRUSTED, "the service says what another cluster is like than that of the token");
    TRY(catalogue_make_part(&node->cluster, enrolment->profiles, (size_t)(own - node->cluster.nodes), 1,
                            &node->catalogue, f));
    return bundles_fetch(node, f);
}

/* ---- the plan ---- */

static enum err set_read(const struct enrolment *enrolment, const struct profile *profile, struct bytes *ret_key,
                         struct bytes *ret_certificate, struct fault *f)
{
    CLEANUP(fd_cleanup) int folder = -1;
    TRY(folder_open_at(enrolment->folder, profile->name, false, &folder, f));
    TRY(file_read_at(folder, "tls.key", ret_key, f));
    return file_read_at(folder, "tls.crt", ret_certificate, f);
}

/* A certificate without a set is not known yet. */
static enum err item_plan(const struct install_node *node, const struct catalogue_item *item, struct install *install,
                          struct fault *f)
{
    CLEANUP(secret_cleanup) struct bytes key = {0};
    AUTO(bytes) certificate = {0};
    enum err err = item->profile ? set_read(node->enrolment, item->profile, &key, &certificate, f) : OK;
    if (err == ERR_ABSENT)
        fault_clear(f);
    else
        TRY(err);
    const struct install_pems pems = {.key = bytes_span(&key),
                                      .certificate = bytes_span(&certificate),
                                      .bundle = bytes_span(&node->bundles[authority_index(item->authority)])};
    return install_add(install, &node->cluster, item, &pems, f);
}

static enum err node_plan(const struct install_node *node, struct install *install, struct fault *f)
{
    for (size_t i = 0; i < node->catalogue.count; i++)
        if (item_installed(node, &node->catalogue.items[i]))
            TRY(item_plan(node, &node->catalogue.items[i], install, f));
    return OK;
}

/* ---- the two steps ---- */

enum err install_node_check(const struct install_node *node, struct fault *f)
{
    AUTO(install) install = {.root = node->root, .sets = node->enrolment->folder};
    TRY(node_plan(node, &install, f));
    return install_check(&install, node->force, f);
}

enum err install_node_whole(const struct install_node *node, bool *ret_whole, struct fault *f)
{
    AUTO(install) install = {.root = node->root, .sets = node->enrolment->folder};
    TRY(node_plan(node, &install, f));
    TRY(install_check(&install, node->force, f));
    *ret_whole = true;
    for (size_t i = 0; i < install.count; i++)
        *ret_whole &= install.files[i].state == INSTALL_SAME;
    return OK;
}

enum err install_node_write(const struct install_node *node, struct fault *f)
{
    AUTO(install) install = {.root = node->root, .sets = node->enrolment->folder};
    TRY(node_plan(node, &install, f));
    for (size_t i = 0; i < install.count; i++)
        if (install.files[i].content.size == 0)
            return fault_set(f, CODE_NOT_FOUND, "there is nothing to put into \"%s\": the service does not list it",
                             install.files[i].path);
    TRY(install_check(&install, node->force, f));
    return install_write(&install, f);
}
