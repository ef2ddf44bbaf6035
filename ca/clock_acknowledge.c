#include "ca/base/encode.h"
#include "ca/ca.h"

static enum err seen_check(int64_t seen, int64_t wall, struct fault *f)
{
    char text[TIME_TEXT_SIZE];
    time_text(wall, text);
    if (seen < wall - CLOCK_TOLERANCE_SECONDS || seen > wall + CLOCK_TOLERANCE_SECONDS)
        fault_reason(f, "/time", "the service's clock says %s, which is not within 5 minutes of it", text);
    return fault_if_reasons(f, CODE_INVALID, "the service's clock is wrong: set it right first");
}

enum err clock_acknowledge(struct ca *ca, const struct caller *caller, int64_t seen, struct fault *f)
{
    struct clock_sample sample;
    struct clock_state before = clock_remembered(ca->clock);
    clock_sample(&sample);
    TRY(seen_check(seen, sample.wall_seconds, f));
    if (clock_read(ca->clock).verdict == CLOCK_TRUSTED)
        return OK;
    char actor[DNS_NAME_MAX + 32];
    caller_text(caller, actor, sizeof actor);
    AUTO(change) change = {.clock = clock_state_from(&sample, before.boot_id)};
    event_begin(&change.event, "clock.acknowledged", actor);
    member_time(&change.event, "clock", sample.wall_seconds);
    member_time(&change.event, "mark", before.mark); /* what was the latest trusted time until now */
    return ledger_commit(ca->ledger, &change, f);
}
