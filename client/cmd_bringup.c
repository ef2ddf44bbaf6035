/* From hosts to a cluster: `ensign cluster plan`, `apply`, `status`, `reset`. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/bootstrap/bringup.h"
#include "client/commands.h"
#include "client/fitness.h"
#include "client/inspection.h"
#include "client/text.h"
#include "client/user.h"

static const struct column plan_columns[] = {
    {"STAGE", "stage", false}, {"NODE", "node", false}, {"STEP", "step", false}, {"WHY", "why", false}};
static const struct column status_columns[] = {{"NODE", "node", false},     {"ROLES", "roles", false},
                                               {"HEALTH", "health", false}, {"CERTIFICATES", "certificates", false},
                                               {"TO DO", "to_do", false},   {"WHY", "why", false}};

/* What all of them begin with. It must not move. */
struct begin {
    enum output_format format;
    struct document *document;
    struct cluster cluster;
    struct session session;
    struct hosts hosts;
    struct bringup bringup;
    struct plan_choice choice;
};

static void begin_cleanup(struct begin *begin)
{
    if (begin->bringup.hosts)
        bringup_cleanup(&begin->bringup);
    hosts_cleanup(&begin->hosts);
    session_cleanup(&begin->session);
    cluster_cleanup(&begin->cluster);
    document_auto(&begin->document);
}

/* The service has to hold these very nodes: it decides by its own copy. */
static enum err inventory_compare(struct session *session, const struct cluster *cluster, struct fault *f)
{
    AUTO(cluster) theirs = {0};
    enum err err = session_cluster(session, cluster->name, &theirs, f);
    if (err == ERR_ABSENT)
        return fault_set(f, CODE_NOT_FOUND,
                         "the service has no cluster \"%s\": an admin makes it with `ensign cluster create -f FILE`",
                         cluster->name);
    TRY(err);
    if (span_equal(bytes_span(&theirs.document), bytes_span(&cluster->document)))
        return OK;
    return fault_set(f, CODE_CONFLICT,
                     "the service has another cluster file for \"%s\": see `ensign cluster show %s -o yaml`, then "
                     "`ensign cluster update -f FILE`",
                     cluster->name, cluster->name);
}

static enum err service_meet(struct begin *begin, const struct arguments *arguments, struct fault *f)
{
    TRY(session_open(arguments, &begin->session, f));
    if (server_is_socket(begin->session.context.server))
        return fault_set(f, CODE_USAGE, "the hosts enrol over https: use a context whose server is https://HOST:PORT");
    return inventory_compare(&begin->session, &begin->cluster, f);
}

/* Opens all, and looks at the hosts. */
static enum err begin_look(struct begin *begin, const struct arguments *arguments, struct fault *f)
{
    const struct hosts_options options = hosts_options_read(arguments);
    TRY(output_format_read(arguments->values[OPTION_OUTPUT], &begin->format, f));
    TRY(document_read(arguments->values[OPTION_FILE], &begin->document, f));
    TRY(cluster_read(begin->document, &begin->cluster, f));
    TRY(plan_choose(&begin->cluster, arguments->values[OPTION_ONLY], &begin->choice, f));
    TRY(service_meet(begin, arguments, f));
    TRY(hosts_open(&begin->cluster, &options, &begin->hosts, f));
    TRY(bringup_open(&begin->bringup, &begin->hosts, &begin->session, f));
    return hosts_look(&begin->hosts, &options, f);
}

/* Refuses hosts that are not fit, all at once. */
static enum err begin_check(struct begin *begin, struct fault *f)
{
    AUTO(findings) findings = {0};
    size_t errors = 0;
    TRY(fitness_check(&begin->session, &begin->hosts, &findings, f));
    if (findings.errors == 0 && hosts_answered(&begin->hosts))
        return OK;
    TRY(fitness_print(&begin->hosts, &findings, begin->format, &errors, f));
    TRY(output_finish(f));
    return fitness_refused(&begin->hosts, errors, f);
}

/* ---- plan ---- */

static enum err plan_print(const struct begin *begin, struct fault *f)
{
    const struct plan *plan = &begin->bringup.plan;
    const struct output output = {begin->format, plan_columns, ARRAY_SIZE(plan_columns)};
    CLEANUP(json_cleanup) json_t *answer = json_pack("{s:[]}", "items");
    for (size_t i = 0; i < plan->count; i++) {
        const struct plan_row *row = &plan->rows[i];
        json_t *item = json_pack("{s:s, s:s, s:s, s:s}", "stage", stage_words[row->kind->stage], "node",
                                 begin->cluster.nodes[row->host].name, "step", row->kind->title, "why", row->why);
        if (json_array_append_new(json_object_get(answer, "items"), item) != 0)
            return fault_no_memory(f);
    }
    bool whole = begin->format == OUTPUT_JSON || begin->format == OUTPUT_YAML;
    if (plan->count == 0 && !whole) {
        message("nothing is to be done: the hosts are as the cluster file has them");
        return OK;
    }
    TRY(output_list(&output, answer, f));
    return output_finish(f);
}

enum err cluster_plan(const struct arguments *arguments, struct fault *f)
{
    AUTO(begin) begin = {0};
    TRY(begin_look(&begin, arguments, f));
    TRY(begin_check(&begin, f));
    TRY(bringup_plan(&begin.bringup, &begin.choice, f));
    return plan_print(&begin, f);
}

/* ---- apply ---- */

/* For whoever works with the cluster from here: its administrator, whom only an admin gets, or a user of groups. */
static enum err kubeconfig_get(struct begin *begin, const struct arguments *arguments, struct fault *f)
{
    const char *user = arguments->values[OPTION_USER];
    const struct user_wish wish = {.cluster = begin->cluster.name,
                                   .profile = arguments->groups_count > 0 ? "user" : "cluster-admin",
                                   .name = user ? user : "kubernetes-admin",
                                   .groups = arguments->groups,
                                   .groups_count = arguments->groups_count,
                                   .lifetime_seconds = option_seconds(arguments, OPTION_LIFETIME, 0),
                                   .path = arguments->values[OPTION_KUBECONFIG]};
    return wish.path ? user_kubeconfig(&begin->session, &wish, f) : OK;
}

enum err cluster_apply(const struct arguments *arguments, struct fault *f)
{
    AUTO(begin) begin = {0};
    TRY(begin_look(&begin, arguments, f));
    TRY(begin_check(&begin, f));
    TRY(bringup_plan(&begin.bringup, &begin.choice, f));
    if (arguments->values[OPTION_DRY_RUN])
        return plan_print(&begin, f);
    size_t count = begin.bringup.plan.count;
    TRY(bringup_apply(&begin.bringup, &begin.choice, f));
    if (count == 0)
        message("nothing was to be done: the hosts are as the cluster file has them, and healthy");
    else
        message("the cluster %s is ready", begin.cluster.name);
    return kubeconfig_get(&begin, arguments, f);
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

static json_t *status_item(const struct begin *begin, const struct inspection *inspection, size_t host,
                           const struct outcome *health)
{
    char certificates[CERTIFICATES_TEXT_SIZE];
    const struct plan *plan = &begin->bringup.plan;
    const struct node_entry *node = &begin->cluster.nodes[host];
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

static enum err status_print(const struct begin *begin, const struct outcome *health, size_t *ret_troubles,
                             struct fault *f)
{
    const struct output output = {begin->format, status_columns, ARRAY_SIZE(status_columns)};
    CLEANUP(json_cleanup) json_t *answer = json_pack("{s:[]}", "items");
    AUTO(inspection) inspection = {0};
    TRY(inspection_open(begin->session.api, EXPIRING_SECONDS, &inspection, f));
    TRY(inspection_add(&inspection, begin->cluster.name, NULL, f));
    *ret_troubles = 0;
    for (size_t i = 0; i < begin->hosts.count; i++) {
        *ret_troubles += health[i].err != OK;
        if (json_array_append_new(json_object_get(answer, "items"), status_item(begin, &inspection, i, &health[i])) !=
            0)
            return fault_no_memory(f);
    }
    TRY(output_list(&output, answer, f));
    return output_finish(f);
}

enum err cluster_status(const struct arguments *arguments, struct fault *f)
{
    AUTO(begin) begin = {0};
    struct outcome *health = NULL;
    size_t troubles = 0;
    TRY(begin_look(&begin, arguments, f));
    TRY(bringup_plan(&begin.bringup, &begin.choice, f));
    TRY(bringup_health(&begin.bringup, &health, f));
    enum err err = status_print(&begin, health, &troubles, f);
    free(health);
    TRY(err);
    if (troubles > 0)
        return fault_set(f, CODE_INVALID, "%zu hosts are not healthy; logs are in %.200s", troubles,
                         bytes_text(&begin.hosts.logs_path));
    return OK;
}

/* ---- reset ---- */

static enum err reset_chosen(struct begin *begin, const char *node, struct fault *f)
{
    bool *chosen = calloc(begin->hosts.count, sizeof *chosen);
    if (!chosen)
        return fault_no_memory(f);
    size_t silent = 0;
    for (size_t i = 0; i < begin->hosts.count; i++) {
        chosen[i] = !node || strcmp(begin->cluster.nodes[i].name, node) == 0;
        if (chosen[i] && !begin->hosts.reports[i].answered) {
            message_fault(&begin->hosts.outcomes[i].fault);
            silent++;
        }
    }
    enum err err = silent > 0 ? fault_set(f, CODE_IO, "%zu hosts do not answer: nothing was changed", silent)
                              : bringup_step(&begin->bringup, &step_reset, chosen, f);
    free(chosen);
    return err;
}

enum err cluster_reset(const struct arguments *arguments, struct fault *f)
{
    AUTO(begin) begin = {0};
    const char *node = arguments->values[OPTION_HOST];
    const struct hosts_options options = hosts_options_read(arguments);
    TRY(document_read(arguments->values[OPTION_FILE], &begin.document, f));
    TRY(cluster_read(begin.document, &begin.cluster, f));
    if (node && !cluster_node(&begin.cluster, node))
        return fault_set(f, CODE_USAGE, "the cluster file has no node \"%s\"", node);
    if (!arguments->values[OPTION_YES])
        return fault_set(f, CODE_USAGE, "this ends the cluster on %s, etcd's data and keys included: say --yes",
                         node ? node : "all of its hosts");
    TRY(hosts_open(&begin.cluster, &options, &begin.hosts, f));
    TRY(bringup_open(&begin.bringup, &begin.hosts, NULL, f));
    TRY(hosts_look(&begin.hosts, &options, f));
    TRY(reset_chosen(&begin, node, f));
    message("what was issued is still valid: `ensign certificate revoke --cluster %s --node NAME` ends that",
            begin.cluster.name);
    return OK;
}
