#include "client/keys.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include "ca/base/encode.h"
#include "ca/x509/request.h"

AUTO_POINTER(BIO, BIO_free)

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

/* Asked for by an encrypted key: there is nobody to ask. */
static int no_passphrase(char *buffer, int size, int writing, void *context)
{
    (void)buffer, (void)size, (void)writing, (void)context;
    return -1;
}

enum err key_read_pem(struct span pem, EVP_PKEY **ret_key, struct fault *f)
{
    CLEANUP(BIO_auto) BIO *in = BIO_new_mem_buf(pem.data, (int)pem.size);
    EVP_PKEY *key = in ? PEM_read_bio_PrivateKey(in, NULL, no_passphrase, NULL) : NULL;
    if (!key) {
        ERR_clear_error(); /* which has nothing that would help */
        return fault_set(f, CODE_INVALID,
                         "this is no private key in PEM, or one with a passphrase, which must go first");
    }
    *ret_key = key;
    return OK;
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
