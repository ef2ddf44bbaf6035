/* Backups: any file is read or refused as damaged; what was written is read again; one changed byte, a cut and a longer
 * file are refused before the last message is handed out. */
#include "ca/backup.h"

#include <sodium.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"

enum { RAW, MESSAGES, CHANGE, CUT, LONGER, CHOICES };

/* The same one in every run, so that what was found once is found again. */
static const struct backup_key *test_key(void)
{
    static struct backup_key key;
    if (!key.private_key.data) {
        HOLDS(sodium_init() >= 0);
        fuzz_must(secret_new(crypto_box_SECRETKEYBYTES, &key.private_key, fuzz_fault()), fuzz_fault());
        memset(key.private_key.data, 7, key.private_key.size);
        HOLDS(crypto_scalarmult_base(key.recipient, key.private_key.data) == 0);
    }
    return &key;
}

static struct backup_head test_head(void)
{
    struct backup_head head = {.checkpoint = {.origin = "example/log", .size = 7}, .time = 1800000000};
    memcpy(head.recipient, test_key()->recipient, sizeof head.recipient);
    return head;
}

static int file_of(struct span content)
{
    int fd = memfd_create("backup", MFD_CLOEXEC);
    HOLDS(fd >= 0 && write(fd, content.data, content.size) == (ssize_t)content.size && lseek(fd, 0, SEEK_SET) == 0);
    return fd;
}

/* A backup of these bytes, in messages that become longer. */
static void file_make(struct span content, struct bytes *ret_file)
{
    const struct backup_head head = test_head();
    int fd = memfd_create("backup", MFD_CLOEXEC);
    HOLDS(fd >= 0);
    CLEANUP(backup_writer_auto) struct backup_writer *writer = NULL;
    fuzz_must(backup_write_begin(fd, &head, &writer, fuzz_fault()), fuzz_fault());
    for (size_t size = 1; content.size > size; size *= 2) {
        fuzz_must(backup_write(writer, span(content.data, size), false, fuzz_fault()), fuzz_fault());
        content = span(content.data + size, content.size - size);
    }
    fuzz_must(backup_write(writer, content, true, fuzz_fault()), fuzz_fault());
    off_t size = lseek(fd, 0, SEEK_END);
    void *all = mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE, fd, 0);
    HOLDS(size > 0 && all != MAP_FAILED);
    bytes_append(ret_file, all, (size_t)size);
    munmap(all, (size_t)size);
    close(fd);
}

/* Reads all of it. True when the last message came; ret_content: what did. */
static bool file_read_whole(struct span file, struct bytes *ret_content)
{
    struct backup_head head;
    struct backup_reader *reader;
    struct fault *f = fuzz_fault();
    bool last = false;
    int fd = file_of(file);
    fuzz_fresh(&head, sizeof head);
    fuzz_fresh(&reader, sizeof reader);
    enum err err = backup_read_begin(fd, test_key(), &reader, &head, f);
    if (!fuzz_kept(err, f, &head, sizeof head)) {
        HOLDS(fuzz_kept(err, f, &reader, sizeof reader) || err == ERR_IO || err == ERR_INPUT);
        close(fd);
        return false;
    }
    HOLDS(log_origin_valid(head.checkpoint.origin) && memchr(head.signature, 0, sizeof head.signature));
    while (err == OK && !last) {
        struct span message;
        fuzz_fresh(&message, sizeof message);
        f = fuzz_fault();
        err = backup_read(reader, &message, &last, f);
        if (fuzz_kept(err, f, &message, sizeof message))
            bytes_append_span(ret_content, message);
    }
    backup_reader_auto(&reader);
    close(fd);
    return last;
}

/* The input: where (u16), how (u8), the content. */
static void changed_hold(struct span input, uint8_t choice)
{
    struct unpack in = unpack_begin(input);
    AUTO(bytes) file = {0}, content = {0};
    size_t at = unpack_u16(&in);
    uint8_t change = unpack_u8(&in);
    file_make(in.rest, &file);
    if (choice == CHANGE)
        file.data[at % file.size] ^= change ? change : 1;
    else if (choice == CUT)
        file.size = at % file.size;
    else
        bytes_append(&file, &change, 1);
    HOLDS(!file_read_whole(bytes_span(&file), &content));
    HOLDS(content.size <= in.rest.size && (content.size == 0 || memcmp(content.data, in.rest.data, content.size) == 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = span(data, size);
    AUTO(bytes) file = {0}, content = {0};
    uint8_t choice = fuzz_choice(&input, CHOICES);
    test_key();
    if (choice == RAW) {
        file_read_whole(input, &content);
    } else if (choice == MESSAGES) {
        file_make(input, &file);
        HOLDS(file_read_whole(bytes_span(&file), &content));
        HOLDS(span_equal(bytes_span(&content), input));
    } else {
        changed_hold(input, choice);
    }
    return 0;
}

void fuzz_seeds(void)
{
    static const char content[] = "\1\2\3 what a database holds, in several messages of a backup";
    AUTO(bytes) file = {0};
    file_make(SPAN_OF(content), &file);
    fuzz_seed_choice(RAW, bytes_span(&file));
    for (uint8_t choice = MESSAGES; choice < CHOICES; choice++)
        fuzz_seed_choice(choice, SPAN_OF(content));
    fuzz_seed_choice(MESSAGES, span(NULL, 0));
    fuzz_seed_choice(RAW, span_text("ensign backup 1\nexample/log\n7\n\n"));
}
