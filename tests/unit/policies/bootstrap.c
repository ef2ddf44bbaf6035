/* The section `bootstrap` of a cluster file: its defaults, what it gives, and every way in which it can be wrong. What
 * is made of it is in tests/golden/rendered/. */
#include "tests/unit/policies/suite.h"

static const char text_bare[] = "apiVersion: ensign/v1\n"
                                "kind: Cluster\n"
                                "name: lab\n"
                                "kubernetesVersion: \"1.30\"\n"
                                "controlPlaneEndpoint: 192.0.2.81:6443\n"
                                "networking: {podSubnet: 10.244.0.0/16}\n"
                                "etcd: {topology: external}\n"
                                "nodes:\n"
                                "  - {name: store, addresses: [192.0.2.61], roles: [etcd]}\n"
                                "  - {name: helm, addresses: [192.0.2.51], roles: [control-plane]}\n"
                                "  - {name: deck, addresses: [192.0.2.71], roles: [worker]}\n"
                                "  - {name: lbone, addresses: [192.0.2.82], roles: [load-balancer]}\n"
                                "  - {name: lbtwo, addresses: [192.0.2.83], roles: [load-balancer]}\n";

#define HOST_KEY "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"

static enum err cluster_of(const char *text, struct cluster *ret_cluster, struct fault *f)
{
    CLEANUP(document_auto) struct document *document = NULL;
    assert_ok(document_parse(span_text(text), "c.yaml", &document, f), f);
    return cluster_read(document, ret_cluster, f);
}

static void everything_has_a_default(void **state)
{
    (void)state;
    struct fault f = {0};
    AUTO(cluster) cluster = {0};
    assert_ok(cluster_of(text_bare, &cluster, &f), &f);
    const struct bootstrap *bootstrap = &cluster.bootstrap;
    assert_string_equal(bootstrap->ssh_user, "root");
    assert_int_equal(bootstrap->ssh_port, 22);
    assert_null(bootstrap->host_keys);
    assert_int_equal(bootstrap->kubernetes_packages.source, PACKAGE_PRESENT);
    assert_int_equal(bootstrap->ensign_packages.source, PACKAGE_PRESENT);
    assert_int_equal(bootstrap->runtime_packages.source, PACKAGE_DISTRIBUTION);
    assert_int_equal(bootstrap->runtime, RUNTIME_CONTAINERD);
    assert_int_equal(bootstrap->cgroup_driver, CGROUP_SYSTEMD);
    assert_string_equal(bootstrap->runtime_socket, "unix:///run/containerd/containerd.sock");
    assert_null(bootstrap->sandbox_image);
    assert_int_equal(bootstrap->balancer, BALANCER_NONE);
    assert_string_equal(bootstrap->etcd_data_dir, "/var/lib/etcd");
    assert_null(bootstrap->skip_phases);
    for (unsigned i = 0; i < COMPONENTS_COUNT; i++)
        assert_null(bootstrap->extra_args[i]);
    assert_int_equal(bootstrap->control_plane_timeout_seconds, 240);
    assert_int_equal(bootstrap->proxy_mode, PROXY_IPTABLES);
    assert_int_equal(bootstrap->cni, CNI_NONE);
    const struct node_bootstrap *node = &cluster.nodes[1].bootstrap;
    assert_null(node->labels);
    assert_null(node->taints);
    assert_null(node->ssh_address);
    assert_null(node->ssh_user);
    assert_int_equal(node->ssh_port, 0);
}

static const char text_choices[] =
    "bootstrap:\n"
    "  ssh: {user: ops, port: 2222, hostKeys: {helm: \"" HOST_KEY "\"}}\n"
    "  packages:\n"
    "    kubernetes: {source: \"deb [arch=amd64] https://example.com/deb/ /\", keyFile: "
    "/k.asc,\n"
    "                 version: 1.31.4-1.1}\n"
    "    containerRuntime: {source: present}\n"
    "    ensign: {source: /srv/ensign_0.1.0_amd64.deb}\n"
    "  containerRuntime: {name: cri-o, cgroupDriver: cgroupfs, sandboxImage: \"example.com:5000/pause:3.9\"}\n"
    "  loadBalancer: {kind: nginx-keepalived, interface: eth0.7}\n"
    "  etcd: {dataDir: /srv/etcd, environment: {ETCD_QUOTA_BACKEND_BYTES: \"1000000\"}}\n"
    "  kubeadm:\n"
    "    skipPhases: [addon/kube-proxy]\n"
    "    controllerManager: {extraArgs: {node-cidr-mask-size: \"24\", bind-address: \"\"}}\n"
    "    imageRepository: example.com/k8s\n"
    "    featureGates: {EtcdLearnerMode: false}\n"
    "    controlPlaneTimeout: 10m\n"
    "  kubeProxy: {mode: ipvs}\n"
    "  cni: {command: [cilium, install, --wait]}\n";

static void choices_are_read(void **state)
{
    (void)state;
    struct fault f = {0};
    char text[2048], all[4096];
    AUTO(cluster) cluster = {0};
    text_edit(text_bare, "roles: [worker]}",
              "roles: [worker], labels: {node-role.kubernetes.io/worker: \"\"}, taints: [\"a=b:NoExecute\"],\n"
              "     ssh: {address: bastion.example.com, port: 22022, user: deck}}",
              text, sizeof text);
    snprintf(all, sizeof all, "%s%s", text, text_choices);
    assert_ok(cluster_of(all, &cluster, &f), &f);
    const struct bootstrap *bootstrap = &cluster.bootstrap;
    assert_string_equal(json_string_value(json_object_get(bootstrap->host_keys, "helm")), HOST_KEY);
    assert_int_equal(bootstrap->kubernetes_packages.source, PACKAGE_REPOSITORY);
    assert_string_equal(bootstrap->kubernetes_packages.key_file, "/k.asc");
    assert_int_equal(bootstrap->ensign_packages.source, PACKAGE_FILE);
    assert_string_equal(bootstrap->ensign_packages.file, "/srv/ensign_0.1.0_amd64.deb");
    assert_string_equal(bootstrap->kubernetes_packages.version, "1.31.4-1.1");
    assert_int_equal(bootstrap->runtime_packages.source, PACKAGE_PRESENT);
    assert_string_equal(bootstrap->runtime_socket, "unix:///var/run/crio/crio.sock");
    assert_int_equal(bootstrap->cgroup_driver, CGROUP_CGROUPFS);
    assert_int_equal(bootstrap->balancer, BALANCER_NGINX_KEEPALIVED);
    assert_true(bootstrap->has_virtual_address); /* controlPlaneEndpoint's */
    assert_int_equal(bootstrap->virtual_address.data[3], 81);
    assert_int_equal(bootstrap->router_id, 81);
    assert_string_equal(bootstrap->interface, "eth0.7");
    assert_int_equal(json_object_size(bootstrap->etcd_environment), 1);
    assert_int_equal(json_object_size(bootstrap->extra_args[COMPONENT_CONTROLLER_MANAGER]), 2);
    assert_null(bootstrap->extra_args[COMPONENT_KUBELET]);
    assert_int_equal(bootstrap->control_plane_timeout_seconds, 600);
    assert_int_equal(bootstrap->proxy_mode, PROXY_IPVS);
    assert_int_equal(bootstrap->cni, CNI_COMMAND);
    const struct node_bootstrap *node = &cluster.nodes[2].bootstrap;
    assert_int_equal(json_object_size(node->labels), 1);
    assert_int_equal(json_array_size(node->taints), 1);
    assert_string_equal(node->ssh_address, "bastion.example.com");
    assert_string_equal(node->ssh_user, "deck");
    assert_int_equal(node->ssh_port, 22022);
}

static const struct right {
    const char *section;
} rights[] = {
    {"{}"},
    {"{ssh: {}, packages: {}, containerRuntime: {}, loadBalancer: {}, etcd: {}, kubeadm: {}, kubeProxy: {}}"},
    {"{cni: none}"},
    {"{cni: {manifest: /srv/cni.yaml}}"},
    {"{cni: {bridge: true}}"},
    {"{loadBalancer: {kind: haproxy}}"},
    {"{loadBalancer: {kind: nginx-keepalived, virtualAddress: \"2001:db8::1\", interface: bond0, routerId: 9}}"},
    {"{containerRuntime: {socket: \"unix:///srv/run.sock\"}}"},
    {"{ssh: {hostKeys: {}}, kubeadm: {apiServer: {extraArgs: {}}, skipPhases: []}}"},
};

static void rights_are_taken(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rights); i++) {
        struct fault f = {0};
        AUTO(cluster) cluster = {0};
        char text[4096];
        snprintf(text, sizeof text, "%sbootstrap: %s\n", text_bare, rights[i].section);
        assert_ok(cluster_of(text, &cluster, &f), &f);
    }
}

static const struct wrong {
    const char *section, *says;
} wrongs[] = {
    {"[]", "object"},
    {"{extra: 1}", "unknown key \"extra\""},
    {"{loadbalancer: {}}", "did you mean \"loadBalancer\"?"},
    {"{ssh: {port: 0}}", "1"},
    {"{ssh: {port: 65536}}", "65535"},
    {"{ssh: {user: Root}}", "no name of a user"},
    {"{ssh: {user: \"-oProxyCommand=x\"}}", "no name of a user"},
    {"{ssh: {hostKeys: {nobody: \"" HOST_KEY "\"}}}", "there is no node \"nobody\""},
    {"{ssh: {hostKeys: {helm: ssh-ed25519}}}", "no host key"},
    {"{ssh: {hostKeys: {helm: \"ssh-ed25519 AAAA\"}}}", "no host key"},
    {"{ssh: {hostKeys: {helm: \"" HOST_KEY "\\n* ssh-rsa AAAA\"}}}", "no host key"},
    {"{ssh: {hostKeys: [helm]}}", "an object of names and values"},
    {"{packages: {kubernetes: {source: apt}}}", "is not present"},
    {"{packages: {kubernetes: {source: \"deb http://example.com /\"}}}", "need a keyFile"},
    {"{packages: {kubernetes: {source: \"deb http://example.com /\\ndeb x\", keyFile: /k}}}", "is not present"},
    {"{packages: {kubernetes: {keyFile: /k}}}", "have a keyFile"},
    {"{packages: {kubernetes: {source: \"deb [signed-by=/k] http://example.com /\", keyFile: /k}}}", "signed-by"},
    {"{packages: {ensign: {source: distribution}}}", "is not present or"},
    {"{packages: {ensign: {source: ensign.deb}}}", "is not present or"},
    {"{packages: {ensign: {source: /srv/ensign.tar}}}", "is not present or"},
    {"{packages: {ensign: {version: 1}}}", "version"},
    {"{packages: {kubernetes: {version: \"1.31; reboot\"}}}", "no version of a Debian package"},
    {"{packages: {etcd: {}}}", "unknown key"},
    {"{containerRuntime: {name: docker}}", "containerd"},
    {"{containerRuntime: {cgroupDriver: cgroup}}", "cgroupfs"},
    {"{containerRuntime: {socket: /run/containerd/containerd.sock}}", "no socket"},
    {"{containerRuntime: {socket: \"unix://run/x.sock\"}}", "no socket"},
    {"{containerRuntime: {sandboxImage: \"a\\\"b\"}}", "no name of an image"},
    {"{loadBalancer: {kind: nginx}}", "nginx-keepalived"},
    {"{loadBalancer: {kind: haproxy, interface: eth0}}", "unknown key \"interface\""},
    {"{loadBalancer: {kind: nginx-keepalived}}", "\"interface\" is missing"},
    {"{loadBalancer: {kind: nginx-keepalived, interface: \"eth0; reboot\"}}", "no name of a network interface"},
    {"{loadBalancer: {kind: nginx-keepalived, interface: eth0, virtualAddress: 192.0.2}}", "192.0.2"},
    {"{loadBalancer: {kind: nginx-keepalived, interface: eth0, virtualAddress: 192.0.2.61}}", "one of node \"store\""},
    {"{loadBalancer: {kind: nginx-keepalived, interface: eth0, routerId: 256}}", "255"},
    {"{loadBalancer: {kind: kube-vip, interface: eth0}}", "\"image\" is missing"},
    {"{loadBalancer: {kind: kube-vip, interface: eth0, image: \"a:1\"}}", "kube-vip runs on the control planes"},
    {"{etcd: {dataDir: var/lib/etcd}}", "no absolute path"},
    {"{etcd: {dataDir: /}}", "no absolute path"},
    {"{etcd: {dataDir: /srv/../etc}}", "no absolute path"},
    {"{etcd: {dataDir: \"/srv/etcd\\nETCD_NAME=x\"}}", "no absolute path"},
    {"{etcd: {environment: {PATH: \"/tmp\"}}}", "no variable of etcd's"},
    {"{etcd: {environment: {ETCD_CLIENT_CERT_AUTH: \"false\"}}}", "no variable of etcd's"},
    {"{etcd: {environment: {ETCD_PEER_TRUSTED_CA_FILE: /tmp/ca}}}", "no variable of etcd's"},
    {"{etcd: {environment: {ETCD_HEARTBEAT_INTERVAL: 250}}}", "must be a string"},
    {"{etcd: {environment: {ETCD_HEARTBEAT_INTERVAL: \"1\\nX=2\"}}}", "printable"},
    {"{kubeadm: {skipPhases: addon/kube-proxy}}", "list"},
    {"{kubeadm: {skipPhases: [\"certs,preflight\"]}}", "no phase"},
    {"{kubeadm: {apiServer: {extraArgs: {--v: \"2\"}}}}", "no name of an option"},
    {"{kubeadm: {apiServer: {extraArgs: {v: 2}}}}", "must be a string"},
    {"{kubeadm: {apiServer: {certSANs: []}}}", "unknown key"},
    {"{kubeadm: {etcd: {extraArgs: {}}}}", "unknown key"},
    {"{kubeadm: {featureGates: {A: \"true\"}}}", "true or false"},
    {"{kubeadm: {controlPlaneTimeout: 1s}}", "between 10 seconds and an hour"},
    {"{kubeadm: {controlPlaneTimeout: 2h}}", "between 10 seconds and an hour"},
    {"{kubeProxy: {mode: userspace}}", "iptables"},
    {"{kubeProxy: {mode: nftables}}", "from 1.31 on"},
    {"{cni: bridge}", "none"},
    {"{cni: {}}", "one of manifest, command and bridge"},
    {"{cni: {bridge: true, manifest: /x}}", "one of manifest, command and bridge"},
    {"{cni: {bridge: false}}", "cni: none"},
    {"{cni: {command: []}}", "a command needs a program"},
    {"{cni: {manifest: cni.yaml}}", "no absolute path"},
};

static void assert_refused(const char *text, const char *says)
{
    struct fault f = {0};
    AUTO(cluster) cluster = {0};
    if (cluster_of(text, &cluster, &f) == OK)
        fail_msg("taken, but expected: %s", says);
    for (size_t i = 0; i < f.reasons_count; i++)
        if (strstr(f.reasons[i].text, says))
            return;
    fail_msg("expected \"%s\" in: %s", says, line_of(&f));
}

static void wrongs_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(wrongs); i++) {
        char text[4096];
        snprintf(text, sizeof text, "%sbootstrap: %s\n", text_bare, wrongs[i].section);
        assert_refused(text, wrongs[i].says);
    }
}

/* What is wrong together with the rest of the file. */
static const struct clash {
    const char *from, *to, *section, *says;
} clashes[] = {
    {"[load-balancer]}\n  - {name: lbtwo", "[worker]}\n  - {name: lbtwo",
     "{loadBalancer: {kind: nginx-keepalived, interface: eth0}}", "at least two"},
    {"[control-plane]", "[control-plane, load-balancer]", "{loadBalancer: {kind: haproxy}}", "another port than 6443"},
    {"controlPlaneEndpoint: 192.0.2.81:6443\n", "", "{loadBalancer: {kind: haproxy}}", "needs a controlPlaneEndpoint"},
    {"192.0.2.81:6443", "api.example.com:6443", "{loadBalancer: {kind: nginx-keepalived, interface: eth0}}",
     "\"virtualAddress\" is missing"},
    {"192.0.2.81:6443", "192.0.2.81:8443", "{loadBalancer: {kind: kube-vip, interface: eth0, image: \"a:1\"}}",
     "API server's port"},
    {"10.244.0.0/16", "10.244.0.0/18", "{cni: {bridge: true}}", "at most 16 bits"},
    {"10.244.0.0/16", "\"fd00::/48\"", "{cni: {bridge: true}}", "IPv4"},
    {"external}", "stacked}", "{etcd: {environment: {ETCD_HEARTBEAT_INTERVAL: \"250\"}}}", "no environment"},
    {"[worker]}", "[worker], labels: {\"a b\": c}}", "{}", "no name of a label"},
    {"[worker]}", "[worker], labels: {a: \"-b\"}}", "{}", "no value of a label"},
    {"[worker]}", "[worker], labels: {Example.com/a: b}}", "{}", "no name of a label"},
    {"[worker]}", "[worker], taints: [\"a=b:Sometimes\"]}", "{}", "no taint"},
    {"[worker]}", "[worker], taints: [\"=b:NoSchedule\"]}", "{}", "no taint"},
    {"[worker]}", "[worker], taints: [\"a\"]}", "{}", "no taint"},
    {"[worker]}", "[worker], taints: a:NoSchedule}", "{}", "list"},
    {"[worker]}", "[worker], ssh: {host: a}}", "{}", "unknown key \"host\""},
    {"[worker]}", "[worker], ssh: {address: -oProxyCommand=x}}", "{}", "no DNS name"},
    {"[etcd]}", "[etcd], labels: {a: b}}", "{}", "only a node with a kubelet"},
};

static void clashes_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(clashes); i++) {
        char text[2048], all[4096];
        text_edit(text_bare, clashes[i].from, clashes[i].to, text, sizeof text);
        snprintf(all, sizeof all, "%sbootstrap: %s\n", text, clashes[i].section);
        assert_refused(all, clashes[i].says);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_has_a_default), cmocka_unit_test(choices_are_read),
        cmocka_unit_test(rights_are_taken),         cmocka_unit_test(wrongs_are_refused),
        cmocka_unit_test(clashes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
