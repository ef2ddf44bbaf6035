/* `ensign cluster upgrade`: another version of Kubernetes, node by node. */
#include <stdio.h>

#include "client/bootstrap/upgrading.h"
#include "client/commands.h"
#include "client/host_command.h"
#include "client/text.h"

enum { DRAIN_SECONDS = 300 };

static const struct column columns[] = {
    {"STAGE", "stage", false}, {"NODE", "node", false}, {"STEP", "step", false}, {"WHY", "why", false}};

static enum err plan_print(const struct host_command *command, const struct plan *plan, struct fault *f)
{
    const struct output output = {command->format, columns, ARRAY_SIZE(columns)};
    CLEANUP(json_cleanup) json_t *answer = json_pack("{s:[]}", "items");
    for (size_t i = 0; i < plan->count; i++) {
        const struct plan_row *row = &plan->rows[i];
        const struct node_entry *node = &command->cluster.nodes[row->host];
        enum stage stage = node->roles & ROLE_CONTROL_PLANE ? STAGE_CONTROL_PLANES : STAGE_WORKERS;
        if (row->kind == &upgrade_kinds[UPGRADE_END])
            continue;
        json_t *item = json_pack("{s:s, s:s, s:s, s:s}", "stage", stage_words[stage], "node", node->name, "step",
                                 row->kind->title, "why", row->why);
        if (json_array_append_new(json_object_get(answer, "items"), item) != 0)
            return fault_no_memory(f);
    }
    TRY(output_list(&output, answer, f));
    return output_finish(f);
}

/* What is left to do: the service decides by its own copy which certificates there are. */
static void advise(const struct host_command *command, const struct upgrade *upgrade)
{
    const struct kubernetes_version *service = &upgrade->service, *to = &upgrade->to;
    if (service->minor == to->minor && (service->patch == KUBERNETES_PATCH_UNKNOWN || service->patch == to->patch))
        return;
    message("now have the service follow: kubernetesVersion \"1.%u\" in the cluster file, then, as an admin, `ensign "
            "cluster update -f FILE`%s",
            to->minor,
            upgrade_changes_certificates(upgrade) ? ". Certificates of this version are others: agents replace them"
                                                  : "");
    if (upgrade_changes_certificates(upgrade))
        message("`ensign rotate %s --changed --wait` waits until they have", command->cluster.name);
}

static enum err upgrade_run(struct host_command *command, const struct upgrade *upgrade, const struct plan *plan,
                            struct fault *f)
{
    TRY(upgrading_health(&command->bringup, f));
    TRY(upgrading_apply(&command->bringup, upgrade, plan, f));
    message("the cluster %s has Kubernetes %s", command->cluster.name, upgrade->text);
    return OK;
}

enum err cluster_upgrade(const struct arguments *arguments, struct fault *f)
{
    struct upgrade upgrade = {.force = arguments->values[OPTION_FORCE],
                              .drain_force = arguments->values[OPTION_DRAIN_FORCE],
                              .drain_seconds = option_seconds(arguments, OPTION_DRAIN_TIMEOUT, DRAIN_SECONDS)};
    AUTO(host_command) command = {.upgrade = &upgrade};
    AUTO(plan) plan = {0};
    TRY(upgrade_version_read(arguments->values[OPTION_TO], &upgrade, f));
    TRY(host_command_look(&command, arguments, f));
    TRY(host_command_check(&command, f));
    TRY(bringup_plan(&command.bringup, &command.choice, f)); /* which has the hosts' answers taken */
    TRY(upgrade_check(&upgrade, command.bringup.views, command.hosts.count, f));
    TRY(upgrade_plan(&upgrade, command.bringup.views, command.hosts.count, &plan, f));
    if (plan.count == 0)
        message("nothing was to be done: all nodes have Kubernetes %s", upgrade.text);
    else if (arguments->values[OPTION_DRY_RUN])
        return plan_print(&command, &plan, f);
    else
        TRY(upgrade_run(&command, &upgrade, &plan, f));
    advise(&command, &upgrade);
    return OK;
}
