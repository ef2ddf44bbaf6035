#include "client/fitness.h"

#include <string.h>

#include "ca/base/encode.h"
#include "ca/x509/certificate.h"
#include "client/text.h"

enum { PARALLEL = 16, OWN_CERTIFICATES_MAX = 32 };

static const struct column columns[] = {
    {"NODE", "node", false},         {"LEVEL", "level", false}, {"CHECK", "check", false},
    {"EXPECTED", "expected", false}, {"SEEN", "seen", false},   {"REMEDY", "remedy", false},
};

/* ---- whose CAs lie there ---- */

/* The cluster's own CA certificates, when a service is there to be asked. */
struct own {
    char texts[OWN_CERTIFICATES_MAX][SHA256_TEXT_SIZE];
    const char *sha256[OWN_CERTIFICATES_MAX + 1];
    size_t count;
    bool known;
};

static enum err own_add(struct own *own, struct span pem, struct fault *f)
{
    for (;;) {
        char label[PEM_LABEL_SIZE];
        AUTO(bytes) der = {0};
        AUTO(certificate) certificate = {0};
        enum err err = pem_next(&pem, label, &der, f);
        if (err == ERR_ABSENT) {
            fault_clear(f);
            return OK;
        }
        TRY(err);
        TRY(certificate_parse(bytes_span(&der), &certificate, f));
        if (own->count == OWN_CERTIFICATES_MAX)
            return fault_set(f, CODE_TOO_LARGE, "the cluster has more than %d CA certificates", OWN_CERTIFICATES_MAX);
        hex_text(SPAN_OF(certificate.sha256), own->texts[own->count], SHA256_TEXT_SIZE);
        own->sha256[own->count] = own->texts[own->count];
        own->count++;
    }
}

/* A cluster that the service does not have yet has no CAs: what lies on the hosts is somebody else's. */
static enum err own_fetch(struct session *session, const char *cluster, struct own *own, struct fault *f)
{
    own->known = true;
    for (size_t i = 0; cluster_authorities[i]; i++) {
        AUTO(bytes) bundle = {0};
        enum err err = session_bundle(session, cluster, cluster_authorities[i], &bundle, f);
        if (err == ERR_ABSENT) {
            fault_clear(f);
            return OK;
        }
        TRY(err);
        TRY(own_add(own, bytes_span(&bundle), f));
    }
    return OK;
}

/* ---- the answer ---- */

/* node  NULL: none */
static enum err item_add(json_t *items, const char *node, const char *level, const char *check, const char *expected,
                         const char *seen, const char *remedy, struct fault *f)
{
    json_t *item = json_pack("{s:s?, s:s, s:s, s:s, s:s, s:s}", "node", node, "level", level, "check", check,
                             "expected", expected, "seen", seen, "remedy", remedy);
    return json_array_append_new(items, item) == 0 ? OK : fault_no_memory(f);
}

const char *without_host(const char *text, const char *name)
{
    size_t size = strlen(name);
    return strncmp(text, name, size) == 0 && strncmp(text + size, ": ", 2) == 0 ? text + size + 2 : text;
}

/* A host that did not get as far as its facts. */
static enum err silent_add(json_t *items, const struct hosts *hosts, size_t host, struct fault *f)
{
    const char *name = hosts->reports[host].node->name;
    const char *text = without_host(hosts->outcomes[host].fault.text, name);
    char log[320];
    snprintf(log, sizeof log, "see %.240s/%.60s.log", bytes_text(&hosts->logs_path), name);
    return item_add(items, name, finding_level_words[FINDING_ERROR], code_name(hosts->outcomes[host].fault.code),
                    "that the host answers", text, log, f);
}

/* Those of this node (NULL: of the cluster file), which come next. */
static enum err findings_add(json_t *items, const struct findings *findings, const struct node_entry *node, size_t *row,
                             struct fault *f)
{
    for (; *row < findings->count && findings->rows[*row].node == node; (*row)++) {
        const struct finding *finding = &findings->rows[*row];
        TRY(item_add(items, node ? node->name : NULL, finding_level_words[finding->level], finding->check,
                     finding->expected, finding->seen, finding->remedy, f));
    }
    return OK;
}

static enum err items_make(const struct hosts *hosts, const struct findings *findings, json_t *items,
                           size_t *ret_errors, struct fault *f)
{
    size_t row = 0;
    *ret_errors = findings->errors;
    TRY(findings_add(items, findings, NULL, &row, f));
    for (size_t i = 0; i < hosts->count; i++) {
        if (!hosts->reports[i].answered) {
            TRY(silent_add(items, hosts, i, f));
            *ret_errors += 1;
        }
        TRY(findings_add(items, findings, hosts->reports[i].node, &row, f));
    }
    return OK;
}

/* Each host with what it said, for programs. */
static enum err reports_make(const struct hosts *hosts, json_t *list, struct fault *f)
{
    for (size_t i = 0; i < hosts->count; i++) {
        const struct host_report *report = &hosts->reports[i];
        json_t *item = json_pack("{s:s, s:b}", "node", report->node->name, "answered", report->answered);
        if (json_array_append_new(list, item) != 0)
            return fault_no_memory(f);
        if (!report->answered)
            continue;
        if (json_object_set_new(item, "clock_ahead_ms", json_integer(report->skew_ms)) != 0 ||
            json_object_set_new(item, "clock_uncertainty_ms", json_integer(report->uncertainty_ms)) != 0 ||
            json_object_set(item, "facts", document_json(report->facts.document)) != 0)
            return fault_no_memory(f);
    }
    return OK;
}

enum err fitness_print(const struct hosts *hosts, const struct findings *findings, enum output_format format,
                       size_t *ret_errors, struct fault *f)
{
    CLEANUP(json_cleanup) json_t *answer = json_pack("{s:[], s:[]}", "items", "hosts");
    const struct output output = {format, columns, ARRAY_SIZE(columns)};
    if (!answer)
        return fault_no_memory(f);
    TRY(items_make(hosts, findings, json_object_get(answer, "items"), ret_errors, f));
    TRY(reports_make(hosts, json_object_get(answer, "hosts"), f));
    bool whole = format == OUTPUT_JSON || format == OUTPUT_YAML;
    if (!whole && json_array_size(json_object_get(answer, "items")) == 0)
        return OK;
    return output_list(&output, answer, f);
}

struct hosts_options hosts_options_read(const struct arguments *arguments)
{
    return (struct hosts_options){.ssh_config = arguments->values[OPTION_SSH_CONFIG],
                                  .sudo_password_file = arguments->values[OPTION_SUDO_PASSWORD_FILE],
                                  .parallel = option_number(arguments, OPTION_PARALLEL, PARALLEL)};
}

enum err fitness_check(struct session *session, const struct hosts *hosts, bool force, struct findings *findings,
                       struct fault *f)
{
    struct own own = {0};
    if (session)
        TRY(own_fetch(session, hosts->cluster->name, &own, f));
    const struct check_authorities authorities = {own.known, own.sha256};
    TRY(check_cluster(hosts->cluster, force, findings, f));
    return check_hosts(hosts->cluster, hosts->reports, hosts->count, &authorities, findings, f);
}

enum err fitness_refused(const struct hosts *hosts, size_t errors, struct fault *f)
{
    if (errors == 0)
        return OK;
    return fault_set(f, CODE_INVALID, "%zu errors stand between these hosts and a cluster; logs are in %.200s", errors,
                     bytes_text(&hosts->logs_path));
}
