/* Rotations: what is known of a mark, by table; rows there and back; the last mark of a place counts. */
#include "ca/rotation.h"
#include "tests/unit/base/suite.h"

enum { OLD = 1, NEW = 2, OTHER = 3 };

static void serial_of(int number, uint8_t ret_serial[SERIAL_SIZE])
{
    memset(ret_serial, number, SERIAL_SIZE);
}

/* ---- progress ---- */

static void marks_are_judged(void **state)
{
    (void)state;
    static const struct {
        int current;
        bool installed, blocked;
        int reported; /* serial; 0: no report */
        enum deployed_state report;
        const char *certificate;
        enum mark_state expected;
        const char *detail;
    } rows[] = {
        {OLD, true, false, 0, 0, "valid", MARK_MARKED, ""},
        {OLD, true, false, OLD, DEPLOYED_SERVED, "valid", MARK_MARKED, ""},
        {OLD, true, false, OLD, DEPLOYED_FAILED, "valid", MARK_FAILED, "why"},
        {OLD, true, false, OTHER, DEPLOYED_FAILED, "valid", MARK_MARKED, ""},
        {OLD, true, false, 0, 0, "expired", MARK_FAILED, "expired: `ensign token create`"},
        {OLD, true, true, 0, 0, "revoked", MARK_FAILED, "revoked"},
        {NEW, false, false, 0, 0, "valid", MARK_RENEWED, ""},
        {NEW, false, false, OLD, DEPLOYED_SERVED, "valid", MARK_RENEWED, ""}, /* of before */
        {NEW, true, false, 0, 0, "valid", MARK_INSTALLED, ""},
        {NEW, true, false, NEW, DEPLOYED_INSTALLED, "expired", MARK_INSTALLED, "why"},
        {NEW, true, false, NEW, DEPLOYED_SERVED, "valid", MARK_SERVED, "why"},
        {NEW, true, false, NEW, DEPLOYED_WAITING_RESTART, "valid", MARK_WAITING_RESTART, "why"},
        {NEW, true, false, NEW, DEPLOYED_NOT_SERVED, "valid", MARK_WAITING_RESTART, "why"},
        {NEW, true, false, NEW, DEPLOYED_FAILED, "valid", MARK_FAILED, "why"},
        {NEW, true, true, NEW, DEPLOYED_SERVED, "valid", MARK_FAILED, "revoked"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct mark mark = {.node = "e1", .profile = "etcd-member"};
        struct lineage_record lineage = {.installed_at = rows[i].installed, .blocked_at = rows[i].blocked};
        struct deployed_certificate report = {.state = rows[i].report, .detail = "why"};
        struct mark_progress progress;
        serial_of(OLD, mark.serial);
        serial_of(rows[i].current, lineage.current);
        serial_of(rows[i].reported, report.serial);
        mark_judge(&mark, &lineage, rows[i].reported ? &report : NULL, rows[i].certificate, &progress);
        bool same =
            progress.detail[0] ? rows[i].detail[0] && strstr(progress.detail, rows[i].detail) : !rows[i].detail[0];
        if (progress.state != rows[i].expected || !same)
            fail_msg("row %zu: %s \"%s\"", i, mark_state_words[progress.state], progress.detail);
        assert_int_equal(progress.successor[0], rows[i].current == NEW && !rows[i].blocked ? NEW : 0);
    }
}

static void a_place_that_is_gone_has_failed(void **state)
{
    (void)state;
    struct mark mark = {.node = "e1", .profile = "etcd-member"};
    struct mark_progress progress;
    mark_judge(&mark, NULL, NULL, "", &progress);
    assert_int_equal(progress.state, MARK_FAILED);
    assert_non_null(strstr(progress.detail, "inventory"));
}

/* It is as far as the last of those that share it, and has failed when one has. */
static void marks_are_joined(void **state)
{
    (void)state;
    static const struct {
        enum mark_state states[3];
        const char *details[3];
        enum mark_state expected;
        const char *detail;
    } rows[] = {
        {{MARK_INSTALLED, MARK_INSTALLED, MARK_INSTALLED}, {"", "", ""}, MARK_INSTALLED, ""},
        {{MARK_SERVED, MARK_INSTALLED, MARK_SERVED}, {"", "", ""}, MARK_INSTALLED, ""},
        {{MARK_INSTALLED, MARK_RENEWED, MARK_RENEWED}, {"", "", ""}, MARK_RENEWED, "cp1: it has not reported it"},
        {{MARK_WAITING_RESTART, MARK_INSTALLED, MARK_SERVED}, {"why", "", ""}, MARK_WAITING_RESTART, "cp0: why"},
        {{MARK_INSTALLED, MARK_RENEWED, MARK_FAILED}, {"", "", "the disk"}, MARK_FAILED, "cp2: the disk"},
        {{MARK_FAILED, MARK_RENEWED, MARK_FAILED}, {"first", "", "second"}, MARK_FAILED, "cp0: first"},
        {{MARK_MARKED, MARK_MARKED, MARK_MARKED}, {"", "", ""}, MARK_MARKED, ""},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct mark_progress all = {.state = MARK_SERVED};
        for (size_t j = 0; j < 3; j++) {
            struct mark_progress one = {.state = rows[i].states[j]};
            char node[8];
            snprintf(node, sizeof node, "cp%zu", j);
            snprintf(one.detail, sizeof one.detail, "%s", rows[i].details[j]);
            mark_join(&all, j == 0, node, &one);
        }
        if (all.state != rows[i].expected || strcmp(all.detail, rows[i].detail) != 0)
            fail_msg("row %zu: %s \"%s\"", i, mark_state_words[all.state], all.detail);
    }
}

/* ---- rows ---- */

static bool mark_keep(void *context, const struct mark *mark)
{
    struct mark **next = context;
    *(*next)++ = *mark;
    return true;
}

static void rows_there_and_back(void **state)
{
    (void)state;
    struct fault f = {0};
    AUTO(bytes) row = {0};
    AUTO(bytes) part = {0};
    struct rotation rotation = {
        .cluster = "lab",
        .created_at = 1800000000,
        .created_by = "admin root",
        .reason = "a drill",
        .selector = {.node = "e1", .has_serial = true, .expiring_within_seconds = 7, .changed = true},
        .places = 2};
    struct rotation again;
    memset(rotation.id, 7, sizeof rotation.id);
    rotation_pack(&rotation, &row);
    assert_ok(rotation_unpack(bytes_span(&row), &again, &f), &f);
    assert_memory_equal(&rotation, &again, sizeof rotation);
    for (size_t size = 0; size < row.size; size++)
        assert_int_equal(rotation_unpack(span(row.data, size), &again, &f), ERR_IO);
    struct mark marks[2] = {{.node = "e1", .profile = "etcd-member"}, {.node = "", .profile = "p"}}, found[2] = {0};
    struct mark *next = found;
    mark_pack(&marks[0], &part);
    mark_pack(&marks[1], &part);
    assert_ok(marks_unpack(bytes_span(&part), mark_keep, &next, &f), &f);
    assert_memory_equal(marks, found, sizeof marks);
    next = found;
    assert_int_equal(marks_unpack(span(part.data, part.size - 1), mark_keep, &next, &f), ERR_IO);
}

static void keys_there_and_back(void **state)
{
    (void)state;
    uint8_t id[ROTATION_ID_SIZE] = {0, 1, 2, 0, 3}; /* with zeros in it, as an id may have */
    struct rotation_key parsed;
    for (int marks = 0; marks < 2; marks++) {
        AUTO(bytes) key = {0};
        if (marks)
            key_marks("lab", id, 0x0102, &key);
        else
            key_rotation("lab", id, &key);
        assert_true(rotation_key_parse(bytes_span(&key), &parsed));
        assert_string_equal(parsed.cluster, "lab");
        assert_memory_equal(parsed.id, id, sizeof id);
        assert_int_equal(parsed.marks, marks);
        for (size_t size = 0; size < 5 + ROTATION_ID_SIZE; size++)
            assert_false(rotation_key_parse(span(key.data, size), &parsed));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(marks_are_judged),
        cmocka_unit_test(marks_are_joined),
        cmocka_unit_test(a_place_that_is_gone_has_failed),
        cmocka_unit_test(rows_there_and_back),
        cmocka_unit_test(keys_there_and_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
