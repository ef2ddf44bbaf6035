/* Faults: whatever others sent, quoted in them, and however short the line, the texts stay printable and valid UTF-8,
 * as JSON and logs need them. The input: the size of the line (u16), then texts, each ended by a NUL. */
#include <jansson.h>
#include <string.h>

#include "ca/base/pack.h"
#include "tests/fuzz/fuzz.h"

enum { LINE_MAX_SIZE = 4096 };

static void line_hold(const struct fault *f, size_t size)
{
    static char line[LINE_MAX_SIZE];
    memset(line, 'x', sizeof line);
    fault_line(f, line, size);
    HOLDS(strnlen(line, size) < size);
    json_t *text = json_string(line); /* NULL when it is not UTF-8 */
    HOLDS(text);
    json_decref(text);
}

/* Every second one is a section sign, as in our own texts. */
static void texts_add(struct fault *f, const char *text, const char *end)
{
    for (size_t i = 0; text < end; i++) {
        fault_reason(f, i & 1 ? text : "", i & 1 ? "%s" : "%s §§§§§§§§§§§§§§§§§§§§§§§§§§§§§§§§§§§§§§§§§§§§§§§§§", text);
        text += strlen(text) + 1;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct unpack in = unpack_begin(span(data, size));
    size_t line_size = 1 + unpack_u16(&in) % LINE_MAX_SIZE;
    struct fault *f = fuzz_fault();
    AUTO(bytes) texts = {0};
    if (in.failed)
        return 0;
    fuzz_must(bytes_copy(in.rest, &texts, f), f);
    enum err err = fault_set(f, CODE_INVALID, "%s (RFC 5280 §4)", bytes_text(&texts));
    texts_add(f, bytes_text(&texts), bytes_text(&texts) + texts.size);
    HOLDS(!fuzz_kept(err, f, NULL, 0));
    line_hold(f, line_size);
    return 0;
}

void fuzz_seeds(void)
{
    fuzz_seed(SPAN_OF("\0\x20text\0/pointer\0\xc2\xa7\xff\xc2"));
    fuzz_seed(SPAN_OF("\xff\xff"));
    for (uint8_t size = 0; size < 120; size++)
        fuzz_seed(SPAN_OF(((uint8_t[]){0, size, 'a', 0, 'b', 0})));
}
