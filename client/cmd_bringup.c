/* From hosts to a cluster: `ensign cluster plan`, `apply`, `status`, `reset`. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/commands.h"
#include "client/fitness.h"
#include "client/host_command.h"
#include "client/inspection.h"
#include "client/text.h"
#include "client/user.h"

static const struct column plan_columns[] = {
    {"STAGE", "stage", false}, {"NODE", "node", false}, {"STEP", "step", false}, {"WHY", "why", false}};
static const struct column status_columns[] = {{"NODE", "node", false},     {"ROLES", "roles", false},
                                               {"HEALTH", "health", false}, {"CERTIFICATES", "certificates", false},
                                               {"TO DO", "to_do", false},   {"WHY", "why", false}};

/* ---- plan ---- */

enum err bringup_plan_print(const struct host_command *command, struct fault *f)
{
    const struct plan *plan = &command->bringup.plan;
    const struct output output = {command->format, plan_columns, ARRAY_SIZE(plan_columns)};
    CLEANUP(json_cleanup) json_t *answer = json_pack("{s:[]}", "items");
    for (size_t i = 0; i < plan->count; i++) {
        const struct plan_row *row = &plan->rows[i];
        json_t *item = json_pack("{s:s, s:s, s:s, s:s}", "stage", stage_words[row->kind->stage], "node",
                                 command->cluster.nodes[row->host].name, "step", row->kind->title, "why", row->why);
        if (json_array_append_new(json_object_get(answer, "items"), item) != 0)
            return fault_no_memory(f);
    }
    bool whole = command->format == OUTPUT_JSON || command->format == OUTPUT_YAML;
    if (plan->count == 0 && !whole) {
        message("nothing is to be done: the hosts are as the cluster file has them");
        return OK;
    }
    TRY(output_list(&output, answer, f));
    return output_finish(f);
}

enum err cluster_plan(const struct arguments *arguments, struct fault *f)
{
    AUTO(host_command) command = {0};
    TRY(host_command_look(&command, arguments, f));
    TRY(host_command_check(&command, f));
    TRY(bringup_plan(&command.bringup, &command.choice, f));
    return bringup_plan_print(&command, f);
}

/* ---- apply ---- */

/* For whoever works with the cluster from here: its administrator, whom only an admin gets, or a user of groups. */
static enum err kubeconfig_get(struct host_command *command, const struct arguments *arguments, struct fault *f)
{
    const char *user = arguments->values[OPTION_USER];
    const struct user_wish wish = {.cluster = command->cluster.name,
                                   .profile = arguments->groups_count > 0 ? "user" : "cluster-admin",
                                   .name = user ? user : "kubernetes-admin",
                                   .groups = arguments->groups,
                                   .groups_count = arguments->groups_count,
                                   .lifetime_seconds = option_seconds(arguments, OPTION_LIFETIME, 0),
                                   .path = arguments->values[OPTION_KUBECONFIG]};
    return wish.path ? user_kubeconfig(&command->session, &wish, f) : OK;
}

enum err cluster_apply(const struct arguments *arguments, struct fault *f)
{
    AUTO(host_command) command = {0};
    TRY(host_command_look(&command, arguments, f));
    TRY(host_command_check(&command, f));
    TRY(bringup_plan(&command.bringup, &command.choice, f));
    if (arguments->values[OPTION_DRY_RUN])
        return bringup_plan_print(&command, f);
    size_t count = command.bringup.plan.count;
    TRY(bringup_apply(&command.bringup, &command.choice, f));
    if (count == 0)
        message("nothing was to be done: the hosts are as the cluster file has them, and healthy");
    else
        message("the cluster %s is ready", command.cluster.name);
    return kubeconfig_get(&command, arguments, f);
}

/* ---- status ---- */

enum { CERTIFICATES_TEXT_SIZE = 128, EXPIRING_SECONDS = 30 * 86400 };

/* "14 ok", or the first that is not, with what it is. */
static void certificates_tell(const struct inspection *inspection, const char *node,
                              char ret_text[CERTIFICATES_TEXT_SIZE])
{
    size_t fine = 0, i;
    json_t *row;
    json_array_foreach(inspection->certificates, i, row)
    {
        const char *holder = json_string_value(json_object_get(row, "node"));
        const char *state = json_string_value(json_object_get(row, "state"));
        if (!holder || !state || strcmp(holder, node) != 0)
            continue;
        if (strcmp(state, coverage_state_words[COVERAGE_OK]) != 0) {
            snprintf(ret_text, CERTIFICATES_TEXT_SIZE, "%.80s: %.30s", json_string_value(json_object_get(row, "name")),
                     state);
            return;
        }
        fine++;
    }
    snprintf(ret_text, CERTIFICATES_TEXT_SIZE, "%zu ok", fine);
}

static json_t *status_item(const struct host_command *command, const struct inspection *inspection, size_t host,
                           const struct outcome *health)
{
    char certificates[CERTIFICATES_TEXT_SIZE];
    const struct plan *plan = &command->bringup.plan;
    const struct node_entry *node = &command->cluster.nodes[host];
    const struct plan_row *first = NULL;
    size_t count = 0;
    for (size_t i = 0; i < plan->count; i++) {
        if (plan->rows[i].host != host)
            continue;
        first = first ? first : &plan->rows[i];
        count++;
    }
    certificates_tell(inspection, node->name, certificates);
    json_auto_t *roles = json_array();
    for (size_t i = 0; node_role_words[i]; i++)
        if (node->roles & 1u << i)
            json_array_append_new(roles, json_string(node_role_words[i]));
    return json_pack("{s:s, s:O, s:s, s:s, s:s, s:s, s:i}", "node", node->name, "roles", roles, "health",
                     health->err == OK ? "ok" : without_host(health->fault.text, node->name), "certificates",
                     certificates, "to_do", first ? first->kind->title : "", "why", first ? first->why : "", "steps",
                     (int)count);
}

static enum err status_print(const struct host_command *command, const struct outcome *health, size_t *ret_troubles,
                             struct fault *f)
{
    const struct output output = {command->format, status_columns, ARRAY_SIZE(status_columns)};
    CLEANUP(json_cleanup) json_t *answer = json_pack("{s:[]}", "items");
    AUTO(inspection) inspection = {0};
    TRY(inspection_open(command->session.api, EXPIRING_SECONDS, &inspection, f));
    TRY(inspection_add(&inspection, command->cluster.name, NULL, f));
    *ret_troubles = 0;
    for (size_t i = 0; i < command->hosts.count; i++) {
        *ret_troubles += health[i].err != OK;
        if (json_array_append_new(json_object_get(answer, "items"), status_item(command, &inspection, i, &health[i])) !=
            0)
            return fault_no_memory(f);
    }
    TRY(output_list(&output, answer, f));
    return output_finish(f);
}

enum err cluster_status(const struct arguments *arguments, struct fault *f)
{
    AUTO(host_command) command = {0};
    struct outcome *health = NULL;
    size_t troubles = 0;
    TRY(host_command_look(&command, arguments, f));
    TRY(bringup_plan(&command.bringup, &command.choice, f));
    TRY(bringup_health(&command.bringup, &health, f));
    enum err err = status_print(&command, health, &troubles, f);
    free(health);
    TRY(err);
    if (troubles > 0)
        return fault_set(f, CODE_INVALID, "%zu hosts are not healthy; logs are in %.200s", troubles,
                         bytes_text(&command.hosts.logs_path));
    return OK;
}

/* ---- reset ---- */

static enum err reset_chosen(struct host_command *command, const char *node, struct fault *f)
{
    bool *chosen = calloc(command->hosts.count, sizeof *chosen);
    if (!chosen)
        return fault_no_memory(f);
    size_t silent = 0;
    for (size_t i = 0; i < command->hosts.count; i++) {
        chosen[i] = !node || strcmp(command->cluster.nodes[i].name, node) == 0;
        if (chosen[i] && !command->hosts.reports[i].answered) {
            message_fault(&command->hosts.outcomes[i].fault);
            silent++;
        }
    }
    enum err err = silent > 0 ? fault_set(f, CODE_IO, "%zu hosts do not answer: nothing was changed", silent)
                              : bringup_step(&command->bringup, &step_reset, chosen, f);
    free(chosen);
    return err;
}

enum err cluster_reset(const struct arguments *arguments, struct fault *f)
{
    AUTO(host_command) command = {0};
    const char *node = arguments->values[OPTION_HOST];
    const struct hosts_options options = hosts_options_read(arguments);
    TRY(document_read(arguments->values[OPTION_FILE], &command.document, f));
    TRY(cluster_read(command.document, &command.cluster, f));
    if (node && !cluster_node(&command.cluster, node))
        return fault_set(f, CODE_USAGE, "the cluster file has no node \"%s\"", node);
    if (!arguments->values[OPTION_YES])
        return fault_set(f, CODE_USAGE, "this ends the cluster on %s, etcd's data and keys included: say --yes",
                         node ? node : "all of its hosts");
    TRY(hosts_open(&command.cluster, &options, &command.hosts, f));
    TRY(bringup_open(&command.bringup, &command.hosts, NULL, f));
    TRY(hosts_look(&command.hosts, &options, f));
    TRY(reset_chosen(&command, node, f));
    message("what was issued is still valid: `ensign certificate revoke --cluster %s --node NAME` ends that",
            command.cluster.name);
    return OK;
}
