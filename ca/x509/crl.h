/* crl.h: a complete certificate revocation list (RFC 5280 §5), built from rows, read again by the signer's lint.
 *
 * Version 2. Extensions: authorityKeyIdentifier (keyid only) and cRLNumber; of an entry: reasonCode, unless it is
 * "unspecified" (§5.3.1). Without entries there is no revokedCertificates (§5.1.2.6).  Threads: pure. */
#ifndef ENSIGN_CA_X509_CRL_H
#define ENSIGN_CA_X509_CRL_H

#include "ca/x509/draft.h"

enum {
    /* At 55 bytes each they fit into one message to the signer (MESSAGE_SIZE_MAX). */
    CRL_ENTRIES_MAX = 3400,
};

/* The words of RFC 5280 §5.3.1 for why a certificate was revoked, and their codes. What CRLs in parts, and the lifting
 * of a revocation, would need is not among them. */
enum { CRL_KEY_COMPROMISE = 1 };
const char *crl_reason_word(unsigned code);  /* NULL when it is none of ours */
extern const char *const crl_reason_words[]; /* ended by NULL */
MUST_USE bool crl_reason_by_word(const char *word, uint8_t *ret_code);

struct crl_entry {
    uint8_t serial[SERIAL_SIZE]; /* positive, its first byte is not 0 */
    int64_t revoked_at;          /* UTC seconds */
    uint8_t reason;              /* code */
};

struct crl {
    struct span signature_algorithm, issuer_name; /* DER; borrowed */
    uint8_t authority_key_identifier[KEY_IDENTIFIER_SIZE];
    uint64_t number;                  /* > 0 */
    int64_t this_update, next_update; /* UTC seconds */
    struct crl_entry *entries;        /* in order of serial, each once */
    size_t entries_count;
};

/* The TBSCertList. All of the crl is given; nothing of it is taken.
 * Errors: ERR_LIMIT (CODE_TOO_LARGE) more than CRL_ENTRIES_MAX; ERR_BUG entries out of order, a number of 0, an update
 * that is not before the next; ERR_NOMEM, ERR_CRYPTO. */
MUST_USE enum err crl_build(const struct crl *crl, struct bytes *ret_draft, struct fault *f);

/* A TBSCertList, read strictly: it must be one that crl_build() can make, encoded as it encodes it. Issuer and
 * algorithm are only found, not judged. ret_crl  entries owned (crl_cleanup), spans borrow from der.  ERR_INPUT */
MUST_USE enum err crl_parse(struct span der, struct crl *ret_crl, struct fault *f);
/* The same of a whole CertificateList; the signature is not looked at. */
MUST_USE enum err crl_parse_signed(struct span der, struct crl *ret_crl, struct fault *f);
void crl_cleanup(struct crl *crl); /* frees the entries */

/* NULL when it is not listed. */
const struct crl_entry *crl_find(const struct crl *crl, const uint8_t serial[SERIAL_SIZE]);

#endif
