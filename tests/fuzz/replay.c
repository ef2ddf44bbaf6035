/* replay.c: runs a harness over its seeds and over the files that are given, without libFuzzer.
 *
 *     replay-TARGET [FILE | FOLDER]…      files that end with .b64 are decoded first
 *     replay-TARGET --write FOLDER        writes the seeds to files instead */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ca/base/encode.h"
#include "tests/fuzz/fuzz.h"

static const char *write_folder;
static size_t inputs;

static void die(const char *path)
{
    fprintf(stderr, "%s: %s\n", path, strerror(errno));
    exit(1);
}

/* A copy of exactly its size, so that AddressSanitizer sees the first byte that is read behind it. */
static void input_run(struct span input)
{
    uint8_t *copy = malloc(input.size ? input.size : 1);
    if (!copy)
        die("malloc");
    if (input.size)
        memcpy(copy, input.data, input.size);
    LLVMFuzzerTestOneInput(copy, input.size);
    free(copy);
}

static void seed_visit(struct span input)
{
    inputs++;
    if (!write_folder) {
        input_run(input);
        return;
    }
    char path[4096];
    snprintf(path, sizeof path, "%s/seed-%03zu", write_folder, inputs);
    FILE *file = fopen(path, "we");
    if (!file || fwrite(input.data, 1, input.size, file) != input.size || fclose(file) != 0)
        die(path);
}

static void file_read(const char *path, struct bytes *ret_content)
{
    char buffer[65536];
    size_t got;
    FILE *file = fopen(path, "re");
    if (!file)
        die(path);
    while ((got = fread(buffer, 1, sizeof buffer, file)) > 0)
        bytes_append(ret_content, buffer, got);
    if (ferror(file))
        die(path);
    fclose(file);
}

static void lines_join(struct bytes *text)
{
    size_t size = 0;
    for (size_t i = 0; i < text->size; i++)
        if (text->data[i] != '\n')
            text->data[size++] = text->data[i];
    text->size = size;
}

static void file_run(const char *path)
{
    AUTO(bytes) content = {0}, decoded = {0};
    size_t size = strlen(path);
    file_read(path, &content);
    inputs++;
    if (size < 4 || strcmp(path + size - 4, ".b64") != 0) {
        input_run(bytes_span(&content));
        return;
    }
    lines_join(&content);
    fuzz_must(base64_decode(bytes_span(&content), &decoded, fuzz_fault()), fuzz_fault());
    input_run(bytes_span(&decoded));
}

static void path_run(const char *path)
{
    DIR *folder = opendir(path);
    if (!folder && errno == ENOTDIR) {
        file_run(path);
        return;
    }
    if (!folder)
        die(path);
    for (struct dirent *entry; (entry = readdir(folder));) {
        char file[4096];
        snprintf(file, sizeof file, "%s/%s", path, entry->d_name);
        if (entry->d_name[0] != '.')
            file_run(file);
    }
    closedir(folder);
}

int main(int count, char **arguments)
{
    bool writes = count == 3 && strcmp(arguments[1], "--write") == 0;
    write_folder = writes ? arguments[2] : NULL;
    fuzz_seed_visit = seed_visit;
    fuzz_seeds();
    for (int i = 1; i < count && !writes; i++)
        path_run(arguments[i]);
    printf("%zu inputs\n", inputs);
    return inputs == 0;
}
