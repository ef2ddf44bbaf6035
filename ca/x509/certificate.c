#include "ca/x509/certificate.h"

#include <sodium.h>
#include <string.h>

#include "ca/base/encode.h"
#include "ca/x509/der.h"

void certificate_cleanup(struct certificate *certificate)
{
    draft_cleanup(&certificate->body);
    bytes_free(&certificate->der);
}

typedef enum err body_parse(struct span der, struct draft *ret_draft, struct fault *f);

static enum err certificate_read(struct span der, body_parse *parse, struct certificate *ret_certificate,
                                 struct fault *f)
{
    AUTO(certificate) certificate = {0};
    TRY(bytes_copy(der, &certificate.der, f));
    struct span whole = bytes_span(&certificate.der);
    struct signed_object object;
    if (!signed_object_decode(whole, &object))
        return fault_set(f, CODE_MALFORMED, "not a certificate in DER (RFC 5280 §4.1)");
    TRY(parse(object.body, &certificate.body, f));
    if (!span_equal(object.algorithm, certificate.body.signature_algorithm))
        return fault_set(f, CODE_MALFORMED, "a certificate with two signature algorithms (RFC 5280 §4.1.1.2)");
    TRY(public_key_read(certificate.body.spki, &certificate.public_key, f));
    certificate.body_der = object.body;
    certificate.signature = object.signature;
    crypto_hash_sha256(certificate.sha256, whole.data, whole.size);
    *ret_certificate = certificate;
    certificate = (struct certificate){0};
    return OK;
}

enum err certificate_parse(struct span der, struct certificate *ret_certificate, struct fault *f)
{
    return certificate_read(der, draft_parse, ret_certificate, f);
}

enum err certificate_parse_authority(struct span der, struct certificate *ret_certificate, struct fault *f)
{
    return certificate_read(der, draft_parse_authority, ret_certificate, f);
}

enum err certificate_serial(struct span der, uint8_t ret_serial[SERIAL_SIZE], struct fault *f)
{
    static const uint8_t before[] = {0xa0, 3, 2, 1, 2, V_ASN1_INTEGER, SERIAL_SIZE}; /* [0] version 3; serial */
    struct signed_object object;
    long size = 0;
    int tag, class;
    if (signed_object_decode(der, &object)) {
        const unsigned char *at = object.body.data;
        ASN1_get_object(&at, &size, &tag, &class, (long)object.body.size);
        struct span content = span(at, (size_t)size);
        if (span_starts(content, SPAN_OF(before)) && content.size > sizeof before + SERIAL_SIZE) {
            memcpy(ret_serial, at + sizeof before, SERIAL_SIZE);
            return OK;
        }
    }
    return fault_set(f, CODE_MALFORMED, "not a certificate with a serial of %d bytes", SERIAL_SIZE);
}

enum err certificate_parse_pem(struct span pem, struct certificate *ret_certificate, struct fault *f)
{
    AUTO(bytes) der = {0};
    TRY(pem_decode(pem, "CERTIFICATE", &der, f));
    return certificate_parse(bytes_span(&der), ret_certificate, f);
}

static void validity_judge(const struct certificate *certificate, const char *whose, int64_t now, struct fault *f)
{
    char time[TIME_TEXT_SIZE];
    if (now < certificate->body.content.not_before) {
        time_text(certificate->body.content.not_before, time);
        fault_reason(f, "/validity/notBefore", "%s is not valid before %s", whose, time);
    }
    if (now > certificate->body.content.not_after) {
        time_text(certificate->body.content.not_after, time);
        fault_reason(f, "/validity/notAfter", "%s expired at %s", whose, time);
    }
}

/* A self-signed CA has no authority key identifier; every other certificate has one. */
static bool key_identifier_matches(const struct draft *draft, const struct draft *issuer)
{
    const uint8_t *identifier =
        draft->has_authority_key_identifier ? draft->authority_key_identifier : draft->subject_key_identifier;
    return memcmp(identifier, issuer->subject_key_identifier, KEY_IDENTIFIER_SIZE) == 0;
}

enum err certificate_check_issuer(const struct certificate *certificate, const struct certificate *issuer, int64_t now,
                                  struct fault *f)
{
    if (!span_equal(issuer->body.subject_name, certificate->body.issuer_name))
        fault_reason(f, "/issuer", "the certificate names another issuer");
    if (!issuer->body.content.authority || !(issuer->body.content.key_usage & USAGE_KEY_CERT_SIGN))
        fault_reason(f, "/issuer", "the issuer is not a CA (RFC 5280 §4.2.1.9)");
    if (!key_identifier_matches(&certificate->body, &issuer->body))
        fault_reason(f, "/authorityKeyIdentifier", "the certificate names another key of the issuer");
    if (public_key_verify(&issuer->public_key, certificate->body.signature_algorithm, certificate->body_der,
                          certificate->signature, f) != OK)
        fault_reason(f, "/signature", "the certificate is not signed by the issuer");
    validity_judge(certificate, "the certificate", now, f);
    validity_judge(issuer, "the issuer", now, f);
    return fault_if_reasons(f, CODE_UNTRUSTED, "the certificate is not a valid one of this CA (RFC 5280 §6.1)");
}
