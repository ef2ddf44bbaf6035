/* Join tokens and pins as text. */
#include "client/token.h"

#include <openssl/sha.h>
#include <string.h>

#include "client/pin.h"
#include "tests/unit/client/fixture.h"

static const uint8_t pin[SHA256_SIZE] = {0xab, 0xcd, [31] = 0xef};

static void test_round_trip(void **state)
{
    (void)state;
    struct fault f = {0};
    AUTO(token) token = {0};
    AUTO(token) again = {0};
    AUTO(bytes) text = {0};
    assert_int_equal(token_make(pin, &token, &f), OK);
    token_text(&token, &text);
    assert_int_equal(text.size, 8 + 107);
    assert_true(span_starts(bytes_span(&text), span_text("ensign1.")));
    bytes_append_text(&text, "\n");
    assert_int_equal(token_parse(bytes_span(&text), &again, &f), OK);
    assert_memory_equal(&token, &again, sizeof token);
    assert_memory_equal(again.pin, pin, sizeof pin);
}

static void test_tokens_differ(void **state)
{
    (void)state;
    struct fault f = {0};
    struct token a, b;
    assert_int_equal(token_make(pin, &a, &f), OK);
    assert_int_equal(token_make(pin, &b, &f), OK);
    assert_memory_not_equal(a.id, b.id, sizeof a.id);
    assert_memory_not_equal(a.secret, b.secret, sizeof a.secret);
}

static void test_hash(void **state)
{
    (void)state;
    struct token token = {.secret = {1, 2, 3}};
    uint8_t hash[SHA256_SIZE], expected[SHA256_SIZE];
    token_secret_sha256(&token, hash);
    SHA256(token.secret, TOKEN_SECRET_SIZE, expected);
    assert_memory_equal(hash, expected, sizeof hash);
}

static void test_refused_without_a_word_of_it(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",
        "ensign1.",
        "ensign2.c2VjcmV0",
        "ensign1.c2VjcmV0",
        "ensign1.c2Vj cmV0",
        "ensign1.c2VjcmV0+/==",
        "c2VjcmV0",
        ("ensign1.c2VjcmV0AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
         "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct fault f = {0};
        struct token token;
        assert_int_equal(token_parse(span_text(cases[i]), &token, &f), ERR_INPUT);
        assert_null(strstr(f.text, "c2Vj"));
    }
}

static void test_pin(void **state)
{
    (void)state;
    struct fault f = {0};
    char text[PIN_TEXT_SIZE];
    uint8_t again[SHA256_SIZE];
    pin_text(pin, text);
    assert_int_equal(strlen(text), 7 + 64);
    assert_int_equal(pin_parse(text, again, &f), OK);
    assert_memory_equal(again, pin, sizeof pin);
    assert_int_equal(pin_parse(text + 7, again, &f), ERR_INPUT);
    text[40] = '\0';
    assert_int_equal(pin_parse(text, again, &f), ERR_INPUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_tokens_differ),
        cmocka_unit_test(test_hash),       cmocka_unit_test(test_refused_without_a_word_of_it),
        cmocka_unit_test(test_pin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
