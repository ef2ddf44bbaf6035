#include "client/bootstrap/upgrade.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/bootstrap/ssh.h"
#include "client/bootstrap/step_files.h"

/* The first minor from which on a kubelet may be three minors older than its API server, and not just two
 * (kubernetes.io/releases/version-skew-policy). */
enum { MINOR_KUBELET_THREE_OLDER = 28 };

/* ---- versions ---- */

static bool number_read(const char **text, unsigned *ret_number)
{
    size_t digits = strspn(*text, "0123456789");
    if (digits == 0 || digits > 4)
        return false;
    *ret_number = (unsigned)strtoul(*text, NULL, 10);
    *text += digits;
    return true;
}

bool kubernetes_version_find(const char *text, struct kubernetes_version *ret_version)
{
    unsigned patch;
    for (const char *at = strstr(text, "1."); at; at = strstr(at + 1, "1.")) {
        const char *rest = at + strlen("1.");
        if (at > text && strchr("0123456789.", at[-1]))
            continue;
        if (!number_read(&rest, &ret_version->minor) || *rest++ != '.' || !number_read(&rest, &patch))
            continue;
        ret_version->patch = (int)patch;
        return true;
    }
    return false;
}

int kubernetes_version_compare(const struct kubernetes_version *a, const struct kubernetes_version *b)
{
    if (a->minor != b->minor)
        return a->minor < b->minor ? -1 : 1;
    return (a->patch > b->patch) - (a->patch < b->patch);
}

enum err upgrade_version_read(const char *text, struct upgrade *upgrade, struct fault *f)
{
    struct kubernetes_version *to = &upgrade->to;
    text += *text == 'v';
    if (kubernetes_version_find(text, to)) {
        snprintf(upgrade->text, sizeof upgrade->text, "1.%u.%d", to->minor, to->patch);
        if (strcmp(upgrade->text, text) == 0 && to->minor >= KUBERNETES_MINOR_MIN && to->minor <= KUBERNETES_MINOR_MAX)
            return OK;
    }
    return fault_set(f, CODE_USAGE, "--to takes a release from 1.%d to 1.%d with its patch, as 1.31.4",
                     KUBERNETES_MINOR_MIN, KUBERNETES_MINOR_MAX);
}

/* ---- what a host has ---- */

struct state {
    bool has_kubelet, has_server; /* of what follows */
    struct kubernetes_version kubelet, server;
    bool has_kubeadm;
    struct kubernetes_version kubeadm, program; /* on its disk; program: the kubelet */
    bool has_program, interrupted;
};

static bool program_version(const struct step_view *view, const char *name, struct kubernetes_version *ret_version)
{
    const struct fact_row *row = fact_find(view->facts, LIST_VERSIONS, name);
    return row && kubernetes_version_find(row->cells[1], ret_version);
}

static struct state state_of(const struct step_view *view)
{
    struct state state = {0};
    state.has_program = program_version(view, "kubelet", &state.program);
    state.has_kubeadm = program_version(view, "kubeadm", &state.kubeadm);
    state.has_server = program_version(view, "kube-apiserver", &state.server);
    state.has_kubelet = program_version(view, "running-kubelet", &state.kubelet);
    if (!state.has_kubelet && (state.has_kubelet = state.has_program)) /* it is the one on the disk */
        state.kubelet = state.program;
    state.interrupted = fact_find(view->facts, LIST_BEGUN, UPGRADE_MARK) != NULL;
    return state;
}

static bool is_server(const struct step_view *view)
{
    return view->node->roles & ROLE_CONTROL_PLANE;
}

static bool is_node(const struct step_view *view)
{
    return has_kubelet(step_cluster(view), view->node);
}

static bool has_version(const struct upgrade *upgrade, const struct step_view *view, const struct state *state)
{
    return !state->interrupted && kubernetes_version_compare(&state->kubelet, &upgrade->to) == 0 &&
           (!is_server(view) || kubernetes_version_compare(&state->server, &upgrade->to) == 0);
}

/* ---- what speaks against it ---- */

static void joined_check(const struct step_view *view, struct fault *f)
{
    if (!fact_is_file(view->facts, KUBELET_CONFIG))
        fault_reason(f, view->node->name, "it is no node of the cluster yet: `ensign cluster apply` first");
}

/* Of what runs there. `what`: "its kubelet" */
static void way_check(const struct upgrade *upgrade, const struct step_view *view, const char *what,
                      const struct kubernetes_version *from, unsigned minors, struct fault *f)
{
    if (kubernetes_version_compare(from, &upgrade->to) > 0)
        fault_reason(f, view->node->name, "%s is 1.%u.%d: kubeadm takes no version back", what, from->minor,
                     from->patch);
    else if (from->minor + minors < upgrade->to.minor)
        fault_reason(f, view->node->name, "%s is 1.%u.%d: go by one minor version at a time, to 1.%u first", what,
                     from->minor, from->patch, from->minor + 1);
}

static void versions_check(const struct upgrade *upgrade, const struct step_view *view, const struct state *state,
                           struct fault *f)
{
    if (!state->has_kubelet)
        fault_reason(f, view->node->name, "its kubelet does not tell its version");
    else
        way_check(upgrade, view, "its kubelet", &state->kubelet, upgrade->to.minor >= MINOR_KUBELET_THREE_OLDER ? 3 : 2,
                  f);
    if (!is_server(view))
        return;
    if (!state->has_server)
        fault_reason(f, view->node->name, "%s does not tell a version", APISERVER_MANIFEST);
    else
        way_check(upgrade, view, "its API server", &state->server, 1, f);
}

/* kubeadm 1.29.0 to 1.29.4 wants to sign a super-admin.conf on the way from 1.28, which takes the CA's key
 * (github.com/kubernetes/kubeadm/issues/3055). */
static void kubeadm_check(const struct upgrade *upgrade, const struct step_view *view, const struct state *state,
                          struct fault *f)
{
    if (is_server(view) && state->has_server && state->server.minor == 28 && upgrade->to.minor == 29 &&
        upgrade->to.patch < 5)
        fault_reason(f, view->node->name,
                     "kubeadm %s fails where the CA's key is elsewhere: from 1.28 go to 1.29.5 or later",
                     upgrade->text);
}

static bool pinned_to_another(const struct upgrade *upgrade, const char *version)
{
    size_t size = strlen(upgrade->text);
    const char *upstream = version && strchr(version, ':') ? strchr(version, ':') + 1 : version;
    return upstream && (strncmp(upstream, upgrade->text, size) != 0 || (upstream[size] && upstream[size] != '-'));
}

static void packages_check(const struct upgrade *upgrade, const struct step_view *view, const struct state *state,
                           struct fault *f)
{
    const struct packages *packages = &step_cluster(view)->bootstrap.kubernetes_packages;
    if (packages->source != PACKAGE_PRESENT)
        return;
    if (!state->has_kubeadm || kubernetes_version_compare(&state->kubeadm, &upgrade->to) != 0 || !state->has_program ||
        kubernetes_version_compare(&state->program, &upgrade->to) != 0)
        fault_reason(f, view->node->name,
                     "kubeadm and kubelet there are not %s, and packages come from nowhere "
                     "(bootstrap.packages.kubernetes): install kubeadm, kubelet and kubectl %s there, without "
                     "restarting the kubelet, or name a repository",
                     upgrade->text, upgrade->text);
}

/* Of the API servers that tell one; a version beyond all where none does. */
static struct kubernetes_version oldest_server(const struct step_view *views, size_t count)
{
    struct kubernetes_version oldest = {KUBERNETES_MINOR_MAX + 1, 0};
    for (size_t i = 0; i < count; i++) {
        const struct state state = state_of(&views[i]);
        if (is_server(&views[i]) && state.has_server && kubernetes_version_compare(&state.server, &oldest) < 0)
            oldest = state.server;
    }
    return oldest;
}

/* A kubelet never is newer than an API server that it may ask, but while control planes are upgraded. */
static void skew_check(const struct step_view *view, const struct state *state, const struct kubernetes_version *oldest,
                       struct fault *f)
{
    if (state->has_kubelet && state->kubelet.minor > oldest->minor &&
        !(is_server(view) && state->has_server && state->server.minor >= state->kubelet.minor))
        fault_reason(f, view->node->name,
                     "its kubelet is 1.%u.%d, newer than an API server, 1.%u.%d: put the older one back there",
                     state->kubelet.minor, state->kubelet.patch, oldest->minor, oldest->patch);
}

static const struct kubernetes_facts *facts_of(const struct kubernetes_version *version)
{
    return kubernetes_facts(version->minor, version->patch);
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_certificates(const struct kubernetes_version *a, const struct kubernetes_version *b)
{
    const struct kubernetes_facts *one = facts_of(a), *other = facts_of(b);
    return same_text(one->kubelet_client_organization, other->kubelet_client_organization) &&
           same_text(one->admin_organization, other->admin_organization) &&
           same_text(one->super_admin_organization, other->super_admin_organization);
}

bool upgrade_changes_certificates(const struct upgrade *upgrade)
{
    return !same_certificates(&upgrade->service, &upgrade->to);
}

/* The service must not be ahead: what it gives for a newer version, the older does not know. */
static void files_check(const struct upgrade *upgrade, const struct kubernetes_version *oldest, struct fault *f)
{
    const struct kubernetes_version *service = &upgrade->service;
    if (upgrade->file.minor != upgrade->to.minor && upgrade->file.minor + 1 != upgrade->to.minor)
        fault_reason(f, "kubernetesVersion", "the cluster file has 1.%u: put 1.%u there, from which this goes, or 1.%u",
                     upgrade->file.minor, upgrade->to.minor - 1, upgrade->to.minor);
    if (kubernetes_version_compare(service, oldest) > 0 && !same_certificates(service, oldest))
        fault_reason(f, "kubernetesVersion",
                     "the service has 1.%u already, and gives certificates that an API server of 1.%u.%d knows no "
                     "rights for: put \"1.%u\" back (`ensign cluster update`) until this is done",
                     service->minor, oldest->minor, oldest->patch, oldest->minor);
}

/* Packages of a repository or the distribution. */
static void pin_check(const struct upgrade *upgrade, const struct packages *packages, struct fault *f)
{
    if (packages->source != PACKAGE_PRESENT && pinned_to_another(upgrade, packages->version))
        fault_reason(f, "bootstrap.packages.kubernetes.version", "\"%s\" is no package of %s", packages->version,
                     upgrade->text);
}

enum err upgrade_check(const struct upgrade *upgrade, const struct step_view *views, size_t count, struct fault *f)
{
    const struct kubernetes_version oldest = oldest_server(views, count);
    for (size_t i = 0; i < count; i++) {
        const struct state state = state_of(&views[i]);
        if (!is_node(&views[i]))
            continue;
        joined_check(&views[i], f);
        versions_check(upgrade, &views[i], &state, f);
        kubeadm_check(upgrade, &views[i], &state, f);
        packages_check(upgrade, &views[i], &state, f);
        skew_check(&views[i], &state, &oldest, f);
    }
    files_check(upgrade, &oldest, f);
    pin_check(upgrade, &step_cluster(&views[0])->bootstrap.kubernetes_packages, f);
    return fault_if_reasons(f, CODE_INVALID, "this cluster cannot go to %s; nothing was changed", upgrade->text);
}

/* ---- the plan ---- */

const struct step_kind upgrade_kinds[UPGRADE_PARTS] = {
    [UPGRADE_KUBEADM] = {STAGE_PREPARE, "upgrade", "kubeadm upgrade", .applies = has_kubelet,
                         .purposes = 1u << RENDER_KUBEADM, .more_files = repository_files, .deadline_seconds = 1800},
    [UPGRADE_DRAIN] = {STAGE_PREPARE, "upgrade_drain", "drain", .applies = is_first_control_plane,
                       .deadline_seconds = 60},
    [UPGRADE_KUBELET] = {STAGE_PREPARE, "upgrade_kubelet", "upgrade the kubelet", .applies = has_kubelet,
                         .deadline_seconds = 1800},
    [UPGRADE_UNCORDON] = {STAGE_PREPARE, "upgrade_uncordon", "uncordon", .applies = is_first_control_plane,
                          .deadline_seconds = 300},
    [UPGRADE_END] = {STAGE_PREPARE, "upgraded", "finish", .applies = has_kubelet, .deadline_seconds = 60},
};

bool upgrade_part_is_elsewhere(const struct step_kind *kind)
{
    return kind->applies == is_first_control_plane;
}

static void why_write(const struct upgrade *upgrade, const struct step_view *view, const struct state *state,
                      char ret_why[STEP_WHY_SIZE])
{
    const struct kubernetes_version *from = &state->kubelet;
    if (is_server(view) && kubernetes_version_compare(&state->server, from) < 0)
        from = &state->server;
    if (state->interrupted)
        snprintf(ret_why, STEP_WHY_SIZE, "it was interrupted");
    else
        snprintf(ret_why, STEP_WHY_SIZE, "from 1.%u.%d to %s", from->minor, from->patch, upgrade->text);
}

static enum err node_plan(const struct upgrade *upgrade, const struct step_view *view, size_t host, struct plan *plan,
                          struct fault *f)
{
    const struct state state = state_of(view);
    if (!upgrade->force && has_version(upgrade, view, &state))
        return OK;
    for (size_t i = 0; i < UPGRADE_PARTS; i++) {
        struct plan_row row = {.kind = &upgrade_kinds[i], .host = host};
        why_write(upgrade, view, &state, row.why);
        TRY(plan_add(plan, &row, f));
    }
    return OK;
}

enum err upgrade_plan(const struct upgrade *upgrade, const struct step_view *views, size_t count, struct plan *ret_plan,
                      struct fault *f)
{
    static node_is *const order[] = {is_first_control_plane, is_further_control_plane, is_only_worker};
    AUTO(plan) plan = {0};
    for (size_t turn = 0; turn < ARRAY_SIZE(order); turn++)
        for (size_t i = 0; i < count; i++)
            if (order[turn](step_cluster(&views[i]), views[i].node))
                TRY(node_plan(upgrade, &views[i], i, &plan, f));
    *ret_plan = plan;
    plan = (struct plan){0};
    return OK;
}

/* ---- what the steps are told ---- */

static void variable(struct bytes *out, const char *name, const char *value)
{
    bytes_appendf(out, "%s=", name);
    shell_quote(out, value);
    bytes_append_text(out, "\n");
}

/* kubeadm has no key of a CA to renew with, and the agent renews. */
static void words_write(const struct upgrade *upgrade, const struct step_view *view, const struct node_entry *node,
                        struct bytes *out)
{
    char words[128] = "node --certificate-renewal=false";
    if (is_first_control_plane(step_cluster(view), node))
        snprintf(words, sizeof words, "apply v%s --yes --certificate-renewal=false%s", upgrade->text,
                 upgrade->force ? " --force" : "");
    variable(out, "upgrade_words", words);
}

/* The version of packages for APT; nothing where the operator brings them. */
static void packages_write(const struct upgrade *upgrade, const struct step_view *view, struct bytes *out)
{
    const struct packages *packages = &step_cluster(view)->bootstrap.kubernetes_packages;
    char any[KUBERNETES_VERSION_SIZE + 2];
    snprintf(any, sizeof any, "%s-*", upgrade->text);
    variable(out, "upgrade_package",
             packages->source == PACKAGE_PRESENT ? ""
             : packages->version                 ? packages->version
                                                 : any);
}

/* What certificates of the new version count on, beside what kubeadm makes of it: NAME CLUSTERROLE OPTION a line. */
static void bindings_write(const struct upgrade *upgrade, struct bytes *out)
{
    const struct kubernetes_facts *facts = facts_of(&upgrade->to);
    AUTO(bytes) lines = {0};
    if (facts->super_admin_organization)
        bytes_appendf(&lines, "%s cluster-admin --group=%s\n", facts->admin_organization, facts->admin_organization);
    if (!facts->kubelet_client_organization[0])
        bytes_append_text(&lines, "kubeadm:apiserver-kubelet-client system:kubelet-api-admin "
                                  "--user=kube-apiserver-kubelet-client\n");
    variable(out, "upgrade_bindings", bytes_text(&lines));
    out->failed |= lines.failed;
}

enum err upgrade_variables(const struct upgrade *upgrade, const struct step_view *view, const struct node_entry *node,
                           struct bytes *out, struct fault *f)
{
    variable(out, "upgrade_version", upgrade->text);
    variable(out, "upgrade_node", node->name);
    variable(out, "upgrade_control_plane", node->roles & ROLE_CONTROL_PLANE ? "yes" : "");
    words_write(upgrade, view, node, out);
    packages_write(upgrade, view, out);
    bindings_write(upgrade, out);
    variable(out, "drain_force", upgrade->drain_force ? "yes" : "");
    bytes_appendf(out, "drain_seconds=%lld\n", (long long)upgrade->drain_seconds);
    return bytes_check(out, f);
}
