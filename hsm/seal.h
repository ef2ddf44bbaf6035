/* seal.h: the key that CA keys are sealed with, and sealing itself.
 *
 * XChaCha20-Poly1305: blob = version 1 ‖ nonce 24 ‖ ciphertext and tag; additional data "ensign sealed key v1".
 *
 * Where the seal key comes from:
 *   key file    64 hexadecimal digits (32 bytes) on one line, mode 0600, outside the state folder
 *   passphrase  a file outside the state folder; Argon2id (libsodium MODERATE: 256 MiB, 3 passes) over a salt in the
 *               state folder; at least 12 characters
 *   credential  as a key file, from $CREDENTIALS_DIRECTORY/NAME (systemd LoadCredential[Encrypted]=)
 *
 * The state folder has a file `seal` (JSON: version, kdf, salt, opslimit, memlimit, check): `check` is a sealed
 * constant, by which a wrong key is recognised at start.  Threads: a struct seal is read-only once open. */
#ifndef ENSIGN_HSM_SEAL_H
#define ENSIGN_HSM_SEAL_H

#include "hsm/secret.h"

enum seal_source { SEAL_NONE, SEAL_KEY_FILE, SEAL_PASSPHRASE_FILE, SEAL_CREDENTIAL };

struct seal_config {
    enum seal_source source;
    char path[4096]; /* of the file, or the credential's name */
};

struct seal {
    struct secret key;
};

/* Makes the key file when it is absent (0600, never overwritten) and writes `state/seal`. init only. */
MUST_USE enum err seal_create(const struct seal_config *config, const char *state, struct seal *ret_seal,
                              struct fault *f);
/* ERR_IO (CODE_SEALED) "the seal key in FILE does not open this state folder" and the like. */
MUST_USE enum err seal_open(const struct seal_config *config, const char *state, struct seal *ret_seal,
                            struct fault *f);
void seal_cleanup(struct seal *seal);

/* What it costs to try one passphrase. `state/seal` records it, so seal_open() needs no setting. */
struct seal_cost {
    uint64_t operations;
    uint64_t memory_bytes;
};
/* seal_create() with a cost that is not the default one, for tests that cannot wait. */
MUST_USE enum err seal_create_cost(const struct seal_config *config, const char *state, const struct seal_cost *cost,
                                   struct seal *ret_seal, struct fault *f);

MUST_USE enum err seal_wrap(const struct seal *seal, const struct secret *plain, struct bytes *ret_blob,
                            struct fault *f);
MUST_USE enum err seal_unwrap(const struct seal *seal, struct span blob, struct secret *ret_plain, struct fault *f);

#endif
