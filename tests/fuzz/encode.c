/* Text forms of bytes, of times and of durations: what was written is read again, and what is read is canonical. */
#include "ca/base/encode.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "ca/base/pack.h"
#include "tests/fuzz/fuzz.h"

static void base64_hold(struct span input, void (*append)(struct bytes *, struct span),
                        enum err (*decode)(struct span, struct bytes *, struct fault *))
{
    AUTO(bytes) text = {0}, again = {0}, same = {0};
    struct bytes data;
    append(&text, input);
    fuzz_must(decode(bytes_span(&text), &same, fuzz_fault()), fuzz_fault());
    HOLDS(span_equal(bytes_span(&same), input));
    struct fault *f = fuzz_fault();
    fuzz_fresh(&data, sizeof data);
    if (!fuzz_kept(decode(input, &data, f), f, &data, sizeof data))
        return;
    append(&again, bytes_span(&data));
    HOLDS(span_equal(bytes_span(&again), input));
    bytes_free(&data);
}

static void hex_hold(const char *text)
{
    uint8_t data[32];
    char again[2 * sizeof data + 1];
    struct fault *f = fuzz_fault();
    size_t size = strlen(text) / 2 % (sizeof data + 1);
    fuzz_fresh(data, sizeof data);
    if (!fuzz_kept(hex_decode(text, data, size, f), f, data, sizeof data))
        return;
    hex_text(span(data, size), again, sizeof again);
    HOLDS(strcasecmp(again, text) == 0);
}

static void duration_hold(const char *text)
{
    int64_t seconds, again = 0;
    char shortest[DURATION_TEXT_SIZE];
    struct fault *f = fuzz_fault();
    fuzz_fresh(&seconds, sizeof seconds);
    if (!fuzz_kept(duration_parse(text, &seconds, f), f, &seconds, sizeof seconds))
        return;
    duration_text(seconds, shortest);
    fuzz_must(duration_parse(shortest, &again, f), f);
    HOLDS(seconds > 0 && again == seconds);
}

/* Of any number, as a damaged row may hold; of one within four digits of a year it is RFC 3339. */
static void time_hold(struct span input)
{
    struct unpack in = unpack_begin(input);
    int64_t seconds = unpack_i64(&in);
    char text[TIME_TEXT_SIZE];
    struct tm utc = {0};
    memset(text, 1, sizeof text);
    time_text(seconds, text);
    HOLDS(memchr(text, 0, sizeof text) && strspn(text, "-0123456789:TZ s") == strlen(text) && *text);
    if (seconds >= 0 && seconds < INT64_C(253402300800)) {
        const char *end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &utc);
        HOLDS(end && !*end && timegm(&utc) == seconds);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = span(data, size);
    AUTO(bytes) text = {0};
    fuzz_must(bytes_copy(input, &text, fuzz_fault()), fuzz_fault());
    base64_hold(input, base64_append, base64_decode);
    base64_hold(input, base64url_append, base64url_decode);
    hex_hold(bytes_text(&text));
    duration_hold(bytes_text(&text));
    time_hold(input);
    return 0;
}

void fuzz_seeds(void)
{
    static const char *const texts[] = {"",       "Zm9vYmFy", "Zm9vYg==", "_-8",
                                        "+/8=",   "0aF9",     "8760h",    "90s",
                                        "36600d", "10m",      "AAAA",     "\xff\xff\xff\xff\xff\xff\xff\xff"};
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        fuzz_seed_text(texts[i]);
    fuzz_seed(SPAN_OF(((uint8_t[]){0, 0, 0, 0, 0x6b, 0x49, 0xd2, 0})));
    fuzz_seed(SPAN_OF(((uint8_t[]){0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})));
    fuzz_seed(SPAN_OF(((uint8_t[]){0x80, 0, 0, 0, 0, 0, 0, 0})));
}
