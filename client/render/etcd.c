/* A member of an external etcd, as Debian's and Ubuntu's package runs it: its unit reads /etc/default/etcd. Names of
 * variables: etcd's flags (etcd.io/docs/v3.4/op-guide/configuration). */
#include "client/render/files.h"

struct member_files {
    const struct catalogue_item *bundle, *server, *peer;
};

static enum err member_files_find(const struct render *render, struct member_files *files, struct fault *f)
{
    bool separate = render_cluster(render)->etcd_certificates == ETCD_SEPARATE;
    TRY(render_item(render, "etcd-ca", &files->bundle, f));
    TRY(render_item(render, separate ? "etcd-server" : "etcd-member", &files->server, f));
    return render_item(render, separate ? "etcd-peer" : "etcd-member", &files->peer, f);
}

void render_members(const struct cluster *cluster, struct bytes *out)
{
    const char *comma = "";
    for (size_t i = 0; i < cluster->nodes_count; i++) {
        char host[HOST_TEXT_SIZE];
        if (!(cluster->nodes[i].roles & ROLE_ETCD))
            continue;
        render_host(&cluster->nodes[i], host);
        bytes_appendf(out, "%s%s=https://%s:2380", comma, cluster->nodes[i].name, host);
        comma = ",";
    }
}

static void addresses_append(const struct render *render, struct bytes *out)
{
    char host[HOST_TEXT_SIZE];
    render_host(render->node, host);
    bytes_appendf(out, "ETCD_LISTEN_CLIENT_URLS=https://%s:2379,https://127.0.0.1:2379\n", host);
    bytes_appendf(out, "ETCD_ADVERTISE_CLIENT_URLS=https://%s:2379\n", host);
    bytes_appendf(out, "ETCD_LISTEN_PEER_URLS=https://%s:2380\n", host);
    bytes_appendf(out, "ETCD_INITIAL_ADVERTISE_PEER_URLS=https://%s:2380\n", host);
    /* Health and metrics, without a client certificate: as kubeadm has it. */
    bytes_append_text(out, "ETCD_LISTEN_METRICS_URLS=http://127.0.0.1:2381\n");
}

/* side  "" or "PEER_" */
static void tls_append(const struct catalogue_item *certificate, const char *bundle, const char *side,
                       struct bytes *out)
{
    bytes_appendf(out, "ETCD_%sCERT_FILE=%s\n", side, certificate->path);
    bytes_appendf(out, "ETCD_%sKEY_FILE=%s\n", side, certificate->key_path);
    bytes_appendf(out, "ETCD_%sTRUSTED_CA_FILE=%s\n", side, bundle);
    bytes_appendf(out, "ETCD_%sCLIENT_CERT_AUTH=true\n", side);
}

enum err render_etcd(const struct render *render, struct bytes *ret_text, struct fault *f)
{
    const struct cluster *cluster = render_cluster(render);
    struct member_files files;
    struct bytes out = {0};
    TRY(member_files_find(render, &files, f));
    render_banner(&out);
    bytes_appendf(&out, "ETCD_NAME=%s\nETCD_DATA_DIR=%s\n", render->node->name, cluster->bootstrap.etcd_data_dir);
    addresses_append(render, &out);
    bytes_append_text(&out, "ETCD_INITIAL_CLUSTER=");
    render_members(cluster, &out);
    bytes_append_text(&out, "\nETCD_INITIAL_CLUSTER_STATE=new\n");
    bytes_appendf(&out, "ETCD_INITIAL_CLUSTER_TOKEN=%s\n", cluster->name);
    tls_append(files.server, files.bundle->path, "", &out);
    tls_append(files.peer, files.bundle->path, "PEER_", &out);
    if (render->etcd_has_crl)
        bytes_appendf(&out, "ETCD_CLIENT_CRL_FILE=%s\nETCD_PEER_CRL_FILE=%s\n", cluster->crl_path, cluster->crl_path);
    render_pairs(&out, cluster->bootstrap.etcd_environment, "", "=", "\n");
    return bytes_give(&out, ret_text, f);
}

/* The package's unit runs etcd as its own user, and the keys are root's with mode 0600, so that what replaces them need
 * not know about etcd. A right to read, of which the rest of the file system is then kept out, rather than copies of
 * keys (LoadCredential=), which a renewal would not reach before a restart. A member that is added to a running etcd is
 * told of its members by a file of its own at its first start. */
enum err render_etcd_unit(const struct render *render, struct bytes *ret_text, struct fault *f)
{
    const struct bootstrap *bootstrap = &render_cluster(render)->bootstrap;
    struct bytes out = {0};
    render_banner(&out);
    bytes_append_text(&out, "[Service]\n"
                            "EnvironmentFile=-" ETCD_JOIN_PATH "\n"
                            "AmbientCapabilities=CAP_DAC_READ_SEARCH\n"
                            "CapabilityBoundingSet=CAP_DAC_READ_SEARCH\n"
                            "NoNewPrivileges=yes\n"
                            "ProtectHome=yes\n"
                            "ProtectSystem=strict\n"
                            "PrivateTmp=yes\n"
                            "InaccessiblePaths=-/etc/ensign -/etc/ssh -/etc/ssl/private -/etc/shadow -/etc/gshadow\n");
    bytes_appendf(&out, "ReadWritePaths=-%s\n", bootstrap->etcd_data_dir);
    bytes_append_text(&out, "Restart=always\nRestartSec=2\n");
    return bytes_give(&out, ret_text, f);
}
