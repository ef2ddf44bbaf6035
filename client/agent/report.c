#include <string.h>

#include "ca/base/encode.h"
#include "client/agent/state.h"
#include "client/files.h"
#include "client/text.h"

/* ---- to the service ---- */

static json_t *tracked_json(const struct tracked *tracked)
{
    char until[TIME_TEXT_SIZE];
    time_text(tracked->not_after, until);
    return json_pack("{s:s, s:s, s:s, s:s, s:s*, s:s*}", "profile", tracked->name, "serial", tracked->serial, "state",
                     tracked_state_words[tracked->state], "not_after", until, "served_serial",
                     tracked->served_serial[0] ? tracked->served_serial : NULL, "detail",
                     tracked->detail[0] ? tracked->detail : NULL);
}

static json_t *certificates_json(const struct agent *agent)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < agent->tracked_count; i++)
        if (!agent->tracked[i].bundle && agent->tracked[i].serial[0] &&
            json_array_append_new(list, tracked_json(&agent->tracked[i])) != 0) {
            json_decref(list);
            return NULL;
        }
    return list;
}

static json_t *crls_json(const struct agent *agent)
{
    return agent->crl_number > 0
               ? json_pack("[{s:s, s:I}]", "authority", "etcd-ca", "number", (json_int_t)agent->crl_number)
               : json_array();
}

enum err report_turn(struct agent *agent, const struct caller_place *caller, struct fault *f)
{
    CLEANUP(json_cleanup) json_t *certificates = certificates_json(agent);
    CLEANUP(json_cleanup) json_t *crls = crls_json(agent);
    CLEANUP(json_cleanup) json_t *both = certificates && crls ? json_pack("[O, O]", certificates, crls) : NULL;
    if (!both)
        return fault_no_memory(f);
    if (agent->reported && json_equal(agent->reported, both))
        return OK;
    TRY(report_send(caller, certificates, crls, f));
    json_decref(agent->reported);
    agent->reported = TAKE(both);
    return OK;
}

/* ---- to Prometheus ---- */

static void gauge_head(struct bytes *out, const char *name, const char *type, const char *help)
{
    bytes_appendf(out, "# HELP ensign_agent_%s %s\n# TYPE ensign_agent_%s %s\n", name, help, name, type);
}

static void value_append(struct bytes *out, const char *name, const char *type, const char *help, int64_t value)
{
    gauge_head(out, name, type, help);
    bytes_appendf(out, "ensign_agent_%s %lld\n", name, (long long)value);
}

static void certificates_append(struct bytes *out, const struct agent *agent)
{
    gauge_head(out, "certificate_not_after_seconds", "gauge", "When the certificate expires.");
    for (size_t i = 0; i < agent->tracked_count; i++)
        if (!agent->tracked[i].bundle && agent->tracked[i].serial[0])
            bytes_appendf(out, "ensign_agent_certificate_not_after_seconds{profile=\"%s\"} %lld\n",
                          agent->tracked[i].name, (long long)agent->tracked[i].not_after);
    gauge_head(out, "certificate_failures", "gauge", "Attempts in a row that failed.");
    for (size_t i = 0; i < agent->tracked_count; i++)
        bytes_appendf(out, "ensign_agent_certificate_failures{name=\"%s\",state=\"%s\"} %u\n", agent->tracked[i].name,
                      tracked_state_words[agent->tracked[i].state], agent->tracked[i].failures);
}

enum err metrics_write(const struct agent *agent, struct fault *f)
{
    AUTO(bytes) text = {0};
    if (!agent->options->metrics_path)
        return OK;
    certificates_append(&text, agent);
    value_append(&text, "renewals_total", "counter", "Certificates that were renewed since the start.",
                 (int64_t)agent->renewals);
    value_append(&text, "failures_total", "counter", "Attempts that failed since the start.", (int64_t)agent->failures);
    value_append(&text, "contact_seconds", "gauge", "When the service answered last.", agent->contact_at);
    TRY(bytes_check(&text, f));
    return file_put(agent->options->metrics_path, FILE_MODE_PUBLIC, FILE_REPLACE, bytes_span(&text), f);
}
