/* What should be, against what was issued. */
#include <stdio.h>
#include <string.h>

#include "ca/base/span.h"
#include "client/coverage.h"
#include "tests/unit/client/fixture.h"

enum { NOW = 1000000, DAY = 86400, THRESHOLD = 30 * DAY, ROWS = 6 };

static const char *const authorities[] = {"new", "service"};

struct row {
    const char *what;
    struct coverage_place places[ROWS];             /* up to one without a profile */
    struct coverage_certificate certificates[ROWS]; /* up to one without a serial */
    const char *expected;                           /* "holder/profile state serial" of each row, with "; " between */
};

#define TRANSIENT(holder, profile)                                                                                     \
    {                                                                                                                  \
        holder, profile, "kubernetes", "kubeconfig", "/a", false, true, NULL                                           \
    }
#define PLACE(holder, profile)                                                                                         \
    {                                                                                                                  \
        holder, profile, "kubernetes", "certificate", "/a", false, false, NULL                                         \
    }
#define SHARED(holder, profile)                                                                                        \
    {                                                                                                                  \
        holder, profile, "kubernetes", "certificate", "/a", true, false, NULL                                          \
    }
/* lasts: seconds from now */
#define ISSUED(holder, profile, serial, signed_by, sequence, lasts)                                                    \
    {                                                                                                                  \
        holder, profile, "kubernetes", serial, signed_by, sequence, NOW + (lasts), false, NULL, false, 0               \
    }
#define REVOKED(holder, profile, serial, sequence, lasts)                                                              \
    {                                                                                                                  \
        holder, profile, "kubernetes", serial, "new", sequence, NOW + (lasts), true, NULL, false, 0                    \
    }

/* Of a user, whose life is short by intent. */
#define BRIEF(holder, profile, serial, lasts, warning)                                                                 \
    {                                                                                                                  \
        holder, profile, "kubernetes", serial, "new", 1, NOW + (lasts), false, NULL, true, warning                     \
    }

static const struct row rows[] = {
    {"nothing is expected, nothing issued", {{0}}, {{0}}, ""},
    {"nothing was issued", {PLACE("a", "x"), PLACE("b", "x")}, {{0}}, "a/x missing -; b/x missing -"},
    {"what may go: missing, expired, valid",
     {TRANSIENT("a", "x"), TRANSIENT("b", "x"), TRANSIENT("c", "x")},
     {ISSUED("b", "x", "1", "new", 1, -1), ISSUED("c", "x", "2", "new", 2, 90 * DAY)},
     "c/x ok 2"},
    {"one that lasts", {PLACE("a", "x")}, {ISSUED("a", "x", "1", "new", 1, 90 * DAY)}, "a/x ok 1"},
    {"of the service's CA", {PLACE("a", "x")}, {ISSUED("a", "x", "1", "service", 1, 90 * DAY)}, "a/x ok 1"},
    {"as long as the threshold", {PLACE("a", "x")}, {ISSUED("a", "x", "1", "new", 1, THRESHOLD)}, "a/x ok 1"},
    {"a second less", {PLACE("a", "x")}, {ISSUED("a", "x", "1", "new", 1, THRESHOLD - 1)}, "a/x expiring 1"},
    {"short by intent, before its last third",
     {PLACE("a", "x")},
     {BRIEF("a", "x", "1", 10 * DAY, 10 * DAY)},
     "a/x ok 1"},
    {"short by intent, in its last third",
     {PLACE("a", "x")},
     {BRIEF("a", "x", "1", 10 * DAY - 1, 10 * DAY)},
     "a/x expiring 1"},
    {"a third that is longer than the threshold",
     {PLACE("a", "x")},
     {BRIEF("a", "x", "1", THRESHOLD, 100 * DAY)},
     "a/x ok 1"},
    {"its last second", {PLACE("a", "x")}, {ISSUED("a", "x", "1", "new", 1, 0)}, "a/x expiring 1"},
    {"over", {PLACE("a", "x")}, {ISSUED("a", "x", "1", "new", 1, -1)}, "a/x expired 1"},
    {"the one issued last, though another lasts longer",
     {PLACE("a", "x")},
     {ISSUED("a", "x", "2", "new", 2, 60 * DAY), ISSUED("a", "x", "1", "new", 1, 90 * DAY)},
     "a/x ok 2"},
    {"a valid one before a later one that is over",
     {PLACE("a", "x")},
     {ISSUED("a", "x", "1", "new", 1, 90 * DAY), ISSUED("a", "x", "2", "new", 2, -DAY)},
     "a/x ok 1"},
    {"the last of several that are over",
     {PLACE("a", "x")},
     {ISSUED("a", "x", "1", "new", 1, -DAY), ISSUED("a", "x", "2", "new", 2, -2 * DAY)},
     "a/x expired 2"},
    {"only of a CA that is gone", {PLACE("a", "x")}, {ISSUED("a", "x", "1", "old", 1, 90 * DAY)}, "a/x retired 1"},
    {"of a CA that is not known", {PLACE("a", "x")}, {ISSUED("a", "x", "1", NULL, 1, 90 * DAY)}, "a/x retired 1"},
    {"of a CA that is gone, and over", {PLACE("a", "x")}, {ISSUED("a", "x", "1", "old", 1, -1)}, "a/x expired 1"},
    {"the new CA's before a later one of the old CA",
     {PLACE("a", "x")},
     {ISSUED("a", "x", "1", "new", 1, DAY), ISSUED("a", "x", "2", "old", 2, 90 * DAY)},
     "a/x expiring 1"},
    {"the old CA's before one that is over",
     {PLACE("a", "x")},
     {ISSUED("a", "x", "1", "old", 1, DAY), ISSUED("a", "x", "2", "new", 2, -1)},
     "a/x retired 1"},
    {"revoked is as never issued", {PLACE("a", "x")}, {REVOKED("a", "x", "1", 1, 90 * DAY)}, "a/x missing -"},
    {"one before the revoked",
     {PLACE("a", "x")},
     {ISSUED("a", "x", "1", "new", 1, 90 * DAY), REVOKED("a", "x", "2", 2, 90 * DAY)},
     "a/x ok 1"},
    {"another node's, another profile's",
     {PLACE("b", "x")},
     {ISSUED("a", "x", "1", "new", 1, 90 * DAY), ISSUED("b", "y", "2", "new", 2, 90 * DAY)},
     "b/x missing -; a/x extra 1; b/y extra 2"},
    {"names that begin alike",
     {PLACE("ab", "x"), PLACE("a", "xb")},
     {ISSUED("a", "x", "1", "new", 1, 90 * DAY), ISSUED("ab", "xb", "2", "new", 2, 90 * DAY)},
     "ab/x missing -; a/xb missing -; a/x extra 1; ab/xb extra 2"},
    {"extras of a retired CA too, but none that is over or revoked",
     {{0}},
     {ISSUED("c", "x", "1", "old", 1, DAY), ISSUED("a", "x", "2", "new", 2, -1), REVOKED("b", "x", "3", 3, DAY)},
     "c/x extra 1"},
    {"two extras of one kind",
     {{0}},
     {ISSUED("a", "x", "2", "new", 2, DAY), ISSUED("a", "x", "1", "new", 1, DAY)},
     "a/x extra 1; a/x extra 2"},
    {"shared: anybody's",
     {SHARED("a", "x"), PLACE("a", "y"), SHARED("b", "x")},
     {ISSUED("b", "x", "1", "new", 1, 90 * DAY), ISSUED("b", "y", "2", "new", 2, 90 * DAY)},
     "a/x ok 1; a/y missing -; b/x ok 1; b/y extra 2"},
    {"shared: of several the one issued last, none of them extra",
     {SHARED("b", "x")},
     {ISSUED("c", "x", "3", "new", 3, DAY), ISSUED("a", "x", "2", "new", 2, 90 * DAY),
      ISSUED("b", "x", "1", "new", 1, 90 * DAY)},
     "b/x expiring 3"},
    {"rows in order of places",
     {PLACE("b", "y"), PLACE("a", "y"), PLACE("b", "x")},
     {ISSUED("a", "y", "1", "new", 1, DAY), ISSUED("b", "x", "2", "new", 2, 90 * DAY),
      ISSUED("b", "y", "3", "old", 3, DAY)},
     "b/y retired 3; a/y expiring 1; b/x ok 2"},
};

static void rows_text(const struct coverage *coverage, struct bytes *out)
{
    for (size_t i = 0; i < coverage->count; i++) {
        const struct coverage_row *row = &coverage->rows[i];
        bytes_appendf(out, "%s%s/%s %s %s", i ? "; " : "", row->place ? row->place->holder : row->certificate->holder,
                      row->place ? row->place->profile : row->certificate->profile, coverage_state_words[row->state],
                      row->certificate ? row->certificate->serial : "-");
    }
}

static void row_check(const struct row *row)
{
    struct coverage_question question = {.places = row->places,
                                         .certificates = row->certificates,
                                         .authorities = authorities,
                                         .authorities_count = ARRAY_SIZE(authorities),
                                         .now = NOW,
                                         .threshold_seconds = THRESHOLD};
    while (question.places_count < ROWS && row->places[question.places_count].profile)
        question.places_count++;
    while (question.certificates_count < ROWS && row->certificates[question.certificates_count].serial)
        question.certificates_count++;
    struct fault f = {0};
    AUTO(coverage) coverage = {0};
    AUTO(bytes) text = {0};
    assert_int_equal(coverage_match(&question, &coverage, &f), OK);
    rows_text(&coverage, &text);
    if (strcmp(bytes_text(&text), row->expected) != 0)
        fail_msg("%s:\n  expected %s\n  is       %s", row->what, row->expected, bytes_text(&text));
}

static void test_matching(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        row_check(&rows[i]);
}

/* Thousands of nodes, in the worst order: each finds its own. */
static void test_many(void **state)
{
    (void)state;
    enum { MANY = 20000 };
    static char names[MANY][8];
    static struct coverage_place places[MANY];
    static struct coverage_certificate certificates[MANY];
    for (int i = 0; i < MANY; i++) {
        snprintf(names[i], sizeof names[i], "n%d", i);
        places[i] = (struct coverage_place)PLACE(names[i], "x");
        certificates[MANY - 1 - i] = (struct coverage_certificate)ISSUED(names[i], "x", names[i], "new", i, 90 * DAY);
    }
    const struct coverage_question question = {
        places, MANY, certificates, MANY, authorities, ARRAY_SIZE(authorities), NOW, THRESHOLD};
    struct fault f = {0};
    AUTO(coverage) coverage = {0};
    assert_int_equal(coverage_match(&question, &coverage, &f), OK);
    assert_int_equal(coverage.count, MANY);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(coverage.rows[i].state, COVERAGE_OK);
        assert_ptr_equal(coverage.rows[i].certificate->serial, names[i]);
    }
}

static void test_residual(void **state)
{
    (void)state;
    static const struct {
        int64_t seconds;
        const char *text;
    } table[] = {{-1, "expired"},
                 {0, "0s"},
                 {59, "59s"},
                 {60, "1m"},
                 {3599, "59m"},
                 {3600, "1h"},
                 {DAY - 1, "23h"},
                 {DAY, "1d"},
                 {365 * DAY - 1, "364d"},
                 {365 * DAY, "1y"},
                 {3650 * DAY - 1, "9y"},
                 {INT64_MIN, "expired"}};
    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        char text[RESIDUAL_TEXT_SIZE];
        residual_text(table[i].seconds, text);
        assert_string_equal(text, table[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matching),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_residual),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
