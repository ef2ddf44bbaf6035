#include "tests/unit/store/backend.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

const struct backend backends[] = {{"lmdb", store_lmdb_open}};
const size_t backends_count = ARRAY_SIZE(backends);

void place_make(const struct backend *backend, struct place *ret_place)
{
    struct fault f = {0};
    ret_place->backend = backend;
    strcpy(ret_place->path, P_tmpdir "/ensign-store-XXXXXX");
    assert_non_null(mkdtemp(ret_place->path));
    assert_int_equal(backend->open(ret_place->path, true, &ret_place->store, &f), OK);
}

void place_close(struct place *place)
{
    store_close(place->store);
    place->store = NULL;
}

void place_reopen(struct place *place)
{
    struct fault f = {0};
    place_close(place);
    assert_int_equal(place->backend->open(place->path, false, &place->store, &f), OK);
}

void place_remove(struct place *place)
{
    static const char *const files[] = {"data.mdb", "lock.mdb", "ensignd.lock"};
    place_close(place);
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", place->path, files[i]);
        unlink(path);
    }
    assert_int_equal(rmdir(place->path), 0);
}

enum code try_put(struct store *store, const char *key, struct span value)
{
    struct fault f = {0};
    struct write write = {.key = span_text(key), .value = value};
    enum err err = store_commit(store, NULL, 0, &write, 1, &f);
    assert_int_equal(err, code_err(f.code));
    return f.code;
}

void put(struct store *store, const char *key, const char *value)
{
    assert_int_equal(try_put(store, key, span_text(value)), CODE_NONE);
}

void assert_value(struct store *store, const char *key, const char *value)
{
    struct fault f = {0};
    AUTO(bytes) found = {0};
    enum err err = store_get(store, span_text(key), &found, NULL, &f);
    assert_int_equal(err, value ? OK : ERR_ABSENT);
    if (value)
        assert_string_equal(bytes_text(&found), value);
}
