/* What a node's agent reads from the service: what it has to do, certificates, and CRLs. */
#include <openssl/x509.h>
#include <string.h>

#include "ca/base/encode.h"
#include "client/agent/service.h"
#include "client/crl.h"
#include "client/issued.h"
#include "client/keys.h"
#include "tests/fuzz/fuzz.h"

enum { ORDERS, ISSUED, CRL, CHOICES };
enum { NOW = 1800000000 };

AUTO_POINTER(X509, X509_free)
AUTO_POINTER(X509_CRL, X509_CRL_free)
AUTO_POINTER(ASN1_TIME, ASN1_TIME_free)
AUTO_POINTER(ASN1_INTEGER, ASN1_INTEGER_free)

static struct {
    EVP_PKEY *key;
    struct bytes bundle; /* PEM: one CA with this key */
} test;

static void test_make(void)
{
    struct fault *f = fuzz_fault();
    if (test.key)
        return;
    fuzz_must(key_generate(KEY_ECDSA_P256, &test.key, f), f);
    CLEANUP(X509_auto) X509 *ca = X509_new();
    unsigned char *der = NULL;
    HOLDS(X509_NAME_add_entry_by_txt(X509_get_subject_name(ca), "CN", MBSTRING_UTF8, (const uint8_t *)"ca", -1, -1, 0));
    HOLDS(X509_set_pubkey(ca, test.key) && X509_sign(ca, test.key, EVP_sha256()) > 0);
    int size = i2d_X509(ca, &der);
    HOLDS(size > 0);
    pem_append(&test.bundle, "CERTIFICATE", span(der, (size_t)size));
    OPENSSL_free(der);
}

/* Anything below a good revision is looked at when it is asked for. */
static void orders_check(struct document *take_document)
{
    struct orders orders;
    struct fault *f = fuzz_fault();
    fuzz_fresh(&orders, sizeof orders);
    if (!fuzz_kept(orders_read(take_document, &orders, f), f, &orders, sizeof orders))
        return;
    HOLDS(orders.poll_seconds >= 0);
    const struct order order = order_of(&orders, "etcd-member", "0cf5");
    HOLDS(!order.renew || strlen(order.renew) < DOCUMENT_JSON_SIZE_MAX);
    orders_cleanup(&orders);
}

static void issued_check_read(struct document *take_document)
{
    CLEANUP(document_auto) struct document *document = take_document;
    struct issued issued;
    struct fault *f = fuzz_fault();
    fuzz_fresh(&issued, sizeof issued);
    if (fuzz_kept(issued_read(document, &issued, f), f, &issued, sizeof issued))
        issued_cleanup(&issued);
}

static void crl_read(struct span der)
{
    struct crl_facts facts;
    struct fault *f = fuzz_fault();
    test_make();
    fuzz_fresh(&facts, sizeof facts);
    if (fuzz_kept(crl_check(der, bytes_span(&test.bundle), NOW, &facts, f), f, &facts, sizeof facts))
        HOLDS(facts.number >= 0 && facts.next_update > NOW);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = span(data, size);
    uint8_t choice = fuzz_choice(&input, CHOICES);
    struct document *document = NULL;
    struct fault *f = fuzz_fault();
    if (choice == CRL)
        crl_read(input);
    else if (document_parse_json(input, &document, f) == OK)
        (choice == ORDERS ? orders_check : issued_check_read)(document);
    return 0;
}

static void crl_seed(int64_t until)
{
    CLEANUP(X509_CRL_auto) X509_CRL *crl = X509_CRL_new();
    CLEANUP(ASN1_TIME_auto) ASN1_TIME *from = ASN1_TIME_set(NULL, NOW - 60), *to = ASN1_TIME_set(NULL, until);
    CLEANUP(ASN1_INTEGER_auto) ASN1_INTEGER *number = ASN1_INTEGER_new();
    CLEANUP(X509_auto) X509 *ca = X509_new();
    unsigned char *der = NULL;
    HOLDS(X509_NAME_add_entry_by_txt(X509_get_subject_name(ca), "CN", MBSTRING_UTF8, (const uint8_t *)"ca", -1, -1, 0));
    HOLDS(X509_CRL_set_version(crl, 1) && X509_CRL_set_issuer_name(crl, X509_get_subject_name(ca)));
    HOLDS(X509_CRL_set1_lastUpdate(crl, from) && X509_CRL_set1_nextUpdate(crl, to) && ASN1_INTEGER_set(number, 41));
    HOLDS(X509_CRL_add1_ext_i2d(crl, NID_crl_number, number, 0, 0) && X509_CRL_sign(crl, test.key, EVP_sha256()) > 0);
    int size = i2d_X509_CRL(crl, &der);
    HOLDS(size > 0);
    fuzz_seed_choice(CRL, span(der, (size_t)size));
    OPENSSL_free(der);
}

void fuzz_seeds(void)
{
    struct crl_facts facts;
    test_make();
    crl_seed(NOW + 600);
    crl_seed(NOW - 1);
    HOLDS(crl_check(SPAN_OF(""), bytes_span(&test.bundle), NOW, &facts, fuzz_fault()) == ERR_AUTH);
    fuzz_seed_choice(ORDERS, span_text("{\"revision\": \"7\", \"poll_seconds\": 0, \"certificates\": [{\"profile\": "
                                       "\"etcd-member\", \"serial\": \"0cf5\", \"blocked\": false, \"renew\": "
                                       "{\"reason\": \"rotation\"}}]}"));
    fuzz_seed_choice(ISSUED, span_text("{\"certificate\": \"a\", \"chain\": \"b\", \"bundle\": \"c\"}"));
}
