/* issued.h: a certificate that the service issued, with its chain and bundle, and whether it is what was asked for. The
 * check is the same for an answer and for what is installed already.  Threads: pure. */
#ifndef ENSIGN_CLIENT_ISSUED_H
#define ENSIGN_CLIENT_ISSUED_H

#include "ca/x509/certificate.h"
#include "policies/profile.h"

struct issued {
    struct bytes certificate; /* PEM */
    struct bytes chain;       /* PEM: the certificate, then the CA that issued it */
    struct bytes bundle;      /* PEM: every CA of that authority */
};
void issued_cleanup(struct issued *issued);

/* From a certificate object of the API. */
MUST_USE enum err issued_read(const struct document *answer, struct issued *ret_issued, struct fault *f);

/* The profile as a user in these groups gets it: its subject has them. Borrows from profile. */
void profile_with_groups(const struct profile *profile, const char *const *groups, size_t groups_count,
                         struct profile *ret_profile);

/* Whether certificates of this profile come from the service's own CA, which is the pinned one. */
bool issued_by_service(const struct profile *profile);

struct expectation {
    const struct profile *profile;
    const char *name;   /* of the node, identity or user, for profiles that take the common name from it */
    struct span spki;   /* our public key */
    const uint8_t *pin; /* SHA-256 of the SubjectPublicKeyInfo of the service's CA */
    int64_t now;
};

struct issued_facts {
    char serial[SERIAL_TEXT_SIZE];
    int64_t not_after;
};

/* The key is ours; subject and usages are the profile's (its organization one that some version of
 * Kubernetes has there); the chain is the certificate and the CA that signed it; this
 * CA is in the bundle, and is the pinned one where the service itself is the issuer; all is valid now.
 * CODE_UNTRUSTED with all reasons, or what the parser says. */
MUST_USE enum err issued_check(const struct issued *issued, const struct expectation *expectation,
                               struct issued_facts *ret_facts, struct fault *f);

/* The next CA certificate of a bundle, which is moved behind it; ERR_ABSENT when there is none. */
MUST_USE enum err bundle_next(struct span *bundle, struct certificate *ret_ca, struct fault *f);

#endif
