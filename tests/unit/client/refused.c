/* What commands refuse on this machine, before the service hears of it: nobody listens at the address of the context,
 * so that a request would be CODE_UNREACHABLE. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/commands.h"
#include "client/files.h"
#include "client/keys.h"
#include "tests/unit/client/fixture.h"

static char *folder;

static const char *inside(const char *name)
{
    return path_inside(folder, name);
}

static int folder_start(void **state)
{
    (void)state;
    folder = folder_make();
    umask(0);
    file_write(folder, "context", 0600,
               "{\"apiVersion\": \"ensign/v1\", \"kind\": \"Context\", \"server\": \"https://127.0.0.1:1\", "
               "\"pin\": \"sha256:0000000000000000000000000000000000000000000000000000000000000000\"}\n");
    file_write(folder, "taken", 0600, "precious");
    assert_int_equal(mkdir(inside("open"), 0700), 0);
    assert_int_equal(chmod(inside("open"), 0777), 0);
    return 0;
}

static int folder_stop(void **state)
{
    (void)state;
    folder_drop(folder);
    return 0;
}

static struct arguments arguments_make(void)
{
    return (struct arguments){.values = {[OPTION_CONTEXT] = inside("context"),
                                         [OPTION_TIMEOUT] = "1s",
                                         [OPTION_CLUSTER] = "vagrant",
                                         [OPTION_NODE] = "etcdone",
                                         [OPTION_PROFILE] = "etcd-member",
                                         [OPTION_ROLE] = "auditor"},
                              .operands = {"alice"}};
}

static enum code code_of(enum err (*command)(const struct arguments *arguments, struct fault *f),
                         const struct arguments *arguments)
{
    struct fault f = {0};
    assert_int_not_equal(command(arguments, &f), OK);
    return f.code;
}

static void test_out(void **state)
{
    (void)state;
    static const struct {
        enum err (*command)(const struct arguments *arguments, struct fault *f);
        const char *out;
        enum code expected;
    } cases[] = {
        {tokens_create, "absent/token", CODE_IO},
        {tokens_create, "open/token", CODE_IO}, /* others could exchange it */
        {tokens_create, "open", CODE_IO},
        {tokens_create, "token", CODE_UNREACHABLE}, /* the control */
        {identity_create, "taken", CODE_CONFLICT},
        {identity_create, "open/context", CODE_IO},
        {identity_create, "new.context", CODE_UNREACHABLE},
        {certificate_request, "absent/crt", CODE_IO},
        {certificate_request, "key", CODE_USAGE}, /* it would replace the key */
        {certificate_request, "crt", CODE_UNREACHABLE},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct arguments arguments = arguments_make();
        arguments.values[OPTION_OUT] = inside(cases[i].out);
        if (cases[i].command == certificate_request)
            arguments.values[OPTION_KEY] = inside("key");
        enum code code = code_of(cases[i].command, &arguments);
        if (code != cases[i].expected)
            fail_msg("case %zu: %s, not %s", i, code_name(code), code_name(cases[i].expected));
    }
    struct fault f = {0};
    AUTO(bytes) taken = {0};
    assert_int_equal(file_read(inside("taken"), &taken, &f), OK);
    assert_string_equal(bytes_text(&taken), "precious");
}

static void test_key_algorithm(void **state)
{
    (void)state;
    static const struct {
        const char *word, *begins;
    } cases[] = {{NULL, "-----BEGIN EC PRIVATE KEY"}, {"rsa-2048", "-----BEGIN RSA PRIVATE KEY"}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct fault f = {0};
        struct arguments arguments = arguments_make();
        CLEANUP(secret_cleanup) struct bytes pem = {0};
        const char *key = inside(cases[i].word ? cases[i].word : "standard");
        arguments.values[OPTION_KEY] = key;
        arguments.values[OPTION_KEY_ALGORITHM] = cases[i].word;
        assert_int_equal(code_of(certificate_request, &arguments), CODE_UNREACHABLE);
        assert_int_equal(file_read_private(key, &pem, &f), OK); /* stored before it is used */
        assert_true(span_starts(bytes_span(&pem), span_text(cases[i].begins)));
    }
    struct arguments arguments = arguments_make();
    arguments.values[OPTION_CSR] = inside("taken");
    arguments.values[OPTION_KEY_ALGORITHM] = "rsa-2048";
    assert_int_equal(code_of(certificate_request, &arguments), CODE_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_out),
        cmocka_unit_test(test_key_algorithm),
    };
    signal(SIGPIPE, SIG_IGN); /* as the program does */
    return cmocka_run_group_tests(tests, folder_start, folder_stop);
}
