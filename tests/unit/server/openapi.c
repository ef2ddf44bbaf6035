/* server/openapi.yaml against what it describes: the table of routes and the codes of faults. */
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "server/api.h"
#include "server/openapi.h"

static json_t *document_load_json(void)
{
    json_t *document = json_loadb((const char *)openapi_json, openapi_json_size, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(document);
    return document;
}

static json_t *operation_of(json_t *document, const struct route *route)
{
    char method[8] = "";
    for (size_t i = 0; route->method[i]; i++)
        method[i] = (char)(route->method[i] | 0x20);
    return json_object_get(json_object_get(json_object_get(document, "paths"), route->pattern), method);
}

static unsigned caller_bit(const char *word)
{
    static const struct {
        const char *word;
        unsigned bit;
    } words[] = {{"T", REQUESTER_TOKEN},   {"N", REQUESTER_NODE},     {"O", REQUESTER_OPERATOR},
                 {"A", REQUESTER_AUDITOR}, {"D", REQUESTER_ADMIN},    {"anybody", MAY_ANYBODY},
                 {"metrics", MAY_METRICS}, {"replaced", MAY_REPLACED}};
    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        if (strcmp(word, words[i].word) == 0)
            return words[i].bit;
    return 0;
}

/* The same bits as the route's `may`. */
static unsigned callers_of(json_t *operation)
{
    json_t *callers = json_object_get(operation, "x-ensign-callers");
    unsigned bits = 0;
    for (size_t i = 0; i < json_array_size(callers); i++)
        bits |= caller_bit(json_string_value(json_array_get(callers, i)));
    return bits;
}

/* The parameters of {…} that are described, on the path or the operation. */
static size_t path_parameters(json_t *document, const struct route *route)
{
    json_t *parameters =
        json_object_get(json_object_get(json_object_get(document, "paths"), route->pattern), "parameters");
    return json_array_size(parameters);
}

static size_t braces(const char *pattern)
{
    size_t count = 0;
    for (; *pattern; pattern++)
        count += *pattern == '{';
    return count;
}

/* What is wrong with the description of a route; NULL when nothing is. */
static const char *route_wrong(json_t *document, const struct route *route)
{
    json_t *operation = operation_of(document, route);
    if (!operation)
        return "is not described";
    if (callers_of(operation) != route->may)
        return "has other callers";
    if ((size_t)json_integer_value(json_object_get(operation, "x-ensign-body-bytes")) != route->body_max)
        return "has another limit of its body";
    if ((json_object_get(operation, "requestBody") != NULL) != (route->body_max > 0))
        return "has a body, or has not";
    if (path_parameters(document, route) != braces(route->pattern))
        return "has other parameters";
    return NULL;
}

static const struct route *route_by_name(const struct route *table, const char *name)
{
    for (const struct route *route = table; route->method; route++) {
        char text[256];
        snprintf(text, sizeof text, "%s %s", route->method, route->pattern);
        if (strcmp(text, name) == 0)
            return route;
    }
    return NULL;
}

/* How many operations the table does not have; the last of them in ret_name. */
static size_t operations_without_route(json_t *document, const struct route *table, char *ret_name, size_t size)
{
    static const char *const methods[] = {"GET", "PUT", "POST", "DELETE", "OPTIONS", "HEAD", "PATCH", "TRACE"};
    const char *path;
    json_t *item;
    size_t count = 0;
    json_object_foreach(json_object_get(document, "paths"), path, item) for (size_t i = 0; i < ARRAY_SIZE(methods); i++)
    {
        struct route named = {.method = methods[i], .pattern = path};
        char name[256];
        snprintf(name, sizeof name, "%s %s", methods[i], path);
        if (operation_of(document, &named) && !route_by_name(table, name)) {
            count++;
            snprintf(ret_name, size, "%s", name);
        }
    }
    return count;
}

static void every_route_is_described_as_it_is(void **state)
{
    (void)state;
    json_t *document = document_load_json();
    size_t count = 0;
    for (const struct route *route = routes; route->method; route++, count++) {
        const char *wrong = route_wrong(document, route);
        if (wrong)
            fail_msg("server/openapi.yaml: %s %s %s", route->method, route->pattern, wrong);
    }
    assert_true(count >= 20);
    json_decref(document);
}

static void every_operation_has_a_route(void **state)
{
    (void)state;
    json_t *document = document_load_json();
    char name[256] = "";
    if (operations_without_route(document, routes, name, sizeof name) > 0)
        fail_msg("server/openapi.yaml describes %s, which is no route", name);
    json_decref(document);
}

/* Both comparisons find what is made wrong. */
static void control(void **state)
{
    (void)state;
    json_t *document = document_load_json();
    char name[256] = "";
    const struct route some = routes[0];
    struct route changed = some;
    assert_null(route_wrong(document, &changed));
    changed.may ^= REQUESTER_NODE;
    assert_non_null(route_wrong(document, &changed));
    changed = some;
    changed.body_max++;
    assert_non_null(route_wrong(document, &changed));
    changed = some;
    changed.method = "PATCH";
    assert_non_null(route_wrong(document, &changed));
    const struct route one[] = {routes[0], {0}};
    assert_true(operations_without_route(document, one, name, sizeof name) > 15);
    json_decref(document);
}

/* ---- codes ---- */

/* These stay in the client, or are shown as "internal". */
static bool code_is_shown(enum code code)
{
    static const enum code hidden[] = {CODE_UNREACHABLE, CODE_UNTRUSTED, CODE_USAGE, CODE_EXPIRING,
                                       CODE_PENDING,     CODE_DAMAGED,   CODE_IO,    CODE_CRYPTO};
    for (size_t i = 0; i < ARRAY_SIZE(hidden); i++)
        if (hidden[i] == code)
            return false;
    return true;
}

static bool words_have(json_t *words, const char *word)
{
    json_t *item;
    size_t index;
    json_array_foreach(words, index, item) if (strcmp(json_string_value(item), word) == 0) return true;
    return false;
}

static void codes_are_those_of_faults(void **state)
{
    (void)state;
    json_t *document = document_load_json();
    json_t *schemas = json_object_get(json_object_get(document, "components"), "schemas");
    json_t *words = json_object_get(json_object_get(schemas, "Code"), "enum");
    size_t shown = 0;
    for (enum code code = CODE_NONE + 1; code < CODE_COUNT; code++) {
        shown += code_is_shown(code);
        if (words_have(words, code_name(code)) != code_is_shown(code))
            fail_msg("server/openapi.yaml: the code %s", code_name(code));
    }
    assert_int_equal(json_array_size(words), shown);
    json_decref(document);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_route_is_described_as_it_is),
        cmocka_unit_test(every_operation_has_a_route),
        cmocka_unit_test(control),
        cmocka_unit_test(codes_are_those_of_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
