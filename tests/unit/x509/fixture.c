#include "tests/unit/x509/fixture.h"

#include <openssl/rsa.h>
#include <stdio.h>

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
