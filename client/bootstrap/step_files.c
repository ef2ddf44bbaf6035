#include "client/bootstrap/step_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/files.h"

#define KUBERNETES_LIST "/etc/apt/sources.list.d/ensign-kubernetes.list"
#define KUBERNETES_KEYRING "/etc/apt/keyrings/ensign-kubernetes.asc"
#define RUNTIME_LIST "/etc/apt/sources.list.d/ensign-container-runtime.list"
#define RUNTIME_KEYRING "/etc/apt/keyrings/ensign-container-runtime.asc"

/* ---- what is on this machine ---- */

enum err materials_read(const struct cluster *cluster, struct materials *ret_materials, struct fault *f)
{
    const struct bootstrap *bootstrap = &cluster->bootstrap;
    const struct {
        const char *path;
        struct bytes *content;
    } wanted[] = {
        {bootstrap->kubernetes_packages.key_file, &ret_materials->kubernetes_key},
        {bootstrap->runtime_packages.key_file, &ret_materials->runtime_key},
        {bootstrap->cni == CNI_MANIFEST ? bootstrap->cni_manifest : NULL, &ret_materials->cni_manifest},
        {bootstrap->ensign_packages.file, &ret_materials->ensign_package},
    };
    for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
        if (wanted[i].path)
            TRY(file_read(wanted[i].path, wanted[i].content, f));
    return OK;
}

void materials_cleanup(struct materials *materials)
{
    bytes_free(&materials->kubernetes_key);
    bytes_free(&materials->runtime_key);
    bytes_free(&materials->cni_manifest);
    bytes_free(&materials->ensign_package);
}

/* ---- lists of files ---- */

void step_files_cleanup(struct step_files *files)
{
    for (size_t i = 0; i < files->count; i++)
        secret_cleanup(&files->rows[i].content);
    files->count = 0;
}

static enum err file_add(struct step_files *files, const char *path, unsigned mode, struct bytes *take_content,
                         struct fault *f)
{
    AUTO(bytes) content = *take_content;
    *take_content = (struct bytes){0};
    if (files->count == STEP_FILES_MAX)
        return fault_set(f, CODE_INTERNAL, "a step has more than %d files", STEP_FILES_MAX);
    struct step_file *file = &files->rows[files->count];
    snprintf(file->path, sizeof file->path, "%s", path);
    file->mode = mode;
    TRY(bytes_give(&content, &file->content, f));
    files->count++;
    return OK;
}

static enum err copy_add(struct step_files *files, const char *path, struct span content, struct fault *f)
{
    struct bytes copy = {0};
    TRY(bytes_copy(content, &copy, f));
    return file_add(files, path, 0644, &copy, f);
}

/* While kubeadm init has not come to its end there may be no RBAC; the steps behind it are done after that. */
static bool before_init(const struct step_view *view, const struct step_kind *kind)
{
    return is_first_control_plane(step_cluster(view), view->node) && kind->stage <= STAGE_INIT &&
           (!step_initialised(view) || fact_find(view->facts, LIST_BEGUN, "init"));
}

static enum err rendered_add(const struct step_view *view, const struct step_kind *kind, const struct render_file *file,
                             struct step_files *files, struct fault *f)
{
    const struct render render = {.catalogue = view->catalogue,
                                  .node = view->node,
                                  .kubernetes_version = view->kubernetes_version,
                                  .vrrp_password = view->vrrp_password,
                                  .etcd_has_crl = fact_is_file(view->facts, step_cluster(view)->crl_path),
                                  .before_init = before_init(view, kind)};
    CLEANUP(secret_cleanup) struct bytes text = {0};
    TRY(file->render(&render, &text, f));
    return file_add(files, file->path, file->mode, &text, f);
}

enum err step_files_make(const struct step_view *view, const struct step_kind *kind, struct step_files *ret_files,
                         struct fault *f)
{
    for (const struct render_file *file = render_files; file->path; file++)
        if (kind->purposes & 1u << file->purpose && file->applies(step_cluster(view), view->node))
            TRY(rendered_add(view, kind, file, ret_files, f));
    return kind->more_files ? kind->more_files(view, ret_files, f) : OK;
}

const char *const *step_modules(const struct cluster *cluster)
{
    static const char *const all[] = {"overlay",   "br_netfilter", "ip_vs",        "ip_vs_rr",
                                      "ip_vs_wrr", "ip_vs_sh",     "nf_conntrack", NULL};
    static const char *const few[] = {"overlay", "br_netfilter", NULL};
    return cluster->bootstrap.proxy_mode == PROXY_IPVS ? all : few;
}

const char *step_runtime(const struct cluster *cluster)
{
    return cluster->bootstrap.runtime == RUNTIME_CRIO ? "crio" : "containerd";
}

/* ---- packages ---- */

/* The line of APT's, with the key that alone signs what comes from there. */
static enum err repository_add(const struct packages *packages, const struct bytes *key, const char *list_path,
                               const char *keyring, struct step_files *files, struct fault *f)
{
    const char *rest = packages->repository + strlen("deb ");
    struct bytes line = {0};
    rest += strspn(rest, " \t");
    if (*rest == '[')
        bytes_appendf(&line, "deb [signed-by=%s %s\n", keyring, rest + 1);
    else
        bytes_appendf(&line, "deb [signed-by=%s] %s\n", keyring, rest);
    TRY(file_add(files, list_path, 0644, &line, f));
    return copy_add(files, keyring, bytes_span(key), f);
}

enum err repository_files(const struct step_view *view, struct step_files *files, struct fault *f)
{
    const struct bootstrap *bootstrap = &step_cluster(view)->bootstrap;
    if (!has_kubelet(step_cluster(view), view->node))
        return OK;
    if (bootstrap->kubernetes_packages.source == PACKAGE_REPOSITORY)
        TRY(repository_add(&bootstrap->kubernetes_packages, &view->materials->kubernetes_key, KUBERNETES_LIST,
                           KUBERNETES_KEYRING, files, f));
    if (bootstrap->runtime_packages.source == PACKAGE_REPOSITORY)
        TRY(repository_add(&bootstrap->runtime_packages, &view->materials->runtime_key, RUNTIME_LIST, RUNTIME_KEYRING,
                           files, f));
    return OK;
}

enum err ensign_files(const struct step_view *view, struct step_files *files, struct fault *f)
{
    if (step_cluster(view)->bootstrap.ensign_packages.source == PACKAGE_PRESENT)
        return OK;
    return copy_add(files, ENSIGN_PACKAGE_PATH, bytes_span(&view->materials->ensign_package), f);
}

/* ---- the network of pods ---- */

bool applies_cni_manifest(const struct cluster *cluster, const struct node_entry *node)
{
    return cluster->bootstrap.cni == CNI_MANIFEST && is_first_control_plane(cluster, node);
}

bool applies_cni_command(const struct cluster *cluster, const struct node_entry *node)
{
    return cluster->bootstrap.cni == CNI_COMMAND && is_first_control_plane(cluster, node);
}

bool is_first_with_network(const struct cluster *cluster, const struct node_entry *node)
{
    return cluster->bootstrap.cni != CNI_NONE && is_first_control_plane(cluster, node);
}

enum err cni_manifest_files(const struct step_view *view, struct step_files *files, struct fault *f)
{
    return copy_add(files, CNI_MANIFEST_PATH, bytes_span(&view->materials->cni_manifest), f);
}

/* Its words: what was run once is not run again before they change. */
enum err cni_command_files(const struct step_view *view, struct step_files *files, struct fault *f)
{
    const json_t *words = step_cluster(view)->bootstrap.cni_command;
    struct bytes text = {0};
    for (size_t i = 0; i < json_array_size(words); i++)
        bytes_appendf(&text, "%s\n", json_string_value(json_array_get(words, i)));
    return file_add(files, CNI_COMMAND_PATH, 0644, &text, f);
}

/* ---- labels ---- */

static bool any_labels(const struct cluster *cluster)
{
    for (size_t i = 0; i < cluster->nodes_count; i++)
        if (json_object_size(cluster->nodes[i].bootstrap.labels) > 0 && has_kubelet(cluster, &cluster->nodes[i]))
            return true;
    return false;
}

bool applies_labels(const struct cluster *cluster, const struct node_entry *node)
{
    return is_first_control_plane(cluster, node) && any_labels(cluster);
}

enum err label_files(const struct step_view *view, struct step_files *files, struct fault *f)
{
    const struct cluster *cluster = step_cluster(view);
    struct bytes text = {0};
    for (size_t i = 0; i < cluster->nodes_count; i++) {
        const struct node_entry *node = &cluster->nodes[i];
        if (json_object_size(node->bootstrap.labels) == 0 || !has_kubelet(cluster, node))
            continue;
        bytes_appendf(&text, "%s", node->name);
        render_pairs(&text, node->bootstrap.labels, " ", "=", "");
        bytes_append_text(&text, "\n");
    }
    return file_add(files, LABELS_PATH, 0644, &text, f);
}

/* ---- what is to be in use ---- */

/* As a URL has it. */
static void address_line(struct bytes *out, const struct address *address)
{
    char text[ADDRESS_TEXT_SIZE];
    address_text(address, text);
    bytes_appendf(out, address->size == 16 ? "[%s]\n" : "%s\n", text);
}

enum err names_files(const struct step_view *view, struct step_files *files, struct fault *f)
{
    struct bytes text = {0};
    for (size_t i = 0; i < view->catalogue->count; i++) {
        const struct catalogue_item *item = &view->catalogue->items[i];
        const struct alternative_names *names = &item->content.names;
        if (item->node != view->node || strcmp(item->name, "apiserver") != 0)
            continue;
        for (size_t j = 0; j < names->dns_count; j++)
            bytes_appendf(&text, "%s\n", names->dns[j]);
        for (size_t j = 0; j < names->addresses_count; j++)
            address_line(&text, &names->addresses[j]);
    }
    return file_add(files, APISERVER_NAMES_PATH, 0644, &text, f);
}

enum err kubeconfigs_files(const struct step_view *view, struct step_files *files, struct fault *f)
{
    struct bytes text = {0};
    for (size_t i = 0; i < view->catalogue->count; i++) {
        const struct catalogue_item *item = &view->catalogue->items[i];
        if (item->node == view->node && item->kind == CATALOGUE_KUBECONFIG && !item->transient)
            bytes_appendf(&text, "%s %s\n", item->path, item->server);
    }
    return file_add(files, KUBECONFIGS_PATH, 0644, &text, f);
}

enum err control_plane_files(const struct step_view *view, struct step_files *files, struct fault *f)
{
    TRY(names_files(view, files, f));
    return kubeconfigs_files(view, files, f);
}

/* ---- what to ask for ---- */

static const char *const always_asked[] = {
    KUBERNETES_LIST, KUBERNETES_KEYRING,   RUNTIME_LIST,     RUNTIME_KEYRING,   APISERVER_MANIFEST,
    KUBELET_CONFIG,  SUPER_ADMIN_CONF,     CNI_BRIDGE_PATH,  CNI_MANIFEST_PATH, CNI_COMMAND_PATH,
    LABELS_PATH,     APISERVER_NAMES_PATH, KUBECONFIGS_PATH,
};

static size_t render_files_count(void)
{
    size_t count = 0;
    while (render_files[count].path)
        count++;
    return count;
}

enum err step_paths(const struct catalogue *catalogue, const struct node_entry *node, const char ***ret_paths,
                    struct fault *f)
{
    size_t room = 1 + ARRAY_SIZE(always_asked) + render_files_count() + (size_t)3 * CATALOGUE_NODE_ITEMS_MAX + 1,
           count = 0;
    const char **paths = calloc(room, sizeof *paths);
    if (!paths)
        return fault_no_memory(f);
    for (size_t i = 0; i < ARRAY_SIZE(always_asked); i++)
        paths[count++] = always_asked[i];
    paths[count++] = catalogue->cluster->crl_path;
    for (const struct render_file *file = render_files; file->path; file++)
        if (file->applies(catalogue->cluster, node))
            paths[count++] = file->path;
    for (size_t i = 0; i < catalogue->count; i++) {
        const struct catalogue_item *item = &catalogue->items[i];
        const char *own[] = {item->path, item->key_path, item->certificate_path};
        for (size_t j = 0; item->node == node && j < ARRAY_SIZE(own); j++)
            if (own[j])
                paths[count++] = own[j];
    }
    *ret_paths = paths;
    return OK;
}
