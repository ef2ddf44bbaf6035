/* Token buckets by table: what is taken, what must wait and how long; and the table of them, which forgets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "server/throttle.h"

#define SECOND ((int64_t)1000000)

static void test_bucket(void **state)
{
    (void)state;
    static const struct throttle_rate rate = {.burst = 3, .per_minute = 30}; /* one in two seconds */
    static const struct {
        int64_t at; /* microseconds */
        int wait;   /* seconds */
    } steps[] = {
        {100 * SECOND, 0},     {100 * SECOND, 0}, {100 * SECOND, 0}, /* the burst */
        {100 * SECOND, 2},     {100 * SECOND, 2},                    /* who is refused pays nothing */
        {101 * SECOND - 1, 2}, {101 * SECOND, 1},                    /* whole seconds, rounded up */
        {102 * SECOND - 1, 1}, {102 * SECOND, 0},                    /* one came back */
        {102 * SECOND, 2},                                           /* and no more than one */
        {105 * SECOND, 0},     {105 * SECOND, 1},                    /* one and a half came back */
        {900 * SECOND, 0},     {900 * SECOND, 0}, {900 * SECOND, 0}, /* it is full again, and not fuller */
        {900 * SECOND, 2},
    };
    struct bucket bucket = {0};
    for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
        int wait = bucket_take(&bucket, &rate, steps[i].at);
        if (wait != steps[i].wait)
            fail_msg("step %zu: wait %d, not %d", i, wait, steps[i].wait);
    }
}

static void test_extremes(void **state)
{
    (void)state;
    static const struct throttle_rate most = {.burst = 1000000, .per_minute = 1000000};
    static const struct throttle_rate least = {.burst = 1, .per_minute = 1};
    static const struct throttle_rate none = {0};
    struct bucket bucket = {0};
    for (int i = 0; i < 1000000; i++)
        assert_int_equal(bucket_take(&bucket, &most, 5), 0);
    assert_int_equal(bucket_take(&bucket, &most, 5), 1);
    bucket = (struct bucket){0};
    assert_int_equal(bucket_take(&bucket, &least, 5), 0);
    assert_int_equal(bucket_take(&bucket, &least, 5), 60);
    for (int i = 0; i < 10; i++)
        assert_int_equal(bucket_take(&bucket, &none, 5), 0);
}

/* In any hour nobody gets more than the burst and what came back. */
static void test_sum(void **state)
{
    (void)state;
    static const struct throttle_rate rate = {.burst = 20, .per_minute = 7};
    struct bucket bucket = {0};
    int taken = 0;
    for (int64_t now = SECOND; now < 3601 * SECOND; now += 37777)
        taken += bucket_take(&bucket, &rate, now) == 0;
    assert_in_range(taken, 20 + 7 * 60 - 1, 20 + 7 * 60 + 1);
}

static struct throttle *throttle_make(unsigned burst)
{
    const struct throttle_rate rate = {.burst = burst, .per_minute = 1};
    struct throttle *throttle = NULL;
    struct fault f = {0};
    assert_int_equal(throttle_new(&rate, &throttle, &f), OK);
    return throttle;
}

static void test_keys_are_apart(void **state)
{
    (void)state;
    struct throttle *throttle = throttle_make(2);
    for (int i = 0; i < 2; i++)
        assert_int_equal(throttle_take(throttle, span_text("a"), SECOND), 0);
    assert_int_not_equal(throttle_take(throttle, span_text("a"), SECOND), 0);
    assert_int_equal(throttle_take(throttle, span_text("b"), SECOND), 0);
    throttle_free(throttle);
}

static int numbered_take(struct throttle *throttle, unsigned number)
{
    char key[16];
    snprintf(key, sizeof key, "k%u", number);
    return throttle_take(throttle, span_text(key), SECOND);
}

/* A crowd of others, each with little debt, does not make the table forget the one with much. */
static void test_the_deepest_debt_stays(void **state)
{
    (void)state;
    struct throttle *throttle = throttle_make(50);
    for (int i = 0; i < 50; i++)
        assert_int_equal(numbered_take(throttle, 0), 0);
    for (unsigned other = 1; other < 100000; other++)
        assert_int_equal(numbered_take(throttle, other), 0);
    assert_int_not_equal(numbered_take(throttle, 0), 0);
    throttle_free(throttle);
}

static void test_address(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        bool same;
    } rows[] = {
        {"192.0.2.1", "192.0.2.1", true},
        {"192.0.2.1", "192.0.2.2", false},
        {"2001:db8::1", "2001:db8::ffff:1", true}, /* one /64 */
        {"2001:db8::1", "2001:db8:0:1::1", false},
        {"unix", "unix", true},
        {"unix", "0.0.0.0", false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct address_key a, b;
        address_key_make(rows[i].a, &a);
        address_key_make(rows[i].b, &b);
        assert_int_equal(span_equal(span(a.data, a.size), span(b.data, b.size)), rows[i].same);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bucket),
        cmocka_unit_test(test_extremes),
        cmocka_unit_test(test_sum),
        cmocka_unit_test(test_keys_are_apart),
        cmocka_unit_test(test_the_deepest_debt_stays),
        cmocka_unit_test(test_address),
    };
    return cmocka_run_group_tests_name("throttle", tests, NULL, NULL);
}
