/* nginx in front of the API servers: it passes TCP through (nginx.org/en/docs/stream). Debian and Ubuntu have the
 * module in a package of its own, libnginx-mod-stream, which puts its load_module line into modules-enabled. */
#include "client/render/render.h"

enum err render_nginx(const struct render *render, struct bytes *ret_text, struct fault *f)
{
    const struct cluster *cluster = render_cluster(render);
    struct bytes out = {0};
    render_banner(&out);
    bytes_append_text(&out, "user www-data;\n"
                            "worker_processes auto;\n"
                            "pid /run/nginx.pid;\n"
                            "error_log /var/log/nginx/error.log;\n"
                            "include /etc/nginx/modules-enabled/*.conf;\n"
                            "\n"
                            "events {\n"
                            "  worker_connections 4096;\n"
                            "}\n"
                            "\n"
                            "stream {\n"
                            "  upstream control-planes {\n");
    for (size_t i = 0; i < cluster->nodes_count; i++) {
        char host[HOST_TEXT_SIZE];
        if (!(cluster->nodes[i].roles & ROLE_CONTROL_PLANE))
            continue;
        render_host(&cluster->nodes[i], host);
        bytes_appendf(&out, "    server %s:%d max_fails=1 fail_timeout=2s;\n", host, APISERVER_PORT);
    }
    bool version6 = render->node->names.addresses[0].size == 16;
    bytes_appendf(&out, "  }\n  server {\n    listen %s%u%s;\n", version6 ? "[::]:" : "", cluster->endpoint_port,
                  version6 ? " ipv6only=off" : "");
    bytes_append_text(&out, "    proxy_pass control-planes;\n"
                            "    proxy_connect_timeout 2s;\n"
                            "    proxy_timeout 10m;\n" /* watches are quiet for minutes */
                            "  }\n"
                            "}\n");
    return bytes_give(&out, ret_text, f);
}
