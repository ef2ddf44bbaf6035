/* powercut.c: cuts the power of the disk under a store that is being written, and checks that what was acknowledged is
 * there afterwards, byte for byte, and that no commit is there by half.
 *
 *     powercut --rounds N [--nosync]
 *
 * With --nosync commits are not made durable: the check must then find a loss, or it would check nothing. */
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ca/store_lmdb.h"
#include "tests/fault/ext4.h"

enum { DISK_MEBIBYTES = 64, START_SECONDS = 20, CUT_AFTER_MS_MAX = 300, EXIT_SKIPPED = 77 };

static void value_make(uint32_t number, struct bytes *out)
{
    for (uint32_t i = 0; i < 50 + number % 3000; i++)
        bytes_append(out, &(uint8_t){(uint8_t)(number * 31 + i * 7)}, 1);
}

static void pause_ms(uint32_t milliseconds)
{
    nanosleep(&(struct timespec){milliseconds / 1000, (long)(milliseconds % 1000) * 1000000}, NULL);
}

/* ---- the writer ---- */

/* A row that stays, and one that each commit overwrites: the number of the last. */
static enum err commit_number(struct store *store, uint32_t number, struct fault *f)
{
    char key[24], last[16];
    AUTO(bytes) value = {0};
    snprintf(key, sizeof key, "row %010" PRIu32, number);
    snprintf(last, sizeof last, "%" PRIu32, number);
    value_make(number, &value);
    TRY(bytes_check(&value, f));
    struct write writes[] = {{.key = span_text(key), .value = bytes_span(&value)},
                             {.key = span_text("last"), .value = span_text(last)}};
    return store_commit(store, NULL, 0, writes, ARRAY_SIZE(writes), f);
}

/* Commits 0, 1, 2… and writes each number to the record when it is acknowledged. */
static int writer_run(const char *folder, const struct store_lmdb_options *options, int record)
{
    struct fault f = {0};
    struct store *store;
    if (store_lmdb_open_with(folder, options, &store, &f) != OK)
        return 1;
    for (uint32_t number = 0; commit_number(store, number, &f) == OK; number++)
        if (write(record, &number, sizeof number) != sizeof number)
            return 1;
    pause(); /* the power is off: as a machine, it does not close anything any more */
    return 0;
}

static uint32_t acknowledged(int record)
{
    struct stat status;
    return fstat(record, &status) == 0 ? (uint32_t)((uint64_t)status.st_size / sizeof(uint32_t)) : 0;
}

static bool first_acknowledged(int record)
{
    for (uint32_t waited = 0; waited < START_SECONDS * 1000; waited++) {
        if (acknowledged(record) > 0)
            return true;
        pause_ms(1);
    }
    return false;
}

/* The number of commits that were acknowledged before the power went; 0: the writer did not get as far as one. */
static uint32_t write_until_cut(const struct ext4 *disk, const struct store_lmdb_options *options, int record)
{
    pid_t writer = fork();
    if (writer == 0)
        _exit(writer_run(disk->folder, options, record));
    bool cut = first_acknowledged(record);
    if (cut) {
        pause_ms(randombytes_uniform(CUT_AFTER_MS_MAX));
        cut = ext4_cut_power(disk);
    }
    kill(writer, SIGKILL);
    waitpid(writer, NULL, 0);
    return cut ? acknowledged(record) : 0;
}

/* ---- the check ---- */

struct rows {
    uint32_t count;
    bool good;
};

/* The rows are 0, 1, 2… without a gap, each as it was written. */
static bool row_check(void *context, struct span key, struct span value)
{
    struct rows *rows = context;
    char expected_key[24];
    AUTO(bytes) expected = {0};
    snprintf(expected_key, sizeof expected_key, "row %010" PRIu32, rows->count);
    value_make(rows->count, &expected);
    rows->good = span_equal(key, span_text(expected_key)) && span_equal(value, bytes_span(&expected));
    rows->count += rows->good;
    return rows->good;
}

static bool rows_check(struct store *store, uint32_t expected, struct fault *f)
{
    struct rows rows = {.good = true};
    AUTO(bytes) last = {0};
    if (store_scan(store, span_text("row "), span_text("row!"), false, row_check, &rows, f) != OK ||
        store_get(store, span_text("last"), &last, NULL, f) != OK) {
        printf("%s; ", f->text);
        return false;
    }
    printf("%" PRIu32 " acknowledged, %" PRIu32 " there; ", expected, rows.count);
    return rows.good && rows.count >= expected && strtoul(bytes_text(&last), NULL, 10) == rows.count - 1;
}

enum outcome { KEPT, LOST, BROKEN /* the test itself did not work */ };

static enum outcome disk_check(struct ext4 *disk, uint32_t expected)
{
    struct fault f = {0};
    struct store *store = NULL;
    if (!ext4_unmount(disk) || !ext4_mount(disk)) {
        printf("the disk cannot be mounted again; ");
        return BROKEN;
    }
    if (store_lmdb_open(disk->folder, false, &store, &f) != OK) {
        printf("%" PRIu32 " acknowledged, %s; ", expected, f.text);
        return LOST;
    }
    bool good = rows_check(store, expected, &f) && commit_number(store, expected, &f) == OK;
    store_close(store);
    return good ? KEPT : LOST;
}

/* ---- rounds ---- */

static enum outcome round_on(struct ext4 *disk, const struct store_lmdb_options *options)
{
    FILE *record = tmpfile();
    uint32_t expected = record ? write_until_cut(disk, options, fileno(record)) : 0;
    if (record)
        fclose(record);
    if (expected > 0)
        return disk_check(disk, expected);
    printf("nothing was written; ");
    return BROKEN;
}

static int rounds_run(unsigned long rounds, const struct store_lmdb_options *options)
{
    unsigned long failed = 0;
    for (unsigned long round = 0; round < rounds; round++) {
        struct ext4 disk;
        if (!ext4_make(DISK_MEBIBYTES, &disk)) {
            puts("skipped: mounting is not permitted here");
            return EXIT_SKIPPED;
        }
        bool good = round_on(&disk, options) == (options->unsafe_no_sync ? LOST : KEPT);
        puts(good ? "passed" : "FAILED");
        fflush(stdout);
        failed += !good;
        ext4_remove(&disk);
    }
    printf("%lu passed, %lu failed\n", rounds - failed, failed);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int count, char **arguments)
{
    struct store_lmdb_options options = {.create = true};
    unsigned long rounds = 0;
    for (int i = 1; i < count; i++) {
        if (strcmp(arguments[i], "--nosync") == 0)
            options.unsafe_no_sync = true;
        else if (strcmp(arguments[i], "--rounds") == 0 && i + 1 < count)
            rounds = strtoul(arguments[++i], NULL, 10);
        else
            rounds = 0;
    }
    if (rounds == 0 || sodium_init() < 0) {
        fputs("usage: powercut --rounds N [--nosync]\n", stderr);
        return 2;
    }
    mounts_private();
    return rounds_run(rounds, &options);
}
