/* JSON written as text. */
#include <jansson.h>

#include "ca/base/json_text.h"
#include "tests/unit/base/suite.h"

static void what_is_written_is_json(void **state)
{
    (void)state;
    static const uint8_t data[] = {0, 0xab, 0xff};
    AUTO(bytes) out = {0};
    bytes_append_text(&out, "{");
    member_string(&out, "plain", "etcd 1");
    member_string(&out, "escaped", "a\"b\\c\nd\x7f §");
    member_string_or_null(&out, "none", NULL);
    member_string_or_null(&out, "empty", "");
    member_string_or_null(&out, "some", "x");
    member_hex(&out, "hex", SPAN_OF(data));
    member_time(&out, "time", 1795225445);
    member_integer(&out, "number", INT64_MIN);
    member_begin(&out, "list");
    bytes_append_text(&out, "[");
    element_string(&out, "a");
    element_string(&out, "\t");
    bytes_append_text(&out, "]}");
    assert_string_equal(bytes_text(&out),
                        "{\"plain\":\"etcd 1\",\"escaped\":\"a\\\"b\\\\c\\nd\x7f §\",\"none\":null,\"empty\":null,"
                        "\"some\":\"x\",\"hex\":\"00abff\",\"time\":\"2026-11-21T01:44:05Z\","
                        "\"number\":-9223372036854775808,\"list\":[\"a\",\"\\t\"]}");
    json_t *json = json_loads(bytes_text(&out), JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(json);
    assert_string_equal(json_string_value(json_object_get(json, "escaped")), "a\"b\\c\nd\x7f §");
    json_decref(json);
}

static void members_need_no_object(void **state)
{
    (void)state;
    AUTO(bytes) out = {0};
    member_string(&out, "event", "token.created");
    member_integer(&out, "n", 1);
    assert_string_equal(bytes_text(&out), "\"event\":\"token.created\",\"n\":1");
}

static void what_is_not_utf8_fails(void **state)
{
    (void)state;
    AUTO(bytes) out = {0}, quoted = {0};
    member_string(&out, "a", "\xff");
    assert_true(out.failed);
    assert_false(quoted_append(&quoted, "\xff", 0));
    assert_int_equal(quoted.size, 0);
    assert_true(quoted_append(&quoted, "§", JSON_ENSURE_ASCII));
    assert_string_equal(bytes_text(&quoted), "\"\\u00A7\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_json),
        cmocka_unit_test(members_need_no_object),
        cmocka_unit_test(what_is_not_utf8_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
