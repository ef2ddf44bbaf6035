/* openapi_embed INPUT.yaml OUTPUT.c: run by the build. Makes the document JSON, and part of the program; a document
 * that our strict reader refuses fails the build. */
#include <stdio.h>
#include <stdlib.h>

#include "ca/base/document.h"

static enum err document_text(const char *path, char **ret_text, struct fault *f)
{
    CLEANUP(document_auto) struct document *document = NULL;
    TRY(document_load(path, &document, f));
    *ret_text = json_dumps(document_json(document), JSON_COMPACT);
    return *ret_text ? OK : fault_no_memory(f);
}

static enum err table_write(const char *path, const char *text, struct fault *f)
{
    FILE *out = fopen(path, "w");
    if (!out)
        return fault_errno(f, "%s", path);
    fprintf(out, "#include \"server/openapi.h\"\n\nconst unsigned char openapi_json[] = {");
    size_t size = 0;
    for (; text[size]; size++)
        fprintf(out, "%s%u,", size % 24 ? "" : "\n    ", (unsigned char)text[size]);
    fprintf(out, "\n};\n\nconst size_t openapi_json_size = %zu;\n", size);
    return fclose(out) == 0 ? OK : fault_errno(f, "%s", path);
}

static enum err text_write(const char *path, const char *text, struct fault *f)
{
    FILE *out = fopen(path, "w");
    if (!out)
        return fault_errno(f, "%s", path);
    fputs(text, out);
    return fclose(out) == 0 ? OK : fault_errno(f, "%s", path);
}

int main(int argc, char **argv)
{
    struct fault fault = {0};
    char *text = NULL, line[2048];
    if (argc != 4)
        return 2;
    enum err err = document_text(argv[1], &text, &fault);
    if (err == OK)
        err = table_write(argv[2], text, &fault);
    if (err == OK)
        err = text_write(argv[3], text, &fault);
    free(text);
    if (err == OK)
        return 0;
    fault_line(&fault, line, sizeof line);
    fprintf(stderr, "%s: %s\n", argv[1], line);
    return 1;
}
