#include "ca/base/pack.h"

#include <string.h>

static void pack_integer(struct bytes *out, uint64_t value, size_t size)
{
    uint8_t buffer[8];
    for (size_t i = 0; i < size; i++)
        buffer[i] = (uint8_t)(value >> (8 * (size - 1 - i)));
    bytes_append(out, buffer, size);
}

void pack_u8(struct bytes *out, uint8_t value)
{
    pack_integer(out, value, 1);
}

void pack_u16(struct bytes *out, uint16_t value)
{
    pack_integer(out, value, 2);
}

void pack_u32(struct bytes *out, uint32_t value)
{
    pack_integer(out, value, 4);
}

void pack_u64(struct bytes *out, uint64_t value)
{
    pack_integer(out, value, 8);
}

void pack_i64(struct bytes *out, int64_t value)
{
    pack_integer(out, (uint64_t)value, 8);
}

void pack_fixed(struct bytes *out, struct span value)
{
    bytes_append_span(out, value);
}

void pack_span(struct bytes *out, struct span value)
{
    if (value.size > UINT32_MAX) {
        out->failed = true;
        return;
    }
    pack_u32(out, (uint32_t)value.size);
    bytes_append_span(out, value);
}

void pack_text(struct bytes *out, const char *text)
{
    pack_span(out, span_text(text));
}

/* The next `size` bytes; empty and failed when there are fewer. */
static struct span unpack_take(struct unpack *in, size_t size)
{
    if (in->failed || in->rest.size < size) {
        in->failed = true;
        return span(NULL, 0);
    }
    struct span taken = span(in->rest.data, size);
    in->rest = span(in->rest.data + size, in->rest.size - size);
    return taken;
}

static uint64_t unpack_integer(struct unpack *in, size_t size)
{
    struct span taken = unpack_take(in, size);
    uint64_t value = 0;
    for (size_t i = 0; i < taken.size; i++)
        value = value << 8 | taken.data[i];
    return value;
}

uint8_t unpack_u8(struct unpack *in)
{
    return (uint8_t)unpack_integer(in, 1);
}

uint16_t unpack_u16(struct unpack *in)
{
    return (uint16_t)unpack_integer(in, 2);
}

uint32_t unpack_u32(struct unpack *in)
{
    return (uint32_t)unpack_integer(in, 4);
}

uint64_t unpack_u64(struct unpack *in)
{
    return unpack_integer(in, 8);
}

int64_t unpack_i64(struct unpack *in)
{
    return (int64_t)unpack_integer(in, 8);
}

void unpack_fixed(struct unpack *in, void *ret_value, size_t size)
{
    struct span taken = unpack_take(in, size);
    memset(ret_value, 0, size);
    if (taken.size)
        memcpy(ret_value, taken.data, size);
}

struct span unpack_span(struct unpack *in)
{
    return unpack_take(in, unpack_u32(in));
}

void unpack_text(struct unpack *in, char *ret_text, size_t size)
{
    struct span text = unpack_span(in);
    ret_text[0] = '\0';
    if (text.size >= size || (text.size && memchr(text.data, 0, text.size))) {
        in->failed = true;
        return;
    }
    if (text.size)
        memcpy(ret_text, text.data, text.size);
    ret_text[text.size] = '\0';
}

enum err unpack_finish(const struct unpack *in, const char *what, struct fault *f)
{
    if (in->failed)
        return fault_set(f, CODE_DAMAGED, "%s is cut short or damaged", what);
    if (in->rest.size)
        return fault_set(f, CODE_DAMAGED, "%s has %zu bytes too many", what, in->rest.size);
    return OK;
}
