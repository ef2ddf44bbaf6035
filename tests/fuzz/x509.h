/* x509.h: what the harnesses of drafts, certificates and requests share. */
#ifndef ENSIGN_TESTS_FUZZ_X509_H
#define ENSIGN_TESTS_FUZZ_X509_H

#include "ca/x509/certificate.h"

bool names_same(const struct alternative_names *a, const struct alternative_names *b);
bool subject_same(const struct distinguished_name *a, const struct distinguished_name *b); /* O in the same order */

/* What was read is what draft_build() makes of it: the same bytes. */
void draft_rebuild(const struct draft *draft, struct span der);

/* Real drafts: a leaf's, one without a subject, a CA's; of P-256 and, where it says so, RSA issuers. */
void drafts_each(void (*visit)(struct span draft));
/* And real certificates. */
void certificates_each(void (*visit)(struct span certificate));

#endif
