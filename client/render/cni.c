/* A network of pods without a program that runs, for tests and small networks: a bridge on each node, and routes from
 * each node to the others' (cni.dev/plugins/current/main/bridge). Node n has the n-th /24 of podSubnet. */
#include "client/render/render.h"

#include <stdio.h>
#include <stdlib.h>

#include "policies/json.h"

enum { ROLES_KUBELET = ROLE_CONTROL_PLANE | ROLE_WORKER };

/* number  from 0; cluster_read() sees to it that podSubnet has room for 255 */
static void pod_subnet_text(const struct cluster *cluster, unsigned number, char ret_text[ADDRESS_TEXT_SIZE])
{
    struct address base = cluster->pod_subnet.base;
    base.data[2] = (uint8_t)(number + 1);
    address_text(&base, ret_text);
}

static json_t *plugins_json(const char *subnet)
{
    json_t *bridge = json_pack("{ss ss sb sb sb s{ss s[[{ss}]] s[{ss}]}}", "type", "bridge", "bridge", "cni0",
                               "isGateway", 1, "ipMasq", 1, "hairpinMode", 1, "ipam", "type", "host-local", "ranges",
                               "subnet", subnet, "routes", "dst", "0.0.0.0/0");
    json_t *portmap = json_pack("{ss s{sb}}", "type", "portmap", "capabilities", "portMappings", 1);
    return json_pack("[o o]", bridge, portmap);
}

enum err render_cni_bridge(const struct render *render, struct bytes *ret_text, struct fault *f)
{
    char base[ADDRESS_TEXT_SIZE], subnet[ADDRESS_TEXT_SIZE + 4];
    pod_subnet_text(render_cluster(render), render_ordinal(render, ROLES_KUBELET), base);
    snprintf(subnet, sizeof subnet, "%s/24", base);
    json_auto_t *list =
        json_pack("{ss ss so}", "cniVersion", "0.4.0", "name", "bridge", "plugins", plugins_json(subnet));
    char *text = list ? json_dumps(list, JSON_INDENT(2)) : NULL;
    if (!text)
        return fault_no_memory(f);
    struct bytes out = {0};
    bytes_appendf(&out, "%s\n", text);
    free(text);
    return bytes_give(&out, ret_text, f);
}

enum err render_cni_routes(const struct render *render, struct bytes *ret_text, struct fault *f)
{
    const struct cluster *cluster = render_cluster(render);
    struct bytes out = {0};
    unsigned number = 0;
    render_banner(&out);
    bytes_append_text(&out, "[Unit]\n"
                            "Description=Routes to the pods of the other nodes\n"
                            "Wants=network-online.target\n"
                            "After=network-online.target\n"
                            "\n"
                            "[Service]\n"
                            "Type=oneshot\n"
                            "RemainAfterExit=yes\n");
    for (size_t i = 0; i < cluster->nodes_count; i++) {
        char subnet[ADDRESS_TEXT_SIZE], address[ADDRESS_TEXT_SIZE];
        const struct node_entry *node = &cluster->nodes[i];
        if (!(node->roles & ROLES_KUBELET))
            continue;
        pod_subnet_text(cluster, number++, subnet);
        address_text(&node->names.addresses[0], address);
        if (node != render->node)
            bytes_appendf(&out, "ExecStart=/usr/bin/ip route replace %s/24 via %s\n", subnet, address);
    }
    if (number == 1)
        bytes_append_text(&out, "ExecStart=/usr/bin/true\n"); /* a unit does something */
    bytes_append_text(&out, "\n[Install]\nWantedBy=multi-user.target\n");
    return bytes_give(&out, ret_text, f);
}
