#include "ca/log/checkpoint.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ca/base/encode.h"

/* C2SP signed-note. */
static const char SIGNATURE_PREFIX[] = "\xe2\x80\x94 "; /* em dash, U+2014 */
enum { KEY_TYPE_ED25519 = 0x01, KEY_ID_SIZE = 4, NOTE_SIZE_MAX = 1 << 16 };

/* What a verifier key says. */
struct verifier {
    char name[LOG_ORIGIN_MAX + 1];
    uint8_t key_id[KEY_ID_SIZE];
    uint8_t public_key[LOG_PUBLIC_KEY_SIZE];
};

static void key_id(const char *name, const uint8_t public_key[LOG_PUBLIC_KEY_SIZE], uint8_t ret_id[KEY_ID_SIZE])
{
    static const uint8_t separator[] = {'\n', KEY_TYPE_ED25519};
    uint8_t hash[crypto_hash_sha256_BYTES];
    crypto_hash_sha256_state state;
    crypto_hash_sha256_init(&state);
    crypto_hash_sha256_update(&state, (const uint8_t *)name, strlen(name));
    crypto_hash_sha256_update(&state, separator, sizeof separator);
    crypto_hash_sha256_update(&state, public_key, LOG_PUBLIC_KEY_SIZE);
    crypto_hash_sha256_final(&state, hash);
    memcpy(ret_id, hash, KEY_ID_SIZE);
}

/* Visible ASCII only: Unicode has white space that nobody sees. */
bool log_origin_valid(const char *origin)
{
    size_t size = 0;
    for (; origin[size]; size++)
        if (origin[size] <= ' ' || origin[size] > '~' || origin[size] == '+')
            return false;
    return size > 0 && size <= LOG_ORIGIN_MAX;
}

void log_verifier_text(const char *origin, const uint8_t public_key[LOG_PUBLIC_KEY_SIZE],
                       char ret_text[LOG_VERIFIER_TEXT_MAX + 1])
{
    uint8_t id[KEY_ID_SIZE];
    char id_text[2 * KEY_ID_SIZE + 1];
    key_id(origin, public_key, id);
    hex_text(SPAN_OF(id), id_text, sizeof id_text);

    uint8_t typed_key[1 + LOG_PUBLIC_KEY_SIZE] = {KEY_TYPE_ED25519};
    char key_text[sodium_base64_ENCODED_LEN(sizeof typed_key, sodium_base64_VARIANT_ORIGINAL)];
    memcpy(typed_key + 1, public_key, LOG_PUBLIC_KEY_SIZE);
    sodium_bin2base64(key_text, sizeof key_text, typed_key, sizeof typed_key, sodium_base64_VARIANT_ORIGINAL);
    snprintf(ret_text, LOG_VERIFIER_TEXT_MAX + 1, "%s+%s+%s", origin, id_text, key_text);
}

void checkpoint_text(const struct checkpoint *checkpoint, struct bytes *out)
{
    bytes_appendf(out, "%s\n%" PRIu64 "\n", checkpoint->origin, checkpoint->size);
    base64_append(out, SPAN_OF(checkpoint->root.data));
    bytes_append_text(out, "\n");
}

void checkpoint_note(const struct checkpoint *checkpoint, const uint8_t public_key[LOG_PUBLIC_KEY_SIZE],
                     const uint8_t signature[LOG_SIGNATURE_SIZE], struct bytes *out)
{
    uint8_t signed_by[KEY_ID_SIZE + LOG_SIGNATURE_SIZE];
    key_id(checkpoint->origin, public_key, signed_by);
    memcpy(signed_by + KEY_ID_SIZE, signature, LOG_SIGNATURE_SIZE);

    checkpoint_text(checkpoint, out);
    bytes_appendf(out, "\n%s%s ", SIGNATURE_PREFIX, checkpoint->origin);
    base64_append(out, SPAN_OF(signed_by));
    bytes_append_text(out, "\n");
}

/* Splits at the first `separator`, which belongs to neither part. */
static bool span_split(struct span whole, const char *separator, struct span *ret_before, struct span *ret_after)
{
    size_t size = strlen(separator);
    const uint8_t *at = whole.size ? memmem(whole.data, whole.size, separator, size) : NULL;
    if (!at)
        return false;
    size_t before = (size_t)(at - whole.data);
    *ret_before = span(whole.data, before);
    *ret_after = span(at + size, whole.size - before - size);
    return true;
}

/* A C string of a span that may hold anything. */
static bool span_string(struct span text, char *ret_text, size_t size)
{
    if (text.size >= size || (text.size && memchr(text.data, 0, text.size)))
        return false;
    if (text.size)
        memcpy(ret_text, text.data, text.size);
    ret_text[text.size] = '\0';
    return true;
}

/* base64 of exactly `size` bytes. */
static bool base64_fixed(struct span text, void *ret_data, size_t size, struct fault *f)
{
    AUTO(bytes) data = {0};
    if (base64_decode(text, &data, f) != OK || data.size != size)
        return false;
    memcpy(ret_data, data.data, size);
    return true;
}

static bool decimal_read(struct span text, uint64_t *ret_value)
{
    char digits[24];
    if (!span_string(text, digits, sizeof digits))
        return false;
    *ret_value = strtoull(digits, NULL, 10);
    return true;
}

/* Reads loosely; what does not come out the same when it is written again was not canonical. */
static bool text_read(struct span text, struct checkpoint *ret_checkpoint, struct bytes *again, struct fault *f)
{
    struct span origin, size, root, rest;
    if (!span_split(text, "\n", &origin, &rest) || !span_split(rest, "\n", &size, &rest) ||
        !span_split(rest, "\n", &root, &rest))
        return false;
    if (!span_string(origin, ret_checkpoint->origin, sizeof ret_checkpoint->origin) ||
        !log_origin_valid(ret_checkpoint->origin) || !decimal_read(size, &ret_checkpoint->size) ||
        !base64_fixed(root, ret_checkpoint->root.data, MERKLE_HASH_SIZE, f))
        return false;
    checkpoint_text(ret_checkpoint, again);
    return again->failed || span_equal(text, bytes_span(again));
}

enum err checkpoint_parse_text(struct span text, struct checkpoint *ret_checkpoint, struct fault *f)
{
    struct checkpoint checkpoint = {0};
    AUTO(bytes) again = {0};
    if (!text_read(text, &checkpoint, &again, f))
        return fault_set(f, CODE_MALFORMED,
                         "the text of the checkpoint is not the three lines origin, size, base64 root "
                         "(C2SP tlog-checkpoint)");
    TRY(bytes_check(&again, f));
    *ret_checkpoint = checkpoint;
    return OK;
}

/* As with text_read: reads loosely and compares with what it would have written, which also checks the key id. */
static bool verifier_read(const char *text, struct verifier *ret_verifier, struct fault *f)
{
    struct span name, id, key;
    uint8_t typed_key[1 + LOG_PUBLIC_KEY_SIZE];
    if (!span_split(span_text(text), "+", &name, &key) || !span_split(key, "+", &id, &key) ||
        !span_string(name, ret_verifier->name, sizeof ret_verifier->name) || !log_origin_valid(ret_verifier->name) ||
        !base64_fixed(key, typed_key, sizeof typed_key, f))
        return false;
    memcpy(ret_verifier->public_key, typed_key + 1, LOG_PUBLIC_KEY_SIZE);
    key_id(ret_verifier->name, ret_verifier->public_key, ret_verifier->key_id);

    char again[LOG_VERIFIER_TEXT_MAX + 1];
    log_verifier_text(ret_verifier->name, ret_verifier->public_key, again);
    return strcmp(again, text) == 0;
}

/* One signature line, of whatever key. */
struct signature_line {
    struct span name;
    struct span key_id;
    struct span signature;
};

/* libsodium 1.0.18 also reads bytes that are not ASCII, as '/': a note could be changed and stay good. */
static bool base64_canonical(struct span text, struct bytes *ret_data, struct fault *f)
{
    AUTO(bytes) again = {0};
    if (base64_decode(text, ret_data, f) != OK)
        return false;
    base64_append(&again, bytes_span(ret_data));
    return span_equal(text, bytes_span(&again));
}

/* The next line of *lines, which is moved behind it. `blob` owns what the signature borrows. */
static bool signature_next(struct span *lines, struct bytes *blob, struct signature_line *ret_line, struct fault *f)
{
    struct span line, encoded;
    if (!span_split(*lines, "\n", &line, lines) || !span_starts(line, span_text(SIGNATURE_PREFIX)))
        return false;
    size_t prefix = strlen(SIGNATURE_PREFIX);
    line = span(line.data + prefix, line.size - prefix);
    if (!span_split(line, " ", &ret_line->name, &encoded) || ret_line->name.size == 0 ||
        !base64_canonical(encoded, blob, f) || blob->size <= KEY_ID_SIZE)
        return false;
    ret_line->key_id = span(blob->data, KEY_ID_SIZE);
    ret_line->signature = span(blob->data + KEY_ID_SIZE, blob->size - KEY_ID_SIZE);
    return true;
}

static bool signed_by(const struct signature_line *line, const struct verifier *verifier)
{
    return span_equal(line->name, span_text(verifier->name)) && span_equal(line->key_id, SPAN_OF(verifier->key_id));
}

static bool signature_good(const struct signature_line *line, struct span text, const struct verifier *verifier)
{
    return line->signature.size == LOG_SIGNATURE_SIZE &&
           crypto_sign_verify_detached(line->signature.data, text.data, text.size, verifier->public_key) == 0;
}

/* Others may have signed too (witnesses); the first line that names our key decides. */
static enum err signatures_verify(struct span lines, struct span text, const struct verifier *verifier, struct fault *f)
{
    bool found = false;
    while (lines.size > 0) {
        AUTO(bytes) blob = {0};
        struct signature_line line;
        if (!signature_next(&lines, &blob, &line, f))
            return fault_set(f, CODE_MALFORMED, "the note has a signature line that is not one (C2SP signed-note)");
        if (found || !signed_by(&line, verifier))
            continue;
        if (!signature_good(&line, text, verifier))
            return fault_set(f, CODE_UNTRUSTED, "the checkpoint's signature is not by the key of %s", verifier->name);
        found = true;
    }
    return found ? OK : fault_set(f, CODE_UNTRUSTED, "the checkpoint is not signed by the key of %s", verifier->name);
}

enum err checkpoint_verify(struct span note, const char *verifier, struct checkpoint *ret_checkpoint, struct fault *f)
{
    struct verifier by = {0};
    struct span text, lines;
    if (!verifier_read(verifier, &by, f))
        return fault_set(f, CODE_MALFORMED, "the verifier key is not <name>+<key id>+<base64 key> (C2SP signed-note)");
    if (note.size > NOTE_SIZE_MAX || !span_split(note, "\n\n", &text, &lines))
        return fault_set(f, CODE_MALFORMED, "the checkpoint is not a signed note (C2SP signed-note)");
    text.size++; /* its last line ends with the first of the two line feeds */
    TRY(signatures_verify(lines, text, &by, f));

    struct checkpoint checkpoint;
    TRY(checkpoint_parse_text(text, &checkpoint, f));
    if (strcmp(checkpoint.origin, by.name) != 0)
        return fault_set(f, CODE_UNTRUSTED, "the checkpoint is of the log %s, not of %s", checkpoint.origin, by.name);
    *ret_checkpoint = checkpoint;
    return OK;
}
