#include "client/bootstrap/bringup.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/bootstrap/host_log.h"
#include "client/files.h"
#include "client/join_token.h"
#include "client/output.h"
#include "client/render/roles.h"

enum {
    TOKEN_SECONDS = 900,
    STEP_OUTPUT_MAX = 4 << 20,
    TAIL_LINES = 24,
    OUTPUT_LINES = 6, /* of what comes before that */
    EXIT_PENDING = 7, /* of ensign */
    SSH_PATIENCE_SECONDS = 15,
    VRRP_PASSWORD_SIZE = 8, /* keepalived takes no more */
};

/* ---- opening ---- */

#define VRRP_PASSWORD_FILE                                                                                             \
    "vrrp-password" /* beside the logs of the hosts; it keeps the cluster's two routers together */

/* VRRP sends it in the clear: it keeps clusters apart, not attackers out. Whoever applies from another machine makes
 * another one, which then goes to all load balancers. */
static enum err vrrp_password_make(struct bringup *bringup, struct fault *f)
{
    static const char letters[] = "abcdefghijkmnpqrstuvwxyz23456789";
    struct bytes *password = &bringup->vrrp_password;
    for (size_t i = 0; i < VRRP_PASSWORD_SIZE; i++)
        bytes_append(password, &letters[randombytes_uniform(sizeof letters - 1)], 1);
    TRY(bytes_check(password, f));
    return file_put_at(bringup->hosts->logs, VRRP_PASSWORD_FILE, FILE_MODE_PRIVATE, FILE_NEW, bytes_span(password), f);
}

static enum err vrrp_password_open(struct bringup *bringup, struct fault *f)
{
    if (bringup->hosts->cluster->bootstrap.balancer != BALANCER_NGINX_KEEPALIVED)
        return OK;
    enum err err = file_read_at(bringup->hosts->logs, VRRP_PASSWORD_FILE, &bringup->vrrp_password, f);
    if (err != ERR_ABSENT)
        return err;
    fault_clear(f);
    return vrrp_password_make(bringup, f);
}

enum err bringup_open(struct bringup *bringup, struct hosts *hosts, struct session *session, struct fault *f)
{
    bringup->hosts = hosts;
    bringup->session = session;
    TRY(materials_read(hosts->cluster, &bringup->materials, f));
    TRY(vrrp_password_open(bringup, f));
    TRY(profiles_shipped(&bringup->profiles, f));
    TRY(catalogue_make(hosts->cluster, &bringup->profiles, &bringup->catalogue, f));
    bringup->views = calloc(hosts->count, sizeof *bringup->views);
    bringup->paths = calloc(hosts->count, sizeof *bringup->paths);
    if (!bringup->views || !bringup->paths)
        return fault_no_memory(f);
    for (size_t i = 0; i < hosts->count; i++) {
        bringup->views[i] = (struct step_view){.catalogue = &bringup->catalogue,
                                               .node = &hosts->cluster->nodes[i],
                                               .facts = &hosts->reports[i].facts,
                                               .materials = &bringup->materials,
                                               .vrrp_password = bytes_text(&bringup->vrrp_password),
                                               .server = session ? session->context.server : NULL};
        TRY(step_paths(&bringup->catalogue, bringup->views[i].node, &bringup->paths[i], f));
    }
    hosts->files = bringup->paths;
    return OK;
}

void bringup_cleanup(struct bringup *bringup)
{
    for (size_t i = 0; bringup->paths && i < bringup->hosts->count; i++)
        free(bringup->paths[i]);
    free(bringup->paths);
    free(bringup->views);
    plan_cleanup(&bringup->plan);
    catalogue_cleanup(&bringup->catalogue);
    profiles_cleanup(&bringup->profiles);
    materials_cleanup(&bringup->materials);
    secret_cleanup(&bringup->vrrp_password);
}

/* ---- planning ---- */

/* A host that takes the place of the first control plane joins those that there are. */
static void initialised_find(struct bringup *bringup)
{
    struct hosts *hosts = bringup->hosts;
    hosts->cluster->initialised = NULL;
    for (size_t i = 0; i < hosts->count && !hosts->cluster->initialised; i++)
        if (bringup->views[i].facts && is_control_plane(hosts->cluster, bringup->views[i].node) &&
            step_initialised(&bringup->views[i]))
            hosts->cluster->initialised = bringup->views[i].node;
}

static bool etcd_is_active(const struct step_view *view)
{
    return view->facts && fact_is_active(view->facts, "etcd");
}

static void etcd_find(struct bringup *bringup)
{
    for (size_t i = 0; i < bringup->hosts->count; i++) {
        bringup->views[i].etcd_runs = false;
        for (size_t j = 0; j < bringup->hosts->count; j++)
            bringup->views[i].etcd_runs |= i != j && etcd_is_active(&bringup->views[j]);
    }
}

/* kubeadm refuses a configuration of a version that it is not of: "v1.20.2". */
static void version_find(struct bringup *bringup)
{
    const struct fact_row *row = NULL;
    for (size_t i = 0; i < bringup->hosts->count && !row; i++)
        if (bringup->views[i].facts && is_first_control_plane(bringup->hosts->cluster, bringup->views[i].node))
            row = fact_find(bringup->views[i].facts, LIST_VERSIONS, "kubeadm");
    bool known = row && row->cells[1][0] == 'v' && strlen(row->cells[1]) < sizeof bringup->kubernetes_version;
    snprintf(bringup->kubernetes_version, sizeof bringup->kubernetes_version, "%s", known ? row->cells[1] + 1 : "");
    for (size_t i = 0; i < bringup->hosts->count; i++)
        bringup->views[i].kubernetes_version = known ? bringup->kubernetes_version : NULL;
}

enum err bringup_plan(struct bringup *bringup, const struct plan_choice *choice, struct fault *f)
{
    const struct hosts *hosts = bringup->hosts;
    for (size_t i = 0; i < hosts->count; i++)
        bringup->views[i].facts = hosts->reports[i].answered ? &hosts->reports[i].facts : NULL;
    initialised_find(bringup);
    etcd_find(bringup);
    version_find(bringup);
    plan_cleanup(&bringup->plan);
    return plan_make(bringup->views, bringup->hosts->count, choice, &bringup->plan, f);
}

/* ---- one step on one host ---- */

struct work {
    struct bringup *bringup;
    const struct step_kind *kind;
    struct bytes *inputs;         /* one per host; secrets. NULL: none */
    const struct step_talk *talk; /* NULL: nothing */
};

/* The end of what it said becomes reasons, a line each. */
static void tail_keep(const struct bytes *said, size_t lines_max, struct fault *f)
{
    const char *text = bytes_text(said), *from = text + strlen(text);
    for (size_t lines = 0; from > text && lines <= lines_max; from--)
        lines += from[-1] == '\n';
    from += from > text;
    while (*from) {
        char line[sizeof f->reasons[0].text];
        size_t size = strcspn(from, "\n");
        snprintf(line, sizeof line, "%.*s", (int)(size < sizeof line ? size : sizeof line - 1), from);
        for (char *tab = line; (tab = strchr(tab, '\t'));)
            *tab = ' ';
        text_clean(line);
        text_hide_secrets(line);
        if (line[0])
            fault_reason(f, "", "%s", line);
        from += size + (from[size] == '\n');
    }
}

/* The last line is what was expected and seen. What a program printed before it failed is rather of use than its
 * advice. */
static enum err step_judge(const struct work *work, const char *node, const struct process_result *result,
                           struct fault *f)
{
    enum code code = result->status == EXIT_PENDING ? CODE_PENDING : CODE_IO;
    char last[sizeof f->reasons[0].text] = "";
    if (result->status == 0)
        return OK;
    tail_keep(&result->output, result->error.size > 0 ? OUTPUT_LINES : TAIL_LINES, f);
    tail_keep(&result->error, TAIL_LINES, f);
    if (f->reasons_count > 0 && f->reasons_omitted == 0)
        snprintf(last, sizeof last, "%s", f->reasons[--f->reasons_count].text);
    if (work->kind->gate && last[0])
        return fault_set(f, code, "%s: %s", node, last);
    return fault_set(f, code, "%s: %s: it ended with code %d%s%s", node, work->kind->title, result->status,
                     last[0] ? ": " : "", last);
}

enum { STEP_COMMAND_SIZE = 64 };

/* A shell may read more of its program than it runs. What comes behind it has to be whole. */
static void step_command(const struct step_talk *talk, size_t script_size, char ret_command[STEP_COMMAND_SIZE])
{
    if (talk->body.size > 0)
        snprintf(ret_command, STEP_COMMAND_SIZE, "exec 8<&0; eval \"$(head -c %zu)\"", script_size);
    else
        snprintf(ret_command, STEP_COMMAND_SIZE, "exec sh");
}

static enum err step_run(void *context, size_t host, int log, struct fault *f)
{
    static const struct step_talk nothing;
    const struct work *work = context;
    const struct step_view *view = &work->bringup->views[host];
    const struct step_talk *talk = work->talk ? work->talk : &nothing;
    const char *input = work->inputs ? bytes_text(&work->inputs[host]) : talk->input;
    char words[STEP_COMMAND_SIZE];
    CLEANUP(secret_cleanup) struct bytes script = {0};
    AUTO(process_result) result = {0};
    TRY(step_script(view, work->kind, input, &script, f));
    step_command(talk, script.size, words);
    const struct ssh_command command = {.title = work->kind->title,
                                        .command = words,
                                        .input = bytes_span(&script),
                                        .more = talk->body,
                                        .as_root = true,
                                        .deadline_ms = (work->kind->deadline_seconds + SSH_PATIENCE_SECONDS) * 1000,
                                        .output_max = STEP_OUTPUT_MAX,
                                        .output_file = talk->output_file,
                                        .log = log};
    TRY(ssh_run(&work->bringup->hosts->ssh, host, &command, &result, f));
    TRY(step_judge(work, view->node->name, &result, f));
    if (talk->ret_outputs)
        return bytes_give(talk->output_file > 0 ? &result.error : &result.output, &talk->ret_outputs[host], f);
    return OK;
}

/* ---- one step on many hosts ---- */

/* Tells what failed; `pending` hosts are told of by their entries there instead, unless it is NULL. */
static size_t failures_tell(const struct hosts *hosts, const struct outcome *outcomes, bool *pending)
{
    size_t failed = 0;
    for (size_t i = 0; i < hosts->count; i++) {
        bool waits = outcomes[i].err != OK && outcomes[i].fault.code == CODE_PENDING && pending;
        if (pending)
            pending[i] = waits;
        if (outcomes[i].err == OK || waits)
            continue;
        message_fault(&outcomes[i].fault);
        failed++;
    }
    return failed;
}

static enum err hosts_work(struct work *work, const bool *chosen, bool *pending, struct fault *f)
{
    struct hosts *hosts = work->bringup->hosts;
    struct outcome *outcomes = NULL;
    bool *skip = calloc(hosts->count, sizeof *skip);
    if (!skip)
        return fault_no_memory(f);
    for (size_t i = 0; i < hosts->count; i++)
        skip[i] = !chosen[i];
    enum err err = run_on_hosts(&hosts->runner, work->kind->title, skip, step_run, work, &outcomes, f);
    free(skip);
    if (err != OK)
        return err;
    size_t failed = failures_tell(hosts, outcomes, pending);
    free(outcomes);
    TRY(hosts_interrupted(hosts, f));
    return failed == 0 ? OK
                       : fault_set(f, CODE_IO,
                                   "%s: failed on %zu of the hosts, see above and %s/HOST.log. When the cause is gone, "
                                   "run the command again: it goes on there",
                                   work->kind->title, failed, bytes_text(&hosts->logs_path));
}

/* One after the other, and no further than the first that fails. */
static enum err hosts_work_serial(struct work *work, const bool *chosen, struct fault *f)
{
    size_t count = work->bringup->hosts->count;
    bool *one = calloc(count, sizeof *one);
    enum err err = one ? OK : fault_no_memory(f);
    for (size_t i = 0; i < count && err == OK; i++) {
        if (!chosen[i])
            continue;
        one[i] = true;
        err = hosts_work(work, one, NULL, f);
        one[i] = false;
    }
    free(one);
    return err;
}

enum err bringup_step(struct bringup *bringup, const struct step_kind *kind, const bool *chosen, struct fault *f)
{
    return bringup_step_talk(bringup, kind, chosen, NULL, f);
}

enum err bringup_step_talk(struct bringup *bringup, const struct step_kind *kind, const bool *chosen,
                           const struct step_talk *talk, struct fault *f)
{
    struct work work = {bringup, kind, NULL, talk};
    return hosts_work(&work, chosen, NULL, f);
}

enum err bringup_step_on(struct bringup *bringup, const struct step_kind *kind, size_t host, const char *input,
                         struct fault *f)
{
    const struct step_talk talk = {.input = input};
    bool *chosen = calloc(bringup->hosts->count, sizeof *chosen);
    if (!chosen)
        return fault_no_memory(f);
    chosen[host] = true;
    enum err err = bringup_step_talk(bringup, kind, chosen, &talk, f);
    free(chosen);
    return err;
}

/* ---- health ---- */

static enum err health_ask(void *context, size_t host, int log, struct fault *f)
{
    struct work work = {.bringup = context};
    const struct step_view *view = &work.bringup->views[host];
    for (work.kind = step_kinds; work.kind->name; work.kind++)
        if (work.kind->gate && work.kind->applies(view->catalogue->cluster, view->node))
            TRY(step_run(&work, host, log, f));
    return OK;
}

static enum err health_of_all(struct bringup *bringup, bool *silent, struct outcome **ret_health, struct fault *f)
{
    const struct hosts *hosts = bringup->hosts;
    for (size_t i = 0; i < hosts->count; i++) {
        silent[i] = !hosts->reports[i].answered;
        bringup->views[i].hurry = true;
    }
    enum err err = run_on_hosts(&hosts->runner, "health", silent, health_ask, bringup, ret_health, f);
    for (size_t i = 0; i < hosts->count; i++)
        bringup->views[i].hurry = false;
    for (size_t i = 0; err == OK && i < hosts->count; i++)
        if (silent[i])
            (*ret_health)[i] = hosts->outcomes[i];
    return err;
}

enum err bringup_health(struct bringup *bringup, struct outcome **ret_health, struct fault *f)
{
    bool *silent = calloc(bringup->hosts->count, sizeof *silent);
    enum err err = silent ? health_of_all(bringup, silent, ret_health, f) : fault_no_memory(f);
    free(silent);
    return err;
}

/* ---- enrolment ---- */

static enum err tokens_make(struct bringup *bringup, const bool *chosen, struct bytes *inputs, struct fault *f)
{
    for (size_t i = 0; i < bringup->hosts->count; i++)
        if (chosen[i])
            TRY(join_token(bringup->session, bringup->hosts->cluster->name, bringup->views[i].node->name, TOKEN_SECONDS,
                           &inputs[i], f));
    return OK;
}

/* Who has the shared keys by now hands them on to those who wait, who then take them. */
static enum err shared_keys_pass(struct bringup *bringup, const bool *pending, struct fault *f)
{
    const struct hosts *hosts = bringup->hosts;
    bool *holders = calloc(hosts->count, sizeof *holders);
    if (!holders)
        return fault_no_memory(f);
    for (size_t i = 0; i < hosts->count; i++)
        holders[i] = hosts->cluster->nodes[i].roles & ROLE_CONTROL_PLANE && !pending[i];
    enum err err = bringup_step(bringup, &step_share, holders, f);
    free(holders);
    return err == OK ? bringup_step(bringup, &step_share, pending, f) : err;
}

static bool any(const bool *chosen, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (chosen[i])
            return true;
    return false;
}

static enum err enrol_with(struct work *work, const bool *chosen, bool *pending, struct fault *f)
{
    TRY(tokens_make(work->bringup, chosen, work->inputs, f));
    TRY(hosts_work(work, chosen, pending, f));
    return any(pending, work->bringup->hosts->count) ? shared_keys_pass(work->bringup, pending, f) : OK;
}

static enum err enrol(struct bringup *bringup, const struct step_kind *kind, const bool *chosen, struct fault *f)
{
    size_t count = bringup->hosts->count;
    struct work work = {bringup, kind, calloc(count, sizeof *work.inputs), NULL};
    bool *pending = calloc(count, sizeof *pending);
    enum err err = work.inputs && pending ? enrol_with(&work, chosen, pending, f) : fault_no_memory(f);
    for (size_t i = 0; work.inputs && i < count; i++)
        secret_cleanup(&work.inputs[i]);
    free(work.inputs);
    free(pending);
    return err;
}

/* ---- all steps ---- */

/* A member that is restarted must not take the quorum with it, and one is added after the other. */
static bool one_by_one(const struct bringup *bringup, const struct step_kind *kind)
{
    bool runs = false;
    for (size_t i = 0; i < bringup->hosts->count; i++)
        runs |= etcd_is_active(&bringup->views[i]);
    return kind->serial || (kind->stage == STAGE_ETCD && !kind->gate && runs);
}

static enum err kind_apply(struct bringup *bringup, const struct step_kind *kind, const struct plan_choice *choice,
                           bool *chosen, struct fault *f)
{
    const struct hosts *hosts = bringup->hosts;
    struct work work = {bringup, kind, NULL, NULL};
    for (size_t i = 0; i < hosts->count; i++)
        chosen[i] = kind->gate ? plan_chosen(choice, kind, bringup->views[i].node) &&
                                     kind->applies(hosts->cluster, bringup->views[i].node)
                               : plan_find(&bringup->plan, kind, i) != NULL;
    if (!any(chosen, hosts->count))
        return OK;
    if (kind->stage == STAGE_ENROL)
        return enrol(bringup, kind, chosen, f);
    return one_by_one(bringup, kind) ? hosts_work_serial(&work, chosen, f) : hosts_work(&work, chosen, NULL, f);
}

static enum err kinds_apply(struct bringup *bringup, const struct plan_choice *choice, enum stage first,
                            enum stage last, struct fault *f)
{
    bool *chosen = calloc(bringup->hosts->count, sizeof *chosen);
    enum err err = chosen ? OK : fault_no_memory(f);
    for (const struct step_kind *kind = step_kinds; kind->name && err == OK; kind++)
        if (kind->stage >= first && kind->stage <= last)
            err = kind_apply(bringup, kind, choice, chosen, f);
    free(chosen);
    return err;
}

/* What hosts are like after their preparation decides about what follows: versions, certificates, the CRL. */
static enum err plan_again(struct bringup *bringup, const struct plan_choice *choice, struct fault *f)
{
    TRY(hosts_look_again(bringup->hosts, f));
    TRY(bringup_plan(bringup, choice, f));
    const struct plan_row *row = bringup->plan.count > 0 ? &bringup->plan.rows[0] : NULL;
    if (row && row->kind->stage <= STAGE_ENROL)
        return fault_set(f, CODE_IO, "%s: %s: it was done, and yet: %s", bringup->views[row->host].node->name,
                         row->kind->title, row->why);
    return OK;
}

enum err bringup_apply(struct bringup *bringup, const struct plan_choice *choice, struct fault *f)
{
    bool prepares = bringup->plan.count > 0 && bringup->plan.rows[0].kind->stage <= STAGE_ENROL;
    TRY(kinds_apply(bringup, choice, STAGE_PREPARE, STAGE_ENROL, f));
    if (prepares)
        TRY(plan_again(bringup, choice, f));
    return kinds_apply(bringup, choice, STAGE_ENROL + 1, STAGES_COUNT - 1, f);
}
