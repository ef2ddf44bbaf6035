#include "ca/clock.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "ca/meta.h"

struct clock {
    int64_t max_offline_seconds;
    pthread_mutex_t lock; /* over what follows */
    struct clock_state state;
};

struct clock_basis clock_basis(int64_t max_offline_seconds)
{
    struct clock_basis basis = {.max_offline_seconds = max_offline_seconds};
    clock_boot_id(basis.boot_id);
    return basis;
}

/* What was expected before a start of the machine is not expected after it. */
static void state_enter_boot(struct clock_state *state, const uint8_t boot_id[BOOT_ID_SIZE])
{
    static const uint8_t unknown[BOOT_ID_SIZE];
    if (memcmp(boot_id, state->boot_id, BOOT_ID_SIZE) == 0 && memcmp(boot_id, unknown, BOOT_ID_SIZE) != 0)
        return;
    state->started_at = 0;
    memcpy(state->boot_id, boot_id, BOOT_ID_SIZE);
}

enum err clock_open(struct store *store, const struct clock_basis *basis, struct clock **ret_clock, struct fault *f)
{
    AUTO(bytes) row = {0};
    struct clock_state state = {0};
    TRY(meta_get(store, "clock", &row, f));
    if (row.size > 0)
        TRY(clock_state_unpack(bytes_span(&row), &state, f));
    state_enter_boot(&state, basis->boot_id);
    struct clock *clock = calloc(1, sizeof *clock);
    if (!clock)
        return fault_no_memory(f);
    clock->max_offline_seconds = basis->max_offline_seconds;
    clock->state = state;
    pthread_mutex_init(&clock->lock, NULL);
    *ret_clock = clock;
    return OK;
}

void clock_close(struct clock *clock)
{
    if (!clock)
        return;
    pthread_mutex_destroy(&clock->lock);
    free(clock);
}

int64_t clock_max_offline(const struct clock *clock)
{
    return clock->max_offline_seconds;
}

struct moment clock_read(struct clock *clock)
{
    struct clock_sample sample;
    struct moment moment;
    pthread_mutex_lock(&clock->lock);
    clock_sample(&sample); /* under the lock, so that no thread is judged by a mark from after its sample */
    clock_judge(&clock->state, &sample, clock->max_offline_seconds, &moment);
    pthread_mutex_unlock(&clock->lock);
    return moment;
}

enum err clock_require(struct clock *clock, struct moment *ret_moment, struct fault *f)
{
    struct moment moment = clock_read(clock);
    TRY(moment_check(&moment, f));
    *ret_moment = moment;
    return OK;
}

struct clock_state clock_remembered(struct clock *clock)
{
    pthread_mutex_lock(&clock->lock);
    struct clock_state state = clock->state;
    pthread_mutex_unlock(&clock->lock);
    return state;
}

void clock_adopt(struct clock *clock, const struct clock_state *state)
{
    pthread_mutex_lock(&clock->lock);
    clock->state = *state;
    pthread_mutex_unlock(&clock->lock);
}
