#include <string.h>

#include "client/commands.h"
#include "client/files.h"
#include "client/session.h"
#include "client/text.h"

/* As it comes: etcd before 3.6 reads DER only, most others PEM. */
enum err ca_crl(const struct arguments *arguments, struct fault *f)
{
    AUTO(session) session = {0};
    TRY(session_open(arguments, &session, f));
    const char *format = arguments->values[OPTION_FORMAT], *out = arguments->values[OPTION_OUT];
    AUTO(bytes) path = {0};
    AUTO(bytes) crl = {0};
    cluster_path(&path, arguments->values[OPTION_CLUSTER], "/authorities/");
    percent_append(&path, arguments->values[OPTION_AUTHORITY]);
    bytes_append_text(&path, "/crl");
    query_append(&path, "format", format ? format : "pem");
    TRY(bytes_check(&path, f));
    TRY(api_text(session.api, bytes_text(&path), &crl, f));
    return out ? file_put(out, FILE_MODE_PUBLIC, FILE_REPLACE, bytes_span(&crl), f) : output_text(bytes_span(&crl), f);
}
