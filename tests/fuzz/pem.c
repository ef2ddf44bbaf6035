/* PEM: every block that is read is written and read again, and reading comes to an end. */
#include <string.h>

#include "ca/base/encode.h"
#include "tests/fuzz/fuzz.h"

static void block_hold(const char *label, struct span der)
{
    char label_again[PEM_LABEL_SIZE];
    AUTO(bytes) text = {0}, der_again = {0}, only = {0};
    pem_append(&text, label, der);
    struct span rest = bytes_span(&text);
    fuzz_must(pem_next(&rest, label_again, &der_again, fuzz_fault()), fuzz_fault());
    HOLDS(strcmp(label, label_again) == 0 && span_equal(bytes_span(&der_again), der));
    fuzz_must(pem_decode(bytes_span(&text), label, &only, fuzz_fault()), fuzz_fault());
    HOLDS(span_equal(bytes_span(&only), der));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span rest = span(data, size);
    struct bytes der;
    struct fault *f = fuzz_fault();
    fuzz_fresh(&der, sizeof der);
    if (fuzz_kept(pem_decode(rest, "CERTIFICATE", &der, f), f, &der, sizeof der))
        bytes_free(&der);
    for (;;) {
        char label[PEM_LABEL_SIZE];
        struct span before = rest;
        f = fuzz_fault();
        fuzz_fresh(&der, sizeof der);
        fuzz_fresh(label, sizeof label);
        enum err err = pem_next(&rest, label, &der, f);
        if (!fuzz_kept(err, f, &der, sizeof der)) {
            HOLDS(fuzz_kept(err, f, label, sizeof label) == false);
            HOLDS(rest.data == before.data && rest.size == before.size);
            return 0;
        }
        HOLDS(der.size > 0 && rest.size < before.size && rest.data + rest.size == data + size);
        block_hold(label, bytes_span(&der));
        bytes_free(&der);
    }
}

void fuzz_seeds(void)
{
    fuzz_seed_text("-----BEGIN CERTIFICATE-----\nMAMCAQA=\n-----END CERTIFICATE-----\n");
    fuzz_seed_text(
        "text before\n-----BEGIN A-----\r\nMA==\r\n-----END A-----\n-----BEGIN B-----\nMAA=\n-----END B-----");
    fuzz_seed_text("-----BEGIN X-----\nProc-Type: 4,ENCRYPTED\n\nMAA=\n-----END X-----\n");
    fuzz_seed_text("-----BEGIN CERTIFICATE REQUEST-----\nMAA=\n");
    fuzz_seed_text("-----BEGIN -----BEGIN A-----\n\n-----END A-----\n");
}
