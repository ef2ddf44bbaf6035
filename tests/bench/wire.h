/* wire.h: what the load generators share: TLS to a service on this machine, and HTTP on it. */
#ifndef ENSIGN_TESTS_BENCH_WIRE_H
#define ENSIGN_TESTS_BENCH_WIRE_H

#include <openssl/ssl.h>

#include "ca/base/span.h"

_Noreturn void stop(const char *what); /* says so and ends the program */
double seconds_now(void);              /* of the monotonic clock */

/* A PKCS#10 request of a new P-256 key. ret_key: NULL when nobody needs the key. */
void csr_make(EVP_PKEY **ret_key, struct bytes *ret_pem);
X509 *x509_read(const char *pem);
EVP_PKEY *key_read(const char *pem);

/* certificate and key: of the client; NULL: none, or what tls has. NULL: no connection, or no TLS. */
SSL *wire_open(SSL_CTX *tls, int port, X509 *certificate, EVP_PKEY *key);
void wire_close(SSL *ssl);
/* Reads one whole answer into `answer`, which keeps its memory from one to the next; its status, or 0. */
int wire_answer(SSL *ssl, struct bytes *answer);
const char *wire_body(const struct bytes *answer); /* "" when there is none */

#endif
