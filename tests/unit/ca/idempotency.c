/* Answers that are kept: found again, bound to caller and request, one for a race, and removed after a day. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/ca/fixture.h"

static const struct caller alice = {.kind = REQUESTER_OPERATOR, .name = "alice"};
static const struct caller bob = {.kind = REQUESTER_OPERATOR, .name = "bob"};
static const struct caller other_alice = {.kind = REQUESTER_ADMIN, .name = "alice"};

static enum err answer_text(void *context, const void *made, struct answer_record *ret_answer, struct fault *f)
{
    const struct issue_result *result = made;
    assert_true(result->record.certificate.size > 0); /* it is signed by now */
    assert_true(result->record.log_sequence > 0);
    ret_answer->status = 201;
    strcpy(ret_answer->location, "/here");
    return bytes_copy(span_text(context), &ret_answer->body, f);
}

/* With the lock let go, so that a test can begin the same key twice. */
static void begin(struct ca *ca, const struct caller *caller, const char *key, const char *body, const char *answer,
                  struct idempotency *ret_idempotency)
{
    struct fault f = {0};
    *ret_idempotency = (struct idempotency){.answer = answer_text, .context = (void *)(uintptr_t)answer};
    assert_int_equal(idempotency_begin(ca, caller, key, "POST", "/v1/x", span_text(body), ret_idempotency, &f), OK);
    idempotency_cleanup(ret_idempotency);
}

static enum err find(struct ca *ca, const struct idempotency *idempotency, char *ret_body, size_t size)
{
    struct fault f = {0};
    AUTO(answer_record) record = {0};
    enum err err = idempotency_find(ca, idempotency, &record, &f);
    snprintf(ret_body, size, "%s", bytes_text(&record.body));
    if (err == OK)
        assert_string_equal(record.location, "/here");
    if (err == ERR_CONFLICT)
        assert_int_equal(f.code, CODE_IDEMPOTENCY_MISMATCH);
    return err;
}

static enum err issue_with(struct fixture *fixture, struct idempotency *idempotency)
{
    struct fault f = {0};
    AUTO(bytes) csr = fixture_csr();
    AUTO(issue_result) result = {0};
    struct issue_request request = fixture_request("etcd-member", "etcdone", bytes_span(&csr));
    request.idempotency = idempotency;
    return issue(fixture->ca, &request, &result, &f);
}

static void answer_belongs_to_caller_and_request(void **state)
{
    struct fixture *fixture = *state;
    const struct {
        const struct caller *caller;
        const char *key, *body;
        enum err err;
    } cases[] = {
        {&alice, "key", "body", OK},
        {&alice, "key", "body2", ERR_CONFLICT},
        {&alice, "Key", "body", ERR_ABSENT},
        {&bob, "key", "body", ERR_ABSENT},
        {&other_alice, "key", "body", ERR_ABSENT},
    };
    struct idempotency idempotency;
    char body[64];
    begin(fixture->ca, &alice, "key", "body", "the answer", &idempotency);
    assert_int_equal(find(fixture->ca, &idempotency, body, sizeof body), ERR_ABSENT);
    assert_int_equal(issue_with(fixture, &idempotency), OK);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        begin(fixture->ca, cases[i].caller, cases[i].key, cases[i].body, "", &idempotency);
        assert_int_equal(find(fixture->ca, &idempotency, body, sizeof body), cases[i].err);
        assert_string_equal(body, cases[i].err == OK ? "the answer" : "");
    }
}

static void keys_are_printable_and_not_too_long(void **state)
{
    struct fixture *fixture = *state;
    char text[IDEMPOTENCY_KEY_MAX + 2];
    memset(text, 'k', sizeof text);
    text[sizeof text - 1] = '\0'; /* one too many */
    const char *const wrong[] = {"", text, "a\tb", "a\nb", "\xc3\xa4", "\x7f"};
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        struct fault f = {0};
        AUTO(idempotency) idempotency = {.answer = answer_text};
        assert_int_equal(idempotency_begin(fixture->ca, &alice, wrong[i], "POST", "/", span_text(""), &idempotency, &f),
                         ERR_INPUT);
    }
    struct idempotency idempotency;
    begin(fixture->ca, &alice, text + 1, "", "", &idempotency);
    begin(fixture->ca, &alice, "\"8e03978e-40d5 43dd\"", "", "", &idempotency);
}

/* ---- the commit itself refuses a second one, also within one batch ---- */

enum { RACERS = 8 };

struct racer {
    struct fixture *fixture;
    struct idempotency idempotency;
    enum err err;
};

static void *race(void *context)
{
    struct racer *racer = context;
    racer->err = issue_with(racer->fixture, &racer->idempotency);
    return NULL;
}

static void a_key_is_committed_once(void **state)
{
    struct racer racers[RACERS];
    pthread_t threads[RACERS];
    size_t issued = 0;
    for (size_t i = 0; i < RACERS; i++) {
        racers[i] = (struct racer){.fixture = *state};
        begin(racers[i].fixture->ca, &alice, "race", "body", "raced", &racers[i].idempotency);
    }
    for (size_t i = 0; i < RACERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
    for (size_t i = 0; i < RACERS; i++) {
        pthread_join(threads[i], NULL);
        assert_true(racers[i].err == OK || racers[i].err == ERR_CONFLICT);
        issued += racers[i].err == OK;
    }
    assert_int_equal(issued, 1);
}

/* ---- removal ---- */

enum { OLD_ROWS = 300 }; /* more than a batch */

static uint32_t today(const struct ca *ca)
{
    return (uint32_t)(ca_now(ca) / 86400);
}

static void row_put(struct ca *ca, uint32_t day, uint16_t number)
{
    struct fault f = {0};
    AUTO(answer_record) record = {.created_at = (int64_t)day * 86400, .status = 201};
    AUTO(bytes) key = {0};
    AUTO(bytes) row = {0};
    uint8_t id[SHA256_SIZE] = {(uint8_t)(number >> 8), (uint8_t)number};
    key_answer(day, id, &key);
    answer_record_pack(&record, &row);
    struct write write = {.key = bytes_span(&key), .value = bytes_span(&row)};
    assert_int_equal(store_commit(ca->store, NULL, 0, &write, 1, &f), OK);
}

static bool count_row(void *context, struct span key, struct span value)
{
    (void)key, (void)value;
    ++*(size_t *)context;
    return true;
}

static size_t rows_count(struct ca *ca)
{
    struct fault f = {0};
    AUTO(bytes) from = {0};
    AUTO(bytes) to = {0};
    size_t count = 0;
    key_prefix('i', &from);
    key_prefix_end('i', &to);
    assert_int_equal(store_scan(ca->store, bytes_span(&from), bytes_span(&to), false, count_row, &count, &f), OK);
    return count;
}

static void old_answers_are_removed_and_no_others(void **state)
{
    struct fixture *fixture = *state;
    struct fault f = {0};
    size_t before = rows_count(fixture->ca), removed = 1;
    assert_int_equal(idempotency_expire(fixture->ca, &removed, &f), OK);
    assert_int_equal(removed, 0);
    for (uint16_t i = 0; i < OLD_ROWS; i++)
        row_put(fixture->ca, today(fixture->ca) - 2 - i % 3, i);
    row_put(fixture->ca, today(fixture->ca) - 1, 1);
    assert_int_equal(rows_count(fixture->ca), before + OLD_ROWS + 1);
    assert_int_equal(idempotency_expire(fixture->ca, &removed, &f), OK);
    assert_int_equal(removed, OLD_ROWS);
    assert_int_equal(rows_count(fixture->ca), before + 1);
}

static void damaged_rows_are_noticed(void **state)
{
    (void)state;
    struct fault f = {0};
    AUTO(answer_record) record = {.status = 201, .location = "/x"};
    AUTO(answer_record) found = {0};
    AUTO(bytes) row = {0};
    bytes_append_text(&record.body, "body");
    answer_record_pack(&record, &row);
    for (size_t size = 0; size < row.size; size++)
        assert_int_equal(answer_record_unpack(span(row.data, size), &found, &f), ERR_IO);
    assert_int_equal(answer_record_unpack(bytes_span(&row), &found, &f), OK);
    assert_string_equal(bytes_text(&found.body), "body");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answer_belongs_to_caller_and_request),
        cmocka_unit_test(keys_are_printable_and_not_too_long),
        cmocka_unit_test(a_key_is_committed_once),
        cmocka_unit_test(old_answers_are_removed_and_no_others),
        cmocka_unit_test(damaged_rows_are_noticed),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
