/* certificate.h: reading certificates that exist: ours, a caller's, a file's.  Threads: pure. */
#ifndef ENSIGN_CA_X509_CERTIFICATE_H
#define ENSIGN_CA_X509_CERTIFICATE_H

#include "ca/x509/draft.h"

struct certificate {
    struct bytes der;
    struct draft body;               /* borrows from der; content owned */
    struct span body_der, signature; /* what is signed, and by which signature */
    struct public_key public_key;
    uint8_t sha256[SHA256_SIZE]; /* of the whole DER: Kubernetes' X509SHA256 */
};

/* A certificate of the kind that Ensign issues (see draft_parse). der is copied. Its key is read, not judged: that was
 * done when it was asked for. */
MUST_USE enum err certificate_parse(struct span der, struct certificate *ret_certificate, struct fault *f);
MUST_USE enum err certificate_parse_pem(struct span pem, struct certificate *ret_certificate, struct fault *f);
/* A CA certificate, whoever made it (draft_parse_authority). */
MUST_USE enum err certificate_parse_authority(struct span der, struct certificate *ret_certificate, struct fault *f);
/* Only the serial, of 20 bytes: where to look up what the certificate says it is. ERR_INPUT. */
MUST_USE enum err certificate_serial(struct span der, uint8_t ret_serial[SERIAL_SIZE], struct fault *f);
void certificate_cleanup(struct certificate *certificate);

/* Issued by this CA: name, key identifier and signature match, the issuer is a CA that may sign certificates, and both
 * are valid now. ERR_AUTH (CODE_UNTRUSTED) otherwise, with all reasons. */
MUST_USE enum err certificate_check_issuer(const struct certificate *certificate, const struct certificate *issuer,
                                           int64_t now, struct fault *f);

#endif
