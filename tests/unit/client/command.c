/* The command line and the text helpers: what is taken, what is refused and with which words, and that no value of an
 * option shows up in an error. */
#include <string.h>

#include "client/command.h"
#include "client/text.h"
#include "tests/unit/client/fixture.h"

static enum err run_nothing(const struct arguments *arguments, struct fault *f)
{
    (void)arguments, (void)f;
    return OK;
}

static const struct command table[] = {
    {"token create", "", 0, 0, OPTIONS_SERVICE | OPTION_BIT(CLUSTER) | OPTION_BIT(OUT), OPTION_BIT(CLUSTER), "make one",
     "  ensign token create\n", run_nothing},
    {"token revoke", "ID", 1, 1, OPTIONS_SERVICE | OPTION_BIT(OUTPUT), 0, "revoke", "", run_nothing},
    {"etcd snapshot save", "[FILE]", 0, 1, OPTION_BIT(OUT), 0, "save", "", run_nothing},
    {"enroll", "", 0, 0, OPTIONS_SERVICE | OPTION_BIT(PROFILE) | OPTION_BIT(OUTPUT), 0, "enrol", "", run_nothing},
    {"list", "", 0, 0,
     OPTION_BIT(STATE) | OPTION_BIT(LIMIT) | OPTION_BIT(ROLE) | OPTION_BIT(KEY_ALGORITHM) |
         OPTION_BIT(EXPIRING_WITHIN) | OPTION_BIT(GROUP),
     0, "list", "", run_nothing},
    {0},
};

enum { WORDS_MAX = 12 };

static enum err parse(const char *const *words, struct arguments *arguments, struct fault *f)
{
    char *argv[WORDS_MAX + 2] = {(char[]){"ensign"}};
    int argc = 1;
    for (; words[argc - 1]; argc++)
        argv[argc] = (char *)(uintptr_t)words[argc - 1];
    return command_parse(table, argc, argv, arguments, f);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *words[WORDS_MAX];
        const char *text; /* part of the error */
    } cases[] = {
        {{NULL}, "no command"},
        {{"tokne", "create"}, "did you mean \"token create\""},
        {{"token", "creat", "--cluster", "c"}, "did you mean \"token create\""},
        {{"token"}, "see \"ensign help token\""},
        {{"etcd"}, "see \"ensign help etcd\""},
        {{"etcd", "snapshot"}, "see \"ensign help etcd snapshot\""},
        {{"etcd", "snapshot", "-x"}, "see \"ensign help etcd snapshot\""},
        {{"etcd", "snapshot", "sav", "a.db"}, "did you mean \"etcd snapshot save\""},
        {{"etcd", "snapshot", "save", "a.db", "b.db"}, "takes fewer words"},
        {{"frobnicate"}, "there is no command \"frobnicate\""},
        {{"token", "create"}, "needs --cluster NAME"},
        {{"token", "create", "--cluster"}, "option --cluster needs a value"},
        {{"token", "create", "--clutser", "c"}, "did you mean --cluster"},
        {{"token", "create", "--cluste", "c"}, "did you mean --cluster"}, /* no abbreviations */
        {{"token", "create", "--clu", "c"}, "unknown option --clu"},
        {{"token", "create", "--profile", "p"}, "unknown option --profile"},
        {{"token", "create", "-x"}, "unknown option -x"},
        {{"token", "create", "--cluster", "c", "extra"}, "takes fewer words"},
        {{"token", "revoke"}, "ensign token revoke needs ID"},
        {{"--context", "SECRET", "token", "create"}, "needs --cluster NAME"},
        {{"--context", "SECRET", "list"}, "unknown option --context"},
        {{"--context", "SECRET", "tokne", "create"}, "did you mean \"token create\""},
        {{"--context", "SECRET"}, "no command given"},
        {{"--context=SECRET"}, "no command given"},
        {{"--context"}, "no command given"},
        {{"-o", "json"}, "no command given"},
        {{"--token", "SECRET", "enroll"}, "use --token-file FILE"},
        {{"--token=SECRET", "enroll"}, "use --token-file FILE"},
        {{"--contxt", "SECRET", "enroll"}, "did you mean --context"},
        {{"--", "enroll"}, "unknown option --"},
        {{"-", "enroll"}, "unknown option -"},
        {{"-xSECRET", "enroll"}, "unknown option -x"},
        {{"enroll", "--timeout", "SECRET"}, "--timeout is a time as 90s"},
        {{"enroll", "--timeout", "0s"}, "--timeout is a time as 90s"},
        {{"enroll", "-o", "SECRET"}, "--output is table, wide, json, yaml or name"},
        {{"list", "--state", "SECRET"}, "--state is valid, expired or revoked"},
        {{"list", "--limit", "0"}, "--limit is a number from 1 to 1000000"},
        {{"list", "--limit", "1000001"}, "--limit is a number from 1 to 1000000"},
        {{"list", "--limit", "1x"}, "--limit is a number from 1 to 1000000"},
        {{"list", "--limit", "-1"}, "--limit is a number from 1 to 1000000"},
        {{"list", "--role", "SECRET"}, "--role is admin, operator or auditor"},
        {{"list", "--key-algorithm", "rsa-1024"}, "rsa-3072 or rsa-4096"},
        {{"enroll", "--token", "ensign1.SECRET"}, "use --token-file FILE"},
        {{"enroll", "--token=ensign1.SECRET"}, "use --token-file FILE"},
        {{"enroll", "--tokenfile=ensign1.SECRET"}, "did you mean --token-file"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct fault f = {0};
        struct arguments arguments;
        assert_int_equal(parse(cases[i].words, &arguments, &f), ERR_INPUT);
        assert_int_equal(f.code, CODE_USAGE);
        assert_int_equal(code_exit(f.code), 2);
        if (!strstr(f.text, cases[i].text))
            fail_msg("case %zu: \"%s\" does not say \"%s\"", i, f.text, cases[i].text);
        assert_null(strstr(f.text, "SECRET"));
    }
}

static void test_taken(void **state)
{
    (void)state;
    const char *words[] = {
        "enroll", "--profile", "etcd-member", "-o", "json", "--profile=node-identity", "--server=https://ca:8443",
        NULL};
    struct fault f = {0};
    struct arguments arguments;
    assert_int_equal(parse(words, &arguments, &f), OK);
    assert_string_equal(arguments.command->name, "enroll");
    assert_int_equal(arguments.profiles_count, 2);
    assert_string_equal(arguments.profiles[0], "etcd-member");
    assert_string_equal(arguments.profiles[1], "node-identity");
    assert_string_equal(arguments.values[OPTION_OUTPUT], "json");
    assert_string_equal(arguments.values[OPTION_SERVER], "https://ca:8443");
    assert_null(arguments.values[OPTION_CONTEXT]);
}

static void test_groups(void **state)
{
    (void)state;
    const char *words[] = {"list", "--group", "manager", "--group=developers", NULL};
    struct fault f = {0};
    struct arguments arguments;
    assert_int_equal(parse(words, &arguments, &f), OK);
    assert_int_equal(arguments.groups_count, 2);
    assert_string_equal(arguments.groups[0], "manager");
    assert_string_equal(arguments.groups[1], "developers");
    assert_int_equal(arguments.profiles_count, 0);
    const char *many[WORDS_MAX] = {"list"};
    for (size_t i = 0; i < ORGANIZATIONS_MAX + 1; i++)
        many[1 + i] = "--group=a";
    assert_int_equal(parse(many, &arguments, &f), ERR_INPUT);
    assert_string_equal(f.text, "more than 8 --group");
}

static void test_texts(void **state)
{
    (void)state;
    static const char *const good[] = {"a", "b"}, *const bad[] = {"a", "\xff"};
    CLEANUP(json_cleanup) json_t *object = json_object();
    assert_true(json_add_texts(object, "none", NULL, 0));
    assert_false(json_add_texts(object, "bad", bad, 2));
    assert_int_equal(json_object_size(object), 0);
    assert_true(json_add_texts(object, "good", good, 2));
    assert_string_equal(json_string_value(json_array_get(json_object_get(object, "good"), 1)), "b");
    assert_false(json_add_texts(NULL, "good", good, 2));
}

/* As people know it from kubectl. */
static void test_options_before_the_command(void **state)
{
    (void)state;
    static const char *const rows[][WORDS_MAX] = {
        {"--context", "c", "-o", "json", "token", "revoke", "ID"},
        {"--context=c", "-ojson", "token", "revoke", "ID"},
        {"--context", "c", "token", "revoke", "-o", "json", "ID"},
        {"-o", "json", "token", "revoke", "ID", "--context", "c"},
        {"--context", "other", "token", "revoke", "ID", "--context", "c", "-o", "json"}, /* the last one counts */
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct fault f = {0};
        struct arguments arguments;
        if (parse(rows[i], &arguments, &f) != OK)
            fail_msg("row %zu: %s", i, f.text);
        assert_string_equal(arguments.command->name, "token revoke");
        assert_string_equal(arguments.values[OPTION_CONTEXT], "c");
        assert_string_equal(arguments.values[OPTION_OUTPUT], "json");
        assert_string_equal(arguments.operands[0], "ID");
    }
}

static void test_values(void **state)
{
    (void)state;
    const char *words[] = {"list", "--state", "valid",   "--limit", "1000000", "--expiring-within",
                           "30d",  "--role",  "auditor", NULL};
    struct fault f = {0};
    struct arguments arguments;
    assert_int_equal(parse(words, &arguments, &f), OK);
    assert_int_equal(option_number(&arguments, OPTION_LIMIT, 7), 1000000);
    assert_int_equal(option_seconds(&arguments, OPTION_EXPIRING_WITHIN, 7), 30 * 86400);
    const char *none[] = {"list", NULL};
    assert_int_equal(parse(none, &arguments, &f), OK);
    assert_int_equal(option_number(&arguments, OPTION_LIMIT, 7), 7);
    assert_int_equal(option_seconds(&arguments, OPTION_EXPIRING_WITHIN, 7), 7);
}

static void test_help_needs_nothing(void **state)
{
    (void)state;
    const char *words[] = {"token", "create", "--help", NULL};
    struct fault f = {0};
    struct arguments arguments;
    assert_int_equal(parse(words, &arguments, &f), OK);
    assert_non_null(arguments.values[OPTION_HELP]);
}

static void help_text(const char *name, bool expected, char *ret_text, size_t size)
{
    FILE *out = fmemopen(ret_text, size, "w");
    assert_non_null(out);
    assert_int_equal(command_help(table, name, out), expected);
    fclose(out);
}

static void test_help(void **state)
{
    (void)state;
    char text[4096] = "";
    help_text("token create", true, text, sizeof text);
    assert_non_null(strstr(text, "--cluster NAME"));
    assert_non_null(strstr(text, "(required)"));
    assert_null(strstr(text, "--profile"));
    help_text("token", true, text, sizeof text);
    assert_non_null(strstr(text, "token create"));
    assert_non_null(strstr(text, "token revoke"));
    help_text("tok", false, text, sizeof text);
}

static void test_text(void **state)
{
    (void)state;
    AUTO(bytes) path = {0};
    bytes_append_text(&path, "/v1/x");
    query_append(&path, "a", "1&b=2");
    query_append(&path, "none", NULL);
    query_append(&path, "c", "ö/..");
    assert_string_equal(bytes_text(&path), "/v1/x?a=1%26b%3D2&c=%C3%B6%2F..");
    char text[] = "a\x1b[31mb\nc\x7f";
    printable(text);
    assert_string_equal(text, "a?[31mb?c?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_taken),
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_options_before_the_command),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_help_needs_nothing),
        cmocka_unit_test(test_help),
        cmocka_unit_test(test_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
