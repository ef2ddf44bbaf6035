/* CRLs: what is read is what crl_build() makes of it, and OpenSSL reads the same. */
#include "ca/x509/crl.h"

#include <openssl/x509.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/x509.h"

AUTO_POINTER(X509_CRL, X509_CRL_free)

static void openssl_agrees(const struct crl *crl, struct span draft)
{
    AUTO(bytes) der = {0};
    struct fault *f = fuzz_fault();
    fuzz_must(certificate_assemble(draft, KEY_ECDSA_P256, SPAN_OF("signature"), &der, f), f);
    const uint8_t *end = der.data;
    CLEANUP(X509_CRL_auto) X509_CRL *read = d2i_X509_CRL(NULL, &end, (long)der.size);
    if (!read)
        return; /* issuer and algorithm are copied without a look: lint_crl() compares them */
    STACK_OF(X509_REVOKED) *list = X509_CRL_get_REVOKED(read);
    HOLDS((list ? (size_t)sk_X509_REVOKED_num(list) : 0) == crl->entries_count);
    for (size_t i = 0; i < crl->entries_count; i++) {
        const ASN1_INTEGER *serial = X509_REVOKED_get0_serialNumber(sk_X509_REVOKED_value(list, (int)i));
        HOLDS(ASN1_STRING_length(serial) == SERIAL_SIZE);
        HOLDS(memcmp(ASN1_STRING_get0_data(serial), crl->entries[i].serial, SERIAL_SIZE) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct crl crl;
    AUTO(bytes) again = {0};
    struct fault *f = fuzz_fault();
    fuzz_fresh(&crl, sizeof crl);
    if (!fuzz_kept(crl_parse(span(data, size), &crl, f), f, &crl, sizeof crl))
        return 0;
    fuzz_must(crl_build(&crl, &again, f), f);
    HOLDS(span_equal(bytes_span(&again), span(data, size)));
    for (size_t i = 0; i < crl.entries_count; i++)
        HOLDS(crl_find(&crl, crl.entries[i].serial) == &crl.entries[i]);
    openssl_agrees(&crl, span(data, size));
    crl_cleanup(&crl);
    return 0;
}

static void seed(struct span der)
{
    AUTO(draft) leaf = {0};
    struct fault *f = fuzz_fault();
    fuzz_must(draft_parse(der, &leaf, f), f);
    struct crl_entry entries[] = {{.serial = {1}, .revoked_at = 1, .reason = 1},
                                  {.serial = {2}, .revoked_at = INT64_C(2600000000)}};
    struct crl crl = {.signature_algorithm = leaf.signature_algorithm,
                      .issuer_name = leaf.issuer_name,
                      .number = 300,
                      .this_update = 1800000000,
                      .next_update = INT64_C(2600000000),
                      .entries = entries};
    for (; crl.entries_count <= ARRAY_SIZE(entries); crl.entries_count++) {
        AUTO(bytes) draft = {0};
        fuzz_must(crl_build(&crl, &draft, f), f);
        fuzz_seed(bytes_span(&draft));
    }
}

void fuzz_seeds(void)
{
    drafts_each(seed);
}
