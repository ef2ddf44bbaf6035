/* Borrowed and owned bytes. */
#include "tests/unit/base/suite.h"

static void spans_compare(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        int order;
        bool starts;
    } cases[] = {
        {"", "", 0, true},    {"a", "", 1, true},     {"", "a", -1, false},    {"a", "b", -1, false},
        {"ab", "a", 1, true}, {"a", "ab", -1, false}, {"\xff", "a", 1, false}, {"ab", "ab", 0, true},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct span a = span_text(cases[i].a), b = span_text(cases[i].b);
        int order = span_compare(a, b);
        assert_int_equal((order > 0) - (order < 0), cases[i].order);
        assert_int_equal(span_equal(a, b), cases[i].order == 0);
        assert_int_equal(span_starts(a, b), cases[i].starts);
    }
    assert_true(span_equal(span(NULL, 0), span("x", 0)));
    assert_int_equal(span_compare(span(NULL, 0), span("x", 0)), 0);
}

static void bytes_grow_and_end_with_nul(void **state)
{
    (void)state;
    AUTO(bytes) b = {0};
    struct fault f = {0};
    assert_string_equal(bytes_text(&b), "");
    for (size_t i = 0; i < 10000; i++) {
        bytes_append(&b, "x", 1);
        assert_int_equal(b.data[b.size], 0);
    }
    assert_int_equal(strlen(bytes_text(&b)), 10000);
    bytes_clear(&b);
    assert_string_equal(bytes_text(&b), "");
    bytes_append_text(&b, "a");
    bytes_append_span(&b, span_text("bc"));
    bytes_appendf(&b, "-%d-%s", 7, "z");
    assert_string_equal(bytes_text(&b), "abc-7-z");
    bytes_appendf(&b, "%*d", 40000, 1); /* more than there is room for */
    assert_int_equal(strlen(bytes_text(&b)), 7 + 40000);
    assert_ok(bytes_check(&b, &f), &f);
    bytes_free(&b);
    assert_null(b.data);
    bytes_append(&b, NULL, 0);
    assert_int_equal(b.size, 0);
}

static void failure_is_kept(void **state)
{
    (void)state;
    AUTO(bytes) b = {0};
    struct fault f = {0};
    bytes_append_text(&b, "kept");
    bytes_append(&b, "x", SIZE_MAX / 2);
    assert_true(b.failed);
    bytes_append_text(&b, "more");
    bytes_appendf(&b, "%s", "more");
    assert_string_equal(bytes_text(&b), "kept");
    assert_int_equal(bytes_check(&b, &f), ERR_NOMEM);
}

static void copies_are_their_own(void **state)
{
    (void)state;
    char source[] = "abc";
    AUTO(bytes) copy = {0}, given = {0};
    struct fault f = {0};
    assert_ok(bytes_copy(span_text(source), &copy, &f), &f);
    source[0] = 'x';
    assert_string_equal(bytes_text(&copy), "abc");
    assert_ok(bytes_give(&copy, &given, &f), &f);
    assert_string_equal(bytes_text(&given), "abc");
    assert_null(copy.data);
    copy.failed = true;
    assert_int_equal(bytes_give(&copy, &given, &f), ERR_NOMEM);
    assert_string_equal(bytes_text(&given), "abc");
    char *taken = source, *rest = TAKE(taken);
    assert_ptr_equal(rest, source);
    assert_null(taken);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spans_compare),
        cmocka_unit_test(bytes_grow_and_end_with_nul),
        cmocka_unit_test(failure_is_kept),
        cmocka_unit_test(copies_are_their_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
