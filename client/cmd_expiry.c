/* What expires, and what is not there: `ensign cluster certificates` and `ensign certificate check-expiration`. */
#include <stdio.h>
#include <string.h>

#include "ca/base/encode.h"
#include "client/commands.h"
#include "client/inspection.h"
#include "client/session.h"
#include "client/text.h"
#include "policies/cluster.h"

enum { THRESHOLD_SECONDS = 30 * 86400 };

/* The rows of this state (NULL: any but the one in `without`, which may be NULL, too), as a list. */
static enum err rows_choose(const json_t *rows, const char *state, const char *without, json_t **ret_list,
                            struct fault *f)
{
    CLEANUP(json_cleanup) json_t *list = json_pack("{s:[]}", "items");
    if (!list)
        return fault_no_memory(f);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        json_t *row = json_array_get(rows, i);
        const char *word = json_string_value(json_object_get(row, "state"));
        bool chosen = state ? strcmp(word, state) == 0 : !without || strcmp(word, without) != 0;
        if (chosen && json_array_append(json_object_get(list, "items"), row) != 0)
            return fault_no_memory(f);
    }
    *ret_list = TAKE(list);
    return OK;
}

/* ---- cluster certificates ---- */

enum err cluster_certificates(const struct arguments *arguments, struct fault *f)
{
    static const struct column columns[] = {
        {"NODE", "node", false},
        {"CERTIFICATE", "name", false},
        {"STATE", "state", false},
        {"DEPLOYED", "deployed", false},
        {"NOT AFTER", "not_after", false},
        {"SERIAL", "serial", false},
        {"DIFFERENCES", "differences", false},
        {"KIND", "kind", true},
        {"AUTHORITY", "authority", true},
        {"RESIDUAL TIME", "residual_time", true},
        {"PATH", "path", true},
        {"SEEN AT", "seen_at", true},
        {"SERVED SERIAL", "served_serial", true},
        {"DETAIL", "deployed_detail", true},
    };
    AUTO(session) session = {0};
    AUTO(inspection) inspection = {0};
    CLEANUP(json_cleanup) json_t *list = NULL;
    TRY(session_open(arguments, &session, f));
    TRY(inspection_open(session.api, option_seconds(arguments, OPTION_THRESHOLD, THRESHOLD_SECONDS), &inspection, f));
    TRY(inspection_add(&inspection, arguments->operands[0], arguments->values[OPTION_NODE], f));
    TRY(rows_choose(inspection.certificates, arguments->values[OPTION_STATE_COVERAGE], NULL, &list, f));
    const struct output output = {session.format, columns, ARRAY_SIZE(columns)};
    return output_list(&output, list, f);
}

/* ---- certificate check-expiration ---- */

static const struct column certificate_columns[] = {
    {"CLUSTER", "cluster", false}, /* only of several */
    {"NODE", "node", false},
    {"CERTIFICATE", "name", false},
    {"EXPIRES", "not_after", false},
    {"RESIDUAL TIME", "residual_time", false},
    {"CERTIFICATE AUTHORITY", "authority", false},
    {"EXTERNALLY MANAGED", "externally_managed", false},
    {"STATE", "state", true},
    {"DEPLOYED", "deployed", true},
    {"DIFFERENCES", "differences", true},
    {"SERIAL", "serial", true},
};
static const struct column authority_columns[] = {
    {"CLUSTER", "cluster", false}, /* only of several */
    {"CERTIFICATE AUTHORITY", "name", false},
    {"EXPIRES", "not_after", false},
    {"RESIDUAL TIME", "residual_time", false},
    {"EXTERNALLY MANAGED", "externally_managed", false},
    {"KEY IDENTIFIER", "key_identifier", true},
};

static enum err clusters_all(struct inspection *inspection, struct fault *f)
{
    CLEANUP(document_auto) struct document *answer = NULL;
    TRY(api_json(inspection->api, "GET", "/v1/clusters", NULL, &answer, f));
    const json_t *items = json_object_get(document_json(answer), "items");
    for (size_t i = 0; i < json_array_size(items); i++) {
        const char *name = json_string_value(json_object_get(json_array_get(items, i), "name"));
        if (!name)
            return fault_set(f, CODE_UNTRUSTED, "the service lists a cluster without a name");
        TRY(inspection_add(inspection, name, NULL, f));
    }
    return inspection_add_service(inspection, f);
}

/* Tables: the certificates, then the CAs. The other forms: one object. */
static enum err expiry_print(const struct inspection *inspection, enum output_format format, bool several,
                             struct fault *f)
{
    CLEANUP(json_cleanup) json_t *certificates = NULL;
    CLEANUP(json_cleanup) json_t *authorities = json_pack("{s:O}", "items", inspection->authorities);
    char now[TIME_TEXT_SIZE];
    time_text(inspection->now, now);
    TRY(rows_choose(inspection->certificates, NULL, coverage_state_words[COVERAGE_EXTRA], &certificates, f));
    CLEANUP(json_cleanup)
    json_t *whole =
        json_pack("{s:s, s:I, s:O, s:O}", "time", now, "threshold_seconds", (json_int_t)inspection->threshold_seconds,
                  "certificates", json_object_get(certificates, "items"), "authorities", inspection->authorities);
    if (!authorities || !whole)
        return fault_no_memory(f);
    size_t skip = several ? 0 : 1;
    const struct output first = {format, certificate_columns + skip, ARRAY_SIZE(certificate_columns) - skip};
    const struct output second = {format, authority_columns + skip, ARRAY_SIZE(authority_columns) - skip};
    if (format == OUTPUT_JSON || format == OUTPUT_YAML)
        return output_object(&first, whole, f);
    TRY(output_list(&first, certificates, f));
    if (format != OUTPUT_NAME)
        putchar('\n');
    return output_list(&second, authorities, f);
}

enum err certificate_check_expiration(const struct arguments *arguments, struct fault *f)
{
    const char *cluster = arguments->values[OPTION_CLUSTER];
    AUTO(session) session = {0};
    AUTO(inspection) inspection = {0};
    TRY(session_open(arguments, &session, f));
    TRY(inspection_open(session.api, option_seconds(arguments, OPTION_THRESHOLD, THRESHOLD_SECONDS), &inspection, f));
    if (!cluster)
        TRY(clusters_all(&inspection, f));
    else if (strcmp(cluster, CLUSTER_SERVICE) == 0)
        TRY(inspection_add_service(&inspection, f));
    else
        TRY(inspection_add(&inspection, cluster, NULL, f));
    TRY(expiry_print(&inspection, session.format, !cluster, f));
    TRY(output_finish(f));
    char threshold[DURATION_TEXT_SIZE];
    duration_text(inspection.threshold_seconds, threshold);
    size_t due = inspection_due(&inspection);
    return due == 0
               ? OK
               : fault_set(
                     f, CODE_EXPIRING,
                     "%zu expire within %s, have expired, are missing, differ from the cluster file or are not in use",
                     due, threshold);
}
