/* contract.c: what ca/store.h promises, for every back end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/store/backend.h"

static int setup(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    place_make(*state, place);
    *state = place;
    return 0;
}

static int teardown(void **state)
{
    place_remove(*state);
    free(*state);
    return 0;
}

static struct store *store_of(void **state)
{
    return ((struct place *)*state)->store;
}

static uint64_t revision_of(struct store *store, const char *key)
{
    struct fault f = {0};
    AUTO(bytes) value = {0};
    uint64_t revision = 0;
    enum err err = store_get(store, span_text(key), &value, &revision, &f);
    return err == OK ? revision : 0;
}

static void values_come_back(void **state)
{
    struct store *store = store_of(state);
    assert_value(store, "key", NULL);
    put(store, "key", "first");
    assert_value(store, "key", "first");
    put(store, "key", "second, and longer");
    assert_value(store, "key", "second, and longer");
    put(store, "empty", "");
    assert_value(store, "empty", "");
    assert_value(store, "ke", NULL);
    assert_value(store, "key2", NULL);
}

static void absent_results_are_untouched(void **state)
{
    struct fault f = {0};
    struct bytes value = {.size = 77};
    uint64_t revision = 88;
    assert_int_equal(store_get(store_of(state), span_text("none"), &value, &revision, &f), ERR_ABSENT);
    assert_int_equal(f.code, CODE_NOT_FOUND);
    assert_int_equal(value.size, 77);
    assert_int_equal(revision, 88);
}

static void bytes_of_any_kind_are_kept(void **state)
{
    struct store *store = store_of(state);
    uint8_t all[256];
    for (size_t i = 0; i < sizeof all; i++)
        all[i] = (uint8_t)i;
    struct write write = {.key = SPAN_OF(all), .value = SPAN_OF(all)};
    struct fault f = {0};
    AUTO(bytes) value = {0};
    assert_int_equal(store_commit(store, NULL, 0, &write, 1, &f), OK);
    assert_int_equal(store_get(store, SPAN_OF(all), &value, NULL, &f), OK);
    assert_true(span_equal(bytes_span(&value), SPAN_OF(all)));
}

static void erased_rows_are_gone(void **state)
{
    struct store *store = store_of(state);
    struct fault f = {0};
    put(store, "key", "value");
    struct write writes[] = {{.key = span_text("key"), .erase = true}, {.key = span_text("never"), .erase = true}};
    assert_int_equal(store_commit(store, NULL, 0, writes, ARRAY_SIZE(writes), &f), OK);
    assert_value(store, "key", NULL);
    put(store, "key", "again");
    assert_value(store, "key", "again");
}

static void later_writes_of_a_commit_win(void **state)
{
    struct store *store = store_of(state);
    struct fault f = {0};
    struct write writes[] = {
        {.key = span_text("key"), .value = span_text("one")},
        {.key = span_text("key"), .value = span_text("two")},
        {.key = span_text("gone"), .value = span_text("three")},
        {.key = span_text("gone"), .erase = true},
    };
    assert_int_equal(store_commit(store, NULL, 0, writes, ARRAY_SIZE(writes), &f), OK);
    assert_value(store, "key", "two");
    assert_value(store, "gone", NULL);
}

static void revisions_are_those_of_commits(void **state)
{
    struct store *store = store_of(state);
    struct fault f = {0};
    struct write both[] = {{.key = span_text("a"), .value = span_text("1")},
                           {.key = span_text("b"), .value = span_text("1")}};
    assert_int_equal(store_commit(store, NULL, 0, both, 2, &f), OK);
    uint64_t first = revision_of(store, "a");
    assert_true(first > 0);
    assert_int_equal(revision_of(store, "b"), first);

    put(store, "a", "2");
    uint64_t second = revision_of(store, "a");
    assert_true(second > first);
    assert_int_equal(revision_of(store, "b"), first);

    /* A key that is erased and made again does not get an old revision: nobody takes it for the old one. */
    struct write erase = {.key = span_text("a"), .erase = true};
    assert_int_equal(store_commit(store, NULL, 0, &erase, 1, &f), OK);
    put(store, "a", "3");
    assert_true(revision_of(store, "a") > second);

    uint64_t last = revision_of(store, "a");
    place_reopen(*state);
    assert_int_equal(revision_of(store_of(state), "a"), last);
    put(store_of(state), "c", "4");
    assert_true(revision_of(store_of(state), "c") > last);
}

static void expectations_guard_all_of_a_commit(void **state)
{
    struct store *store = store_of(state);
    put(store, "here", "old");
    put(store, "other", "old");
    uint64_t here = revision_of(store, "here"), other = revision_of(store, "other");
    const struct {
        struct expectation expectations[2];
        enum err err;
    } rows[] = {
        {{{span_text("here"), 0}, {span_text("none"), 0}}, ERR_CONFLICT},
        {{{span_text("here"), here + 100}, {span_text("none"), 0}}, ERR_CONFLICT},
        {{{span_text("here"), other}, {span_text("other"), here}}, ERR_CONFLICT},
        {{{span_text("none"), here}, {span_text("here"), here}}, ERR_CONFLICT},
        {{{span_text("here"), here}, {span_text("none"), 1}}, ERR_CONFLICT},
        {{{span_text("here"), here}, {span_text("none"), 0}}, OK}, /* last: it changes the rows */
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct fault f = {0};
        struct write writes[] = {{.key = span_text("here"), .value = span_text("new")},
                                 {.key = span_text("more"), .value = span_text("new")},
                                 {.key = span_text("other"), .erase = true}};
        assert_int_equal(store_commit(store, rows[i].expectations, 2, writes, ARRAY_SIZE(writes), &f), rows[i].err);
        assert_value(store, "here", rows[i].err == OK ? "new" : "old");
        assert_value(store, "more", rows[i].err == OK ? "new" : NULL);
        assert_value(store, "other", rows[i].err == OK ? NULL : "old");
    }
}

/* An expectation is about the state before the commit, and one alone is a question. */
static void expectations_see_the_state_before(void **state)
{
    struct store *store = store_of(state);
    struct fault f = {0};
    struct expectation absent = {span_text("key"), 0};
    struct write write = {.key = span_text("key"), .value = span_text("value")};
    assert_int_equal(store_commit(store, &absent, 1, NULL, 0, &f), OK);
    assert_int_equal(store_commit(store, &absent, 1, &write, 1, &f), OK);
    assert_int_equal(store_commit(store, &absent, 1, NULL, 0, &f), ERR_CONFLICT);
    assert_int_equal(f.code, CODE_CONFLICT);
}

struct collected {
    char text[256];
    size_t stop_after; /* 0: never */
    size_t count;
};

static bool collect(void *context, struct span key, struct span value)
{
    struct collected *collected = context;
    size_t used = strlen(collected->text);
    snprintf(collected->text + used, sizeof collected->text - used, "%.*s=%.*s ", (int)key.size, (const char *)key.data,
             (int)value.size, (const char *)value.data);
    return ++collected->count != collected->stop_after;
}

static void scans_keep_their_bounds(void **state)
{
    struct store *store = store_of(state);
    static const char *const keys[] = {"b", "a", "c", "ab", "ba", "d"};
    struct fault f = {0};
    static const struct {
        const char *from, *to;
        bool backwards;
        size_t stop_after;
        const char *found;
    } rows[] = {
        {"", "z", false, 0, "a=a ab=ab b=b ba=ba c=c d=d "},
        {"", "z", true, 0, "d=d c=c ba=ba b=b ab=ab a=a "},
        {"a", "d", false, 0, "a=a ab=ab b=b ba=ba c=c "},
        {"a", "d", true, 0, "c=c ba=ba b=b ab=ab a=a "},
        {"aa", "bb", false, 0, "ab=ab b=b ba=ba "},
        {"aa", "bb", true, 0, "ba=ba b=b ab=ab "},
        {"b", "b", false, 0, ""},
        {"b", "b", true, 0, ""},
        {"c", "a", false, 0, ""},
        {"c", "a", true, 0, ""},
        {"", "", false, 0, ""},
        {"", "", true, 0, ""},
        {"", "a", false, 0, ""},
        {"", "a", true, 0, ""},
        {"e", "z", false, 0, ""},
        {"e", "z", true, 0, ""},
        {"", "z", false, 1, "a=a "},
        {"", "z", true, 1, "d=d "},
        {"ab", "z", false, 2, "ab=ab b=b "},
        {"b", "d", true, 2, "c=c ba=ba "},
    };
    for (size_t pass = 0; pass < 2; pass++) { /* over no rows first */
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
            struct collected collected = {.stop_after = rows[i].stop_after};
            assert_int_equal(store_scan(store, span_text(rows[i].from), span_text(rows[i].to), rows[i].backwards,
                                        collect, &collected, &f),
                             OK);
            assert_string_equal(collected.text, pass ? rows[i].found : "");
        }
        for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
            put(store, keys[i], keys[i]);
    }
}

struct writing {
    struct store *store;
    struct collected collected;
};

static void *write_behind(void *context)
{
    struct writing *writing = context;
    put(writing->store, "b", "changed");
    put(writing->store, "c", "new");
    return NULL;
}

/* Another thread commits while the scan is at its first row. */
static bool collect_while_writing(void *context, struct span key, struct span value)
{
    struct writing *writing = context;
    if (writing->collected.count == 0) {
        pthread_t thread;
        pthread_create(&thread, NULL, write_behind, writing);
        pthread_join(thread, NULL);
    }
    return collect(&writing->collected, key, value);
}

static void scans_see_one_snapshot(void **state)
{
    struct writing writing = {.store = store_of(state)};
    struct collected after = {0};
    struct fault f = {0};
    put(writing.store, "a", "old");
    put(writing.store, "b", "old");
    assert_int_equal(
        store_scan(writing.store, span_text(""), span_text("z"), false, collect_while_writing, &writing, &f), OK);
    assert_string_equal(writing.collected.text, "a=old b=old ");
    assert_int_equal(store_scan(writing.store, span_text(""), span_text("z"), false, collect, &after, &f), OK);
    assert_string_equal(after.text, "a=old b=changed c=new ");
}

static void sizes_are_limited(void **state)
{
    struct store *store = store_of(state);
    uint8_t *large = malloc(STORE_VALUE_MAX + 1);
    char key[STORE_KEY_MAX + 2];
    for (size_t i = 0; i <= STORE_VALUE_MAX; i++)
        large[i] = (uint8_t)(i * 7 + i / 4096);
    memset(key, 'k', sizeof key);
    key[STORE_KEY_MAX + 1] = '\0';
    assert_int_equal(try_put(store, key, span_text("")), CODE_TOO_LARGE);
    assert_int_equal(try_put(store, "", span_text("")), CODE_TOO_LARGE);
    assert_int_equal(try_put(store, "key", span(large, STORE_VALUE_MAX + 1)), CODE_TOO_LARGE);

    key[STORE_KEY_MAX] = '\0';
    struct fault f = {0};
    AUTO(bytes) value = {0};
    assert_int_equal(try_put(store, key, span(large, STORE_VALUE_MAX)), CODE_NONE);
    place_reopen(*state);
    assert_int_equal(store_get(store_of(state), span_text(key), &value, NULL, &f), OK);
    assert_true(span_equal(bytes_span(&value), span(large, STORE_VALUE_MAX)));
    free(large);
}

static void long_keys_are_no_keys_when_asked(void **state)
{
    char key[STORE_KEY_MAX + 2] = {0};
    memset(key, 'k', STORE_KEY_MAX + 1);
    struct fault f = {0};
    struct bytes value;
    struct expectation expectation = {span_text(key), 0};
    assert_int_equal(store_get(store_of(state), span_text(key), &value, NULL, &f), ERR_LIMIT);
    assert_int_equal(store_get(store_of(state), span_text(""), &value, NULL, &f), ERR_LIMIT);
    assert_int_equal(store_commit(store_of(state), &expectation, 1, NULL, 0, &f), ERR_LIMIT);
}

enum { ROWS = 3000 };

static bool count_ordered(void *context, struct span key, struct span value)
{
    size_t *next = context;
    char expected[16];
    snprintf(expected, sizeof expected, "row %06zu", *next);
    assert_true(span_equal(key, span_text(expected)));
    assert_int_equal(value.size, *next % 700);
    (*next)++;
    return true;
}

static void many_rows_survive_closing(void **state)
{
    static const uint8_t zeros[700];
    struct fault f = {0};
    size_t next = 0;
    for (size_t i = 0; i < ROWS; i += 100) {
        char keys[100][16];
        struct write writes[100];
        for (size_t j = 0; j < 100; j++) {
            size_t number = (i + j) * 7 % ROWS; /* each once, in no order: 7 and ROWS have no common divisor */
            snprintf(keys[j], sizeof keys[j], "row %06zu", number);
            writes[j] = (struct write){.key = span_text(keys[j]), .value = span(zeros, number % 700)};
        }
        assert_int_equal(store_commit(store_of(state), NULL, 0, writes, 100, &f), OK);
    }
    place_reopen(*state);
    assert_int_equal(store_scan(store_of(state), span_text(""), span_text("z"), false, count_ordered, &next, &f), OK);
    assert_int_equal(next, ROWS);
}

enum { WRITERS = 3, READERS = 3, INCREMENTS = 40 };

struct counting {
    struct store *store;
    atomic_bool done;
    atomic_uint broken, conflicts, scans;
};

static long number_of(struct store *store, const char *key, uint64_t *ret_revision)
{
    struct fault f = {0};
    AUTO(bytes) value = {0};
    return store_get(store, span_text(key), &value, ret_revision, &f) == OK ? atol(bytes_text(&value)) : -1;
}

/* Two rows that are always equal, raised by compare and set. */
static void *increment(void *context)
{
    struct counting *counting = context;
    for (int done = 0; done < INCREMENTS;) {
        struct fault f = {0};
        uint64_t revision = 0;
        char text[24];
        snprintf(text, sizeof text, "%ld", number_of(counting->store, "left", &revision) + 1);
        struct expectation expectation = {span_text("left"), revision};
        struct write writes[] = {{.key = span_text("left"), .value = span_text(text)},
                                 {.key = span_text("right"), .value = span_text(text)}};
        enum err err = store_commit(counting->store, &expectation, 1, writes, 2, &f);
        done += err == OK;
        counting->conflicts += err == ERR_CONFLICT;
        counting->broken += err != OK && err != ERR_CONFLICT;
    }
    return NULL;
}

struct pair {
    size_t count;
    long sum;
};

static bool pair_add(void *context, struct span key, struct span value)
{
    (void)key;
    struct pair *pair = context;
    char text[16] = {0};
    memcpy(text, value.data, value.size < sizeof text ? value.size : sizeof text - 1);
    pair->sum += pair->count++ ? -atol(text) : atol(text);
    return true;
}

static void *compare(void *context)
{
    struct counting *counting = context;
    while (!counting->done) {
        struct fault f = {0};
        struct pair pair = {0};
        enum err err = store_scan(counting->store, span_text("left"), span_text("righu"), false, pair_add, &pair, &f);
        counting->broken += err != OK || pair.count != 2 || pair.sum != 0;
        counting->scans++;
    }
    return NULL;
}

static void threads_lose_nothing(void **state)
{
    struct counting counting = {.store = store_of(state)};
    pthread_t writers[WRITERS], readers[READERS];
    struct fault f = {0};
    struct write zero[] = {{.key = span_text("left"), .value = span_text("0")},
                           {.key = span_text("right"), .value = span_text("0")}};
    assert_int_equal(store_commit(counting.store, NULL, 0, zero, 2, &f), OK);
    for (size_t i = 0; i < READERS; i++)
        pthread_create(&readers[i], NULL, compare, &counting);
    for (size_t i = 0; i < WRITERS; i++)
        pthread_create(&writers[i], NULL, increment, &counting);
    for (size_t i = 0; i < WRITERS; i++)
        pthread_join(writers[i], NULL);
    counting.done = true;
    for (size_t i = 0; i < READERS; i++)
        pthread_join(readers[i], NULL);
    assert_int_equal(counting.broken, 0);
    assert_true(counting.scans > 0);
    assert_int_equal(number_of(counting.store, "right", NULL), WRITERS * INCREMENTS);
    print_message("%u conflicts, %u scans\n", counting.conflicts, counting.scans);
}

/* Not the second store of a process, and not that of another process. */
static void a_second_opener_is_refused(void **state)
{
    struct place *place = *state;
    char expected[64];
    snprintf(expected, sizeof expected, "another ensignd (pid %ld) uses this folder", (long)getpid());
    pid_t child = fork();
    for (int create = 0; create < 2; create++) {
        struct fault f = {0};
        struct store *second = NULL;
        enum err err = place->backend->open(place->path, create, &second, &f);
        if (child == 0 && (err != ERR_CONFLICT || !strstr(f.text, expected)))
            _exit(1);
        assert_int_equal(err, ERR_CONFLICT);
        assert_int_equal(f.code, CODE_CONFLICT);
        assert_non_null(strstr(f.text, expected));
        assert_null(second);
    }
    if (child == 0)
        _exit(0);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    put(place->store, "key", "still works");
    place_reopen(place); /* control: once it is closed, it can be opened */
    assert_value(place->store, "key", "still works");
}

static void only_create_makes_a_store(void **state)
{
    struct place *place = *state;
    struct fault f = {0};
    struct store *store = NULL;
    char path[] = P_tmpdir "/ensign-store-XXXXXX";
    assert_non_null(mkdtemp(path));
    assert_int_equal(place->backend->open(path, false, &store, &f), ERR_ABSENT);
    assert_int_equal(rmdir(path), 0); /* it left nothing behind */
    assert_int_equal(place->backend->open(path, true, &store, &f), ERR_IO);
    assert_null(store);

    put(place->store, "key", "value"); /* create opens what there is */
    place_close(place);
    assert_int_equal(place->backend->open(place->path, true, &place->store, &f), OK);
    assert_value(place->store, "key", "value");
}

static void usage_is_told(void **state)
{
    struct store *store = store_of(state);
    struct fault f = {0};
    struct store_usage before, after;
    static const uint8_t zeros[100000];
    assert_int_equal(store_check_writable(store, &f), OK);
    store_usage(store, &before);
    assert_int_equal(try_put(store, "large", SPAN_OF(zeros)), CODE_NONE);
    store_usage(store, &after);
    assert_true(before.used_bytes > 0 && before.size_bytes > before.used_bytes);
    assert_true(after.used_bytes >= before.used_bytes + sizeof zeros);
}

#define CONTRACT(function)                                                                                             \
    {                                                                                                                  \
#function, function, setup, teardown, NULL                                                                     \
    }

int main(void)
{
    static const struct CMUnitTest contract[] = {
        CONTRACT(values_come_back),
        CONTRACT(absent_results_are_untouched),
        CONTRACT(bytes_of_any_kind_are_kept),
        CONTRACT(erased_rows_are_gone),
        CONTRACT(later_writes_of_a_commit_win),
        CONTRACT(revisions_are_those_of_commits),
        CONTRACT(expectations_guard_all_of_a_commit),
        CONTRACT(expectations_see_the_state_before),
        CONTRACT(scans_keep_their_bounds),
        CONTRACT(scans_see_one_snapshot),
        CONTRACT(sizes_are_limited),
        CONTRACT(long_keys_are_no_keys_when_asked),
        CONTRACT(many_rows_survive_closing),
        CONTRACT(threads_lose_nothing),
        CONTRACT(a_second_opener_is_refused),
        CONTRACT(only_create_makes_a_store),
        CONTRACT(usage_is_told),
    };
    int failed = 0;
    for (size_t i = 0; i < backends_count; i++) {
        struct CMUnitTest tests[ARRAY_SIZE(contract)];
        memcpy(tests, contract, sizeof tests);
        for (size_t j = 0; j < ARRAY_SIZE(tests); j++)
            tests[j].initial_state = (void *)&backends[i];
        failed += _cmocka_run_group_tests(backends[i].name, tests, ARRAY_SIZE(tests), NULL, NULL);
    }
    return failed;
}
