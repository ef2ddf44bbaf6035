/* The outer form of requests and certificates: what is read is written again as the same bytes, and its parts are
 * parts of the input. */
#include "ca/x509/der.h"

#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/x509.h"

static bool within(struct span whole, struct span part)
{
    return part.data >= whole.data && part.size <= whole.size &&
           (size_t)(part.data - whole.data) <= whole.size - part.size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = span(data, size);
    struct signed_object object;
    uint8_t serial[SERIAL_SIZE];
    struct fault *f = fuzz_fault();
    fuzz_fresh(serial, sizeof serial);
    bool has_serial = fuzz_kept(certificate_serial(input, serial, f), f, serial, sizeof serial);
    if (!signed_object_decode(input, &object)) {
        HOLDS(!has_serial);
        return 0;
    }
    AUTO(bytes) again = {0};
    signed_object_append(&again, &object);
    HOLDS(span_equal(bytes_span(&again), input));
    HOLDS(within(input, object.body) && within(input, object.algorithm) && within(input, object.signature));
    return 0;
}

void fuzz_seeds(void)
{
    certificates_each(fuzz_seed);
    fuzz_seed(SPAN_OF(((uint8_t[]){0x30, 8, 0x30, 0, 0x30, 0, 3, 2, 0, 1})));
    fuzz_seed(SPAN_OF(((uint8_t[]){0x30, 7, 0x30, 0, 0x30, 0, 3, 1, 0})));
}
