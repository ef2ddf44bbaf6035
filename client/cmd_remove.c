/* A node that leaves a running cluster: `ensign cluster remove`. */
#include <stdio.h>
#include <string.h>

#include "client/bootstrap/removal.h"
#include "client/commands.h"
#include "client/host_command.h"
#include "client/revocation.h"
#include "client/text.h"

static const struct column columns[] = {{"NODE", "node", false}, {"STEP", "step", false}, {"WHY", "why", false}};

struct remove_work {
    struct host_command command;
    struct removal removal;
    const struct node_entry *node;
    const char *reason;
    bool lost;
};

static void remove_work_cleanup(struct remove_work *work)
{
    host_command_cleanup(&work->command);
}

/* ---- what would be done ---- */

static enum err row_print(json_t *items, const char *node, const char *step, const char *why, struct fault *f)
{
    json_t *item = json_pack("{ss ss ss}", "node", node, "step", step, "why", why);
    return json_array_append_new(items, item) == 0 ? OK : fault_no_memory(f);
}

static enum err plan_print(const struct remove_work *work, struct fault *f)
{
    const struct output output = {work->command.format, columns, ARRAY_SIZE(columns)};
    CLEANUP(json_cleanup) json_t *answer = json_pack("{s:[]}", "items");
    json_t *items = json_object_get(answer, "items");
    for (size_t i = 0; i < work->removal.count; i++) {
        const struct removal_step *step = &work->removal.steps[i];
        TRY(row_print(items, work->command.cluster.nodes[step->host].name, step->kind->title, step->why, f));
    }
    TRY(row_print(items, work->node->name, "revoke its certificates and its identity", work->reason, f));
    TRY(output_list(&output, answer, f));
    return output_finish(f);
}

/* ---- doing it ---- */

static enum err node_revoke(struct remove_work *work, struct fault *f)
{
    CLEANUP(json_cleanup) json_t *list = NULL;
    CLEANUP(json_cleanup)
    json_t *selector = json_pack("{ss ss}", "reason", work->reason, "node", work->node->name);
    if (!selector)
        return fault_set(f, CODE_USAGE, "--reason is not UTF-8");
    TRY(revocations_make(&work->command.session, work->command.cluster.name, selector, &list, f));
    message("%zu certificates of %s are revoked", json_array_size(json_object_get(list, "items")), work->node->name);
    return OK;
}

/* Whoever has a lost host is nobody from the first moment on; one that is drained is somebody until it is taken back.
 */
static enum err steps_do(struct remove_work *work, struct fault *f)
{
    if (work->lost)
        TRY(node_revoke(work, f));
    for (size_t i = 0; i < work->removal.count; i++) {
        const struct removal_step *step = &work->removal.steps[i];
        TRY(bringup_step_on(&work->command.bringup, step->kind, step->host, step->input, f));
    }
    return work->lost ? OK : node_revoke(work, f);
}

static void next_tell(const struct remove_work *work, const char *file)
{
    const char *name = work->node->name;
    if (work->lost && work->node->roles & ROLE_CONTROL_PLANE)
        message("%s had sa.key and what else control planes share: when its disk can get into other hands, have them "
                "made anew (`ensign shared-key reset`)",
                name);
    message("%s has left the cluster. Take it out of %s, then `ensign cluster update -f %s` and `ensign cluster apply "
            "-f %s`; or, when another host takes its place under its name, `ensign cluster apply` at once",
            name, file, file, file);
}

static enum err remove_open(struct remove_work *work, const struct arguments *arguments, struct fault *f)
{
    struct host_command *command = &work->command;
    work->lost = arguments->values[OPTION_LOST] != NULL;
    work->reason = arguments->values[OPTION_REASON] ? arguments->values[OPTION_REASON] : "cessationOfOperation";
    TRY(host_command_look(command, arguments, f));
    work->node = cluster_node(&command->cluster, arguments->operands[0]);
    if (!work->node)
        return fault_set(f, CODE_NOT_FOUND, "the cluster file has no node \"%s\"", arguments->operands[0]);
    TRY(bringup_plan(&command->bringup, &command->choice, f));
    return removal_plan(command->bringup.views, command->hosts.count, work->node, work->lost,
                        arguments->values[OPTION_FORCE] != NULL, &work->removal, f);
}

enum err cluster_remove(const struct arguments *arguments, struct fault *f)
{
    AUTO(remove_work) work = {0};
    TRY(remove_open(&work, arguments, f));
    if (!arguments->values[OPTION_YES]) {
        TRY(plan_print(&work, f));
        return fault_set(f, CODE_USAGE, "nothing was done: say --yes to have it done");
    }
    TRY(steps_do(&work, f));
    next_tell(&work, arguments->values[OPTION_FILE]);
    return OK;
}
