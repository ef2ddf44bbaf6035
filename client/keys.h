/* keys.h: private keys of the client: made here, written as PEM ("EC PRIVATE KEY", "RSA PRIVATE KEY"), never sent.
 * Threads: pure. */
#ifndef ENSIGN_CLIENT_KEYS_H
#define ENSIGN_CLIENT_KEYS_H

#include "ca/x509/public_key.h"

/* The PEM is a secret: clean it up with secret_cleanup(). */
MUST_USE enum err key_make_pem(enum key_algorithm algorithm, struct bytes *ret_pem, struct fault *f);
MUST_USE enum err key_read_pem(struct span pem, EVP_PKEY **ret_key, struct fault *f);
/* Also one that is encrypted. passphrase NULL: there is none. ERR_INPUT says whether one is missing or wrong. */
MUST_USE enum err key_read_pem_encrypted(struct span pem, const struct bytes *passphrase, EVP_PKEY **ret_key,
                                         struct fault *f);
/* PKCS#8 DER, a secret as well. */
MUST_USE enum err key_pkcs8(EVP_PKEY *key, struct bytes *ret_der, struct fault *f);

/* A certification request for this key, PEM, with an empty subject and no names: the profile supplies them. */
MUST_USE enum err key_request_pem(EVP_PKEY *key, struct bytes *ret_pem, struct fault *f);

#endif
