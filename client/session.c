#include "client/session.h"

#include <stdlib.h>
#include <string.h>

#include "ca/base/encode.h"
#include "ca/x509/certificate.h"
#include "client/text.h"

enum { TIMEOUT_SECONDS = 30 };

enum err session_open(const struct arguments *arguments, struct session *session, struct fault *f)
{
    const struct context_choice choice = {arguments->values[OPTION_CONTEXT], arguments->values[OPTION_SERVER],
                                          arguments->values[OPTION_TOKEN_FILE]};
    TRY(output_format_read(arguments->values[OPTION_OUTPUT], &session->format, f));
    TRY(context_open(&choice, &session->context, f));
    return api_open(&session->context, option_seconds(arguments, OPTION_TIMEOUT, TIMEOUT_SECONDS), &session->api, f);
}

void session_cleanup(struct session *session)
{
    api_auto(&session->api);
    context_cleanup(&session->context);
}

enum err session_pin(struct session *session, uint8_t ret_pin[SHA256_SIZE], struct fault *f)
{
    if (session->context.has_pin) {
        memcpy(ret_pin, session->context.pin, SHA256_SIZE);
        return OK;
    }
    AUTO(bytes) bundle = {0};
    TRY(session_bundle(session, CLUSTER_SERVICE, AUTHORITY_SERVICE, &bundle, f));
    AUTO(certificate) ca = {0};
    TRY(certificate_parse_pem(bytes_span(&bundle), &ca, f));
    memcpy(ret_pin, ca.public_key.spki_sha256, SHA256_SIZE);
    return OK;
}

enum err session_bundle(struct session *session, const char *cluster, const char *authority, struct bytes *ret_bundle,
                        struct fault *f)
{
    AUTO(bytes) path = {0};
    cluster_path(&path, cluster, "/authorities/");
    percent_append(&path, authority);
    bytes_append_text(&path, "/bundle");
    TRY(bytes_check(&path, f));
    return api_text(session->api, bytes_text(&path), ret_bundle, f);
}

enum err session_cluster(struct session *session, const char *name, struct cluster *ret_cluster, struct fault *f)
{
    AUTO(bytes) path = {0};
    CLEANUP(document_auto) struct document *answer = NULL;
    CLEANUP(document_auto) struct document *document = NULL;
    cluster_path(&path, name, "");
    TRY(bytes_check(&path, f));
    TRY(api_json(session->api, "GET", bytes_text(&path), NULL, &answer, f));
    char *text = json_dumps(json_object_get(document_json(answer), "document"), JSON_COMPACT);
    if (!text)
        return fault_set(f, CODE_UNTRUSTED, "the service's answer has no cluster in it");
    enum err err = document_parse_json(span_text(text), &document, f);
    free(text);
    TRY(err);
    return cluster_read(document, ret_cluster, f);
}

enum err session_revoked(struct session *session, const char *serial, bool *ret_revoked, struct fault *f)
{
    CLEANUP(document_auto) struct document *answer = NULL;
    char path[sizeof "/v1/certificates/" + SERIAL_TEXT_SIZE];
    const char *state = NULL;
    snprintf(path, sizeof path, "/v1/certificates/%s", serial);
    *ret_revoked = false;
    enum err err = api_json(session->api, "GET", path, NULL, &answer, f);
    if (err == ERR_ABSENT) { /* of a database that is older than the certificate */
        fault_clear(f);
        return OK;
    }
    TRY(err);
    struct node root = document_root(answer, f), member = node_get(&root, "state");
    if (node_string(&member, NODE_REQUIRED, &state))
        *ret_revoked = strcmp(state, "revoked") == 0;
    return answer_finish("a certificate", f);
}

enum err session_show(struct session *session, const char *path, const struct output *output, struct fault *f)
{
    CLEANUP(document_auto) struct document *answer = NULL;
    TRY(api_json(session->api, "GET", path, NULL, &answer, f));
    return output_object(output, document_json(answer), f);
}

enum err session_show_list(struct session *session, const char *path, const struct output *output, struct fault *f)
{
    CLEANUP(document_auto) struct document *answer = NULL;
    TRY(api_json(session->api, "GET", path, NULL, &answer, f));
    return output_list(output, document_json(answer), f);
}

enum err cluster_list_run(const struct arguments *arguments, const char *tail, const struct column *columns,
                          size_t columns_count, struct fault *f)
{
    AUTO(session) session = {0};
    TRY(session_open(arguments, &session, f));
    AUTO(bytes) path = {0};
    cluster_path(&path, arguments->values[OPTION_CLUSTER], tail);
    TRY(bytes_check(&path, f));
    const struct output output = {session.format, columns, columns_count};
    return session_show_list(&session, bytes_text(&path), &output, f);
}

void cluster_path(struct bytes *out, const char *cluster, const char *tail)
{
    bytes_append_text(out, "/v1/clusters/");
    percent_append(out, cluster);
    bytes_append_text(out, tail);
}
