#include "client/text.h"

#include <string.h>

static bool unreserved(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c && strchr("-._~", c));
}

void percent_append(struct bytes *out, const char *text)
{
    for (; *text; text++)
        if (unreserved(*text))
            bytes_append(out, text, 1);
        else
            bytes_appendf(out, "%%%02X", (unsigned char)*text);
}

void query_append(struct bytes *path, const char *name, const char *value)
{
    if (!value)
        return;
    bytes_appendf(path, "%s%s=", strchr(bytes_text(path), '?') ? "&" : "?", name);
    percent_append(path, value);
}

void printable(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            *text = '?';
}

void json_cleanup(json_t **json)
{
    json_decref(*json);
}

bool json_add_texts(json_t *object, const char *key, const char *const *texts, size_t count)
{
    CLEANUP(json_cleanup) json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        if (json_array_append_new(list, json_string(texts[i])) != 0)
            return false;
    return object && (count == 0 || json_object_set(object, key, list) == 0);
}
