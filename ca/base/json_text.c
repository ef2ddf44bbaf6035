#include "ca/base/json_text.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "ca/base/encode.h"

/* Whether JSON takes the text as it is. */
static bool text_is_plain(const char *text)
{
    for (; *text; text++)
        if (*text < ' ' || *text > '~' || *text == '"' || *text == '\\')
            return false;
    return true;
}

/* Nearly all texts are plain; the others pay for jansson. */
bool quoted_append(struct bytes *out, const char *text, size_t flags)
{
    if (text_is_plain(text)) {
        bytes_append(out, "\"", 1);
        bytes_append_text(out, text);
        bytes_append(out, "\"", 1);
        return true;
    }
    json_t *string = json_string(text);
    char *dump = string ? json_dumps(string, JSON_ENCODE_ANY | flags) : NULL;
    if (dump)
        bytes_append_text(out, dump);
    free(dump);
    json_decref(string);
    return dump != NULL;
}

void element_begin(struct bytes *out)
{
    uint8_t last = out->size ? out->data[out->size - 1] : '{';
    if (last != '{' && last != '[')
        bytes_append(out, ",", 1);
}

void element_string(struct bytes *out, const char *text)
{
    element_begin(out);
    if (!quoted_append(out, text, 0))
        out->failed = true;
}

void member_begin(struct bytes *out, const char *name)
{
    element_begin(out);
    bytes_append(out, "\"", 1);
    bytes_append_text(out, name);
    bytes_append(out, "\":", 2);
}

void member_string(struct bytes *out, const char *name, const char *text)
{
    member_begin(out, name);
    if (!quoted_append(out, text, 0))
        out->failed = true;
}

void member_string_or_null(struct bytes *out, const char *name, const char *text)
{
    if (text && *text) {
        member_string(out, name, text);
        return;
    }
    member_begin(out, name);
    bytes_append_text(out, "null");
}

void member_hex(struct bytes *out, const char *name, struct span data)
{
    member_begin(out, name);
    bytes_append(out, "\"", 1);
    hex_append(out, data);
    bytes_append(out, "\"", 1);
}

void member_time(struct bytes *out, const char *name, int64_t seconds)
{
    char text[TIME_TEXT_SIZE];
    time_text(seconds, text);
    member_string(out, name, text);
}

void member_integer(struct bytes *out, const char *name, int64_t number)
{
    member_begin(out, name);
    bytes_appendf(out, "%lld", (long long)number);
}
