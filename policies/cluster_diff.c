#include "policies/cluster_diff.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "ca/base/document.h"
#include "policies/apiserver.h"
#include "policies/json.h"

enum { PATH_TEXT_SIZE = 2 * DNS_NAME_MAX + 192 }; /* of a node, and the name of a label with its prefix */

void cluster_diff_cleanup(struct cluster_diff *diff)
{
    json_decref(diff->changes);
    json_decref(diff->warnings);
}

/* ---- what cannot be changed ---- */

static void refusals_add(const struct cluster *before, const struct cluster *after, struct fault *f)
{
    static const char *const topologies[] = {[ETCD_EXTERNAL] = "external", [ETCD_STACKED] = "stacked"};
    if (strcmp(before->name, after->name) != 0)
        fault_reason(f, "/name", "this is cluster \"%s\", not \"%s\": `ensign cluster create` makes another one",
                     before->name, after->name);
    if (before->etcd_topology != after->etcd_topology)
        fault_reason(f, "/etcd/topology", "etcd of this cluster is %s: where it runs is not changed in place",
                     topologies[before->etcd_topology]);
    if (before->authority_algorithm != after->authority_algorithm)
        fault_reason(f, "/keys/authorities",
                     "the CAs of this cluster have keys of the kind %s: another kind is for new CAs",
                     key_algorithm_name(before->authority_algorithm));
}

/* ---- values ---- */

static void change_add(json_t **changes, const char *path, json_t *before, json_t *after)
{
    json_list_add(changes, json_pack("{s:s, s:O?, s:O?}", "path", path, "before", before, "after", after));
}

static void value_diff(const char *path, json_t *before, json_t *after, json_t **changes);

/* "path/key", where a '~' of the key is "~0" and a '/' "~1" (RFC 6901 section 3). */
static void path_append(const char *path, const char *key, char ret_path[PATH_TEXT_SIZE])
{
    size_t size = (size_t)snprintf(ret_path, PATH_TEXT_SIZE, "%s/", path);
    for (; *key && size + 3 <= PATH_TEXT_SIZE; key++) {
        if (*key == '~' || *key == '/')
            ret_path[size++] = '~';
        ret_path[size++] = (char)(*key == '~' ? '0' : *key == '/' ? '1' : *key);
    }
    ret_path[size] = '\0';
}

/* One member of two objects, either of which may be NULL. */
static void member_diff(const char *path, const char *key, json_t *before, json_t *after, json_t **changes)
{
    char inner[PATH_TEXT_SIZE];
    path_append(path, key, inner);
    value_diff(inner, json_object_get(before, key), json_object_get(after, key), changes);
}

/* Both have their members in order of key. */
static void object_diff(const char *path, json_t *before, json_t *after, json_t **changes)
{
    void *first = json_object_iter(before), *second = json_object_iter(after);
    while (first || second) {
        const char *a = first ? json_object_iter_key(first) : NULL, *b = second ? json_object_iter_key(second) : NULL;
        int order = !a ? 1 : !b ? -1 : strcmp(a, b);
        member_diff(path, order <= 0 ? a : b, before, after, changes);
        first = order <= 0 ? json_object_iter_next(before, first) : first;
        second = order >= 0 ? json_object_iter_next(after, second) : second;
    }
}

static void value_diff(const char *path, json_t *before, json_t *after, json_t **changes)
{
    if ((before || after) && (!before || json_is_object(before)) && (!after || json_is_object(after)))
        object_diff(path, before, after, changes);
    else if (!json_equal(before, after) && (before || after))
        change_add(changes, path, before, after);
}

/* ---- nodes ---- */

static json_t *node_value(const json_t *document, const struct cluster *cluster, const struct node_entry *node)
{
    return node ? json_array_get(json_object_get(document, "nodes"), (size_t)(node - cluster->nodes)) : NULL;
}

struct sides {
    const struct cluster *before, *after;
    json_t *before_document, *after_document;
};

static void node_diff(const struct sides *sides, const char *name, json_t **changes)
{
    json_t *before = node_value(sides->before_document, sides->before, cluster_node(sides->before, name));
    json_t *after = node_value(sides->after_document, sides->after, cluster_node(sides->after, name));
    char path[PATH_TEXT_SIZE];
    snprintf(path, sizeof path, "/nodes/%s", name);
    if (before && after)
        object_diff(path, before, after, changes);
    else
        change_add(changes, path, before, after);
}

static void nodes_diff(const struct sides *sides, json_t **changes)
{
    size_t i = 0, j = 0;
    while (i < sides->before->nodes_count || j < sides->after->nodes_count) {
        const char *a = i < sides->before->nodes_count ? sides->before->nodes_by_name[i]->name : NULL;
        const char *b = j < sides->after->nodes_count ? sides->after->nodes_by_name[j]->name : NULL;
        int order = !a ? 1 : !b ? -1 : strcmp(a, b);
        node_diff(sides, order <= 0 ? a : b, changes);
        i += order <= 0;
        j += order >= 0;
    }
}

/* ---- what to know ---- */

static void warn(json_t **warnings, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void warn(json_t **warnings, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    json_list_add(warnings, json_vsprintf(format, arguments));
    va_end(arguments);
}

static void version_warn(const struct cluster *before, const struct cluster *after, json_t **warnings)
{
    if (after->kubernetes_minor < before->kubernetes_minor)
        warn(warnings, "Kubernetes 1.%u after 1.%u: kubeadm takes no version back", after->kubernetes_minor,
             before->kubernetes_minor);
    if (after->kubernetes_minor > before->kubernetes_minor + 1)
        warn(warnings, "Kubernetes 1.%u after 1.%u: kubeadm upgrades by one minor version at a time",
             after->kubernetes_minor, before->kubernetes_minor);
}

static bool network_same(const struct network *a, const struct network *b)
{
    return a->prefix_bits == b->prefix_bits && a->base.size == b->base.size &&
           memcmp(a->base.data, b->base.data, a->base.size) == 0;
}

static void networking_warn(const struct cluster *before, const struct cluster *after, json_t **warnings)
{
    if (strcmp(before->dns_domain, after->dns_domain) != 0 ||
        !network_same(&before->service_subnet, &after->service_subnet) ||
        !network_same(&before->pod_subnet, &after->pod_subnet))
        warn(warnings, "the certificates follow `networking`; a cluster that runs on it does not");
}

static bool has_group(const struct cluster *cluster, const char *group)
{
    for (size_t i = 0; i < cluster->user_groups_count; i++)
        if (strcmp(cluster->user_groups[i], group) == 0)
            return true;
    return false;
}

static void removed_warn(const struct cluster *before, const struct cluster *after, json_t **warnings)
{
    size_t nodes = 0, groups = 0;
    for (size_t i = 0; i < before->nodes_count; i++)
        nodes += !cluster_node(after, before->nodes[i].name);
    for (size_t i = 0; i < before->user_groups_count; i++)
        groups += !has_group(after, before->user_groups[i]);
    if (nodes)
        warn(warnings, "what was issued for nodes that are removed (%zu) is valid in the cluster until it expires",
             nodes);
    if (groups)
        warn(warnings, "users who have certificates with groups that are removed (%zu) keep them until they expire",
             groups);
}

/* Whoever still goes by the endpoint of before has to find it in the certificates. */
static void endpoint_warn(const struct cluster *before, const struct cluster *after, json_t **warnings)
{
    const char *host = before->endpoint_host;
    struct address address;
    struct fault ignored = {0};
    AUTO(alternative_names) names = {0};
    if (!host[0] || apiserver_names_add(after, cluster_first_control_plane(after), &names, &ignored) != OK)
        return;
    bool has = address_parse(host, &address, &ignored) == OK ? alternative_names_has_address(&names, &address)
                                                             : alternative_names_has_dns(&names, host);
    if (!has)
        warn(
            warnings,
            "who still connects to %s is refused as soon as the API servers have their new certificates: to change the "
            "endpoint without that, keep it in apiServer.certSANs until nobody does",
            host);
}

static void warnings_add(const struct cluster *before, const struct cluster *after, json_t **warnings)
{
    const struct node_entry *first = cluster_first_control_plane(after);
    version_warn(before, after, warnings);
    networking_warn(before, after, warnings);
    removed_warn(before, after, warnings);
    endpoint_warn(before, after, warnings);
    if (before->authority_lifetime_seconds != after->authority_lifetime_seconds)
        warn(warnings, "the CAs that exist keep their end: lifetimes.authorities is for new ones");
    if (before->has_recovery &&
        (!after->has_recovery || memcmp(before->recovery_key, after->recovery_key, sizeof before->recovery_key) != 0))
        warn(warnings, "the recovery key before this one can open what was sealed for it");
    if (strcmp(cluster_first_control_plane(before)->name, first->name) != 0)
        warn(warnings, "the first control plane, where kubeadm init runs, is now \"%s\"", first->name);
}

/* ---- the whole ---- */

static void json_auto(json_t **json)
{
    json_decref(*json);
}

static enum err document_take(const struct cluster *cluster, json_t **ret_document, json_t **ret_rest, struct fault *f)
{
    json_error_t error;
    CLEANUP(json_auto)
    json_t *document = json_load_whole(bytes_span(&cluster->document), JSON_REJECT_DUPLICATES, &error);
    CLEANUP(json_auto) json_t *rest = json_copy(document);
    if (!document || !rest)
        return fault_no_memory(f);
    json_object_del(rest, "nodes");
    *ret_document = TAKE(document);
    *ret_rest = TAKE(rest);
    return OK;
}

enum err cluster_diff(const struct cluster *before, const struct cluster *after, struct cluster_diff *ret_diff,
                      struct fault *f)
{
    refusals_add(before, after, f);
    TRY(fault_if_reasons(f, CODE_INVALID, "cluster \"%s\" cannot be changed in this way", before->name));
    CLEANUP(json_auto) json_t *before_document = NULL, *before_rest = NULL, *after_document = NULL, *after_rest = NULL;
    TRY(document_take(before, &before_document, &before_rest, f));
    TRY(document_take(after, &after_document, &after_rest, f));
    AUTO(cluster_diff) diff = {json_array(), json_array()};
    object_diff("", before_rest, after_rest, &diff.changes);
    nodes_diff(&(struct sides){before, after, before_document, after_document}, &diff.changes);
    warnings_add(before, after, &diff.warnings);
    if (!diff.changes || !diff.warnings)
        return fault_no_memory(f);
    *ret_diff = diff;
    diff = (struct cluster_diff){0};
    return OK;
}
