/* The signer's last look: the input is a grant (packed) and a draft. What passes is, read by OpenSSL alone, a leaf of
 * this CA within the grant. */
#include "hsm/lint.h"

#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

#include "ca/x509/der.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/x509.h"

AUTO_POINTER(X509, X509_free)

static int64_t seconds_of(const ASN1_TIME *time)
{
    struct tm utc;
    HOLDS(ASN1_TIME_to_tm(time, &utc) == 1);
    return timegm(&utc);
}

static bool issuer_matches(X509 *x509, const struct grant *grant)
{
    const uint8_t *name = NULL;
    size_t size = 0;
    return X509_NAME_get0_der(X509_get_issuer_name(x509), &name, &size) == 1 &&
           span_equal(span(name, size), bytes_span(&grant->issuer_name));
}

static void openssl_agrees(const struct grant *grant, struct span draft)
{
    AUTO(bytes) der = {0};
    struct fault *f = fuzz_fault();
    fuzz_must(certificate_assemble(draft, grant->algorithm, SPAN_OF("signature"), &der, f), f);
    const uint8_t *end = der.data;
    CLEANUP(X509_auto) X509 *x509 = d2i_X509(NULL, &end, (long)der.size);
    HOLDS(x509 && X509_check_ca(x509) == 0 && issuer_matches(x509, grant));
    HOLDS(!(X509_get_key_usage(x509) & (KU_KEY_CERT_SIGN | KU_CRL_SIGN)));
    uint32_t allowed = (grant->extended_key_usage & EXTENDED_SERVER_AUTH ? XKU_SSL_SERVER : 0U) |
                       (grant->extended_key_usage & EXTENDED_CLIENT_AUTH ? XKU_SSL_CLIENT : 0U);
    HOLDS(!(X509_get_extended_key_usage(x509) & ~allowed));
    int64_t from = seconds_of(X509_get0_notBefore(x509)), to = seconds_of(X509_get0_notAfter(x509));
    HOLDS(from <= to && to <= grant->not_after && to - from <= grant->lifetime_max_seconds);
    HOLDS(der_string(X509_get0_serialNumber(x509)).size == SERIAL_SIZE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct unpack in = unpack_begin(span(data, size));
    struct grant grant;
    AUTO(bytes) again = {0};
    struct fault *f = fuzz_fault();
    fuzz_fresh(&grant, sizeof grant);
    if (!fuzz_kept(grant_unpack(&in, &grant, f), f, &grant, sizeof grant))
        return 0;
    grant_pack(&grant, &again);
    HOLDS(span_equal(bytes_span(&again), span(data, size - in.rest.size)));
    if (fuzz_kept(lint_draft(&grant, in.rest, f), f, NULL, 0))
        openssl_agrees(&grant, in.rest);
    grant_cleanup(&grant);
    return 0;
}

static void seed(struct span draft)
{
    AUTO(draft) read = {0};
    AUTO(bytes) input = {0};
    struct grant grant = {.kind = GRANT_AUTHORITY,
                          .algorithm = KEY_ECDSA_P256,
                          .extended_key_usage = EXTENDED_SERVER_AUTH | EXTENDED_CLIENT_AUTH,
                          .lifetime_max_seconds = INT64_C(1000000000),
                          .not_after = INT64_C(3000000000)};
    fuzz_must(draft_parse(draft, &read, fuzz_fault()), fuzz_fault());
    memcpy(grant.key_identifier, read.authority_key_identifier, KEY_IDENTIFIER_SIZE);
    fuzz_must(bytes_copy(read.issuer_name, &grant.issuer_name, fuzz_fault()), fuzz_fault());
    grant_pack(&grant, &input);
    pack_fixed(&input, draft);
    fuzz_seed(bytes_span(&input));
    grant_cleanup(&grant);
}

void fuzz_seeds(void)
{
    drafts_each(seed);
    AUTO(bytes) log = {0};
    grant_pack(&(struct grant){.kind = GRANT_LOG, .origin = "example/log"}, &log);
    fuzz_seed(bytes_span(&log));
}
