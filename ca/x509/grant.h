/* grant.h: what a private key may sign. It stands inside the sealed blob of the key, authenticated, so that a server
 * that is broken into cannot widen it.  Threads: pure. */
#ifndef ENSIGN_CA_X509_GRANT_H
#define ENSIGN_CA_X509_GRANT_H

#include "ca/base/pack.h"
#include "ca/x509/crl.h"

enum grant_kind {
    GRANT_AUTHORITY = 1, /* leaf certificates and CRLs under the CA's name */
    GRANT_LOG = 2,       /* checkpoints of the audit log with this origin */
};

struct grant {
    enum grant_kind kind;
    /* GRANT_AUTHORITY */
    struct bytes issuer_name; /* DER Name */
    uint8_t key_identifier[KEY_IDENTIFIER_SIZE];
    enum key_algorithm algorithm;
    unsigned extended_key_usage;  /* the most that a leaf may have */
    int64_t lifetime_max_seconds; /* of a leaf, backdate included */
    int64_t not_after;            /* of the CA: no leaf outlives it */
    /* GRANT_LOG */
    char origin[128]; /* first line of the checkpoint */
};

void grant_pack(const struct grant *grant, struct bytes *out);
MUST_USE enum err grant_unpack(struct unpack *in, struct grant *ret_grant, struct fault *f);
void grant_cleanup(struct grant *grant);

/* Whether the key of this grant may sign the draft: issuer, algorithm, key identifiers, not a CA, usages, lifetime,
 * serial positive and of 20 bytes. ERR_DENIED (CODE_POLICY_DENIED) with every reason. */
MUST_USE enum err grant_check(const struct grant *grant, const struct draft *draft, struct fault *f);

/* Whether the key of this grant may sign the CRL: issuer, algorithm and key identifier are its own, and it is good for
 * at most CRL_LIFE_MAX_SECONDS. That the CA's certificate has cRLSign (RFC 5280 §4.2.1.3) is no matter of the key,
 * which may have several certificates; whoever asks for the CRL looks at it. ERR_DENIED (CODE_POLICY_DENIED) with every
 * reason. */
enum { CRL_LIFE_MAX_SECONDS = 30 * 86400 };
MUST_USE enum err grant_check_crl(const struct grant *grant, const struct crl *crl, struct fault *f);

#endif
