/* The control: a harness that breaks on one input, which the fuzzer and the replay must find. */
#include <string.h>

#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    HOLDS(size < 4 || memcmp(data, "bug!", 4) != 0);
    return 0;
}

void fuzz_seeds(void)
{
    fuzz_seed_text("seed");
}
