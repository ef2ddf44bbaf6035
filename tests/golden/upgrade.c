/* upgrade CLUSTER-FILE VERSION: prints what an upgrade of that cluster to this version tells the hosts: the variables
 * of its steps and the files that come with them, of the first control plane, another one and a worker; of each file
 * the lines with versions, for the rest is as in rendered/. What is done is in client/bootstrap/upgrade.sh.
 * tests/golden/update keeps the output. */
#include "client/bootstrap/upgrade.h"

#include <stdio.h>
#include <string.h>

#include "client/bootstrap/step_files.h"

static void versions_print(const char *text)
{
    for (const char *line = text; *line; line += strcspn(line, "\n") + 1)
        if (strncmp(line, "apiVersion:", 11) == 0 || strncmp(line, "kubernetesVersion:", 18) == 0)
            printf("%.*s\n", (int)strcspn(line, "\n"), line);
}

static enum err node_print(const struct step_view *view, struct fault *f)
{
    AUTO(bytes) variables = {0};
    AUTO(step_files) files = {0};
    TRY(upgrade_variables(view->upgrade, view, view->node, &variables, f));
    TRY(step_files_make(view, &upgrade_kinds[UPGRADE_KUBEADM], &files, f));
    printf("######## to %s: %s\n%s", view->upgrade->text, view->node->name, bytes_text(&variables));
    for (size_t i = 0; i < files.count; i++) {
        printf("#### %s (%04o)\n", files.rows[i].path, files.rows[i].mode);
        versions_print(bytes_text(&files.rows[i].content));
    }
    return OK;
}

static enum err all_print(const char *path, const char *version, struct fault *f)
{
    static node_is *const kinds[] = {is_first_control_plane, is_further_control_plane, is_only_worker};
    CLEANUP(document_auto) struct document *document = NULL;
    AUTO(cluster) cluster = {0};
    AUTO(profiles) profiles = {0};
    AUTO(catalogue) catalogue = {0};
    struct upgrade upgrade = {.drain_seconds = 300};
    const struct materials materials = {0};
    const struct host_facts facts = {0};
    TRY(upgrade_version_read(version, &upgrade, f));
    TRY(document_load(path, &document, f));
    if (json_object_set_new(document_json(document), "kubernetesVersion", json_string(version)) != 0)
        return fault_no_memory(f);
    TRY(cluster_read(document, &cluster, f));
    TRY(profiles_shipped(&profiles, f));
    TRY(catalogue_make(&cluster, &profiles, &catalogue, f));
    for (size_t kind = 0; kind < ARRAY_SIZE(kinds); kind++)
        for (size_t i = 0; i < cluster.nodes_count; i++) {
            struct step_view view = {.catalogue = &catalogue,
                                     .node = &cluster.nodes[i],
                                     .facts = &facts,
                                     .materials = &materials,
                                     .kubernetes_version = upgrade.text,
                                     .upgrade = &upgrade};
            if (!kinds[kind](&cluster, view.node))
                continue;
            TRY(node_print(&view, f));
            break;
        }
    return OK;
}

int main(int count, char **arguments)
{
    struct fault f = {0};
    char line[4096];
    if (count != 3)
        return 2;
    if (all_print(arguments[1], arguments[2], &f) == OK)
        return 0;
    fault_line(&f, line, sizeof line);
    fprintf(stderr, "%s\n", line);
    return 1;
}
