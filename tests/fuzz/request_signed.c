/* What a request may ask for, behind a good signature: the input is a subject (u16 size, DER; empty: a good one) and
 * the content of the attributes, which the harness puts into a request of its own key. What is accepted can be built
 * into a certificate, and asked for again. */
#include <openssl/x509.h>
#include <string.h>

#include "ca/base/encode.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/x509.h"
#include "tests/unit/x509/fixture.h"

AUTO_POINTER(X509_REQ, X509_REQ_free)

static void openssl_agrees(struct span der)
{
    const uint8_t *end = der.data;
    CLEANUP(X509_REQ_auto) X509_REQ *request = d2i_X509_REQ(NULL, &end, (long)der.size);
    HOLDS(request && end == der.data + der.size);
}

/* A certificate of what was asked for is built, and says the same when it is read. */
static void draft_hold(const struct request *request)
{
    static const uint8_t serial[SERIAL_SIZE] = {0x0b, 1};
    struct certificate_content content = {.subject = request->subject,
                                          .names = request->names, /* borrowed */
                                          .key_usage = USAGE_DIGITAL_SIGNATURE,
                                          .extended_key_usage = EXTENDED_SERVER_AUTH,
                                          .not_before = FIXTURE_START,
                                          .not_after = FIXTURE_START + FIXTURE_DAY};
    if (distinguished_name_empty(&content.subject) && alternative_names_empty(&content.names))
        return;
    struct fault *f = fuzz_fault();
    AUTO(bytes) der = {0};
    AUTO(draft) draft = {0};
    fuzz_must(draft_build(&content, &etcd_ca.issuer, &request->public_key, serial, &der, f), f);
    fuzz_must(draft_parse(bytes_span(&der), &draft, f), f);
    HOLDS(subject_same(&draft.content.subject, &request->subject));
    HOLDS(names_same(&draft.content.names, &request->names));
    draft_rebuild(&draft, bytes_span(&der));
}

static void again_hold(const struct request *request)
{
    struct fault *f = fuzz_fault();
    AUTO(bytes) der = {0};
    AUTO(request) again = {0};
    fuzz_must(request_make(test_key(KEY_ECDSA_P256), &request->subject, &request->names, &der, f), f);
    fuzz_must(request_parse(bytes_span(&der), &again, f), f);
    HOLDS(subject_same(&again.subject, &request->subject) && names_same(&again.names, &request->names));
    HOLDS(again.excess_count == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct unpack in = unpack_begin(span(data, size));
    uint8_t subject[4096];
    size_t subject_size = unpack_u16(&in);
    if (subject_size > sizeof subject || in.rest.size > 12000)
        return 0;
    unpack_fixed(&in, subject, subject_size);
    if (in.failed)
        return 0;
    if (!etcd_ca.name.size)
        etcd_ca_setup(NULL);
    struct csr csr = {.subject = span(subject, subject_size), .attributes = in.rest};
    AUTO(bytes) der = {0};
    struct request request;
    csr_make(test_key(KEY_ECDSA_P256), &csr, &der);
    struct fault *f = fuzz_fault();
    fuzz_fresh(&request, sizeof request);
    if (!fuzz_kept(request_parse(bytes_span(&der), &request, f), f, &request, sizeof request))
        return 0;
    if (request.excess_count == 0) /* the subject of a request that is refused for it need not be one to OpenSSL */
        openssl_agrees(bytes_span(&der));
    draft_hold(&request);
    again_hold(&request);
    request_cleanup(&request);
    return 0;
}

static void seed(struct span subject, struct span attributes)
{
    AUTO(bytes) input = {0};
    pack_u16(&input, (uint16_t)subject.size);
    pack_fixed(&input, subject);
    pack_fixed(&input, attributes);
    fuzz_seed(bytes_span(&input));
}

static void extension_seed(struct span oid, bool critical, struct span value)
{
    AUTO(bytes) extensions = {0}, attributes = {0};
    extension_append(&extensions, oid, critical, value);
    extension_request_append(&attributes, bytes_span(&extensions));
    seed(RAW(""), bytes_span(&attributes));
}

void fuzz_seeds(void)
{
    AUTO(bytes) subject = {0};
    const struct distinguished_name name = {"etcdone", {"o", "p"}, 2};
    fuzz_must(distinguished_name_encode(&name, &subject, fuzz_fault()), fuzz_fault());
    seed(bytes_span(&subject), RAW(""));
    /* one name of each type */
    extension_seed(
        RAW(SAN_OID), false,
        RAW("\x30\x31\x82\x01\x61\x82\x03\x62\x2e\x63\x87\x04\x0a\x00\x00\x01\x87\x10\xfd\x00\x00\x00\x00\x00\x00"
            "\x00\x00\x00\x00\x00\x00\x00\x00\x01\x81\x03\x61\x40\x62\x86\x03\x61\x3a\x62\x88\x03\x2a\x03\x04"));
    extension_seed(RAW(SAN_OID), true, RAW("\x30\x0b\xa0\x09\x06\x03\x2a\x03\x04\xa0\x02\x05\x00"));
    extension_seed(RAW(SAN_OID), true, RAW("\x30\x04\xa4\x02\x30\x00"));
    extension_seed(RAW(KEY_USAGE_OID), true, RAW("\x03\x02\x05\xa0"));
    extension_seed(RAW(KEY_USAGE_OID), true, RAW("\x03\x03\x07\x80\x80"));
    extension_seed(RAW(EXTENDED_OID), false,
                   RAW("\x30\x14\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x01\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x03"));
    extension_seed(RAW(BASIC_OID), true, RAW("\x30\x00"));
    extension_seed(RAW(BASIC_OID), true, RAW("\x30\x06\x01\x01\xff\x02\x01\x00"));
    extension_seed(RAW("\x55\x1d\x1e"), false, RAW("\x30\x00"));
    seed(RAW("\x30\x00"), RAW("\x30\x15\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x09\x07\x31\x08\x13\x06secret"));
}
