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
