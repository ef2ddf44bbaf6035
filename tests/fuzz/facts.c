/* What hosts say: whatever is accepted is printable ASCII, and can be checked for each role. */
#include "client/bootstrap/check.h"

#include <string.h>

#include "tests/fuzz/fuzz.h"

static const char file[] =
    "{\"apiVersion\":\"ensign/v1\",\"kind\":\"Cluster\",\"name\":\"c\",\"kubernetesVersion\":\"1.31\","
    "\"controlPlaneEndpoint\":\"api.example.com:6443\",\"etcd\":{\"topology\":\"stacked\"},"
    "\"nodes\":[{\"name\":\"a\",\"addresses\":[\"192.0.2.1\"],\"roles\":[\"etcd\",\"control-plane\","
    "\"worker\",\"load-balancer\"]},{\"name\":\"b\",\"addresses\":[\"192.0.2.2\"],"
    "\"roles\":[\"worker\"]}]}";

static const struct cluster *cluster_always(void)
{
    static struct cluster cluster;
    CLEANUP(document_auto) struct document *document = NULL;
    struct fault *f = fuzz_fault();
    if (cluster.nodes_count == 0) {
        fuzz_must(document_parse_json(span_text(file), &document, f), f);
        fuzz_must(cluster_read(document, &cluster, f), f);
    }
    return &cluster;
}

static void text_hold(const char *text)
{
    HOLDS(text && strlen(text) <= FACT_TEXT_MAX);
    for (; *text; text++)
        HOLDS(*text >= ' ' && *text <= '~');
}

static void facts_hold(const struct host_facts *facts)
{
    HOLDS(facts->cpus >= -1 && facts->memory_kib >= -1);
    for (size_t i = 0; i < FACTS_COUNT; i++)
        text_hold(facts->texts[i]);
    for (size_t list = 0; list < LISTS_COUNT; list++)
        for (size_t row = 0; row < facts->lists[list].count; row++)
            for (size_t cell = 0; cell <= FACT_CELLS_MAX; cell++)
                text_hold(facts->lists[list].rows[row].cells[cell]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct cluster *cluster = cluster_always();
    struct host_facts facts;
    struct fault *f = fuzz_fault();
    AUTO(findings) findings = {0};
    fuzz_fresh(&facts, sizeof facts);
    if (!fuzz_kept(facts_read(span(data, size), &facts, f), f, &facts, sizeof facts))
        return 0;
    facts_hold(&facts);
    const struct host_report reports[] = {{&cluster->nodes[0], true, facts, 0, 0},
                                          {&cluster->nodes[1], true, facts, 0, 0}};
    const struct check_authorities authorities = {true, NULL};
    fuzz_must(check_hosts(cluster, reports, 2, &authorities, &findings, f), f);
    HOLDS(findings.errors <= findings.count);
    host_facts_cleanup(&facts);
    return 0;
}

void fuzz_seeds(void)
{
    fuzz_seed_text(
        "{\"version\":1,\"os_id\":\"debian\",\"os_version\":\"12\",\"architecture\":\"x86_64\",\"kernel\":\"6.1\","
        "\"hostname\":\"a\",\"machine_id\":\"3d12\",\"cpus\":\"2\",\"memory_kib\":\"2000000\","
        "\"package_manager\":\"apt-get\",\"time_synchronized\":\"yes\",\"ports_known\":\"yes\","
        "\"swaps\":[[\"/swap\",\"1\"]],\"disks\":[[\"/\",\"9000000\",\"8000000\",\"/\"]],"
        "\"addresses\":[[\"e\",\"192.0.2.1/24\"]],\"routes\":[[\"default via 192.0.2.254\"]],"
        "\"names\":[[\"a\",\"192.0.2.1\"]],\"ports\":[[\"tcp\",\"6443\",\"*\",\"kube-apiserver\"]]}");
    fuzz_seed_text(
        "{\"version\":1,\"modules\":[[\"overlay\",\"loaded\"]],\"sysctls\":[[\"net.ipv4.ip_forward\",\"1\"]],"
        "\"versions\":[[\"kubelet\",\"Kubernetes v1.31.4\"]],\"units\":[[\"ufw\",\"loaded\",\"active\",\"enabled\"]],"
        "\"files\":[[\"/a\",\"file\",\"600\",\"root\",\"root\",\"7\",\"00ff\"]],"
        "\"authorities\":[[\"/etc/kubernetes/pki/ca.crt\",\"00ff\"]],\"remains\":[[\"/var/lib/etcd\"]]}");
}
