#include <string.h>

#include "client/commands.h"
#include "client/files.h"
#include "client/session.h"
#include "client/text.h"
#include "policies/cluster.h"

static const struct column list_columns[] = {
    {"NAME", "name", false},
    {"KUBERNETES", "document.kubernetesVersion", false},
    {"ENDPOINT", "document.controlPlaneEndpoint", true},
};
static const struct column show_columns[] = {
    {"NAME", "name", false},
    {"KUBERNETES", "document.kubernetesVersion", false},
    {"ENDPOINT", "document.controlPlaneEndpoint", false},
    {"ETCD", "document.etcd.topology", false},
    {"NODES", "document.nodes", false},
    {"AUTHORITIES", "authorities", false},
};

static enum err document_read(const char *path, struct document **ret_document, struct fault *f)
{
    AUTO(bytes) text = {0};
    TRY(file_read(path, &text, f));
    return document_parse(bytes_span(&text), strcmp(path, "-") == 0 ? "standard input" : path, ret_document, f);
}

static void warnings_print(const struct document *answer)
{
    const json_t *warnings = json_object_get(document_json(answer), "warnings");
    for (size_t i = 0; i < json_array_size(warnings); i++) {
        const char *text = json_string_value(json_array_get(warnings, i));
        if (text)
            message("warning: %s", text);
    }
}

enum err cluster_create(const struct arguments *arguments, struct fault *f)
{
    CLEANUP(document_auto) struct document *document = NULL;
    AUTO(cluster) cluster = {0};
    TRY(document_read(arguments->values[OPTION_FILE], &document, f));
    TRY(cluster_read(document, &cluster, f)); /* names file, line and column, which the service cannot */
    AUTO(session) session = {0};
    TRY(session_open(arguments, &session, f));
    CLEANUP(json_cleanup) json_t *body = json_pack("{s:O}", "cluster", document_json(document));
    if (!body)
        return fault_no_memory(f);
    CLEANUP(document_auto) struct document *answer = NULL;
    TRY(api_json(session.api, "POST", "/v1/clusters", body, &answer, f));
    warnings_print(answer);
    const struct output output = {session.format, show_columns, ARRAY_SIZE(show_columns)};
    return output_object(&output, document_json(answer), f);
}

enum err cluster_list(const struct arguments *arguments, struct fault *f)
{
    AUTO(session) session = {0};
    TRY(session_open(arguments, &session, f));
    const struct output output = {session.format, list_columns, ARRAY_SIZE(list_columns)};
    return session_show_list(&session, "/v1/clusters", &output, f);
}

enum err cluster_show(const struct arguments *arguments, struct fault *f)
{
    AUTO(session) session = {0};
    TRY(session_open(arguments, &session, f));
    AUTO(bytes) path = {0};
    cluster_path(&path, arguments->operands[0], "");
    TRY(bytes_check(&path, f));
    const struct output output = {session.format, show_columns, ARRAY_SIZE(show_columns)};
    return session_show(&session, bytes_text(&path), &output, f);
}
