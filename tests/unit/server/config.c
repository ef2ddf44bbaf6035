#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/config.h"

static char folder[32];

static enum err config_from(const char *text, struct config *ret_config, struct fault *fault)
{
    char path[64];
    snprintf(path, sizeof path, "%s/ensignd.yaml", folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    enum err err = config_load(path, ret_config, fault);
    unlink(path);
    return err;
}

#define HEAD "apiVersion: ensign/v1\nkind: Config\n"
#define STATE "state: /s\n"
#define LISTEN "listen: 0.0.0.0:8443\n"
#define SEAL "seal: {keyFile: /k}\n"

static void test_defaults(void **state)
{
    (void)state;
    struct config config = {0};
    struct fault fault = {0};
    assert_int_equal(config_from(HEAD STATE LISTEN SEAL, &config, &fault), OK);
    assert_string_equal(config.state, "/s");
    assert_string_equal(config.listen_host, "0.0.0.0");
    assert_int_equal(config.listen_port, 8443);
    assert_string_equal(config.socket, "/s/run/ensignd.sock");
    assert_int_equal(config.seal.source, SEAL_KEY_FILE);
    assert_string_equal(config.seal.path, "/k");
    assert_int_equal(config.log_level, LOG_LEVEL_INFO);
    assert_int_equal(config.connections_max, 2000);
    assert_int_equal(config.connections_per_address_max, 200);
    assert_int_equal(config.agents_waiting_max, 256);
    assert_int_equal(config.renewals_per_hour, 30);
    assert_int_equal(config.max_offline_seconds, 30 * 86400);
    assert_int_equal(config.failures.burst, 1000);
    assert_int_equal(config.failures.per_minute, 600);
    assert_int_equal(config.refusals.burst, 1000);
    assert_int_equal(config.refusals.per_minute, 60);
    assert_int_equal(config.requests.burst, 0); /* no limit */
    assert_false(config.metrics_anonymous);
}

static void test_everything(void **state)
{
    (void)state;
    struct config config = {0};
    struct fault fault = {0};
    char wanted[64];
    assert_int_equal(
        config_from(HEAD "state: .\nlisten: \"[::1]:0\"\nseal: {passphraseFile: p}\nsocket: s.sock\n"
                         "log: {level: debug}\nmetrics: {anonymous: true}\nclock: {maxOffline: 365d}\n"
                         "limits: {connections: 10, connectionsPerAddress: 5, agentsWaiting: 7, renewalsPerHour: 0,\n"
                         "  failures: {burst: 3, perMinute: 4}, requests: {burst: 5, perMinute: 6}}\n",
                    &config, &fault),
        OK);
    assert_string_equal(config.state, folder);
    snprintf(wanted, sizeof wanted, "%s/p", folder);
    assert_string_equal(config.seal.path, wanted);
    snprintf(wanted, sizeof wanted, "%s/s.sock", folder);
    assert_string_equal(config.socket, wanted);
    assert_string_equal(config.listen_host, "::1");
    assert_int_equal(config.listen_port, 0);
    assert_int_equal(config.seal.source, SEAL_PASSPHRASE_FILE);
    assert_int_equal(config.log_level, LOG_LEVEL_DEBUG);
    assert_int_equal(config.connections_max, 10);
    assert_int_equal(config.connections_per_address_max, 5);
    assert_int_equal(config.agents_waiting_max, 7);
    assert_int_equal(config.renewals_per_hour, 0);
    assert_int_equal(config.max_offline_seconds, 365 * 86400);
    assert_int_equal(config.failures.burst, 3);
    assert_int_equal(config.failures.per_minute, 4);
    assert_int_equal(config.refusals.burst, 1000);
    assert_int_equal(config.requests.burst, 5);
    assert_int_equal(config.requests.per_minute, 6);
    assert_true(config.metrics_anonymous);
}

/* Each is refused with this in a reason. */
static const struct {
    const char *text, *place, *reason;
} refusals[] = {
    {HEAD LISTEN SEAL, "", "state"},
    {HEAD STATE SEAL, "", "listen"},
    {HEAD STATE LISTEN, "", "keyFile"},
    {STATE LISTEN SEAL, "", "apiVersion"},
    {"apiVersion: ensign/v2\nkind: Config\n" STATE LISTEN SEAL, "ensignd.yaml:1:13", "ensign/v1"},
    {"apiVersion: ensign/v1\nkind: Cluster\n" STATE LISTEN SEAL, "ensignd.yaml:2:7", "Config"},
    {HEAD STATE LISTEN SEAL "lissten: x\n", "ensignd.yaml:6:", "lissten"},
    {HEAD STATE LISTEN "seal: {keyFile: /k, credential: c}\n", "ensignd.yaml:5:", "exactly one"},
    {HEAD STATE LISTEN "seal: {}\n", "ensignd.yaml:5:", "exactly one"},
    {HEAD STATE LISTEN "seal: {keyfile: /k}\n", "ensignd.yaml:5:", "keyfile"},
    {HEAD STATE SEAL "listen: 8443\n", "ensignd.yaml:5:", ""},
    {HEAD STATE SEAL "listen: \"8443\"\n", "ensignd.yaml:5:", "ADDRESS:PORT"},
    {HEAD STATE SEAL "listen: localhost:8443\n", "ensignd.yaml:5:", "ADDRESS:PORT"},
    {HEAD STATE SEAL "listen: 0.0.0.0:65536\n", "ensignd.yaml:5:", "ADDRESS:PORT"},
    {HEAD STATE SEAL "listen: \"0.0.0.0:\"\n", "ensignd.yaml:5:", "ADDRESS:PORT"},
    {HEAD STATE SEAL "listen: 0.0.0.0:-1\n", "ensignd.yaml:5:", "ADDRESS:PORT"},
    {HEAD STATE SEAL "listen: \"::1:8443\"\n", "ensignd.yaml:5:", "ADDRESS:PORT"},
    {HEAD STATE SEAL "listen: \"[127.0.0.1]:8443\"\n", "ensignd.yaml:5:", "ADDRESS:PORT"},
    {HEAD STATE LISTEN SEAL "log: {level: loud}\n", "ensignd.yaml:6:", "warning"},
    {HEAD STATE LISTEN SEAL "log: debug\n", "ensignd.yaml:6:", ""},
    {HEAD STATE LISTEN SEAL "limits: {connections: 0}\n", "ensignd.yaml:6:", ""},
    {HEAD STATE LISTEN SEAL "limits: {connections: many}\n", "ensignd.yaml:6:", ""},
    {HEAD STATE LISTEN SEAL "limits: {renewalsPerHour: 1001}\n", "ensignd.yaml:6:", "1000"},
    {HEAD STATE LISTEN SEAL "limits: {failures: 3}\n", "ensignd.yaml:6:", ""},
    {HEAD STATE LISTEN SEAL "limits: {refusals: {burst: 3}}\n", "ensignd.yaml:6:", "perMinute"},
    {HEAD STATE LISTEN SEAL "limits: {refusals: {burst: 0, perMinute: 1}}\n", "ensignd.yaml:6:", ""},
    {HEAD STATE LISTEN SEAL "limits: {requests: {burst: 3, perSecond: 1}}\n", "ensignd.yaml:6:", "perSecond"},
    {HEAD STATE LISTEN SEAL "metrics: {anonymous: perhaps}\n", "ensignd.yaml:6:", ""},
    {HEAD STATE LISTEN SEAL "metrics: {anon: true}\n", "ensignd.yaml:6:", "anon"},
    {HEAD "state: ''\n" LISTEN SEAL, "ensignd.yaml:3:", "path"},
    {HEAD STATE LISTEN SEAL "clock: {maxOffline: 0s}\n", "ensignd.yaml:6:", ""},
    {HEAD STATE LISTEN SEAL "clock: {maxOffline: 30}\n", "ensignd.yaml:6:", ""},
    {HEAD STATE LISTEN SEAL "clock: {offline: 30d}\n", "ensignd.yaml:6:", "offline"},
    {HEAD LISTEN SEAL
     "state: /0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123\n",
     "ensignd.yaml:5:", "Unix socket"},
};

static void test_refusals(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(refusals); i++) {
        struct config config = {0};
        struct fault fault = {0};
        if (config_from(refusals[i].text, &config, &fault) != ERR_INPUT)
            fail_msg("row %zu was taken", i);
        bool found = false;
        for (size_t j = 0; j < fault.reasons_count; j++)
            found |= strstr(fault.reasons[j].pointer, refusals[i].place) &&
                     (strstr(fault.reasons[j].text, refusals[i].reason) ||
                      strstr(fault.reasons[j].pointer, refusals[i].reason));
        if (!found)
            fail_msg("row %zu: %s: %s: %s", i, fault.text, fault.reasons[0].pointer, fault.reasons[0].text);
        assert_string_equal(config.state, ""); /* untouched */
    }
}

static void test_all_at_once(void **state)
{
    (void)state;
    struct config config = {0};
    struct fault fault = {0};
    assert_int_equal(config_from(HEAD "stat: /s\nlisten: x\nseal: {}\nlog: {level: loud}\n", &config, &fault),
                     ERR_INPUT);
    assert_true(fault.reasons_count >= 5); /* stat is unknown, state is missing, and three wrong values */
}

static int folder_make(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, P_tmpdir "/ensign-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int folder_remove(void **state)
{
    (void)state;
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_everything),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_all_at_once),
    };
    return cmocka_run_group_tests_name("config", tests, folder_make, folder_remove);
}
