/* The seal: where its key comes from, and what it seals. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/hsm/fixture.h"

static const struct seal_cost cheap = {1, 8192};

static void file_write(const char *path, const char *text, mode_t mode)
{
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(file >= 0);
    assert_int_equal(write(file, text, strlen(text)), (ssize_t)strlen(text));
    assert_int_equal(fchmod(file, mode), 0);
    close(file);
}

static void secret_of(const char *text, struct secret *ret_secret)
{
    struct fault f = {0};
    assert_ok(secret_new(strlen(text), ret_secret, &f), &f);
    memcpy(ret_secret->data, text, strlen(text));
}

static bool secret_is(const struct secret *secret, const char *text)
{
    return span_equal(span(secret->data, secret->size), span_text(text));
}

/* ---- secret files ---- */

static void test_secret_files(void **state)
{
    (void)state;
    static const struct {
        const char *content;
        mode_t mode, folder_mode;
        const char *expected; /* NULL: refused */
        enum secret_kind kind;
    } cases[] = {
        {"0123456789", 0600, 0700, "0123456789", SECRET_FILE},
        {"0123456789\n", 0600, 0700, "0123456789", SECRET_FILE},
        {"0123\n", 0400, 0755, "0123", SECRET_FILE},
        {"", 0600, 0700, "", SECRET_FILE},
        {"0123456789a", 0600, 0700, NULL, SECRET_FILE},
        {"0123456789\n\n", 0600, 0700, NULL, SECRET_FILE},
        {"0123", 0640, 0700, NULL, SECRET_FILE},
        {"0123", 0604, 0700, NULL, SECRET_FILE},
        {"0123", 0620, 0700, NULL, SECRET_FILE},
        {"0123", 0600, 0720, NULL, SECRET_FILE},
        {"0123", 0600, 0702, NULL, SECRET_FILE},
        {"0123", 0440, 0550, "0123", SECRET_CREDENTIAL},
        {"0123", 0400, 0500, "0123", SECRET_CREDENTIAL},
        {"0123", 0460, 0550, NULL, SECRET_CREDENTIAL},
        {"0123", 0444, 0550, NULL, SECRET_CREDENTIAL},
        {"0123", 0440, 0570, NULL, SECRET_CREDENTIAL},
        {"0123", 0440, 0550, NULL, SECRET_FILE},
    };
    struct house house;
    char path[128];
    house_open(&house);
    snprintf(path, sizeof path, "%s/secret", house.folder);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct fault f = {0};
        AUTO(secret) secret = {0};
        file_write(path, cases[i].content, cases[i].mode);
        assert_int_equal(chmod(house.folder, cases[i].folder_mode), 0);
        enum err err = secret_read(cases[i].kind, path, 10, &secret, &f);
        assert_int_equal(err == OK, cases[i].expected != NULL);
        if (cases[i].expected)
            assert_true(secret_is(&secret, cases[i].expected));
        else
            assert_null(secret.data);
    }
    house_close(&house);
}

static void test_secret_not_regular(void **state)
{
    (void)state;
    struct house house;
    struct fault f = {0};
    struct secret secret = {0};
    char link[128], pipe_path[128];
    house_open(&house);
    snprintf(link, sizeof link, "%s/link", house.folder);
    snprintf(pipe_path, sizeof pipe_path, "%s/pipe", house.folder);
    assert_int_equal(symlink(house.config.path, link), 0);
    assert_int_equal(mkfifo(pipe_path, 0600), 0);
    const char *const paths[] = {link, pipe_path, house.folder, "/nonexistent/secret"};
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
        assert_fault(secret_read(SECRET_FILE, paths[i], 100, &secret, &f), &f, CODE_IO);
    assert_null(secret.data);
    house_close(&house);
}

/* ---- opening ---- */

static void test_key_file(void **state)
{
    (void)state;
    struct house house;
    struct fault f = {0};
    struct stat status;
    house_open(&house);
    assert_int_equal(stat(house.config.path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);

    AUTO(seal) seal = {0}, again = {0};
    assert_ok(seal_open(&house.config, house.state, &seal, &f), &f);
    assert_ok(seal_open(&house.config, house.state, &again, &f), &f);
    AUTO(secret) plain = {0}, back = {0};
    AUTO(bytes) blob = {0};
    secret_of("a key", &plain);
    assert_ok(seal_wrap(&seal, &plain, &blob, &f), &f);
    assert_ok(seal_unwrap(&again, bytes_span(&blob), &back, &f), &f);
    assert_true(secret_is(&back, "a key"));
    house_close(&house);
}

static void test_second_create_refused(void **state)
{
    (void)state;
    struct house house;
    struct fault f = {0};
    struct seal seal = {0};
    house_open(&house);
    assert_fault(seal_create(&house.config, house.state, &seal, &f), &f, CODE_CONFLICT);
    assert_ok(seal_open(&house.config, house.state, &seal, &f), &f);
    seal_cleanup(&seal);
    house_close(&house);
}

static void test_key_file_refused(void **state)
{
    (void)state;
    static const struct {
        const char *content;
        mode_t mode;
        enum code code;
    } cases[] = {
        {"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n", 0600, CODE_SEALED}, /* another key */
        {"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde", 0600, CODE_SEALED},
        {"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdeg", 0600, CODE_SEALED},
        {"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0", 0600, CODE_IO},
        {"", 0600, CODE_SEALED},
        {"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n", 0640, CODE_IO},
    };
    struct house house;
    house_open(&house);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct fault f = {0};
        struct seal seal = {0};
        char text[2048];
        file_write(house.config.path, cases[i].content, cases[i].mode);
        enum err err = seal_open(&house.config, house.state, &seal, &f);
        fault_line(&f, text, sizeof text);
        assert_null(strstr(text, "0123456789"));
        assert_fault(err, &f, cases[i].code);
        assert_null(seal.key.data);
    }
    house_close(&house);
}

static void test_key_inside_state_refused(void **state)
{
    (void)state;
    struct house house;
    house_open(&house);
    char folder[128], detour[128];
    snprintf(folder, sizeof folder, "%s/keys", house.state);
    snprintf(detour, sizeof detour, "%s/detour", house.folder);
    assert_int_equal(mkdir(folder, 0700), 0);
    assert_int_equal(symlink(folder, detour), 0);
    const char *const folders[] = {house.state, folder, detour};
    for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
        struct fault f = {0};
        struct seal seal = {0};
        struct seal_config config = {.source = SEAL_KEY_FILE};
        snprintf(config.path, sizeof config.path, "%s/seal.key", folders[i]);
        assert_fault(seal_create(&config, house.state, &seal, &f), &f, CODE_SEALED);
        assert_int_equal(access(config.path, F_OK), -1); /* nothing was made */
        assert_fault(seal_open(&config, house.state, &seal, &f), &f, CODE_SEALED);
    }

    /* A neighbour whose name only begins like the state folder's is outside. */
    struct fault f = {0};
    AUTO(seal) seal = {0};
    struct seal_config config = {.source = SEAL_KEY_FILE};
    char neighbour[128], other[128];
    snprintf(neighbour, sizeof neighbour, "%s-keys", house.state);
    snprintf(other, sizeof other, "%s/other", house.folder);
    assert_int_equal(mkdir(neighbour, 0700), 0);
    assert_int_equal(rename(house.state, other), 0);
    assert_int_equal(mkdir(house.state, 0700), 0);
    snprintf(config.path, sizeof config.path, "%s/seal.key", neighbour);
    assert_ok(seal_create(&config, house.state, &seal, &f), &f);
    house_close(&house);
}

/* A house whose state folder is not sealed yet, and a passphrase file. */
static void passphrase_house(struct house *house, const char *passphrase)
{
    char path[128];
    house_open(house);
    snprintf(path, sizeof path, "%s/seal", house->state);
    assert_int_equal(unlink(path), 0);
    house->config.source = SEAL_PASSPHRASE_FILE;
    snprintf(house->config.path, sizeof house->config.path, "%s/passphrase", house->folder);
    file_write(house->config.path, passphrase, 0600);
}

static void test_passphrase(void **state)
{
    (void)state;
    struct house house;
    struct fault f = {0};
    AUTO(seal) made = {0}, opened = {0};
    struct seal seal = {0};
    passphrase_house(&house, "correct horse battery\n");
    assert_ok(seal_create_cost(&house.config, house.state, &cheap, &made, &f), &f);
    assert_ok(seal_open(&house.config, house.state, &opened, &f), &f);
    assert_memory_equal(made.key.data, opened.key.data, made.key.size);

    file_write(house.config.path, "correct horse batterz\n", 0600);
    assert_fault(seal_open(&house.config, house.state, &seal, &f), &f, CODE_SEALED);
    struct seal_config key_file = {.source = SEAL_KEY_FILE};
    snprintf(key_file.path, sizeof key_file.path, "%s/seal.key", house.folder);
    assert_fault(seal_open(&key_file, house.state, &seal, &f), &f, CODE_SEALED);
    house_close(&house);
}

static void test_passphrase_short_refused(void **state)
{
    (void)state;
    struct house house;
    struct fault f = {0};
    struct seal seal = {0};
    passphrase_house(&house, "elevenchars\n");
    assert_fault(seal_create_cost(&house.config, house.state, &cheap, &seal, &f), &f, CODE_SEALED);
    house_close(&house);
}

static void seal_file_read(const struct house *house, char *ret_text, size_t size)
{
    char path[128];
    snprintf(path, sizeof path, "%s/seal", house->state);
    int file = open(path, O_RDONLY);
    assert_true(file >= 0);
    ssize_t n = read(file, ret_text, size - 1);
    assert_true(n > 0);
    ret_text[n] = '\0';
    close(file);
}

static void test_passphrase_moderate_by_default(void **state)
{
    (void)state;
    struct house house;
    struct fault f = {0};
    struct seal seal = {0};
    char text[1024], expected[64];
    passphrase_house(&house, "correct horse battery\n");
    assert_ok(seal_create(&house.config, house.state, &seal, &f), &f);
    seal_cleanup(&seal);
    seal_file_read(&house, text, sizeof text);
    assert_non_null(strstr(text, "\"opslimit\": 3"));
    snprintf(expected, sizeof expected, "\"memlimit\": %d", 256 << 20);
    assert_non_null(strstr(text, expected));
    house_close(&house);
}

static void test_credential(void **state)
{
    (void)state;
    struct house house;
    struct fault f = {0};
    struct seal seal = {0};
    struct seal_config config = {.source = SEAL_CREDENTIAL, .path = "seal.key"};
    house_open(&house);
    unsetenv("CREDENTIALS_DIRECTORY");
    assert_fault(seal_open(&config, house.state, &seal, &f), &f, CODE_SEALED);
    setenv("CREDENTIALS_DIRECTORY", house.folder, 1);
    assert_ok(seal_open(&config, house.state, &seal, &f), &f);
    seal_cleanup(&seal);
    assert_int_equal(chmod(house.config.path, 0440), 0);
    assert_ok(seal_open(&config, house.state, &seal, &f), &f);
    seal_cleanup(&seal);
    fault_clear(&f);
    assert_fault(seal_open(&house.config, house.state, &seal, &f), &f, CODE_IO); /* the same file as a key file */
    struct seal_config outside = {.source = SEAL_CREDENTIAL, .path = "../seal.key"};
    assert_fault(seal_open(&outside, house.state, &seal, &f), &f, CODE_SEALED);
    struct seal_config none = {.source = SEAL_NONE};
    assert_fault(seal_open(&none, house.state, &seal, &f), &f, CODE_SEALED);
    unsetenv("CREDENTIALS_DIRECTORY");
    house_close(&house);
}

/* What stands in `state/seal` is not secret, but must not be believed when it is wrong. */
static void test_seal_file_damaged(void **state)
{
    (void)state;
    static const char *const contents[] = {
        "",
        "{}",
        "[]",
        "{\"version\": 2, \"kdf\": \"none\", \"check\": \"00\"}",
        "{\"version\": 1, \"kdf\": \"none\", \"check\": \"00\"}",
        "{\"version\": 1, \"kdf\": \"argon2id\", \"salt\": \"00\", \"opslimit\": 0, \"memlimit\": 1, \"check\": \"\"}",
    };
    struct house house;
    char path[128];
    house_open(&house);
    snprintf(path, sizeof path, "%s/seal", house.state);
    for (size_t i = 0; i < ARRAY_SIZE(contents); i++) {
        struct fault f = {0};
        struct seal seal = {0};
        file_write(path, contents[i], 0600);
        assert_int_not_equal(seal_open(&house.config, house.state, &seal, &f), OK);
        assert_null(seal.key.data);
    }
    struct fault f = {0};
    struct seal seal = {0};
    assert_int_equal(unlink(path), 0);
    assert_fault(seal_open(&house.config, house.state, &seal, &f), &f, CODE_SEALED);
    house_close(&house);
}

/* ---- blobs ---- */

static void test_blob_damaged(void **state)
{
    (void)state;
    struct house house;
    struct fault f = {0};
    AUTO(seal) seal = {0};
    AUTO(secret) plain = {0};
    AUTO(bytes) blob = {0};
    struct secret back = {0};
    house_open(&house);
    assert_ok(seal_open(&house.config, house.state, &seal, &f), &f);
    secret_of("thirty-two bytes of a private key", &plain);
    assert_ok(seal_wrap(&seal, &plain, &blob, &f), &f);
    for (size_t bit = 0; bit < 8 * blob.size; bit++) {
        blob.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_fault(seal_unwrap(&seal, bytes_span(&blob), &back, &f), &f, CODE_DAMAGED);
        blob.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t size = 0; size < blob.size; size++)
        assert_fault(seal_unwrap(&seal, span(blob.data, size), &back, &f), &f, CODE_DAMAGED);
    assert_null(back.data);
    assert_ok(seal_unwrap(&seal, bytes_span(&blob), &back, &f), &f);
    secret_cleanup(&back);
    house_close(&house);
}

static void test_blob_of_another_seal(void **state)
{
    (void)state;
    struct house ours, theirs;
    struct fault f = {0};
    AUTO(seal) our_seal = {0}, their_seal = {0};
    AUTO(secret) plain = {0};
    AUTO(bytes) blob = {0}, again = {0};
    struct secret back = {0};
    house_open(&ours);
    house_open(&theirs);
    assert_ok(seal_open(&ours.config, ours.state, &our_seal, &f), &f);
    assert_ok(seal_open(&theirs.config, theirs.state, &their_seal, &f), &f);
    assert_fault(seal_open(&theirs.config, ours.state, &(struct seal){0}, &f), &f, CODE_SEALED);
    secret_of("a key", &plain);
    assert_ok(seal_wrap(&our_seal, &plain, &blob, &f), &f);
    assert_fault(seal_unwrap(&their_seal, bytes_span(&blob), &back, &f), &f, CODE_DAMAGED);
    assert_ok(seal_wrap(&our_seal, &plain, &again, &f), &f);
    assert_false(span_equal(bytes_span(&blob), bytes_span(&again))); /* a nonce is used once */
    house_close(&ours);
    house_close(&theirs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_secret_files),
        cmocka_unit_test(test_secret_not_regular),
        cmocka_unit_test(test_key_file),
        cmocka_unit_test(test_second_create_refused),
        cmocka_unit_test(test_key_file_refused),
        cmocka_unit_test(test_key_inside_state_refused),
        cmocka_unit_test(test_passphrase),
        cmocka_unit_test(test_passphrase_short_refused),
        cmocka_unit_test(test_passphrase_moderate_by_default),
        cmocka_unit_test(test_credential),
        cmocka_unit_test(test_seal_file_damaged),
        cmocka_unit_test(test_blob_damaged),
        cmocka_unit_test(test_blob_of_another_seal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
