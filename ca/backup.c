#include "ca/backup.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ca/base/encode.h"
#include "ca/base/io.h"

#define TITLE "ensign backup 1\n"
#define UNSIGNED "-"

enum {
    HEAD_MAX = 1024,
    STREAM_HEADER_SIZE = crypto_secretstream_xchacha20poly1305_HEADERBYTES,
    TAG_SIZE = crypto_secretstream_xchacha20poly1305_ABYTES,
    SEALED_MAX = BACKUP_MESSAGE_MAX + TAG_SIZE,
    LENGTH_SIZE = 4,
};

_Static_assert(BACKUP_STREAM_KEY_SIZE == crypto_secretstream_xchacha20poly1305_KEYBYTES, "libsodium's streams");

struct backup_writer {
    int fd;
    struct bytes head;
    crypto_secretstream_xchacha20poly1305_state state;
    uint8_t sealed[SEALED_MAX];
};

struct backup_reader {
    int fd;
    bool ended;
    struct bytes head;
    crypto_secretstream_xchacha20poly1305_state state;
    uint8_t sealed[SEALED_MAX], message[BACKUP_MESSAGE_MAX];
};

static void key_wipe(uint8_t (*key)[BACKUP_STREAM_KEY_SIZE])
{
    sodium_memzero(*key, sizeof *key);
}

/* ---- who made it ---- */

enum err backup_head_sign(struct backup_head *head, struct span note, const char *origin,
                          const uint8_t log_public_key[LOG_PUBLIC_KEY_SIZE], struct fault *f)
{
    struct checkpoint checkpoint;
    char verifier[LOG_VERIFIER_TEXT_MAX + 1];
    AUTO(bytes) text = {0};
    log_verifier_text(origin, log_public_key, verifier);
    TRY(checkpoint_verify(note, verifier, &checkpoint, f));
    checkpoint_text(&checkpoint, &text);
    TRY(bytes_check(&text, f));
    struct span line = span(note.data + text.size + 1, note.size - text.size - 2); /* between line feeds */
    if (line.size > BACKUP_SIGNATURE_MAX || memchr(line.data, '\n', line.size))
        return fault_set(f, CODE_UNTRUSTED, "the checkpoint has more than the signature of the log's key");
    head->checkpoint = checkpoint;
    memcpy(head->signature, line.data, line.size);
    head->signature[line.size] = '\0';
    return OK;
}

enum err backup_head_verify(const struct backup_head *head, const uint8_t log_public_key[LOG_PUBLIC_KEY_SIZE],
                            struct fault *f)
{
    struct checkpoint checkpoint;
    char verifier[LOG_VERIFIER_TEXT_MAX + 1];
    AUTO(bytes) note = {0};
    if (!head->signature[0])
        return fault_set(f, CODE_UNTRUSTED, "nobody has signed the backup");
    log_verifier_text(head->checkpoint.origin, log_public_key, verifier);
    checkpoint_text(&head->checkpoint, &note);
    bytes_appendf(&note, "\n%s\n", head->signature);
    TRY(bytes_check(&note, f));
    if (checkpoint_verify(bytes_span(&note), verifier, &checkpoint, f) == OK)
        return OK;
    fault_clear(f);
    return fault_set(f, CODE_UNTRUSTED, "the log's key has not signed the checkpoint in the head of the backup");
}

/* ---- writing ---- */

static void head_text(const struct backup_head *head, struct bytes *out)
{
    char time[TIME_TEXT_SIZE], recipient[BACKUP_RECIPIENT_TEXT_SIZE];
    time_text(head->time, time);
    backup_recipient_text(head->recipient, recipient);
    bytes_append_text(out, TITLE);
    checkpoint_text(&head->checkpoint, out);
    bytes_appendf(out, "%s\n%s\n%s\n\n", head->signature[0] ? head->signature : UNSIGNED, time, recipient);
}

static enum err all_write(int fd, struct span data, struct fault *f)
{
    return fd_write(fd, data) ? OK : fault_errno(f, "cannot write the backup");
}

static enum err stream_begin(struct backup_writer *writer, const struct backup_head *head, struct fault *f)
{
    CLEANUP(key_wipe) uint8_t key[BACKUP_STREAM_KEY_SIZE] = {0};
    uint8_t sealed[BACKUP_SEALED_SIZE], header[STREAM_HEADER_SIZE];
    TRY(backup_stream_key(head->recipient, key, sealed, f));
    crypto_secretstream_xchacha20poly1305_init_push(&writer->state, header, key);
    head_text(head, &writer->head);
    TRY(bytes_check(&writer->head, f));
    TRY(all_write(writer->fd, bytes_span(&writer->head), f));
    TRY(all_write(writer->fd, SPAN_OF(sealed), f));
    return all_write(writer->fd, SPAN_OF(header), f);
}

enum err backup_write_begin(int fd, const struct backup_head *head, struct backup_writer **ret_writer, struct fault *f)
{
    CLEANUP(backup_writer_auto) struct backup_writer *writer = calloc(1, sizeof *writer);
    if (!writer)
        return fault_no_memory(f);
    writer->fd = fd;
    TRY(stream_begin(writer, head, f));
    *ret_writer = TAKE(writer);
    return OK;
}

enum err backup_write(struct backup_writer *writer, struct span message, bool last, struct fault *f)
{
    AUTO(bytes) length = {0};
    unsigned char tag = last ? crypto_secretstream_xchacha20poly1305_TAG_FINAL : 0;
    unsigned long long size = 0;
    if (message.size > BACKUP_MESSAGE_MAX)
        return fault_set(f, CODE_TOO_LARGE, "a message of a backup has at most %d bytes", BACKUP_MESSAGE_MAX);
    crypto_secretstream_xchacha20poly1305_push(&writer->state, writer->sealed, &size, message.data, message.size,
                                               writer->head.data, writer->head.size, tag);
    pack_u32(&length, (uint32_t)size);
    TRY(bytes_check(&length, f));
    TRY(all_write(writer->fd, bytes_span(&length), f));
    return all_write(writer->fd, span(writer->sealed, size), f);
}

void backup_writer_auto(struct backup_writer **writer)
{
    if (!*writer)
        return;
    bytes_free(&(*writer)->head);
    sodium_memzero(*writer, sizeof **writer);
    free(*writer);
}

/* ---- reading ---- */

static enum err fault_cut(struct fault *f)
{
    return fault_set(f, CODE_DAMAGED, "the backup is cut off: its end is missing");
}

/* ret_size  less than asked for at the end of the file alone */
static enum err some_read(int fd, void *data, size_t size, size_t *ret_size, struct fault *f)
{
    size_t done = 0;
    ssize_t got = 1;
    while (done < size && got != 0) {
        got = read(fd, (uint8_t *)data + done, size - done);
        if (got < 0 && errno != EINTR)
            return fault_errno(f, "cannot read the backup");
        done += got > 0 ? (size_t)got : 0;
    }
    *ret_size = done;
    return OK;
}

static enum err all_read(int fd, void *data, size_t size, struct fault *f)
{
    size_t got = 0;
    TRY(some_read(fd, data, size, &got, f));
    return got == size ? OK : fault_cut(f);
}

/* Up to the empty line, byte by byte: what follows is no text. */
static enum err head_read(int fd, struct bytes *out, struct fault *f)
{
    size_t title = strlen(TITLE);
    while (out->size < 2 || memcmp(out->data + out->size - 2, "\n\n", 2) != 0) {
        uint8_t byte;
        if (out->size == HEAD_MAX || (out->size == title && memcmp(out->data, TITLE, title) != 0))
            return fault_set(f, CODE_DAMAGED, "this is no backup of ensignd, or its head was damaged");
        TRY(all_read(fd, &byte, 1, f));
        bytes_append(out, &byte, 1);
        TRY(bytes_check(out, f));
    }
    return OK;
}

/* The last line of `text`, which is cut off from it; NULL when there is none. */
static const char *line_take(char *text)
{
    char *end = strrchr(text, '\n');
    if (!end)
        return NULL;
    *end = '\0';
    return end + 1;
}

/* Reads loosely, from the end; what does not come out the same when it is written again was changed. */
static bool head_parse(const struct bytes *head, struct backup_head *ret_head)
{
    char text[HEAD_MAX + 1];
    struct fault why = {0};
    AUTO(bytes) again = {0};
    snprintf(text, sizeof text, "%.*s", (int)head->size - 2, bytes_text(head)); /* without the empty line */
    const char *recipient = line_take(text), *time = recipient ? line_take(text) : NULL,
               *signature = time ? line_take(text) : NULL;
    size_t title = strlen(TITLE), size = strlen(text) + 1; /* with its line feed */
    if (!signature || size < title || strlen(signature) > BACKUP_SIGNATURE_MAX ||
        checkpoint_parse_text(span(head->data + title, size - title), &ret_head->checkpoint, &why) != OK ||
        time_parse(time, &ret_head->time, &why) != OK ||
        backup_recipient_parse(recipient, ret_head->recipient, &why) != OK)
        return false;
    strcpy(ret_head->signature, strcmp(signature, UNSIGNED) == 0 ? "" : signature);
    head_text(ret_head, &again);
    return again.failed || span_equal(bytes_span(head), bytes_span(&again));
}

static enum err recipient_check(const struct backup_head *head, const struct backup_key *key, struct fault *f)
{
    char wanted[BACKUP_RECIPIENT_TEXT_SIZE], ours[BACKUP_RECIPIENT_TEXT_SIZE];
    if (memcmp(head->recipient, key->recipient, sizeof head->recipient) == 0)
        return OK;
    backup_recipient_text(head->recipient, wanted);
    backup_recipient_text(key->recipient, ours);
    return fault_set(f, CODE_INVALID, "the backup is for %s, and this is the private key of %s", wanted, ours);
}

static enum err stream_open(struct backup_reader *reader, const struct backup_key *key, struct fault *f)
{
    CLEANUP(key_wipe) uint8_t stream_key[BACKUP_STREAM_KEY_SIZE] = {0};
    uint8_t sealed[BACKUP_SEALED_SIZE], header[STREAM_HEADER_SIZE];
    TRY(all_read(reader->fd, sealed, sizeof sealed, f));
    TRY(all_read(reader->fd, header, sizeof header, f));
    TRY(backup_key_open(key, sealed, stream_key, f));
    if (crypto_secretstream_xchacha20poly1305_init_pull(&reader->state, header, stream_key) != 0)
        return fault_set(f, CODE_DAMAGED, "the backup was damaged or changed");
    return OK;
}

enum err backup_read_begin(int fd, const struct backup_key *key, struct backup_reader **ret_reader,
                           struct backup_head *ret_head, struct fault *f)
{
    struct backup_head head = {0};
    CLEANUP(backup_reader_auto) struct backup_reader *reader = calloc(1, sizeof *reader);
    if (!reader)
        return fault_no_memory(f);
    reader->fd = fd;
    TRY(head_read(fd, &reader->head, f));
    if (!head_parse(&reader->head, &head))
        return fault_set(f, CODE_DAMAGED, "the head of the backup was damaged or changed");
    TRY(recipient_check(&head, key, f));
    TRY(stream_open(reader, key, f));
    *ret_head = head;
    *ret_reader = TAKE(reader);
    return OK;
}

static enum err end_check(const struct backup_reader *reader, struct fault *f)
{
    uint8_t more;
    size_t got = 0;
    TRY(some_read(reader->fd, &more, 1, &got, f));
    return got == 0 ? OK : fault_set(f, CODE_DAMAGED, "something follows the end of the backup: it was changed");
}

enum err backup_read(struct backup_reader *reader, struct span *ret_message, bool *ret_last, struct fault *f)
{
    uint8_t length[LENGTH_SIZE], tag = 0;
    unsigned long long size = 0;
    if (reader->ended)
        return fault_cut(f);
    TRY(all_read(reader->fd, length, sizeof length, f));
    struct unpack in = unpack_begin(SPAN_OF(length));
    uint32_t sealed = unpack_u32(&in);
    if (sealed < TAG_SIZE || sealed > SEALED_MAX)
        return fault_set(f, CODE_DAMAGED, "the backup was damaged or changed");
    TRY(all_read(reader->fd, reader->sealed, sealed, f));
    if (crypto_secretstream_xchacha20poly1305_pull(&reader->state, reader->message, &size, &tag, reader->sealed, sealed,
                                                   reader->head.data, reader->head.size) != 0)
        return fault_set(f, CODE_DAMAGED, "the backup was damaged or changed");
    reader->ended = tag == crypto_secretstream_xchacha20poly1305_TAG_FINAL;
    if (reader->ended)
        TRY(end_check(reader, f));
    *ret_message = span(reader->message, size);
    *ret_last = reader->ended;
    return OK;
}

void backup_reader_auto(struct backup_reader **reader)
{
    if (!*reader)
        return;
    bytes_free(&(*reader)->head);
    sodium_memzero(*reader, sizeof **reader);
    free(*reader);
}
