/* backup.h: the file of a backup. Its head is text, so that people see what they have; the rest only the recipient's
 * private key opens (hsm/backup_key.h):
 *
 *   ensign backup 1
 *   <origin>\n<size>\n<base64 root>     a checkpoint of the audit log (ca/log/checkpoint.h) that the copy goes at least
 * to <time>                              when it was begun <recipient> (an empty line) the key of this file, sealed to
 * the recipient; the header of the stream messages: u32 size ‖ XChaCha20-Poly1305 (crypto_secretstream), each with the
 * head as additional data, the last one tagged as such
 *
 * The messages hold three things, one after the other: the file `seal` of the state folder, and its configuration, each
 * a message; then a copy of the database (store_copy()). Who has the recipient's public key can make such a file, too:
 * it tells damage, a cut and another's key, not who made it. */
#ifndef ENSIGN_CA_BACKUP_H
#define ENSIGN_CA_BACKUP_H

#include "ca/log/checkpoint.h"
#include "hsm/backup_key.h"

enum { BACKUP_MESSAGE_MAX = 1 << 16 };

struct backup_head {
    struct checkpoint checkpoint;
    int64_t time; /* UTC seconds */
    uint8_t recipient[BACKUP_RECIPIENT_SIZE];
};

struct backup_writer;

/* Writes the head.
 *   fd  stays the caller's; may be a pipe */
MUST_USE enum err backup_write_begin(int fd, const struct backup_head *head, struct backup_writer **ret_writer,
                                     struct fault *f);
/* One message of at most BACKUP_MESSAGE_MAX bytes. A file without a last one is cut off. */
MUST_USE enum err backup_write(struct backup_writer *writer, struct span message, bool last, struct fault *f);
void backup_writer_auto(struct backup_writer **writer); /* for CLEANUP() */

struct backup_reader;

/* Reads the head. All faults of the file are CODE_DAMAGED, another's key CODE_INVALID. */
MUST_USE enum err backup_read_begin(int fd, const struct backup_key *key, struct backup_reader **ret_reader,
                                    struct backup_head *ret_head, struct fault *f);
/* The next message, borrowed until the next call; after the last one, nothing may follow in the file. */
MUST_USE enum err backup_read(struct backup_reader *reader, struct span *ret_message, bool *ret_last, struct fault *f);
void backup_reader_auto(struct backup_reader **reader);

#endif
