#include "client/bootstrap/removal.h"

#include <stdio.h>
#include <string.h>

#include "client/bootstrap/step_files.h"

static const struct step_kind step_drain = {STAGE_WORKERS, "drain", "drain the node", .applies = is_any,
                                            .deadline_seconds = 400};
static const struct step_kind step_member_remove = {STAGE_ETCD, "member_remove", "remove the member from etcd",
                                                    .applies = is_any, .deadline_seconds = 60};
static const struct step_kind step_node_delete = {STAGE_WORKERS, "node_delete", "delete the node from the cluster",
                                                  .applies = is_any, .deadline_seconds = 60};

/* ---- who can do it ---- */

/* A member of etcd that runs, as far as a look tells. */
static bool is_running_member(const struct step_view *view)
{
    if (!(view->node->roles & ROLE_ETCD))
        return false;
    return step_cluster(view)->etcd_topology == ETCD_EXTERNAL ? fact_is_active(view->facts, "etcd")
                                                              : step_initialised(view);
}

static bool is_running_control_plane(const struct step_view *view)
{
    return view->node->roles & ROLE_CONTROL_PLANE && step_initialised(view);
}

static bool is_in_cluster(const struct step_view *view)
{
    return is_running_member(view) || fact_is_file(view->facts, KUBELET_CONFIG);
}

/* `count`: there is none. */
static size_t other_find(const struct step_view *views, size_t count, const struct node_entry *node,
                         bool (*is)(const struct step_view *view))
{
    size_t found = count;
    for (size_t i = 0; i < count && found == count; i++)
        if (views[i].node != node && views[i].facts && is(&views[i]))
            found = i;
    return found;
}

/* ---- whether ---- */

static enum err role_keep(const struct cluster *cluster, const struct node_entry *node, unsigned role, const char *name,
                          struct fault *f)
{
    if (!(node->roles & role) || cluster_role_count(cluster, role) > 1)
        return OK;
    return fault_set(f, CODE_CONFLICT,
                     "\"%s\" is the only %s of the cluster: add another one first, or end the cluster with `ensign "
                     "cluster reset`",
                     node->name, name);
}

static enum err host_check(const struct step_view *view, bool lost, struct fault *f)
{
    const char *name = view->node->name;
    if (!lost && !view->facts)
        return fault_set(f, CODE_IO, "%s does not answer: when it is gone for good, give it up with --lost", name);
    if (lost && view->facts && is_in_cluster(view))
        return fault_set(f, CODE_CONFLICT,
                         "%s answers and is in the cluster: leave out --lost, so that it is taken back", name);
    return OK;
}

static enum err helper_check(size_t host, size_t count, const char *what, struct fault *f)
{
    return host < count ? OK : fault_set(f, CODE_CONFLICT, "no other %s runs and answers, who could do it", what);
}

/* ---- the steps ---- */

static struct removal_step *step_add(struct removal *removal, const struct step_kind *kind, size_t host,
                                     const char *why)
{
    struct removal_step *step = &removal->steps[removal->count++];
    *step = (struct removal_step){.kind = kind, .host = host, .why = why};
    return step;
}

static enum err kubernetes_steps(const struct step_view *views, size_t count, const struct node_entry *node,
                                 size_t *ret_helper, struct fault *f)
{
    *ret_helper = other_find(views, count, node, is_running_control_plane);
    return has_kubelet(step_cluster(&views[0]), node) ? helper_check(*ret_helper, count, "control plane", f) : OK;
}

static enum err member_step(const struct step_view *views, size_t count, const struct node_entry *node,
                            struct removal *removal, struct fault *f)
{
    char host[HOST_TEXT_SIZE];
    if (!(node->roles & ROLE_ETCD))
        return OK;
    size_t helper = other_find(views, count, node, is_running_member);
    TRY(helper_check(helper, count, "member of etcd", f));
    render_host(node, host);
    struct removal_step *step = step_add(removal, &step_member_remove, helper, "etcd counts on it");
    snprintf(step->input, sizeof step->input, "%s https://%s:2380", node->name, host);
    return OK;
}

enum err removal_plan(const struct step_view *views, size_t count, const struct node_entry *node, bool lost, bool force,
                      struct removal *ret_removal, struct fault *f)
{
    const struct cluster *cluster = step_cluster(&views[0]);
    size_t own = (size_t)(node - cluster->nodes), helper;
    struct removal removal = {0};
    TRY(role_keep(cluster, node, ROLE_CONTROL_PLANE, "control plane", f));
    TRY(role_keep(cluster, node, ROLE_ETCD, "member of etcd", f));
    TRY(host_check(&views[own], lost, f));
    TRY(kubernetes_steps(views, count, node, &helper, f));
    if (has_kubelet(cluster, node) && !lost)
        snprintf(step_add(&removal, &step_drain, helper, "its pods go elsewhere")->input, REMOVAL_INPUT_SIZE, "%s %s",
                 node->name, force ? "force" : "");
    TRY(member_step(views, count, node, &removal, f));
    if (!lost)
        step_add(&removal, &step_reset, own, "it is taken back");
    if (has_kubelet(cluster, node))
        snprintf(step_add(&removal, &step_node_delete, helper, "nobody is to wait for it")->input, REMOVAL_INPUT_SIZE,
                 "%s", node->name);
    *ret_removal = removal;
    return OK;
}
