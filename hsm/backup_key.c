#include "hsm/backup_key.h"

#include <sodium.h>
#include <string.h>

#include "ca/base/encode.h"

static const char PRIVATE_PREFIX[] = "ensign-backup-key:";
static const char PUBLIC_PREFIX[] = "ensign-backup:";
enum { KEY_SIZE = 32, HEX_SIZE = 2 * KEY_SIZE, PRIVATE_TEXT_SIZE = sizeof PRIVATE_PREFIX - 1 + HEX_SIZE };

_Static_assert(BACKUP_RECIPIENT_SIZE == crypto_box_PUBLICKEYBYTES && KEY_SIZE == crypto_box_SECRETKEYBYTES,
               "libsodium's boxes");
_Static_assert(BACKUP_SEALED_SIZE == BACKUP_STREAM_KEY_SIZE + crypto_box_SEALBYTES, "libsodium's sealed boxes");

void backup_key_cleanup(struct backup_key *key)
{
    secret_cleanup(&key->private_key);
}

/* ---- text ---- */

void backup_recipient_text(const uint8_t recipient[BACKUP_RECIPIENT_SIZE], char ret_text[BACKUP_RECIPIENT_TEXT_SIZE])
{
    strcpy(ret_text, PUBLIC_PREFIX);
    hex_text(span(recipient, BACKUP_RECIPIENT_SIZE), ret_text + strlen(PUBLIC_PREFIX), HEX_SIZE + 1);
}

enum err backup_recipient_parse(const char *text, uint8_t ret_recipient[BACKUP_RECIPIENT_SIZE], struct fault *f)
{
    struct fault unused = {0};
    size_t prefix = strlen(PUBLIC_PREFIX);
    if (strncmp(text, PUBLIC_PREFIX, prefix) == 0 &&
        hex_decode(text + prefix, ret_recipient, BACKUP_RECIPIENT_SIZE, &unused) == OK)
        return OK;
    return fault_set(f, CODE_USAGE,
                     "the recipient is not \"%s\" and %d hexadecimal digits, as `ensignd backup keygen` prints it",
                     PUBLIC_PREFIX, HEX_SIZE);
}

static enum err private_parse(const struct secret *text, const char *path, struct secret *key, struct fault *f)
{
    size_t prefix = strlen(PRIVATE_PREFIX), decoded = 0;
    if (text->size == PRIVATE_TEXT_SIZE && memcmp(text->data, PRIVATE_PREFIX, prefix) == 0 &&
        sodium_hex2bin(key->data, key->size, (const char *)text->data + prefix, HEX_SIZE, NULL, &decoded, NULL) == 0 &&
        decoded == KEY_SIZE)
        return OK;
    return fault_set(f, CODE_INVALID, "%s is not a private key that `ensignd backup keygen` made", path);
}

/* ---- the file ---- */

enum err backup_key_make(const char *path, uint8_t ret_recipient[BACKUP_RECIPIENT_SIZE], struct fault *f)
{
    AUTO(secret) key = {0};
    AUTO(secret) text = {0};
    uint8_t recipient[BACKUP_RECIPIENT_SIZE];
    size_t prefix = strlen(PRIVATE_PREFIX);
    TRY(secret_new(KEY_SIZE, &key, f));
    TRY(secret_new(PRIVATE_TEXT_SIZE + 1, &text, f));
    if (crypto_box_keypair(recipient, key.data) != 0)
        return fault_set(f, CODE_CRYPTO, "libsodium made no key");
    memcpy(text.data, PRIVATE_PREFIX, prefix);
    sodium_bin2hex((char *)text.data + prefix, HEX_SIZE + 1, key.data, key.size);
    text.data[PRIVATE_TEXT_SIZE] = '\n';
    TRY(secret_create(path, span(text.data, text.size), f));
    memcpy(ret_recipient, recipient, sizeof recipient);
    return OK;
}

enum err backup_key_read(const char *path, struct backup_key *ret_key, struct fault *f)
{
    AUTO(secret) text = {0};
    AUTO(backup_key) key = {0};
    TRY(secret_read(SECRET_FILE, path, PRIVATE_TEXT_SIZE, &text, f));
    TRY(secret_new(KEY_SIZE, &key.private_key, f));
    TRY(private_parse(&text, path, &key.private_key, f));
    if (crypto_scalarmult_base(key.recipient, key.private_key.data) != 0)
        return fault_set(f, CODE_CRYPTO, "libsodium does not take the key in %s", path);
    *ret_key = key;
    key = (struct backup_key){0};
    return OK;
}

/* ---- one backup's key ---- */

enum err backup_stream_key(const uint8_t recipient[BACKUP_RECIPIENT_SIZE], uint8_t ret_key[BACKUP_STREAM_KEY_SIZE],
                           uint8_t ret_sealed[BACKUP_SEALED_SIZE], struct fault *f)
{
    if (sodium_init() < 0)
        return fault_set(f, CODE_CRYPTO, "libsodium does not start");
    crypto_secretstream_xchacha20poly1305_keygen(ret_key);
    if (crypto_box_seal(ret_sealed, ret_key, BACKUP_STREAM_KEY_SIZE, recipient) != 0)
        return fault_set(f, CODE_USAGE, "nothing can be encrypted to that recipient: it is no public key");
    return OK;
}

enum err backup_key_open(const struct backup_key *key, const uint8_t sealed[BACKUP_SEALED_SIZE],
                         uint8_t ret_key[BACKUP_STREAM_KEY_SIZE], struct fault *f)
{
    if (crypto_box_seal_open(ret_key, sealed, BACKUP_SEALED_SIZE, key->recipient, key->private_key.data) != 0)
        return fault_set(f, CODE_DAMAGED, "the backup's key was damaged or changed");
    return OK;
}
