#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "server/problem.h"

static const struct http_request request = {.id = "request-1"};

static json_t *problem_read(const struct fault *fault, struct http_response *ret_response)
{
    *ret_response = problem(&request, fault);
    json_t *json = json_loadb((const char *)ret_response->body.data, ret_response->body.size, 0, NULL);
    assert_non_null(json);
    return json;
}

static const char *member(const json_t *json, const char *name)
{
    const char *text = json_string_value(json_object_get(json, name));
    assert_non_null(text);
    return text;
}

/* Every code has a shape that clients can rely on; the text reaches the caller only when it is the caller's business.
 */
static void test_every_code(void **state)
{
    (void)state;
    for (enum code code = CODE_NONE + 1; code < CODE_COUNT; code++) {
        struct fault fault = {0};
        struct http_response response;
        enum err err = fault_set(&fault, code, "inner text");
        assert_int_equal(err, code_err(code));
        json_t *json = problem_read(&fault, &response);
        bool ours = code_http_status(code) == 500;
        assert_int_equal(response.status, code_http_status(code));
        assert_int_equal(json_integer_value(json_object_get(json, "status")), response.status);
        assert_string_equal(response.content_type, "application/problem+json");
        assert_string_equal(member(json, "type"), "about:blank");
        assert_string_equal(member(json, "code"), ours ? "internal" : code_name(code));
        assert_string_equal(member(json, "request_id"), "request-1");
        assert_int_equal(strstr(member(json, "detail"), "inner text") == NULL, ours);
        assert_int_equal(response.retry_after_seconds > 0, response.status == 503 || response.status == 429);
        assert_non_null(response.fault); /* the log gets it all */
        assert_int_equal(response.fault->code, code);
        assert_string_equal(response.fault->text, "inner text");
        json_decref(json);
        http_response_cleanup(&response);
    }
}

static void test_retry_after(void **state)
{
    (void)state;
    struct fault fault = {.retry_after_seconds = 17};
    struct http_response response;
    assert_int_equal(fault_set(&fault, CODE_RATE_LIMITED, "later"), ERR_LIMIT);
    json_decref(problem_read(&fault, &response));
    assert_int_equal(response.retry_after_seconds, 17);
    http_response_cleanup(&response);
    assert_int_equal(fault_set(&fault, CODE_CONFLICT, "as it says"), ERR_CONFLICT);
    json_decref(problem_read(&fault, &response));
    assert_int_equal(response.retry_after_seconds, 17);
    http_response_cleanup(&response);
    fault.retry_after_seconds = 0;
    json_decref(problem_read(&fault, &response));
    assert_int_equal(response.retry_after_seconds, 0);
    http_response_cleanup(&response);
}

static void test_reasons(void **state)
{
    (void)state;
    struct fault fault = {0};
    struct http_response response;
    for (int i = 0; i < FAULT_REASONS_MAX + 3; i++)
        fault_reason(&fault, "/csr/subjectAltName", "reason %d", i);
    assert_int_equal(fault_set(&fault, CODE_POLICY_DENIED, "no"), ERR_DENIED);
    json_t *json = problem_read(&fault, &response);
    json_t *errors = json_object_get(json, "errors");
    assert_int_equal(json_array_size(errors), FAULT_REASONS_MAX);
    assert_string_equal(member(json_array_get(errors, 1), "pointer"), "/csr/subjectAltName");
    assert_string_equal(member(json_array_get(errors, 1), "detail"), "reason 1");
    assert_int_equal(json_integer_value(json_object_get(json, "errors_omitted")), 3);
    json_decref(json);
    http_response_cleanup(&response);
}

static void test_text_that_is_no_utf8(void **state)
{
    (void)state;
    struct fault fault = {0};
    struct http_response response;
    fault_reason(&fault, "\xff", "\xfe");
    assert_int_equal(fault_set(&fault, CODE_MALFORMED, "\"\xff\n"), ERR_INPUT);
    json_t *json = problem_read(&fault, &response);
    assert_int_equal(response.status, 400);
    json_decref(json);
    http_response_cleanup(&response);
}

static void test_json_that_failed(void **state)
{
    (void)state;
    struct http_response response = http_json(200, NULL);
    assert_int_equal(response.status, 500);
    json_t *json = json_loadb((const char *)response.body.data, response.body.size, 0, NULL);
    assert_string_equal(member(json, "code"), "no_memory");
    json_decref(json);
    http_response_cleanup(&response);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_code),       cmocka_unit_test(test_retry_after),
        cmocka_unit_test(test_reasons),          cmocka_unit_test(test_text_that_is_no_utf8),
        cmocka_unit_test(test_json_that_failed),
    };
    return cmocka_run_group_tests_name("problem", tests, NULL, NULL);
}
