/* Programs run to their end: what they read and print, and what ends them. */
#include "client/process.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

static struct process_result shell(const char *script, struct span input, int64_t deadline_ms, int stop)
{
    const char *const arguments[] = {"sh", "-c", script, NULL};
    const struct process process = {
        .arguments = arguments, .input = input, .deadline_ms = deadline_ms, .output_max = 100000, .stop = stop};
    struct process_result result;
    struct fault f = {0};
    assert_int_equal(process_run(&process, &result, &f), OK);
    return result;
}

static void prints_and_ends(void **state)
{
    (void)state;
    static const struct {
        const char *script, *input;
        int status;
        const char *output, *error;
    } rows[] = {
        {"cat", "some\ntext", 0, "some\ntext", ""},
        {"echo a; echo b >&2; exit 7", "", 7, "a\n", "b\n"},
        {"exec true", "nobody reads this", 0, "", ""},
        {"kill -TERM $$", "", 128 + SIGTERM, "", ""},
        {"sleep 60 & echo done", "", 0, "done\n", ""}, /* its child holds its output open */
        {"exec 2>&-; (: </dev/tty) 2>/dev/null && echo terminal; exit 0", "", 0, "", ""},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        AUTO(process_result) result = shell(rows[i].script, span_text(rows[i].input), 30000, -1);
        assert_int_equal(result.end, PROCESS_EXITED);
        assert_int_equal(result.status, rows[i].status);
        assert_string_equal(bytes_text(&result.output), rows[i].output);
        assert_string_equal(bytes_text(&result.error), rows[i].error);
    }
}

/* What comes of two places, and goes to a file. */
static void through_files(void **state)
{
    (void)state;
    static const char *const arguments[] = {"sh", "-c", "cat; echo said >&2", NULL};
    static const struct {
        const char *input, *more, *output;
    } rows[] = {{"one ", "other", "one other"}, {"", "other", "other"}, {"one", "", "one"}, {"", "", ""}};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char got[16] = "";
        struct fault f = {0};
        FILE *file = tmpfile();
        AUTO(process_result) result = {0};
        const struct process process = {.arguments = arguments,
                                        .input = span_text(rows[i].input),
                                        .more = span_text(rows[i].more),
                                        .output_file = fileno(file),
                                        .deadline_ms = 30000,
                                        .output_max = 6, /* of the file there is no limit */
                                        .stop = -1};
        assert_int_equal(process_run(&process, &result, &f), OK);
        assert_int_equal(result.end, PROCESS_EXITED);
        assert_string_equal(bytes_text(&result.error), "said\n");
        assert_int_equal(result.output.size, 0);
        assert_true(pread(fileno(file), got, sizeof got - 1, 0) >= 0);
        assert_string_equal(got, rows[i].output);
        fclose(file);
    }
}

static void much_goes_through(void **state)
{
    (void)state;
    enum { SIZE = 100000 };
    char *text = malloc(SIZE);
    memset(text, 'x', SIZE);
    AUTO(process_result) result = shell("cat", span(text, SIZE), 30000, -1);
    assert_int_equal(result.output.size, SIZE);
    AUTO(process_result) more = shell("cat; echo", span(text, SIZE), 30000, -1);
    assert_int_equal(more.end, PROCESS_FLOODED);
    free(text);
}

static void is_killed(void **state)
{
    (void)state;
    int stop = eventfd(1, EFD_CLOEXEC);
    AUTO(process_result) late = shell("sleep 60 | sleep 60", span_text(""), 300, -1);
    AUTO(process_result) flood = shell("exec cat /dev/zero", span_text(""), 30000, -1);
    AUTO(process_result) stopped = shell("sleep 60", span_text(""), 30000, stop);
    assert_int_equal(late.end, PROCESS_LATE);
    assert_int_equal(flood.end, PROCESS_FLOODED);
    assert_int_equal(flood.output.size, 100000);
    assert_int_equal(stopped.end, PROCESS_STOPPED);
    close(stop);
}

/* The whole group: a child that would write a file later does not. */
static void children_are_killed(void **state)
{
    (void)state;
    AUTO(process_result) result = shell("sleep 60 & echo $!; wait", span_text(""), 500, -1);
    pid_t child = (pid_t)strtol(bytes_text(&result.output), NULL, 10);
    assert_true(child > 1);
    for (int tries = 0; tries < 1000 && kill(child, 0) == 0; tries++)
        usleep(10000);
    assert_int_not_equal(kill(child, 0), 0);
}

static void absent(void **state)
{
    (void)state;
    const char *const arguments[] = {"no-such-program-here", NULL};
    const struct process process = {.arguments = arguments, .deadline_ms = 1000, .output_max = 1000, .stop = -1};
    struct process_result result;
    struct fault f = {0};
    assert_int_equal(process_run(&process, &result, &f), ERR_ABSENT);
    assert_non_null(strstr(f.text, "no-such-program-here"));
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prints_and_ends), cmocka_unit_test(through_files),       cmocka_unit_test(much_goes_through),
        cmocka_unit_test(is_killed),       cmocka_unit_test(children_are_killed), cmocka_unit_test(absent),
    };
    return cmocka_run_group_tests_name("process", tests, NULL, NULL);
}
