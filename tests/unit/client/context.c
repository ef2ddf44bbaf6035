/* Context files: what is refused, where the parts come from, and which of option, environment and file counts. */
#include "client/context.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "client/files.h"
#include "client/pin.h"
#include "tests/unit/client/fixture.h"

#define PIN "sha256:00000000000000000000000000000000000000000000000000000000000000ff"
#define HEAD "apiVersion: ensign/v1\nkind: Context\n"

static char *folder;

static int folder_setup(void **state)
{
    (void)state;
    folder = folder_make();
    setenv("HOME", folder, 1);
    unsetenv("ENSIGN_CONTEXT");
    unsetenv("ENSIGN_SERVER");
    unsetenv("ENSIGN_TOKEN_FILE");
    return 0;
}

static int folder_teardown(void **state)
{
    (void)state;
    folder_drop(folder);
    return 0;
}

static const char *inside(const char *name)
{
    return path_inside(folder, name);
}

static void test_load(void **state)
{
    (void)state;
    struct fault f = {0};
    AUTO(context) context = {0};
    file_write(folder, "key.pem", 0600, "KEY");
    file_write(folder, "context", 0600,
               HEAD "server: https://ca:8443/\npin: " PIN
                    "\ncertificate: |\n  CERT\nkeyFile: key.pem\nlogVerifier: a+b+c\n");
    assert_int_equal(context_load(inside("context"), &context, &f), OK);
    assert_string_equal(context.server, "https://ca:8443");
    assert_int_equal(context.pin[31], 0xff);
    assert_string_equal(bytes_text(&context.certificate), "CERT\n");
    assert_string_equal(bytes_text(&context.key), "KEY");
    assert_string_equal(context.log_verifier, "a+b+c");
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned mode;
        const char *reason; /* in the text or in a reason */
    } cases[] = {
        {HEAD "server: https://ca:8443\npin: " PIN "\n", 0640, "chmod 600"},
        {HEAD "server: https://ca:8443\npin: " PIN "\n", 0604, "chmod 600"},
        {HEAD "server: https://ca:8443\n", 0600, "pin is required"},
        {HEAD "server: http://ca:8443\npin: " PIN "\n", 0600, "not the address"},
        {HEAD "server: https://\npin: " PIN "\n", 0600, "not the address"},
        {HEAD "server: https://u@ca:8443\npin: " PIN "\n", 0600, "not the address"},
        {HEAD "server: https://ca:8443/path\npin: " PIN "\n", 0600, "not the address"},
        {HEAD "server: https://ca:8443\npin: sha256:00\n", 0600, ":4:"},
        {HEAD "server: https://ca:8443\npin: " PIN "\ntoken: x\n", 0600, ":5:"},
        {HEAD "server: https://ca:8443\npin: " PIN "\nkey: SECRET\n", 0600, "go together"},
        {HEAD "server: https://ca:8443\npin: " PIN "\ncertificate: C\nkey: SECRET\nkeyFile: f\n", 0600, "not both"},
        {HEAD "server: https://ca:8443\npin: " PIN "\ncertificate: C\nkeyFile: open.key\n", 0600, "chmod 600"},
        {"kind: Cluster\napiVersion: ensign/v1\nserver: https://ca:8443\npin: " PIN "\n", 0600, ":1:"},
        {"{", 0600, ""},
        {"- a\n", 0600, ""},
    };
    file_write(folder, "open.key", 0644, "SECRET");
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct fault f = {0};
        struct context context;
        char line[2048];
        file_write(folder, "context", cases[i].mode, cases[i].text);
        if (context_load(inside("context"), &context, &f) == OK)
            fail_msg("case %zu is taken", i);
        fault_line(&f, line, sizeof line);
        if (!strstr(line, cases[i].reason))
            fail_msg("case %zu: %s", i, line);
        assert_null(strstr(line, "SECRET"));
        remove(inside("context"));
    }
}

static enum err opened(const char *context, const char *server, const char *token, struct context *ret, struct fault *f)
{
    const struct context_choice choice = {context, server, token};
    *ret = (struct context){0};
    return context_open(&choice, ret, f);
}

static void test_precedence(void **state)
{
    (void)state;
    struct fault f = {0};
    struct context context;
    file_write(folder, "one", 0600, HEAD "server: https://one:1\npin: " PIN "\n");
    file_write(folder, "two", 0600, HEAD "server: https://two:2\npin: " PIN "\n");
    assert_int_equal(mkdir(inside(".config"), 0700), 0);
    assert_int_equal(mkdir(inside(".config/ensign"), 0700), 0);
    file_write(folder, ".config/ensign/context", 0600, HEAD "server: https://home:3\npin: " PIN "\n");

    assert_int_equal(opened(NULL, NULL, NULL, &context, &f), OK);
    assert_string_equal(context.server, "https://home:3");
    setenv("ENSIGN_CONTEXT", inside("one"), 1);
    assert_int_equal(opened(NULL, NULL, NULL, &context, &f), OK);
    assert_string_equal(context.server, "https://one:1");
    assert_int_equal(opened(inside("two"), NULL, NULL, &context, &f), OK);
    assert_string_equal(context.server, "https://two:2");
    setenv("ENSIGN_SERVER", "https://four:4", 1);
    assert_int_equal(opened(inside("two"), NULL, NULL, &context, &f), OK);
    assert_string_equal(context.server, "https://four:4");
    assert_int_equal(opened(inside("two"), "https://five:5", NULL, &context, &f), OK);
    assert_string_equal(context.server, "https://five:5");
    assert_int_equal(opened(inside("absent"), NULL, NULL, &context, &f), ERR_ABSENT);
}

static void test_token_pins(void **state)
{
    (void)state;
    struct fault f = {0};
    struct token token = {.pin = {7}};
    AUTO(bytes) text = {0};
    AUTO(context) context = {0};
    token_text(&token, &text);
    file_write(folder, "token", 0600, bytes_text(&text));
    file_write(folder, "one", 0600, HEAD "server: https://one:1\npin: " PIN "\n");
    assert_int_equal(opened(inside("one"), NULL, inside("token"), &context, &f), OK);
    assert_int_equal(context.pin[0], 7); /* the token's, not the file's */
    assert_string_equal(bytes_text(&context.token), bytes_text(&text));
    context_cleanup(&context);
    assert_int_equal(opened(NULL, "https://one:1", inside("token"), &context, &f), OK);
    assert_int_equal(context.pin[0], 7);
    struct context other;
    assert_int_equal(chmod(inside("token"), 0644), 0);
    assert_int_equal(opened(NULL, "https://one:1", inside("token"), &other, &f), ERR_IO);
    assert_int_equal(opened(NULL, "https://one:1", NULL, &other, &f), ERR_INPUT); /* nothing to recognise it by */
    assert_int_equal(f.code, CODE_USAGE);
    assert_int_equal(opened(NULL, "unix:///run/x.sock", NULL, &other, &f), OK);
    assert_false(other.has_pin);
}

static void test_write(void **state)
{
    (void)state;
    static const uint8_t pin[SHA256_SIZE] = {1, [31] = 2};
    const struct context_text text = {"https://ca:8443", "a+b+c", pin, false, "CERT\n", "KEY\n"};
    struct fault f = {0};
    AUTO(bytes) document = {0};
    AUTO(context) context = {0};
    assert_int_equal(context_write(&text, &document, &f), OK);
    file_write(folder, "context", 0600, bytes_text(&document));
    assert_int_equal(context_load(inside("context"), &context, &f), OK);
    assert_string_equal(context.server, "https://ca:8443");
    assert_memory_equal(context.pin, pin, sizeof pin);
    assert_string_equal(bytes_text(&context.certificate), "CERT\n");
    assert_string_equal(bytes_text(&context.key), "KEY\n");
    assert_string_equal(context.log_verifier, "a+b+c");
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, folder_setup, folder_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_load),       IN_FOLDER(test_refused), IN_FOLDER(test_precedence),
        IN_FOLDER(test_token_pins), IN_FOLDER(test_write),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
