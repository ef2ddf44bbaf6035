/* A step as a program for sh: steps.sh and settings.sh, what it has to know as variables, its files, the call. All
 * texts are quoted; the contents of files are base64. */
#include <stdio.h>
#include <string.h>

#include "ca/base/encode.h"
#include "client/bootstrap/scripts.h"
#include "client/bootstrap/ssh.h"
#include "client/bootstrap/step_files.h"
#include "client/bootstrap/upgrade.h"
#include "client/files.h"

#define END_MARK "ENSIGN-END"

enum { FILE_LINE_SIZE = 1000 };

static void variable(struct bytes *out, const char *name, const char *value)
{
    bytes_appendf(out, "%s=", name);
    shell_quote(out, value);
    bytes_append_text(out, "\n");
}

static void number(struct bytes *out, const char *name, long long value)
{
    bytes_appendf(out, "%s=%lld\n", name, value);
}

/* ---- packages ---- */

static void package(struct bytes *out, const char *name, const char *version)
{
    bytes_appendf(out, "%s%s%s%s", out->size ? " " : "", name, version ? "=" : "", version ? version : "");
}

static void kubelet_packages(const struct bootstrap *bootstrap, struct bytes *packages, struct bytes *held)
{
    static const char *const names[] = {"kubelet", "kubeadm", "kubectl"};
    const struct packages *kubernetes = &bootstrap->kubernetes_packages, *runtime = &bootstrap->runtime_packages;
    for (size_t i = 0; kubernetes->source != PACKAGE_PRESENT && i < ARRAY_SIZE(names); i++) {
        package(packages, names[i], kubernetes->version);
        package(held, names[i], NULL);
    }
    if (runtime->source == PACKAGE_PRESENT)
        return;
    package(packages, bootstrap->runtime == RUNTIME_CRIO ? "cri-o" : "containerd", runtime->version);
    if (bootstrap->cni == CNI_BRIDGE)
        package(packages, "containernetworking-plugins", NULL);
}

static void packages_write(const struct step_view *view, struct bytes *out)
{
    const struct cluster *cluster = step_cluster(view);
    AUTO(bytes) packages = {0};
    AUTO(bytes) held = {0};
    package(&packages, "curl", NULL);
    if (has_kubelet(cluster, view->node))
        kubelet_packages(&cluster->bootstrap, &packages, &held);
    if (has_external_etcd(cluster, view->node))
        bytes_append_text(&packages, " etcd-server etcd-client");
    if (has_haproxy(cluster, view->node))
        bytes_append_text(&packages, " haproxy");
    if (has_nginx(cluster, view->node))
        bytes_append_text(&packages, " nginx libnginx-mod-stream keepalived");
    variable(out, "packages", bytes_text(&packages));
    variable(out, "programs",
             !has_kubelet(cluster, view->node)            ? "curl"
             : cluster->bootstrap.runtime == RUNTIME_CRIO ? "curl kubelet kubeadm kubectl crio"
                                                          : "curl kubelet kubeadm kubectl containerd");
    variable(out, "held", bytes_text(&held));
    out->failed |= packages.failed || held.failed;
}

/* ---- what all steps may use ---- */

static void words_write(struct bytes *out, const char *name, const char *const *words)
{
    AUTO(bytes) text = {0};
    for (size_t i = 0; words[i]; i++)
        bytes_appendf(&text, "%s%s", i ? " " : "", words[i]);
    variable(out, name, bytes_text(&text));
    out->failed |= text.failed;
}

static void nodes_write(const struct cluster *cluster, struct bytes *out)
{
    AUTO(bytes) text = {0};
    for (size_t i = 0; i < cluster->nodes_count; i++)
        if (has_kubelet(cluster, &cluster->nodes[i]))
            bytes_appendf(&text, "%s%s", text.size ? " " : "", cluster->nodes[i].name);
    variable(out, "nodes", bytes_text(&text));
    out->failed |= text.failed;
}

static void runtime_write(const struct cluster *cluster, struct bytes *out)
{
    const struct bootstrap *bootstrap = &cluster->bootstrap;
    variable(out, "runtime", step_runtime(cluster));
    variable(out, "runtime_socket", bootstrap->runtime_socket + strlen("unix://"));
    variable(out, "runtime_config",
             bootstrap->runtime == RUNTIME_CRIO ? "/etc/crio/crio.conf.d/90-ensign.conf"
                                                : "/etc/containerd/config.toml");
    words_write(out, "modules", step_modules(cluster));
}

/* What a host has of its cluster, and of no other: packages and the kernel's settings stay. */
static void removed_write(const struct step_view *view, struct bytes *out)
{
    const unsigned kept = 1u << RENDER_HOST;
    const char *data = step_cluster(view)->bootstrap.etcd_data_dir;
    AUTO(bytes) text = {0};
    bytes_append_text(&text, "/etc/ensign/node " MARKS_FOLDER " " CNI_MANIFEST_PATH " " RESTORE_MANIFESTS_PATH);
    bytes_appendf(&text, " %s", step_cluster(view)->crl_path);
    if (view->node->roles & ROLE_ETCD)
        bytes_appendf(&text, " %s %s.ensign-restore", data, data);
    for (const struct render_file *file = render_files; file->path; file++)
        if (!(kept & 1u << file->purpose) && file->applies(step_cluster(view), view->node))
            bytes_appendf(&text, " %s", file->path);
    for (size_t i = 0; i < view->catalogue->count; i++) {
        const struct catalogue_item *item = &view->catalogue->items[i];
        const char *own[] = {item->path, item->key_path, item->certificate_path};
        for (size_t j = 0; item->node == view->node && j < ARRAY_SIZE(own); j++)
            if (own[j])
                bytes_appendf(&text, " %s", own[j]);
    }
    variable(out, "removed", bytes_text(&text));
    out->failed |= text.failed;
}

static void units_write(const struct step_view *view, struct bytes *out)
{
    const struct cluster *cluster = step_cluster(view);
    const char *units[5] = {0};
    size_t count = 0;
    if (has_external_etcd(cluster, view->node))
        units[count++] = "etcd";
    if (has_haproxy(cluster, view->node))
        units[count++] = "haproxy";
    if (has_nginx(cluster, view->node))
        units[count++] = "nginx keepalived";
    if (has_bridge(cluster, view->node))
        units[count++] = "ensign-pod-routes";
    words_write(out, "units", units);
}

/* Before 1.22 they are no part of kubeadm's configuration. */
static enum err phases_write(const struct cluster *cluster, struct bytes *out, struct fault *f)
{
    AUTO(bytes) phases = {0};
    if (cluster->kubernetes_minor < KUBERNETES_MINOR_SKIP_PHASES)
        TRY(render_skip_phases(cluster, &phases, f));
    variable(out, "skip_phases", bytes_text(&phases));
    return OK;
}

static const struct catalogue_item *own_item(const struct step_view *view, const char *name)
{
    for (size_t i = 0; i < view->catalogue->count; i++)
        if (view->catalogue->items[i].node == view->node && strcmp(view->catalogue->items[i].name, name) == 0)
            return &view->catalogue->items[i];
    return NULL;
}

/* How a member speaks with others: its own certificate of a client, and where they are. */
static void etcd_write(const struct step_view *view, struct bytes *out)
{
    const struct cluster *cluster = step_cluster(view);
    const struct catalogue_item *bundle = own_item(view, "etcd-ca"),
                                *client = own_item(view, "etcd-healthcheck-client");
    AUTO(bytes) others = {0};
    AUTO(bytes) members = {0};
    char host[HOST_TEXT_SIZE];
    for (size_t i = 0; i < cluster->nodes_count; i++) {
        render_host(&cluster->nodes[i], host);
        if (cluster->nodes[i].roles & ROLE_ETCD && &cluster->nodes[i] != view->node)
            bytes_appendf(&others, "%shttps://%s:2379", others.size ? " " : "", host);
    }
    render_host(view->node, host);
    bytes_appendf(out, "etcd_own=https://%s:2379\npeer_url=https://%s:2380\n", host, host);
    render_members(cluster, &members);
    variable(out, "etcd_others", bytes_text(&others));
    variable(out, "initial_cluster", bytes_text(&members));
    variable(out, "etcd_ca", bundle ? bundle->path : "");
    variable(out, "etcd_client_cert", client ? client->path : "");
    variable(out, "etcd_client_key", client ? client->key_path : "");
    variable(out, "etcd_join", ETCD_JOIN_PATH);
    variable(out, "set_aside", RESTORE_MANIFESTS_PATH);
    variable(out, "etcd_runs", view->etcd_runs ? "yes" : "");
    variable(out, "etcd_data_dir", cluster->bootstrap.etcd_data_dir);
    out->failed |= others.failed || members.failed;
}

static enum err variables_write(const struct step_view *view, struct bytes *out, struct fault *f)
{
    const struct cluster *cluster = step_cluster(view);
    char host[HOST_TEXT_SIZE], endpoint[SERVER_URL_SIZE];
    render_host(view->node, host);
    apiserver_url(cluster, cluster_first_control_plane(cluster), endpoint);
    variable(out, "own_name", view->node->name);
    variable(out, "host_text", host);
    variable(out, "hurry", view->hurry ? "yes" : "");
    variable(out, "server", view->server ? view->server : "");
    variable(out, "stacked", cluster->etcd_topology == ETCD_STACKED ? "yes" : "");
    etcd_write(view, out);
    variable(out, "ensign_package", ENSIGN_PACKAGE_PATH);
    variable(out, "manifest", CNI_MANIFEST_PATH);
    variable(out, "command", CNI_COMMAND_PATH);
    variable(out, "labels", LABELS_PATH);
    variable(out, "apiserver_names", APISERVER_NAMES_PATH);
    variable(out, "kubeconfigs", KUBECONFIGS_PATH);
    variable(out, "settings", RENDER_SETTINGS_PATH);
    variable(out, "endpoint", endpoint);
    variable(out, "first", is_first_control_plane(cluster, view->node) ? "yes" : "");
    number(out, "endpoint_port", cluster->endpoint_port);
    number(out, "control_plane_timeout", cluster->bootstrap.control_plane_timeout_seconds);
    packages_write(view, out);
    removed_write(view, out);
    units_write(view, out);
    etcd_write(view, out);
    nodes_write(cluster, out);
    runtime_write(cluster, out);
    return phases_write(cluster, out, f);
}

/* ---- files ---- */

static void file_write(const struct step_file *file, struct bytes *out)
{
    CLEANUP(secret_cleanup) struct bytes text = {0};
    base64_append(&text, bytes_span(&file->content));
    bytes_append_text(out, "put ");
    shell_quote(out, file->path);
    bytes_appendf(out, " %04o <<'" END_MARK "'\n", file->mode);
    for (size_t at = 0; at < text.size; at += FILE_LINE_SIZE) {
        size_t left = text.size - at;
        bytes_append(out, text.data + at, left < FILE_LINE_SIZE ? left : FILE_LINE_SIZE);
        bytes_append_text(out, "\n");
    }
    bytes_append_text(out, END_MARK "\n");
    out->failed |= text.failed;
}

static enum err files_write(const struct step_view *view, const struct step_kind *kind, struct bytes *out,
                            struct fault *f)
{
    AUTO(step_files) files = {0};
    TRY(step_files_make(view, kind, &files, f));
    for (size_t i = 0; i < files.count; i++)
        file_write(&files.rows[i], out);
    return OK;
}

/* ---- the whole ---- */

static void call_write(const struct step_kind *kind, const char *input, struct bytes *out)
{
    bytes_appendf(out, "%s_%s", kind->gate ? "gate" : "step", kind->name);
    if (input)
        bytes_appendf(out, " <<'" END_MARK "'\n%s\n" END_MARK "\n", input);
    else
        bytes_append_text(out, " </dev/null\n");
}

enum err step_script(const struct step_view *view, const struct step_kind *kind, const char *input,
                     struct bytes *ret_script, struct fault *f)
{
    CLEANUP(secret_cleanup) struct bytes out = {0};
    bytes_append_text(&out, shipped_steps_script);
    bytes_append_text(&out, shipped_members_script);
    bytes_append_text(&out, shipped_settings_script);
    bytes_append_text(&out, kind->functions ? kind->functions : "");
    TRY(variables_write(view, &out, f));
    if (view->upgrade) {
        TRY(upgrade_variables(view->upgrade, view, view->upgraded, &out, f));
        bytes_append_text(&out, shipped_upgrade_script);
    }
    if (!kind->gate) {
        bytes_appendf(&out, "begin %s\n", kind->name);
        TRY(files_write(view, kind, &out, f));
    }
    call_write(kind, input, &out);
    if (!kind->gate)
        bytes_append_text(&out, "end\n");
    return bytes_give(&out, ret_script, f);
}
