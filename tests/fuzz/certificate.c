/* A certificate that is read is put together again from its parts, and OpenSSL reads the same. */
#include <openssl/x509v3.h>
#include <string.h>

#include "ca/base/encode.h"
#include "ca/x509/der.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/x509.h"

AUTO_POINTER(X509, X509_free)

static void openssl_agrees(const struct certificate *certificate)
{
    struct span der = bytes_span(&certificate->der);
    const uint8_t *end = der.data;
    CLEANUP(X509_auto) X509 *x509 = d2i_X509(NULL, &end, (long)der.size);
    HOLDS(x509 && end == der.data + der.size);
    const ASN1_INTEGER *serial = X509_get0_serialNumber(x509);
    struct span value = der_string(serial);
    HOLDS(value.size <= SERIAL_SIZE &&
          span_equal(value, span(certificate->body.serial + SERIAL_SIZE - value.size, value.size)));
    HOLDS((X509_check_ca(x509) == 1) == certificate->body.content.authority);
    HOLDS(X509_get_key_usage(x509) != UINT32_MAX && X509_get_pathlen(x509) == -1);
}

static void certificate_hold(const struct certificate *certificate, struct span der)
{
    AUTO(bytes) again = {0};
    uint8_t serial[SERIAL_SIZE];
    struct fault *f = fuzz_fault();
    struct signed_object object = {certificate->body_der, certificate->body.signature_algorithm,
                                   certificate->signature};
    signed_object_append(&again, &object);
    HOLDS(span_equal(bytes_span(&again), der) && span_equal(bytes_span(&certificate->der), der));
    draft_rebuild(&certificate->body, certificate->body_der);
    if (certificate_serial(der, serial, f) == OK)
        HOLDS(memcmp(serial, certificate->body.serial, SERIAL_SIZE) == 0);
    openssl_agrees(certificate);
    f = fuzz_fault();
    fuzz_kept(certificate_check_issuer(certificate, certificate, certificate->body.content.not_before, f), f, NULL, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct certificate certificate;
    struct fault *f = fuzz_fault();
    fuzz_fresh(&certificate, sizeof certificate);
    if (!fuzz_kept(certificate_parse(span(data, size), &certificate, f), f, &certificate, sizeof certificate))
        return 0;
    certificate_hold(&certificate, span(data, size));
    AUTO(bytes) pem = {0};
    AUTO(certificate) again = {0};
    pem_append(&pem, "CERTIFICATE", span(data, size));
    fuzz_must(certificate_parse_pem(bytes_span(&pem), &again, fuzz_fault()), fuzz_fault());
    HOLDS(memcmp(again.sha256, certificate.sha256, SHA256_SIZE) == 0);
    certificate_cleanup(&certificate);
    return 0;
}

void fuzz_seeds(void)
{
    certificates_each(fuzz_seed);
}
