/* request.h: a certification request, PKCS#10 (RFC 2986), read with OpenSSL's ASN.1 templates.  Threads: pure.
 *
 * What a request asks for is only compared with the decision, never copied into a certificate. A thing asked for that
 * no profile ever grants (an unknown extension, an e-mail address, a malformed DNS name, CA:TRUE) does not stop the
 * parser: it is kept in `excess`, so that the decision can refuse it together with everything else.
 */
#ifndef ENSIGN_CA_X509_REQUEST_H
#define ENSIGN_CA_X509_REQUEST_H

#include "ca/x509/name.h"
#include "ca/x509/public_key.h"
#include "ca/x509/usage.h"

enum { REQUEST_SIZE_MAX = 16384, REQUEST_EXCESS_MAX = 32, REQUEST_EXCESS_TEXT = 160 };

struct request {
    struct bytes der;
    struct public_key public_key;      /* borrows from der */
    struct distinguished_name subject; /* empty when the request has none */
    struct alternative_names names;
    bool has_key_usage;
    unsigned key_usage; /* USAGE_ bits */
    bool has_extended_key_usage;
    unsigned extended_key_usage; /* EXTENDED_ bits; unknown ones are in excess */
    char excess[REQUEST_EXCESS_MAX][REQUEST_EXCESS_TEXT];
    size_t excess_count; /* kept; a request with more is refused as malformed */
};

/* der is copied. ERR_LIMIT over REQUEST_SIZE_MAX; ERR_INPUT and ERR_UNSUPPORTED of public_key_parse(), and
 *     CODE_MALFORMED_CSR        not DER (i2d(d2i(x)) == x), version other than 0, left-over bytes, an attribute twice
 *     CODE_PROOF_OF_POSSESSION  the signature does not verify under the request's own key */
MUST_USE enum err request_parse(struct span der, struct request *ret_request, struct fault *f);

/* PEM "CERTIFICATE REQUEST" (or "NEW CERTIFICATE REQUEST"), one block, then as request_parse(). */
MUST_USE enum err request_parse_pem(struct span pem, struct request *ret_request, struct fault *f);

/* Makes a request signed by key, with this subject (may be empty) and these names (NULL for none). For the client. */
MUST_USE enum err request_make(EVP_PKEY *key, const struct distinguished_name *subject,
                               const struct alternative_names *names, struct bytes *ret_der, struct fault *f);

void request_cleanup(struct request *request);

#endif
