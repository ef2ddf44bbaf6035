/* What the kernel of a host with a kubelet needs (kubernetes.io/docs/setup/production-environment/container-runtimes).
 */
#include "client/render/render.h"

enum err render_modules(const struct render *render, struct bytes *ret_text, struct fault *f)
{
    struct bytes out = {0};
    render_banner(&out);
    bytes_append_text(&out, "overlay\nbr_netfilter\n");
    if (render_cluster(render)->bootstrap.proxy_mode == PROXY_IPVS)
        bytes_append_text(&out, "ip_vs\nip_vs_rr\nip_vs_wrr\nip_vs_sh\nnf_conntrack\n");
    return bytes_give(&out, ret_text, f);
}

enum err render_sysctls(const struct render *render, struct bytes *ret_text, struct fault *f)
{
    struct bytes out = {0};
    render_banner(&out);
    bytes_append_text(&out, "net.bridge.bridge-nf-call-iptables = 1\n"
                            "net.bridge.bridge-nf-call-ip6tables = 1\n"
                            "net.ipv4.ip_forward = 1\n");
    if (render_cluster(render)->pod_subnet.base.size == 16)
        bytes_append_text(&out, "net.ipv6.conf.all.forwarding = 1\n");
    return bytes_give(&out, ret_text, f);
}
