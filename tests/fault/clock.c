/* clock.c: linked into a build of ensignd for tests with --wrap: what the machine says of the time is changed by what
 * the file of $ENSIGN_TEST_CLOCK says, which the test rewrites while ensignd runs. tests/lib/clock.py writes it. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ca/clock.h"

struct change {
    _Atomic int64_t wall_seconds, uptime_seconds; /* are added */
    _Atomic int64_t boot;                         /* another number: another start of the machine */
    _Atomic int64_t believed;                     /* 1: the control, which believes any time */
};
static const struct change *change;

/* Opened before main(): the processes of ensignd give up opening files. */
__attribute__((constructor)) static void change_open(void)
{
    static const struct change none;
    const char *path = getenv("ENSIGN_TEST_CLOCK");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *map = fd >= 0 ? mmap(NULL, sizeof *change, PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;
    change = map == MAP_FAILED ? &none : map;
    if (fd >= 0)
        close(fd);
}

void __real_clock_sample(struct clock_sample *ret_sample);
void __wrap_clock_sample(struct clock_sample *ret_sample);
void __real_clock_boot_id(uint8_t ret_id[BOOT_ID_SIZE]);
void __wrap_clock_boot_id(uint8_t ret_id[BOOT_ID_SIZE]);
void __real_clock_judge(struct clock_state *state, const struct clock_sample *sample, int64_t max_offline_seconds,
                        struct moment *ret_moment);
void __wrap_clock_judge(struct clock_state *state, const struct clock_sample *sample, int64_t max_offline_seconds,
                        struct moment *ret_moment);

void __wrap_clock_sample(struct clock_sample *ret_sample)
{
    __real_clock_sample(ret_sample);
    ret_sample->wall_seconds += change->wall_seconds;
    ret_sample->uptime_seconds += change->uptime_seconds;
}

void __wrap_clock_boot_id(uint8_t ret_id[BOOT_ID_SIZE])
{
    __real_clock_boot_id(ret_id);
    ret_id[0] ^= (uint8_t)change->boot;
}

void __wrap_clock_judge(struct clock_state *state, const struct clock_sample *sample, int64_t max_offline_seconds,
                        struct moment *ret_moment)
{
    __real_clock_judge(state, sample, max_offline_seconds, ret_moment);
    if (!change->believed)
        return;
    *state = clock_state_from(sample, state->boot_id);
    __real_clock_judge(state, sample, max_offline_seconds, ret_moment);
}
