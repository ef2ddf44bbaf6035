/* What the signer gave up, seen from outside while it runs; and that CA keys are in its memory and in no other. */
#include <dirent.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <openssl/core_names.h>
#include <openssl/x509.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hsm/signer_message.h"
#include "tests/unit/hsm/fixture.h"

AUTO_POINTER(BIGNUM, BN_clear_free)

static struct house house;
static struct signer *signer;
static pid_t process;

static int group_setup(void **state)
{
    (void)state;
    struct fault f = {0};
    house_open(&house);
    assert_ok(signer_new(&signer, &f), &f);
    signer_attach(signer, signer_start(&house, &process));
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    signer_free(signer);
    assert_int_equal(waitpid(process, NULL, 0), process);
    house_close(&house);
    return 0;
}

/* ---- privileges ---- */

static void status_read(const char *path, char *ret_text, size_t size)
{
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t n = fread(ret_text, 1, size - 1, file);
    ret_text[n] = '\0';
    fclose(file);
}

static bool status_has(const char *text, const char *name, const char *value)
{
    char line[80];
    snprintf(line, sizeof line, "\n%s:\t%s\n", name, value);
    return strstr(text, line) != NULL;
}

static void test_every_thread_is_restricted(void **state)
{
    (void)state;
    static const char *const expected[][2] = {
        {"Seccomp", "2"},
        {"NoNewPrivs", "1"},
        {"CapEff", "0000000000000000"},
        {"CapPrm", "0000000000000000"},
        {"CapInh", "0000000000000000"},
        {"CapAmb", "0000000000000000"},
    };
    char text[4096], path[128];
    status_read("/proc/self/status", text, sizeof text);
    assert_false(status_has(text, "Seccomp", "2") && status_has(text, "NoNewPrivs", "1")); /* control */

    size_t threads = 0;
    snprintf(path, sizeof path, "/proc/%d/task", process);
    DIR *tasks = opendir(path);
    assert_non_null(tasks);
    for (struct dirent *task; (task = readdir(tasks));) {
        if (task->d_name[0] == '.')
            continue;
        threads++;
        snprintf(path, sizeof path, "/proc/%d/task/%.20s/status", process, task->d_name);
        status_read(path, text, sizeof text);
        for (size_t i = 0; i < ARRAY_SIZE(expected); i++)
            assert_true(status_has(text, expected[i][0], expected[i][1]));
    }
    closedir(tasks);
    assert_int_equal(threads, signer_thread_count());
}

static void test_no_descriptors_but_its_own(void **state)
{
    (void)state;
    char path[64];
    size_t open_count = 0;
    for (int fd = 0; fd < 256; fd++) {
        snprintf(path, sizeof path, "/proc/%d/fd/%d", process, fd);
        char target[256];
        if (readlink(path, target, sizeof target) >= 0)
            open_count++;
    }
    assert_int_equal(open_count, 2); /* stderr and the channel */
}

static void capabilities_drop(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};
    if (syscall(SYS_capset, &header, none) < 0)
        _exit(9);
}

/* Whether a process of the same user, without privileges, may read the memory of that one. */
static bool memory_readable(pid_t pid)
{
    pid_t prober = fork();
    if (prober == 0) {
        char path[64];
        capabilities_drop();
        snprintf(path, sizeof path, "/proc/%d/mem", pid);
        _exit(open(path, O_RDONLY) >= 0 ? 1 : 0);
    }
    int status = 0;
    assert_int_equal(waitpid(prober, &status, 0), prober);
    return WEXITSTATUS(status) == 1;
}

static void test_not_dumpable(void **state)
{
    (void)state;
    int ready[2];
    char byte;
    assert_int_equal(pipe(ready), 0);
    pid_t control = fork();
    if (control == 0) {
        capabilities_drop();
        if (write(ready[1], "R", 1) == 1)
            pause();
        _exit(0);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    bool control_readable = memory_readable(control);
    signer_kill(control);
    close(ready[0]);
    close(ready[1]);
    if (!control_readable) {
        print_message("no process here may read the memory of another: nothing to compare with\n");
        skip();
    }
    assert_false(memory_readable(process));
}

/* ---- where the key is ---- */

enum { SCALAR_SIZE = 32, NOT_READABLE = 2 };

static bool contains(const uint8_t *memory, size_t size, const uint8_t scalar[SCALAR_SIZE])
{
    uint8_t reversed[SCALAR_SIZE]; /* as big numbers stand in memory */
    for (size_t i = 0; i < SCALAR_SIZE; i++)
        reversed[i] = scalar[SCALAR_SIZE - 1 - i];
    return memmem(memory, size, scalar, SCALAR_SIZE) || memmem(memory, size, reversed, SCALAR_SIZE);
}

/* Searches one mapping, in windows that overlap. */
static bool mapping_contains(int memory, uint64_t begin, uint64_t end, const uint8_t scalar[SCALAR_SIZE])
{
    static uint8_t window[1 << 20];
    while (begin < end) {
        size_t want = end - begin < sizeof window ? (size_t)(end - begin) : sizeof window;
        ssize_t n = pread(memory, window, want, (off_t)begin);
        if (n <= 0)
            return false;
        if (contains(window, (size_t)n, scalar))
            return true;
        begin += (size_t)n > SCALAR_SIZE && begin + (size_t)n < end ? (size_t)n - SCALAR_SIZE : (size_t)n;
    }
    return false;
}

/* 1 found, 0 not, NOT_READABLE. Mappings of terabytes are the sanitizers' shadow and hold no data. */
static int memory_search(pid_t pid, const uint8_t scalar[SCALAR_SIZE])
{
    char path[64], line[512];
    bool found = false;
    snprintf(path, sizeof path, "/proc/%d/mem", pid);
    int memory = open(path, O_RDONLY);
    snprintf(path, sizeof path, "/proc/%d/maps", pid);
    FILE *maps = fopen(path, "r");
    if (memory < 0 || !maps)
        return NOT_READABLE;
    while (!found && fgets(line, sizeof line, maps)) {
        char *rest;
        uint64_t begin = strtoull(line, &rest, 16), end = strtoull(rest + 1, &rest, 16);
        if (rest[1] == 'r' && end - begin < UINT64_C(1) << 32)
            found = mapping_contains(memory, begin, end, scalar);
    }
    fclose(maps);
    close(memory);
    return found;
}

static void scalar_of(const struct bytes *blob, uint8_t ret_scalar[SCALAR_SIZE])
{
    struct fault f = {0};
    AUTO(seal) seal = {0};
    AUTO(secret) plain = {0};
    AUTO(grant) grant = {0};
    assert_ok(seal_open(&house.config, house.state, &seal, &f), &f);
    assert_ok(seal_unwrap(&seal, bytes_span(blob), &plain, &f), &f);
    struct unpack in = unpack_begin(span(plain.data, plain.size));
    assert_int_equal(unpack_u8(&in), 1);
    assert_ok(grant_unpack(&in, &grant, &f), &f);
    struct span der = unpack_span(&in);
    const uint8_t *end = der.data;
    CLEANUP(EVP_PKEY_auto) EVP_PKEY *key = d2i_AutoPrivateKey(NULL, &end, (long)der.size);
    CLEANUP(BIGNUM_auto) BIGNUM *number = NULL;
    assert_non_null(key);
    assert_int_equal(EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_PRIV_KEY, &number), 1);
    assert_int_equal(BN_bn2binpad(number, ret_scalar, SCALAR_SIZE), SCALAR_SIZE);
}

/* The key is opened in a process of its own, so that this one, which plays the server, never sees it. Its exit status
 * is what it found: the signer's result, and the server's times 4. */
static void test_key_is_in_the_signer_only(void **state)
{
    (void)state;
    struct fault f = {0};
    CLEANUP(authority_cleanup) struct authority authority;
    AUTO(bytes) draft = {0};
    struct signing signing = {.fault = &f};
    authority_make(signer, KEY_ECDSA_P256, &authority);
    leaf_draft(&authority, "etcdone", &draft);
    signing.blob = bytes_span(&authority.blob);
    signing.draft = bytes_span(&draft);
    assert_ok(signer_sign(signer, &signing, 1, &f), &f);
    bytes_free(&signing.certificate);

    pid_t server = getpid(), searcher = fork();
    if (searcher == 0) {
        uint8_t scalar[SCALAR_SIZE];
        scalar_of(&authority.blob, scalar);
        _exit(memory_search(process, scalar) + 4 * memory_search(server, scalar));
    }
    int status = 0;
    assert_int_equal(waitpid(searcher, &status, 0), searcher);
    assert_true(WIFEXITED(status));
    int in_signer = WEXITSTATUS(status) % 4, in_server = WEXITSTATUS(status) / 4;
    if (in_signer == NOT_READABLE || in_server == NOT_READABLE) {
        print_message("the memory of the signer can be searched by root only\n");
        skip();
    }
    assert_int_equal(in_signer, 1);
    assert_int_equal(in_server, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_thread_is_restricted),
        cmocka_unit_test(test_no_descriptors_but_its_own),
        cmocka_unit_test(test_not_dumpable),
        cmocka_unit_test(test_key_is_in_the_signer_only),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
