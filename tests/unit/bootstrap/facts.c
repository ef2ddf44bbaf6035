/* What hosts say: documents that are read, and those that are not. */
#include "client/bootstrap/facts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    const char *text;
    const char *reason; /* in the fault; NULL: it is read */
} rows[] = {
    {"{\"version\":1}", NULL},
    {"{\"version\":1,\"hostname\":\"a\",\"cpus\":\"2\",\"memory_kib\":\"\"}", NULL},
    {"{\"version\":1,\"ports\":[[\"tcp\",\"22\",\"0.0.0.0\",\"sshd\"]],\"files\":[[\"/"
     "a\",\"absent\",\"\",\"\",\"\",\"\",\"\"]]}",
     NULL},
    {"", "JSON"},
    {"hello", "JSON"},
    {"[]", "object"},
    {"{\"version\":2}", "1"},
    {"{}", "version"},
    {"{\"version\":1}{}", "JSON"},
    {"{\"version\":1,\"version\":1}", "duplicate"},
    {"{\"version\":1,\"surprise\":\"\"}", "surprise"},
    {"{\"version\":1,\"hostname\":7}", "string"},
    {"{\"version\":1,\"hostname\":\"caf\xc3\xa9\"}", "printable ASCII"},
    {"{\"version\":1,\"hostname\":\"a\\u007f\"}", "control character"},
    {"{\"version\":1,\"cpus\":\"two\"}", "no number"},
    {"{\"version\":1,\"cpus\":\"-2\"}", "no number"},
    {"{\"version\":1,\"cpus\":\"9999999999999999\"}", "no number"},
    {"{\"version\":1,\"ports\":{}}", "list"},
    {"{\"version\":1,\"ports\":[[\"tcp\",\"22\",\"0.0.0.0\"]]}", "4 cells"},
    {"{\"version\":1,\"ports\":[[\"tcp\",\"ssh\",\"0.0.0.0\",\"\"]]}", "no number"},
    {"{\"version\":1,\"ports\":[[\"tcp\",\"22\",[],\"\"]]}", "string"},
    {"{\"version\":1,\"ports\":[\"tcp\"]}", "list"},
};

static void documents(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct host_facts facts;
        struct fault f = {0};
        enum err err = facts_read(span_text(rows[i].text), &facts, &f);
        char line[4096];
        fault_line(&f, line, sizeof line);
        if ((err == OK) != !rows[i].reason || (rows[i].reason && !strcasestr(line, rows[i].reason)))
            fail_msg("%s: %s", rows[i].text, line);
        if (err == OK)
            host_facts_cleanup(&facts);
    }
}

static void limits(void **state)
{
    (void)state;
    for (size_t count = FACT_ROWS_MAX; count <= FACT_ROWS_MAX + 1; count++) {
        AUTO(bytes) text = {0};
        struct host_facts facts;
        struct fault f = {0};
        bytes_append_text(&text, "{\"version\":1,\"routes\":[[\"a\"]");
        for (size_t i = 1; i < count; i++)
            bytes_append_text(&text, ",[\"a\"]");
        bytes_append_text(&text, "]}");
        enum err err = facts_read(bytes_span(&text), &facts, &f);
        assert_int_equal(err, count <= FACT_ROWS_MAX ? OK : ERR_INPUT);
        if (err == OK)
            host_facts_cleanup(&facts);
    }
}

static void values(void **state)
{
    (void)state;
    struct host_facts facts;
    struct fault f = {0};
    assert_int_equal(
        facts_read(span_text("{\"version\":1,\"os_id\":\"debian\",\"cpus\":\"2\",\"disks\":[[\"/\",\"9\",\"7\","
                             "\"/\"],[\"/var\",\"8\",\"6\",\"/v\"]]}"),
                   &facts, &f),
        OK);
    assert_string_equal(facts.texts[FACT_OS_ID], "debian");
    assert_string_equal(facts.texts[FACT_KERNEL], "");
    assert_int_equal(facts.cpus, 2);
    assert_int_equal(facts.memory_kib, -1);
    assert_int_equal(fact_number(fact_find(&facts, LIST_DISKS, "/var")->cells[2]), 6);
    assert_null(fact_find(&facts, LIST_DISKS, "/srv"));
    host_facts_cleanup(&facts);
}

static void questions(void **state)
{
    (void)state;
    static const char *const good[] = {"/etc/it's", "/etc/$(x) y", NULL}, *const bad[] = {"/etc/a\nb", NULL};
    AUTO(bytes) script = {0};
    struct fault f = {0};
    const struct facts_question question = {.files = good}, wrong = {.names = bad};
    assert_int_equal(facts_script(&question, &script, &f), OK);
    const char *begin = "names=''\nfiles='/etc/it'\\''s\n/etc/$(x) y\n'\nfolders=''\nprograms=''\n#";
    assert_memory_equal(bytes_text(&script), begin, strlen(begin));
    struct bytes none = {0};
    assert_int_equal(facts_script(&wrong, &none, &f), ERR_INPUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(documents), cmocka_unit_test(limits), cmocka_unit_test(values),
                                       cmocka_unit_test(questions)};
    return cmocka_run_group_tests_name("facts", tests, NULL, NULL);
}
