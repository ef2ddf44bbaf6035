/* catalogue CLUSTER-FILE KUBERNETES-VERSION: prints the catalogue of that cluster as if it had that version, an item a
 * line. tests/golden/update keeps the output. */
#include "policies/catalogue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum err catalogue_load(const char *path, const char *version, json_t **ret_json, struct fault *f)
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
    *ret_json = catalogue_json(&catalogue);
    return *ret_json ? OK : fault_no_memory(f);
}

static void text_print(const char *before, const json_t *json)
{
    char *text = json_dumps(json, JSON_ENCODE_ANY);
    if (!text)
        abort();
    printf("%s%s", before, text);
    free(text);
}

static void catalogue_print(const json_t *catalogue)
{
    static const char *const members[] = {"cluster", "kubernetes", "kubeadm_api"};
    const json_t *items = json_object_get(catalogue, "items");
    for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
        printf("%s\"%s\": ", i ? ",\n " : "{", members[i]);
        text_print("", json_object_get(catalogue, members[i]));
    }
    printf(",\n \"items\": [");
    for (size_t i = 0; i < json_array_size(items); i++)
        text_print(i ? ",\n  " : "\n  ", json_array_get(items, i));
    printf("\n]}\n");
}

int main(int count, char **arguments)
{
    struct fault f = {0};
    json_auto_t *json = NULL;
    char line[4096];
    if (count != 3)
        return 2;
    if (catalogue_load(arguments[1], arguments[2], &json, &f) != OK) {
        fault_line(&f, line, sizeof line);
        fprintf(stderr, "%s\n", line);
        return 1;
    }
    catalogue_print(json);
    return 0;
}
