#include <string.h>

#include "ca/base/encode.h"
#include "ca/base/pack.h"
#include "ca/clock.h"

enum { CLOCK_VERSION = 1 };

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* What may be believed of this sample. */
static void bounds_set(const struct clock_state *state, int64_t expected, int64_t max_offline_seconds,
                       struct moment *moment)
{
    moment->earliest = later(state->mark, expected) - CLOCK_TOLERANCE_SECONDS;
    if (!state->mark)
        moment->latest = INT64_MAX;
    else
        moment->latest = expected ? expected + CLOCK_TOLERANCE_SECONDS : state->mark + max_offline_seconds;
}

static enum clock_verdict verdict_of(const struct moment *moment)
{
    if (moment->wall < moment->earliest)
        return CLOCK_BEHIND;
    return moment->wall > moment->latest ? CLOCK_AHEAD : CLOCK_TRUSTED;
}

void clock_judge(struct clock_state *state, const struct clock_sample *sample, int64_t max_offline_seconds,
                 struct moment *ret_moment)
{
    int64_t expected = state->started_at ? state->started_at + sample->uptime_seconds : 0;
    struct moment moment = {.wall = sample->wall_seconds};
    bounds_set(state, expected, max_offline_seconds, &moment);
    moment.verdict = verdict_of(&moment);
    if (moment.verdict == CLOCK_TRUSTED) {
        if (!state->started_at)
            state->started_at = moment.wall - sample->uptime_seconds;
        if (moment.wall >= state->mark)
            moment.nanoseconds = sample->wall_nanoseconds;
        state->mark = later(state->mark, moment.wall);
        moment.now = state->mark;
    } else {
        moment.now = later(state->mark, expected ? expected : moment.wall);
    }
    moment.seconds = state->mark;
    *ret_moment = moment;
}

struct clock_state clock_state_from(const struct clock_sample *sample, const uint8_t boot_id[BOOT_ID_SIZE])
{
    struct clock_state state = {.mark = sample->wall_seconds,
                                .started_at = sample->wall_seconds - sample->uptime_seconds};
    memcpy(state.boot_id, boot_id, BOOT_ID_SIZE);
    return state;
}

const char *clock_verdict_word(enum clock_verdict verdict)
{
    static const char *const words[] = {
        [CLOCK_TRUSTED] = "trusted", [CLOCK_BEHIND] = "behind", [CLOCK_AHEAD] = "ahead"};
    return words[verdict];
}

enum err moment_check(const struct moment *moment, struct fault *f)
{
    if (moment->verdict == CLOCK_TRUSTED)
        return OK;
    char wall[TIME_TEXT_SIZE], earliest[TIME_TEXT_SIZE], latest[TIME_TEXT_SIZE];
    time_text(moment->wall, wall);
    time_text(moment->earliest, earliest);
    time_text(moment->latest, latest);
    return fault_set(f, CODE_CLOCK_UNTRUSTED,
                     "the service's clock is %s: it says %s, and should be between %s and %s. Nothing is issued until "
                     "it is set right, or an admin says that it is right with `ensign clock acknowledge`",
                     clock_verdict_word(moment->verdict), wall, earliest, latest);
}

void clock_state_pack(const struct clock_state *state, struct bytes *out)
{
    pack_u8(out, CLOCK_VERSION);
    pack_i64(out, state->mark);
    pack_i64(out, state->started_at);
    pack_fixed(out, SPAN_OF(state->boot_id));
}

enum err clock_state_unpack(struct span row, struct clock_state *ret_state, struct fault *f)
{
    struct unpack in = unpack_begin(row);
    struct clock_state state = {0};
    if (unpack_u8(&in) != CLOCK_VERSION)
        return fault_set(f, CODE_DAMAGED, "the row of the clock was written by another version of this program");
    state.mark = unpack_i64(&in);
    state.started_at = unpack_i64(&in);
    unpack_fixed(&in, state.boot_id, sizeof state.boot_id);
    TRY(unpack_finish(&in, "the row of the clock", f));
    *ret_state = state;
    return OK;
}
