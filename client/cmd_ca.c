#include "client/commands.h"
#include "client/files.h"
#include "client/session.h"

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
