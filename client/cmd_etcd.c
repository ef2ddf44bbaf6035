/* Copies of what etcd has: `ensign etcd snapshot save`, `restore`. No service is needed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "client/bootstrap/restore.h"
#include "client/commands.h"
#include "client/files.h"
#include "client/fitness.h"
#include "client/host_command.h"
#include "client/text.h"

static const struct column save_columns[] = {{"FILE", "file", false},         {"MEMBER", "member", false},
                                             {"REVISION", "revision", false}, {"KEYS", "keys", false},
                                             {"BYTES", "bytes", false},       {"SHA256", "sha256", false}};
static const struct column restore_columns[] = {
    {"MEMBER", "member", false}, {"REVISION", "revision", false}, {"KEYS", "keys", false}, {"HASH", "hash", false}};

/* ---- what both begin with ---- */

static enum err file_open(struct host_command *command, const struct arguments *arguments, struct fault *f)
{
    TRY(output_format_read(arguments->values[OPTION_OUTPUT], &command->format, f));
    TRY(document_read(arguments->values[OPTION_FILE], &command->document, f));
    return cluster_read(command->document, &command->cluster, f);
}

static enum err hosts_meet(struct host_command *command, const struct arguments *arguments, struct fault *f)
{
    const struct hosts_options options = hosts_options_read(arguments);
    TRY(hosts_open(&command->cluster, &options, &command->hosts, f));
    TRY(bringup_open(&command->bringup, &command->hosts, NULL, f));
    return hosts_look(&command->hosts, &options, f);
}

/* ---- save ---- */

enum { NAME_TEXT_SIZE = 256 };

/* "vagrant-20261121T205500Z.db" */
static void name_make(const struct cluster *cluster, char ret_name[NAME_TEXT_SIZE])
{
    char now[RESTORE_ID_SIZE];
    const time_t seconds = time(NULL);
    struct tm utc;
    gmtime_r(&seconds, &utc);
    strftime(now, sizeof now, "%Y%m%dT%H%M%SZ", &utc);
    snprintf(ret_name, NAME_TEXT_SIZE, "%s-%s.db", cluster->name, now);
}

/* What is being written, until it is whole. */
struct staged {
    int folder, file;
    const char *name;
    bool done;
};

static void staged_cleanup(struct staged *staged)
{
    if (staged->folder >= 0 && staged->name && !staged->done)
        file_tidy_at(staged->folder, staged->name);
    fd_cleanup(&staged->file);
    fd_cleanup(&staged->folder);
}

/* What it says of the snapshot. */
static enum err snapshot_fetch(struct host_command *command, size_t host, int file, struct snapshot_status *ret_status,
                               struct fault *f)
{
    size_t count = command->hosts.count;
    bool *chosen = calloc(count, sizeof *chosen);
    struct bytes *outputs = calloc(count, sizeof *outputs);
    const struct step_talk talk = {.output_file = file, .ret_outputs = outputs};
    enum err err = chosen && outputs ? OK : fault_no_memory(f);
    if (err == OK) {
        chosen[host] = true;
        err = bringup_step_talk(&command->bringup, &step_snapshot_save, chosen, &talk, f);
    }
    if (err == OK && !snapshot_status_read(bytes_text(&outputs[host]), ret_status))
        err = fault_set(f, CODE_UNTRUSTED, "%s: it does not say what is in the snapshot: see its log",
                        command->cluster.nodes[host].name);
    if (outputs)
        bytes_free(&outputs[host]);
    free(outputs);
    free(chosen);
    return err;
}

static enum err save_print(const struct host_command *command, const char *path, size_t host,
                           const struct snapshot *snapshot, const struct snapshot_status *status, struct fault *f)
{
    const struct output output = {command->format, save_columns, ARRAY_SIZE(save_columns)};
    CLEANUP(json_cleanup)
    json_t *answer =
        json_pack("{s:s, s:s, s:I, s:I, s:I, s:s}", "file", path, "member", command->cluster.nodes[host].name,
                  "revision", (json_int_t)status->revision, "keys", (json_int_t)status->keys, "bytes",
                  (json_int_t)snapshot->content.size, "sha256", snapshot->digest);
    if (!answer)
        return fault_set(f, CODE_USAGE, "the name of the file is not UTF-8");
    TRY(output_object(&output, answer, f));
    return output_finish(f);
}

static enum err save_to(struct host_command *command, const char *path, enum file_presence presence, struct fault *f)
{
    size_t host;
    struct snapshot_status status;
    AUTO(restore) members = {0};
    AUTO(snapshot) snapshot = {0};
    AUTO(staged) staged = {.folder = -1, .file = -1};
    TRY(restore_open(&members, &command->bringup, NULL, f));
    TRY(restore_healthy(&members, &host, f));
    TRY(file_stage_open(path, presence, &staged.folder, &staged.name, &staged.file, f));
    TRY(snapshot_fetch(command, host, staged.file, &status, f));
    if (fsync(staged.file) != 0)
        return fault_errno(f, "cannot store \"%.200s\"", path);
    TRY(snapshot_map(staged.file, path, &snapshot, f));
    TRY(file_switch_at(staged.folder, staged.name, presence, f));
    staged.done = presence == FILE_NEW;
    TRY(folder_sync(staged.folder, f));
    message("%s holds all Secrets of the cluster %s: keep it as secret as its keys, and not on its hosts alone", path,
            command->cluster.name);
    return save_print(command, path, host, &snapshot, &status, f);
}

enum err etcd_snapshot_save(const struct arguments *arguments, struct fault *f)
{
    AUTO(host_command) command = {0};
    char standard[NAME_TEXT_SIZE];
    const enum file_presence presence = arguments->values[OPTION_FORCE] ? FILE_REPLACE : FILE_NEW;
    TRY(file_open(&command, arguments, f));
    name_make(&command.cluster, standard);
    const char *path = arguments->operands_count > 0 ? arguments->operands[0] : standard;
    TRY(file_check(path, FILE_MODE_PRIVATE, presence, f));
    TRY(hosts_meet(&command, arguments, f));
    return save_to(&command, path, presence, f);
}

/* ---- restore ---- */

static enum err restorable(const struct cluster *cluster, struct fault *f)
{
    if (json_object_get(cluster->bootstrap.etcd_environment, "ETCD_WAL_DIR"))
        return fault_set(f, CODE_UNSUPPORTED,
                         "the cluster file gives etcd a folder of its own for its log (ETCD_WAL_DIR): a restore makes "
                         "one folder of data alone. Take that out, `ensign cluster apply`, and restore then");
    return OK;
}

static enum err all_answer(const struct host_command *command, struct fault *f)
{
    size_t silent = 0;
    for (size_t i = 0; i < command->hosts.count; i++)
        if (!command->hosts.reports[i].answered) {
            message_fault(&command->hosts.outcomes[i].fault);
            silent++;
        }
    return silent == 0 ? OK
                       : fault_set(f, CODE_IO,
                                   "%zu hosts do not answer: nothing was changed. A restore needs all: who goes on by "
                                   "what was before would be of another cluster",
                                   silent);
}

static enum err restore_print(const struct host_command *command, const struct restore *restore, struct fault *f)
{
    const struct output output = {command->format, restore_columns, ARRAY_SIZE(restore_columns)};
    CLEANUP(json_cleanup) json_t *answer = json_pack("{s:[]}", "items");
    for (size_t i = 0; i < command->hosts.count; i++) {
        const struct member_data *data = &restore->members[i];
        if (!data->keys[0]) /* nothing was read back of it: no member, or one that had come to its end before */
            continue;
        json_t *item = json_pack("{s:s, s:I, s:s, s:s}", "member", command->cluster.nodes[i].name, "revision",
                                 (json_int_t)data->revision, "keys", data->keys, "hash", data->hash);
        if (json_array_append_new(json_object_get(answer, "items"), item) != 0)
            return fault_no_memory(f);
    }
    TRY(output_list(&output, answer, f));
    return output_finish(f);
}

static enum err restore_run(struct host_command *command, const char *path, bool sure, const struct snapshot *snapshot,
                            struct fault *f)
{
    AUTO(restore) restore = {0};
    TRY(restore_open(&restore, &command->bringup, snapshot, f));
    if (restore.progress != RESTORE_NONE)
        message("the restore of this snapshot that was begun at %s is gone on with", restore.id);
    TRY(restore_plan(&restore, f));
    if (!sure) {
        TRY(bringup_plan_print(command, f));
        return fault_set(f, CODE_USAGE,
                         "this stops the control plane of %s, and undoes all that has changed in it since \"%.150s\" "
                         "was taken: say --yes",
                         command->cluster.name, path);
    }
    TRY(restore_apply(&restore, f));
    TRY(restore_print(command, &restore, f));
    message(
        "the members of etcd have what \"%s\" has. What they had before is in %s.before-restore-%s on each, or in that "
        "folder where it is a disk of its own: remove it when all is well",
        path, command->cluster.bootstrap.etcd_data_dir, restore.id);
    message("programs of yours that watch the API server, operators for example, are to be restarted: what they have "
            "seen is ahead of etcd");
    return OK;
}

enum err etcd_snapshot_restore(const struct arguments *arguments, struct fault *f)
{
    AUTO(host_command) command = {0};
    AUTO(snapshot) snapshot = {0};
    TRY(file_open(&command, arguments, f));
    TRY(restorable(&command.cluster, f));
    TRY(snapshot_open(arguments->operands[0], &snapshot, f));
    TRY(hosts_meet(&command, arguments, f));
    TRY(all_answer(&command, f));
    return restore_run(&command, arguments->operands[0], arguments->values[OPTION_YES], &snapshot, f);
}
