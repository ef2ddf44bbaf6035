/* disk.c: a store on a disk that is full, fails, or is read-only: commits say so, reads go on, and nothing is lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ca/store_lmdb.h"
#include "tests/fault/ext4.h"
#include "tests/unit/store/backend.h"

enum { VALUE_SIZE = 16000, COMMITS_MAX = 10000 };

static const uint8_t value[VALUE_SIZE];

static struct store *open_in(const char *folder)
{
    struct fault f = {0};
    struct store *store = NULL;
    enum err err = store_lmdb_open(folder, true, &store, &f);
    if (err != OK)
        print_error("%s\n", f.text);
    assert_int_equal(err, OK);
    return store;
}

static enum code check_writable(struct store *store)
{
    struct fault f = {0};
    enum err err = store_check_writable(store, &f);
    assert_int_equal(err, code_err(f.code));
    return f.code;
}

static enum code put_number(struct store *store, int number)
{
    char key[32];
    snprintf(key, sizeof key, "row %06d", number);
    return try_put(store, key, SPAN_OF(value));
}

/* Writes rows from `number` on until the store takes no more; returns the number of the row that it refused. */
static int fill(struct store *store, int number)
{
    for (; number < COMMITS_MAX; number++) {
        enum code code = put_number(store, number);
        if (code == CODE_NONE)
            continue;
        assert_int_equal(code, CODE_READ_ONLY);
        return number;
    }
    fail_msg("the disk is never full");
    return number;
}

static bool count(void *context, struct span key, struct span found)
{
    (void)key;
    assert_true(span_equal(found, SPAN_OF(value)));
    ++*(int *)context;
    return true;
}

static void assert_rows(struct store *store, int expected)
{
    struct fault f = {0};
    int rows = 0;
    assert_int_equal(store_scan(store, span_text("row"), span_text("rox"), false, count, &rows, &f), OK);
    assert_int_equal(rows, expected);
}

static void ballast_write(const char *path, off_t size)
{
    int file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(file >= 0);
    if (size > 0)
        assert_int_equal(posix_fallocate(file, 0, size), 0);
    else
        while (write(file, value, 512) > 0)
            ;
    close(file);
}

/* Fills the disk, reads, frees space, goes on, and finds all after a restart. */
static void disk_fills_and_is_freed(const char *folder)
{
    char ballast[128];
    snprintf(ballast, sizeof ballast, "%s/ballast", folder);
    ballast_write(ballast, 3 << 20);
    struct store *store = open_in(folder);
    assert_int_equal(check_writable(store), CODE_NONE);
    int refused = fill(store, 0);
    assert_true(refused > 10);
    assert_int_equal(check_writable(store), CODE_READ_ONLY);
    assert_rows(store, refused);

    store_close(store); /* a restart on a full disk */
    store = open_in(folder);
    assert_int_equal(check_writable(store), CODE_READ_ONLY);
    assert_rows(store, refused);

    assert_int_equal(unlink(ballast), 0);
    assert_int_equal(check_writable(store), CODE_NONE);
    int refused_again = fill(store, refused);
    assert_true(refused_again > refused);
    store_close(store);
    store = open_in(folder);
    assert_rows(store, refused_again);
    store_close(store);
}

static bool tmpfs_make(char folder[], const char *options)
{
    assert_non_null(mkdtemp(folder));
    if (mount("none", folder, "tmpfs", 0, options) == 0)
        return true;
    rmdir(folder);
    print_message("skipped: mounting is not permitted here\n");
    return false;
}

static void tmpfs_remove(const char *folder)
{
    assert_int_equal(umount(folder), 0);
    assert_int_equal(rmdir(folder), 0);
}

static void a_full_tmpfs_is_told(void **state)
{
    (void)state;
    char folder[] = P_tmpdir "/ensign-disk-XXXXXX";
    if (!tmpfs_make(folder, "size=8m"))
        skip();
    disk_fills_and_is_freed(folder);
    tmpfs_remove(folder);
}

static void a_full_ext4_is_told(void **state)
{
    (void)state;
    struct ext4 disk;
    if (!ext4_make(16, &disk)) {
        print_message("skipped: mounting is not permitted here\n");
        skip();
    }
    disk_fills_and_is_freed(disk.folder);
    assert_true(ext4_unmount(&disk));
    ext4_remove(&disk);
}

static void too_little_space_for_a_store(void **state)
{
    (void)state;
    char folder[] = P_tmpdir "/ensign-disk-XXXXXX";
    if (!tmpfs_make(folder, "size=512k"))
        skip();
    struct fault f = {0};
    struct store *store = NULL;
    assert_int_equal(store_lmdb_open(folder, true, &store, &f), ERR_IO);
    assert_int_equal(f.code, CODE_READ_ONLY);
    assert_null(store);
    tmpfs_remove(folder);
}

/* Takes away what was allocated, as a file system does that writes to other places than it was promised. */
static void allocated_space_take(const char *folder, struct store *store)
{
    char path[128];
    struct store_usage usage;
    struct stat status;
    snprintf(path, sizeof path, "%s/data.mdb", folder);
    store_usage(store, &usage);
    int file = open(path, O_RDWR | O_CLOEXEC);
    assert_true(file >= 0);
    assert_int_equal(fstat(file, &status), 0);
    assert_int_equal(fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)usage.used_bytes,
                               status.st_size - (off_t)usage.used_bytes),
                     0);
    close(file);
}

static void a_disk_that_is_full_in_mid_commit_is_told(void **state)
{
    (void)state;
    char folder[] = P_tmpdir "/ensign-disk-XXXXXX", ballast[128];
    if (!tmpfs_make(folder, "size=8m"))
        skip();
    struct store *store = open_in(folder);
    assert_int_equal(put_number(store, 0), CODE_NONE);
    allocated_space_take(folder, store);
    snprintf(ballast, sizeof ballast, "%s/ballast", folder);
    ballast_write(ballast, 0);

    assert_int_equal(check_writable(store), CODE_NONE); /* nobody can know */
    int refused = fill(store, 1);                       /* a few fit into pages that are free again */
    assert_rows(store, refused);
    assert_int_equal(unlink(ballast), 0);
    assert_int_equal(check_writable(store), CODE_NONE);
    assert_int_equal(put_number(store, refused), CODE_NONE);
    assert_rows(store, refused + 1);
    store_close(store);
    tmpfs_remove(folder);
}

/* As when the file system under a running store is extended. */
static void a_full_map_grows(void **state)
{
    (void)state;
    enum { ROWS = 1000 };
    struct place place;
    struct fault f = {0};
    struct store_usage usage;
    place_make(&backends[0], &place);
    place_close(&place);
    const struct store_lmdb_options small = {.map_bytes = 4 << 20};
    assert_int_equal(store_lmdb_open_with(place.path, &small, &place.store, &f), OK);
    store_usage(place.store, &usage);
    assert_int_equal(usage.size_bytes, 4 << 20);
    for (int number = 0; number < ROWS; number++)
        assert_int_equal(put_number(place.store, number), CODE_NONE);
    assert_rows(place.store, ROWS);
    store_usage(place.store, &usage);
    assert_true(usage.used_bytes > 4 << 20);
    assert_true(usage.size_bytes > usage.used_bytes && usage.limit_bytes > usage.used_bytes);
    place_reopen(&place);
    assert_rows(place.store, ROWS);
    place_remove(&place);
}

/* One row per way in which a disk stops to take writes under an open store. */
static void a_disk_that_takes_no_writes_is_told(void **state)
{
    (void)state;
    static bool (*const ways[])(const struct ext4 *) = {ext4_fail, ext4_cut_power};
    for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
        struct ext4 disk;
        if (!ext4_make(16, &disk)) {
            print_message("skipped: mounting is not permitted here\n");
            skip();
        }
        struct store *store = open_in(disk.folder);
        assert_int_equal(put_number(store, 0), CODE_NONE);
        assert_int_equal(check_writable(store), CODE_NONE);
        assert_true(ways[i](&disk));
        for (int attempt = 0; attempt < 3; attempt++) {
            assert_int_equal(put_number(store, 1), CODE_READ_ONLY);
            assert_int_equal(check_writable(store), CODE_READ_ONLY);
            assert_rows(store, 1);
        }
        store_close(store);

        assert_true(ext4_unmount(&disk) && ext4_mount(&disk));
        store = open_in(disk.folder);
        assert_rows(store, 1);
        assert_int_equal(put_number(store, 1), CODE_NONE);
        store_close(store);
        assert_true(ext4_unmount(&disk));
        ext4_remove(&disk);
    }
}

static void a_read_only_disk_is_read(void **state)
{
    (void)state;
    char folder[] = P_tmpdir "/ensign-disk-XXXXXX";
    if (!tmpfs_make(folder, "size=8m"))
        skip();
    struct fault f = {0};
    struct store *store = open_in(folder), *second = NULL;
    assert_int_equal(put_number(store, 0), CODE_NONE);
    store_close(store);
    assert_int_equal(mount("none", folder, NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
    assert_int_equal(store_lmdb_open(folder, false, &store, &f), OK);
    assert_int_equal(store_lmdb_open(folder, false, &second, &f), ERR_CONFLICT);
    for (int attempt = 0; attempt < 3; attempt++) {
        assert_int_equal(put_number(store, 1), CODE_READ_ONLY);
        assert_int_equal(check_writable(store), CODE_READ_ONLY);
        assert_rows(store, 1);
        assert_false(store_stopped(store));
    }
    assert_int_equal(mount("none", folder, NULL, MS_REMOUNT, NULL), 0);
    assert_int_equal(check_writable(store), CODE_READ_ONLY); /* this time because it is to be opened again */
    assert_true(store_stopped(store));
    assert_rows(store, 1);
    store_close(store);
    store = open_in(folder);
    assert_false(store_stopped(store));
    assert_int_equal(put_number(store, 1), CODE_NONE);
    store_close(store);
    tmpfs_remove(folder);
}

static void no_store_is_made_on_a_read_only_disk(void **state)
{
    (void)state;
    char folder[] = P_tmpdir "/ensign-disk-XXXXXX";
    if (!tmpfs_make(folder, "size=8m,ro"))
        skip();
    struct fault f = {0};
    struct store *store = NULL;
    assert_int_equal(store_lmdb_open(folder, true, &store, &f), ERR_IO);
    assert_int_equal(f.code, CODE_READ_ONLY);
    assert_null(store);
    tmpfs_remove(folder);
}

int main(void)
{
    mounts_private();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_tmpfs_is_told),
        cmocka_unit_test(a_full_ext4_is_told),
        cmocka_unit_test(too_little_space_for_a_store),
        cmocka_unit_test(a_disk_that_is_full_in_mid_commit_is_told),
        cmocka_unit_test(a_full_map_grows),
        cmocka_unit_test(a_disk_that_takes_no_writes_is_told),
        cmocka_unit_test(a_read_only_disk_is_read),
        cmocka_unit_test(no_store_is_made_on_a_read_only_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
