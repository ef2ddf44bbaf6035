/* restore.h: `ensignd restore`: makes a state folder of a backup (ca/backup.h). */
#ifndef ENSIGN_SERVER_RESTORE_H
#define ENSIGN_SERVER_RESTORE_H

#include "ca/base/span.h"

struct restore_request {
    const char *state;    /* absent or empty */
    const char *key_file; /* of the private key */
    const char *path;     /* "-": standard input */
    const char *log_key;  /* whose log it must be; NULL: any. The SHA-256 of the public key in 64 hexadecimal digits, or
                             a file that has the verifier: the answer of GET /v1/audit/key, a client's context */
};

/* Decrypts it, holds the database against itself and against the backup's head, verifies who signed that, marks it as
 * restored (ca/restore.h), and says on stdout what it is. On failure nothing is left; killed in between, the folder has
 * no `lock`, without which ensignd does not start. */
MUST_USE enum err restore_run(const struct restore_request *request, struct fault *f);

#endif
