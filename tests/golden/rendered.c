/* rendered CLUSTER-FILE KUBERNETES-VERSION [token] [crl] [before-init]: prints the files of all nodes of that cluster
 * as if it had that version, as [{node, path, mode, text}], or gives the texts of what the words say, too: secrets are
 * fixed. tests/golden/update keeps the output; tests/e2e/rendered.py gives it to the programs that read it. */
#include "client/render/files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policies/json.h"

#define TOKEN "abcdef.0123456789abcdef"
#define PIN "sha256:0000000000000000000000000000000000000000000000000000000000000000"

static json_t *files;

static enum err node_print(const struct render *render, struct fault *f)
{
    const struct cluster *cluster = render_cluster(render);
    for (const struct render_file *file = render_files; file->path; file++) {
        AUTO(bytes) text = {0};
        char mode[8];
        if (!file->applies(cluster, render->node))
            continue;
        TRY(file->render(render, &text, f));
        snprintf(mode, sizeof mode, "%04o", file->mode);
        json_list_add(&files, json_pack("{ss ss ss ss}", "node", render->node->name, "path", file->path, "mode", mode,
                                        "text", bytes_text(&text)));
    }
    return OK;
}

static bool word_given(char **words, const char *word)
{
    while (*words && strcmp(*words, word) != 0)
        words++;
    return *words;
}

static enum err all_print(const char *path, const char *version, char **words, struct fault *f)
{
    CLEANUP(document_auto) struct document *document = NULL;
    AUTO(cluster) cluster = {0};
    AUTO(profiles) profiles = {0};
    AUTO(catalogue) catalogue = {0};
    TRY(document_load(path, &document, f));
    if (json_object_set_new(document_json(document), "kubernetesVersion", json_string(version)) != 0)
        return fault_no_memory(f);
    TRY(cluster_read(document, &cluster, f));
    TRY(profiles_shipped(&profiles, f));
    TRY(catalogue_make(&cluster, &profiles, &catalogue, f));
    for (size_t i = 0; i < cluster.nodes_count; i++) {
        const struct render render = {.catalogue = &catalogue,
                                      .node = &cluster.nodes[i],
                                      .bootstrap_token = word_given(words, "token") ? TOKEN : NULL,
                                      .ca_pin = PIN,
                                      .vrrp_password = "halyard8",
                                      .etcd_has_crl = word_given(words, "crl"),
                                      .before_init = word_given(words, "before-init")};
        TRY(node_print(&render, f));
    }
    return OK;
}

int main(int count, char **arguments)
{
    struct fault f = {0};
    char line[4096];
    if (count < 3)
        return 2;
    files = json_array();
    if (all_print(arguments[1], arguments[2], arguments + 3, &f) != OK) {
        fault_line(&f, line, sizeof line);
        fprintf(stderr, "%s\n", line);
        return 1;
    }
    if (json_dumpf(files, stdout, JSON_INDENT(1)) != 0)
        abort();
    json_decref(files);
    return 0;
}
