/* api_metrics.c: GET /metrics. The names that other exporters use too are theirs; the rest begin with ensign_. */
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ca/crl.h"
#include "ca/deployed.h"
#include "server/api.h"
#include "server/metrics.h"
#include "server/metrics_text.h"

/* Beyond that, certificates are counted instead of shown, and clusters left out: a scraper pays for each series. */
enum { CERTIFICATES_MAX = 1000, CLUSTERS_MAX = 1000 };

/* ---- certificates that were issued and denied ---- */

static void profiles_write(struct app *app, const char *name, const char *help, bool denied, struct bytes *out)
{
    metric_family(out, name, "counter", help);
    for (size_t i = 0; i < app->ca->profiles.count; i++) {
        const struct profile *profile = &app->ca->profiles.items[i];
        const struct issue_counters *counters = &app->ca->counters[i];
        const struct metric_label labels[] = {{"issuer", profile->issuer}, {"profile", profile->name}, {0}};
        metric_sample(out, name, labels, (double)(denied ? counters->denied : counters->issued));
    }
}

/* ---- the validity of CAs and of the service's own certificate ---- */

struct validity_list {
    struct bytes *out;
    const char *name;
    bool end; /* notAfter, else notBefore */
    size_t count;
};

static bool authority_write(void *context, const struct authority *authority)
{
    struct validity_list *list = context;
    const struct certificate_content *content = &authority->certificate.body.content;
    char generation[16];
    snprintf(generation, sizeof generation, "%u", (unsigned)authority->record.generation);
    const struct metric_label labels[] = {{"cluster", authority->record.cluster},
                                          {"authority", authority->record.name},
                                          {"generation", generation},
                                          {"type", "ca"},
                                          {0}};
    if (list->count++ < CERTIFICATES_MAX)
        metric_sample(list->out, list->name, labels, (double)(list->end ? content->not_after : content->not_before));
    return true;
}

static size_t validity_write(struct app *app, const char *name, const char *help, bool end, struct bytes *out)
{
    static const struct metric_label tls[] = {
        {"cluster", CLUSTER_SERVICE}, {"authority", AUTHORITY_SERVICE}, {"type", "tls"}, {0}};
    struct metrics_validity validity = metrics_tls_validity(app->metrics);
    struct validity_list list = {out, name, end, 0};
    metric_family(out, name, "gauge", help);
    if (validity.not_after)
        metric_sample(out, name, tls, (double)(end ? validity.not_after : validity.not_before));
    authorities_each(app->ca->authorities, authority_write, &list);
    return list.count;
}

static void certificates_write(struct app *app, struct bytes *out)
{
    validity_write(app, "x509_cert_not_before", "When the validity of a certificate begins, since 1970 in UTC.", false,
                   out);
    size_t count = validity_write(app, "x509_cert_not_after",
                                  "When the validity of a certificate ends, since 1970 in UTC.", true, out);
    metric_single(out, "ensign_authorities_omitted", "gauge",
                  "CAs that are not among the x509_cert_ series because there are too many.",
                  count > CERTIFICATES_MAX ? (double)(count - CERTIFICATES_MAX) : 0);
}

/* ---- the parts of the service ---- */

static void parts_write(struct app *app, struct bytes *out)
{
    struct merkle_frontier frontier;
    struct store_usage usage;
    ledger_frontier(app->ca->ledger, &frontier);
    store_usage(app->ca->store, &usage);
    if (frontier.size > 0)
        metric_single(out, "ensign_audit_head_sequence", "gauge", "The number of the audit log's newest entry.",
                      (double)(frontier.size - 1));
    metric_single(out, "ensign_ledger_read_only", "gauge", "1 when the disk did not take the last commit.",
                  ledger_read_only(app->ca->ledger));
    metric_single(out, "ensign_restore_pending", "gauge",
                  "1 when the database is an older copy, and no admin has acknowledged it.",
                  restore_read(app->ca->restore).cause != RESTORE_NONE);
    metric_single(out, "ensign_lmdb_map_used_bytes", "gauge", "How much of its map the store has used.",
                  (double)usage.used_bytes);
    metric_single(out, "ensign_lmdb_map_size_bytes", "gauge", "The size of the store's map, which it cannot outgrow.",
                  (double)usage.size_bytes);
    metric_single(out, "ensign_signer_up", "gauge", "1 when the signer process answers.", signer_up(app->signer));
    metric_family(out, "ensign_sign_duration_seconds", "histogram",
                  "Time that the signer takes for what is signed together.");
    metric_histogram(out, "ensign_sign_duration_seconds", NULL, signer_sign_durations(app->signer));
    metric_single(out, "ensign_http_connections", "gauge", "Open connections.",
                  (double)http_server_connections(app->http));
    metric_single(out, "ensign_agents_waiting", "gauge", "Calls of agents that wait for something to do.",
                  (double)news_readers(app->ca->news));
}

/* ---- what the nodes report ---- */

struct cluster_counts {
    char cluster[CLUSTER_NAME_MAX + 1];
    struct deployed_counts counts;
};

struct deployment {
    struct cluster_counts *clusters;
    size_t count, capacity;
    struct fault *f;
    enum err err;
};

static void deployment_cleanup(struct deployment *deployment)
{
    free(deployment->clusters);
}

static bool deployment_add(void *context, const struct cluster *cluster)
{
    struct deployment *deployment = context;
    if (deployment->count == deployment->capacity) {
        size_t capacity = deployment->capacity * 2 + 16;
        struct cluster_counts *grown = reallocarray(deployment->clusters, capacity, sizeof *grown);
        deployment->err = grown ? OK : fault_no_memory(deployment->f);
        if (!grown)
            return false;
        deployment->clusters = grown;
        deployment->capacity = capacity;
    }
    struct cluster_counts *added = &deployment->clusters[deployment->count++];
    *added = (struct cluster_counts){0};
    snprintf(added->cluster, sizeof added->cluster, "%s", cluster->name);
    return true;
}

static void deployment_family(const struct deployment *deployment, const char *name, const char *help, size_t offset,
                              struct bytes *out)
{
    metric_family(out, name, "gauge", help);
    for (size_t i = 0; i < deployment->count && i < CLUSTERS_MAX; i++) {
        const struct cluster_counts *cluster = &deployment->clusters[i];
        const struct metric_label labels[] = {{"cluster", cluster->cluster}, {0}};
        uint64_t value;
        memcpy(&value, (const char *)&cluster->counts + offset, sizeof value);
        if (cluster->counts.agents)
            metric_sample(out, name, labels, (double)value);
    }
}

/* Of each cluster in which an agent has reported. */
static enum err deployment_write(struct app *app, struct bytes *out, struct fault *f)
{
    static const struct {
        const char *name, *help;
        size_t offset;
    } families[] = {
        {"ensign_agents", "Nodes whose agents have reported.", offsetof(struct deployed_counts, agents)},
        {"ensign_agents_silent", "Of these, nodes that were not heard of for an hour.",
         offsetof(struct deployed_counts, silent)},
        {"ensign_certificates_not_deployed",
         "Certificates of nodes with an agent that are not installed there, or not what the server there presents.",
         offsetof(struct deployed_counts, not_deployed)},
        {"ensign_certificates_waiting_restart", "Certificates that are installed and wait for a server's restart.",
         offsetof(struct deployed_counts, waiting_restart)},
        {"ensign_crls_outdated", "CRLs on nodes of which the service has a newer one.",
         offsetof(struct deployed_counts, crls_outdated)},
    };
    AUTO(deployment) deployment = {.f = f};
    cluster_each(app->ca, deployment_add, &deployment);
    TRY(deployment.err);
    for (size_t i = 0; i < deployment.count && i < CLUSTERS_MAX; i++)
        TRY(deployed_count(app->ca, deployment.clusters[i].cluster, &deployment.clusters[i].counts, f));
    for (size_t i = 0; i < ARRAY_SIZE(families); i++)
        deployment_family(&deployment, families[i].name, families[i].help, families[i].offset, out);
    return OK;
}

/* ---- CRLs ---- */

struct crl_families {
    int64_t now;
    struct bytes *next_update, *revoked;
    size_t count;
};

static bool crl_write(void *context, const struct crl_record *crl)
{
    struct crl_families *families = context;
    const struct metric_label labels[] = {{"cluster", crl->cluster}, {"authority", crl->authority}, {0}};
    metric_sample(families->next_update, "ensign_crl_next_update_seconds", labels,
                  (double)(crl->next_update - families->now));
    metric_sample(families->revoked, "ensign_crl_revoked", labels, crl->entries);
    return ++families->count < CERTIFICATES_MAX;
}

static enum err crls_write(struct app *app, struct bytes *out, struct fault *f)
{
    AUTO(bytes) revoked = {0};
    struct crl_families families = {ca_now(app->ca), out, &revoked, 0};
    metric_family(out, "ensign_crl_next_update_seconds", "gauge",
                  "Time until a CRL's nextUpdate; half of its life is 302400 s, when the next one is made.");
    metric_family(&revoked, "ensign_crl_revoked", "gauge", "Certificates that a CRL lists.");
    TRY(crl_each(app->ca, crl_write, &families, f));
    bytes_append_span(out, bytes_span(&revoked));
    return bytes_check(&revoked, f);
}

static enum err answer_metrics(struct app *app, const struct http_request *request, struct http_response *ret_response,
                               struct fault *f)
{
    (void)request;
    static const struct metric_label version[] = {{"version", ENSIGN_VERSION}, {0}};
    struct bytes *out = &ret_response->body;
    metric_family(out, "ensign_build_info", "gauge", "Always 1; the label says what runs.");
    metric_sample(out, "ensign_build_info", version, 1);
    profiles_write(app, "ensign_certificates_issued_total", "Certificates that were issued.", false, out);
    profiles_write(app, "ensign_certificates_denied_total", "Requests that the decision refused.", true, out);
    parts_write(app, out);
    certificates_write(app, out);
    TRY(crls_write(app, out, f));
    TRY(deployment_write(app, out, f));
    metrics_requests_write(app->metrics, out);
    metrics_process_write(app->metrics, out);
    ret_response->content_type = METRICS_CONTENT_TYPE;
    return bytes_check(out, f);
}

struct http_response api_metrics(struct app *app, const struct http_request *request)
{
    return api_answer(answer_metrics, NULL, app, request);
}
