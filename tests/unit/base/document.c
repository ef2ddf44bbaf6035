/* Which texts are documents, and what tree they give. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "ca/base/document.h"
#include "tests/unit/base/suite.h"

/* The YAML text as compact JSON. */
static void yaml_gives(void **state)
{
    (void)state;
    static const struct {
        const char *yaml, *json;
    } cases[] = {
        {"a: 1\n", "{\"a\":1}"},
        {"{\"a\": [1, {\"b\": null}], \"c\": \"x\\u00e9\"}", "{\"a\":[1,{\"b\":null}],\"c\":\"x\xc3\xa9\"}"},
        {"a: no\nb: on\nc: Yes\nd: off\ne: y\n", "{\"a\":\"no\",\"b\":\"on\",\"c\":\"Yes\",\"d\":\"off\",\"e\":\"y\"}"},
        {"[true, True, TRUE, false, False, FALSE, tRue]", "[true,true,true,false,false,false,\"tRue\"]"},
        {"[null, Null, NULL, ~, , nULL]", NULL},
        {"[null, Null, NULL, ~, nULL]", "[null,null,null,null,\"nULL\"]"},
        {"a:\n", "{\"a\":null}"},
        {"[0, -7, +7, 017, 0o17, 0xfF, 0b1, 1_000]", "[0,-7,7,17,15,255,\"0b1\",\"1_000\"]"},
        {"[1.20, .5, 5., -1e3, 1E+2, 1.2.3, 1e, e5, '-', .]",
         "[1.2,0.5,5.0,-1000.0,100.0,\"1.2.3\",\"1e\",\"e5\",\"-\",\".\"]"},
        {"['1.20', \"1\", 'true', 'null', '']", "[\"1.20\",\"1\",\"true\",\"null\",\"\"]"},
        {"a: |\n  x\n  y\nb: >\n  x\n  y\n", "{\"a\":\"x\\ny\\n\",\"b\":\"x y\\n\"}"},
        {"2001-01-01: 12:30:45\n", "{\"2001-01-01\":\"12:30:45\"}"},
        {"1: x\nnull: y\n", "{\"1\":\"x\",\"null\":\"y\"}"},
        {"%YAML 1.2\n---\na: b\n...\n", "{\"a\":\"b\"}"},
        {"-9223372036854775808\n", "-9223372036854775808"},
        {"a: \"t\\tn\\nr\\r\"\n", "{\"a\":\"t\\tn\\nr\\r\"}"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct fault f = {0};
        CLEANUP(document_auto) struct document *document = NULL;
        enum err err = document_parse(span_text(cases[i].yaml), "t.yaml", &document, &f);
        if (!cases[i].json) {
            assert_int_equal(err, ERR_INPUT);
            continue;
        }
        assert_ok(err, &f);
        char *json = json_dumps(document_json(document), JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));
        assert_string_equal(json, cases[i].json);
        free(json);
    }
}

struct refusal {
    const char *text, *says;
};

static const struct refusal yaml_refusals[] = {
    {"", "t.yaml:1:1: the document is empty"},
    {"# nothing\n", "empty"},
    {"a: 1\nb: 2\na: 3\n", "t.yaml:3:1: the key \"a\" stands here a second time"},
    {"a: {x: 1, x: 1}\n", "t.yaml:1:11: the key \"x\""},
    {"a: &x 1\n", "t.yaml:1:4: anchors"},
    {"a: &x [1]\nb: *x\n", "anchors"},
    {"a: &x {b: 1}\n", "anchors"},
    {"a: *x\n", "anchors"},
    {"<<: *x\n", "anchors"},
    {"a: !!str 1\n", "tags"},
    {"a: !x [1]\n", "tags"},
    {"!!map {a: 1}\n", "tags"},
    {"? [a]\n: 1\n", "a key must be"},
    {"&k a: 1\n", "a key must be"},
    {"a: 1\n---\nb: 2\n", "second document"},
    {"a: [1\n", "t.yaml:2:1"},
    {"a: b: c\n", "t.yaml:1:5"},
    {"a:\n\t- b\n", "t.yaml:2:1"},
    {"a: \"\\0\"\n", "t.yaml:1:4: a control character"},
    {"a: \"\\x1b[31m\"\n", "control character"},
    {"a: \"\\x7f\"\n", "control character"},
    {"a: \"\\x9b\"\n", "control character"},
    {"\"a\\x01\": 1\n", "control character"},
    {"a: \x01\n", "t.yaml:"},
    {"a: \xff\n", "t.yaml:"},
    {"a: \xc0\xaf\n", "t.yaml:"},
    {"a: 9223372036854775808\n", "out of range"},
    {"a: 0xffffffffffffffffff\n", "out of range"},
    {"a: 1e999\n", "out of range"},
    {"a: .inf\n", "out of range"},
    {"a: .nan\n", "out of range"},
    {"[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]\n", "t.yaml:1:17: nested too deeply"},
};

static const struct refusal json_refusals[] = {
    {"", "not a JSON object"},
    {"1", "not a JSON object"},
    {"\"SECRET\"", "not a JSON object"},
    {"{\"a\": 1, \"a\": 2}", "duplicate object key at line 1"},
    {"{\"a\": {\"b\": 1, \"b\": 2}}", "duplicate object key"},
    {"{\"a\": 1} {}", "end of file expected"},
    {"{\"a\": 1} SECRET", "end of file expected"},
    {"{\"a\": SECRET}", "invalid token"},
    {"{\"a\": 1,}", "not a JSON object"},
    {"{a: 1}", "not a JSON object"},
    {"{\"a\": 'x'}", "not a JSON object"},
    {"{\"a\": \"x\\u0000\"}", "not a JSON object"},
    {"{\"a\": \"x\\u0001\"}", "control character"},
    {"{\"a\\u001b\": 1}", "control character"},
    {"{\"a\": [\"x\\u0085\"]}", "control character"},
    {"{\"a\": \"\xff\"}", "unable to decode byte 0xff"},
    {"{\"a\": \"\\ud800\"}", "Unicode"},
    {"{\"a\": 99999999999999999999}", "too big"},
    {"{\"a\": 1e999}", "overflow"},
    {"{\"a\": NaN}", "invalid token"},
    {"[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]", "nested too deeply"},
    {"{\"a\": 1}//", "end of file expected"},
};

static void refuse_all(const struct refusal *cases, size_t count, bool yaml)
{
    for (size_t i = 0; i < count; i++) {
        struct fault f = {0};
        struct document *document = NULL;
        struct span text = span_text(cases[i].text);
        enum err err = yaml ? document_parse(text, "t.yaml", &document, &f) : document_parse_json(text, &document, &f);
        if (err != ERR_INPUT || document)
            fail_msg("taken: %s", cases[i].text);
        assert_int_equal(f.code, CODE_MALFORMED);
        assert_says(&f, cases[i].says);
        assert_null(strstr(line_of(&f), "SECRET"));
    }
}

static void yaml_refuses(void **state)
{
    (void)state;
    refuse_all(yaml_refusals, ARRAY_SIZE(yaml_refusals), true);
}

static void json_refuses(void **state)
{
    (void)state;
    refuse_all(json_refusals, ARRAY_SIZE(json_refusals), false);
}

static void json_gives(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "{}",
        "{\"a\":[1,2.5,\"x\\r\\n\",null,true]}",
        "[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]",
        "{\"pem\":\"-----BEGIN X-----\\nAA==\\n-----END X-----\\n\"}",
        "{\"\":{\"/~\":\"\xc3\xa9\"}}",
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct fault f = {0};
        CLEANUP(document_auto) struct document *document = NULL;
        assert_ok(document_parse_json(span_text(cases[i]), &document, &f), &f);
        char *json = json_dumps(document_json(document), JSON_COMPACT);
        assert_string_equal(json, cases[i]);
        free(json);
    }
}

/* A NUL in the text itself, which a C string would end at. */
static void embedded_nul_is_refused(void **state)
{
    (void)state;
    static const char yaml[] = "a: 1\0b: 2\n";
    static const char json[] = "{\"a\": 1}\0{}";
    struct fault f = {0};
    struct document *document = NULL;
    assert_int_equal(document_parse(span(yaml, sizeof yaml - 1), "t.yaml", &document, &f), ERR_INPUT);
    assert_int_equal(document_parse_json(span(json, sizeof json - 1), &document, &f), ERR_INPUT);
    assert_null(document);
}

static void text_of_size(size_t size, struct bytes *out)
{
    bytes_append_text(out, "{\"a\": \"");
    while (out->size < size - 2)
        bytes_append(out, "x", 1);
    bytes_append_text(out, "\"}");
}

/* Exactly the limit is read, one byte more is not. */
static void size_is_limited(void **state)
{
    (void)state;
    AUTO(bytes) text = {0};
    AUTO(bytes) page = {0};
    struct fault f = {0};
    text_of_size(DOCUMENT_SIZE_MAX, &text);
    text_of_size(DOCUMENT_JSON_SIZE_MAX, &page);
    CLEANUP(document_auto) struct document *yaml = NULL;
    CLEANUP(document_auto) struct document *json = NULL;
    CLEANUP(document_auto) struct document *large = NULL;
    assert_ok(document_parse(bytes_span(&text), "t.yaml", &yaml, &f), &f);
    assert_ok(document_parse_json(bytes_span(&text), &json, &f), &f);
    assert_ok(document_parse_json(bytes_span(&page), &large, &f), &f);
    assert_true(json_equal(document_json(yaml), document_json(json)));
    bytes_append_text(&text, " ");
    bytes_append_text(&page, " ");
    struct document *none = NULL;
    assert_int_equal(document_parse(bytes_span(&text), "t.yaml", &none, &f), ERR_LIMIT);
    assert_int_equal(document_parse_json(bytes_span(&page), &none, &f), ERR_LIMIT);
    assert_null(none);
}

/* Cut anywhere, a document is refused or read, and nothing leaks or overruns (the sanitizers look on). */
static void truncations_are_survived(void **state)
{
    (void)state;
    static const char text[] = "{\"a\": [1, {\"b\": \"x\\u00e9\", \"c\": [true, null, -1.5e3]}], \"d\": {\"e\": {}}}";
    for (size_t size = 0; size < sizeof text - 1; size++) {
        AUTO(bytes) part = {0};
        struct fault f = {0};
        struct document *document = NULL;
        assert_ok(bytes_copy(span(text, size), &part, &f), &f);
        assert_int_equal(document_parse(bytes_span(&part), "t.yaml", &document, &f), ERR_INPUT);
        assert_int_equal(document_parse_json(bytes_span(&part), &document, &f), ERR_INPUT);
        assert_null(document);
    }
}

static void files_are_loaded(void **state)
{
    (void)state;
    char path[] = P_tmpdir "/ensign-document-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "a: [x]\n", 7), 7);
    struct fault f = {0};
    CLEANUP(document_auto) struct document *document = NULL;
    assert_ok(document_load(path, &document, &f), &f);
    assert_string_equal(document_name(document), strrchr(path, '/') + 1);
    assert_int_equal(json_array_size(json_object_get(document_json(document), "a")), 1);
    assert_int_equal(ftruncate(fd, DOCUMENT_SIZE_MAX + 1), 0);
    struct document *none = NULL;
    assert_int_equal(document_load(path, &none, &f), ERR_LIMIT);
    close(fd);
    unlink(path);
    assert_int_equal(document_load(path, &none, &f), ERR_IO);
    assert_says(&f, "No such file");
    assert_int_equal(document_load("/tmp", &none, &f), ERR_IO);
    assert_null(none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(yaml_gives),
        cmocka_unit_test(yaml_refuses),
        cmocka_unit_test(json_gives),
        cmocka_unit_test(json_refuses),
        cmocka_unit_test(embedded_nul_is_refused),
        cmocka_unit_test(size_is_limited),
        cmocka_unit_test(truncations_are_survived),
        cmocka_unit_test(files_are_loaded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
