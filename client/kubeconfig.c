#include "client/kubeconfig.h"

#include "ca/base/encode.h"
#include "ca/base/json_text.h"

/* A JSON string is a YAML 1.2 flow scalar, too: names like "yes" or "system:node:x" need no thought. */
static void text_line(struct bytes *out, const char *key, const char *text)
{
    bytes_append_text(out, key);
    if (!quoted_append(out, text, 0))
        out->failed = true;
    bytes_append_text(out, "\n");
}

/* "    client-key-data: base64" or "    client-key: path" */
static void file_line(struct bytes *out, const struct kubeconfig *kubeconfig, const char *key, struct span value)
{
    bytes_append_text(out, "    ");
    bytes_append_text(out, key);
    if (!kubeconfig->by_file) {
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
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        if (!printable(texts[i]))
            return fault_set(f, CODE_INVALID, "a kubeconfig needs a server, a cluster and a user in printable letters");
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
        if (paths[i].size == 0 || (kubeconfig->by_file && !printable(paths[i])))
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
    file_line(&out, kubeconfig, "certificate-authority", kubeconfig->bundle);
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
    file_line(&out, kubeconfig, "client-certificate", kubeconfig->certificate);
    file_line(&out, kubeconfig, "client-key", kubeconfig->key);
    return bytes_give(&out, ret_text, f);
}
