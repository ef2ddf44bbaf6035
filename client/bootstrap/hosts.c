#include "client/bootstrap/hosts.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/bootstrap/host_log.h"
#include "client/files.h"
#include "client/render/roles.h"

enum { CLOCK_DEADLINE_MS = 15000, FACTS_DEADLINE_MS = 120000, CLOCK_OUTPUT_MAX = 4096, NAMES_ASKED_MAX = 64 };

/* ---- opening ---- */

enum err hosts_open(struct cluster *cluster, const struct hosts_options *options, struct hosts *hosts, struct fault *f)
{
    hosts->cluster = cluster;
    hosts->count = cluster->nodes_count;
    hosts->logs = -1;
    TRY(interrupt_open(&hosts->interrupt, f));
    TRY(targets_make(cluster, &hosts->targets, f));
    TRY(host_log_folder(cluster->name, &hosts->logs_path, &hosts->logs, f));
    TRY(ssh_open(hosts->targets, hosts->count, options->ssh_config, hosts->interrupt.stop, &hosts->ssh, f));
    if (options->sudo_password_file)
        TRY(ssh_password_read(&hosts->ssh, options->sudo_password_file, f));
    hosts->runner = (struct runner){&hosts->ssh, options->parallel, hosts->logs};
    hosts->reports = calloc(hosts->count, sizeof *hosts->reports);
    if (!hosts->reports)
        return fault_no_memory(f);
    for (size_t i = 0; i < hosts->count; i++)
        hosts->reports[i].node = &cluster->nodes[i];
    return OK;
}

void hosts_cleanup(struct hosts *hosts)
{
    for (size_t i = 0; hosts->reports && i < hosts->count; i++)
        host_facts_cleanup(&hosts->reports[i].facts);
    free(hosts->reports);
    free(hosts->outcomes);
    ssh_cleanup(&hosts->ssh);
    free(hosts->targets);
    bytes_free(&hosts->logs_path);
    if (hosts->logs > 0)
        fd_cleanup(&hosts->logs);
    interrupt_cleanup(&hosts->interrupt);
}

/* ---- one host ---- */

static enum err connect_step(void *context, size_t host, int log, struct fault *f)
{
    struct hosts *hosts = context;
    host_log_text(log, "connecting");
    return ssh_connect(&hosts->ssh, host, f);
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* "1795271000.123456789" */
static bool clock_parse(const char *text, int64_t *ret_ms)
{
    char *end;
    long long seconds = strtoll(text, &end, 10);
    if (end == text || seconds < 0 || seconds > INT64_C(1) << 40 || *end != '.' || strspn(end + 1, "0123456789") != 9 ||
        strcmp(end + 10, "\n") != 0)
        return false;
    *ret_ms = seconds * 1000 + strtoll(end + 1, NULL, 10) / 1000000;
    return true;
}

/* It read its clock some time between the question and the answer. */
static enum err clock_ask(struct hosts *hosts, size_t host, int log, struct fault *f)
{
    AUTO(process_result) result = {0};
    struct host_report *report = &hosts->reports[host];
    const struct ssh_command command = {.title = "tell the time",
                                        .command = "date +%s.%N",
                                        .deadline_ms = CLOCK_DEADLINE_MS,
                                        .output_max = CLOCK_OUTPUT_MAX,
                                        .log = log};
    int64_t before = now_ms(), theirs;
    TRY(ssh_run(&hosts->ssh, host, &command, &result, f));
    int64_t after = now_ms();
    if (result.status != 0 || !clock_parse(bytes_text(&result.output), &theirs))
        return fault_set(f, CODE_UNTRUSTED, "%s: `date` there does not tell the time", report->node->name);
    report->skew_ms = theirs - (before + after) / 2;
    report->uncertainty_ms = (after - before + 1) / 2;
    return OK;
}

/* Those that its roles are about: each takes a while to say its version. */
enum { PROGRAMS_ASKED_MAX = 16 };
static void programs_choose(const struct cluster *cluster, const struct node_entry *node,
                            const char *ret_programs[PROGRAMS_ASKED_MAX])
{
    static const struct {
        node_is *applies;
        const char *name;
    } rows[] = {
        {is_any, "ensign"},        {is_any, "curl"},
        {has_kubelet, "kubelet"},  {has_kubelet, "kubeadm"},
        {has_kubelet, "kubectl"},  {has_kubelet, "crictl"},
        {has_kubelet, "runc"},     {has_containerd, "containerd"},
        {has_crio, "crio"},        {has_external_etcd, "etcd"},
        {has_haproxy, "haproxy"},  {has_nginx, "nginx"},
        {has_nginx, "keepalived"},
    };
    size_t count = 0;
    for (size_t i = 0; i < ARRAY_SIZE(rows) && count + 1 < PROGRAMS_ASKED_MAX; i++)
        if (rows[i].applies(cluster, node))
            ret_programs[count++] = rows[i].name;
    ret_programs[count] = NULL;
}

/* What a host has to find: itself, the API servers, and all the others where they are few. */
static enum err question_script(const struct hosts *hosts, size_t host, struct bytes *ret_script, struct fault *f)
{
    const struct cluster *cluster = hosts->cluster;
    const char *names[NAMES_ASKED_MAX + 3] = {cluster->nodes[host].name};
    const char *folders[] = {cluster->bootstrap.etcd_data_dir, NULL};
    size_t count = 1;
    if (cluster->endpoint_host[0])
        names[count++] = cluster->endpoint_host;
    for (size_t i = 0; cluster->nodes_count <= NAMES_ASKED_MAX && i < cluster->nodes_count; i++)
        if (i != host)
            names[count++] = cluster->nodes[i].name;
    const char *programs[PROGRAMS_ASKED_MAX];
    programs_choose(cluster, &cluster->nodes[host], programs);
    const struct facts_question question = {
        .names = names, .files = hosts->files ? hosts->files[host] : NULL, .folders = folders, .programs = programs};
    return facts_script(&question, ret_script, f);
}

static enum err facts_ask(struct hosts *hosts, size_t host, int log, struct fault *f)
{
    AUTO(process_result) result = {0};
    AUTO(bytes) script = {0};
    struct host_report *report = &hosts->reports[host];
    TRY(question_script(hosts, host, &script, f));
    const struct ssh_command command = {.title = "tell its facts",
                                        .command = "exec sh",
                                        .input = bytes_span(&script),
                                        .as_root = true,
                                        .deadline_ms = FACTS_DEADLINE_MS,
                                        .output_max = FACTS_SIZE_MAX,
                                        .log = log};
    TRY(ssh_run(&hosts->ssh, host, &command, &result, f));
    if (result.status != 0)
        return fault_set(f, CODE_UNTRUSTED, "%s: asking for its facts ended with code %d: see its log",
                         report->node->name, result.status);
    host_facts_cleanup(&report->facts);
    report->facts = (struct host_facts){0};
    TRY(facts_read(bytes_span(&result.output), &report->facts, f));
    report->answered = true;
    return OK;
}

static enum err look_step(void *context, size_t host, int log, struct fault *f)
{
    struct hosts *hosts = context;
    TRY(ssh_become_root(&hosts->ssh, host, f));
    TRY(clock_ask(hosts, host, log, f));
    return facts_ask(hosts, host, log, f);
}

/* ---- all of them ---- */

enum err hosts_interrupted(const struct hosts *hosts, struct fault *f)
{
    struct pollfd stop = {hosts->interrupt.stop, POLLIN, 0};
    return poll(&stop, 1, 0) > 0 ? fault_set(f, CODE_IO, "interrupted: run the command again to go on") : OK;
}

/* Those that failed before have no outcome of the later step. */
static void outcomes_merge(struct hosts *hosts, struct outcome *take_later, const bool *failed)
{
    for (size_t i = 0; i < hosts->count; i++)
        if (!failed[i])
            hosts->outcomes[i] = take_later[i];
    free(take_later);
}

static enum err look(struct hosts *hosts, const struct hosts_options *options, bool *failed, struct fault *f)
{
    struct outcome *later = NULL;
    TRY(run_on_hosts(&hosts->runner, "connect", NULL, connect_step, hosts, &hosts->outcomes, f));
    for (size_t i = 0; i < hosts->count; i++)
        failed[i] = hosts->outcomes[i].err != OK;
    TRY(hosts_interrupted(hosts, f));
    if (!options->sudo_password_file && ssh_wants_password(&hosts->ssh))
        TRY(ssh_password_ask(&hosts->ssh, f));
    TRY(run_on_hosts(&hosts->runner, "look", failed, look_step, hosts, &later, f));
    outcomes_merge(hosts, later, failed);
    return hosts_interrupted(hosts, f);
}

enum err hosts_look(struct hosts *hosts, const struct hosts_options *options, struct fault *f)
{
    bool *failed = calloc(hosts->count, sizeof *failed);
    if (!failed)
        return fault_no_memory(f);
    enum err err = look(hosts, options, failed, f);
    free(failed);
    return err;
}

enum err hosts_look_again(struct hosts *hosts, struct fault *f)
{
    struct outcome *outcomes = NULL;
    TRY(run_on_hosts(&hosts->runner, "look again", NULL, look_step, hosts, &outcomes, f));
    size_t failed = outcomes_collect(&hosts->ssh, outcomes, f);
    free(outcomes);
    TRY(hosts_interrupted(hosts, f));
    return failed > 0 ? fault_set(f, CODE_IO, "%zu hosts do not answer any more", failed) : OK;
}

bool hosts_answered(const struct hosts *hosts)
{
    for (size_t i = 0; i < hosts->count; i++)
        if (!hosts->reports[i].answered)
            return false;
    return true;
}
