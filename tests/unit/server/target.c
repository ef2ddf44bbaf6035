#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "server/http_rules.h"
#include "server/http_target.h"

static const struct {
    const char *text;
    bool valid;
    size_t segments;
    const char *last;  /* segment */
    const char *value; /* of the query parameter q; NULL: none */
} targets[] = {
    {"/", true, 1, "", NULL},
    {"/v1/things", true, 2, "things", NULL},
    {"/v1/things/", true, 3, "", NULL},
    {"/a?q", true, 1, "a", ""},
    {"/a?q=", true, 1, "a", ""},
    {"/a?q=1&r=2", true, 1, "a", "1"},
    {"/a?&q=%41+b", true, 1, "a", "A b"},
    {"/a?q=a=b", true, 1, "a", "a=b"},
    {"/a?q=/x?y", true, 1, "a", "/x?y"},
    {"/a+b", true, 1, "a+b", NULL},
    {"/%7Ea%20b", true, 1, "~a b", NULL},
    {"/...", true, 1, "...", NULL},
    {"", false, 0, NULL, NULL},
    {"a", false, 0, NULL, NULL},
    {"*", false, 0, NULL, NULL},
    {"http://host/a", false, 0, NULL, NULL},
    {"//a", false, 0, NULL, NULL},
    {"/a//b", false, 0, NULL, NULL},
    {"/.", false, 0, NULL, NULL},
    {"/./a", false, 0, NULL, NULL},
    {"/a/..", false, 0, NULL, NULL},
    {"/a/%2e%2E/b", false, 0, NULL, NULL},
    {"/a%2fb", false, 0, NULL, NULL},
    {"/a%00b", false, 0, NULL, NULL},
    {"/a%0d%0ab", false, 0, NULL, NULL},
    {"/a%7f", false, 0, NULL, NULL},
    {"/a%c3%a4", false, 0, NULL, NULL},
    {"/\xc3\xa4", false, 0, NULL, NULL},
    {"/a b", false, 0, NULL, NULL},
    {"/a#b", false, 0, NULL, NULL},
    {"/%", false, 0, NULL, NULL},
    {"/%4", false, 0, NULL, NULL},
    {"/%4g", false, 0, NULL, NULL},
    {"/a?q=%", false, 0, NULL, NULL},
    {"/a?q=%00", false, 0, NULL, NULL},
    {"/a?q=1&q=1", false, 0, NULL, NULL},
    {"/a?q=1&%71=2", false, 0, NULL, NULL},
};

static void test_targets(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
        struct target target;
        struct fault fault = {0};
        target_take(&target, targets[i].text);
        enum err err = target_parse(&target, &fault);
        if ((err == OK) != targets[i].valid || (err != OK && fault.code != CODE_MALFORMED))
            fail_msg("%s: %s", targets[i].text, fault.text);
        if (err != OK)
            continue;
        assert_int_equal(target.segments_count, targets[i].segments);
        assert_string_equal(target.segments[target.segments_count - 1], targets[i].last);
        const char *value = target_query(&target, "q");
        assert_int_equal(!value, !targets[i].value);
        if (value)
            assert_string_equal(value, targets[i].value);
    }
}

/* The largest target, of the parts that need most room, and one byte more. */
static void test_target_size(void **state)
{
    (void)state;
    char text[TARGET_SIZE_MAX + 1];
    struct target target;
    struct fault fault = {0};
    memset(text, 'a', sizeof text);
    memcpy(text, "/a/a/a/a?b&c&d&e&f&g&h&i=&j=&", 29);
    text[TARGET_SIZE_MAX - 1] = '\0';
    target_take(&target, text);
    assert_int_equal(target_parse(&target, &fault), OK);
    assert_int_equal(target.query_count, 10);
    assert_string_equal(target.path, "/a/a/a/a");
    text[TARGET_SIZE_MAX - 1] = 'a';
    text[TARGET_SIZE_MAX] = '\0';
    target_take(&target, text);
    assert_int_equal(target_parse(&target, &fault), ERR_INPUT);
    assert_string_equal(target.path, "/a/a/a/a"); /* no query in the log, even so */
}

static const struct route routes[] = {
    {"GET", "/v1/things", 0, 0, NULL},
    {"POST", "/v1/things", 0, 0, NULL},
    {"GET", "/v1/things/{thing}", 0, 0, NULL},
    {"DELETE", "/v1/things/{thing}", 0, 0, NULL},
    {"GET", "/v1/things/{thing}/parts/{part}", 0, 0, NULL},
    {NULL, NULL, 0, 0, NULL},
};

static const struct {
    const char *method, *text;
    int route; /* -1: none */
    enum code code;
    const char *allow;
    const char *parameters[2];
} finds[] = {
    {"GET", "/v1/things", 0, CODE_NONE, "", {NULL, NULL}},
    {"HEAD", "/v1/things", 0, CODE_NONE, "", {NULL, NULL}},
    {"POST", "/v1/things", 1, CODE_NONE, "", {NULL, NULL}},
    {"GET", "/v1/things/x", 2, CODE_NONE, "", {"x", NULL}},
    {"DELETE", "/v1/things/x", 3, CODE_NONE, "", {"x", NULL}},
    {"GET", "/v1/things/x%20y/parts/z", 4, CODE_NONE, "", {"x y", "z"}},
    {"PUT", "/v1/things", -1, CODE_METHOD_NOT_ALLOWED, "GET, HEAD, POST", {NULL, NULL}},
    {"get", "/v1/things", -1, CODE_METHOD_NOT_ALLOWED, "GET, HEAD, POST", {NULL, NULL}},
    {"POST", "/v1/things/x", -1, CODE_METHOD_NOT_ALLOWED, "GET, HEAD, DELETE", {NULL, NULL}},
    {"GET", "/v1/things/", -1, CODE_NOT_FOUND, "", {NULL, NULL}},
    {"GET", "/v1/thing", -1, CODE_NOT_FOUND, "", {NULL, NULL}},
    {"GET", "/v1/thingss", -1, CODE_NOT_FOUND, "", {NULL, NULL}},
    {"GET", "/v1", -1, CODE_NOT_FOUND, "", {NULL, NULL}},
    {"GET", "/", -1, CODE_NOT_FOUND, "", {NULL, NULL}},
    {"GET", "/v1/things/x/parts", -1, CODE_NOT_FOUND, "", {NULL, NULL}},
};

static void test_routes(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(finds); i++) {
        struct target target;
        struct fault fault = {0};
        const struct route *route = NULL;
        const char *parameters[HTTP_PARAMETERS_MAX] = {0};
        char allow[ALLOW_TEXT_SIZE] = "";
        target_take(&target, finds[i].text);
        assert_int_equal(target_parse(&target, &fault), OK);
        enum err err = route_find(routes, finds[i].method, &target, &route, parameters, allow, &fault);
        if ((err == OK) != (finds[i].route >= 0) || (err == OK && route != &routes[finds[i].route]))
            fail_msg("%s %s", finds[i].method, finds[i].text);
        assert_int_equal(fault.code, finds[i].code);
        assert_string_equal(allow, finds[i].allow);
        for (size_t j = 0; j < 2; j++)
            assert_string_equal(parameters[j] ? parameters[j] : "",
                                finds[i].parameters[j] ? finds[i].parameters[j] : "");
    }
}

static void test_etags(void **state)
{
    (void)state;
    static const struct {
        const char *list;
        bool listed;
    } rows[] = {
        {"\"abc\"", true},
        {"*", true},
        {"W/\"abc\"", true},
        {"\"x\", \"abc\"", true},
        {"\"x\",W/\"abc\" ", true},
        {"", false},
        {"\"ab\"", false},
        {"\"abcd\"", false},
        {"abc", false},
        {"\"x\",,", false},
        {"\"xabc\"", false},
        {" \"abc\"", true},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (etag_listed(rows[i].list, "\"abc\"") != rows[i].listed)
            fail_msg("%s", rows[i].list);
}

static void test_request_ids(void **state)
{
    (void)state;
    static const struct {
        const char *given;
        bool kept;
    } rows[] = {
        {"a", true},
        {"6f1b2c3d-0000-4000-8000-123456789abc", true},
        {NULL, false},
        {"", false},
        {"6f1b2c3d-0000-4000-8000-123456789abcd", false},
        {"a b", false},
        {"a\"b", false},
        {"\xc3\xa4", false},
    };
    char previous[REQUEST_ID_TEXT_SIZE] = "";
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char id[REQUEST_ID_TEXT_SIZE] = "";
        request_id(rows[i].given, id);
        assert_int_equal(rows[i].given && strcmp(id, rows[i].given) == 0, rows[i].kept);
        assert_true(strlen(id) > 0);
        assert_string_not_equal(id, previous);
        memcpy(previous, id, sizeof id);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_targets), cmocka_unit_test(test_target_size), cmocka_unit_test(test_routes),
        cmocka_unit_test(test_etags),   cmocka_unit_test(test_request_ids),
    };
    return cmocka_run_group_tests_name("target", tests, NULL, NULL);
}
