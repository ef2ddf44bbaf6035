/* tls.h: the service's own TLS certificate, which it issues to itself. state/tls.pem holds key, leaf and CA in one
 * file, so that they are always one pair. */
#ifndef ENSIGN_SERVER_TLS_H
#define ENSIGN_SERVER_TLS_H

#include "ca/issue.h"

struct tls {
    struct bytes key_pem, chain_pem; /* chain: leaf, CA */
    int64_t not_before, not_after;
};
void tls_cleanup(struct tls *tls);

/* ERR_ABSENT, ERR_INPUT: missing or not readable. */
MUST_USE enum err tls_load(const char *state, struct tls *ret_tls, struct fault *f);
/* A new key and certificate in state/tls.pem. */
MUST_USE enum err tls_renew(struct ca *ca, const char *state, struct tls *ret_tls, struct fault *f);
/* When it is time: two thirds of the life. */
int64_t tls_renewal_time(const struct tls *tls);

/* Makes a key pair and has it certified: request says for whom; its csr_pem is filled in here.
 *   ret_key_pem  PKCS#8 */
MUST_USE enum err credential_issue(struct ca *ca, const struct issue_request *request, struct bytes *ret_key_pem,
                                   struct issue_result *ret_result, struct fault *f);

#endif
