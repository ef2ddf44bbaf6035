/* Files that must be right after a crash and out of reach of others: modes, links, folders of other users, and a writer
 * that is killed at any moment. */
#include "client/files.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/client/fixture.h"

struct place {
    char *path;
    int fd;
};

static int place_make(void **state)
{
    static struct place place;
    struct fault f = {0};
    place.path = folder_make();
    assert_int_equal(folder_open(place.path, &place.fd, &f), OK);
    *state = &place;
    umask(0);
    return 0;
}

static int place_drop(void **state)
{
    struct place *place = *state;
    close(place->fd);
    folder_drop(place->path);
    return 0;
}

static unsigned mode_of(int folder, const char *name)
{
    struct stat status;
    assert_int_equal(fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW), 0);
    return status.st_mode & 07777;
}

static void content_is(int folder, const char *name, const char *expected)
{
    struct fault f = {0};
    AUTO(bytes) content = {0};
    assert_int_equal(file_read_at(folder, name, &content, &f), OK);
    assert_string_equal(bytes_text(&content), expected);
}

static const char *inside(const struct place *place, const char *name)
{
    return path_inside(place->path, name);
}

/* ---- single files ---- */

static void test_put(void **state)
{
    const struct place *place = *state;
    struct fault f = {0};
    assert_int_equal(file_put_at(place->fd, "key", 0600, FILE_NEW, span_text("one"), &f), OK);
    assert_int_equal(mode_of(place->fd, "key"), 0600);
    assert_int_equal(file_put_at(place->fd, "key", 0600, FILE_NEW, span_text("two"), &f), ERR_CONFLICT);
    content_is(place->fd, "key", "one");
    assert_int_equal(file_put_at(place->fd, "key", 0644, FILE_REPLACE, span_text("two"), &f), OK);
    content_is(place->fd, "key", "two");
    assert_int_equal(mode_of(place->fd, "key"), 0644);
    assert_int_not_equal(faccessat(place->fd, ".new-key", F_OK, 0), 0);
}

static void test_put_names(void **state)
{
    const struct place *place = *state;
    static const char *const names[] = {"", ".", "..", "a/b", "../x", "/etc/x"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        struct fault f = {0};
        assert_int_equal(file_put_at(place->fd, names[i], 0600, FILE_NEW, span_text("x"), &f), ERR_INPUT);
        const struct folder_file file = {"a", 0600, span_text("x")};
        assert_int_equal(folder_put_at(place->fd, names[i], &file, 1, &f), ERR_INPUT);
    }
    assert_false(file_name_valid(".pending"));
    assert_true(file_name_valid("etcd-member"));
}

static void test_put_leaves_links_and_devices(void **state)
{
    const struct place *place = *state;
    struct fault f = {0};
    file_write(place->path, "victim", 0600, "precious");
    assert_int_equal(symlinkat("victim", place->fd, "link"), 0);
    assert_int_equal(mkfifoat(place->fd, "pipe", 0600), 0);
    assert_int_equal(file_put_at(place->fd, "link", 0600, FILE_REPLACE, span_text("x"), &f), ERR_IO);
    assert_int_equal(file_put_at(place->fd, "pipe", 0600, FILE_REPLACE, span_text("x"), &f), ERR_IO);
    content_is(place->fd, "victim", "precious");
    AUTO(bytes) content = {0};
    assert_int_equal(file_read_at(place->fd, "link", &content, &f), ERR_IO);
    /* the name under which a new file is written first may be a link too: it goes, its target stays */
    assert_int_equal(symlinkat("victim", place->fd, ".new-key"), 0);
    assert_int_equal(file_put_at(place->fd, "key", 0600, FILE_NEW, span_text("x"), &f), OK);
    content_is(place->fd, "victim", "precious");
    content_is(place->fd, "key", "x");
}

static void test_private_read(void **state)
{
    const struct place *place = *state;
    static const struct {
        unsigned mode;
        enum err expected;
    } cases[] = {{0600, OK}, {0400, OK}, {0640, ERR_IO}, {0604, ERR_IO}, {0660, ERR_IO}, {0601, ERR_IO}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct fault f = {0};
        AUTO(bytes) content = {0};
        file_write(place->path, "secret", 0600, "s3cret");
        assert_int_equal(fchmodat(place->fd, "secret", cases[i].mode, 0), 0);
        assert_int_equal(file_read_private(inside(place, "secret"), &content, &f), cases[i].expected);
        if (cases[i].expected != OK)
            assert_non_null(strstr(f.text, "chmod 600"));
        assert_null(strstr(f.text, "s3cret"));
    }
    struct fault f = {0};
    AUTO(bytes) content = {0};
    assert_int_equal(file_read_private(inside(place, "absent"), &content, &f), ERR_ABSENT);
    assert_int_equal(mkfifoat(place->fd, "fifo", 0600), 0);
    assert_int_equal(file_read_private(inside(place, "fifo"), &content, &f), ERR_IO); /* and does not hang */
}

static void test_read_limit(void **state)
{
    const struct place *place = *state;
    struct fault f = {0};
    AUTO(bytes) content = {0};
    file_write(place->path, "large", 0600, "x");
    assert_int_equal(truncate(inside(place, "large"), FILE_SIZE_MAX), 0);
    assert_int_equal(file_read(inside(place, "large"), &content, &f), OK);
    assert_int_equal(truncate(inside(place, "large"), FILE_SIZE_MAX + 1), 0);
    assert_int_equal(file_read(inside(place, "large"), &content, &f), ERR_LIMIT);
}

/* ---- folders ---- */

static void test_folders_of_others(void **state)
{
    const struct place *place = *state;
    static const struct {
        unsigned parent, last;
        enum err expected;
    } cases[] = {
        {0755, 0700, OK},     {0755, 0755, OK},     {01777, 0700, OK},    {0775, 0700, ERR_IO},
        {0777, 0700, ERR_IO}, {0755, 0770, ERR_IO}, {0755, 0702, ERR_IO}, {0755, 01777, ERR_IO},
    };
    assert_int_equal(mkdirat(place->fd, "parent", 0700), 0);
    assert_int_equal(mkdirat(place->fd, "parent/last", 0700), 0);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct fault f = {0};
        CLEANUP(fd_cleanup) int fd = -1;
        assert_int_equal(fchmodat(place->fd, "parent", cases[i].parent, 0), 0);
        assert_int_equal(fchmodat(place->fd, "parent/last", cases[i].last, 0), 0);
        if (folder_open(inside(place, "parent/last"), &fd, &f) != cases[i].expected)
            fail_msg("case %zu: %s", i, f.text);
    }
    if (geteuid() == 0) {
        struct fault f = {0};
        int fd;
        assert_int_equal(fchmodat(place->fd, "parent", 0755, 0), 0);
        assert_int_equal(fchmodat(place->fd, "parent/last", 0700, 0), 0);
        assert_int_equal(fchownat(place->fd, "parent/last", 12345, 12345, 0), 0);
        assert_int_equal(folder_open(inside(place, "parent/last"), &fd, &f), ERR_IO);
        assert_int_equal(fchownat(place->fd, "parent", 12345, 12345, 0), 0);
        assert_int_equal(folder_open(inside(place, "parent/other"), &fd, &f), ERR_IO);
    }
}

static void test_folder_made(void **state)
{
    const struct place *place = *state;
    struct fault f = {0};
    CLEANUP(fd_cleanup) int fd = -1;
    assert_int_equal(folder_open(inside(place, "a/b/c"), &fd, &f), OK);
    assert_int_equal(mode_of(place->fd, "a"), 0700);
    assert_int_equal(mode_of(place->fd, "a/b/c"), 0700);
    int absent;
    assert_int_equal(folder_open_at(place->fd, "nothing", false, &absent, &f), ERR_ABSENT);
}

static void test_links_in_the_path(void **state)
{
    const struct place *place = *state;
    int fd;
    assert_int_equal(mkdirat(place->fd, "real", 0700), 0);
    assert_int_equal(mkdirat(place->fd, "real/inner", 0700), 0);
    assert_int_equal(symlinkat("real", place->fd, "alias"), 0);
    static const char *const paths[] = {"alias", "alias/inner", "alias/new"};
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
        struct fault f = {0};
        assert_int_equal(folder_open(inside(place, paths[i]), &fd, &f), ERR_IO);
        assert_non_null(strstr(f.text, "symbolic link"));
    }
    assert_int_not_equal(faccessat(place->fd, "real/new", F_OK, 0), 0);
}

static void test_secret_beside_others(void **state)
{
    const struct place *place = *state;
    struct fault f = {0};
    assert_int_equal(mkdirat(place->fd, "open", 0777), 0);
    assert_int_equal(file_put(inside(place, "open/key"), 0600, FILE_NEW, span_text("k"), &f), ERR_IO);
    assert_int_equal(file_check(inside(place, "open/key"), 0600, FILE_NEW, &f), ERR_IO);
    assert_int_equal(file_put(inside(place, "open/crt"), 0644, FILE_NEW, span_text("c"), &f), OK);
    assert_int_equal(file_check(inside(place, "key"), 0600, FILE_NEW, &f), OK);
    assert_int_equal(file_put(inside(place, "key"), 0600, FILE_NEW, span_text("k"), &f), OK);
    assert_int_equal(file_check(inside(place, "key"), 0600, FILE_NEW, &f), ERR_CONFLICT);
}

/* ---- a set of files as one ---- */

static enum err set_put(int folder, const char *text, struct fault *f)
{
    const struct folder_file files[] = {
        {"tls.key", 0600, span_text(text)}, {"tls.crt", 0644, span_text(text)}, {"ca.crt", 0644, span_text(text)}};
    return folder_put_at(folder, "set", files, ARRAY_SIZE(files), f);
}

static void test_set(void **state)
{
    const struct place *place = *state;
    struct fault f = {0};
    assert_int_equal(set_put(place->fd, "one", &f), OK);
    content_is(place->fd, "set/tls.key", "one");
    assert_int_equal(mode_of(place->fd, "set"), 0700);
    assert_int_equal(mode_of(place->fd, "set/tls.key"), 0600);
    assert_int_equal(mode_of(place->fd, "set/tls.crt"), 0644);
    assert_int_equal(set_put(place->fd, "two", &f), OK);
    content_is(place->fd, "set/tls.key", "two");
    content_is(place->fd, "set/tls.crt", "two");
    assert_int_not_equal(faccessat(place->fd, ".new-set", F_OK, AT_SYMLINK_NOFOLLOW), 0);
}

static void test_set_and_strangers(void **state)
{
    const struct place *place = *state;
    struct fault f = {0};
    assert_int_equal(set_put(place->fd, "one", &f), OK);
    file_write(place->path, "set/notes", 0600, "precious");
    assert_int_equal(set_put(place->fd, "two", &f), ERR_CONFLICT);
    assert_non_null(strstr(f.text, "set/notes\" would be lost"));
    content_is(place->fd, "set/notes", "precious");
    content_is(place->fd, "set/tls.key", "one");
    assert_int_equal(unlinkat(place->fd, "set/notes", 0), 0);
    assert_int_equal(set_put(place->fd, "two", &f), OK);
    content_is(place->fd, "set/tls.key", "two");
}

static void test_set_and_links(void **state)
{
    const struct place *place = *state;
    struct fault f = {0};
    assert_int_equal(mkdirat(place->fd, "victim", 0700), 0);
    file_write(place->path, "victim/precious", 0600, "precious");
    assert_int_equal(symlinkat("victim", place->fd, ".new-set"), 0);
    assert_int_equal(set_put(place->fd, "one", &f), OK);
    content_is(place->fd, "victim/precious", "precious");
    assert_int_equal(folder_remove_at(place->fd, "set", &f), OK);
    assert_int_equal(symlinkat("victim", place->fd, "set"), 0);
    assert_int_equal(set_put(place->fd, "two", &f), ERR_IO);
    content_is(place->fd, "victim/precious", "precious");
    assert_int_not_equal(faccessat(place->fd, "victim/tls.key", F_OK, 0), 0);
}

/* Writes numbered sets until it is killed. */
static void writer(int folder)
{
    for (unsigned round = 0;; round++) {
        struct fault f = {0};
        char text[32];
        snprintf(text, sizeof text, "round %u", round);
        if (set_put(folder, text, &f) != OK)
            _exit(1);
    }
}

/* A set is whole when its files all say the same. */
static bool set_whole(int folder)
{
    static const char *const names[] = {"set/tls.key", "set/tls.crt", "set/ca.crt"};
    struct fault f = {0};
    AUTO(bytes) first = {0};
    if (file_read_at(folder, names[0], &first, &f) != OK || first.size == 0)
        return false;
    for (size_t i = 1; i < ARRAY_SIZE(names); i++) {
        AUTO(bytes) other = {0};
        if (file_read_at(folder, names[i], &other, &f) != OK || !span_equal(bytes_span(&first), bytes_span(&other)))
            return false;
    }
    return true;
}

static void killed_after(int folder, long microseconds, void (*run)(int))
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        run(folder);
    const struct timespec wait = {0, microseconds * 1000};
    nanosleep(&wait, NULL);
    kill(child, SIGKILL);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status)); /* it was still writing, so nothing failed before */
}

enum { KILLS = 150 };

static void test_killed_writer(void **state)
{
    const struct place *place = *state;
    struct fault f = {0};
    assert_int_equal(set_put(place->fd, "before", &f), OK);
    unsigned interrupted = 0;
    srandom(1);
    for (int i = 0; i < KILLS; i++) {
        killed_after(place->fd, 200 + random() % 4000, writer);
        assert_true(set_whole(place->fd));
        interrupted += faccessat(place->fd, ".new-set", F_OK, 0) == 0;
    }
    assert_true(interrupted > 0); /* the kills did hit the writer in the middle */
    assert_int_equal(folder_tidy_at(place->fd, "set", &f), OK);
    assert_int_not_equal(faccessat(place->fd, ".new-set", F_OK, 0), 0);
    assert_int_equal(set_put(place->fd, "after", &f), OK);
    content_is(place->fd, "set/ca.crt", "after");
}

/* The control: files that are written in place, one after the other. */
static void careless_writer(int folder)
{
    static const char *const names[] = {"set/tls.key", "set/tls.crt", "set/ca.crt"};
    for (unsigned round = 0;; round++)
        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
            int fd = openat(folder, names[i], O_WRONLY | O_TRUNC);
            dprintf(fd, "round %u", round);
            close(fd);
        }
}

static void test_killed_careless_writer(void **state)
{
    const struct place *place = *state;
    struct fault f = {0};
    assert_int_equal(set_put(place->fd, "before", &f), OK);
    unsigned broken = 0;
    for (int i = 0; i < KILLS; i++) {
        killed_after(place->fd, 500 + random() % 1000, careless_writer);
        broken += !set_whole(place->fd);
    }
    assert_true(broken > 0);
}

#define IN_PLACE(test) cmocka_unit_test_setup_teardown(test, place_make, place_drop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_PLACE(test_put),
        IN_PLACE(test_put_names),
        IN_PLACE(test_put_leaves_links_and_devices),
        IN_PLACE(test_private_read),
        IN_PLACE(test_read_limit),
        IN_PLACE(test_folders_of_others),
        IN_PLACE(test_folder_made),
        IN_PLACE(test_links_in_the_path),
        IN_PLACE(test_secret_beside_others),
        IN_PLACE(test_set),
        IN_PLACE(test_set_and_strangers),
        IN_PLACE(test_set_and_links),
        IN_PLACE(test_killed_writer),
        IN_PLACE(test_killed_careless_writer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
