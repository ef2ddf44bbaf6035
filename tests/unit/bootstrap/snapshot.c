/* Which files are taken for snapshots of etcd, what members say of a restore, and which one is gone on with. */
#include "client/bootstrap/restore.h"

#include <openssl/sha.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { DATABASE = 8 * 4096, WHOLE = DATABASE + SHA256_DIGEST_LENGTH };

/* ---- the file ---- */

static void snapshot_make(uint8_t content[WHOLE])
{
    static const uint8_t magic[] = {0xed, 0xda, 0x0c, 0xed};
    memset(content, 'd', DATABASE);
    memcpy(content + 16, magic, sizeof magic);
    SHA256(content, DATABASE, content + DATABASE);
}

static void files_are_told_apart(void **state)
{
    (void)state;
    static const struct {
        size_t size, flipped; /* flipped: a byte; WHOLE: none */
        enum code code;
        const char *text;
    } rows[] = {
        {WHOLE, WHOLE, CODE_NONE, NULL},
        {WHOLE, 70, CODE_DAMAGED, "damaged"},
        {WHOLE, DATABASE - 1, CODE_DAMAGED, "damaged"},
        {WHOLE, DATABASE, CODE_DAMAGED, "damaged"}, /* the checksum itself */
        {WHOLE, WHOLE - 1, CODE_DAMAGED, "damaged"},
        {WHOLE, 17, CODE_MALFORMED, "no snapshot"},
        {WHOLE - 1, WHOLE, CODE_MALFORMED, "is cut"},
        {WHOLE - 512, WHOLE, CODE_DAMAGED, "damaged"},
        {DATABASE, WHOLE, CODE_MALFORMED, "no checksum"},
        {512 + 32, WHOLE, CODE_MALFORMED, "is cut"},
        {32, WHOLE, CODE_MALFORMED, "is cut"},
        {31, WHOLE, CODE_MALFORMED, "is cut"},
        {19, WHOLE, CODE_MALFORMED, "no snapshot"},
        {1, WHOLE, CODE_MALFORMED, "no snapshot"},
        {0, WHOLE, CODE_MALFORMED, "no snapshot"},
    };
    uint8_t content[WHOLE + 1];
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct fault f = {0};
        snapshot_make(content);
        content[rows[i].flipped] ^= 1;
        enum err err = snapshot_check(span(content, rows[i].size), "a.db", &f);
        if (f.code != rows[i].code || (err == OK) != (f.code == CODE_NONE))
            fail_msg("row %zu: %s", i, f.text);
        if (rows[i].text && (!strstr(f.text, rows[i].text) || !strstr(f.text, "\"a.db\"")))
            fail_msg("row %zu: \"%s\" does not say \"%s\"", i, f.text, rows[i].text);
    }
}

static void file_put_there(const char *path, const uint8_t *content, size_t size, mode_t mode)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(content, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static void files_are_read(void **state)
{
    (void)state;
    static const struct {
        size_t size;
        mode_t mode;
        const char *text; /* NULL: it is taken */
    } rows[] = {
        {WHOLE, 0600, NULL}, {WHOLE, 0644, "open to other users"}, {DATABASE, 0600, "no checksum"}, {0, 0600, "empty"}};
    char path[] = "/tmp/ensign-unit-XXXXXX";
    uint8_t content[WHOLE];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    snapshot_make(content);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        AUTO(snapshot) snapshot = {0};
        struct fault f = {0};
        file_put_there(path, content, rows[i].size, rows[i].mode);
        enum err err = snapshot_open(path, &snapshot, &f);
        if (rows[i].text ? err == OK || !strstr(f.text, rows[i].text) : err != OK)
            fail_msg("row %zu: %s", i, f.text);
        if (err == OK) {
            char digest[SHA256_TEXT_SIZE];
            sha256_text(span(content, WHOLE), digest);
            assert_string_equal(snapshot.digest, digest);
            assert_int_equal(snapshot.content.size, WHOLE);
        }
    }
    unlink(path);
}

/* ---- what members say ---- */

#define DIGEST "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define OTHER "ff112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static void looks_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool taken, healthy, leader;
        enum restore_progress progress;
    } rows[] = {
        {"member leader\nrestore none\n", true, true, true, RESTORE_NONE},
        {"a word before\nmember follower\nrestore none\n", true, true, false, RESTORE_NONE},
        {"member down\nrestore switched 20261121T205500Z " DIGEST " 17\n", true, false, false, RESTORE_SWITCHED},
        {"member down\nrestore prepared 20261121T205500Z " DIGEST " 17\n", true, false, false, RESTORE_PREPARED},
        {"member leader\nrestore started 20261121T205500Z " DIGEST " 17", true, true, true, RESTORE_STARTED},
        {"member down\nrestore switched 20261121T205500Z " DIGEST "\n", false, false, false, RESTORE_NONE},
        {"member down\nrestore switched 20261121T205500Z " DIGEST " 17x\n", false, false, false, RESTORE_NONE},
        {"member down\nrestore switched $(reboot) " DIGEST " 17\n", false, false, false, RESTORE_NONE},
        {"member down\nrestore eaten 20261121T205500Z " DIGEST " 17\n", false, false, false, RESTORE_NONE},
        {"member down\nrestore\n", false, false, false, RESTORE_NONE},
        {"restore none\n", false, false, false, RESTORE_NONE},
        {"", false, false, false, RESTORE_NONE},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct fault f = {0};
        struct member_look look;
        if ((member_look_read(rows[i].text, &look, &f) == OK) != rows[i].taken)
            fail_msg("row %zu", i);
        if (!rows[i].taken)
            continue;
        assert_int_equal(look.healthy, rows[i].healthy);
        assert_int_equal(look.leader, rows[i].leader);
        assert_int_equal(look.progress, rows[i].progress);
        if (look.progress == RESTORE_NONE)
            continue;
        assert_string_equal(look.id, "20261121T205500Z");
        assert_string_equal(look.digest, DIGEST);
        assert_int_equal(look.revision, 17);
    }
}

static void statuses_are_read(void **state)
{
    (void)state;
    struct snapshot_status status;
    assert_true(snapshot_status_read("x\nsnapshot 1 2 3\nsnapshot 17 4 99\ny\n", &status));
    assert_int_equal(status.revision, 17);
    assert_int_equal(status.keys, 4);
    assert_int_equal(status.bytes, 99);
    assert_false(snapshot_status_read("snapshot 17 4\n", &status));
    assert_false(snapshot_status_read("snapshots 17 4 5\n", &status));
    assert_false(snapshot_status_read("", &status));
}

/* ---- which restore is gone on with ---- */

enum { HOSTS = 4 }; /* the last is no member */

#define LOOK(how, id, revision)                                                                                        \
    {                                                                                                                  \
        true, false, RESTORE_##how, id, DIGEST, revision                                                               \
    }
#define DOWN(how, id, revision)                                                                                        \
    {                                                                                                                  \
        false, false, RESTORE_##how, id, DIGEST, revision                                                              \
    }
#define NONE                                                                                                           \
    {                                                                                                                  \
        true, false, RESTORE_NONE, "", "", 0                                                                           \
    }
#define SICK                                                                                                           \
    {                                                                                                                  \
        false, false, RESTORE_NONE, "", "", 0                                                                          \
    }

static void restores_are_found(void **state)
{
    (void)state;
    static const struct {
        const char *digest;
        struct member_look looks[HOSTS];
        enum restore_progress found;
    } rows[] = {
        {DIGEST, {NONE, NONE, NONE, SICK}, RESTORE_NONE},
        {DIGEST, {DOWN(PREPARED, "A", 7), DOWN(PREPARED, "A", 7), DOWN(PREPARED, "A", 7), SICK}, RESTORE_PREPARED},
        {DIGEST, {DOWN(PREPARED, "A", 7), NONE, NONE, SICK}, RESTORE_NONE}, /* the others go on as they were */
        {DIGEST, {DOWN(PREPARED, "A", 7), DOWN(PREPARED, "B", 7), DOWN(PREPARED, "A", 7), SICK}, RESTORE_NONE},
        {DIGEST, {DOWN(PREPARED, "A", 7), DOWN(PREPARED, "A", 8), DOWN(PREPARED, "A", 7), SICK}, RESTORE_NONE},
        {DIGEST, {DOWN(SWITCHED, "A", 7), DOWN(PREPARED, "A", 7), DOWN(PREPARED, "A", 7), SICK}, RESTORE_SWITCHED},
        {DIGEST, {DOWN(PREPARED, "A", 7), DOWN(SWITCHED, "A", 7), DOWN(PREPARED, "A", 7), SICK}, RESTORE_SWITCHED},
        {DIGEST,
         {DOWN(SWITCHED, "A", 7), SICK, DOWN(PREPARED, "A", 7), SICK},
         RESTORE_NONE}, /* it lost what was made */
        {OTHER, {DOWN(SWITCHED, "A", 7), DOWN(SWITCHED, "A", 7), DOWN(SWITCHED, "A", 7), SICK}, RESTORE_NONE},
        {DIGEST, {LOOK(STARTED, "A", 7), DOWN(SWITCHED, "A", 7), LOOK(STARTED, "A", 7), SICK}, RESTORE_STARTED},
        {DIGEST, {LOOK(STARTED, "A", 7), NONE, LOOK(STARTED, "A", 7), SICK}, RESTORE_STARTED}, /* it was tidied up */
        {DIGEST, {LOOK(STARTED, "A", 7), SICK, LOOK(STARTED, "A", 7), SICK}, RESTORE_NONE},
        {DIGEST, {NONE, NONE, NONE, LOOK(STARTED, "A", 7)}, RESTORE_NONE}, /* no member */
    };
    static const bool members[HOSTS] = {true, true, true, false};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const struct member_look *found;
        enum restore_progress progress = restore_found(rows[i].looks, members, HOSTS, rows[i].digest, &found);
        if (progress != rows[i].found || (found == NULL) != (progress == RESTORE_NONE))
            fail_msg("row %zu: %d", i, progress);
        if (found)
            assert_string_equal(found->id, "A");
    }
}

/* ---- what members have afterwards ---- */

static void members_are_compared(void **state)
{
    (void)state;
    static const struct {
        const char *texts[HOSTS];
        const char *text; /* NULL: all is well */
    } rows[] = {
        {{"member 17 4 99", "member 18 4 99\n", "member 17 4 99", "junk"}, NULL},
        {{"member 17 - -", "member 18 4 99", "member 17 4 99", ""}, NULL},
        {{"member 16 4 99", "member 17 4 99", "member 17 4 99", ""}, "etcd: etcd is at revision 16"},
        {{"member 17 4 99", "member 17 5 99", "member 17 4 99", ""}, "two: etcd has other data"},
        {{"member 17 4 99", "member 17 4 99", "member 17 4 98", ""}, "three: etcd has other data"},
        {{"member 17 4 99", "member 17 4", "member 17 4 99", ""}, "two: asked what etcd has"},
        {{"member 17 4 99", "member x 4 99", "member 17 4 99", ""}, "two: asked what etcd has"},
        {{"member 17 4 99", "", "member 17 4 99", ""}, "two: asked what etcd has"},
    };
    static const struct node_entry nodes[HOSTS] = {
        {.name = "etcd"}, {.name = "two"}, {.name = "three"}, {.name = "worker"}};
    static const bool chosen[HOSTS] = {true, true, true, false};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct member_data members[HOSTS] = {0};
        struct bytes outputs[HOSTS] = {0};
        struct fault f = {0};
        for (size_t j = 0; j < HOSTS; j++)
            bytes_append_text(&outputs[j], rows[i].texts[j]);
        enum err err = members_compare(nodes, outputs, chosen, HOSTS, 17, members, &f);
        if (rows[i].text ? err == OK || !strstr(f.text, rows[i].text) : err != OK)
            fail_msg("row %zu: %s", i, f.text);
        if (err == OK)
            assert_string_equal(members[1].hash, "99");
        for (size_t j = 0; j < HOSTS; j++)
            bytes_free(&outputs[j]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_told_apart), cmocka_unit_test(files_are_read),
        cmocka_unit_test(looks_are_read),       cmocka_unit_test(statuses_are_read),
        cmocka_unit_test(restores_are_found),   cmocka_unit_test(members_are_compared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
