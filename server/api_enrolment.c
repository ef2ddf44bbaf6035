#include <string.h>

#include "policies/catalogue.h"
#include "server/api.h"
#include "server/json.h"

static json_t *enrolment_serial(const struct token_record *token, const struct profile *profile)
{
    for (size_t i = 0; i < token->uses_count; i++)
        if (strcmp(token->uses[i].profile, profile->name) == 0)
            return json_hex(SPAN_OF(token->uses[i].serial));
    return json_null();
}

/* The certificates that this node alone holds, of the service's own CA or of all others. */
static void enrolment_add(const struct profiles *profiles, const struct cluster *cluster,
                          const struct token_record *token, bool of_service, json_t **list)
{
    const struct node_entry *node = cluster_node(cluster, token->node);
    for (size_t i = 0; node && i < profiles->count; i++) {
        const struct profile *profile = &profiles->items[i];
        if (of_service != (strcmp(profile->issuer, AUTHORITY_SERVICE) == 0) ||
            !catalogue_expects(cluster, node, profile) || catalogue_shares(cluster, profile->name))
            continue;
        json_list_add(list, json_pack("{ss ss ss so}", "profile", profile->name, "authority", profile->issuer,
                                      "key_algorithm", key_algorithm_name(catalogue_algorithm(cluster, profile)),
                                      "serial", enrolment_serial(token, profile)));
    }
}

static json_t *enrolment_json(struct ca *ca, const struct cluster *cluster, const struct token_record *token,
                              const struct authority *service)
{
    char verifier[LOG_VERIFIER_TEXT_MAX + 1];
    log_verifier_text(ca->service.origin, ca->service.log_public_key, verifier);
    json_t *list = json_array();
    enrolment_add(&ca->profiles, cluster, token, true,
                  &list); /* first: what the node authenticates with from then on */
    enrolment_add(&ca->profiles, cluster, token, false, &list);
    json_t *shared = json_array();
    const struct node_entry *node = cluster_node(cluster, token->node);
    const char *names[CATALOGUE_SHARED_MAX];
    size_t count = node && node->roles & ROLE_CONTROL_PLANE ? catalogue_shared_names(cluster, names) : 0;
    for (size_t i = 0; i < count; i++)
        json_list_add(&shared, json_string(names[i]));
    return json_pack("{ss ss so so ss s{so}}", "cluster", token->cluster, "node", token->node, "certificates", list,
                     "shared_keys", shared, "log_verifier", verifier, "service", "ca",
                     json_bytes(bytes_span(&service->pem)));
}

static enum err answer_get(struct app *app, const struct http_request *request, struct http_response *ret_response,
                           struct fault *f)
{
    CLEANUP(cluster_release) const struct cluster *cluster = NULL;
    struct token_record token;
    TRY(token_get(app->ca, request->token_id, &token, NULL, f));
    TRY(cluster_find(app->ca, token.cluster, &cluster, f));
    const struct authority *service = authorities_find(app->ca->authorities, CLUSTER_SERVICE, AUTHORITY_SERVICE);
    if (!service)
        return fault_set(f, CODE_DAMAGED, "the service's own CA is not in the database");
    AUTO(bytes) text = {0};
    TRY(json_document_text(cluster, enrolment_json(app->ca, cluster, &token, service), &text, f));
    *ret_response = http_json_text(200, &text);
    return OK;
}

struct http_response api_enrolment_get(struct app *app, const struct http_request *request)
{
    return api_answer(answer_get, NULL, app, request);
}
