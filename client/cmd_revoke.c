#include <string.h>

#include "client/commands.h"
#include "client/revocation.h"
#include "client/session.h"
#include "client/text.h"

static const struct column one_columns[] = {
    {"SERIAL", "serial", false},  {"REVOKED", "revoked_at", false},      {"REASON", "reason", false},
    {"CRL", "crl.number", false}, {"CRL PROBLEM", "crl_problem", false},
};
static const struct column many_columns[] = {
    {"SERIAL", "serial", false},
    {"NODE", "node", false},
    {"USER", "user", false},
    {"PROFILE", "profile", false},
};

static enum err one_revoke(struct session *session, const struct arguments *arguments, struct fault *f)
{
    AUTO(bytes) path = {0};
    bytes_append_text(&path, "/v1/certificates/");
    percent_append(&path, arguments->operands[0]);
    bytes_append_text(&path, "/revocation");
    TRY(bytes_check(&path, f));
    CLEANUP(json_cleanup) json_t *body = json_pack("{ss}", "reason", arguments->values[OPTION_REASON]);
    if (!body)
        return fault_no_memory(f);
    CLEANUP(document_auto) struct document *answer = NULL;
    TRY(api_json(session->api, "POST", bytes_text(&path), body, &answer, f));
    revocation_crl_tell(json_object_get(document_json(answer), "crl_problem"));
    const struct output output = {session->format, one_columns, ARRAY_SIZE(one_columns)};
    return output_object(&output, document_json(answer), f);
}

static enum err many_revoke(struct session *session, const struct arguments *arguments, struct fault *f)
{
    CLEANUP(json_cleanup)
    json_t *selector = json_pack("{ss ss* ss* ss*}", "reason", arguments->values[OPTION_REASON], "node",
                                 arguments->values[OPTION_NODE], "profile", arguments->values[OPTION_PROFILE], "user",
                                 arguments->values[OPTION_USER]);
    CLEANUP(json_cleanup) json_t *list = NULL;
    if (!selector)
        return fault_set(f, CODE_USAGE, "a name is not UTF-8");
    TRY(revocations_make(session, arguments->values[OPTION_CLUSTER], selector, &list, f));
    const struct output output = {session->format, many_columns, ARRAY_SIZE(many_columns)};
    return output_list(&output, list, f);
}

static enum err selection_check(const struct arguments *arguments, bool *ret_many, struct fault *f)
{
    *ret_many = arguments->values[OPTION_NODE] || arguments->values[OPTION_PROFILE] || arguments->values[OPTION_USER];
    if (*ret_many == (arguments->operands_count > 0))
        return fault_set(f, CODE_USAGE, "give either a SERIAL, or which with --node, --profile or --user");
    if (*ret_many && !arguments->values[OPTION_CLUSTER])
        return fault_set(f, CODE_USAGE, "give --cluster: names of nodes and users are unique in a cluster only");
    if (*ret_many && !arguments->values[OPTION_YES])
        return fault_set(f, CODE_USAGE,
                         "this revokes every valid certificate that matches; look at them with `ensign certificate "
                         "list`, and then give --yes");
    return OK;
}

enum err certificate_revoke(const struct arguments *arguments, struct fault *f)
{
    bool many = false;
    TRY(selection_check(arguments, &many, f));
    AUTO(session) session = {0};
    TRY(session_open(arguments, &session, f));
    return many ? many_revoke(&session, arguments, f) : one_revoke(&session, arguments, f);
}
