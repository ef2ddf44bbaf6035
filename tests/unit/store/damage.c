/* damage.c: files that are no store, or no longer one: refused with a sentence, or at least never read wrongly. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <sodium.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ca/store_lmdb.h"
#include "tests/unit/store/backend.h"

enum { PAGE = 4096, ROWS = 240, FLIPS_PER_PAGE = 12, LARGE_EVERY = 20, CHILD_SECONDS = 5 };

/* Rows of sizes that end up within pages and in pages of their own; every byte follows from the row's number. */
static void row_make(unsigned number, char key[16], struct bytes *value)
{
    size_t size = number % LARGE_EVERY == 0 ? 9000 : 40 + number % 300;
    snprintf(key, 16, "row %04u", number);
    for (size_t i = 0; i < size; i++)
        bytes_append(value, &(uint8_t){(uint8_t)((size_t)number * 31 + i * 7)}, 1);
}

static void rows_write(struct store *store)
{
    for (unsigned number = 0; number < ROWS; number++) {
        char key[16];
        AUTO(bytes) value = {0};
        row_make(number, key, &value);
        assert_int_equal(try_put(store, key, bytes_span(&value)), CODE_NONE);
    }
}

static int data_open(const struct place *place)
{
    char path[128];
    snprintf(path, sizeof path, "%s/data.mdb", place->path);
    int file = open(path, O_RDWR | O_CLOEXEC);
    assert_true(file >= 0);
    return file;
}

static void data_read(int file, struct bytes *ret_data)
{
    struct stat status;
    assert_int_equal(fstat(file, &status), 0);
    ret_data->data = malloc((size_t)status.st_size + 1);
    ret_data->size = (size_t)status.st_size;
    assert_int_equal(pread(file, ret_data->data, ret_data->size, 0), status.st_size);
}

static void data_write(int file, struct span data)
{
    assert_int_equal(ftruncate(file, (off_t)data.size), 0);
    assert_int_equal(pwrite(file, data.data, data.size, 0), data.size);
}

/* ---- files that are no store ---- */

static void cut(struct bytes *data, size_t size)
{
    data->size = size;
}

static void fill_with(struct bytes *data, size_t offset, size_t size, char byte)
{
    memset(data->data + offset, byte, size);
}

/* Gives the header another text of the same length, with a checksum that is right: the stored form, written down once
 * more. */
static void header_change(struct bytes *data, const char *from, const char *to, size_t size)
{
    static const uint8_t public_key[crypto_shorthash_KEYBYTES] = "ensign checksum";
    static const uint8_t key[] = {'h', 'e', 'a', 'd', 'e', 'r'};
    uint8_t *at = data->data;
    int changed = 0;
    while ((at = memmem(at, data->size - (size_t)(at - data->data), from, size)) != NULL) {
        uint8_t input[16 + sizeof key];
        memcpy(at, to, size);
        memcpy(input, at - 16, 8); /* revision, as stored */
        crypto_shorthash(input + 8, at, size, public_key);
        memcpy(input + 16, key, sizeof key);
        crypto_shorthash(at - 8, input, sizeof input, public_key);
        at += size;
        changed++;
    }
    assert_true(changed > 0);
}

static void make_empty(struct bytes *data)
{
    cut(data, 0);
}

static void make_text(struct bytes *data)
{
    fill_with(data, 0, data->size, 'x');
}

static void make_short(struct bytes *data)
{
    cut(data, 100);
}

static void make_one_page(struct bytes *data)
{
    cut(data, PAGE);
}

static void make_two_pages(struct bytes *data)
{
    cut(data, (size_t)2 * PAGE);
}

static void make_half(struct bytes *data)
{
    cut(data, (size_t)20 * PAGE + 5);
}

static void make_zero_metas(struct bytes *data)
{
    fill_with(data, 0, (size_t)2 * PAGE, 0);
}

static void make_other_lmdb(struct bytes *data)
{
    static const size_t version = 16 + 4; /* of the meta page: after the page's head and the magic number */
    data->data[version] = data->data[PAGE + version] = 9;
}

static void make_next_format(struct bytes *data)
{
    header_change(data, "ensign store\1", "ensign store\2", 13);
}

static void make_same_format(struct bytes *data)
{
    header_change(data, "ensign store\1", "ensign store\1", 13);
}

static void make_other_program(struct bytes *data)
{
    header_change(data, "ensign store\1", "donkey store\1", 13);
}

static void make_unchecked(struct bytes *data)
{
    uint8_t *at = memmem(data->data, data->size, "ensign store\1", 13);
    for (; at; at = memmem(at, data->size - (size_t)(at - data->data), "ensign store\1", 13))
        at[12] = 2;
}

static void make_nothing(struct bytes *data)
{
    (void)data;
}

static void files_that_are_no_store_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        void (*change)(struct bytes *data);
        enum code code;
        const char *says;
    } rows[] = {
        {"unchanged", make_nothing, CODE_NONE, NULL}, /* controls */
        {"header written again", make_same_format, CODE_NONE, NULL},
        {"empty", make_empty, CODE_DAMAGED, "data.mdb is empty"},
        {"text", make_text, CODE_DAMAGED, "not an LMDB environment"},
        {"short", make_short, CODE_DAMAGED, "not an LMDB environment"},
        {"one page", make_one_page, CODE_DAMAGED, "not an LMDB environment"},
        {"two pages", make_two_pages, CODE_DAMAGED, "data.mdb has 8192 bytes of "},
        {"half", make_half, CODE_DAMAGED, "data.mdb has 81925 bytes of "},
        {"zero metas", make_zero_metas, CODE_DAMAGED, "not an LMDB environment"},
        {"other LMDB", make_other_lmdb, CODE_DAMAGED, "LMDB of another format"},
        {"next format", make_next_format, CODE_DAMAGED, "has format 2, this ensign reads format 1"},
        {"other program", make_other_program, CODE_DAMAGED, "not a store of ensign"},
        {"bad header", make_unchecked, CODE_DAMAGED, "checksum"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct place place;
        struct fault f = {0};
        AUTO(bytes) data = {0};
        AUTO(bytes) after = {0};
        place_make(&backends[0], &place);
        rows_write(place.store);
        place_close(&place);
        int file = data_open(&place);
        data_read(file, &data);
        rows[i].change(&data);
        data_write(file, bytes_span(&data));
        enum err err = place.backend->open(place.path, false, &place.store, &f);
        if (f.code != rows[i].code || (rows[i].says && !strstr(f.text, rows[i].says)))
            print_error("%s: %s\n", rows[i].name, f.text);
        assert_int_equal(f.code, rows[i].code);
        assert_int_equal(err, code_err(rows[i].code));
        assert_true(!rows[i].says || strstr(f.text, rows[i].says));
        data_read(file, &after);
        assert_true(span_equal(bytes_span(&data), bytes_span(&after))); /* and nothing was changed */
        close(file);
        place_remove(&place);
    }
}

/* ---- damaged rows ---- */

static bool last_key(void *context, struct span key, struct span value)
{
    (void)value;
    snprintf(context, 16, "%.*s", (int)key.size, (const char *)key.data);
    return true;
}

static void assert_scan_ends(struct store *store, bool backwards, enum err err, const char *last)
{
    struct fault f = {0};
    char key[16] = "";
    assert_int_equal(store_scan(store, span_text("a"), span_text("z"), backwards, last_key, key, &f), err);
    assert_string_equal(key, last);
}

static void a_damaged_row_is_told_and_can_be_replaced(void **state)
{
    (void)state;
    struct place place;
    struct fault f = {0};
    struct bytes untouched = {.size = 5};
    AUTO(bytes) data = {0};
    place_make(&backends[0], &place);
    put(place.store, "a", "first");
    put(place.store, "b", "this is the value that is damaged");
    put(place.store, "c", "third");
    assert_scan_ends(place.store, false, OK, "c");
    place_close(&place);

    int file = data_open(&place);
    data_read(file, &data);
    for (uint8_t *at = data.data; (at = memmem(at, data.size - (size_t)(at - data.data), "damaged", 7)) != NULL; at++)
        at[1] ^= 1;
    data_write(file, bytes_span(&data));
    close(file);

    assert_int_equal(place.backend->open(place.path, false, &place.store, &f), OK);
    assert_int_equal(store_get(place.store, span_text("b"), &untouched, NULL, &f), ERR_IO);
    assert_int_equal(f.code, CODE_DAMAGED);
    assert_int_equal(untouched.size, 5);
    assert_value(place.store, "a", "first");
    assert_value(place.store, "c", "third");
    assert_scan_ends(place.store, false, ERR_IO, "a");
    assert_scan_ends(place.store, true, ERR_IO, "c");

    struct expectation expectation = {span_text("b"), 3};
    assert_int_equal(store_commit(place.store, &expectation, 1, NULL, 0, &f), ERR_IO);
    put(place.store, "b", "new");
    assert_scan_ends(place.store, false, OK, "c");
    place_remove(&place);
}

/* ---- a flip in every page ---- */

enum verdict { UNAFFECTED = 10, REFUSED, DAMAGED, MISSING, WRONG, CRASHED, VERDICTS };

static const char *const verdict_names[VERDICTS] = {
    [UNAFFECTED] = "unaffected", [REFUSED] = "refused at the start", [DAMAGED] = "reported as damaged",
    [MISSING] = "a row missing", [WRONG] = "a wrong value",          [CRASHED] = "crashed",
};

static enum verdict worse(enum verdict a, enum verdict b)
{
    return a > b ? a : b;
}

static enum verdict get_one(struct store *store, unsigned number)
{
    struct fault f = {0};
    char key[16];
    AUTO(bytes) expected = {0};
    AUTO(bytes) value = {0};
    row_make(number, key, &expected);
    enum err err = store_get(store, span_text(key), &value, NULL, &f);
    if (err == OK)
        return span_equal(bytes_span(&value), bytes_span(&expected)) ? UNAFFECTED : WRONG;
    return err == ERR_ABSENT ? MISSING : DAMAGED;
}

struct scanned {
    unsigned count;
    enum verdict verdict;
};

/* Every row that a scan shows must be one of those that were written, as it was written. */
static bool scan_one(void *context, struct span key, struct span value)
{
    struct scanned *scanned = context;
    char text[16] = {0}, expected_key[16];
    AUTO(bytes) expected = {0};
    memcpy(text, key.data, key.size < sizeof text ? key.size : sizeof text - 1);
    unsigned number = key.size == 8 ? (unsigned)atoi(text + 4) : ROWS;
    row_make(number, expected_key, &expected);
    if (number >= ROWS || strcmp(text, expected_key) != 0 || !span_equal(value, bytes_span(&expected)))
        scanned->verdict = WRONG;
    return ++scanned->count < 2 * ROWS;
}

static enum verdict scan_all(struct store *store, bool backwards)
{
    struct fault f = {0};
    struct scanned scanned = {.verdict = UNAFFECTED};
    enum err err = store_scan(store, span_text(""), span_text("z"), backwards, scan_one, &scanned, &f);
    if (scanned.verdict == WRONG)
        return WRONG;
    return err != OK ? DAMAGED : scanned.count != ROWS ? MISSING : UNAFFECTED;
}

static enum verdict store_judge(const char *path)
{
    struct fault f = {0};
    struct store *store = NULL;
    if (store_lmdb_open(path, false, &store, &f) != OK)
        return REFUSED;
    enum verdict verdict = worse(scan_all(store, false), scan_all(store, true));
    for (unsigned number = 0; number < ROWS; number++)
        verdict = worse(verdict, get_one(store, number));
    return verdict;
}

/* In a process of its own, which LMDB may bring down. */
static enum verdict child_judge(const char *path)
{
    pid_t child = fork();
    if (child == 0) {
        static const int fatal[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL};
        for (size_t i = 0; i < ARRAY_SIZE(fatal); i++)
            signal(fatal[i], SIG_DFL);
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), STDERR_FILENO);
        alarm(CHILD_SECONDS);
        _exit((int)store_judge(path));
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) >= UNAFFECTED && WEXITSTATUS(status) < CRASHED)
        return (enum verdict)WEXITSTATUS(status);
    return CRASHED;
}

/* The page's own head, and the rest of it evenly; one bit, or a whole byte. */
static enum verdict flip_judge(const char *path, int file, uint8_t *data, size_t page, size_t flip)
{
    size_t within = flip < 8 ? flip * 2 + 1 : (flip * 257 + page * 31) % PAGE;
    size_t offset = page * PAGE + within;
    uint8_t flipped = (uint8_t)(data[offset] ^ (flip % 2 ? 0xff : 1 << page % 8));
    assert_int_equal(pwrite(file, &flipped, 1, (off_t)offset), 1);
    enum verdict verdict = child_judge(path);
    if (verdict == WRONG)
        print_error("page %zu, byte %zu: %02x for %02x\n", page, within, flipped, data[offset]);
    assert_int_equal(pwrite(file, &data[offset], 1, (off_t)offset), 1);
    return verdict;
}

static void no_flip_makes_a_wrong_value_or_hides_one(void **state)
{
    (void)state;
    struct place place;
    struct store_usage usage;
    unsigned verdicts[VERDICTS] = {0};
    AUTO(bytes) data = {0};
    place_make(&backends[0], &place);
    rows_write(place.store);
    store_usage(place.store, &usage);
    place_close(&place);
    assert_int_equal(child_judge(place.path), UNAFFECTED); /* control */

    int file = data_open(&place);
    data_read(file, &data);
    for (size_t page = 0; page < usage.used_bytes / PAGE; page++)
        for (size_t flip = 0; flip < FLIPS_PER_PAGE; flip++)
            verdicts[flip_judge(place.path, file, data.data, page, flip)]++;
    close(file);
    assert_int_equal(child_judge(place.path), UNAFFECTED); /* control: all flips were undone */
    for (size_t i = UNAFFECTED; i < VERDICTS; i++)
        print_message("%5u flips: %s\n", verdicts[i], verdict_names[i]);
    assert_int_equal(verdicts[WRONG] + verdicts[MISSING], 0);
    assert_true(verdicts[DAMAGED] > 0);
    place_remove(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_that_are_no_store_are_refused),
        cmocka_unit_test(a_damaged_row_is_told_and_can_be_replaced),
        cmocka_unit_test(no_flip_makes_a_wrong_value_or_hides_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
