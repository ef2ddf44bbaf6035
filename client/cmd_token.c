#include "client/commands.h"
#include "client/files.h"
#include "client/join_token.h"
#include "client/session.h"
#include "client/text.h"

enum { TTL_SECONDS = 3600 };

static const struct column columns[] = {
    {"ID", "id", false},        {"CLUSTER", "cluster", true},     {"NODE", "node", false},
    {"STATE", "state", false},  {"EXPIRES", "expires_at", false}, {"CREATED", "created_at", true},
    {"BY", "created_by", true}, {"USED FOR", "uses", true},
};

enum err tokens_create(const struct arguments *arguments, struct fault *f)
{
    AUTO(session) session = {0};
    TRY(session_open(arguments, &session, f));
    CLEANUP(secret_cleanup) struct bytes text = {0};
    const char *out = arguments->values[OPTION_OUT];
    if (out)
        TRY(file_check(out, FILE_MODE_PRIVATE, FILE_REPLACE, f)); /* before there is a token that is lost */
    TRY(join_token(&session, arguments->values[OPTION_CLUSTER], arguments->values[OPTION_NODE],
                   option_seconds(arguments, OPTION_TTL, TTL_SECONDS), &text, f));
    return out ? file_put(out, FILE_MODE_PRIVATE, FILE_REPLACE, bytes_span(&text), f)
               : output_text(bytes_span(&text), f);
}

enum err tokens_list(const struct arguments *arguments, struct fault *f)
{
    return cluster_list_run(arguments, "/tokens", columns, ARRAY_SIZE(columns), f);
}

enum err tokens_revoke(const struct arguments *arguments, struct fault *f)
{
    AUTO(session) session = {0};
    TRY(session_open(arguments, &session, f));
    AUTO(bytes) path = {0};
    bytes_append_text(&path, "/v1/tokens/");
    percent_append(&path, arguments->operands[0]);
    TRY(bytes_check(&path, f));
    return api_delete(session.api, bytes_text(&path), f);
}
