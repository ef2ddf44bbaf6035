#include "client/kubeconfig.h"

#include "ca/base/encode.h"
#include "ca/base/json_text.h"
#include "client/files.h"

/* A JSON string is a YAML 1.2 flow scalar, too: names like "yes" or "system:node:x" need no thought. */
static void text_line(struct bytes *out, const char *key, const char *text)
{
    bytes_append_text(out, key);
    if (!quoted_append(out, text, 0))
        out->failed = true;
    bytes_append_text(out, "\n");
}

/* "    client-key-data: base64" or "    client-key: path" */
static void file_line(struct bytes *out, bool by_file, const char *key, struct span value)
{
    bytes_append_text(out, "    ");
    bytes_append_text(out, key);
    if (!by_file) {
        bytes_append_text(out, "-data: ");
        base64_append(out, value);
        bytes_append_text(out, "\n");
        return;
    }
    AUTO(bytes) path = {0};
    bytes_append_span(&path, value);
    text_line(out, ": ", bytes_text(&path));
}

static bool printable(struct span text)
{
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] < 0x20 || text.data[i] == 0x7f)
            return false;
    return text.size > 0;
}

static enum err kubeconfig_check(const struct kubeconfig *kubeconfig, struct fault *f)
{
    const struct span texts[] = {span_text(kubeconfig->server), span_text(kubeconfig->cluster),
                                 span_text(kubeconfig->user)};
    const struct span paths[] = {kubeconfig->bundle, kubeconfig->certificate, kubeconfig->key};
    const bool by_file[] = {kubeconfig->bundle_by_file, kubeconfig->by_file, kubeconfig->by_file};
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        if (!printable(texts[i]))
            return fault_set(f, CODE_INVALID, "a kubeconfig needs a server, a cluster and a user in printable letters");
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
        if (paths[i].size == 0 || (by_file[i] && !printable(paths[i])))
            return fault_set(f, CODE_INVALID, "a kubeconfig needs a CA bundle, a certificate and a key");
    return OK;
}

enum err kubeconfig_write(const struct kubeconfig *kubeconfig, struct bytes *ret_text, struct fault *f)
{
    TRY(kubeconfig_check(kubeconfig, f));
    AUTO(bytes) context = {0};
    struct bytes out = {0};
    bytes_appendf(&context, "%s@%s", kubeconfig->user, kubeconfig->cluster);
    TRY(bytes_check(&context, f));
    bytes_append_text(&out, "apiVersion: v1\nclusters:\n- cluster:\n");
    file_line(&out, kubeconfig->bundle_by_file, "certificate-authority", kubeconfig->bundle);
    text_line(&out, "    server: ", kubeconfig->server);
    text_line(&out, "  name: ", kubeconfig->cluster);
    bytes_append_text(&out, "contexts:\n- context:\n");
    text_line(&out, "    cluster: ", kubeconfig->cluster);
    text_line(&out, "    user: ", kubeconfig->user);
    text_line(&out, "  name: ", bytes_text(&context));
    text_line(&out, "current-context: ", bytes_text(&context));
    bytes_append_text(&out, "kind: Config\npreferences: {}\nusers:\n");
    text_line(&out, "- name: ", kubeconfig->user);
    bytes_append_text(&out, "  user:\n");
    file_line(&out, kubeconfig->by_file, "client-certificate", kubeconfig->certificate);
    file_line(&out, kubeconfig->by_file, "client-key", kubeconfig->key);
    return bytes_give(&out, ret_text, f);
}

/* ---- reading ---- */

/* The one item of a list of the root, and what it has in a member. */
struct entry {
    struct node list, item, content;
    const char *name;
};

static void entry_read(const struct node *root, const char *list, const char *member, struct entry *entry)
{
    entry->list = node_get(root, list);
    if (node_count(&entry->list, NODE_REQUIRED, 1) != 1)
        node_error(&entry->list, "one is expected here");
    entry->item = node_at(&entry->list, 0);
    entry->content = node_get(&entry->item, member);
    struct node name = node_get(&entry->item, "name");
    node_string(&name, NODE_REQUIRED, &entry->name);
}

static void data_read(const struct node *object, const char *key, struct bytes *ret_data)
{
    struct node node = node_get(object, key);
    struct fault why = {0};
    const char *text;
    if (node_string(&node, NODE_REQUIRED, &text) && base64_decode(span_text(text), ret_data, &why) != OK)
        node_error(&node, "%s", why.text);
}

enum err kubeconfig_read(struct span text, struct kubeconfig_content *ret_content, struct fault *f)
{
    AUTO(kubeconfig_content) content = {0};
    TRY(document_parse(text, "kubeconfig", &content.document, f));
    struct node root = document_root(content.document, f);
    struct entry cluster = {0}, context = {0}, user = {0};
    entry_read(&root, "clusters", "cluster", &cluster);
    entry_read(&root, "contexts", "context", &context);
    entry_read(&root, "users", "user", &user);
    struct node server = node_get(&cluster.content, "server");
    node_string(&server, NODE_REQUIRED, &content.server);
    data_read(&cluster.content, "certificate-authority-data", &content.bundle);
    data_read(&user.content, "client-certificate-data", &content.certificate);
    data_read(&user.content, "client-key-data", &content.key);
    TRY(fault_if_reasons(f, CODE_INVALID, "this is not a kubeconfig of one user with everything embedded"));
    content.cluster = cluster.name;
    content.user = user.name;
    *ret_content = content;
    content = (struct kubeconfig_content){0};
    return OK;
}

void kubeconfig_content_cleanup(struct kubeconfig_content *content)
{
    document_free(content->document);
    bytes_free(&content->bundle);
    bytes_free(&content->certificate);
    secret_cleanup(&content->key);
}
