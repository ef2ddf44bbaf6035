/* backup_key.h: the key pair of backups: who makes one needs the public half alone, so that a host that is broken into
 * gives away no backup. X25519, by libsodium's sealed boxes (crypto_box_seal).
 *
 *   private  a file of mode 0600 that `ensignd backup keygen` makes: "ensign-backup-key:" and 64 hexadecimal digits
 *   public   the recipient, as text: "ensign-backup:" and 64 hexadecimal digits */
#ifndef ENSIGN_HSM_BACKUP_KEY_H
#define ENSIGN_HSM_BACKUP_KEY_H

#include "hsm/secret.h"

enum {
    BACKUP_RECIPIENT_SIZE = 32,
    BACKUP_RECIPIENT_TEXT_SIZE = sizeof "ensign-backup:" + 2UL * BACKUP_RECIPIENT_SIZE,
    BACKUP_STREAM_KEY_SIZE = 32,
    BACKUP_SEALED_SIZE = BACKUP_STREAM_KEY_SIZE + 48,
};

/* Makes the file of the private key, which must not exist, durably. */
MUST_USE enum err backup_key_make(const char *path, uint8_t ret_recipient[BACKUP_RECIPIENT_SIZE], struct fault *f);

void backup_recipient_text(const uint8_t recipient[BACKUP_RECIPIENT_SIZE], char ret_text[BACKUP_RECIPIENT_TEXT_SIZE]);
/* ERR_INPUT (CODE_USAGE). What is wrong is not quoted: it could be the private key. */
MUST_USE enum err backup_recipient_parse(const char *text, uint8_t ret_recipient[BACKUP_RECIPIENT_SIZE],
                                         struct fault *f);

/* A new key for one backup, and the same sealed to the recipient.
 *   ret_key  the caller wipes it */
MUST_USE enum err backup_stream_key(const uint8_t recipient[BACKUP_RECIPIENT_SIZE],
                                    uint8_t ret_key[BACKUP_STREAM_KEY_SIZE], uint8_t ret_sealed[BACKUP_SEALED_SIZE],
                                    struct fault *f);

struct backup_key {
    struct secret private_key;
    uint8_t recipient[BACKUP_RECIPIENT_SIZE]; /* its public half */
};

MUST_USE enum err backup_key_read(const char *path, struct backup_key *ret_key, struct fault *f);
/* ERR_IO (CODE_DAMAGED) when it is not sealed to this key, or was changed. */
MUST_USE enum err backup_key_open(const struct backup_key *key, const uint8_t sealed[BACKUP_SEALED_SIZE],
                                  uint8_t ret_key[BACKUP_STREAM_KEY_SIZE], struct fault *f);
void backup_key_cleanup(struct backup_key *key);

#endif
