/* One step on many hosts: how many at a time, which are left out, what failed, and the logs. */
#include "client/bootstrap/runner.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/bootstrap/host_log.h"

enum { HOSTS = 40, PARALLEL = 4 };

struct fleet {
    struct node_entry nodes[HOSTS];
    struct target targets[HOSTS];
    struct ssh ssh;
    struct runner runner;
    char folder[32];
    atomic_int running, most, runs;
};

static int fleet_make(void **state)
{
    struct fleet *fleet = calloc(1, sizeof *fleet);
    snprintf(fleet->folder, sizeof fleet->folder, "/tmp/ensign-unit-XXXXXX");
    assert_non_null(mkdtemp(fleet->folder));
    for (size_t i = 0; i < HOSTS; i++) {
        snprintf(fleet->nodes[i].name, sizeof fleet->nodes[i].name, "host%zu", i);
        fleet->targets[i].node = &fleet->nodes[i];
    }
    fleet->ssh = (struct ssh){.targets = fleet->targets, .count = HOSTS};
    fleet->runner = (struct runner){&fleet->ssh, PARALLEL, open(fleet->folder, O_RDONLY | O_DIRECTORY)};
    *state = fleet;
    return 0;
}

static int fleet_drop(void **state)
{
    struct fleet *fleet = *state;
    for (size_t i = 0; i < HOSTS; i++) {
        char name[32];
        snprintf(name, sizeof name, "host%zu.log", i);
        unlinkat(fleet->runner.logs, name, 0);
    }
    close(fleet->runner.logs);
    rmdir(fleet->folder);
    free(fleet);
    return 0;
}

/* Every seventh host fails. */
static enum err step(void *context, size_t host, int log, struct fault *f)
{
    struct fleet *fleet = context;
    int now = atomic_fetch_add(&fleet->running, 1) + 1, most = atomic_load(&fleet->most);
    while (now > most && !atomic_compare_exchange_weak(&fleet->most, &most, now))
        continue;
    atomic_fetch_add(&fleet->runs, 1);
    usleep(2000); /* so that they meet */
    host_log_text(log, "host %zu was here", host);
    atomic_fetch_sub(&fleet->running, 1);
    return host % 7 == 6 ? fault_set(f, CODE_UNREACHABLE, "host %zu is away", host) : OK;
}

static void all_of_them(void **state)
{
    struct fleet *fleet = *state;
    struct outcome *outcomes = NULL;
    struct fault f = {0};
    assert_int_equal(run_on_hosts(&fleet->runner, "try", NULL, step, fleet, &outcomes, &f), OK);
    assert_int_equal(fleet->runs, HOSTS);
    assert_int_equal(fleet->most, PARALLEL);
    assert_int_equal(outcomes_collect(&fleet->ssh, outcomes, &f), HOSTS / 7);
    assert_int_equal(f.reasons_count, HOSTS / 7);
    assert_string_equal(f.reasons[1].pointer, "host13");
    assert_string_equal(f.reasons[1].text, "host 13 is away");
    for (size_t i = 0; i < HOSTS; i++)
        assert_int_equal(outcomes[i].err, i % 7 == 6 ? ERR_IO : OK);
    free(outcomes);
    struct stat status;
    assert_int_equal(fstatat(fleet->runner.logs, "host13.log", &status, 0), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    char text[512] = "";
    int log = openat(fleet->runner.logs, "host13.log", O_RDONLY);
    assert_true(read(log, text, sizeof text - 1) > 0);
    close(log);
    assert_non_null(strstr(text, "host 13 was here\n"));
    assert_non_null(strstr(text, "failed: host 13 is away\n"));
}

static void some_of_them(void **state)
{
    struct fleet *fleet = *state;
    struct outcome *outcomes = NULL;
    struct fault f = {0};
    bool skip[HOSTS];
    for (size_t i = 0; i < HOSTS; i++)
        skip[i] = i != 3 && i != 6;
    assert_int_equal(run_on_hosts(&fleet->runner, "try", skip, step, fleet, &outcomes, &f), OK);
    assert_int_equal(fleet->runs, 2);
    assert_int_equal(outcomes_collect(&fleet->ssh, outcomes, &f), 1);
    free(outcomes);
}

/* A log that a link would lead elsewhere is not written. */
static void log_is_a_link(void **state)
{
    struct fleet *fleet = *state;
    struct outcome *outcomes = NULL;
    struct fault f = {0};
    assert_int_equal(symlinkat("/dev/null", fleet->runner.logs, "host0.log"), 0);
    assert_int_equal(run_on_hosts(&fleet->runner, "try", NULL, step, fleet, &outcomes, &f), OK);
    assert_int_equal(outcomes[0].err, ERR_IO);
    assert_int_equal(outcomes[1].err, OK);
    free(outcomes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(all_of_them, fleet_make, fleet_drop),
        cmocka_unit_test_setup_teardown(some_of_them, fleet_make, fleet_drop),
        cmocka_unit_test_setup_teardown(log_is_a_link, fleet_make, fleet_drop),
    };
    return cmocka_run_group_tests_name("runner", tests, NULL, NULL);
}
