#include "ca/base/span.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct span span_text(const char *text)
{
    return span(text, strlen(text));
}

bool span_equal(struct span a, struct span b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

int span_compare(struct span a, struct span b)
{
    size_t shorter = a.size < b.size ? a.size : b.size;
    int order = shorter ? memcmp(a.data, b.data, shorter) : 0;
    return order ? order : (a.size > b.size) - (a.size < b.size);
}

bool span_starts(struct span whole, struct span prefix)
{
    return whole.size >= prefix.size && span_equal(span(whole.data, prefix.size), prefix);
}

const char *bytes_text(const struct bytes *b)
{
    return b->data ? (const char *)b->data : "";
}

enum { BYTES_MIN = 64 };

/* Room for `more` bytes and the NUL. */
static bool bytes_reserve(struct bytes *b, size_t more)
{
    if (b->failed || more >= SIZE_MAX / 4 - b->size) {
        b->failed = true;
        return false;
    }
    if (b->size + more < b->capacity)
        return true;
    size_t capacity = (b->size + more) * 2 + BYTES_MIN;
    uint8_t *data = realloc(b->data, capacity);
    if (!data) {
        b->failed = true;
        return false;
    }
    b->data = data;
    b->capacity = capacity;
    return true;
}

void bytes_append(struct bytes *b, const void *data, size_t size)
{
    if (!bytes_reserve(b, size))
        return;
    if (size)
        memcpy(b->data + b->size, data, size);
    b->size += size;
    b->data[b->size] = 0;
}

void bytes_append_span(struct bytes *b, struct span data)
{
    bytes_append(b, data.data, data.size);
}

void bytes_append_text(struct bytes *b, const char *text)
{
    bytes_append(b, text, strlen(text));
}

void bytes_appendf(struct bytes *b, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    size_t room = b->capacity - b->size;
    int size = vsnprintf(room ? (char *)b->data + b->size : NULL, room, format, arguments);
    va_end(arguments);
    if (size < 0)
        return;
    bool fits = (size_t)size < room;
    if (!bytes_reserve(b, (size_t)size)) {
        if (room)
            b->data[b->size] = 0; /* not the beginning of what did not fit */
        return;
    }
    if (!fits) {
        va_start(arguments, format);
        vsnprintf((char *)b->data + b->size, (size_t)size + 1, format, arguments);
        va_end(arguments);
    }
    b->size += (size_t)size;
}

enum err bytes_check(const struct bytes *b, struct fault *f)
{
    return b->failed ? fault_no_memory(f) : OK;
}

enum err bytes_give(struct bytes *take_b, struct bytes *ret_b, struct fault *f)
{
    struct bytes given = *take_b;
    *take_b = (struct bytes){0};
    if (given.failed) {
        bytes_free(&given);
        return fault_no_memory(f);
    }
    *ret_b = given;
    return OK;
}

enum err bytes_copy(struct span source, struct bytes *ret_copy, struct fault *f)
{
    struct bytes copy = {0};
    bytes_append_span(&copy, source);
    TRY(bytes_check(&copy, f));
    *ret_copy = copy;
    return OK;
}

void bytes_clear(struct bytes *b)
{
    b->size = 0;
    if (b->data)
        b->data[0] = 0;
}

void bytes_free(struct bytes *b)
{
    free(b->data);
    *b = (struct bytes){0};
}

void bytes_cleanup(struct bytes *b)
{
    bytes_free(b);
}
