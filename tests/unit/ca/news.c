/* News: who is woken, who is not, and that nothing between looking and waiting is lost. */
#include "ca/news.h"

#include <time.h>

#include "tests/unit/base/suite.h"

enum { THREADS = 8, RINGS = 2000 };

static int64_t from_now(int64_t milliseconds)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 + milliseconds;
}

static struct news *news_make(void)
{
    struct fault f = {0};
    struct news *news = NULL;
    assert_ok(news_new(&news, &f), &f);
    return news;
}

/* A change that writes one row with this key. */
static void row_written(struct news *news, const char *key, size_t size)
{
    struct change change = {0};
    AUTO(bytes) row = {0}, name = {0};
    bytes_append(&name, key, size);
    change_put(&change, &name, &row);
    news_observe(news, &change);
    change_cleanup(&change);
}

static void rows_wake_whom_they_concern(void **state)
{
    (void)state;
#define KEY(text) text, sizeof text - 1
    static const struct {
        const char *key;
        size_t size;
        bool woken;
    } rows[] = {
        {KEY("glab\0e1\0etcd-member"), true},
        {KEY("glab\0e2\0etcd-member"), false},
        {KEY("gother\0e1\0etcd-member"), false},
        {KEY("glab\0\0apiserver-etcd-client"), true},
        {KEY("plab\0etcd-ca"), true},
        {KEY("pother\0etcd-ca"), false},
        {KEY("dlab\0e1"), false},
        {KEY("s01234567890123456789"), false},
        {KEY("wlab\0etcd"), false},
        {KEY("g"), false},
        {KEY("p"), false},
        {KEY("glab"), true}, /* no node that one could tell */
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct news *news = news_make();
        struct news_reader reader;
        assert_true(news_join(news, &reader, "lab", "e1"));
        row_written(news, rows[i].key, rows[i].size);
        if (news_wait(news, &reader, from_now(0)) != rows[i].woken)
            fail_msg("row %zu", i);
        assert_false(news_wait(news, &reader, from_now(0))); /* once */
        news_leave(news, &reader);
        news_free(news);
    }
}

static void a_node_has_one_reader(void **state)
{
    (void)state;
    struct news *news = news_make();
    struct news_reader first, second, other;
    news_limit(news, 3);
    assert_true(news_join(news, &other, "lab", "e2"));
    assert_true(news_join(news, &first, "lab", "e1"));
    assert_true(news_join(news, &second, "lab", "e1"));
    assert_false(news_wait(news, &first, from_now(60000)));
    assert_true(first.dismissed);
    assert_false(second.dismissed || other.dismissed);
    struct news_reader fourth;
    assert_false(news_join(news, &fourth, "lab", "e3"));
    news_leave(news, &first);
    assert_true(news_join(news, &fourth, "lab", "e3"));
    assert_int_equal(news_readers(news), 3);
    news_stop(news);
    assert_false(news_wait(news, &fourth, from_now(60000)));
    assert_false(news_join(news, &first, "lab", "e1"));
    news_leave(news, &other);
    news_leave(news, &fourth);
    news_leave(news, &second);
    assert_int_equal(news_readers(news), 0);
    news_free(news);
}

/* ---- many threads ---- */

struct counter {
    struct news *news;
    char node[8];
    _Atomic int *value;
};

/* Sees the last value, whatever happens between its looking and its waiting. */
static void *counter_run(void *context)
{
    struct counter *counter = context;
    struct news_reader reader;
    if (!news_join(counter->news, &reader, "lab", counter->node))
        return counter;
    while (*counter->value < RINGS)
        if (!news_wait(counter->news, &reader, from_now(60000)))
            break;
    news_leave(counter->news, &reader);
    return NULL;
}

static void nothing_is_lost(void **state)
{
    (void)state;
    struct news *news = news_make();
    struct counter counters[THREADS];
    pthread_t threads[THREADS];
    _Atomic int value = 0;
    for (int i = 0; i < THREADS; i++) {
        counters[i] = (struct counter){.news = news, .value = &value};
        snprintf(counters[i].node, sizeof counters[i].node, "n%d", i);
        assert_int_equal(pthread_create(&threads[i], NULL, counter_run, &counters[i]), 0);
    }
    for (int i = 0; i < RINGS; i++) {
        value++;
        news_ring(news, "lab", NULL);
    }
    int64_t begin = from_now(0);
    for (int i = 0; i < THREADS; i++) {
        void *failed = NULL;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    assert_true(from_now(0) - begin < 30000); /* nobody slept through */
    assert_int_equal(news_readers(news), 0);
    news_free(news);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_wake_whom_they_concern),
        cmocka_unit_test(a_node_has_one_reader),
        cmocka_unit_test(nothing_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
