/* secret.h: guarded memory (libsodium): locked, left out of dumps, wiped when freed, between guard pages. */
#ifndef ENSIGN_HSM_SECRET_H
#define ENSIGN_HSM_SECRET_H

#include "ca/base/span.h"

struct secret {
    uint8_t *data;
    size_t size;
};

MUST_USE enum err secret_new(size_t size, struct secret *ret_secret, struct fault *f);
/* Reads a whole file of at most max bytes, without a trailing newline. The file must be a regular one that only its
 * owner can read (mode & 077 == 0) in a folder that only its owner and root can write. A credential may also be read by
 * its group: systemd lets the unit's user in by an access list, whose mask stands where the group's rights are. */
enum secret_kind { SECRET_FILE, SECRET_CREDENTIAL };
MUST_USE enum err secret_read(enum secret_kind kind, const char *path, size_t max, struct secret *ret_secret,
                              struct fault *f);
/* A new file of mode 0600 that is durable and complete, or none. */
MUST_USE enum err secret_create(const char *path, struct span content, struct fault *f);
/* The folder of a file: its path up to the last slash, or ".". */
enum { SECRET_PATH_SIZE = 4096 };
MUST_USE enum err secret_folder(const char *path, char ret_folder[SECRET_PATH_SIZE], struct fault *f);
void secret_cleanup(struct secret *secret);

#endif
