#include "client/bootstrap/restore.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/bootstrap/scripts.h"
#include "client/output.h"
#include "client/render/roles.h"

/* ---- the steps ---- */

static bool is_control_plane_alone(const struct cluster *cluster, const struct node_entry *node)
{
    return is_control_plane(cluster, node) && !is_etcd_member(cluster, node);
}

#define FUNCTIONS .functions = shipped_snapshot_script

static const struct step_kind look_kind = {STAGE_ETCD,
                                           "restore_look",
                                           "how the members of etcd are",
                                           .gate = true,
                                           .applies = is_etcd_member,
                                           .deadline_seconds = 60,
                                           FUNCTIONS};

struct phase {
    struct step_kind kind;
    enum restore_progress last; /* it is left out when a restore is gone on with that is further */
    const char *why;
};

/* The end is told to members behind all others: what was begun is known as long as one of them knows of it. */
static const struct phase phases[] = {
    {{STAGE_ETCD, "restore_prepare", "make new data of the snapshot", .applies = is_etcd_member,
      .deadline_seconds = 7200, FUNCTIONS},
     RESTORE_NONE,
     "beside what it has, while it runs"},
    {{STAGE_ETCD, "restore_stop", "stop API server, controller manager and scheduler", .applies = is_control_plane,
      .deadline_seconds = 600, FUNCTIONS},
     RESTORE_SWITCHED,
     "they write to etcd"},
    {{STAGE_ETCD, "restore_stop_etcd", "stop etcd", .applies = is_etcd_member, .deadline_seconds = 300, FUNCTIONS},
     RESTORE_SWITCHED,
     "all members begin anew together"},
    {{STAGE_ETCD, "restore_switch", "put the new data in the place of the old", .applies = is_etcd_member,
      .deadline_seconds = 300, FUNCTIONS},
     RESTORE_SWITCHED,
     "the old ones are kept beside them"},
    {{STAGE_ETCD, "restore_start", "start etcd", .applies = is_etcd_member, .deadline_seconds = 120, FUNCTIONS},
     RESTORE_STARTED,
     "as a new cluster"},
    {{STAGE_ETCD, "restore_verify", "read back what etcd has", .gate = true, .applies = is_etcd_member,
      .deadline_seconds = 300, FUNCTIONS},
     RESTORE_STARTED,
     "all members have to have the same, that of the snapshot"},
    {{STAGE_CONTROL_PLANES, "restore_control_planes", "start API server, controller manager and scheduler",
      .applies = is_control_plane, .deadline_seconds = 900, FUNCTIONS},
     RESTORE_STARTED,
     "they were stopped"},
    {{STAGE_WORKERS, "restore_kubelet", "restart the kubelet", .applies = has_kubelet, .deadline_seconds = 180,
      FUNCTIONS},
     RESTORE_STARTED,
     "it has seen later revisions"},
    {{STAGE_WORKERS, "restore_watchers", "restart what runs in kube-system", .applies = is_first_control_plane,
      .deadline_seconds = 3600, FUNCTIONS},
     RESTORE_STARTED,
     "it has seen later revisions"},
    {{STAGE_AGENTS, "restore_end", "start the agent and tidy up", .applies = is_control_plane_alone,
      .deadline_seconds = 300, FUNCTIONS},
     RESTORE_STARTED,
     "the restore is complete"},
    {{STAGE_AGENTS, "restore_end", "start the agent and tidy up", .applies = is_etcd_member, .deadline_seconds = 300,
      FUNCTIONS},
     RESTORE_STARTED,
     "the restore is complete"},
};

/* ---- what members say ---- */

static bool number_read(const char *text, int64_t *ret_number)
{
    char *end;
    long long number = strtoll(text, &end, 10);
    *ret_number = number;
    return end > text && *end == '\0' && number >= 0;
}

static bool progress_read(const char *line, struct member_look *look)
{
    static const char *const words[] = {"none", "prepared", "switched", "started", NULL};
    char word[16], id[RESTORE_ID_SIZE], digest[SHA256_TEXT_SIZE], revision[24];
    int count = sscanf(line, "%15s %23s %64s %23s", word, id, digest, revision);
    for (int i = 0; count > 0 && words[i]; i++)
        if (strcmp(word, words[i]) == 0)
            look->progress = (enum restore_progress)i;
    if (count == 1 && strcmp(word, words[RESTORE_NONE]) == 0)
        return true;
    if (count != 4 || look->progress == RESTORE_NONE || strspn(id, "0123456789TZ") != strlen(id))
        return false;
    snprintf(look->id, sizeof look->id, "%s", id);
    snprintf(look->digest, sizeof look->digest, "%s", digest);
    return number_read(revision, &look->revision);
}

enum err member_look_read(const char *text, struct member_look *ret_look, struct fault *f)
{
    struct member_look look = {0};
    char role[16];
    const char *member = snapshot_line(text, "member"), *restore = snapshot_line(text, "restore");
    bool known = member && restore && sscanf(member, "%15s", role) == 1 && progress_read(restore, &look);
    if (!known)
        return fault_set(f, CODE_UNTRUSTED, "this is not what was asked for");
    look.leader = strcmp(role, "leader") == 0;
    look.healthy = look.leader || strcmp(role, "follower") == 0;
    *ret_look = look;
    return OK;
}

/* Started members have been tidied up, or are to be. What was not started has to be prepared everywhere. */
static bool fits(const struct member_look *look, const struct member_look *found)
{
    if (look->progress == RESTORE_NONE)
        return found->progress == RESTORE_STARTED && look->healthy;
    return strcmp(look->id, found->id) == 0 && look->revision == found->revision;
}

enum restore_progress restore_found(const struct member_look *looks, const bool *members, size_t count,
                                    const char *digest, const struct member_look **ret_found)
{
    const struct member_look *found = NULL;
    for (size_t i = 0; i < count; i++)
        if (members[i] && looks[i].progress > (found ? found->progress : RESTORE_NONE) &&
            strcmp(looks[i].digest, digest) == 0)
            found = &looks[i];
    for (size_t i = 0; found && i < count; i++)
        if (members[i] && !fits(&looks[i], found))
            found = NULL;
    *ret_found = found;
    return found ? found->progress : RESTORE_NONE;
}

/* ---- opening ---- */

static void outputs_free(struct bytes *outputs, size_t count)
{
    for (size_t i = 0; outputs && i < count; i++)
        bytes_free(&outputs[i]);
    free(outputs);
}

static enum err looks_read(struct restore *restore, const struct bytes *outputs, struct fault *f)
{
    for (size_t i = 0; i < restore->bringup->hosts->count; i++)
        if (restore->chosen[i] && member_look_read(bytes_text(&outputs[i]), &restore->looks[i], f) != OK)
            return fault_set(f, CODE_UNTRUSTED, "%s: asked how etcd is there, it says something else: see its log",
                             restore->bringup->views[i].node->name);
    return OK;
}

static enum err members_look(struct restore *restore, struct fault *f)
{
    const struct hosts *hosts = restore->bringup->hosts;
    struct bytes *outputs = calloc(hosts->count, sizeof *outputs);
    if (!outputs)
        return fault_no_memory(f);
    for (size_t i = 0; i < hosts->count; i++)
        restore->chosen[i] = restore->is_member[i] && hosts->reports[i].answered;
    const struct step_talk talk = {.ret_outputs = outputs};
    enum err err = bringup_step_talk(restore->bringup, &look_kind, restore->chosen, &talk, f);
    if (err == OK)
        err = looks_read(restore, outputs, f);
    outputs_free(outputs, hosts->count);
    return err;
}

static void id_make(char ret_id[RESTORE_ID_SIZE])
{
    time_t now = time(NULL);
    struct tm utc;
    gmtime_r(&now, &utc);
    strftime(ret_id, RESTORE_ID_SIZE, "%Y%m%dT%H%M%SZ", &utc);
}

enum err restore_open(struct restore *ret_restore, struct bringup *bringup, const struct snapshot *snapshot,
                      struct fault *f)
{
    size_t count = bringup->hosts->count;
    const struct member_look *found;
    *ret_restore = (struct restore){.bringup = bringup,
                                    .snapshot = snapshot,
                                    .looks = calloc(count, sizeof *ret_restore->looks),
                                    .members = calloc(count, sizeof *ret_restore->members),
                                    .chosen = calloc(count, sizeof *ret_restore->chosen),
                                    .is_member = calloc(count, sizeof *ret_restore->is_member)};
    if (!ret_restore->looks || !ret_restore->members || !ret_restore->chosen || !ret_restore->is_member)
        return fault_no_memory(f);
    for (size_t i = 0; i < count; i++)
        ret_restore->is_member[i] = is_etcd_member(bringup->hosts->cluster, bringup->views[i].node);
    TRY(members_look(ret_restore, f));
    ret_restore->progress =
        restore_found(ret_restore->looks, ret_restore->is_member, count, snapshot ? snapshot->digest : "", &found);
    id_make(ret_restore->id);
    if (found)
        memcpy(ret_restore->id, found->id, sizeof found->id);
    ret_restore->revision = found ? found->revision : 0;
    return OK;
}

void restore_cleanup(struct restore *restore)
{
    free(restore->looks);
    free(restore->members);
    free(restore->chosen);
    free(restore->is_member);
}

enum err restore_healthy(const struct restore *restore, size_t *ret_host, struct fault *f)
{
    size_t count = restore->bringup->hosts->count, found = count;
    for (size_t i = 0; i < count; i++)
        if (restore->looks[i].healthy && (found == count || restore->looks[found].leader))
            found = i;
    *ret_host = found;
    return found < count ? OK
                         : fault_set(f, CODE_NOT_FOUND,
                                     "no member of etcd is healthy: there is nobody to take a snapshot of. See "
                                     "`ensign cluster status`");
}

/* ---- planning ---- */

/* A member that has nothing of a restore that was started has been tidied up: all is done there. */
static bool is_needed(const struct restore *restore, const struct phase *phase, size_t host)
{
    const struct bringup *bringup = restore->bringup;
    if (phase->last < restore->progress || !phase->kind.applies(bringup->hosts->cluster, bringup->views[host].node))
        return false;
    return restore->progress != RESTORE_STARTED || phase->kind.applies != is_etcd_member ||
           restore->looks[host].progress != RESTORE_NONE;
}

enum err restore_plan(struct restore *restore, struct fault *f)
{
    struct bringup *bringup = restore->bringup;
    plan_cleanup(&bringup->plan);
    for (size_t i = 0; i < ARRAY_SIZE(phases); i++)
        for (size_t host = 0; host < bringup->hosts->count; host++) {
            struct plan_row row = {.kind = &phases[i].kind, .host = host};
            if (!is_needed(restore, &phases[i], host))
                continue;
            snprintf(row.why, sizeof row.why, "%s", phases[i].why);
            TRY(plan_add(&bringup->plan, &row, f));
        }
    return OK;
}

/* ---- doing it ---- */

/* All members have made the same of it. */
static enum err prepared_read(struct restore *restore, const struct bytes *outputs, struct fault *f)
{
    struct snapshot_status status;
    for (size_t i = 0; i < restore->bringup->hosts->count; i++) {
        const char *node = restore->bringup->views[i].node->name, *text = bytes_text(&outputs[i]);
        const char *line = snapshot_line(text, "restored");
        if (!restore->chosen[i])
            continue;
        if (!line || !snapshot_status_read(text, &status) || strtoll(line, NULL, 10) < status.revision)
            return fault_set(f, CODE_UNTRUSTED, "%s: what was made of the snapshot is not what is in it: see its log",
                             node);
        if (restore->revision != 0 && restore->revision != strtoll(line, NULL, 10))
            return fault_set(f, CODE_UNTRUSTED, "%s: another revision was made of the snapshot than on other members",
                             node);
        restore->revision = strtoll(line, NULL, 10);
    }
    return OK;
}

static bool same(const char *one, const char *other)
{
    return strcmp(one, other) == 0 || strcmp(one, "-") == 0 || strcmp(other, "-") == 0;
}

static bool data_read(const char *text, struct member_data *ret_data)
{
    char revision[MEMBER_TEXT_SIZE];
    const char *line = snapshot_line(text, "member");
    return line && sscanf(line, "%23s %23s %23s", revision, ret_data->keys, ret_data->hash) == 3 &&
           number_read(revision, &ret_data->revision);
}

enum err members_compare(const struct node_entry *nodes, const struct bytes *outputs, const bool *chosen, size_t count,
                         int64_t revision, struct member_data *ret_members, struct fault *f)
{
    const struct member_data *first = NULL;
    for (size_t i = 0; i < count; i++) {
        struct member_data *data = &ret_members[i];
        if (!chosen[i])
            continue;
        if (!data_read(bytes_text(&outputs[i]), data))
            return fault_set(f, CODE_UNTRUSTED, "%s: asked what etcd has, it says something else: see its log",
                             nodes[i].name);
        if (data->revision < revision)
            return fault_set(f, CODE_INVALID, "%s: etcd is at revision %lld, which is before the snapshot's %lld",
                             nodes[i].name, (long long)data->revision, (long long)revision);
        first = first ? first : data;
        if (!same(data->keys, first->keys) || !same(data->hash, first->hash))
            return fault_set(f, CODE_INVALID, "%s: etcd has other data than other members have", nodes[i].name);
    }
    return OK;
}

static void input_write(const struct restore *restore, struct bytes *out)
{
    bytes_appendf(out, "%s %s-%s %s %zu %lld", restore->id, restore->bringup->hosts->cluster->name, restore->id,
                  restore->snapshot->digest, restore->snapshot->content.size, (long long)restore->revision);
}

static enum err phase_run(struct restore *restore, size_t index, struct bytes *outputs, struct fault *f)
{
    const struct phase *phase = &phases[index];
    AUTO(bytes) input = {0};
    size_t chosen = 0;
    for (size_t i = 0; i < restore->bringup->hosts->count; i++) {
        restore->chosen[i] = plan_find(&restore->bringup->plan, &phase->kind, i) != NULL;
        chosen += restore->chosen[i];
    }
    if (chosen == 0)
        return OK;
    input_write(restore, &input);
    TRY(bytes_check(&input, f));
    const struct step_talk talk = {.input = bytes_text(&input),
                                   .body = phase->last == RESTORE_NONE ? restore->snapshot->content : (struct span){0},
                                   .ret_outputs = outputs};
    TRY(bringup_step_talk(restore->bringup, &phase->kind, restore->chosen, &talk, f));
    if (phase->last == RESTORE_NONE)
        return prepared_read(restore, outputs, f);
    return phase->kind.gate ? members_compare(restore->bringup->hosts->cluster->nodes, outputs, restore->chosen,
                                              restore->bringup->hosts->count, restore->revision, restore->members, f)
                            : OK;
}

enum err restore_apply(struct restore *restore, struct fault *f)
{
    size_t count = restore->bringup->hosts->count;
    for (size_t i = 0; i < ARRAY_SIZE(phases); i++) {
        struct bytes *outputs = calloc(count, sizeof *outputs);
        enum err err = outputs ? phase_run(restore, i, outputs, f) : fault_no_memory(f);
        outputs_free(outputs, count);
        TRY(err);
    }
    return OK;
}
