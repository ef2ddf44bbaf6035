/* The forms of the output. What is printed is read back from a file that stands in for standard output. */
#include "client/output.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ca/base/document.h"
#include "tests/unit/client/fixture.h"

static const struct column columns[] = {{"SERIAL", "serial", false},
                                        {"NODE", "place.node", false},
                                        {"DNS", "dns", false},
                                        {"SIZE", "size", true},
                                        {"USES", "uses", true}};

static json_t *list_make(void)
{
    json_t *list =
        json_pack("{s:[{s:s,s:{s:s},s:[s,s],s:i,s:[{s:s},{s:s}],s:b,s:n},{s:s,s:s}],s:n}", "items", "serial", "0cf1",
                  "place", "node", "etcdone", "dns", "a", "b", "size", 7, "uses", "name", "n", "profile", "p", "flag",
                  1, "nothing", "serial", "1e3", "text", "several\nlines: \"no\"\n", "next_cursor");
    assert_non_null(list);
    return list;
}

/* What the call prints; to be freed by bytes_free(). */
static struct bytes printed(enum output_format format, bool object)
{
    struct fault f = {0};
    struct bytes text = {0};
    json_t *list = list_make();
    FILE *file = tmpfile();
    fflush(stdout);
    int saved = dup(STDOUT_FILENO);
    assert_true(dup2(fileno(file), STDOUT_FILENO) >= 0);
    const struct output output = {format, columns, ARRAY_SIZE(columns)};
    enum err err = object ? output_object(&output, json_array_get(json_object_get(list, "items"), 0), &f)
                          : output_list(&output, list, &f);
    fflush(stdout);
    assert_true(dup2(saved, STDOUT_FILENO) >= 0);
    close(saved);
    rewind(file);
    char block[4096];
    bytes_append(&text, block, fread(block, 1, sizeof block, file));
    fclose(file);
    json_decref(list);
    assert_int_equal(err, OK);
    return text;
}

static void test_text_forms(void **state)
{
    (void)state;
    static const struct {
        enum output_format format;
        bool object;
        const char *expected;
    } cases[] = {
        {OUTPUT_TABLE, false, "SERIAL NODE    DNS\n0cf1   etcdone a,b\n1e3    -       -\n"},
        {OUTPUT_WIDE, false, "SERIAL NODE    DNS SIZE USES\n0cf1   etcdone a,b 7    n,p\n1e3    -       -   -    -\n"},
        {OUTPUT_NAME, false, "0cf1\n1e3\n"},
        {OUTPUT_TABLE, true, "SERIAL 0cf1\nNODE   etcdone\nDNS    a,b\n"},
        {OUTPUT_NAME, true, "0cf1\n"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        AUTO(bytes) text = printed(cases[i].format, cases[i].object);
        assert_string_equal(bytes_text(&text), cases[i].expected);
    }
}

/* "1e3" is a text and must not come back as a number. */
static void test_documents_read_back(void **state)
{
    (void)state;
    static const enum output_format formats[] = {OUTPUT_JSON, OUTPUT_YAML};
    for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
        struct fault f = {0};
        AUTO(bytes) text = printed(formats[i], false);
        CLEANUP(document_auto) struct document *document = NULL;
        if (document_parse(bytes_span(&text), "output", &document, &f) != OK)
            fail_msg("%s: %s", f.text, bytes_text(&text));
        json_t *list = list_make();
        assert_true(json_equal(document_json(document), list));
        json_decref(list);
    }
}

static void test_formats(void **state)
{
    (void)state;
    struct fault f = {0};
    enum output_format format;
    assert_int_equal(output_format_read(NULL, &format, &f), OK);
    assert_int_equal(format, OUTPUT_TABLE);
    assert_int_equal(output_format_read("yaml", &format, &f), OK);
    assert_int_equal(format, OUTPUT_YAML);
    assert_int_equal(output_format_read("xml", &format, &f), ERR_INPUT);
    assert_int_equal(f.code, CODE_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_forms),
        cmocka_unit_test(test_documents_read_back),
        cmocka_unit_test(test_formats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
