#include "client/keys.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <string.h>

#include "ca/base/encode.h"
#include "ca/x509/request.h"

AUTO_POINTER(BIO, BIO_free)
AUTO_POINTER(PKCS8_PRIV_KEY_INFO, PKCS8_PRIV_KEY_INFO_free)

enum err key_make_pem(enum key_algorithm algorithm, struct bytes *ret_pem, struct fault *f)
{
    CLEANUP(EVP_PKEY_auto) EVP_PKEY *key = NULL;
    TRY(key_generate(algorithm, &key, f));
    CLEANUP(BIO_auto) BIO *out = BIO_new(BIO_s_secmem()); /* cleansed when it is freed */
    if (!out || PEM_write_bio_PrivateKey_traditional(out, key, NULL, NULL, 0, NULL, NULL) != 1)
        return fault_openssl(f, "cannot write a private key");
    char *data = NULL;
    long size = BIO_get_mem_data(out, &data);
    return bytes_copy(span(data, (size_t)size), ret_pem, f);
}

/* Asked for by an encrypted key. */
struct passphrase {
    const struct bytes *text; /* NULL: there is nobody to ask */
    bool asked;
};

static int passphrase_give(char *buffer, int size, int writing, void *context)
{
    (void)writing;
    struct passphrase *passphrase = context;
    passphrase->asked = true;
    if (!passphrase->text || passphrase->text->size > (size_t)size)
        return -1;
    memcpy(buffer, bytes_text(passphrase->text), passphrase->text->size);
    return (int)passphrase->text->size;
}

enum err key_read_pem_encrypted(struct span pem, const struct bytes *passphrase, EVP_PKEY **ret_key, struct fault *f)
{
    struct passphrase context = {.text = passphrase};
    CLEANUP(BIO_auto) BIO *in = BIO_new_mem_buf(pem.data, (int)pem.size);
    EVP_PKEY *key = in ? PEM_read_bio_PrivateKey(in, NULL, passphrase_give, &context) : NULL;
    if (key) {
        *ret_key = key;
        return OK;
    }
    ERR_clear_error(); /* which has nothing that would help */
    if (!context.asked)
        return fault_set(f, CODE_INVALID, "this is no private key in PEM");
    if (!passphrase)
        return fault_set(f, CODE_INVALID, "this private key has a passphrase, and none is given");
    return fault_set(f, CODE_INVALID, "the passphrase does not open this private key, or the key is damaged");
}

enum err key_read_pem(struct span pem, EVP_PKEY **ret_key, struct fault *f)
{
    return key_read_pem_encrypted(pem, NULL, ret_key, f);
}

enum err key_pkcs8(EVP_PKEY *key, struct bytes *ret_der, struct fault *f)
{
    CLEANUP(PKCS8_PRIV_KEY_INFO_auto) PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(key);
    uint8_t *der = NULL;
    int size = info ? i2d_PKCS8_PRIV_KEY_INFO(info, &der) : -1;
    if (size < 0)
        return fault_openssl(f, "cannot write a private key");
    enum err err = bytes_copy(span(der, (size_t)size), ret_der, f);
    OPENSSL_clear_free(der, (size_t)size);
    return err;
}

enum err key_request_pem(EVP_PKEY *key, struct bytes *ret_pem, struct fault *f)
{
    AUTO(bytes) der = {0};
    const struct distinguished_name empty = {0};
    TRY(request_make(key, &empty, NULL, &der, f));
    AUTO(bytes) pem = {0};
    pem_append(&pem, "CERTIFICATE REQUEST", bytes_span(&der));
    TRY(bytes_check(&pem, f));
    *ret_pem = pem;
    pem = (struct bytes){0};
    return OK;
}
