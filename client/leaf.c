#include "client/leaf.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "ca/base/encode.h"

X509 *leaf_read_pem(struct span pem)
{
    AUTO(bytes) der = {0};
    char label[PEM_LABEL_SIZE];
    struct fault ignored = {0};
    if (pem_next(&pem, label, &der, &ignored) != OK || strcmp(label, "CERTIFICATE") != 0)
        return NULL;
    const uint8_t *at = der.data;
    CLEANUP(X509_auto) X509 *leaf = d2i_X509(NULL, &at, (long)der.size);
    ERR_clear_error();
    return leaf && X509_check_ca(leaf) == 0 ? TAKE(leaf) : NULL;
}

bool leaf_signed_by(X509 *leaf, const struct public_key *issuer)
{
    CLEANUP(EVP_PKEY_auto) EVP_PKEY *key = NULL;
    struct fault ignored = {0};
    bool is = public_key_evp(issuer, &key, &ignored) == OK && X509_verify(leaf, key) == 1;
    ERR_clear_error();
    return is;
}
