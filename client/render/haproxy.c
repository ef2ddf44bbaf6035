/* HAProxy in front of the API servers: it passes TCP through (cbonte.github.io/haproxy-dconv). */
#include "client/render/render.h"

/* An API server is asked whether it is ready, not only whether it listens. Who answers is of no matter: clients verify
 * the API server themselves. */
static const char head[] = "global\n"
                           "  log /dev/log local0\n"
                           "  user haproxy\n"
                           "  group haproxy\n"
                           "  maxconn 4000\n"
                           "\n"
                           "defaults\n"
                           "  log global\n"
                           "  mode tcp\n"
                           "  option tcplog\n"
                           "  option dontlognull\n"
                           "  retries 2\n"
                           "  timeout connect 2s\n"
                           "  timeout client 10m\n" /* watches are quiet for minutes */
                           "  timeout server 10m\n"
                           "\n";

enum err render_haproxy(const struct render *render, struct bytes *ret_text, struct fault *f)
{
    const struct cluster *cluster = render_cluster(render);
    bool version6 = render->node->names.addresses[0].size == 16;
    struct bytes out = {0};
    render_banner(&out);
    bytes_append_text(&out, head);
    bytes_appendf(&out, "frontend kubernetes\n  bind %s:%u%s\n  default_backend control-planes\n\n",
                  version6 ? "[::]" : "*", cluster->endpoint_port, version6 ? " v4v6" : "");
    bytes_append_text(&out, "backend control-planes\n"
                            "  balance roundrobin\n"
                            "  option httpchk GET /readyz\n"
                            "  http-check expect status 200\n"
                            "  default-server check check-ssl verify none inter 1s fall 2 rise 1\n");
    for (size_t i = 0; i < cluster->nodes_count; i++) {
        char host[HOST_TEXT_SIZE];
        const struct node_entry *node = &cluster->nodes[i];
        if (!(node->roles & ROLE_CONTROL_PLANE))
            continue;
        render_host(node, host);
        bytes_appendf(&out, "  server %s %s:%d\n", node->name, host, APISERVER_PORT);
    }
    return bytes_give(&out, ret_text, f);
}
