/* fixture.h: what the suites of the client share: an empty folder, and a TLS server in a thread. */
#ifndef ENSIGN_TESTS_UNIT_CLIENT_FIXTURE_H
#define ENSIGN_TESTS_UNIT_CLIENT_FIXTURE_H

#include <openssl/x509.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "ca/x509/public_key.h"

/* A new folder below /tmp, mode 0700; removed with all that is in it. */
char *folder_make(void);
void folder_drop(char *folder);
/* "folder/name": good until the fourth call from here. */
const char *path_inside(const char *folder, const char *name);
void file_write(const char *folder, const char *name, unsigned mode, const char *text);

/* ---- certificates, made with OpenSSL alone ---- */

AUTO_POINTER(X509, X509_free)

struct made_certificate {
    X509 *certificate;
    EVP_PKEY *key;
};
struct making {
    const char *name;                      /* common name, and DNS name of a leaf */
    const struct made_certificate *issuer; /* NULL: self-signed */
    bool authority;
    bool client_only;       /* extendedKeyUsage clientAuth */
    long not_after_seconds; /* from now */
};
struct made_certificate certificate_make(const struct making *making);
void made_certificate_cleanup(struct made_certificate *made);
void certificate_pin(const struct made_certificate *made, uint8_t ret_pin[SHA256_SIZE]);

/* ---- the server ---- */

struct tls_server;

/* Writes the whole HTTP response to a request: head and body, as it came. */
typedef void tls_respond(void *context, const char *request, struct bytes *response);

/* Answers each request on a connection of its own. It listens on a port that the kernel chose, and shows the leaf and
 * then these CAs. */
struct tls_server *tls_server_start(const struct made_certificate *leaf, const struct made_certificate *const *chain,
                                    tls_respond *respond, void *context);
unsigned tls_server_port(const struct tls_server *server);
/* Stops it. Everything that it was sent inside TLS: to be freed. */
char *tls_server_stop(struct tls_server *server);

#endif
