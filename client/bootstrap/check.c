#include "client/bootstrap/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ENSIGN_FOLDER "/etc/ensign/node"

/* Limits. Those of a control plane are what kubeadm's preflight wants. */
enum {
    SKEW_ERROR_MS = 5 * 60 * 1000, /* certificates are valid from 5 minutes before they are issued */
    SKEW_WARNING_MS = 2000,
    DISK_FREE_MIN_KIB = 2 * 1024 * 1024,
    CONTROL_PLANE_MEMORY_KIB = 1700 * 1024,
    CONTROL_PLANE_CPUS = 2,
    PROGRAM_NAME_SIZE = 15, /* as much of it as the kernel keeps */
};

const char *const finding_level_words[] = {"error", "warning", "note", NULL};

/* One host, being checked. */
struct check {
    const struct cluster *cluster;
    const struct host_report *report; /* NULL: the cluster file */
    const struct check_authorities *authorities;
    struct findings *findings;
};

void findings_drop(struct findings *findings, const char *check)
{
    size_t kept = 0;
    for (size_t i = 0; i < findings->count; i++) {
        if (strcmp(findings->rows[i].check, check) == 0)
            findings->errors -= findings->rows[i].level == FINDING_ERROR;
        else
            findings->rows[kept++] = findings->rows[i];
    }
    findings->count = kept;
}

void findings_cleanup(struct findings *findings)
{
    free(findings->rows);
}

static struct finding *finding_new(struct findings *findings)
{
    if (findings->count == findings->capacity) {
        size_t capacity = findings->capacity ? 2 * findings->capacity : 32;
        struct finding *rows = reallocarray(findings->rows, capacity, sizeof *rows);
        if (!rows)
            return NULL;
        findings->rows = rows;
        findings->capacity = capacity;
    }
    return &findings->rows[findings->count++];
}

static void add(const struct check *check, enum finding_level level, const char *name, const char *expected,
                const char *remedy, const char *format, ...) __attribute__((format(printf, 6, 7)));
static void add(const struct check *check, enum finding_level level, const char *name, const char *expected,
                const char *remedy, const char *format, ...)
{
    struct finding *finding = finding_new(check->findings);
    if (!finding) {
        check->findings->failed = true;
        return;
    }
    *finding = (struct finding){
        .node = check->report ? check->report->node : NULL, .level = level, .check = name, .remedy = remedy};
    snprintf(finding->expected, sizeof finding->expected, "%s", expected);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(finding->seen, sizeof finding->seen, format, arguments);
    va_end(arguments);
    check->findings->errors += level == FINDING_ERROR;
}

static bool has_role(const struct check *check, unsigned roles)
{
    return (check->report->node->roles & roles) != 0;
}

static const char *text_of(const struct check *check, enum fact fact)
{
    return check->report->facts.texts[fact];
}

static const struct fact_rows *list_of(const struct check *check, enum fact_list list)
{
    return &check->report->facts.lists[list];
}

/* ---- the machine ---- */

/* "22.04" is 2204, "12" is 1200; 0: no such number. */
static unsigned long version_number(const char *text)
{
    char *end;
    unsigned long major = strtoul(text, &end, 10), minor = *end == '.' ? strtoul(end + 1, NULL, 10) : 0;
    return major > 9999 || minor > 99 ? 0 : major * 100 + minor;
}

static void check_system(const struct check *check)
{
    const char *id = text_of(check, FACT_OS_ID), *architecture = text_of(check, FACT_ARCHITECTURE);
    unsigned long version = version_number(text_of(check, FACT_OS_VERSION));
    bool fine = (strcmp(id, "debian") == 0 && version >= 1200) || (strcmp(id, "ubuntu") == 0 && version >= 2204);
    if (!fine)
        add(check, FINDING_ERROR, "system", "Debian 12 or Ubuntu 22.04, or later", "install one of these", "%s %s",
            id[0] ? id : "unknown", text_of(check, FACT_OS_VERSION));
    if (strcmp(architecture, "x86_64") != 0 && strcmp(architecture, "aarch64") != 0)
        add(check, FINDING_ERROR, "architecture", "x86_64 or aarch64", "use another machine", "%s", architecture);
}

static void check_clock(const struct check *check)
{
    int64_t skew = check->report->skew_ms, least = llabs(skew) - check->report->uncertainty_ms;
    const char *way = skew > 0 ? "ahead" : "behind";
    if (least > SKEW_ERROR_MS)
        add(check, FINDING_ERROR, "clock", "as this machine's, within 5 minutes",
            "set the clock that is wrong: certificates would not be valid yet, or any more", "%lld s %s",
            (long long)llabs(skew) / 1000, way);
    else if (least > SKEW_WARNING_MS)
        add(check, FINDING_WARNING, "clock", "as this machine's, within 2 seconds", "run a time service on both",
            "%lld.%lld s %s", (long long)llabs(skew) / 1000, (long long)llabs(skew) / 100 % 10, way);
    if (strcmp(text_of(check, FACT_TIME_SYNCHRONIZED), "no") == 0)
        add(check, FINDING_WARNING, "time service", "a clock that is synchronized",
            "install chrony, or let systemd-timesyncd reach a server", "none");
}

static void check_size(const struct check *check)
{
    const struct host_facts *facts = &check->report->facts;
    if (!has_role(check, ROLE_CONTROL_PLANE))
        return;
    if (facts->cpus < CONTROL_PLANE_CPUS)
        add(check, FINDING_ERROR, "cpus", "2 for a control plane, as kubeadm wants it", "give it more", "%lld",
            (long long)facts->cpus);
    if (facts->memory_kib < CONTROL_PLANE_MEMORY_KIB)
        add(check, FINDING_ERROR, "memory", "1700 MiB for a control plane, as kubeadm wants it", "give it more",
            "%lld MiB", (long long)facts->memory_kib / 1024);
}

static bool mount_seen(const struct fact_rows *disks, size_t row)
{
    for (size_t i = 0; i < row; i++)
        if (strcmp(disks->rows[i].cells[3], disks->rows[row].cells[3]) == 0)
            return true;
    return false;
}

static void check_disks(const struct check *check)
{
    const struct fact_rows *disks = list_of(check, LIST_DISKS);
    for (size_t i = 0; i < disks->count; i++) {
        const char *const *cells = disks->rows[i].cells;
        if (!mount_seen(disks, i) && fact_number(cells[2]) < DISK_FREE_MIN_KIB)
            add(check, FINDING_ERROR, "disk", "2 GiB free", "make room", "%lld MiB free on %s",
                (long long)fact_number(cells[2]) / 1024, cells[3]);
    }
    if (disks->count == 0)
        add(check, FINDING_ERROR, "disk", "2 GiB free", "see why df shows nothing there", "nothing");
}

static void check_swap(const struct check *check)
{
    const struct fact_rows *swaps = list_of(check, LIST_SWAPS);
    if (swaps->count > 0 && has_role(check, ROLE_CONTROL_PLANE | ROLE_WORKER))
        add(check, FINDING_NOTE, "swap", "none, for the kubelet", "`ensign cluster apply` turns it off", "%s",
            swaps->rows[0].cells[0]);
}

/* ---- the kernel ---- */

/* br_netfilter built into the kernel shows by its sysctls only. */
static void check_modules(const struct check *check)
{
    static const char *const wanted[] = {"overlay", "br_netfilter"};
    const struct host_facts *facts = &check->report->facts;
    if (!has_role(check, ROLE_CONTROL_PLANE | ROLE_WORKER))
        return;
    for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
        const struct fact_row *row = fact_find(facts, LIST_MODULES, wanted[i]);
        bool there = row && strcmp(row->cells[1], "absent") != 0;
        if (i == 1 && fact_find(facts, LIST_SYSCTLS, "net.bridge.bridge-nf-call-iptables"))
            there = true;
        if (!there)
            add(check, FINDING_WARNING, "module", wanted[i],
                "install the kernel's modules (linux-image, linux-modules-extra)", "neither loaded nor to be found");
    }
}

/* ---- programs ---- */

/* "v1.20.2" or "Kubernetes v1.20.2"; 0: no such thing. */
static unsigned long kubernetes_minor_of(const char *text)
{
    const char *version = strstr(text, "v1.");
    return version ? strtoul(version + strlen("v1."), NULL, 10) : 0;
}

static void check_versions(const struct check *check)
{
    static const char *const programs[] = {"kubeadm", "kubelet"};
    for (size_t i = 0; has_role(check, ROLE_CONTROL_PLANE | ROLE_WORKER) && i < ARRAY_SIZE(programs); i++) {
        const struct fact_row *row = fact_find(&check->report->facts, LIST_VERSIONS, programs[i]);
        char expected[32];
        snprintf(expected, sizeof expected, "%s 1.%u", programs[i], check->cluster->kubernetes_minor);
        if (row && kubernetes_minor_of(row->cells[1]) != check->cluster->kubernetes_minor)
            add(check, FINDING_ERROR, CHECK_VERSION, expected,
                "correct kubernetesVersion, or remove what is there so that it is installed", "%s", row->cells[1]);
    }
}

/* ---- names and addresses ---- */

static bool name_fits(const struct node_entry *node, const char *hostname)
{
    size_t label = strcspn(hostname, ".");
    return strcmp(node->name, hostname) == 0 || alternative_names_has_dns(&node->names, hostname) ||
           (strlen(node->name) == label && strncmp(node->name, hostname, label) == 0);
}

static void check_name(const struct check *check)
{
    const struct node_entry *node = check->report->node;
    const char *hostname = text_of(check, FACT_HOSTNAME);
    if (!name_fits(node, hostname))
        add(check, FINDING_WARNING, "host name", node->name,
            "is this the right host? If so: hostnamectl hostname, or hostnames in the cluster file", "%s", hostname);
    if (!fact_find(&check->report->facts, LIST_NAMES, node->name))
        add(check, FINDING_WARNING, "name", "that the host finds its own name", "add it to /etc/hosts or to DNS",
            "%s does not resolve", node->name);
    bool asks = has_role(check, ROLE_CONTROL_PLANE | ROLE_WORKER) && dns_name_valid(check->cluster->endpoint_host);
    if (asks && !fact_find(&check->report->facts, LIST_NAMES, check->cluster->endpoint_host))
        add(check, FINDING_ERROR, "name", "that the host finds the API servers", "add it to /etc/hosts or to DNS",
            "%s (controlPlaneEndpoint) does not resolve", check->cluster->endpoint_host);
}

static bool has_address(const struct fact_rows *addresses, const char *address)
{
    size_t size = strlen(address);
    for (size_t i = 0; i < addresses->count; i++) {
        const char *there = addresses->rows[i].cells[1];
        if (strncmp(there, address, size) == 0 && (there[size] == '/' || there[size] == '\0'))
            return true;
    }
    return false;
}

static void check_addresses(const struct check *check)
{
    const struct alternative_names *names = &check->report->node->names;
    const struct fact_rows *there = list_of(check, LIST_ADDRESSES);
    for (size_t i = 0; i < names->addresses_count; i++) {
        char address[ADDRESS_TEXT_SIZE];
        address_text(&names->addresses[i], address);
        if (!has_address(there, address))
            add(check, i == 0 ? FINDING_ERROR : FINDING_WARNING, "address", address,
                "is this the right host? Else give it the address, or correct the cluster file", "no interface has it");
    }
}

/* ---- ports ---- */

/* What a role listens on, and which program may have it already. */
static const struct {
    unsigned roles;
    unsigned port;
    const char *program, *other; /* other: NULL, or as good */
} role_ports[] = {
    {ROLE_CONTROL_PLANE, 6443, "kube-apiserver", NULL},
    {ROLE_CONTROL_PLANE, 10257, "kube-controller-manager", NULL},
    {ROLE_CONTROL_PLANE, 10259, "kube-scheduler", NULL},
    {ROLE_CONTROL_PLANE | ROLE_WORKER, 10250, "kubelet", NULL},
    {ROLE_ETCD, 2379, "etcd", NULL},
    {ROLE_ETCD, 2380, "etcd", NULL},
    {ROLE_LOAD_BALANCER, 0, "haproxy", "nginx"}, /* the port of controlPlaneEndpoint */
};

static bool program_is(const char *program, const char *wanted)
{
    return wanted && strncmp(program, wanted, PROGRAM_NAME_SIZE) == 0;
}

static void check_port(const struct check *check, unsigned port, const char *program, const char *other)
{
    const struct fact_rows *ports = list_of(check, LIST_PORTS);
    char expected[sizeof((struct finding *)0)->expected];
    snprintf(expected, sizeof expected, "port %u free, or %s%s%s", port, program, other ? " or " : "",
             other ? other : "");
    for (size_t i = 0; i < ports->count; i++) {
        const char *const *cells = ports->rows[i].cells;
        if (strcmp(cells[0], "tcp") != 0 || fact_number(cells[1]) != port || program_is(cells[3], program) ||
            program_is(cells[3], other))
            continue;
        add(check, FINDING_ERROR, "port", expected, "stop that program, or give it another port", "%s listens on %s:%u",
            cells[3][0] ? cells[3] : "another program", cells[2], port);
        return;
    }
}

static void check_ports(const struct check *check)
{
    if (strcmp(text_of(check, FACT_PORTS_KNOWN), "yes") != 0)
        add(check, FINDING_WARNING, "ports", "ss, which shows what listens", "install iproute2", "not there");
    for (size_t i = 0; i < ARRAY_SIZE(role_ports); i++) {
        unsigned port = role_ports[i].port ? role_ports[i].port : check->cluster->endpoint_port;
        if (has_role(check, role_ports[i].roles) && port)
            check_port(check, port, role_ports[i].program, role_ports[i].other);
    }
}

static void check_firewall(const struct check *check)
{
    static const char *const firewalls[] = {"ufw", "firewalld"};
    for (size_t i = 0; i < ARRAY_SIZE(firewalls); i++)
        if (fact_is_active(&check->report->facts, firewalls[i]))
            add(check, FINDING_WARNING, "firewall", "that the nodes reach each other",
                "let the cluster's ports through (6443, 2379, 2380, 10250 and those of the CNI)", "%s is active",
                firewalls[i]);
}

/* ---- what is there already ---- */

static bool is_ours(const struct check_authorities *authorities, const char *sha256)
{
    for (const char *const *own = authorities->sha256; own && *own; own++)
        if (strcmp(*own, sha256) == 0)
            return true;
    return false;
}

static void check_authorities(const struct check *check)
{
    const struct fact_rows *there = list_of(check, LIST_AUTHORITIES);
    for (size_t i = 0; i < there->count; i++) {
        const char *const *cells = there->rows[i].cells;
        if (!check->authorities->known)
            add(check, FINDING_WARNING, "cluster", "a host without a cluster, or this one's",
                "ask a service (--context, --server) whose CA this is", "a CA in %s, SHA-256 %.16s...", cells[0],
                cells[1]);
        else if (!is_ours(check->authorities, cells[1]))
            add(check, FINDING_ERROR, "cluster", "a host without a cluster, or this one's",
                "another cluster's node? If it is to be none any more: kubeadm reset, then remove the file",
                "another CA in %s, SHA-256 %.16s...", cells[0], cells[1]);
    }
}

/* Files of a cluster, but of no CA: what an interrupted bring-up or an incomplete clean-up leaves. */
static void check_remains(const struct check *check)
{
    if (list_of(check, LIST_BEGUN)->count > 0 || fact_find(&check->report->facts, LIST_REMAINS, ENSIGN_FOLDER))
        return; /* a bring-up of ours, which goes on */
    const struct fact_rows *remains = list_of(check, LIST_REMAINS);
    if (remains->count > 0 && list_of(check, LIST_AUTHORITIES)->count == 0)
        add(check, FINDING_ERROR, "cluster", "a host without a cluster, or a whole node",
            "half a cluster: kubeadm reset, and remove what is left there", "%s%s", remains->rows[0].cells[0],
            remains->count > 1 ? " and more" : "");
}

/* Its manifests lie aside, and its data may be half of one cluster and half of another. */
static void check_restore(const struct check *check)
{
    if (fact_find(&check->report->facts, LIST_BEGUN, "restore"))
        add(check, FINDING_ERROR, "etcd", "no restore that was begun",
            "run `ensign etcd snapshot restore` with the same file again: it goes on", "one that was not finished");
}

/* ---- all hosts together ---- */

/* What must be another on each host. */
static void check_unique(const struct check *check, const struct host_report *reports, size_t before, enum fact fact,
                         const char *name, const char *remedy)
{
    const char *text = text_of(check, fact);
    for (size_t i = 0; text[0] && i < before; i++)
        if (reports[i].answered && strcmp(reports[i].facts.texts[fact], text) == 0) {
            add(check, FINDING_ERROR, name, "another one on each host", remedy, "the same as %s: %s",
                reports[i].node->name, text);
            return;
        }
}

static bool same_authority(const struct host_facts *facts, const char *path, const char *sha256)
{
    const struct fact_row *row = fact_find(facts, LIST_AUTHORITIES, path);
    return !row || strcmp(row->cells[1], sha256) == 0;
}

/* What must be the same on each host that has it. */
static void check_common(const struct check *check, const struct host_report *reports, size_t before)
{
    const struct fact_rows *there = list_of(check, LIST_AUTHORITIES);
    for (size_t row = 0; row < there->count; row++)
        for (size_t i = 0; i < before; i++)
            if (reports[i].answered &&
                !same_authority(&reports[i].facts, there->rows[row].cells[0], there->rows[row].cells[1])) {
                add(check, FINDING_ERROR, "cluster", "the same CA on all hosts",
                    "these hosts are of different clusters: which is the right one?", "%s differs from %s's",
                    there->rows[row].cells[0], reports[i].node->name);
                break;
            }
}

static void check_host(const struct check *check)
{
    static void (*const checks[])(const struct check *) = {
        check_system, check_clock,     check_size,  check_disks,    check_swap,        check_modules, check_versions,
        check_name,   check_addresses, check_ports, check_firewall, check_authorities, check_remains, check_restore,
    };
    for (size_t i = 0; i < ARRAY_SIZE(checks); i++)
        checks[i](check);
}

enum err check_cluster(const struct cluster *cluster, bool force, struct findings *findings, struct fault *f)
{
    const struct check check = {.cluster = cluster, .findings = findings};
    for (size_t i = 0; i < cluster->warnings_count; i++) {
        const struct cluster_warning *warning = &cluster->warnings[i];
        bool refused = warning->needs_force && !force;
        add(&check, refused ? FINDING_ERROR : FINDING_WARNING, "cluster file", warning->wanted,
            refused ? "correct the cluster file, or say --force" : "correct the cluster file, or go on with that", "%s",
            warning->text);
    }
    return findings->failed ? fault_no_memory(f) : OK;
}

enum err check_hosts(const struct cluster *cluster, const struct host_report *reports, size_t count,
                     const struct check_authorities *authorities, struct findings *findings, struct fault *f)
{
    for (size_t i = 0; i < count; i++) {
        const struct check check = {cluster, &reports[i], authorities, findings};
        if (!reports[i].answered)
            continue;
        check_host(&check);
        check_unique(&check, reports, i, FACT_MACHINE_ID, "machine id",
                     "a copy of that machine? Remove /etc/machine-id, then systemd-machine-id-setup");
        check_unique(&check, reports, i, FACT_HOSTNAME, "host name", "are these two addresses of one host?");
        check_common(&check, reports, i);
    }
    return findings->failed ? fault_no_memory(f) : OK;
}
