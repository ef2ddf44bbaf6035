#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "ca/base/encode.h"
#include "server/api.h"
#include "server/problem.h"

/* The letters that the documentation uses for callers, too. */
enum {
    T = REQUESTER_TOKEN,
    N = REQUESTER_NODE,
    O = REQUESTER_OPERATOR,
    A = REQUESTER_AUDITOR,
    D = REQUESTER_ADMIN,
    ANYBODY = MAY_ANYBODY,
};

enum {
    BODY_NONE = 0,
    BODY_4K = 4 << 10,
    BODY_64K = 64 << 10,
    BODY_1M = 1 << 20, /* an inventory of thousands of nodes */
};

const struct route routes[] = {
    {"POST", "/v1/clusters", BODY_1M, D, api_cluster_create},
    {"GET", "/v1/clusters", BODY_NONE, N | O | A | D, api_cluster_list},
    {"GET", "/v1/clusters/{cluster}", BODY_NONE, T | N | O | A | D, api_cluster_get},
    {"PUT", "/v1/clusters/{cluster}", BODY_1M, D, api_cluster_update},
    {"GET", "/v1/clusters/{cluster}/authorities", BODY_NONE, T | N | O | A | D, api_authority_list},
    {"POST", "/v1/clusters/{cluster}/authorities", BODY_64K, D, api_authority_import},
    {"POST", "/v1/clusters/{cluster}/authorities/{authority}/reissue", BODY_4K, D, api_authority_reissue},
    {"GET", "/v1/import-key", BODY_NONE, D, api_import_key_get},
    {"GET", "/v1/clusters/{cluster}/authorities/{authority}/bundle", BODY_NONE, ANYBODY, api_authority_bundle},
    {"GET", "/v1/clusters/{cluster}/authorities/{authority}/crl", BODY_NONE, ANYBODY, api_authority_crl},
    {"GET", "/v1/clusters/{cluster}/catalogue", BODY_NONE, O | A | D, api_catalogue_get},
    {"POST", "/v1/clusters/{cluster}/tokens", BODY_4K, O | D, api_token_create},
    {"GET", "/v1/clusters/{cluster}/tokens", BODY_NONE, O | A | D, api_token_list},
    {"DELETE", "/v1/tokens/{id}", BODY_NONE, O | D, api_token_revoke},
    {"GET", "/v1/enrolment", BODY_NONE, T, api_enrolment_get},
    {"PUT", "/v1/clusters/{cluster}/sealing-key", BODY_4K, N, api_sealing_key_put},
    {"GET", "/v1/clusters/{cluster}/shared-keys/{name}", BODY_NONE, N | A | D, api_shared_key_get},
    {"PUT", "/v1/clusters/{cluster}/shared-keys/{name}", BODY_4K, N, api_shared_key_claim},
    {"POST", "/v1/clusters/{cluster}/shared-keys/{name}/envelopes", BODY_1M, N, api_shared_key_seal},
    {"POST", "/v1/clusters/{cluster}/shared-keys/{name}/acknowledgement", BODY_4K, N, api_shared_key_acknowledge},
    {"POST", "/v1/clusters/{cluster}/shared-keys/{name}/certificate", BODY_64K, N, api_shared_key_certify},
    {"POST", "/v1/clusters/{cluster}/shared-keys/{name}/reset", BODY_4K, D, api_shared_key_reset},
    {"GET", "/v1/clusters/{cluster}/nodes/{node}/work", BODY_NONE, N, api_work_get},
    {"POST", "/v1/clusters/{cluster}/rotations", BODY_4K, O | D, api_rotation_create},
    {"GET", "/v1/clusters/{cluster}/rotations", BODY_NONE, O | A | D, api_rotation_list},
    {"GET", "/v1/clusters/{cluster}/rotations/{id}", BODY_NONE, O | A | D, api_rotation_get},
    {"POST", "/v1/clusters/{cluster}/leases/{group}", BODY_4K, N, api_lease_take},
    {"POST", "/v1/clusters/{cluster}/leases/{group}/release", BODY_4K, N | O | D, api_lease_release},
    {"GET", "/v1/clusters/{cluster}/leases", BODY_NONE, N | O | A | D, api_lease_list},
    {"POST", "/v1/clusters/{cluster}/certificates", BODY_64K, T | N | O | D, api_certificate_issue},
    {"PUT", "/v1/clusters/{cluster}/nodes/{node}/deployed", BODY_64K, N, api_deployed_put},
    {"GET", "/v1/clusters/{cluster}/deployed", BODY_NONE, N | O | A | D, api_deployed_list},
    {"POST", "/v1/certificates/{serial}/revocation", BODY_4K, O | D, api_revocation_make},
    {"POST", "/v1/clusters/{cluster}/revocations", BODY_4K, O | D, api_revocation_make_all},
    {"GET", "/v1/clusters/{cluster}/revoked-fingerprints", BODY_NONE, N | O | A | D, api_revocation_fingerprints},
    {"POST", "/v1/clusters/{cluster}/subjectaccessreview", BODY_64K, N | MAY_REPLACED, api_revocation_review},
    {"POST", "/v1/identities", BODY_64K, D, api_identity_create},
    {"GET", "/v1/certificates", BODY_NONE, N | O | A | D, api_certificate_list},
    {"GET", "/v1/certificates/{serial}", BODY_NONE, T | N | O | A | D, api_certificate_get},
    {"GET", "/v1/audit/checkpoint", BODY_NONE, ANYBODY, api_audit_checkpoint},
    {"GET", "/v1/audit/entries", BODY_NONE, O | A | D, api_audit_entries},
    {"GET", "/v1/audit/key", BODY_NONE, ANYBODY, api_audit_key},
    {"POST", "/v1/audit/witness", BODY_4K, O | A | D, api_audit_witness},
    {"GET", "/v1/whoami", BODY_NONE, T | N | O | A | D, api_identity_whoami},
    {"GET", "/v1/clock", BODY_NONE, O | A | D, api_clock_get},
    {"POST", "/v1/clock/acknowledgement", BODY_4K, D, api_clock_acknowledge},
    {"GET", "/v1/restore", BODY_NONE, O | A | D, api_restore_get},
    {"POST", "/v1/restore/acknowledgement", BODY_4K, D, api_restore_acknowledge},
    {"GET", "/metrics", BODY_NONE, O | A | D | MAY_METRICS, api_metrics},
    {"GET", "/livez", BODY_NONE, ANYBODY, api_health_live},
    {"GET", "/readyz", BODY_NONE, ANYBODY, api_health_ready},
    {"GET", "/openapi.json", BODY_NONE, ANYBODY, api_openapi_get},
    {0},
};

struct http_response api_answer(api_function *function, const char *const *query_names, struct app *app,
                                const struct http_request *request)
{
    static const char *const none[] = {NULL};
    struct http_response response = {.status = 200};
    struct fault fault = {0};
    enum err err = http_query_allow(request, query_names ? query_names : none, &fault);
    if (err == OK)
        err = function(app, request, &response, &fault);
    if (err == OK)
        return response;
    http_response_cleanup(&response);
    return problem(request, &fault);
}

void query_integer(const struct http_request *request, const char *name, int64_t min, int64_t max, int64_t *ret_value,
                   struct fault *f)
{
    const char *text = http_query(request, name);
    if (!text)
        return;
    char *end = NULL;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end || errno || value < min || value > max)
        fault_reason(f, name, "a number from %" PRId64 " to %" PRId64, min, max);
    else
        *ret_value = value;
}

bool node_hex(const struct node *node, enum node_presence presence, uint8_t *ret_data, size_t size)
{
    const char *text = NULL;
    struct fault why = {0};
    if (!node_string(node, presence, &text))
        return false;
    enum err err = hex_decode(text, ret_data, size, &why);
    if (err != OK)
        node_error(node, "%s", why.text);
    return err == OK;
}
