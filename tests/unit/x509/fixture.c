#include "tests/unit/x509/fixture.h"

#include <openssl/rsa.h>
#include <stdio.h>
#include <string.h>

struct fault fault;

void expect(enum err err, enum err expected)
{
    if (err != expected) {
        char line[2048];
        fault_line(&fault, line, sizeof line);
        fail_msg("error %d instead of %d: %s", (int)err, (int)expected, err == OK ? "" : line);
    }
    fault_clear(&fault);
}

void expect_code(enum err err, enum code expected)
{
    if (err == OK || fault.code != expected) {
        char line[2048];
        fault_line(&fault, line, sizeof line);
        fail_msg("%s instead of %s: %s", err == OK ? "OK" : code_name(fault.code), code_name(expected), line);
    }
    assert_int_equal(err, code_err(expected));
    fault_clear(&fault);
}

EVP_PKEY *test_key(enum key_algorithm algorithm)
{
    static EVP_PKEY *keys[KEY_ALGORITHM_COUNT];
    if (!keys[algorithm])
        expect(key_generate(algorithm, &keys[algorithm], &fault), OK);
    return keys[algorithm];
}

void tlv(struct bytes *out, uint8_t tag, struct span content)
{
    uint8_t head[4] = {tag, (uint8_t)content.size};
    size_t size = 2;
    if (content.size > 0xff) {
        head[1] = 0x82;
        head[2] = (uint8_t)(content.size >> 8);
        head[3] = (uint8_t)content.size;
        size = 4;
    } else if (content.size > 0x7f) {
        head[1] = 0x81;
        head[2] = (uint8_t)content.size;
        size = 3;
    }
    bytes_append(out, head, size);
    bytes_append_span(out, content);
}

static void sign(EVP_PKEY *key, const struct csr *csr, const EVP_MD *digest, struct span data, struct bytes *out)
{
    uint8_t signature[512];
    size_t size = sizeof signature;
    EVP_PKEY_CTX *pkey_context = NULL;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    assert_int_equal(EVP_DigestSignInit(context, &pkey_context, digest, NULL, key), 1);
    if (csr->pss)
        assert_true(EVP_PKEY_CTX_set_rsa_padding(pkey_context, RSA_PKCS1_PSS_PADDING) > 0);
    assert_int_equal(EVP_DigestSign(context, signature, &size, data.data, data.size), 1);
    EVP_MD_CTX_free(context);
    bytes_append(out, &csr->unused_bits, 1);
    bytes_append(out, signature, size);
}

void csr_make(EVP_PKEY *key, const struct csr *csr, struct bytes *out)
{
    AUTO(bytes) spki = {0}, info = {0}, body = {0}, bits = {0}, whole = {0};
    struct public_key good;
    expect(key_spki(key, &spki, &fault), OK);
    bool judged = public_key_parse(bytes_span(&spki), &good, &fault) == OK;
    fault_clear(&fault);
    enum key_algorithm algorithm = judged ? good.algorithm : KEY_ECDSA_P256;
    bytes_append_span(&info, csr->version.size ? csr->version : RAW("\x02\x01\x00"));
    bytes_append_span(&info, csr->subject.size ? csr->subject : RAW("\x30\x00"));
    bytes_append_span(&info, csr->spki.size ? csr->spki : bytes_span(&spki));
    tlv(&info, 0xa0, csr->attributes);
    tlv(&body, 0x30, bytes_span(&info));
    sign(key, csr, csr->digest ? csr->digest : signature_digest(algorithm), bytes_span(&body), &bits);
    bytes_append_span(&whole, bytes_span(&body));
    bytes_append_span(&whole, csr->algorithm.size ? csr->algorithm : signature_algorithm(algorithm));
    tlv(&whole, 0x03, bytes_span(&bits));
    tlv(out, 0x30, bytes_span(&whole));
}

void extension_append(struct bytes *out, struct span oid, bool critical, struct span value)
{
    AUTO(bytes) extension = {0};
    tlv(&extension, 0x06, oid);
    if (critical)
        tlv(&extension, 0x01, RAW("\xff"));
    tlv(&extension, 0x04, value);
    tlv(out, 0x30, bytes_span(&extension));
}

void extension_request_append(struct bytes *out, struct span extensions)
{
    AUTO(bytes) list = {0}, values = {0}, attribute = {0};
    tlv(&list, 0x30, extensions);
    tlv(&values, 0x31, bytes_span(&list));
    tlv(&attribute, 0x06, RAW("\x2a\x86\x48\x86\xf7\x0d\x01\x09\x0e"));
    bytes_append_span(&attribute, bytes_span(&values));
    tlv(out, 0x30, bytes_span(&attribute));
}

void extension_csr(struct span oid, bool critical, struct span value, struct bytes *out)
{
    AUTO(bytes) extensions = {0}, attributes = {0};
    extension_append(&extensions, oid, critical, value);
    extension_request_append(&attributes, bytes_span(&extensions));
    csr_make(test_key(KEY_ECDSA_P256), &(struct csr){.attributes = bytes_span(&attributes)}, out);
}

void expect_excess(const char *label, struct span der, const char *text)
{
    AUTO(request) request = {0};
    enum err err = request_parse(der, &request, &fault);
    if (err != OK)
        fail_msg("%s: %s", label, fault.text);
    if (request.excess_count != (text ? 1 : 0))
        fail_msg("%s: %zu excesses, the first: %s", label, request.excess_count, request.excess[0]);
    if (text && !strstr(request.excess[0], text))
        fail_msg("%s: \"%s\" does not say \"%s\"", label, request.excess[0], text);
    for (const char *c = request.excess[0]; *c; c++)
        if (*c == 0x7f || (*c >= 0 && *c < 0x20))
            fail_msg("%s: a control character in a text", label);
}

static const uint8_t serial[SERIAL_SIZE] = {0x0b, 1, 2, 3, 0x80};

void ca_cleanup(struct ca *ca)
{
    bytes_free(&ca->name);
    bytes_free(&ca->spki);
    certificate_cleanup(&ca->certificate);
}

struct ca etcd_ca;

int etcd_ca_setup(void **state)
{
    (void)state;
    ca_make(KEY_ECDSA_P256, "etcd-ca", true, &etcd_ca);
    return 0;
}

int etcd_ca_teardown(void **state)
{
    (void)state;
    ca_cleanup(&etcd_ca);
    return 0;
}

X509 *openssl_parse(struct span der)
{
    const unsigned char *at = der.data;
    X509 *x509 = d2i_X509(NULL, &at, (long)der.size);
    assert_non_null(x509);
    assert_ptr_equal(at, der.data + der.size);
    return x509;
}

void content_sign(const struct certificate_content *content, const struct ca *ca, const struct public_key *key,
                  struct certificate *ret_certificate)
{
    AUTO(bytes) draft = {0}, der = {0};
    expect(draft_build(content, &ca->issuer, key, serial, &draft, &fault), OK);
    expect(draft_sign(bytes_span(&draft), test_key(ca->algorithm), ca->algorithm, &der, &fault), OK);
    expect(certificate_parse(bytes_span(&der), ret_certificate, &fault), OK);
}

void ca_make(enum key_algorithm algorithm, const char *common_name, bool with_name, struct ca *ca)
{
    *ca = (struct ca){.algorithm = algorithm};
    AUTO(certificate_content)
    content = {.authority = true,
               .key_usage = CA_USAGE,
               .not_before = FIXTURE_START,
               .not_after = FIXTURE_START + 3650 * FIXTURE_DAY};
    strcpy(content.subject.common_name, common_name);
    if (with_name)
        expect(alternative_names_add_dns(&content.names, common_name, &fault), OK);
    expect(distinguished_name_encode(&content.subject, &ca->name, &fault), OK);
    expect(key_spki(test_key(algorithm), &ca->spki, &fault), OK);
    expect(public_key_parse(bytes_span(&ca->spki), &ca->key, &fault), OK);
    ca->issuer = (struct issuer){.name = bytes_span(&ca->name), .algorithm = algorithm};
    memcpy(ca->issuer.key_identifier, ca->key.key_identifier, KEY_IDENTIFIER_SIZE);
    content_sign(&content, ca, &ca->key, &ca->certificate);
}

void leaf_content(struct certificate_content *content)
{
    struct address address;
    *content = (struct certificate_content){.subject = {"etcdone", {"o"}, 1},
                                            .key_usage = USAGE_DIGITAL_SIGNATURE,
                                            .extended_key_usage = EXTENDED_SERVER_AUTH | EXTENDED_CLIENT_AUTH,
                                            .not_before = FIXTURE_START,
                                            .not_after = FIXTURE_START + 365 * FIXTURE_DAY};
    expect(alternative_names_add_dns(&content->names, "etcdone", &fault), OK);
    expect(alternative_names_add_dns(&content->names, "localhost", &fault), OK);
    expect(address_parse("192.168.61.1", &address, &fault), OK);
    expect(alternative_names_add_address(&content->names, &address, &fault), OK);
    expect(address_parse("::1", &address, &fault), OK);
    expect(alternative_names_add_address(&content->names, &address, &fault), OK);
}
