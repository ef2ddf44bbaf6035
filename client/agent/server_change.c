/* server_change.c: a kubeconfig whose server is another one now, as a load balancer's address: it is changed once that
 * server can be used. Who reads it would be cut off else, from a cluster that is well. */
#include <stdio.h>
#include <string.h>

#include "client/agent/health.h"
#include "client/agent/state.h"

enum { SCHEME_SIZE = sizeof "https://" - 1 };

static enum err server_ask(const struct turn *turn, const char *endpoint, const char *at, struct fault *f)
{
    const struct health_request request = {.endpoint = endpoint,
                                           .path = "/livez",
                                           .named = true,
                                           .at = at,
                                           .bundle = install_node_bundle(turn->node, "kubernetes")};
    return health_ask(&request, f);
}

/* Behind a load balancer any of them may answer. Those that do not answer get nothing to do from it either, or can be
 * reached from there only. */
static enum err control_planes_ask(const struct turn *turn, const char *endpoint, struct fault *f)
{
    const struct cluster *cluster = &turn->node->cluster;
    for (size_t i = 0; i < cluster->nodes_count; i++) {
        char url[SERVER_URL_SIZE];
        if (!(cluster->nodes[i].roles & ROLE_CONTROL_PLANE))
            continue;
        apiserver_url_local(&cluster->nodes[i], url);
        enum err err = server_ask(turn, endpoint, url + SCHEME_SIZE, f);
        if (err != OK && f->code == CODE_UNTRUSTED)
            return err;
        fault_clear(f);
    }
    return OK;
}

/* What is due goes on whatever its server is like: it must not expire over this. */
enum err server_change_check(const struct turn *turn, const struct catalogue_item *item, const struct tracked *tracked,
                             const char *done, struct fault *f)
{
    const char *before = strchr(done, ' ');
    if (!before || strcmp(before + 1, item->server) == 0 || turn->now >= tracked->due_at)
        return OK;
    const char *endpoint = item->server + SCHEME_SIZE;
    enum err err = control_planes_ask(turn, endpoint, f);
    if (err == OK)
        err = server_ask(turn, endpoint, NULL, f);
    if (err == OK)
        return OK;
    const struct fault why = *f;
    fault_clear(f);
    return fault_set(f, CODE_PENDING, "stays with %s until %s can be used: %s", before + 1, item->server, why.text);
}
