/* http_tls.h: the service's certificate for GnuTLS, which can be changed while connections use it. */
#ifndef ENSIGN_SERVER_HTTP_TLS_H
#define ENSIGN_SERVER_HTTP_TLS_H

#include <gnutls/abstract.h>

#include "ca/base/span.h"

/* TLS 1.3, or 1.2 with forward secrecy and AEAD. */
#define TLS_PRIORITIES                                                                                                 \
    "SECURE128:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-KX-ALL:+ECDHE-ECDSA:+ECDHE-RSA:-CIPHER-ALL:+AES-256-GCM:"          \
    "+AES-128-GCM:+CHACHA20-POLY1305:-MAC-ALL:+AEAD:-GROUP-ALL:+GROUP-X25519:+GROUP-SECP256R1:+GROUP-SECP384R1"

enum { TLS_CHAIN_MAX = 4 };

/* One certificate chain and its key; counted, because a handshake may use it while it is replaced. */
struct tls_identity {
    _Atomic unsigned references;
    gnutls_pcert_st chain[TLS_CHAIN_MAX];
    unsigned chain_count;
    gnutls_privkey_t key;
};

/* PEM: leaf first, then the CA. ERR_INPUT when either does not parse or they are no pair. */
MUST_USE enum err tls_identity_load(struct span chain_pem, struct span key_pem, struct tls_identity **ret_identity,
                                    struct fault *f);
struct tls_identity *tls_identity_share(struct tls_identity *identity);
void tls_identity_release(struct tls_identity *identity); /* NULL is fine */

#endif
