/* The container runtime: containerd's configuration of version 2 (1.3 and later; 2.x reads it, too), CRI-O's, and where
 * crictl and the kubelet find it. */
#include "client/render/render.h"

#include <string.h>

/* Where the programs of CNI lie: those of Debian's package, which the bridge is made of; other plugins bring their own.
 */
static const char *cni_programs(const struct bootstrap *bootstrap)
{
    return bootstrap->cni == CNI_BRIDGE ? "/usr/lib/cni" : "/opt/cni/bin";
}

static const char *socket_path(const struct bootstrap *bootstrap)
{
    return bootstrap->runtime_socket + strlen("unix://");
}

#define CRI "plugins.\"io.containerd.grpc.v1.cri\""

enum err render_containerd(const struct render *render, struct bytes *ret_text, struct fault *f)
{
    const struct bootstrap *bootstrap = &render_cluster(render)->bootstrap;
    struct bytes out = {0};
    render_banner(&out);
    bytes_appendf(&out, "version = 2\n\n[grpc]\n  address = \"%s\"\n\n", socket_path(bootstrap));
    if (bootstrap->sandbox_image)
        bytes_appendf(&out, "[" CRI "]\n  sandbox_image = \"%s\"\n\n", bootstrap->sandbox_image);
    bytes_appendf(&out, "[" CRI ".cni]\n  bin_dir = \"%s\"\n  conf_dir = \"/etc/cni/net.d\"\n\n",
                  cni_programs(bootstrap));
    bytes_append_text(&out, "[" CRI ".containerd.runtimes.runc]\n  runtime_type = \"io.containerd.runc.v2\"\n\n");
    bytes_appendf(&out, "[" CRI ".containerd.runtimes.runc.options]\n  SystemdCgroup = %s\n",
                  bootstrap->cgroup_driver == CGROUP_SYSTEMD ? "true" : "false");
    return bytes_give(&out, ret_text, f);
}

enum err render_crio(const struct render *render, struct bytes *ret_text, struct fault *f)
{
    const struct bootstrap *bootstrap = &render_cluster(render)->bootstrap;
    struct bytes out = {0};
    render_banner(&out);
    bytes_appendf(&out, "[crio.api]\nlisten = \"%s\"\n\n", socket_path(bootstrap));
    bytes_appendf(&out, "[crio.runtime]\ncgroup_manager = \"%s\"\n", cgroup_driver_words[bootstrap->cgroup_driver]);
    if (bootstrap->cgroup_driver == CGROUP_CGROUPFS)
        bytes_append_text(&out, "conmon_cgroup = \"pod\"\n"); /* the only one that goes with cgroupfs */
    if (bootstrap->sandbox_image)
        bytes_appendf(&out, "\n[crio.image]\npause_image = \"%s\"\n", bootstrap->sandbox_image);
    bytes_appendf(&out, "\n[crio.network]\nnetwork_dir = \"/etc/cni/net.d\"\nplugin_dirs = [\"%s\"]\n",
                  cni_programs(bootstrap));
    return bytes_give(&out, ret_text, f);
}

enum err render_crictl(const struct render *render, struct bytes *ret_text, struct fault *f)
{
    const char *socket = render_cluster(render)->bootstrap.runtime_socket;
    struct bytes out = {0};
    render_banner(&out);
    bytes_appendf(&out, "runtime-endpoint: \"%s\"\nimage-endpoint: \"%s\"\ntimeout: 10\n", socket, socket);
    return bytes_give(&out, ret_text, f);
}

/* The unit of kubeadm's packages reads it. A host with several addresses would have the kubelet choose. Certificates
 * are renewed by the agent, and kubeadm sets rotateCertificates in the kubelet's configuration whatever its own says:
 * only the option is stronger. With rotation the kubelet would write a kubelet.conf of its own. */
enum err render_kubelet(const struct render *render, struct bytes *ret_text, struct fault *f)
{
    char address[ADDRESS_TEXT_SIZE];
    struct bytes out = {0};
    address_text(&render->node->names.addresses[0], address);
    render_banner(&out);
    bytes_appendf(&out, "KUBELET_EXTRA_ARGS=\"--node-ip=%s --rotate-certificates=false\"\n", address);
    return bytes_give(&out, ret_text, f);
}
