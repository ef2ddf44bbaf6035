#include "client/commands.h"
#include "client/files.h"
#include "client/session.h"
#include "client/text.h"

static const struct column columns[] = {
    {"NAME", "name", false},           {"ALGORITHM", "algorithm", false},
    {"NOT AFTER", "not_after", false}, {"KEY IDENTIFIER", "key_identifier", true},
    {"SHA-256", "sha256", true},
};

enum err ca_show(const struct arguments *arguments, struct fault *f)
{
    AUTO(session) session = {0};
    TRY(session_open(arguments, &session, f));
    AUTO(bytes) path = {0};
    cluster_path(&path, arguments->values[OPTION_CLUSTER], "/authorities");
    TRY(bytes_check(&path, f));
    const struct output output = {session.format, columns, ARRAY_SIZE(columns)};
    return session_show_list(&session, bytes_text(&path), &output, f);
}

enum err ca_bundle(const struct arguments *arguments, struct fault *f)
{
    AUTO(session) session = {0};
    TRY(session_open(arguments, &session, f));
    AUTO(bytes) path = {0};
    cluster_path(&path, arguments->values[OPTION_CLUSTER], "/authorities/");
    percent_append(&path, arguments->values[OPTION_AUTHORITY]);
    bytes_append_text(&path, "/bundle");
    TRY(bytes_check(&path, f));
    AUTO(bytes) bundle = {0};
    TRY(api_text(session.api, bytes_text(&path), &bundle, f));
    const char *out = arguments->values[OPTION_OUT];
    return out ? file_put(out, FILE_MODE_PUBLIC, FILE_REPLACE, bytes_span(&bundle), f)
               : output_text(bytes_span(&bundle), f);
}
