/* Certification requests as they come, DER and PEM: what is accepted, OpenSSL accepts, too. Most changes break the
 * signature; request_signed.c gets behind it. */
#include "ca/x509/request.h"

#include <openssl/x509.h>
#include <string.h>

#include "ca/base/encode.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/x509/fixture.h"

AUTO_POINTER(X509_REQ, X509_REQ_free)

static void openssl_agrees(struct span der)
{
    const uint8_t *end = der.data;
    CLEANUP(X509_REQ_auto) X509_REQ *request = d2i_X509_REQ(NULL, &end, (long)der.size);
    HOLDS(request && end == der.data + der.size);
    HOLDS(X509_REQ_verify(request, X509_REQ_get0_pubkey(request)) == 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct request request;
    struct fault *f = fuzz_fault();
    fuzz_fresh(&request, sizeof request);
    if (fuzz_kept(request_parse_pem(span(data, size), &request, f), f, &request, sizeof request))
        request_cleanup(&request);
    f = fuzz_fault();
    fuzz_fresh(&request, sizeof request);
    if (!fuzz_kept(request_parse(span(data, size), &request, f), f, &request, sizeof request))
        return 0;
    HOLDS(size <= REQUEST_SIZE_MAX && request.excess_count <= REQUEST_EXCESS_MAX);
    openssl_agrees(span(data, size));
    AUTO(bytes) pem = {0};
    AUTO(request) again = {0};
    pem_append(&pem, "CERTIFICATE REQUEST", span(data, size));
    fuzz_must(request_parse_pem(bytes_span(&pem), &again, fuzz_fault()), fuzz_fault());
    HOLDS(span_equal(bytes_span(&again.der), span(data, size)));
    request_cleanup(&request);
    return 0;
}

void fuzz_seeds(void)
{
    AUTO(certificate_content) content;
    leaf_content(&content);
    for (enum key_algorithm i = KEY_ECDSA_P256; i <= KEY_RSA_2048; i++) {
        AUTO(bytes) der = {0}, pem = {0};
        expect(request_make(test_key(i), &content.subject, &content.names, &der, &fault), OK);
        pem_append(&pem, "NEW CERTIFICATE REQUEST", bytes_span(&der));
        fuzz_seed(bytes_span(&der));
        fuzz_seed(bytes_span(&pem));
    }
    fuzz_seed_text("-----BEGIN CERTIFICATE REQUEST-----\nMAA=\n-----END CERTIFICATE REQUEST-----\n");
}
