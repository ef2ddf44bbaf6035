#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "server/logger.h"

static int saved_stderr;
static FILE *captured;

static int capture(void **state)
{
    (void)state;
    captured = tmpfile();
    saved_stderr = dup(STDERR_FILENO);
    dup2(fileno(captured), STDERR_FILENO);
    fcntl(STDERR_FILENO, F_SETFL, O_APPEND);
    log_open(LOG_LEVEL_INFO, "test");
    return 0;
}

static int release(void **state)
{
    (void)state;
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    fclose(captured);
    return 0;
}

/* The next line as JSON; NULL at the end. */
static json_t *line_next(void)
{
    char line[8192];
    if (!fgets(line, sizeof line, captured))
        return NULL;
    json_t *json = json_loads(line, 0, NULL);
    assert_non_null(json);
    return json;
}

static void lines_rewind(void)
{
    rewind(captured);
}

static void test_texts(void **state)
{
    (void)state;
    static const struct {
        const char *text, *logged;
    } rows[] = {
        {"plain", "plain"},
        {"a \"quoted\" \\ word", "a \"quoted\" \\ word"},
        {"two\nlines\t\x01", "two\nlines\t\x01"},
        {"\"}\n{\"level\":\"forged\"", "\"}\n{\"level\":\"forged\""},
        {"\xc3\xa4", "\xc3\xa4"},
        {"\xff", "(not UTF-8)"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        log_message(LOG_LEVEL_INFO, "%s", rows[i].text);
    lines_rewind();
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        json_t *json = line_next();
        assert_string_equal(json_string_value(json_object_get(json, "message")), rows[i].logged);
        assert_string_equal(json_string_value(json_object_get(json, "level")), "info");
        assert_string_equal(json_string_value(json_object_get(json, "process")), "test");
        json_decref(json);
    }
    assert_null(line_next());
}

static void test_levels(void **state)
{
    (void)state;
    log_message(LOG_LEVEL_DEBUG, "hidden");
    log_open(LOG_LEVEL_DEBUG, "test");
    log_message(LOG_LEVEL_DEBUG, "shown");
    lines_rewind();
    json_t *json = line_next();
    assert_string_equal(json_string_value(json_object_get(json, "message")), "shown");
    json_decref(json);
    assert_null(line_next());
}

static void test_fault(void **state)
{
    (void)state;
    struct fault fault = {0};
    assert_int_equal(fault_set(&fault, CODE_SEALED, "the key does not fit"), ERR_IO);
    log_fault(LOG_LEVEL_ERROR, "failed", &fault);
    lines_rewind();
    json_t *json = line_next();
    assert_string_equal(json_string_value(json_object_get(json, "code")), "sealed");
    assert_string_equal(json_string_value(json_object_get(json, "detail")), "the key does not fit");
    json_decref(json);
}

enum { THREADS = 8, LINES = 200 };

static void *lines_write(void *context)
{
    (void)context;
    for (int i = 0; i < LINES; i++)
        log_message(LOG_LEVEL_INFO, "a line that is long enough to be torn apart by another thread's line");
    return NULL;
}

static void test_threads_do_not_tear_lines(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    int lines = 0;
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, lines_write, NULL), 0);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    lines_rewind();
    for (json_t *json; (json = line_next()); lines++)
        json_decref(json);
    assert_int_equal(lines, THREADS * LINES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_texts, capture, release),
        cmocka_unit_test_setup_teardown(test_levels, capture, release),
        cmocka_unit_test_setup_teardown(test_fault, capture, release),
        cmocka_unit_test_setup_teardown(test_threads_do_not_tear_lines, capture, release),
    };
    return cmocka_run_group_tests_name("logger", tests, NULL, NULL);
}
