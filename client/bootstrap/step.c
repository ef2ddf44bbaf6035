#include "client/bootstrap/step.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "ca/base/encode.h"
#include "client/bootstrap/step_files.h"

const char *const stage_words[] = {"prepare", "ensign",  "enrol",  "etcd", "load-balancer", "init", "control-planes",
                                   "network", "workers", "agents", NULL};

/* ---- what the host says ---- */

static bool has_program(const struct step_view *view, const char *name)
{
    return fact_find(view->facts, LIST_VERSIONS, name) != NULL;
}

static bool why(char ret_why[STEP_WHY_SIZE], const char *format, ...) __attribute__((format(printf, 2, 3)));
/* true, for the caller to return. */
static bool why(char ret_why[STEP_WHY_SIZE], const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(ret_why, STEP_WHY_SIZE, format, arguments);
    va_end(arguments);
    return true;
}

/* A unit that runs, now and after the next boot. */
static bool unit_idle(const struct step_view *view, const char *name, char ret_why[STEP_WHY_SIZE])
{
    const struct fact_row *row = fact_find(view->facts, LIST_UNITS, name);
    if (!row)
        return why(ret_why, "there is no unit %s", name);
    if (strcmp(row->cells[2], "active") != 0)
        return why(ret_why, "%s is %s", name, row->cells[2]);
    return strcmp(row->cells[3], "enabled") != 0 && why(ret_why, "%s is %s", name, row->cells[3]);
}

/* ---- preparation ---- */

static bool missing(const struct step_view *view, const char *program, char ret_why[STEP_WHY_SIZE])
{
    return !has_program(view, program) && why(ret_why, "there is no %s", program);
}

static bool kubernetes_missing(const struct step_view *view, char ret_why[STEP_WHY_SIZE])
{
    return missing(view, "kubelet", ret_why) || missing(view, "kubeadm", ret_why) || missing(view, "kubectl", ret_why);
}

static bool runtime_missing(const struct step_view *view, char ret_why[STEP_WHY_SIZE])
{
    const struct bootstrap *bootstrap = &step_cluster(view)->bootstrap;
    if (missing(view, bootstrap->runtime == RUNTIME_CRIO ? "crio" : "containerd", ret_why))
        return true;
    return bootstrap->cni == CNI_BRIDGE && !fact_is_file(view->facts, CNI_BRIDGE_PATH) &&
           why(ret_why, "there is no " CNI_BRIDGE_PATH);
}

static bool packages_needed(const struct step_view *view, char ret_why[STEP_WHY_SIZE])
{
    const struct cluster *cluster = step_cluster(view);
    if (missing(view, "curl", ret_why))
        return true;
    if (has_kubelet(cluster, view->node) && (kubernetes_missing(view, ret_why) || runtime_missing(view, ret_why)))
        return true;
    if (has_external_etcd(cluster, view->node) && missing(view, "etcd", ret_why))
        return true;
    if (has_haproxy(cluster, view->node) && missing(view, "haproxy", ret_why))
        return true;
    return has_nginx(cluster, view->node) && (missing(view, "nginx", ret_why) || missing(view, "keepalived", ret_why));
}

static bool module_missing(const struct step_view *view, char ret_why[STEP_WHY_SIZE])
{
    const char *const *modules = step_modules(step_cluster(view));
    for (size_t i = 0; modules[i]; i++) {
        const struct fact_row *row = fact_find(view->facts, LIST_MODULES, modules[i]);
        if (row && strcmp(row->cells[1], "available") == 0)
            return why(ret_why, "the module %s is not loaded", modules[i]);
    }
    return false;
}

static bool sysctl_differs(const struct step_view *view, char ret_why[STEP_WHY_SIZE])
{
    static const char *const wanted[] = {"net.ipv4.ip_forward", "net.bridge.bridge-nf-call-iptables",
                                         "net.bridge.bridge-nf-call-ip6tables"};
    for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
        const struct fact_row *row = fact_find(view->facts, LIST_SYSCTLS, wanted[i]);
        if (row && strcmp(row->cells[1], "1") != 0)
            return why(ret_why, "%s is %s", wanted[i], row->cells[1]);
    }
    return false;
}

static bool kubelet_disabled(const struct step_view *view, char ret_why[STEP_WHY_SIZE])
{
    const struct fact_row *row = fact_find(view->facts, LIST_UNITS, "kubelet");
    return row && strcmp(row->cells[3], "enabled") != 0 && why(ret_why, "kubelet is %s", row->cells[3]);
}

static bool host_needed(const struct step_view *view, char ret_why[STEP_WHY_SIZE])
{
    if (view->facts->lists[LIST_SWAPS].count > 0)
        return why(ret_why, "swap is on: %s", view->facts->lists[LIST_SWAPS].rows[0].cells[0]);
    return module_missing(view, ret_why) || sysctl_differs(view, ret_why) ||
           unit_idle(view, step_runtime(step_cluster(view)), ret_why) || kubelet_disabled(view, ret_why);
}

/* "ensign 0.1.0" */
static bool ensign_needed(const struct step_view *view, char ret_why[STEP_WHY_SIZE])
{
    const struct fact_row *row = fact_find(view->facts, LIST_VERSIONS, "ensign");
    if (!row)
        return why(ret_why, "there is no ensign");
    return step_cluster(view)->bootstrap.ensign_packages.source == PACKAGE_FILE &&
           !strstr(row->cells[1], ENSIGN_VERSION) &&
           why(ret_why, "there is %.60s, and here is " ENSIGN_VERSION, row->cells[1]);
}

/* ---- certificates ---- */

static bool absent(const struct step_view *view, const char *path, char ret_why[STEP_WHY_SIZE])
{
    return path && !fact_is_file(view->facts, path) && why(ret_why, "there is no %.160s", path);
}

bool step_initialised(const struct step_view *view)
{
    return fact_is_file(view->facts, APISERVER_MANIFEST) && fact_is_file(view->facts, KUBELET_CONFIG);
}

static bool enrol_needed(const struct step_view *view, char ret_why[STEP_WHY_SIZE])
{
    for (size_t i = 0; i < view->catalogue->count; i++) {
        const struct catalogue_item *item = &view->catalogue->items[i];
        if (item->node != view->node || (item->transient && step_initialised(view)))
            continue;
        if (absent(view, item->path, ret_why) || absent(view, item->key_path, ret_why) ||
            absent(view, item->certificate_path, ret_why))
            return true;
    }
    return false;
}

/* ---- etcd and the load balancer ---- */

static bool etcd_needed(const struct step_view *view, char ret_why[STEP_WHY_SIZE])
{
    return unit_idle(view, "etcd", ret_why);
}

static bool haproxy_needed(const struct step_view *view, char ret_why[STEP_WHY_SIZE])
{
    return unit_idle(view, "haproxy", ret_why);
}

static bool nginx_needed(const struct step_view *view, char ret_why[STEP_WHY_SIZE])
{
    return unit_idle(view, "nginx", ret_why) || unit_idle(view, "keepalived", ret_why);
}

/* ---- control planes and workers ---- */

static bool control_plane_needed(const struct step_view *view, char ret_why[STEP_WHY_SIZE])
{
    return !step_initialised(view) &&
           why(ret_why, "there is no %s",
               fact_is_file(view->facts, APISERVER_MANIFEST) ? KUBELET_CONFIG : APISERVER_MANIFEST);
}

static bool worker_needed(const struct step_view *view, char ret_why[STEP_WHY_SIZE])
{
    return absent(view, KUBELET_CONFIG, ret_why);
}

static bool bridge_needed(const struct step_view *view, char ret_why[STEP_WHY_SIZE])
{
    return unit_idle(view, "ensign-pod-routes", ret_why);
}

static bool agent_needed(const struct step_view *view, char ret_why[STEP_WHY_SIZE])
{
    return unit_idle(view, "ensign-agent", ret_why);
}

static bool tidy_needed(const struct step_view *view, char ret_why[STEP_WHY_SIZE])
{
    return fact_is_file(view->facts, SUPER_ADMIN_CONF) &&
           why(ret_why, SUPER_ADMIN_CONF " is there, which gets past RBAC");
}

/* ---- clusters that run ---- */

static bool kubelet_started(const struct step_view *view)
{
    return fact_is_file(view->facts, KUBELET_CONFIG);
}

/* The configuration is of the cluster file's minor version: where that is still to come, kubeadm does not read it. */
static bool settings_readable(const struct step_view *view)
{
    const struct fact_row *row = fact_find(view->facts, LIST_VERSIONS, "kubeadm");
    unsigned minor = 0;
    return step_initialised(view) && row && sscanf(row->cells[1], "v1.%u.", &minor) == 1 &&
           minor == step_cluster(view)->kubernetes_minor;
}

/* ---- the table ---- */

#define FILES_OF(purpose) (1u << (purpose))

const struct step_kind step_kinds[] = {
    {STAGE_PREPARE, "packages", "install packages", .applies = is_any, .needed = packages_needed,
     .more_files = repository_files, .deadline_seconds = 1800},
    {STAGE_PREPARE, "host", "prepare kernel and container runtime", .applies = has_kubelet, .needed = host_needed,
     .purposes = FILES_OF(RENDER_HOST), .deadline_seconds = 120},
    {STAGE_ENSIGN, "ensign", "install ensign", .applies = is_any, .needed = ensign_needed, .once = true,
     .more_files = ensign_files, .deadline_seconds = 600},
    {STAGE_ENROL, "enrol", "get certificates", .applies = is_any, .needed = enrol_needed, .deadline_seconds = 300},
    {STAGE_ENROL, "certificates", "have the API server show its names", .applies = is_control_plane,
     .when = step_initialised, .more_files = names_files, .deadline_seconds = 300},
    {STAGE_ETCD, "etcd", "run etcd", .applies = has_external_etcd, .needed = etcd_needed,
     .purposes = FILES_OF(RENDER_ETCD), .deadline_seconds = 300},
    {STAGE_ETCD, "etcd", "etcd is healthy", .gate = true, .applies = has_external_etcd, .deadline_seconds = 120},
    {STAGE_LOAD_BALANCER, "haproxy", "start HAProxy", .applies = has_haproxy, .needed = haproxy_needed,
     .purposes = FILES_OF(RENDER_LOAD_BALANCER), .deadline_seconds = 120},
    {STAGE_LOAD_BALANCER, "nginx", "start nginx and keepalived", .applies = has_nginx, .needed = nginx_needed,
     .purposes = FILES_OF(RENDER_LOAD_BALANCER), .deadline_seconds = 120},
    {STAGE_LOAD_BALANCER, "kube_vip", "place kube-vip's manifest", .applies = has_kube_vip,
     .purposes = FILES_OF(RENDER_STATIC_POD), .deadline_seconds = 60},
    {STAGE_LOAD_BALANCER, "balancer", "the load balancer listens", .gate = true, .applies = has_balancer,
     .deadline_seconds = 60},
    {STAGE_LOAD_BALANCER, "kubeconfigs", "have kubeconfigs name their server", .applies = has_kubelet,
     .when = kubelet_started, .more_files = kubeconfigs_files, .deadline_seconds = 300},
    {STAGE_INIT, "init", "kubeadm init", .applies = is_first_control_plane, .needed = control_plane_needed,
     .once = true, .purposes = FILES_OF(RENDER_KUBEADM) | FILES_OF(RENDER_SETTINGS), .more_files = control_plane_files,
     .deadline_seconds = 900},
    /* Before anything waits for the health that these may bring back, and before others join by them. */
    {STAGE_INIT, "settings", "change the settings of the control plane", .serial = true, .applies = is_control_plane,
     .when = settings_readable, .purposes = FILES_OF(RENDER_SETTINGS), .deadline_seconds = 900},
    {STAGE_INIT, "control_plane", "the first control plane is healthy", .gate = true, .applies = is_first_control_plane,
     .deadline_seconds = 900},
    {STAGE_CONTROL_PLANES, "control_plane", "kubeadm join as a control plane", .serial = true,
     .applies = is_further_control_plane, .needed = control_plane_needed, .once = true,
     .purposes = FILES_OF(RENDER_KUBEADM) | FILES_OF(RENDER_SETTINGS), .more_files = control_plane_files,
     .deadline_seconds = 900},
    {STAGE_CONTROL_PLANES, "control_plane", "the control planes are healthy", .gate = true,
     .applies = is_further_control_plane, .deadline_seconds = 900},
    {STAGE_NETWORK, "bridge", "connect pods by a bridge and routes", .applies = has_bridge, .needed = bridge_needed,
     .purposes = FILES_OF(RENDER_CNI), .deadline_seconds = 60},
    {STAGE_NETWORK, "manifest", "apply the manifest of the CNI", .applies = applies_cni_manifest,
     .more_files = cni_manifest_files, .deadline_seconds = 120},
    {STAGE_NETWORK, "command", "run the command of the CNI", .applies = applies_cni_command,
     .more_files = cni_command_files, .deadline_seconds = 900},
    {STAGE_WORKERS, "worker", "kubeadm join", .applies = is_only_worker, .needed = worker_needed, .once = true,
     .purposes = FILES_OF(RENDER_KUBEADM), .more_files = kubeconfigs_files, .deadline_seconds = 600},
    {STAGE_WORKERS, "kubelet", "the kubelet is healthy", .gate = true, .applies = is_only_worker,
     .deadline_seconds = 120},
    {STAGE_WORKERS, "labels", "label nodes", .applies = applies_labels, .more_files = label_files,
     .deadline_seconds = 120},
    {STAGE_WORKERS, "nodes", "all nodes are Ready", .gate = true, .applies = is_first_with_network,
     .deadline_seconds = 240},
    {STAGE_AGENTS, "tidy", "remove super-admin.conf", .applies = is_control_plane, .needed = tidy_needed, .once = true,
     .purposes = FILES_OF(RENDER_STATIC_POD), .deadline_seconds = 60},
    {STAGE_AGENTS, "agent", "start the agent", .applies = is_any, .needed = agent_needed, .deadline_seconds = 60},
    {0},
};

const struct step_kind step_share = {STAGE_ENROL, "share", "hand on what control planes share", .applies = is_any,
                                     .deadline_seconds = 120};
const struct step_kind step_reset = {STAGE_PREPARE, "reset", "take the host back", .applies = is_any,
                                     .deadline_seconds = 600};

/* ---- whether ---- */

static bool file_differs(const struct step_view *view, const struct step_file *file, char ret_why[STEP_WHY_SIZE])
{
    const struct fact_row *row = fact_find(view->facts, LIST_FILES, file->path);
    char digest[SHA256_TEXT_SIZE], mode[8];
    if (!row || strcmp(row->cells[1], "absent") == 0)
        return why(ret_why, "there is no %.160s", file->path);
    if (strcmp(row->cells[1], "file") != 0)
        return why(ret_why, "%.150s is a %s", file->path, row->cells[1]);
    sha256_text(bytes_span(&file->content), digest);
    if (strcmp(row->cells[FACT_CELLS_MAX], digest) != 0)
        return why(ret_why, "%.150s differs", file->path);
    snprintf(mode, sizeof mode, "%o", file->mode);
    return (strcmp(row->cells[2], mode) != 0 || strcmp(row->cells[3], "root") != 0) &&
           why(ret_why, "%.120s has mode %s and owner %.20s", file->path, row->cells[2], row->cells[3]);
}

static enum err files_differ(const struct step_view *view, const struct step_kind *kind, bool *ret_differ,
                             char ret_why[STEP_WHY_SIZE], struct fault *f)
{
    AUTO(step_files) files = {0};
    *ret_differ = false;
    TRY(step_files_make(view, kind, &files, f));
    for (size_t i = 0; i < files.count && !*ret_differ; i++)
        *ret_differ = file_differs(view, &files.rows[i], ret_why);
    return OK;
}

static bool interrupted(const struct step_view *view, const struct step_kind *kind)
{
    return fact_find(view->facts, LIST_BEGUN, kind->name) != NULL;
}

enum err step_needed(const struct step_view *view, const struct step_kind *kind, bool *ret_needed,
                     char ret_why[STEP_WHY_SIZE], struct fault *f)
{
    ret_why[0] = '\0';
    *ret_needed = false;
    if (kind->gate || !kind->applies(step_cluster(view), view->node) || (kind->when && !kind->when(view)))
        return OK;
    *ret_needed = (interrupted(view, kind) && why(ret_why, "it was interrupted")) ||
                  (kind->needed && kind->needed(view, ret_why));
    return *ret_needed || kind->once ? OK : files_differ(view, kind, ret_needed, ret_why, f);
}
