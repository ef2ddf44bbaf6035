/* The text format by table, and what is counted under which labels. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "server/clock.h"
#include "server/metrics.h"
#include "server/metrics_text.h"

static void text_is(struct bytes *out, const char *expected)
{
    struct fault f = {0};
    assert_int_equal(bytes_check(out, &f), OK);
    assert_string_equal(bytes_text(out), expected);
}

static void test_samples(void **state)
{
    (void)state;
    static const struct {
        struct metric_label labels[3];
        double value;
        const char *line;
    } rows[] = {
        {{{0}}, 0, "m 0\n"},
        {{{0}}, 1764000000, "m 1764000000\n"},
        {{{0}}, 999999999999999, "m 999999999999999\n"},
        {{{0}}, 0.25, "m 0.25\n"},
        {{{0}}, 0.1, "m 0.1\n"},
        {{{0}}, -1, "m -1\n"},
        {{{"a", "b"}, {0}}, 1, "m{a=\"b\"} 1\n"},
        {{{"a", ""}, {"c", "d e"}, {0}}, 1, "m{a=\"\",c=\"d e\"} 1\n"},
        {{{"a", "\"\\\n"}, {0}}, 1, "m{a=\"\\\"\\\\\\n\"} 1\n"},
        {{{"a", "{x}=\"y\",b=\"}"}, {0}}, 1, "m{a=\"{x}=\\\"y\\\",b=\\\"}\"} 1\n"},
        {{{"a", "ä"}, {0}}, 1, "m{a=\"ä\"} 1\n"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        AUTO(bytes) out = {0};
        metric_sample(&out, "m", rows[i].labels, rows[i].value);
        text_is(&out, rows[i].line);
    }
}

static void test_family(void **state)
{
    (void)state;
    AUTO(bytes) out = {0};
    metric_single(&out, "m", "gauge", "a \"b\" \\ c\nd", 3);
    text_is(&out, "# HELP m a \"b\" \\\\ c\\nd\n# TYPE m gauge\nm 3\n");
}

static void test_histogram(void **state)
{
    (void)state;
    static const struct metric_label labels[] = {{"a", "b"}, {0}};
    static const struct {
        int64_t microseconds;
        size_t bucket;
    } rows[] = {{-5, 0}, {0, 0}, {500, 0}, {501, 1}, {1000, 1}, {30000000, 13}, {30000001, 14}, {INT64_MAX / 2, 14}};
    struct histogram histogram = {0};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        uint64_t before = histogram.counts[rows[i].bucket];
        histogram_observe(&histogram, rows[i].microseconds);
        uint64_t after = histogram.counts[rows[i].bucket];
        assert_int_equal(after, before + 1);
    }
    struct histogram three = {0};
    for (int64_t time = 250; time <= 1000000; time *= 50) /* 250 µs, 12.5 ms, 625 ms */
        histogram_observe(&three, time);
    AUTO(bytes) out = {0};
    metric_histogram(&out, "m", labels, &three);
    text_is(&out, "m_bucket{a=\"b\",le=\"0.0005\"} 1\nm_bucket{a=\"b\",le=\"0.001\"} 1\n"
                  "m_bucket{a=\"b\",le=\"0.0025\"} 1\nm_bucket{a=\"b\",le=\"0.005\"} 1\n"
                  "m_bucket{a=\"b\",le=\"0.01\"} 1\nm_bucket{a=\"b\",le=\"0.025\"} 2\n"
                  "m_bucket{a=\"b\",le=\"0.05\"} 2\nm_bucket{a=\"b\",le=\"0.1\"} 2\n"
                  "m_bucket{a=\"b\",le=\"0.25\"} 2\nm_bucket{a=\"b\",le=\"0.5\"} 2\n"
                  "m_bucket{a=\"b\",le=\"1\"} 3\nm_bucket{a=\"b\",le=\"2.5\"} 3\n"
                  "m_bucket{a=\"b\",le=\"10\"} 3\nm_bucket{a=\"b\",le=\"30\"} 3\n"
                  "m_bucket{a=\"b\",le=\"+Inf\"} 3\nm_sum{a=\"b\"} 0.63775\nm_count{a=\"b\"} 3\n");
}

static const struct route routes[] = {
    {.method = "GET", .pattern = "/v1/x/{y}"}, {.method = "POST", .pattern = "/v1/x"}, {0}};

static struct metrics *metrics_make(void)
{
    struct metrics *metrics = NULL;
    struct fault f = {0};
    assert_int_equal(metrics_new(routes, &metrics, &f), OK);
    return metrics;
}

static bool requests_have(const struct metrics *metrics, const char *line)
{
    AUTO(bytes) out = {0};
    metrics_requests_write(metrics, &out);
    return strstr(bytes_text(&out), line) != NULL;
}

static void test_requests(void **state)
{
    (void)state;
    struct metrics *metrics = metrics_make();
    assert_false(requests_have(metrics, "_count"));
    metrics_request(metrics, &routes[0], 200, 0.001);
    metrics_request(metrics, &routes[0], 200, 0.001);
    metrics_request(metrics, &routes[1], 201, 0.001);
    metrics_request(metrics, &routes[1], 599, 0.001); /* no status of ours */
    metrics_request(metrics, NULL, 404, 0.001);
    assert_true(requests_have(metrics, "_count{route=\"/v1/x/{y}\",method=\"GET\",code=\"200\"} 2\n"));
    assert_true(requests_have(metrics, "_count{route=\"/v1/x\",method=\"POST\",code=\"201\"} 1\n"));
    assert_true(requests_have(metrics, "_count{route=\"/v1/x\",method=\"POST\",code=\"other\"} 1\n"));
    assert_true(requests_have(metrics, "_count{route=\"other\",method=\"other\",code=\"404\"} 1\n"));
    metrics_free(metrics);
}

/* Every status that the table of codes can give has a series of its own. */
static void test_statuses(void **state)
{
    (void)state;
    for (enum code code = CODE_NONE + 1; code < CODE_COUNT; code++) {
        struct metrics *metrics = metrics_make();
        int status = code_http_status(code);
        metrics_request(metrics, NULL, status, 0);
        /* these are the client's alone, and no answer of the service */
        bool of_client = code == CODE_UNREACHABLE || code == CODE_UNTRUSTED || code == CODE_USAGE ||
                         code == CODE_EXPIRING || code == CODE_PENDING;
        if (!of_client && requests_have(metrics, "code=\"other\""))
            fail_msg("status %d of code %s has no series", status, code_name(code));
        metrics_free(metrics);
    }
}

static void test_process(void **state)
{
    (void)state;
    static const char *const names[] = {"process_start_time_seconds 1", "process_cpu_seconds_total ",
                                        "process_resident_memory_bytes ", "process_open_fds ", "process_max_fds "};
    struct metrics *metrics = metrics_make();
    AUTO(bytes) out = {0};
    metrics_process_write(metrics, &out);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        assert_non_null(strstr(bytes_text(&out), names[i]));
    metrics_free(metrics);
}

/* In the hot path: a microsecond at the very most, as a mean, also where a sanitizer makes everything slow. */
static void test_cost(void **state)
{
    (void)state;
    enum { TIMES = 1000000 };
    struct metrics *metrics = metrics_make();
    int64_t began = clock_microseconds();
    for (int i = 0; i < TIMES; i++)
        metrics_request(metrics, &routes[1], 503, 40);
    int64_t nanoseconds = (clock_microseconds() - began) * 1000 / TIMES;
    print_message("counting an answer takes %lld ns\n", (long long)nanoseconds);
    assert_true(nanoseconds < 1000);
    metrics_free(metrics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_samples),  cmocka_unit_test(test_family),   cmocka_unit_test(test_histogram),
        cmocka_unit_test(test_requests), cmocka_unit_test(test_statuses), cmocka_unit_test(test_process),
        cmocka_unit_test(test_cost),
    };
    return cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}
