/* Reading a tree: values, and the place of everything that is wrong. */
#include "ca/base/document.h"
#include "tests/unit/base/suite.h"

static const char text_right[] = "name: etcd\n"
                                 "count: 3\n"
                                 "flag: true\n"
                                 "time: 90m\n"
                                 "kind: second\n"
                                 "list: [a, b]\n";

struct values {
    char name[8];
    const char *kind_text;
    int64_t count, seconds;
    bool flag;
    size_t kind, items;
};

static const char *const kinds[] = {"first", "second", NULL};

/* Reads everything; what is absent keeps its default. */
static void values_read(const struct node *root, enum node_presence presence, struct values *values)
{
    struct node name = node_get(root, "name");
    struct node count = node_get(root, "count");
    struct node flag = node_get(root, "flag");
    struct node time = node_get(root, "time");
    struct node kind = node_get(root, "kind");
    struct node list = node_get(root, "list");
    node_text(&name, presence, values->name, sizeof values->name);
    node_integer(&count, presence, 1, 5, &values->count);
    node_bool(&flag, presence, &values->flag);
    node_duration(&time, presence, &values->seconds);
    node_word(&kind, presence, kinds, &values->kind);
    values->items = node_count(&list, presence, 2);
}

static struct document *yaml(const char *text)
{
    struct fault f = {0};
    struct document *document = NULL;
    assert_ok(document_parse(span_text(text), "t.yaml", &document, &f), &f);
    return document;
}

static struct document *json(const char *text)
{
    struct fault f = {0};
    struct document *document = NULL;
    assert_ok(document_parse_json(span_text(text), &document, &f), &f);
    return document;
}

/* A place goes into texts that are JSON or printed: the name of a file may be anything, and be cut anywhere. */
static void places_are_printable(void **state)
{
    (void)state;
    struct fault f = {0};
    CLEANUP(document_auto) struct document *document = NULL;
    char place[PLACE_TEXT_SIZE];
    assert_ok(document_parse(span_text("a: 1"), "b\xff\xc3\xa9.yaml", &document, &f), &f);
    struct node root = document_root(document, &f);
    node_place(&root, place);
    assert_string_equal(place, "b\?\?\?.yaml:1:1");
}

static void right_values_are_read(void **state)
{
    (void)state;
    struct fault f = {0};
    CLEANUP(document_auto) struct document *document = yaml(text_right);
    struct node root = document_root(document, &f);
    struct values values = {0};
    values_read(&root, NODE_REQUIRED, &values);
    assert_ok(fault_if_reasons(&f, CODE_INVALID, "bad"), &f);
    assert_string_equal(values.name, "etcd");
    assert_int_equal(values.count, 3);
    assert_true(values.flag);
    assert_int_equal(values.seconds, 5400);
    assert_int_equal(values.kind, 1);
    assert_int_equal(values.items, 2);
}

static void absent_values_keep_their_defaults(void **state)
{
    (void)state;
    struct fault f = {0};
    CLEANUP(document_auto) struct document *document = yaml("{}");
    struct node root = document_root(document, &f);
    struct values values = {.name = "same", .count = 4, .flag = true, .seconds = 5, .kind = 1};
    values_read(&root, NODE_OPTIONAL, &values);
    assert_int_equal(f.reasons_count, 0);
    assert_string_equal(values.name, "same");
    assert_int_equal(values.count, 4);
    assert_true(values.flag);
    assert_int_equal(values.seconds, 5);
    values_read(&root, NODE_REQUIRED, &values);
    assert_int_equal(f.reasons_count, 6);
    for (size_t i = 0; i < 6; i++) {
        assert_string_equal(f.reasons[i].pointer, "t.yaml:1:1");
        assert_non_null(strstr(f.reasons[i].text, "missing"));
    }
}

/* What is no object has no keys that could be missing: it is said once, even when the reader asks for keys only. */
static void what_is_no_object_is_told_once(void **state)
{
    (void)state;
    static const char *const keys[] = {"name", NULL};
    struct fault f = {0};
    CLEANUP(document_auto) struct document *document = yaml("[a]");
    struct node root = document_root(document, &f);
    struct values values = {0};
    values_read(&root, NODE_REQUIRED, &values);
    node_allow(&root, keys);
    assert_int_equal(f.reasons_count, 1);
    assert_string_equal(f.reasons[0].pointer, "t.yaml:1:1");
    assert_non_null(strstr(f.reasons[0].text, "an object"));
}

/* Every wrong value is told, at its line and column. */
static void wrong_values_are_told_where_they_are(void **state)
{
    (void)state;
    static const struct {
        const char *text, *pointer, *says;
    } cases[] = {
        {"name: 1.31", "t.yaml:1:7", "quotes"},
        {"name: [a]", "t.yaml:1:7", "string"},
        {"name: true", "t.yaml:1:7", "string"},
        {"name:", "t.yaml:1:6", "string"},
        {"name: ''", "t.yaml:1:7", "1 to 7"},
        {"name: 12345678x", "t.yaml:1:7", "1 to 7"},
        {"\n\ncount: 6", "t.yaml:3:8", "1 to 5"},
        {"count: 0", "t.yaml:1:8", "1 to 5"},
        {"count: 2.0", "t.yaml:1:8", "whole"},
        {"count: '2'", "t.yaml:1:8", "whole"},
        {"flag: yes", "t.yaml:1:7", "true or false"},
        {"flag: 1", "t.yaml:1:7", "true or false"},
        {"time: 90", "t.yaml:1:7", "string"},
        {"time: 90x", "t.yaml:1:7", "duration"},
        {"kind: third", "t.yaml:1:7", "first, second"},
        {"kind: First", "t.yaml:1:7", "first, second"},
        {"list: a", "t.yaml:1:7", "list"},
        {"list: {a: b}", "t.yaml:1:7", "list"},
        {"list: [a, b, c]", "t.yaml:1:7", "at most 2"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct fault f = {0};
        CLEANUP(document_auto) struct document *document = yaml(cases[i].text);
        struct node root = document_root(document, &f);
        struct values values = {0};
        values_read(&root, NODE_OPTIONAL, &values);
        if (f.reasons_count != 1)
            fail_msg("%s: %zu reasons", cases[i].text, f.reasons_count);
        assert_string_equal(f.reasons[0].pointer, cases[i].pointer);
        assert_says(&f, cases[i].says);
    }
}

static void json_errors_name_the_pointer(void **state)
{
    (void)state;
    struct fault f = {0};
    CLEANUP(document_auto) struct document *document = json("{\"a/b~c\": [{}, {\"x\": 1}], \"e\": {}}");
    struct node root = document_root(document, &f);
    struct node list = node_get(&root, "a/b~c");
    struct node item = node_at(&list, 1);
    struct node x = node_get(&item, "x");
    struct node beyond = node_at(&list, 2);
    struct node inside = node_get(&x, "deeper");
    const char *text;
    assert_false(node_present(&beyond));
    assert_false(node_present(&inside));
    assert_false(node_string(&x, NODE_REQUIRED, &text));
    assert_string_equal(f.reasons[0].pointer, "/a~1b~0c/1/x");
    static const char *const keys[] = {"a/b~c", NULL};
    node_allow(&root, keys);
    assert_string_equal(f.reasons[1].pointer, "/e");
    node_error(&root, "whole");
    assert_string_equal(f.reasons[2].pointer, "");
}

static void unknown_keys_are_told_with_the_closest(void **state)
{
    (void)state;
    static const char *const keys[] = {"name", "addresses", "hostnames", NULL};
    static const struct {
        const char *text, *pointer, *says;
    } cases[] = {
        {"- name\n", "t.yaml:1:1", "object"},
        {"name: x\nadresses: []\n", "t.yaml:2:1", "unknown key \"adresses\"; did you mean \"addresses\"?"},
        {"{name: x, Name: y}\n", "t.yaml:1:11", "did you mean \"name\"?"},
        {"hostname: x\n", "t.yaml:1:1", "did you mean \"hostnames\"?"},
        {"zzzzzzzz: x\n", "t.yaml:1:1", "unknown key \"zzzzzzzz\""},
        {"\"\": x\n", "t.yaml:1:1", "unknown key \"\""},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct fault f = {0};
        CLEANUP(document_auto) struct document *document = yaml(cases[i].text);
        struct node root = document_root(document, &f);
        node_allow(&root, keys);
        assert_int_equal(f.reasons_count, 1);
        assert_string_equal(f.reasons[0].pointer, cases[i].pointer);
        assert_says(&f, cases[i].says);
    }
    assert_null(word_closest("zzzzzzzz", keys));
    struct fault f = {0};
    CLEANUP(document_auto) struct document *document = yaml("name: x\nhostnames: []\n");
    struct node root = document_root(document, &f);
    node_allow(&root, keys);
    assert_int_equal(f.reasons_count, 0);
}

/* true, false and null are one shared node each in jansson: each place is found all the same. */
static void equal_values_have_their_own_places(void **state)
{
    (void)state;
    struct fault f = {0};
    CLEANUP(document_auto) struct document *document = yaml("a: true\nb: true\nc:\n  - true\n  - true\n");
    struct node root = document_root(document, &f);
    struct node a = node_get(&root, "a"), b = node_get(&root, "b"), c = node_get(&root, "c");
    struct node first = node_at(&c, 0), second = node_at(&c, 1);
    const struct node *nodes[] = {&a, &b, &first, &second};
    static const char *const places[] = {"t.yaml:1:4", "t.yaml:2:4", "t.yaml:4:5", "t.yaml:5:5"};
    for (size_t i = 0; i < ARRAY_SIZE(nodes); i++) {
        node_error(nodes[i], "here");
        assert_string_equal(f.reasons[i].pointer, places[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(places_are_printable),
        cmocka_unit_test(right_values_are_read),
        cmocka_unit_test(absent_values_keep_their_defaults),
        cmocka_unit_test(what_is_no_object_is_told_once),
        cmocka_unit_test(wrong_values_are_told_where_they_are),
        cmocka_unit_test(json_errors_name_the_pointer),
        cmocka_unit_test(unknown_keys_are_told_with_the_closest),
        cmocka_unit_test(equal_values_have_their_own_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
