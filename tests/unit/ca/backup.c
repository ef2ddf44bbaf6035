/* The file of a backup: what is written is read, and nothing that was cut, changed or is another's. */
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ca/backup.h"
#include "ca/restore.h"
#include "tests/unit/base/suite.h"

enum { MESSAGES = 3, MESSAGE_SIZE = 40 };

struct place {
    char folder[32], path[48], other_path[48];
    struct backup_key key, other;
    struct backup_head head;
    struct bytes file; /* a good backup */
};

static int file_of(struct span content)
{
    int fd = memfd_create("backup", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, content.data, content.size), content.size);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    return fd;
}

static void key_make(const char *path, struct backup_key *key)
{
    struct fault f = {0};
    uint8_t recipient[BACKUP_RECIPIENT_SIZE];
    struct stat status;
    assert_ok(backup_key_make(path, recipient, &f), &f);
    assert_ok(backup_key_read(path, key, &f), &f);
    assert_memory_equal(key->recipient, recipient, sizeof recipient);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    assert_int_equal(backup_key_make(path, recipient, &f), ERR_IO); /* never overwritten */
}

static void message_fill(uint8_t message[MESSAGE_SIZE], int number)
{
    memset(message, 'a' + number, MESSAGE_SIZE);
}

static void backup_make(struct place *place)
{
    struct fault f = {0};
    uint8_t message[MESSAGE_SIZE];
    int fd = memfd_create("backup", MFD_CLOEXEC);
    CLEANUP(backup_writer_auto) struct backup_writer *writer = NULL;
    assert_ok(backup_write_begin(fd, &place->head, &writer, &f), &f);
    for (int i = 0; i < MESSAGES; i++) {
        message_fill(message, i);
        assert_ok(backup_write(writer, SPAN_OF(message), i == MESSAGES - 1, &f), &f);
    }
    off_t size = lseek(fd, 0, SEEK_END);
    uint8_t *content = malloc((size_t)size);
    assert_int_equal(pread(fd, content, (size_t)size, 0), size);
    bytes_append(&place->file, content, (size_t)size);
    free(content);
    close(fd);
}

static int place_make(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    strcpy(place->folder, "/tmp/ensign-backup-XXXXXX");
    assert_non_null(mkdtemp(place->folder));
    snprintf(place->path, sizeof place->path, "%s/key", place->folder);
    snprintf(place->other_path, sizeof place->other_path, "%s/other", place->folder);
    key_make(place->path, &place->key);
    key_make(place->other_path, &place->other);
    place->head = (struct backup_head){.checkpoint = {.origin = "localhost/ensign/1", .size = 7}, .time = 1800000000};
    memcpy(place->head.recipient, place->key.recipient, BACKUP_RECIPIENT_SIZE);
    backup_make(place);
    *state = place;
    return 0;
}

static int place_remove(void **state)
{
    struct place *place = *state;
    unlink(place->path);
    unlink(place->other_path);
    rmdir(place->folder);
    backup_key_cleanup(&place->key);
    backup_key_cleanup(&place->other);
    bytes_free(&place->file);
    free(place);
    return 0;
}

/* Reads all of it; *ret_messages are those that were handed out, each of which must be what was written. */
static enum err all_read(struct span file, const struct backup_key *key, struct backup_head *ret_head,
                         int *ret_messages, struct fault *f)
{
    int fd = file_of(file);
    CLEANUP(backup_reader_auto) struct backup_reader *reader = NULL;
    bool last = false;
    *ret_messages = 0;
    enum err err = backup_read_begin(fd, key, &reader, ret_head, f);
    while (err == OK && !last) {
        struct span message;
        uint8_t expected[MESSAGE_SIZE];
        err = backup_read(reader, &message, &last, f);
        message_fill(expected, *ret_messages);
        if (err == OK && !span_equal(message, SPAN_OF(expected)))
            fail_msg("message %d is not what was written", *ret_messages);
        *ret_messages += err == OK;
    }
    close(fd);
    return err;
}

static void what_is_written_is_read(void **state)
{
    const struct place *place = *state;
    struct fault f = {0};
    struct backup_head head;
    int messages;
    assert_ok(all_read(bytes_span(&place->file), &place->key, &head, &messages, &f), &f);
    assert_int_equal(messages, MESSAGES);
    assert_string_equal(head.checkpoint.origin, place->head.checkpoint.origin);
    assert_int_equal(head.checkpoint.size, 7);
    assert_int_equal(head.time, place->head.time);
    assert_null(memmem(place->file.data, place->file.size, "aaaa", 4));
    assert_non_null(memmem(place->file.data, place->file.size, "ensign backup 1\nlocalhost/ensign/1\n7\n", 37));
}

static void a_cut_is_told(void **state)
{
    const struct place *place = *state;
    for (size_t size = 0; size < place->file.size; size++) {
        struct fault f = {0};
        struct backup_head head;
        int messages;
        assert_int_equal(all_read(span(place->file.data, size), &place->key, &head, &messages, &f), ERR_IO);
        assert_int_equal(f.code, CODE_DAMAGED);
        assert_true(messages < MESSAGES);
    }
}

static void each_changed_byte_is_told(void **state)
{
    const struct place *place = *state;
    for (size_t at = 0; at < place->file.size; at++)
        for (int bit = 0; bit < 8; bit += 3) {
            struct fault f = {0};
            struct backup_head head;
            int messages;
            place->file.data[at] ^= (uint8_t)(1 << bit);
            enum err err = all_read(bytes_span(&place->file), &place->key, &head, &messages, &f);
            place->file.data[at] ^= (uint8_t)(1 << bit);
            if (err == OK || (f.code != CODE_DAMAGED && f.code != CODE_INVALID) || messages == MESSAGES)
                fail_msg("byte %zu, bit %d: %s, %d messages", at, bit, line_of(&f), messages);
        }
}

static void what_follows_is_told(void **state)
{
    const struct place *place = *state;
    struct fault f = {0};
    struct backup_head head;
    int messages;
    AUTO(bytes) longer = {0};
    bytes_append_span(&longer, bytes_span(&place->file));
    bytes_append_text(&longer, "x");
    assert_int_equal(all_read(bytes_span(&longer), &place->key, &head, &messages, &f), ERR_IO);
    assert_says(&f, "follows the end");
    /* Two messages that change places. */
    size_t sealed = 4 + MESSAGE_SIZE + 17, first = place->file.size - MESSAGES * sealed;
    bytes_clear(&longer);
    bytes_append(&longer, place->file.data, first);
    bytes_append(&longer, place->file.data + first + sealed, sealed);
    bytes_append(&longer, place->file.data + first, sealed);
    bytes_append(&longer, place->file.data + first + 2 * sealed, sealed);
    assert_int_equal(longer.size, place->file.size);
    assert_int_equal(all_read(bytes_span(&longer), &place->key, &head, &messages, &f), ERR_IO);
    assert_int_equal(messages, 0);
}

static void another_key_is_told(void **state)
{
    const struct place *place = *state;
    struct fault f = {0};
    struct backup_head head;
    int messages;
    assert_int_equal(all_read(bytes_span(&place->file), &place->other, &head, &messages, &f), ERR_INPUT);
    assert_says(&f, "the backup is for ensign-backup:");
    /* Also when the head is changed to name it. */
    AUTO(bytes) changed = {0};
    char ours[BACKUP_RECIPIENT_TEXT_SIZE], theirs[BACKUP_RECIPIENT_TEXT_SIZE];
    backup_recipient_text(place->key.recipient, ours);
    backup_recipient_text(place->other.recipient, theirs);
    bytes_append_span(&changed, bytes_span(&place->file));
    uint8_t *at = memmem(changed.data, changed.size, ours, strlen(ours));
    assert_non_null(at);
    memcpy(at, theirs, strlen(theirs));
    assert_int_equal(all_read(bytes_span(&changed), &place->other, &head, &messages, &f), ERR_IO);
    assert_says(&f, "the backup's key was damaged or changed");
}

static void recipients_and_keys_are_told_apart(void **state)
{
    const struct place *place = *state;
    char good[BACKUP_RECIPIENT_TEXT_SIZE], private_text[128] = "";
    uint8_t recipient[BACKUP_RECIPIENT_SIZE];
    struct fault f = {0};
    backup_recipient_text(place->key.recipient, good);
    assert_ok(backup_recipient_parse(good, recipient, &f), &f);
    int fd = open(place->path, O_RDONLY);
    assert_true(read(fd, private_text, sizeof private_text - 1) > 80);
    close(fd);
    const char *const wrong[] = {"", "ensign-backup:", "ensign-backup:00", good + 1, private_text};
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        struct fault why = {0};
        assert_int_equal(backup_recipient_parse(wrong[i], recipient, &why), ERR_INPUT);
        assert_int_equal(why.code, CODE_USAGE);
        assert_null(strstr(line_of(&why), private_text + 20));
    }
    /* a recipient in the place of the private key; a key that others can read */
    struct backup_key key;
    fd = open(place->other_path, O_WRONLY | O_TRUNC);
    assert_int_equal(write(fd, good, strlen(good)), strlen(good));
    assert_int_equal(backup_key_read(place->other_path, &key, &f), ERR_INPUT);
    assert_int_equal(fchmod(fd, 0640), 0);
    assert_int_equal(backup_key_read(place->other_path, &key, &f), ERR_IO);
    assert_says(&f, "chmod 600");
    close(fd);
}

/* A log's key, and the note that it signs. */
static void note_make(const struct checkpoint *checkpoint, uint8_t ret_public_key[LOG_PUBLIC_KEY_SIZE],
                      struct bytes *ret_note)
{
    uint8_t private_key[crypto_sign_SECRETKEYBYTES], signature[LOG_SIGNATURE_SIZE];
    AUTO(bytes) text = {0};
    crypto_sign_keypair(ret_public_key, private_key);
    checkpoint_text(checkpoint, &text);
    crypto_sign_detached(signature, NULL, text.data, text.size, private_key);
    checkpoint_note(checkpoint, ret_public_key, signature, ret_note);
}

static void who_signed_the_head_is_told(void **state)
{
    const struct place *place = *state;
    const struct checkpoint signed_one = {.origin = "localhost/ensign/1", .size = 9, .root = {{7}}};
    struct backup_head head = place->head, before = head;
    uint8_t ours[LOG_PUBLIC_KEY_SIZE], others[LOG_PUBLIC_KEY_SIZE];
    struct fault f = {0};
    AUTO(bytes) note = {0}, other_note = {0};
    note_make(&signed_one, ours, &note);
    note_make(&signed_one, others, &other_note);
    assert_int_equal(backup_head_verify(&head, ours, &f), ERR_AUTH);
    assert_says(&f, "nobody has signed");
    assert_int_equal(backup_head_sign(&head, bytes_span(&other_note), signed_one.origin, ours, &f), ERR_AUTH);
    assert_int_equal(backup_head_sign(&head, bytes_span(&note), "localhost/ensign/2", ours, &f), ERR_AUTH);
    assert_int_equal(backup_head_sign(&head, span(note.data, note.size / 2), signed_one.origin, ours, &f), ERR_INPUT);
    assert_memory_equal(&head, &before, sizeof head);
    f = (struct fault){0};
    assert_ok(backup_head_sign(&head, bytes_span(&note), signed_one.origin, ours, &f), &f);
    assert_int_equal(head.checkpoint.size, 9);
    assert_ok(backup_head_verify(&head, ours, &f), &f);
    assert_int_equal(backup_head_verify(&head, others, &f), ERR_AUTH);
    assert_says(&f, "has not signed the checkpoint in the head");
    head.checkpoint.size++;
    assert_int_equal(backup_head_verify(&head, ours, &f), ERR_AUTH);
    /* Two signatures: the head has room for the log's own alone. */
    AUTO(bytes) two = {0};
    AUTO(bytes) text = {0};
    checkpoint_text(&signed_one, &text);
    bytes_append_span(&two, bytes_span(&note));
    bytes_append(&two, other_note.data + text.size + 1, other_note.size - text.size - 1);
    assert_int_equal(backup_head_sign(&head, bytes_span(&two), signed_one.origin, ours, &f), ERR_AUTH);
    assert_says(&f, "more than the signature");
}

/* Written and read, the signature is good as before. */
static void a_signed_head_is_read(void **state)
{
    const struct place *place = *state;
    const struct checkpoint signed_one = {.origin = "localhost/ensign/1", .size = 9};
    struct place copy = {.head = place->head};
    uint8_t log_public_key[LOG_PUBLIC_KEY_SIZE];
    struct backup_head head;
    struct fault f = {0};
    int messages;
    AUTO(bytes) note = {0};
    note_make(&signed_one, log_public_key, &note);
    assert_ok(backup_head_sign(&copy.head, bytes_span(&note), signed_one.origin, log_public_key, &f), &f);
    backup_make(&copy);
    assert_ok(all_read(bytes_span(&copy.file), &place->key, &head, &messages, &f), &f);
    assert_string_equal(head.signature, copy.head.signature);
    assert_ok(backup_head_verify(&head, log_public_key, &f), &f);
    bytes_free(&copy.file);
}

static void the_state_of_a_copy_is_kept(void **unused)
{
    (void)unused;
    const struct restore_state state = {RESTORE_ROLLBACK, 1800000000, 12, {{1, 2, 3}}, 15, 9};
    struct restore_state read;
    struct fault f = {0};
    AUTO(bytes) row = {0};
    restore_state_pack(&state, &row);
    assert_ok(restore_state_unpack(bytes_span(&row), &read, &f), &f);
    assert_int_equal(read.cause, RESTORE_ROLLBACK);
    assert_int_equal(read.time, state.time);
    assert_int_equal(read.entries, 12);
    assert_memory_equal(&read.root, &state.root, sizeof read.root);
    assert_int_equal(read.shown, 15);
    assert_int_equal(read.settled, 9);
    for (size_t size = 0; size < row.size; size++)
        assert_int_equal(restore_state_unpack(span(row.data, size), &read, &f), ERR_IO);
    row.data[1] = RESTORE_ROLLBACK + 1;
    assert_int_equal(restore_state_unpack(bytes_span(&row), &read, &f), ERR_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_written_is_read, place_make, place_remove),
        cmocka_unit_test_setup_teardown(a_cut_is_told, place_make, place_remove),
        cmocka_unit_test_setup_teardown(each_changed_byte_is_told, place_make, place_remove),
        cmocka_unit_test_setup_teardown(what_follows_is_told, place_make, place_remove),
        cmocka_unit_test_setup_teardown(another_key_is_told, place_make, place_remove),
        cmocka_unit_test_setup_teardown(recipients_and_keys_are_told_apart, place_make, place_remove),
        cmocka_unit_test_setup_teardown(who_signed_the_head_is_told, place_make, place_remove),
        cmocka_unit_test_setup_teardown(a_signed_head_is_read, place_make, place_remove),
        cmocka_unit_test(the_state_of_a_copy_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
