/* backup.h: the file of a backup. Its head is text, so that people see what they have; the rest only the recipient's
 * private key opens (hsm/backup_key.h):
 *
 *   ensign backup 1
 *   <origin>\n<size>\n<base64 root>  a checkpoint of the audit log (ca/log/checkpoint.h): the copy goes at least so far
 *   - <origin> <base64>              its signature by the log's key, as in a signed note; "-" alone without
 *   <time>                           when it was begun
 *   <recipient>
 *   (an empty line)
 *   the key of this file, sealed to the recipient; the header of the stream
 *   messages: u32 size ‖ XChaCha20-Poly1305 (crypto_secretstream), each with the head as additional data, the last one
 *   tagged as such
 *
 * The messages hold three things, one after the other: the file `seal` of the state folder, and its configuration, each
 * a message; then a copy of the database (store_copy()).
 *
 * Who has the recipient's public key can make such a file, too. That it is of this service says the signature, for all
 * that the log has up to there. What the log does not have (the file `seal`, the configuration, rows as those of
 * tokens) and what came between the checkpoint and the end of the copy no signature covers. */
#ifndef ENSIGN_CA_BACKUP_H
#define ENSIGN_CA_BACKUP_H

#include "ca/log/checkpoint.h"
#include "hsm/backup_key.h"

enum { BACKUP_MESSAGE_MAX = 1 << 16, BACKUP_SIGNATURE_MAX = 255 };

struct backup_head {
    struct checkpoint checkpoint;
    char signature[BACKUP_SIGNATURE_MAX + 1]; /* the line; empty without */
    int64_t time;                             /* UTC seconds */
    uint8_t recipient[BACKUP_RECIPIENT_SIZE];
};

/* Takes checkpoint and signature from a signed note. ERR_AUTH when this key has not signed it for this log.
 *   head  changed on success alone */
MUST_USE enum err backup_head_sign(struct backup_head *head, struct span note, const char *origin,
                                   const uint8_t log_public_key[LOG_PUBLIC_KEY_SIZE], struct fault *f);
/* ERR_AUTH (CODE_UNTRUSTED) when it is not signed by this key, for the log that it names. */
MUST_USE enum err backup_head_verify(const struct backup_head *head, const uint8_t log_public_key[LOG_PUBLIC_KEY_SIZE],
                                     struct fault *f);

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
