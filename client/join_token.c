#include "client/join_token.h"

#include "ca/base/encode.h"
#include "client/files.h"
#include "client/text.h"

static enum err announce(struct session *session, const char *cluster, const char *node, int64_t ttl_seconds,
                         const struct token *token, struct fault *f)
{
    uint8_t hash[SHA256_SIZE];
    char id_hex[2 * TOKEN_ID_SIZE + 1], hash_hex[2 * SHA256_SIZE + 1];
    token_secret_sha256(token, hash);
    hex_text(SPAN_OF(token->id), id_hex, sizeof id_hex);
    hex_text(SPAN_OF(hash), hash_hex, sizeof hash_hex);
    CLEANUP(json_cleanup)
    json_t *body = json_pack("{s:s, s:s, s:s, s:I}", "id", id_hex, "secret_sha256", hash_hex, "node", node,
                             "ttl_seconds", (json_int_t)ttl_seconds);
    AUTO(bytes) path = {0};
    cluster_path(&path, cluster, "/tokens");
    TRY(bytes_check(&path, f));
    if (!body)
        return fault_set(f, CODE_USAGE, "the name of the node is not UTF-8");
    CLEANUP(document_auto) struct document *answer = NULL;
    return api_json(session->api, "POST", bytes_text(&path), body, &answer, f);
}

enum err join_token(struct session *session, const char *cluster, const char *node, int64_t ttl_seconds,
                    struct bytes *ret_text, struct fault *f)
{
    uint8_t pin[SHA256_SIZE];
    AUTO(token) token = {0};
    CLEANUP(secret_cleanup) struct bytes text = {0};
    TRY(session_pin(session, pin, f));
    TRY(token_make(pin, &token, f));
    token_text(&token, &text);
    bytes_append_text(&text, "\n");
    TRY(bytes_check(&text, f));
    TRY(announce(session, cluster, node, ttl_seconds, &token, f));
    return bytes_give(&text, ret_text, f);
}
