/* pki.h: certificates as the service issues them, made with its own library: for suites that play the service. */
#ifndef ENSIGN_TESTS_UNIT_CLIENT_PKI_H
#define ENSIGN_TESTS_UNIT_CLIENT_PKI_H

#include "ca/x509/draft.h"

struct pair {
    EVP_PKEY *key;
    struct bytes spki;
    struct public_key public_key; /* borrows from spki */
};
void pair_make(struct pair *pair);
void pair_drop(struct pair *pair);

/* Appends the PEM. */
void pair_certificate_write(const struct certificate_content *content, const struct public_key *subject,
                            const struct pair *signer, const char *signer_name, int64_t now, struct bytes *out);
/* The self-signed CA of that name and key, the same bytes but for serial and signature at each call. */
void pair_ca_write(const struct pair *pair, const char *name, int64_t now, struct bytes *out);

#endif
