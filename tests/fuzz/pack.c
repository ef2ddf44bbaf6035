/* The binary form: a list of operations, each packed and unpacked in the same order, gives the same values; and any
 * bytes are unpacked within their bounds. The input is the operations and their values. */
#include "ca/base/pack.h"

#include <string.h>

#include "tests/fuzz/fuzz.h"

enum { OPERATIONS_MAX = 64, TEXT_MAX = 40 };

/* Reads one value from `in` and writes it to out. */
static void value_copy(uint8_t operation, struct unpack *in, struct bytes *out)
{
    char text[TEXT_MAX];
    uint8_t fixed[7];
    switch (operation % 8) {
    case 0:
        pack_u8(out, unpack_u8(in));
        break;
    case 1:
        pack_u16(out, unpack_u16(in));
        break;
    case 2:
        pack_u32(out, unpack_u32(in));
        break;
    case 3:
        pack_u64(out, unpack_u64(in));
        break;
    case 4:
        pack_i64(out, unpack_i64(in));
        break;
    case 5:
        unpack_fixed(in, fixed, sizeof fixed);
        pack_fixed(out, SPAN_OF(fixed));
        break;
    case 6:
        pack_span(out, unpack_span(in));
        break;
    default:
        unpack_text(in, text, sizeof text);
        HOLDS(memchr(text, 0, sizeof text));
        pack_text(out, text);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span values = span(data, size);
    size_t count = fuzz_choice(&values, OPERATIONS_MAX);
    if (values.size < count)
        return 0;
    const uint8_t *operations = values.data;
    values = span(values.data + count, values.size - count);
    struct unpack in = unpack_begin(values);
    AUTO(bytes) out = {0};
    for (size_t i = 0; i < count && !in.failed; i++)
        value_copy(operations[i], &in, &out);
    struct fault *f = fuzz_fault();
    enum err err = unpack_finish(&in, "input", f);
    fuzz_kept(err, f, NULL, 0);
    HOLDS((err == OK) == (!in.failed && in.rest.size == 0));
    if (!in.failed)
        HOLDS(span_equal(bytes_span(&out), span(values.data, values.size - in.rest.size)));
    return 0;
}

void fuzz_seeds(void)
{
    fuzz_seed(SPAN_OF("\x08\0\1\2\3\4\5\6\7a"
                      "bbcccc"
                      "dddddddd"
                      "eeeeeeee"
                      "fffffff"
                      "\0\0\0\3ggg"
                      "\0\0\0\2hh"));
    fuzz_seed(SPAN_OF("\2\6\7\xff\xff\xff\xff"));
    fuzz_seed(SPAN_OF("\1\7\0\0\0\5a\0b"));
}
