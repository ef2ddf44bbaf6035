/* blocklist.h: public keys that nobody may have a certificate for, by the SHA-256 of their SubjectPublicKeyInfo: keys
 * that are known to have leaked (Debian's of 2008, test keys, those of a stolen laptop).
 *
 * The file has 64 hexadecimal digits on a line; a '#' begins a comment. `openssl pkey -pubin -outform der | sha256sum`
 * makes such a line from a public key.  Threads: read-only once loaded. */
#ifndef ENSIGN_CA_BLOCKLIST_H
#define ENSIGN_CA_BLOCKLIST_H

#include "ca/x509/public_key.h"

struct blocklist {
    uint8_t (*items)[SHA256_SIZE]; /* sorted */
    size_t count, capacity;
};

/* ERR_INPUT with all wrong lines; ERR_IO when the file cannot be read. */
MUST_USE enum err blocklist_load(const char *path, struct blocklist *ret_blocklist, struct fault *f);
MUST_USE enum err blocklist_parse(struct span text, const char *name, struct blocklist *ret_blocklist, struct fault *f);
/* ERR_INPUT (CODE_WEAK_KEY) when the key is listed. */
MUST_USE enum err blocklist_check(const struct blocklist *blocklist, const struct public_key *key, struct fault *f);
void blocklist_cleanup(struct blocklist *blocklist);

#endif
