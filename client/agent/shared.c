#include <string.h>

#include "client/agent/state.h"
#include "client/shared_keys.h"
#include "client/text.h"

static const char service_accounts[] = "sa";

/* This node has to take it, or another waits for it. */
static bool something_to_do(const struct document *answer, const char *own)
{
    const json_t *nodes = json_object_get(document_json(answer), "nodes");
    bool holds = false, waits = false;
    for (size_t i = 0; i < json_array_size(nodes); i++) {
        const json_t *entry = json_array_get(nodes, i);
        const char *node = json_string_value(json_object_get(entry, "node"));
        if (node && strcmp(node, own) == 0)
            holds = json_is_true(json_object_get(entry, "holds"));
        else
            waits = waits || !json_is_true(json_object_get(entry, "sealed"));
    }
    return !holds || waits;
}

enum err shared_turn(const struct caller_place *caller, const struct agent_options *options, int sets, struct fault *f)
{
    const struct shared_keys keys = {.path = options->sets, .folder = sets, .root = options->root};
    AUTO(bytes) path = {0};
    CLEANUP(document_auto) struct document *answer = NULL;
    cluster_path(&path, caller->cluster, "/shared-keys/");
    percent_append(&path, service_accounts);
    TRY(bytes_check(&path, f));
    TRY(api_json(caller->session->api, "GET", bytes_text(&path), NULL, &answer, f));
    return something_to_do(answer, caller->node) ? shared_keys_complete(&keys, service_accounts, f) : OK;
}
