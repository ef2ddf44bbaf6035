/* usage.h: key usages (RFC 5280 §4.2.1.3) and extended key usages (§4.2.1.12) as bits and words.  Threads: pure. */
#ifndef ENSIGN_CA_X509_USAGE_H
#define ENSIGN_CA_X509_USAGE_H

#include <stddef.h>

enum usage { /* the bit numbers of the KeyUsage BIT STRING */
             USAGE_DIGITAL_SIGNATURE = 1 << 0,
             USAGE_NON_REPUDIATION = 1 << 1,
             USAGE_KEY_ENCIPHERMENT = 1 << 2,
             USAGE_DATA_ENCIPHERMENT = 1 << 3,
             USAGE_KEY_AGREEMENT = 1 << 4,
             USAGE_KEY_CERT_SIGN = 1 << 5,
             USAGE_CRL_SIGN = 1 << 6,
             USAGE_ENCIPHER_ONLY = 1 << 7,
             USAGE_DECIPHER_ONLY = 1 << 8,
};

enum extended_usage {
    EXTENDED_SERVER_AUTH = 1 << 0,
    EXTENDED_CLIENT_AUTH = 1 << 1,
};

/* NULL-terminated words for documents, in bit order: "digitalSignature", …; "serverAuth", "clientAuth". */
extern const char *const usage_words[];
extern const char *const extended_usage_words[];

/* "digitalSignature, keyEncipherment"; "none" for 0. ret_text is cut to size. */
void usage_text(unsigned usages, char *ret_text, size_t size);
void extended_usage_text(unsigned usages, char *ret_text, size_t size);

#endif
