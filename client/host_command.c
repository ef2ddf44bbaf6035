#include "client/host_command.h"

#include <string.h>

#include "client/commands.h"
#include "client/fitness.h"
#include "client/text.h"
#include "policies/cluster_diff.h"

void host_command_cleanup(struct host_command *command)
{
    if (command->bringup.hosts)
        bringup_cleanup(&command->bringup);
    hosts_cleanup(&command->hosts);
    session_cleanup(&command->session);
    cluster_cleanup(&command->cluster);
    document_auto(&command->document);
}

/* Of an upgrade: what the two files say of versions, and whether they differ in nothing else. */
static enum err versions_take(const struct cluster *theirs, const struct cluster *ours, struct upgrade *upgrade,
                              bool *ret_same, struct fault *f)
{
    static const char packages[] = "/bootstrap/packages";
    AUTO(cluster_diff) diff = {0};
    TRY(cluster_diff(theirs, ours, &diff, f));
    upgrade->file = (struct kubernetes_version){ours->kubernetes_minor, ours->kubernetes_patch};
    upgrade->service = (struct kubernetes_version){theirs->kubernetes_minor, theirs->kubernetes_patch};
    *ret_same = true;
    for (size_t i = 0; i < json_array_size(diff.changes); i++) {
        const char *path = json_string_value(json_object_get(json_array_get(diff.changes, i), "path"));
        *ret_same =
            *ret_same && (strcmp(path, "/kubernetesVersion") == 0 || strncmp(path, packages, sizeof packages - 1) == 0);
    }
    return OK;
}

/* The service has to hold these very nodes: it decides by its own copy. */
static enum err inventory_compare(struct session *session, const struct cluster *cluster, struct upgrade *upgrade,
                                  struct fault *f)
{
    AUTO(cluster) theirs = {0};
    enum err err = session_cluster(session, cluster->name, &theirs, f);
    if (err == ERR_ABSENT)
        return fault_set(f, CODE_NOT_FOUND,
                         "the service has no cluster \"%s\": an admin makes it with `ensign cluster create -f FILE`",
                         cluster->name);
    TRY(err);
    bool same = span_equal(bytes_span(&theirs.document), bytes_span(&cluster->document));
    if (upgrade)
        TRY(versions_take(&theirs, cluster, upgrade, &same, f));
    if (same)
        return OK;
    return fault_set(f, CODE_CONFLICT,
                     "the service has another cluster file for \"%s\": see `ensign cluster show %s -o yaml`, then "
                     "`ensign cluster update -f FILE`",
                     cluster->name, cluster->name);
}

/* The cluster as it is to be. */
static enum err version_set(struct host_command *command, struct fault *f)
{
    if (!command->upgrade)
        return OK;
    json_t *version = json_string(command->upgrade->text);
    if (json_object_set_new(document_json(command->document), "kubernetesVersion", version) != 0)
        return fault_no_memory(f);
    cluster_cleanup(&command->cluster);
    command->cluster = (struct cluster){0};
    return cluster_read(command->document, &command->cluster, f);
}

static enum err service_meet(struct host_command *command, const struct arguments *arguments, struct fault *f)
{
    TRY(session_open(arguments, &command->session, f));
    if (server_is_socket(command->session.context.server))
        return fault_set(f, CODE_USAGE, "the hosts enrol over https: use a context whose server is https://HOST:PORT");
    return inventory_compare(&command->session, &command->cluster, command->upgrade, f);
}

enum err host_command_look(struct host_command *command, const struct arguments *arguments, struct fault *f)
{
    const struct hosts_options options = hosts_options_read(arguments);
    command->force = arguments->values[OPTION_FORCE] != NULL;
    TRY(output_format_read(arguments->values[OPTION_OUTPUT], &command->format, f));
    TRY(document_read(arguments->values[OPTION_FILE], &command->document, f));
    TRY(cluster_read(command->document, &command->cluster, f));
    TRY(plan_choose(&command->cluster, arguments->values[OPTION_ONLY], &command->choice, f));
    TRY(service_meet(command, arguments, f));
    TRY(version_set(command, f));
    TRY(hosts_open(&command->cluster, &options, &command->hosts, f));
    TRY(bringup_open(&command->bringup, &command->hosts, &command->session, f));
    return hosts_look(&command->hosts, &options, f);
}

static void warnings_say(const struct cluster *cluster)
{
    for (size_t i = 0; i < cluster->warnings_count; i++)
        message("warning: %s", cluster->warnings[i].text);
}

enum err host_command_check(struct host_command *command, struct fault *f)
{
    AUTO(findings) findings = {0};
    size_t errors = 0;
    /* A cluster that runs has its members of etcd, and a check of its own is for its versions. */
    TRY(fitness_check(&command->session, &command->hosts, command->force || command->upgrade, &findings, f));
    if (command->upgrade)
        findings_drop(&findings, CHECK_VERSION);
    if (findings.errors == 0 && hosts_answered(&command->hosts)) {
        warnings_say(&command->cluster);
        return OK;
    }
    TRY(fitness_print(&command->hosts, &findings, command->format, &errors, f));
    TRY(output_finish(f));
    return fitness_refused(&command->hosts, errors, f);
}
