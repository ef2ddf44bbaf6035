/* Private keys in all the forms that openssl writes, and what is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/bio.h>
#include <openssl/pem.h>

#include "client/files.h"
#include "client/keys.h"

enum form { PKCS8, PKCS8_ENCRYPTED, TRADITIONAL, TRADITIONAL_ENCRYPTED, FORMS };

static const char passphrase_text[] = "correct horse";

static void key_write(EVP_PKEY *key, enum form form, struct bytes *ret_pem)
{
    const EVP_CIPHER *cipher = form == PKCS8_ENCRYPTED || form == TRADITIONAL_ENCRYPTED ? EVP_aes_256_cbc() : NULL;
    const unsigned char *passphrase = cipher ? (const unsigned char *)passphrase_text : NULL;
    int length = cipher ? (int)strlen(passphrase_text) : 0;
    BIO *out = BIO_new(BIO_s_mem());
    char *data = NULL;
    int written = form == PKCS8 || form == PKCS8_ENCRYPTED
                      ? PEM_write_bio_PKCS8PrivateKey(out, key, cipher, (const char *)passphrase, length, NULL, NULL)
                      : PEM_write_bio_PrivateKey_traditional(out, key, cipher, passphrase, length, NULL, NULL);
    assert_int_equal(written, 1);
    long size = BIO_get_mem_data(out, &data);
    bytes_append(ret_pem, data, (size_t)size);
    BIO_free(out);
}

static void text_set(struct bytes *bytes, const char *text)
{
    bytes_clear(bytes);
    bytes_append_text(bytes, text);
}

static void key_refused(const struct bytes *pem, const struct bytes *passphrase, const char *why)
{
    struct fault f = {0};
    EVP_PKEY *key = NULL;
    assert_int_equal(key_read_pem_encrypted(bytes_span(pem), passphrase, &key, &f), ERR_INPUT);
    assert_null(key);
    if (!strstr(f.text, why))
        fail_msg("%s", f.text);
}

static void form_try(EVP_PKEY *key, enum form form)
{
    bool encrypted = form == PKCS8_ENCRYPTED || form == TRADITIONAL_ENCRYPTED;
    struct fault f = {0};
    AUTO(bytes) pem = {0}, passphrase = {0}, pkcs8 = {0}, expected = {0};
    CLEANUP(EVP_PKEY_auto) EVP_PKEY *read = NULL;
    key_write(key, form, &pem);
    text_set(&passphrase, passphrase_text);
    assert_int_equal(key_read_pem_encrypted(bytes_span(&pem), &passphrase, &read, &f), OK);
    assert_int_equal(key_pkcs8(read, &pkcs8, &f), OK);
    assert_int_equal(key_pkcs8(key, &expected, &f), OK);
    assert_true(span_equal(bytes_span(&pkcs8), bytes_span(&expected)));
    if (!encrypted)
        return;
    key_refused(&pem, NULL, "none is given");
    text_set(&passphrase, "correct house");
    key_refused(&pem, &passphrase, "does not open");
    text_set(&passphrase, "");
    key_refused(&pem, &passphrase, "does not open");
    for (size_t i = 0; i < 5000; i++) /* longer than OpenSSL has room for */
        bytes_append_text(&passphrase, "x");
    key_refused(&pem, &passphrase, "does not open");
}

static void test_forms(void **state)
{
    (void)state;
    for (enum key_algorithm algorithm = KEY_NONE + 1; algorithm <= KEY_RSA_2048; algorithm++) {
        struct fault f = {0};
        CLEANUP(EVP_PKEY_auto) EVP_PKEY *key = NULL;
        assert_int_equal(key_generate(algorithm, &key, &f), OK);
        for (enum form form = 0; form < FORMS; form++)
            form_try(key, form);
    }
}

static void test_no_keys(void **state)
{
    (void)state;
    static const char *const texts[] = {"",
                                        "key",
                                        "-----BEGIN PRIVATE KEY-----\n",
                                        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
                                        "-----BEGIN EC PRIVATE KEY-----\nMAA=\n-----END EC PRIVATE KEY-----\n",
                                        "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"};
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        AUTO(bytes) pem = {0}, passphrase = {0};
        text_set(&pem, texts[i]);
        text_set(&passphrase, passphrase_text);
        key_refused(&pem, NULL, "no private key");
        key_refused(&pem, &passphrase, "no private key");
    }
}

/* What goes before and behind it does not matter: openssl ecparam -genkey writes the curve first. */
static void test_other_blocks(void **state)
{
    (void)state;
    struct fault f = {0};
    CLEANUP(EVP_PKEY_auto) EVP_PKEY *key = NULL, *read = NULL;
    AUTO(bytes) pem = {0};
    assert_int_equal(key_generate(KEY_ECDSA_P256, &key, &f), OK);
    bytes_append_text(&pem, "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n");
    key_write(key, TRADITIONAL, &pem);
    assert_int_equal(key_read_pem(bytes_span(&pem), &read, &f), OK);
    assert_int_equal(EVP_PKEY_eq(key, read), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_forms), cmocka_unit_test(test_no_keys),
                                       cmocka_unit_test(test_other_blocks)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
