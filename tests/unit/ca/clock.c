/* The rule of the clock: what is remembered and what the machine says, and what follows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "ca/base/span.h"
#include "ca/clock.h"

enum { MINUTE = 60, HOUR = 3600, DAY = 86400, YEAR = 365 * DAY, OFFLINE = 30 * DAY };
static const int64_t noon = 1800000000; /* the mark; the machine had started an hour before */

static const struct {
    const char *what;
    bool expected;          /* this machine's start is known */
    int64_t passed, change; /* time that passed since the mark, and what was done to the clock meanwhile */
    enum clock_verdict verdict;
    int64_t seconds, now; /* after the mark */
} rows[] = {
    {"nothing", true, 0, 0, CLOCK_TRUSTED, 0, 0},
    {"time passes", true, 3 * DAY, 0, CLOCK_TRUSTED, 3 * DAY, 3 * DAY},
    {"years pass", true, 10LL * YEAR, 0, CLOCK_TRUSTED, 10LL * YEAR, 10LL * YEAR},
    {"back 5 min: time stands still", true, 0, -5 * MINUTE, CLOCK_TRUSTED, 0, 0},
    {"back a second more", true, 0, -5 * MINUTE - 1, CLOCK_BEHIND, 0, 0},
    {"back a little, after the mark", true, HOUR, -4 * MINUTE, CLOCK_TRUSTED, HOUR - 4 * MINUTE, HOUR - 4 * MINUTE},
    {"back 6 min, after the mark", true, HOUR, -6 * MINUTE, CLOCK_BEHIND, 0, HOUR},
    {"back a day", true, HOUR, -DAY, CLOCK_BEHIND, 0, HOUR},
    {"to 1970", true, HOUR, -noon - HOUR, CLOCK_BEHIND, 0, HOUR},
    {"before 1970", true, HOUR, -noon - YEAR, CLOCK_BEHIND, 0, HOUR},
    {"forward 5 min", true, HOUR, 5 * MINUTE, CLOCK_TRUSTED, HOUR + 5 * MINUTE, HOUR + 5 * MINUTE},
    {"forward a second more", true, HOUR, 5 * MINUTE + 1, CLOCK_AHEAD, 0, HOUR},
    {"forward 10 years", true, HOUR, 10LL * YEAR, CLOCK_AHEAD, 0, HOUR},
    {"to the end of the kernel's time", true, HOUR, INT64_MAX / 1000000000 - noon - HOUR, CLOCK_AHEAD, 0, HOUR},
    {"started, at once", false, 0, 0, CLOCK_TRUSTED, 0, 0},
    {"started, 5 min behind", false, 0, -5 * MINUTE, CLOCK_TRUSTED, 0, 0},
    {"started, a second more", false, 0, -5 * MINUTE - 1, CLOCK_BEHIND, 0, 0},
    {"started in 1970", false, 0, -noon, CLOCK_BEHIND, 0, 0},
    {"started after 30 days", false, OFFLINE, 0, CLOCK_TRUSTED, OFFLINE, OFFLINE},
    {"started a second later", false, OFFLINE + 1, 0, CLOCK_AHEAD, 0, OFFLINE + 1},
    {"started 10 years ahead", false, 0, 10LL * YEAR, CLOCK_AHEAD, 0, 10LL * YEAR},
};

static struct clock_sample sample_at(int64_t passed, int64_t change)
{
    return (struct clock_sample){noon + passed + change, 7, HOUR + passed};
}

static void rule_holds(void **context)
{
    (void)context;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct clock_state state = {.mark = noon, .started_at = rows[i].expected ? noon - HOUR : 0};
        struct clock_sample sample = sample_at(rows[i].passed, rows[i].change);
        struct moment moment;
        clock_judge(&state, &sample, OFFLINE, &moment);
        bool trusted = rows[i].verdict == CLOCK_TRUSTED;
        if (moment.verdict != rows[i].verdict || moment.seconds != noon + rows[i].seconds ||
            moment.now != noon + rows[i].now)
            fail_msg("%s: %s, %lld, %lld", rows[i].what, clock_verdict_word(moment.verdict),
                     (long long)(moment.seconds - noon), (long long)(moment.now - noon));
        assert_int_equal(state.mark, moment.seconds);
        assert_int_equal(trusted, moment.wall >= moment.earliest && moment.wall <= moment.latest);
        assert_int_equal(state.started_at != 0, rows[i].expected || trusted);
        struct fault f = {0};
        assert_int_equal(moment_check(&moment, &f), trusted ? OK : ERR_IO);
        assert_int_equal(f.code, trusted ? CODE_NONE : CODE_CLOCK_UNTRUSTED);
    }
}

/* What a clock goes through, one after the other. */
static enum clock_verdict then(struct clock_state *state, int64_t passed, int64_t change, struct moment *moment)
{
    struct clock_sample sample = sample_at(passed, change);
    clock_judge(state, &sample, OFFLINE, moment);
    return moment->verdict;
}

static void jump_forward_poisons_nothing(void **context)
{
    (void)context;
    struct clock_state state = {.mark = noon, .started_at = noon - HOUR};
    struct moment moment;
    assert_int_equal(then(&state, 10, 10LL * YEAR, &moment), CLOCK_AHEAD);
    assert_int_equal(then(&state, DAY, 10LL * YEAR, &moment), CLOCK_AHEAD);
    assert_int_equal(then(&state, DAY + 1, 0, &moment), CLOCK_TRUSTED);
    assert_int_equal(moment.seconds, noon + DAY + 1);
}

/* Many small steps are together no more than one. */
static void creeping_is_found(void **context)
{
    (void)context;
    struct clock_state state = {.mark = noon, .started_at = noon - HOUR};
    struct moment moment;
    for (int step = 1; step <= 5; step++)
        assert_int_equal(then(&state, step, step * MINUTE, &moment), CLOCK_TRUSTED);
    assert_int_equal(then(&state, 6, 6 * MINUTE, &moment), CLOCK_AHEAD);
}

static void time_never_goes_back(void **context)
{
    (void)context;
    static const int64_t changes[] = {0, 200, -100, 10LL * YEAR, -DAY, 299, 0, -299, 5};
    struct clock_state state = {.mark = noon, .started_at = noon - HOUR};
    struct moment moment, last = {.seconds = noon};
    for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
        then(&state, (int64_t)i, changes[i], &moment);
        assert_true(moment.seconds >= last.seconds);
        last = moment;
    }
}

static void acknowledged_time_is_right(void **context)
{
    (void)context;
    static const uint8_t boot_id[BOOT_ID_SIZE] = {1};
    struct clock_state state = {.mark = noon + YEAR};
    struct moment moment;
    assert_int_equal(then(&state, 0, 0, &moment), CLOCK_BEHIND);
    struct clock_sample sample = sample_at(0, 0);
    state = clock_state_from(&sample, boot_id);
    assert_int_equal(then(&state, 1, 0, &moment), CLOCK_TRUSTED);
    assert_int_equal(moment.seconds, noon + 1);
    assert_int_equal(then(&state, 2, YEAR, &moment), CLOCK_AHEAD);
}

/* A store from before there was a mark. */
static void without_a_mark_any_time_is_believed(void **context)
{
    (void)context;
    struct clock_state state = {0};
    struct moment moment;
    assert_int_equal(then(&state, 0, 0, &moment), CLOCK_TRUSTED);
    assert_int_equal(then(&state, 0, 6 * MINUTE, &moment), CLOCK_AHEAD);
}

static void state_is_stored(void **context)
{
    (void)context;
    struct clock_state state = {noon, noon - HOUR, {1, 2, 3}}, read = {0};
    struct fault f = {0};
    AUTO(bytes) row = {0};
    clock_state_pack(&state, &row);
    assert_int_equal(clock_state_unpack(bytes_span(&row), &read, &f), OK);
    assert_memory_equal(&read, &state, sizeof state);
    assert_int_equal(clock_state_unpack(span(row.data, row.size - 1), &read, &f), ERR_IO);
    row.data[0]++;
    fault_clear(&f);
    assert_int_equal(clock_state_unpack(bytes_span(&row), &read, &f), ERR_IO);
    assert_int_equal(f.code, CODE_DAMAGED);
}

static void machine_is_asked(void **context)
{
    (void)context;
    static const uint8_t unknown[BOOT_ID_SIZE];
    struct clock_sample first, second;
    uint8_t id[BOOT_ID_SIZE], again[BOOT_ID_SIZE];
    clock_sample(&first);
    clock_sample(&second);
    assert_true(first.wall_seconds > 1700000000 && first.uptime_seconds > 0);
    assert_true(second.uptime_seconds >= first.uptime_seconds);
    clock_boot_id(id);
    clock_boot_id(again);
    assert_memory_equal(id, again, sizeof id);
    assert_memory_not_equal(id, unknown, sizeof id);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rule_holds),
        cmocka_unit_test(jump_forward_poisons_nothing),
        cmocka_unit_test(creeping_is_found),
        cmocka_unit_test(time_never_goes_back),
        cmocka_unit_test(acknowledged_time_is_right),
        cmocka_unit_test(without_a_mark_any_time_is_believed),
        cmocka_unit_test(state_is_stored),
        cmocka_unit_test(machine_is_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
