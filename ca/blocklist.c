#include "ca/blocklist.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ca/base/encode.h"

static int hash_compare(const void *a, const void *b)
{
    return memcmp(a, b, SHA256_SIZE);
}

static enum err hash_add(struct blocklist *blocklist, const uint8_t hash[SHA256_SIZE], struct fault *f)
{
    if (blocklist->count == blocklist->capacity) {
        size_t capacity = blocklist->capacity * 2 + 64;
        uint8_t(*items)[SHA256_SIZE] = realloc(blocklist->items, capacity * sizeof *items);
        if (!items)
            return fault_no_memory(f);
        blocklist->items = items;
        blocklist->capacity = capacity;
    }
    memcpy(blocklist->items[blocklist->count++], hash, SHA256_SIZE);
    return OK;
}

/* One line, without its end. */
static enum err line_read(struct blocklist *blocklist, const char *line, const char *where, struct fault *f)
{
    char text[2 * SHA256_SIZE + 2];
    uint8_t hash[SHA256_SIZE];
    struct fault fault = {0};
    size_t blank = strspn(line, " \t"), size = strcspn(line + blank, " \t\r#");
    if (size == 0 && (line[blank] == '\0' || line[blank] == '#' || line[blank] == '\r'))
        return OK;
    snprintf(text, sizeof text, "%.*s", (int)(size < sizeof text ? size : sizeof text - 1), line + blank);
    const char *rest = line + blank + size;
    rest += strspn(rest, " \t\r");
    if (hex_decode(text, hash, sizeof hash, &fault) == OK && (*rest == '\0' || *rest == '#'))
        return hash_add(blocklist, hash, f);
    fault_reason(f, where, "expected 64 hexadecimal digits, the SHA-256 of a SubjectPublicKeyInfo");
    return OK;
}

enum err blocklist_parse(struct span text, const char *name, struct blocklist *ret_blocklist, struct fault *f)
{
    AUTO(blocklist) blocklist = {0};
    AUTO(bytes) copy = {0};
    TRY(bytes_copy(text, &copy, f));
    char *rest = copy.size ? (char *)copy.data : NULL;
    for (size_t number = 1; rest; number++) {
        char where[160];
        const char *line = strsep(&rest, "\n");
        snprintf(where, sizeof where, "%.100s:%zu:1", name, number);
        TRY(line_read(&blocklist, line, where, f));
    }
    TRY(fault_if_reasons(f, CODE_INVALID, "%s is not a valid list of blocked keys", name));
    if (blocklist.count)
        qsort(blocklist.items, blocklist.count, sizeof *blocklist.items, hash_compare);
    *ret_blocklist = blocklist;
    blocklist = (struct blocklist){0};
    return OK;
}

enum err blocklist_load(const char *path, struct blocklist *ret_blocklist, struct fault *f)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return fault_errno(f, "cannot open %s", path);
    AUTO(bytes) text = {0};
    char buffer[4096];
    size_t got;
    while ((got = fread(buffer, 1, sizeof buffer, file)) > 0)
        bytes_append(&text, buffer, got);
    bool failed = ferror(file);
    fclose(file);
    if (failed)
        return fault_set(f, CODE_IO, "cannot read %s", path);
    TRY(bytes_check(&text, f));
    const char *slash = strrchr(path, '/');
    return blocklist_parse(bytes_span(&text), slash ? slash + 1 : path, ret_blocklist, f);
}

enum err blocklist_check(const struct blocklist *blocklist, const struct public_key *key, struct fault *f)
{
    if (blocklist->count &&
        bsearch(key->spki_sha256, blocklist->items, blocklist->count, sizeof *blocklist->items, hash_compare))
        return fault_set(f, CODE_WEAK_KEY, "this public key is on the service's list of blocked keys: make a new key");
    return OK;
}

void blocklist_cleanup(struct blocklist *blocklist)
{
    free(blocklist->items);
}
