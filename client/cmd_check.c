/* Whether hosts are fit for their cluster: `ensign cluster check`. */
#include <stdlib.h>

#include "client/commands.h"
#include "client/fitness.h"
#include "client/text.h"

static bool service_given(const struct arguments *arguments)
{
    return arguments->values[OPTION_CONTEXT] || arguments->values[OPTION_SERVER] || getenv("ENSIGN_CONTEXT") ||
           getenv("ENSIGN_SERVER");
}

enum err cluster_check(const struct arguments *arguments, struct fault *f)
{
    enum output_format format;
    CLEANUP(document_auto) struct document *document = NULL;
    AUTO(cluster) cluster = {0};
    AUTO(session) session = {0};
    AUTO(findings) findings = {0};
    AUTO(hosts) hosts = {0};
    size_t errors = 0;
    const struct hosts_options options = hosts_options_read(arguments);
    TRY(output_format_read(arguments->values[OPTION_OUTPUT], &format, f));
    TRY(document_read(arguments->values[OPTION_FILE], &document, f));
    TRY(cluster_read(document, &cluster, f));
    if (service_given(arguments))
        TRY(session_open(arguments, &session, f));
    TRY(hosts_open(&cluster, &options, &hosts, f));
    TRY(hosts_look(&hosts, &options, f));
    bool force = arguments->values[OPTION_FORCE] != NULL;
    TRY(fitness_check(session.api ? &session : NULL, &hosts, force, &findings, f));
    TRY(fitness_print(&hosts, &findings, format, &errors, f));
    TRY(output_finish(f));
    TRY(fitness_refused(&hosts, errors, f));
    message("%zu hosts are fit for the cluster %s", hosts.count, cluster.name);
    return OK;
}
