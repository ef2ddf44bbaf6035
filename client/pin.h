/* pin.h: the certificate check of a connection to the service. Trusted is the one CA whose SubjectPublicKeyInfo has the
 * pinned SHA-256, and nothing else; the service sends that CA in its chain.  Threads: pure. */
#ifndef ENSIGN_CLIENT_PIN_H
#define ENSIGN_CLIENT_PIN_H

#include <openssl/ssl.h>

#include "ca/x509/public_key.h"

struct pin_check {
    uint8_t pin[SHA256_SIZE];
    bool ca_found; /* the pinned CA was in the chain, self-signed */
    int error;     /* X509_V_… of the chain under that CA */
};

/* Makes every handshake of this SSL_CTX check the peer so; `check` gets the result. */
void pin_install(SSL_CTX *tls, struct pin_check *check);

enum { PIN_TEXT_SIZE = 7 + 2 * SHA256_SIZE + 1 };

/* "sha256:" and 64 hexadecimal digits */
void pin_text(const uint8_t pin[SHA256_SIZE], char ret_text[PIN_TEXT_SIZE]);
MUST_USE enum err pin_parse(const char *text, uint8_t ret_pin[SHA256_SIZE], struct fault *f);

#endif
