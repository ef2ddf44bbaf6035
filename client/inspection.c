#include "client/inspection.h"

#include <stdlib.h>
#include <string.h>

#include "ca/base/encode.h"
#include "client/deployment.h"
#include "client/difference.h"
#include "client/output.h"
#include "client/pages.h"
#include "client/session.h"
#include "client/text.h"
#include "policies/cluster.h"

static enum err answer_wrong(const char *what, struct fault *f)
{
    return fault_set(f, CODE_UNTRUSTED, "the service's answer is not what the API promises: %s", what);
}

/* ---- what was fetched, as the question that it answers ---- */

/* The texts are those of the lists. */
struct material {
    json_t *expected, *issued, *present; /* lists of the API; NULL: none */
    json_t *reports;                     /* of agents, likewise */
    json_t *issued_shared;               /* of one node: those of others that count for it, too */
    struct coverage_place *places;
    struct coverage_certificate *certificates;
    const char **authorities;
    struct coverage_question question; /* made of the three above */
};

static void material_cleanup(struct material *material)
{
    json_decref(material->expected);
    json_decref(material->issued);
    json_decref(material->issued_shared);
    json_decref(material->present);
    json_decref(material->reports);
    free(material->places);
    free(material->certificates);
    free(material->authorities);
}

static const json_t *items_of(const json_t *list)
{
    return json_object_get(list, "items");
}

/* Bundles and key pairs are no places of certificates. */
static enum err place_read(json_t *item, struct coverage_place *place, bool *ret_taken, struct fault *f)
{
    int shared = 0, transient = 0;
    struct coverage_place read = {0};
    if (json_unpack(item, "{s:s, s:s, s:s, s?s, s:b, s?b, s:[{s:s}]}", "node", &read.holder, "kind", &read.kind, "name",
                    &read.profile, "authority", &read.authority, "shared", &shared, "transient", &transient, "files",
                    "path", &read.path) != 0)
        return answer_wrong("the catalogue", f);
    *ret_taken = strcmp(read.kind, "certificate") == 0 || strcmp(read.kind, "kubeconfig") == 0;
    if (*ret_taken && !read.authority)
        return answer_wrong("the catalogue", f);
    read.shared = shared;
    read.transient = transient;
    read.content = json_object_get(item, "certificate");
    *place = read;
    return OK;
}

static enum err places_read(struct material *material, struct fault *f)
{
    const json_t *items = items_of(material->expected);
    material->places = calloc(json_array_size(items) + 1, sizeof *material->places);
    if (!material->places)
        return fault_no_memory(f);
    for (size_t i = 0; i < json_array_size(items); i++) {
        bool taken = false;
        TRY(place_read(json_array_get(items, i), &material->places[material->question.places_count], &taken, f));
        material->question.places_count += taken;
    }
    material->question.places = material->places;
    return OK;
}

static enum err certificate_read(json_t *item, struct coverage_certificate *ret_certificate, struct fault *f)
{
    const json_t *node = NULL, *identity = NULL, *signed_by = NULL;
    const char *not_before = "", *not_after = "", *state = "";
    json_int_t sequence = 0;
    int64_t start = 0;
    struct coverage_certificate read = {0};
    if (json_unpack(item, "{s:s, s:s, s:s, s:o, s:o, s:o, s:s, s:s, s:s, s:I}", "serial", &read.serial, "profile",
                    &read.profile, "authority", &read.authority, "node", &node, "identity", &identity,
                    "authority_key_identifier", &signed_by, "not_before", &not_before, "not_after", &not_after, "state",
                    &state, "log_sequence", &sequence) != 0)
        return answer_wrong("the list of certificates", f);
    TRY(time_parse(not_before, &start, f));
    TRY(time_parse(not_after, &read.not_after, f));
    const char *holder = json_string_value(json_is_string(node) ? node : identity);
    read.holder = holder ? holder : "";
    read.signed_by = json_string_value(signed_by);
    read.sequence = sequence;
    read.revoked = strcmp(state, "revoked") == 0;
    read.content = item;
    read.of_person = !json_is_string(node) && json_is_string(identity);
    if (read.of_person && strcmp(read.authority, AUTHORITY_SERVICE) != 0)
        read.warning_seconds = (read.not_after - start) / 3;
    *ret_certificate = read;
    return OK;
}

static enum err certificates_read(struct material *material, struct fault *f)
{
    const json_t *lists[] = {items_of(material->issued), items_of(material->issued_shared)};
    material->certificates =
        calloc(json_array_size(lists[0]) + json_array_size(lists[1]) + 1, sizeof *material->certificates);
    if (!material->certificates)
        return fault_no_memory(f);
    size_t *count = &material->question.certificates_count;
    for (size_t list = 0; list < ARRAY_SIZE(lists); list++)
        for (size_t i = 0; i < json_array_size(lists[list]); i++)
            TRY(certificate_read(json_array_get(lists[list], i), &material->certificates[(*count)++], f));
    material->question.certificates = material->certificates;
    return OK;
}

/* Those of the cluster, and the service's own. */
static enum err authorities_read(struct material *material, const json_t *of_service, struct fault *f)
{
    const json_t *lists[] = {items_of(material->present), items_of(of_service)};
    size_t *count = &material->question.authorities_count;
    material->authorities =
        calloc(json_array_size(lists[0]) + json_array_size(lists[1]) + 1, sizeof *material->authorities);
    if (!material->authorities)
        return fault_no_memory(f);
    for (size_t list = 0; list < ARRAY_SIZE(lists); list++)
        for (size_t i = 0; i < json_array_size(lists[list]); i++)
            if (json_unpack(json_array_get(lists[list], i), "{s:s}", "key_identifier",
                            &material->authorities[(*count)++]) != 0)
                return answer_wrong("the list of CAs", f);
    material->question.authorities = material->authorities;
    return OK;
}

/* ---- rows ---- */

/* not_after, residual_time, residual_seconds; NULL: without */
static bool time_members(json_t *row, const struct inspection *inspection, const int64_t *not_after)
{
    char end[TIME_TEXT_SIZE], residual[RESIDUAL_TEXT_SIZE];
    if (!not_after)
        return json_object_set_new(row, "not_after", json_null()) == 0 &&
               json_object_set_new(row, "residual_time", json_string("missing")) == 0 &&
               json_object_set_new(row, "residual_seconds", json_null()) == 0;
    time_text(*not_after, end);
    residual_text(*not_after - inspection->now, residual);
    return json_object_set_new(row, "not_after", json_string(end)) == 0 &&
           json_object_set_new(row, "residual_time", json_string(residual)) == 0 &&
           json_object_set_new(row, "residual_seconds", json_integer(*not_after - inspection->now)) == 0;
}

/* Takes the row. */
static enum err row_add(const struct inspection *inspection, json_t *rows, json_t *take_row, const int64_t *not_after,
                        struct fault *f)
{
    CLEANUP(json_cleanup) json_t *row = take_row;
    if (!row || !time_members(row, inspection, not_after) ||
        json_object_set_new(row, "externally_managed", json_false()) != 0 || json_array_append(rows, row) != 0)
        return fault_no_memory(f);
    return OK;
}

static bool of_person(const struct coverage_row *row)
{
    return row->certificate && row->certificate->of_person;
}

/* What kubeadm calls it. */
static void name_text(const struct coverage_row *row, struct bytes *out)
{
    const char *kind = row->place ? row->place->kind : NULL;
    const char *profile = row->place ? row->place->profile : row->certificate->profile;
    bytes_append_text(out, profile);
    if (kind && strcmp(kind, "kubeconfig") == 0)
        bytes_append_text(out, ".conf");
    if (of_person(row))
        bytes_appendf(out, "/%s", row->certificate->holder);
}

static enum err certificate_row(struct inspection *inspection, const char *cluster, const json_t *reports,
                                const struct coverage_row *row, struct fault *f)
{
    const struct coverage_place *place = row->place;
    const struct coverage_certificate *certificate = row->certificate;
    bool of_node = strcmp(cluster, CLUSTER_SERVICE) != 0 && !of_person(row);
    AUTO(bytes) name = {0};
    name_text(row, &name);
    TRY(bytes_check(&name, f));
    json_t *json = json_pack("{s:s, s:s?, s:s, s:s, s:s?, s:s?, s:s, s:s?, s:s, s:o}", "cluster", cluster, "node",
                             !of_node ? NULL
                             : place  ? place->holder
                                      : certificate->holder,
                             "name", bytes_text(&name), "profile", place ? place->profile : certificate->profile,
                             "kind", place ? place->kind : NULL, "path", place ? place->path : NULL, "state",
                             coverage_state_words[row->state], "serial", certificate ? certificate->serial : NULL,
                             "authority", place ? place->authority : certificate->authority, "differences",
                             row->state == COVERAGE_DIFFERS ? content_differences(place->content, certificate->content)
                                                            : json_array());
    const json_t *report = of_node && place ? deployment_of(reports, place->holder) : NULL;
    if (!deployment_members(json, report, place ? place->profile : NULL, certificate ? certificate->serial : NULL)) {
        json_decref(json);
        return fault_no_memory(f);
    }
    return row_add(inspection, inspection->certificates, json, certificate ? &certificate->not_after : NULL, f);
}

static enum err authority_rows(struct inspection *inspection, const char *cluster, const json_t *list, struct fault *f)
{
    const json_t *items = items_of(list);
    for (size_t i = 0; i < json_array_size(items); i++) {
        const char *name = "", *key = "", *end = "";
        int64_t not_after = 0;
        if (json_unpack(json_array_get(items, i), "{s:s, s:s, s:s}", "name", &name, "key_identifier", &key, "not_after",
                        &end) != 0)
            return answer_wrong("the list of CAs", f);
        TRY(time_parse(end, &not_after, f));
        TRY(row_add(inspection, inspection->authorities,
                    json_pack("{s:s, s:s, s:s}", "cluster", cluster, "name", name, "key_identifier", key), &not_after,
                    f));
    }
    return OK;
}

static enum err rows_add(struct inspection *inspection, const char *cluster, struct material *material, struct fault *f)
{
    AUTO(coverage) coverage = {0};
    material->question.now = inspection->now;
    material->question.threshold_seconds = inspection->threshold_seconds;
    TRY(coverage_match(&material->question, &coverage, f));
    for (size_t i = 0; i < coverage.count; i++)
        TRY(certificate_row(inspection, cluster, items_of(material->reports), &coverage.rows[i], f));
    return OK;
}

/* Those of the CRLs that agents have installed. */
static enum err crl_rows(struct inspection *inspection, const char *cluster, const json_t *reports, struct fault *f)
{
    for (size_t i = 0; i < json_array_size(reports); i++) {
        const json_t *report = json_array_get(reports, i), *crls = json_object_get(report, "crls");
        for (size_t crl = 0; crl < json_array_size(crls); crl++) {
            CLEANUP(json_cleanup) json_t *row = deployment_crl_row(cluster, report, json_array_get(crls, crl));
            if (!row || json_object_set_new(row, "externally_managed", json_false()) != 0 ||
                json_array_append(inspection->certificates, row) != 0)
                return fault_no_memory(f);
        }
    }
    return OK;
}

/* ---- fetching ---- */

static enum err authorities_fetch(struct api *api, const char *cluster, json_t **ret_list, struct fault *f)
{
    AUTO(bytes) path = {0};
    cluster_path(&path, cluster, "/authorities");
    TRY(bytes_check(&path, f));
    CLEANUP(document_auto) struct document *answer = NULL;
    TRY(api_json(api, "GET", bytes_text(&path), NULL, &answer, f));
    *ret_list = json_incref(document_json(answer));
    return OK;
}

static enum err issued_fetch(struct api *api, const char *cluster, const char *node, const char *profile,
                             json_t **ret_list, struct fault *f)
{
    AUTO(bytes) path = {0};
    bytes_append_text(&path, "/v1/certificates");
    query_append(&path, "cluster", cluster);
    query_append(&path, "node", node);
    query_append(&path, "profile", profile);
    TRY(bytes_check(&path, f));
    return pages_fetch(api, bytes_text(&path), 0, ret_list, f);
}

static enum err expected_fetch(struct api *api, const char *cluster, const char *node, json_t **ret_list,
                               struct fault *f)
{
    AUTO(bytes) path = {0};
    cluster_path(&path, cluster, "/catalogue");
    query_append(&path, "node", node);
    TRY(bytes_check(&path, f));
    return pages_fetch(api, bytes_text(&path), 0, ret_list, f);
}

static enum err reports_fetch(struct api *api, const char *cluster, const char *node, json_t **ret_list,
                              struct fault *f)
{
    AUTO(bytes) path = {0};
    cluster_path(&path, cluster, "/deployed");
    query_append(&path, "node", node);
    TRY(bytes_check(&path, f));
    return pages_fetch(api, bytes_text(&path), 0, ret_list, f);
}

/* At most one profile is shared in a cluster. */
static const char *profile_shared(const struct material *material)
{
    for (size_t i = 0; i < material->question.places_count; i++)
        if (material->places[i].shared)
            return material->places[i].profile;
    return NULL;
}

/* One place for each person or program, and profile, of which a certificate is valid. */
static enum err persons_add(struct material *material, int64_t now, struct fault *f)
{
    struct coverage_question *question = &material->question;
    CLEANUP(json_cleanup) json_t *seen = json_object();
    struct coverage_place *places = reallocarray(
        material->places, question->places_count + question->certificates_count + 1, sizeof *material->places);
    if (!seen || !places)
        return fault_no_memory(f);
    question->places = material->places = places;
    for (size_t i = 0; i < question->certificates_count; i++) {
        const struct coverage_certificate *certificate = &question->certificates[i];
        AUTO(bytes) name = {0};
        bytes_appendf(&name, "%s/%s", certificate->profile, certificate->holder);
        TRY(bytes_check(&name, f));
        if (!certificate->of_person || certificate->revoked || certificate->not_after < now ||
            json_object_get(seen, bytes_text(&name)))
            continue;
        if (json_object_set_new(seen, bytes_text(&name), json_true()) != 0)
            return fault_no_memory(f);
        places[question->places_count++] = (struct coverage_place){
            .holder = certificate->holder, .profile = certificate->profile, .authority = certificate->authority};
    }
    return OK;
}

enum err inspection_add(struct inspection *inspection, const char *cluster, const char *node, struct fault *f)
{
    AUTO(material) material = {0};
    TRY(expected_fetch(inspection->api, cluster, node, &material.expected, f));
    TRY(places_read(&material, f));
    TRY(issued_fetch(inspection->api, cluster, node, NULL, &material.issued, f));
    if (node && profile_shared(&material))
        TRY(issued_fetch(inspection->api, cluster, NULL, profile_shared(&material), &material.issued_shared, f));
    TRY(certificates_read(&material, f));
    TRY(persons_add(&material, inspection->now, f));
    TRY(authorities_fetch(inspection->api, cluster, &material.present, f));
    TRY(authorities_read(&material, inspection->service_authorities, f));
    TRY(reports_fetch(inspection->api, cluster, node, &material.reports, f));
    TRY(rows_add(inspection, cluster, &material, f));
    TRY(crl_rows(inspection, cluster, items_of(material.reports), f));
    return authority_rows(inspection, cluster, material.present, f);
}

/* ---- the service itself ---- */

static enum err service_place(struct material *material, struct fault *f)
{
    material->places = calloc(1, sizeof *material->places);
    if (!material->places)
        return fault_no_memory(f);
    material->places[0] = (struct coverage_place){.holder = "", .profile = "service", .authority = AUTHORITY_SERVICE};
    material->question.places = material->places;
    material->question.places_count = 1;
    return OK;
}

enum err inspection_add_service(struct inspection *inspection, struct fault *f)
{
    AUTO(material) material = {0};
    TRY(issued_fetch(inspection->api, CLUSTER_SERVICE, NULL, NULL, &material.issued, f));
    TRY(certificates_read(&material, f));
    TRY(service_place(&material, f));
    TRY(persons_add(&material, inspection->now, f));
    TRY(authorities_read(&material, inspection->service_authorities, f));
    return rows_add(inspection, CLUSTER_SERVICE, &material, f);
}

/* ---- the whole ---- */

static enum err clock_ask(struct api *api, int64_t *ret_now, struct fault *f)
{
    CLEANUP(document_auto) struct document *answer = NULL;
    const char *state = "", *now = "";
    TRY(api_json(api, "GET", "/v1/clock", NULL, &answer, f));
    if (json_unpack(document_json(answer), "{s:s, s:s}", "state", &state, "now", &now) != 0)
        return answer_wrong("the clock", f);
    if (strcmp(state, "trusted") != 0)
        message("warning: the service does not trust its clock; see \"ensign clock show\"");
    return time_parse(now, ret_now, f);
}

enum err inspection_open(struct api *api, int64_t threshold_seconds, struct inspection *ret_inspection, struct fault *f)
{
    AUTO(inspection)
    inspection = {
        .api = api, .threshold_seconds = threshold_seconds, .certificates = json_array(), .authorities = json_array()};
    if (!inspection.certificates || !inspection.authorities)
        return fault_no_memory(f);
    TRY(clock_ask(api, &inspection.now, f));
    TRY(authorities_fetch(api, CLUSTER_SERVICE, &inspection.service_authorities, f));
    TRY(authority_rows(&inspection, CLUSTER_SERVICE, inspection.service_authorities, f));
    *ret_inspection = inspection;
    inspection = (struct inspection){0};
    return OK;
}

void inspection_cleanup(struct inspection *inspection)
{
    json_decref(inspection->service_authorities);
    json_decref(inspection->certificates);
    json_decref(inspection->authorities);
}

static size_t rows_due(const json_t *rows, int64_t threshold_seconds)
{
    size_t count = 0;
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i), *residual = json_object_get(row, "residual_seconds");
        const char *state = json_string_value(json_object_get(row, "state"));
        bool differs = state && strcmp(state, coverage_state_words[COVERAGE_DIFFERS]) == 0;
        bool fine = state && (strcmp(state, coverage_state_words[COVERAGE_EXTRA]) == 0 ||
                              strcmp(state, coverage_state_words[COVERAGE_OK]) == 0);
        count += deployment_is_wrong(row) ||
                 (!fine && (differs || !json_is_integer(residual) || json_integer_value(residual) < threshold_seconds));
    }
    return count;
}

size_t inspection_due(const struct inspection *inspection)
{
    return rows_due(inspection->certificates, inspection->threshold_seconds) +
           rows_due(inspection->authorities, inspection->threshold_seconds);
}
