#include "ca/base/encode.h"
#include "client/commands.h"
#include "client/files.h"
#include "client/session.h"
#include "client/text.h"

enum { TTL_SECONDS = 3600 };

static const struct column columns[] = {
    {"ID", "id", false},        {"CLUSTER", "cluster", true},     {"NODE", "node", false},
    {"STATE", "state", false},  {"EXPIRES", "expires_at", false}, {"CREATED", "created_at", true},
    {"BY", "created_by", true}, {"USED FOR", "uses", true},
};

/* The service gets the hash of the secret; the secret goes to whoever runs this, and nowhere else. */
static enum err token_announce(struct session *session, const struct arguments *arguments, const struct token *token,
                               struct fault *f)
{
    uint8_t hash[SHA256_SIZE];
    char id_hex[2 * TOKEN_ID_SIZE + 1], hash_hex[2 * SHA256_SIZE + 1];
    token_secret_sha256(token, hash);
    hex_text(SPAN_OF(token->id), id_hex, sizeof id_hex);
    hex_text(SPAN_OF(hash), hash_hex, sizeof hash_hex);
    CLEANUP(json_cleanup)
    json_t *body = json_pack("{s:s, s:s, s:s, s:I}", "id", id_hex, "secret_sha256", hash_hex, "node",
                             arguments->values[OPTION_NODE], "ttl_seconds",
                             (json_int_t)option_seconds(arguments, OPTION_TTL, TTL_SECONDS));
    AUTO(bytes) path = {0};
    cluster_path(&path, arguments->values[OPTION_CLUSTER], "/tokens");
    TRY(bytes_check(&path, f));
    if (!body)
        return fault_set(f, CODE_USAGE, "the name of the node is not UTF-8");
    CLEANUP(document_auto) struct document *answer = NULL;
    return api_json(session->api, "POST", bytes_text(&path), body, &answer, f);
}

enum err tokens_create(const struct arguments *arguments, struct fault *f)
{
    AUTO(session) session = {0};
    TRY(session_open(arguments, &session, f));
    uint8_t pin[SHA256_SIZE];
    TRY(session_pin(&session, pin, f));
    AUTO(token) token = {0};
    TRY(token_make(pin, &token, f));
    CLEANUP(secret_cleanup) struct bytes text = {0};
    token_text(&token, &text);
    bytes_append_text(&text, "\n");
    TRY(bytes_check(&text, f));
    const char *out = arguments->values[OPTION_OUT];
    if (out)
        TRY(file_check(out, FILE_MODE_PRIVATE, FILE_REPLACE, f)); /* before there is a token that is lost */
    TRY(token_announce(&session, arguments, &token, f));
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
