/* What people see of a cluster file that is wrong: the whole of standard error, word by word. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/commands.h"
#include "client/files.h"
#include "client/output.h"
#include "tests/unit/client/fixture.h"

/* What message_fault() prints about the error of `ensign cluster create -f NAME`. */
static void errors_of(const char *name, struct bytes *ret_text)
{
    struct fault f = {0};
    const struct arguments arguments = {.values = {[OPTION_FILE] = name}};
    char *folder = folder_make(), path[64];
    snprintf(path, sizeof path, "%s/stderr", folder);
    assert_int_equal(cluster_create(&arguments, &f), ERR_INPUT);
    fflush(stderr);
    int before = dup(STDERR_FILENO);
    assert_non_null(freopen(path, "w", stderr));
    message_fault(&f);
    fflush(stderr);
    assert_int_equal(dup2(before, STDERR_FILENO), STDERR_FILENO);
    close(before);
    assert_int_equal(file_read(path, ret_text, &f), OK);
    folder_drop(folder);
}

static void test_golden(void **state)
{
    (void)state;
    struct fault f = {0};
    AUTO(bytes) text = {0};
    AUTO(bytes) expected = {0};
    errors_of("terrible.yaml", &text);
    if (getenv("GOLDEN_WRITE"))
        assert_int_equal(file_put("terrible.txt", FILE_MODE_PUBLIC, FILE_REPLACE, bytes_span(&text), &f), OK);
    assert_int_equal(file_read("terrible.txt", &expected, &f), OK);
    assert_string_equal(bytes_text(&text), bytes_text(&expected));
}

/* Every line names file, line and column, but for the first. */
static void test_places(void **state)
{
    (void)state;
    AUTO(bytes) text = {0};
    errors_of("terrible.yaml", &text);
    size_t lines = 0;
    char *rest = NULL, *copy = strdup(bytes_text(&text));
    assert_non_null(copy);
    for (char *line = strtok_r(copy, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest), lines++) {
        unsigned row = 0, column = 0;
        if (lines > 0 && (sscanf(line, "  terrible.yaml:%u:%u: ", &row, &column) != 2 || row == 0 || column == 0))
            fail_msg("\"%s\" does not begin with file:line:column", line);
    }
    assert_true(lines > 25);
    free(copy);
}

static int golden_enter(void **state)
{
    (void)state;
    const char *folder = getenv("GOLDEN");
    return folder && chdir(folder) == 0 ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_places),
    };
    return cmocka_run_group_tests(tests, golden_enter, NULL);
}
