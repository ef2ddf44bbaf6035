/* panic.c: LMDB stops for good when it cannot write its meta page. The store says so, so that its process can end, and
 * the next process finds all that was committed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <dlfcn.h>
#include <errno.h>
#include <unistd.h>

#include "tests/unit/store/backend.h"

static atomic_bool meta_fails;

enum { META_PAGES_SIZE = 2 * 4096 };

/* Takes the place of libc's pwrite() for LMDB too. Only a meta page is written so near to the start of the file. */
ssize_t pwrite_or_fail(int file, const void *data, size_t size, off_t offset) __asm__("pwrite");

ssize_t pwrite_or_fail(int file, const void *data, size_t size, off_t offset)
{
    static ssize_t (*libc_pwrite)(int, const void *, size_t, off_t);
    if (!libc_pwrite)
        *(void **)&libc_pwrite = dlsym(RTLD_NEXT, "pwrite");
    if (meta_fails && offset > 0 && offset < META_PAGES_SIZE) {
        errno = EIO;
        return -1;
    }
    return libc_pwrite(file, data, size, offset);
}

static enum code try_get(struct store *store, const char *key)
{
    struct fault f = {0};
    AUTO(bytes) found = {0};
    enum err err = store_get(store, span_text(key), &found, NULL, &f);
    assert_int_equal(err, code_err(f.code));
    return f.code;
}

static void a_stopped_store_is_told(void **state)
{
    (void)state;
    struct fault f = {0};
    struct place place;
    place_make(&backends[0], &place);
    put(place.store, "before", "1");
    assert_false(store_stopped(place.store));

    meta_fails = true;
    assert_int_not_equal(try_put(place.store, "during", span_text("2")), CODE_NONE);
    meta_fails = false;
    assert_int_equal(try_put(place.store, "after", span_text("3")), CODE_IO); /* the disk is good again */
    assert_true(store_stopped(place.store));
    assert_int_equal(try_get(place.store, "before"), CODE_IO);
    assert_int_equal(store_check_writable(place.store, &f), ERR_IO);

    place_reopen(&place);
    assert_false(store_stopped(place.store));
    assert_value(place.store, "before", "1");
    put(place.store, "after", "3");
    assert_value(place.store, "after", "3");
    place_remove(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_stopped_store_is_told)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
