/* foreign.h: CA certificates that others have made (openssl, cfssl, kubeadm): may Ensign issue under them?
 * Threads: pure. */
#ifndef ENSIGN_CA_X509_FOREIGN_H
#define ENSIGN_CA_X509_FOREIGN_H

#include "ca/x509/certificate.h"

/* That the certificate is of a root CA that may sign certificates with these extended key usages now, and that its key
 * is one that nobody has to fear (public_key_parse). now  UTC seconds ERR_INPUT  CODE_INVALID with every reason: no CA,
 * without keyCertSign, not self-signed, not valid now, usages that it forbids; CODE_WEAK_KEY */
MUST_USE enum err foreign_authority_check(const struct certificate *authority, unsigned extended_key_usage, int64_t now,
                                          struct fault *f);

/* Whether the CA has name constraints (RFC 5280 §4.2.1.10), if only such as cannot be read. */
bool foreign_constrained(const struct certificate *authority);
/* That its name constraints permit the names of a leaf.
 * ERR_INPUT (CODE_INVALID) says what they exclude; ERR_UNSUPPORTED for constraints that cannot be judged. */
MUST_USE enum err foreign_names_check(const struct certificate *authority, const struct certificate_content *leaf,
                                      struct fault *f);

#endif
