#include <ctype.h>
#include <string.h>

#include "client/commands.h"
#include "client/files.h"
#include "client/pki_folder.h"
#include "client/text.h"
#include "client/user.h"
#include "policies/cluster.h"

static const struct column list_columns[] = {
    {"NAME", "name", false},
    {"KUBERNETES", "document.kubernetesVersion", false},
    {"ENDPOINT", "document.controlPlaneEndpoint", true},
};
static const struct column show_columns[] = {
    {"NAME", "name", false},
    {"KUBERNETES", "document.kubernetesVersion", false},
    {"ENDPOINT", "document.controlPlaneEndpoint", false},
    {"ETCD", "document.etcd.topology", false},
    {"NODES", "document.nodes", false},
    {"AUTHORITIES", "authorities", false},
};

enum err document_read(const char *path, struct document **ret_document, struct fault *f)
{
    AUTO(bytes) text = {0};
    TRY(file_read(path, &text, f));
    return document_parse(bytes_span(&text), strcmp(path, "-") == 0 ? "standard input" : path, ret_document, f);
}

static void warnings_print(const struct document *answer)
{
    const json_t *warnings = json_object_get(document_json(answer), "warnings");
    for (size_t i = 0; i < json_array_size(warnings); i++) {
        const char *text = json_string_value(json_array_get(warnings, i));
        if (text)
            message("warning: %s", text);
    }
}

enum err cluster_create(const struct arguments *arguments, struct fault *f)
{
    CLEANUP(document_auto) struct document *document = NULL;
    AUTO(cluster) cluster = {0};
    TRY(document_read(arguments->values[OPTION_FILE], &document, f));
    TRY(cluster_read(document, &cluster, f)); /* names file, line and column, which the service cannot */
    AUTO(session) session = {0};
    TRY(session_open(arguments, &session, f));
    CLEANUP(json_cleanup) json_t *body = json_pack("{s:O}", "cluster", document_json(document));
    if (!body)
        return fault_no_memory(f);
    CLEANUP(document_auto) struct document *answer = NULL;
    TRY(api_json(session.api, "POST", "/v1/clusters", body, &answer, f));
    warnings_print(answer);
    const struct output output = {session.format, show_columns, ARRAY_SIZE(show_columns)};
    return output_object(&output, document_json(answer), f);
}

/* ---- update ---- */

static const struct column change_columns[] = {
    {"CHANGE", "path", false},
    {"BEFORE", "before", false},
    {"AFTER", "after", false},
};

/* In a cell: lists with commas, what a node has beside its name with blanks. */
static void value_text(const json_t *value, struct bytes *out)
{
    const char *key;
    json_t *item;
    size_t i;
    json_array_foreach((json_t *)value, i, item)
    {
        bytes_append_text(out, i ? "," : "");
        value_text(item, out);
    }
    json_object_foreach((json_t *)value, key, item)
    {
        if (strcmp(key, "name") == 0)
            continue;
        bytes_append_text(out, out->size ? " " : "");
        value_text(item, out);
    }
    if (json_is_string(value))
        bytes_append_text(out, json_string_value(value));
}

static enum err change_row(json_t *change, const char *side, struct fault *f)
{
    AUTO(bytes) text = {0};
    value_text(json_object_get(change, side), &text);
    TRY(bytes_check(&text, f));
    return json_object_set_new(change, side, json_string(bytes_text(&text))) == 0 ? OK : fault_no_memory(f);
}

/* The list of changes for a table. */
static enum err changes_print(const struct output *output, json_t *changes, struct fault *f)
{
    CLEANUP(json_cleanup) json_t *list = json_pack("{s:O}", "items", changes);
    if (!list)
        return fault_no_memory(f);
    for (size_t i = 0; i < json_array_size(changes); i++) {
        TRY(change_row(json_array_get(changes, i), "before", f));
        TRY(change_row(json_array_get(changes, i), "after", f));
    }
    return output_list(output, list, f);
}

/* dry_run_tag  of what a dry run was about, in quotes; else NULL */
static enum err update_print(const struct session *session, const struct document *answer, const char *dry_run_tag,
                             struct fault *f)
{
    const struct output output = {session->format, change_columns, ARRAY_SIZE(change_columns)};
    json_t *json = document_json(answer), *changes = json_object_get(json, "changes");
    const char *name = json_string_value(json_object_get(json, "name"));
    if (!name || !json_is_array(changes))
        return fault_set(f, CODE_UNTRUSTED, "the service's answer is not what the API promises: the update");
    warnings_print(answer);
    if (dry_run_tag)
        message("cluster %s is as it was (--dry-run); to change it only while it is: --if-match %.*s", name,
                (int)strcspn(dry_run_tag + 1, "\""), dry_run_tag + 1);
    else if (!json_is_true(json_object_get(json, "updated")))
        message("cluster %s has this file already", name);
    if (session->format == OUTPUT_JSON || session->format == OUTPUT_YAML)
        return output_object(&output, json, f);
    return json_array_size(changes) == 0 ? OK : changes_print(&output, changes, f);
}

/* What the cluster has to be like: as it is now, unless the option says. In the header it stands in quotes, which a
 * shell would take away. */
static enum err update_tag(const struct session *session, const char *path, const char *option, struct bytes *ret_tag,
                           struct fault *f)
{
    CLEANUP(document_auto) struct document *now = NULL;
    AUTO(bytes) tag = {0};
    if (!option)
        return api_json_tagged(session->api, path, &now, ret_tag, f);
    for (const char *at = option; *at; at++)
        if (!isalnum((unsigned char)*at))
            return fault_set(f, CODE_USAGE, "--if-match takes what --dry-run says, without quotes");
    bytes_appendf(&tag, "\"%s\"", option);
    return bytes_give(&tag, ret_tag, f);
}

enum err cluster_update(const struct arguments *arguments, struct fault *f)
{
    CLEANUP(document_auto) struct document *document = NULL, *answer = NULL;
    AUTO(cluster) cluster = {0};
    AUTO(session) session = {0};
    AUTO(bytes) path = {0};
    AUTO(bytes) tag = {0};
    bool dry_run = arguments->values[OPTION_DRY_RUN] != NULL;
    TRY(document_read(arguments->values[OPTION_FILE], &document, f));
    TRY(cluster_read(document, &cluster, f));
    TRY(session_open(arguments, &session, f));
    cluster_path(&path, cluster.name, "");
    TRY(bytes_check(&path, f));
    CLEANUP(json_cleanup)
    json_t *body = json_pack("{s:O, s:b}", "cluster", document_json(document), "dry_run", dry_run);
    if (!body)
        return fault_no_memory(f);
    TRY(update_tag(&session, bytes_text(&path), arguments->values[OPTION_IF_MATCH], &tag, f));
    TRY(api_json_match(session.api, bytes_text(&path), bytes_text(&tag), body, &answer, f));
    return update_print(&session, answer, dry_run ? bytes_text(&tag) : NULL, f);
}

/* ---- adopt ---- */

static const struct column found_columns[] = {
    {"FILE", "file", false},           {"SUBJECT", "subject", false},     {"ISSUER", "issuer", false},
    {"NOT AFTER", "not_after", false}, {"AUTHORITY", "authority", false}, {"SERIAL", "serial", true},
    {"SHA-256", "sha256", true},
};

struct adoption {
    struct pki_authority authorities[PKI_AUTHORITIES];
    struct import imports[PKI_AUTHORITIES];
    size_t count;
    json_t *found; /* certificates of leaves */
};

static void adoption_cleanup(struct adoption *adoption)
{
    for (size_t i = 0; i < adoption->count; i++)
        import_cleanup(&adoption->imports[i]);
    json_decref(adoption->found);
}

static enum err adoption_read(const struct arguments *arguments, struct adoption *adoption, struct fault *f)
{
    const struct pki_folder folder = {arguments->values[OPTION_PKI], arguments->values[OPTION_ETCD_PKI]};
    bool generate = arguments->values[OPTION_GENERATE_MISSING] != NULL;
    TRY(pki_authorities(&folder, generate, adoption->authorities, &adoption->count, f));
    for (size_t i = 0; i < adoption->count; i++)
        TRY(import_read(adoption->authorities[i].certificate, adoption->authorities[i].key,
                        arguments->values[OPTION_PASSPHRASE_FILE], &adoption->imports[i], f));
    return pki_certificates(&folder, adoption->authorities, adoption->imports, adoption->count, &adoption->found, f);
}

/* What the service is told of a leaf: enough to recognise it. */
static json_t *found_json(const json_t *found)
{
    json_t *list = json_array(), *item;
    size_t i;
    json_array_foreach(found, i, item)
    {
        json_t *copy = json_copy(item);
        json_object_del(copy, "subject");
        json_object_del(copy, "issuer");
        json_object_del(copy, "not_after");
        json_array_append_new(list, copy);
    }
    return list;
}

static enum err adoption_body(const struct document *cluster, struct adoption *adoption, bool generate,
                              json_t **ret_body, struct fault *f)
{
    json_t *authorities = json_array();
    for (size_t i = 0; i < adoption->count; i++)
        json_array_append_new(authorities, import_json(&adoption->imports[i], adoption->authorities[i].name));
    *ret_body = json_pack("{sO s{so sb so}}", "cluster", document_json(cluster), "adopt", "authorities", authorities,
                          "generate_missing", generate, "certificates", found_json(adoption->found));
    return *ret_body && json_array_size(authorities) == adoption->count ? OK : fault_no_memory(f);
}

static void adopted_print(const struct adoption *adoption, const char *cluster)
{
    for (size_t i = 0; i < adoption->count; i++)
        message("cluster %s has the CA %s of %s", cluster, adoption->authorities[i].name,
                adoption->authorities[i].certificate);
    if (json_array_size(adoption->found) == PKI_CERTIFICATES_MAX)
        message("warning: there may be more than these %d certificates", PKI_CERTIFICATES_MAX);
}

enum err cluster_adopt(const struct arguments *arguments, struct fault *f)
{
    CLEANUP(document_auto) struct document *document = NULL, *answer = NULL;
    AUTO(cluster) cluster = {0};
    AUTO(adoption) adoption = {0};
    TRY(document_read(arguments->values[OPTION_FILE], &document, f));
    TRY(cluster_read(document, &cluster, f));
    TRY(adoption_read(arguments, &adoption, f));
    AUTO(session) session = {0};
    TRY(session_open(arguments, &session, f));
    CLEANUP(json_cleanup) json_t *body = NULL;
    TRY(adoption_body(document, &adoption, arguments->values[OPTION_GENERATE_MISSING] != NULL, &body, f));
    TRY(import_post(&session, "/v1/clusters", body, adoption.imports, adoption.count, &answer, f));
    warnings_print(answer);
    adopted_print(&adoption, cluster.name);
    CLEANUP(json_cleanup) json_t *list = json_pack("{sO}", "items", adoption.found);
    if (!list)
        return fault_no_memory(f);
    const struct output output = {session.format, found_columns, ARRAY_SIZE(found_columns)};
    return output_list(&output, list, f);
}

/* ---- list, show ---- */

enum err cluster_list(const struct arguments *arguments, struct fault *f)
{
    AUTO(session) session = {0};
    TRY(session_open(arguments, &session, f));
    const struct output output = {session.format, list_columns, ARRAY_SIZE(list_columns)};
    return session_show_list(&session, "/v1/clusters", &output, f);
}

enum err cluster_show(const struct arguments *arguments, struct fault *f)
{
    AUTO(session) session = {0};
    TRY(session_open(arguments, &session, f));
    AUTO(bytes) path = {0};
    cluster_path(&path, arguments->operands[0], "");
    TRY(bytes_check(&path, f));
    const struct output output = {session.format, show_columns, ARRAY_SIZE(show_columns)};
    return session_show(&session, bytes_text(&path), &output, f);
}

enum err cluster_kubeconfig(const struct arguments *arguments, struct fault *f)
{
    const char *name = arguments->values[OPTION_USER];
    AUTO(session) session = {0};
    TRY(session_open(arguments, &session, f));
    const struct user_wish wish = {.cluster = arguments->operands[0],
                                   .profile = "cluster-admin",
                                   .name = name ? name : "kubernetes-admin",
                                   .lifetime_seconds = option_seconds(arguments, OPTION_LIFETIME, 0),
                                   .path = arguments->values[OPTION_KUBECONFIG]};
    return user_kubeconfig(&session, &wish, f);
}

enum err cluster_release_lease(const struct arguments *arguments, struct fault *f)
{
    static const struct column columns[] = {{"GROUP", "group", false}, {"STATE", "state", false}};
    AUTO(session) session = {0};
    TRY(session_open(arguments, &session, f));
    AUTO(bytes) path = {0};
    cluster_path(&path, arguments->operands[0], "/leases/");
    percent_append(&path, arguments->operands[1]);
    bytes_append_text(&path, "/release");
    TRY(bytes_check(&path, f));
    CLEANUP(json_cleanup) json_t *body = json_pack("{s:b}", "healthy", 1);
    CLEANUP(document_auto) struct document *answer = NULL;
    if (!body)
        return fault_no_memory(f);
    TRY(api_json(session.api, "POST", bytes_text(&path), body, &answer, f));
    const struct output output = {session.format, columns, ARRAY_SIZE(columns)};
    return output_object(&output, document_json(answer), f);
}
