/* Recomputing the audit log: entries that are out of order, changed or malformed, and lists that do not agree with it.
 */
#include "client/log_reader.h"

#include <stdio.h>
#include <string.h>

#include "ca/base/encode.h"
#include "tests/unit/client/fixture.h"

enum { LEAVES = 5 };

/* Entry i; every second one issues the certificate whose hash is the byte i. */
static void leaf_write(size_t i, struct bytes *out)
{
    uint8_t hash[SHA256_SIZE];
    char hex[2 * SHA256_SIZE + 1];
    memset(hash, (int)i, sizeof hash);
    hex_text(SPAN_OF(hash), hex, sizeof hex);
    bytes_appendf(out, "{\"v\":1,\"sequence\":%zu,\"event\":\"%s\",\"certificate_sha256\":\"%s\"}", i,
                  i % 2 ? "certificate.issued" : "token.created", hex);
}

static void log_make(struct log_reader *reader, size_t leaves)
{
    struct fault f = {0};
    for (size_t i = 0; i < leaves; i++) {
        AUTO(bytes) leaf = {0};
        leaf_write(i, &leaf);
        assert_int_equal(log_leaf_add(reader, bytes_span(&leaf), &f), OK);
    }
}

static void test_root(void **state)
{
    (void)state;
    AUTO(log_reader) reader = {0};
    log_make(&reader, LEAVES);
    struct merkle_frontier frontier = {0};
    for (size_t i = 0; i < LEAVES; i++) {
        AUTO(bytes) leaf = {0};
        struct merkle_hash hash;
        leaf_write(i, &leaf);
        merkle_leaf_hash(bytes_span(&leaf), &hash);
        merkle_append(&frontier, &hash);
    }
    struct fault f = {0};
    struct checkpoint checkpoint = {.origin = "o", .size = LEAVES};
    merkle_root(&frontier, &checkpoint.root);
    assert_int_equal(log_compare(&reader, &checkpoint, &f), OK);
    checkpoint.root.data[0] ^= 1;
    assert_int_equal(log_compare(&reader, &checkpoint, &f), ERR_AUTH);
    assert_int_equal(f.code, CODE_UNTRUSTED);
    checkpoint.root.data[0] ^= 1;
    checkpoint.size++;
    assert_int_equal(log_compare(&reader, &checkpoint, &f), ERR_AUTH);
}

static void test_older_log(void **state)
{
    (void)state;
    AUTO(log_reader) reader = {0};
    struct fault f = {0};
    const struct checkpoint now = {.size = 3}, before = {.size = 4};
    assert_int_equal(log_follow(&reader, NULL, &now, &before, &f), ERR_AUTH);
    assert_non_null(strstr(f.text, "older"));
    assert_non_null(strstr(f.text, "has 3 entries now, and had 4"));
}

static void test_leaves_refused(void **state)
{
    (void)state;
    static const char *const leaves[] = {
        "",
        "[]",
        "{\"v\":1,\"event\":\"token.created\"}",
        "{\"v\":1,\"sequence\":1,\"event\":\"token.created\"}",
        "{\"v\":1,\"sequence\":0}",
        "{\"v\":1,\"sequence\":0,\"sequence\":0,\"event\":\"token.created\"}",
        "{\"v\":1,\"sequence\":0,\"event\":\"certificate.issued\"}",
        "{\"v\":1,\"sequence\":0,\"event\":\"certificate.issued\",\"certificate_sha256\":\"00\"}",
    };
    for (size_t i = 0; i < ARRAY_SIZE(leaves); i++) {
        struct fault f = {0};
        AUTO(log_reader) reader = {0};
        if (log_leaf_add(&reader, span_text(leaves[i]), &f) == OK)
            fail_msg("leaf %zu is taken", i);
        assert_int_equal(reader.frontier.size, 0);
    }
}

static json_t *list_make(const int *numbers, size_t count)
{
    json_t *items = json_array();
    for (size_t i = 0; i < count; i++) {
        uint8_t hash[SHA256_SIZE];
        char hex[2 * SHA256_SIZE + 1];
        memset(hash, numbers[i], sizeof hash);
        hex_text(SPAN_OF(hash), hex, sizeof hex);
        json_array_append_new(items, json_pack("{s:s}", "sha256", hex));
    }
    return items;
}

static void test_nothing_hidden(void **state)
{
    (void)state;
    static const struct {
        int numbers[4];
        size_t count;
        uint64_t settled;
        const char *reason; /* NULL: they agree */
    } cases[] = {
        {{1, 3}, 2, LEAVES, NULL},
        {{3, 1, 3}, 3, LEAVES, NULL},
        {{1}, 1, 3, NULL}, /* 3 was issued after the list was asked for */
        {{1}, 1, LEAVES, "is issued by entry 3"},
        {{3}, 1, 3, "is issued by entry 1"},
        {{0}, 0, LEAVES, "is issued by entry 1"},
        {{1, 3, 9}, 3, LEAVES, "no entry of the log issues it"},
        {{1, 3, 2}, 3, LEAVES, "no entry of the log issues it"}, /* in the log, but not as an issue */
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct fault f = {0};
        AUTO(log_reader) reader = {0};
        log_make(&reader, LEAVES);
        json_t *items = list_make(cases[i].numbers, cases[i].count);
        enum err err = log_lists(&reader, cases[i].settled, items, &f);
        json_decref(items);
        if (err != (cases[i].reason ? ERR_AUTH : OK))
            fail_msg("case %zu: %s", i, f.text);
        if (cases[i].reason)
            assert_non_null(strstr(f.reasons[0].text, cases[i].reason));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_root),
        cmocka_unit_test(test_older_log),
        cmocka_unit_test(test_leaves_refused),
        cmocka_unit_test(test_nothing_hidden),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
