/* The connection to the service: which servers are believed, what they learn when they are not, and how answers become
 * documents and faults. The server is a real one, in a thread. */
#include "client/api.h"

#include <curl/curl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/client/fixture.h"

#define DAY 86400L
#define ANSWER(status, headers, type, body) "HTTP/1.1 " status "\r\nContent-Type: " type "\r\n" headers "\r\n" body

static const char hello[] = ANSWER("200 OK", "", "application/json", "{\"name\":\"x\"}");
static const char token_text_of_test[] = "ensign1.canary-token";

/* ---- who is believed ---- */

struct authorities {
    struct made_certificate ours, other;
};

static struct authorities authorities;

static int authorities_make(void **state)
{
    (void)state;
    authorities.ours = certificate_make(&(struct making){.name = "ca", .authority = true, .not_after_seconds = DAY});
    authorities.other = certificate_make(&(struct making){.name = "ca", .authority = true, .not_after_seconds = DAY});
    signal(SIGPIPE, SIG_IGN); /* as the program does */
    return curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? 0 : -1;
}

static int authorities_drop(void **state)
{
    (void)state;
    made_certificate_cleanup(&authorities.ours);
    made_certificate_cleanup(&authorities.other);
    curl_global_cleanup();
    return 0;
}

/* The n-th request gets the n-th answer; when there are no more, the last one again. */
struct script {
    const char *const *next;
    size_t requests;
};

static void answer_next(void *context, const char *request, struct bytes *response)
{
    (void)request;
    struct script *answers = context;
    answers->requests++;
    bytes_append_text(response, answers->next[0]);
    if (answers->next[1])
        answers->next++;
}

struct outcome {
    enum err err;
    struct fault fault;
    char *received;
    size_t requests;
};

/* One GET with a token that the server must not see unless it is believed. */
static struct outcome ask(const struct made_certificate *leaf, const struct made_certificate *const *chain,
                          const uint8_t pin[SHA256_SIZE], const char *const *answers)
{
    struct outcome outcome = {.err = OK};
    struct script list = {.next = answers};
    struct tls_server *server = tls_server_start(leaf, chain, answer_next, &list);
    AUTO(context) context = {.has_pin = true};
    snprintf(context.server, sizeof context.server, "https://localhost:%u", tls_server_port(server));
    memcpy(context.pin, pin, SHA256_SIZE);
    bytes_append_text(&context.token, token_text_of_test);
    CLEANUP(api_auto) struct api *api = NULL;
    CLEANUP(document_auto) struct document *answer = NULL;
    assert_int_equal(api_open(&context, 5, &api, &outcome.fault), OK);
    outcome.err = api_json(api, "GET", "/v1/whoami", NULL, &answer, &outcome.fault);
    api_auto(&api);
    api = NULL;
    outcome.received = tls_server_stop(server);
    outcome.requests = list.requests;
    return outcome;
}

struct server_case {
    const char *what;
    struct making leaf;
    const struct made_certificate *chain[3];
    const struct made_certificate *pinned; /* NULL: the leaf itself */
    const char *text;                      /* NULL: believed */
};

static void server_case_run(const struct server_case *row)
{
    const char *const answers[] = {hello, NULL};
    struct made_certificate leaf = certificate_make(&row->leaf);
    uint8_t pin[SHA256_SIZE];
    certificate_pin(row->pinned ? row->pinned : &leaf, pin);
    struct outcome outcome = ask(&leaf, row->chain, pin, answers);
    made_certificate_cleanup(&leaf);
    if (row->text) {
        if (outcome.err != ERR_AUTH || outcome.fault.code != CODE_UNTRUSTED || !strstr(outcome.fault.text, row->text))
            fail_msg("%s: %d, %s", row->what, outcome.err, outcome.fault.text);
        assert_string_equal(outcome.received, ""); /* neither the token nor the request */
        assert_null(strstr(outcome.fault.text, "canary"));
    } else {
        if (outcome.err != OK)
            fail_msg("%s: %s", row->what, outcome.fault.text);
        assert_non_null(strstr(outcome.received, "Authorization: Bearer ensign1.canary-token\r\n"));
    }
    free(outcome.received);
}

static void test_servers(void **state)
{
    (void)state;
    const struct made_certificate *ours = &authorities.ours, *other = &authorities.other;
    const struct server_case cases[] = {
        {"ours", {"localhost", ours, false, false, DAY}, {ours}, ours, NULL},
        {"ours behind another", {"localhost", ours, false, false, DAY}, {other, ours}, ours, NULL},
        {"another service", {"localhost", other, false, false, DAY}, {other}, ours, "not the service that this token"},
        {"another that shows our CA", {"localhost", other, false, false, DAY}, {other, ours}, ours, "is not valid"},
        {"another that hides its CA", {"localhost", other, false, false, DAY}, {ours}, ours, "is not valid"},
        {"ours without the CA", {"localhost", ours, false, false, DAY}, {NULL}, ours, "not the service"},
        {"expired", {"localhost", ours, false, false, -3600}, {ours}, ours, "expired"},
        {"another name", {"elsewhere", ours, false, false, DAY}, {ours}, ours, "for another name"},
        {"a client's certificate", {"localhost", ours, false, true, DAY}, {ours}, ours, "is not valid"},
        {"the leaf is pinned", {"localhost", ours, false, false, DAY}, {ours}, NULL, "not the service"},
        {"a self-signed leaf is pinned", {"localhost", NULL, false, false, DAY}, {NULL}, NULL, "not the service"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        server_case_run(&cases[i]);
}

/* ---- answers ---- */

static struct outcome ask_ours(const char *const *answers)
{
    struct made_certificate leaf =
        certificate_make(&(struct making){"localhost", &authorities.ours, false, false, DAY});
    const struct made_certificate *const chain[] = {&authorities.ours, NULL};
    uint8_t pin[SHA256_SIZE];
    certificate_pin(&authorities.ours, pin);
    struct outcome outcome = ask(&leaf, chain, pin, answers);
    made_certificate_cleanup(&leaf);
    free(outcome.received);
    outcome.received = NULL;
    return outcome;
}

static void test_not_ready_is_asked_again(void **state)
{
    (void)state;
    const char *const answers[] = {
        ANSWER("503 Service Unavailable", "Retry-After: 1\r\n", "application/problem+json", ""),
        ANSWER("429 Too Many Requests", "", "application/problem+json", ""),
        hello,
        NULL,
    };
    struct outcome outcome = ask_ours(answers);
    assert_int_equal(outcome.err, OK);
    assert_int_equal(outcome.requests, 3);
}

/* The values of the header in all that was sent. */
static size_t keys_find(const char *received, char keys[][64], size_t max)
{
    size_t count = 0;
    while (count < max && (received = strstr(received, "\r\nIdempotency-Key: "))) {
        received += strlen("\r\nIdempotency-Key: ");
        snprintf(keys[count++], 64, "%.*s", (int)strcspn(received, "\r"), received);
    }
    return count;
}

/* One key for all attempts at a request, another one for the next request, none for a GET. */
static void test_posts_have_a_key(void **state)
{
    (void)state;
    const char *const list[] = {ANSWER("503 Service Unavailable", "Retry-After: 1\r\n", "application/problem+json", ""),
                                hello, NULL};
    struct script answers = {.next = list};
    struct made_certificate leaf =
        certificate_make(&(struct making){.name = "localhost", .issuer = &authorities.ours, .not_after_seconds = DAY});
    const struct made_certificate *const chain[] = {&authorities.ours, NULL};
    struct tls_server *server = tls_server_start(&leaf, chain, answer_next, &answers);
    AUTO(context) context = {.has_pin = true};
    snprintf(context.server, sizeof context.server, "https://localhost:%u", tls_server_port(server));
    certificate_pin(&authorities.ours, context.pin);
    struct fault f = {0};
    CLEANUP(api_auto) struct api *api = NULL;
    json_t *body = json_object();
    assert_int_equal(api_open(&context, 5, &api, &f), OK);
    for (int i = 0; i < 3; i++) {
        CLEANUP(document_auto) struct document *answer = NULL;
        assert_int_equal(api_json(api, i < 2 ? "POST" : "GET", "/v1/x", i < 2 ? body : NULL, &answer, &f), OK);
    }
    json_decref(body);
    char *received = tls_server_stop(server);
    char keys[5][64];
    assert_int_equal(answers.requests, 4);
    assert_int_equal(keys_find(received, keys, 5), 3);
    assert_int_equal(strlen(keys[0]), 32);
    assert_string_equal(keys[0], keys[1]);
    assert_string_not_equal(keys[1], keys[2]);
    made_certificate_cleanup(&leaf);
    free(received);
}

/* What was got before is asked for by its ETag, by another api, too; only what has one, and only at its own path. */
static void test_known_answers_are_not_sent_again(void **state)
{
    (void)state;
#define TAGGED(body) ANSWER("200 OK", "etag:  \"one\" \r\n", "application/json", body)
    static const struct {
        const char *path, *answer, *name; /* name NULL: the answer is refused */
        bool conditional;                 /* the request */
    } steps[] = {
        {"/v1/x", TAGGED("{\"name\":\"a\"}"), "a", false},
        {"/v1/x", ANSWER("304 Not Modified", "ETag: \"one\"\r\n", "text/plain", ""), "a", true},
        {"/v1/x", ANSWER("503 Service Unavailable", "", "application/problem+json", ""), NULL, true},
        {"/v1/y", ANSWER("304 Not Modified", "", "text/plain", ""), NULL, false},
        {"/v1/x", ANSWER("200 OK", "", "application/json", "{\"name\":\"b\"}"), "b", true},
        {"/v1/x", TAGGED("{\"name\":\"c\"}"), "c", false},
    };
    enum { STEPS = ARRAY_SIZE(steps) };
    const char *list[STEPS + 1] = {NULL};
    struct script script = {.next = list};
    AUTO(answers) kept = {0};
    struct made_certificate leaf =
        certificate_make(&(struct making){.name = "localhost", .issuer = &authorities.ours, .not_after_seconds = DAY});
    const struct made_certificate *const chain[] = {&authorities.ours, NULL};
    for (size_t i = 0; i < STEPS; i++)
        list[i] = steps[i].answer;
    struct tls_server *server = tls_server_start(&leaf, chain, answer_next, &script);
    AUTO(context) context = {.has_pin = true};
    snprintf(context.server, sizeof context.server, "https://localhost:%u", tls_server_port(server));
    certificate_pin(&authorities.ours, context.pin);
    for (size_t i = 0; i < STEPS; i++) {
        struct fault f = {0};
        CLEANUP(api_auto) struct api *api = NULL;
        CLEANUP(document_auto) struct document *answer = NULL;
        assert_int_equal(api_open(&context, 0, &api, &f), OK);
        api_remember(api, &kept);
        enum err err = api_json(api, "GET", steps[i].path, NULL, &answer, &f);
        print_message("%zu: %s\n", i, f.text);
        assert_int_equal(err == OK, steps[i].name != NULL);
        if (steps[i].name)
            assert_string_equal(json_string_value(json_object_get(document_json(answer), "name")), steps[i].name);
    }
    char *received = tls_server_stop(server);
    const char *next = received;
    assert_int_equal(script.requests, STEPS);
    for (size_t i = 0; i < STEPS; i++) {
        const char *end = strstr(next, "\r\n\r\n"), *found = strstr(next, "\r\nIf-None-Match: \"one\"\r\n");
        assert_non_null(end);
        assert_int_equal(found && found < end, steps[i].conditional);
        next = end + 4;
    }
    made_certificate_cleanup(&leaf);
    free(received);
}

static void test_not_ready_for_long(void **state)
{
    (void)state;
    const char *const answers[] = {
        ANSWER("503 Service Unavailable", "Retry-After: 60\r\n", "application/problem+json",
               "{\"code\":\"signer_down\",\"detail\":\"away\"}"),
        NULL,
    };
    struct outcome outcome = ask_ours(answers);
    assert_int_equal(outcome.requests, 1); /* it says 60 s, and we have 5 */
    assert_int_equal(outcome.fault.code, CODE_SIGNER_DOWN);
    assert_int_equal(code_exit(outcome.fault.code), 4);
}

static void test_problem(void **state)
{
    (void)state;
    const char *const answers[] = {
        ANSWER("403 Forbidden", "", "application/problem+json",
               "{\"type\":\"about:blank\",\"title\":\"Forbidden\",\"status\":403,\"code\":\"policy_denied\",\"detail\":"
               "\"no\","
               "\"request_id\":\"r-1\",\"errors\":[{\"pointer\":\"/node\",\"detail\":\"a\"},{\"pointer\":\"/"
               "csr\",\"detail\":\"b\"}]}"),
        NULL,
    };
    struct outcome outcome = ask_ours(answers);
    assert_int_equal(outcome.err, ERR_DENIED);
    assert_int_equal(outcome.fault.code, CODE_POLICY_DENIED);
    assert_string_equal(outcome.fault.text, "no (request r-1)");
    assert_int_equal(outcome.fault.reasons_count, 2);
    assert_string_equal(outcome.fault.reasons[1].pointer, "/csr");
    assert_string_equal(outcome.fault.reasons[1].text, "b");
    assert_int_equal(code_exit(outcome.fault.code), 3);
}

static void test_answers_that_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *answer;
        enum code code;
    } cases[] = {
        {ANSWER("302 Found", "Location: https://localhost/\r\n", "text/plain", ""), CODE_UNTRUSTED},
        {ANSWER("500 Oops", "", "text/html", "oops"), CODE_UNTRUSTED},
        {ANSWER("403 Forbidden", "", "application/problem+json", "{}"), CODE_INTERNAL},
        {ANSWER("403 Forbidden", "", "application/problem+json", "{{{{"), CODE_UNTRUSTED},
        {ANSWER("200 OK", "", "text/html", "{}"), CODE_UNTRUSTED},
        {ANSWER("200 OK", "", "application/json", "{\"a\":1,\"a\":2}"), CODE_MALFORMED},
        {ANSWER("200 OK", "", "application/json", "{} x"), CODE_MALFORMED},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const char *const answers[] = {cases[i].answer, NULL};
        struct outcome outcome = ask_ours(answers);
        if (outcome.err == OK || outcome.fault.code != cases[i].code)
            fail_msg("case %zu: %s, %s", i, code_name(outcome.fault.code), outcome.fault.text);
        assert_int_equal(outcome.requests, 1);
    }
}

static void test_answer_too_large(void **state)
{
    (void)state;
    enum { SIZE = 17 << 20 };
    AUTO(bytes) large = {0};
    bytes_appendf(&large, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n");
    for (size_t sent = 0; sent < SIZE; sent += 1024)
        bytes_appendf(&large, "%1024s", "");
    const char *const answers[] = {bytes_text(&large), NULL};
    struct outcome outcome = ask_ours(answers);
    assert_int_equal(outcome.fault.code, CODE_UNTRUSTED);
    assert_non_null(strstr(outcome.fault.text, "larger than"));
}

static void test_nobody_there(void **state)
{
    (void)state;
    AUTO(context) context = {.server = "https://127.0.0.1:1", .has_pin = true};
    struct fault f = {0};
    CLEANUP(api_auto) struct api *api = NULL;
    CLEANUP(document_auto) struct document *answer = NULL;
    assert_int_equal(api_open(&context, 1, &api, &f), OK);
    assert_int_equal(api_json(api, "GET", "/v1/whoami", NULL, &answer, &f), ERR_IO);
    assert_int_equal(f.code, CODE_UNREACHABLE);
    assert_int_equal(code_exit(f.code), 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_servers),
        cmocka_unit_test(test_not_ready_is_asked_again),
        cmocka_unit_test(test_posts_have_a_key),
        cmocka_unit_test(test_known_answers_are_not_sent_again),
        cmocka_unit_test(test_not_ready_for_long),
        cmocka_unit_test(test_problem),
        cmocka_unit_test(test_answers_that_are_refused),
        cmocka_unit_test(test_answer_too_large),
        cmocka_unit_test(test_nobody_there),
    };
    return cmocka_run_group_tests(tests, authorities_make, authorities_drop);
}
