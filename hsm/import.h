/* import.h: how a CA key gets to the signer through a server that cannot read it: sealed to a key pair (X25519) that
 * the signer makes when it starts and keeps in guarded memory (libsodium: crypto_box_seal). After a new start it does
 * not open what was sealed before.
 *
 * The server hands out the public half, so this keeps keys from what is stored, logged or dumped there, and from who
 * breaks in later; a server that lies about it reads the keys that are imported while it does.
 * Threads: read-only once made. */
#ifndef ENSIGN_HSM_IMPORT_H
#define ENSIGN_HSM_IMPORT_H

#include "hsm/seal.h"

enum { IMPORT_PUBLIC_KEY_SIZE = 32 };

struct import_key {
    uint8_t public_key[IMPORT_PUBLIC_KEY_SIZE];
    struct secret private_key;
};

MUST_USE enum err import_key_new(struct import_key *ret_key, struct fault *f);
/* ERR_CONFLICT: damaged, or sealed to another key: ask for the key again and seal again. ERR_INPUT: nothing in it. */
MUST_USE enum err import_key_open(const struct import_key *key, struct span box, struct secret *ret_plain,
                                  struct fault *f);
void import_key_cleanup(struct import_key *key);

#endif
