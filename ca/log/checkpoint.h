/* checkpoint.h: a signed statement of the log's size and root: C2SP tlog-checkpoint in a C2SP signed note, Ed25519.
 *
 *     <origin>\n<size>\n<base64 root>\n\n— <key name> <base64(key id ‖ signature)>\n
 *
 * The key name is the origin; key id = first 4 bytes of SHA-256(name ‖ "\n" ‖ 0x01 ‖ public key); a verifier key is
 * written "<name>+<hex key id>+<base64(0x01 ‖ public key)>".  Threads: pure. */
#ifndef ENSIGN_CA_LOG_CHECKPOINT_H
#define ENSIGN_CA_LOG_CHECKPOINT_H

#include "ca/log/merkle.h"

enum { LOG_PUBLIC_KEY_SIZE = 32, LOG_SIGNATURE_SIZE = 64, LOG_ORIGIN_MAX = 127, LOG_VERIFIER_TEXT_MAX = 255 };

struct checkpoint {
    char origin[LOG_ORIGIN_MAX + 1];
    uint64_t size;
    struct merkle_hash root;
};

/* The text that is signed: three lines, each ended. */
void checkpoint_text(const struct checkpoint *checkpoint, struct bytes *out);
void checkpoint_note(const struct checkpoint *checkpoint, const uint8_t public_key[LOG_PUBLIC_KEY_SIZE],
                     const uint8_t signature[LOG_SIGNATURE_SIZE], struct bytes *out);

/* Reads the signed text (checkpoint_text). ERR_INPUT when it is anything else. */
MUST_USE enum err checkpoint_parse_text(struct span text, struct checkpoint *ret_checkpoint, struct fault *f);

/* Verifies a note with a verifier key, whose name must be the origin. Signatures by other keys are ignored.
 * ERR_INPUT: malformed (CODE_MALFORMED). ERR_AUTH: not signed by it, or of another log (CODE_UNTRUSTED). */
MUST_USE enum err checkpoint_verify(struct span note, const char *verifier, struct checkpoint *ret_checkpoint,
                                    struct fault *f);

void log_verifier_text(const char *origin, const uint8_t public_key[LOG_PUBLIC_KEY_SIZE],
                       char ret_text[LOG_VERIFIER_TEXT_MAX + 1]);
bool log_origin_valid(const char *origin); /* 1..LOG_ORIGIN_MAX visible ASCII characters, no '+' */

#endif
