/* Blocked keys: what the file may hold, and what is found in it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "ca/blocklist.h"

#define ZEROS "0000000000000000000000000000000000000000000000000000000000000000"
#define ONES "1111111111111111111111111111111111111111111111111111111111111111"

static struct public_key key_of(uint8_t byte)
{
    struct public_key key = {0};
    memset(key.spki_sha256, byte, sizeof key.spki_sha256);
    return key;
}

static void listed_keys_are_refused_and_others_are_not(void **state)
{
    (void)state;
    static const char text[] = "# leaked\n" ONES "\n\n  " ZEROS "  # a test key\r\n";
    struct fault f = {0};
    AUTO(blocklist) blocklist = {0};
    struct public_key zeros = key_of(0), ones = key_of(0x11), twos = key_of(0x22);
    assert_int_equal(blocklist_parse(span_text(text), "blocked", &blocklist, &f), OK);
    assert_int_equal(blocklist.count, 2);
    assert_int_equal(blocklist_check(&blocklist, &twos, &f), OK);
    assert_int_equal(blocklist_check(&blocklist, &zeros, &f), ERR_INPUT);
    assert_int_equal(f.code, CODE_WEAK_KEY);
    assert_int_equal(blocklist_check(&blocklist, &ones, &f), ERR_INPUT);
}

static void empty_list_blocks_nothing(void **state)
{
    (void)state;
    struct fault f = {0};
    AUTO(blocklist) blocklist = {0};
    struct public_key zeros = key_of(0);
    assert_int_equal(blocklist_parse(span_text("# nothing yet\n"), "blocked", &blocklist, &f), OK);
    assert_int_equal(blocklist_check(&blocklist, &zeros, &f), OK);
}

static void wrong_lines_are_all_named(void **state)
{
    (void)state;
    struct fault f = {0};
    AUTO(blocklist) blocklist = {0};
    assert_int_equal(
        blocklist_parse(span_text("abc\n" ONES "\n" ONES "0\n" ZEROS " x\nzz" ONES "\n"), "blocked", &blocklist, &f),
        ERR_INPUT);
    assert_int_equal(f.reasons_count, 4);
    assert_string_equal(f.reasons[0].pointer, "blocked:1:1");
    assert_string_equal(f.reasons[1].pointer, "blocked:3:1");
    assert_int_equal(blocklist.count, 0);
    fault_clear(&f);
    assert_int_equal(blocklist_load("/nowhere/blocked", &blocklist, &f), ERR_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(listed_keys_are_refused_and_others_are_not),
        cmocka_unit_test(empty_list_blocks_nothing),
        cmocka_unit_test(wrong_lines_are_all_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
