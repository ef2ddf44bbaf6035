#include "client/commands.h"
#include "client/files.h"
#include "client/import.h"
#include "client/session.h"
#include "client/text.h"

static const struct column columns[] = {
    {"NAME", "name", false},           {"ALGORITHM", "algorithm", false},
    {"NOT AFTER", "not_after", false}, {"KEY IDENTIFIER", "key_identifier", true},
    {"SHA-256", "sha256", true},
};

enum err ca_show(const struct arguments *arguments, struct fault *f)
{
    return cluster_list_run(arguments, "/authorities", columns, ARRAY_SIZE(columns), f);
}

enum err ca_bundle(const struct arguments *arguments, struct fault *f)
{
    AUTO(session) session = {0};
    TRY(session_open(arguments, &session, f));
    AUTO(bytes) bundle = {0};
    TRY(session_bundle(&session, arguments->values[OPTION_CLUSTER], arguments->values[OPTION_AUTHORITY], &bundle, f));
    const char *out = arguments->values[OPTION_OUT];
    return out ? file_put(out, FILE_MODE_PUBLIC, FILE_REPLACE, bytes_span(&bundle), f)
               : output_text(bytes_span(&bundle), f);
}

static enum err authority_show(struct session *session, const struct document *answer, struct fault *f)
{
    const struct output output = {session->format, columns, ARRAY_SIZE(columns)};
    return output_object(&output, document_json(answer), f);
}

enum err ca_import(const struct arguments *arguments, struct fault *f)
{
    AUTO(import) import = {0};
    TRY(import_read(arguments->values[OPTION_CERTIFICATE], arguments->values[OPTION_KEY],
                    arguments->values[OPTION_PASSPHRASE_FILE], &import, f));
    AUTO(session) session = {0};
    TRY(session_open(arguments, &session, f));
    AUTO(bytes) path = {0};
    cluster_path(&path, arguments->values[OPTION_CLUSTER], "/authorities");
    TRY(bytes_check(&path, f));
    CLEANUP(json_cleanup) json_t *body = import_json(&import, arguments->values[OPTION_AUTHORITY]);
    if (!body)
        return fault_no_memory(f);
    CLEANUP(document_auto) struct document *answer = NULL;
    TRY(import_post(&session, bytes_text(&path), body, &import, 1, &answer, f));
    return authority_show(&session, answer, f);
}

enum err ca_reissue(const struct arguments *arguments, struct fault *f)
{
    AUTO(session) session = {0};
    TRY(session_open(arguments, &session, f));
    AUTO(bytes) path = {0};
    cluster_path(&path, arguments->values[OPTION_CLUSTER], "/authorities/");
    percent_append(&path, arguments->values[OPTION_AUTHORITY]);
    bytes_append_text(&path, "/reissue");
    TRY(bytes_check(&path, f));
    CLEANUP(json_cleanup) json_t *body = json_object();
    if (!body)
        return fault_no_memory(f);
    CLEANUP(document_auto) struct document *answer = NULL;
    TRY(api_json(session.api, "POST", bytes_text(&path), body, &answer, f));
    return authority_show(&session, answer, f);
}
