/* Lineages over a real store and a real signer: who gets a successor, and that there is one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>

#include "ca/deployed.h"
#include "ca/lineage.h"
#include "tests/unit/ca/fixture.h"

static const struct place member = {"lab", "etcdone", "etcd-member"};

static void assert_ok(enum err err, const struct fault *f)
{
    char line[4096];
    fault_line(f, line, sizeof line);
    if (err != OK)
        fail_msg("%s", line);
}

/* ---- what the tests do ---- */

static struct caller node_caller(const char *node)
{
    struct caller caller = {.kind = REQUESTER_NODE, .cluster = "lab"};
    strcpy(caller.name, node);
    strcpy(caller.node, node);
    return caller;
}

/* Begins the lineage of a place by a token. */
static void begin(struct fixture *fixture, const struct place *place, uint8_t ret_serial[SERIAL_SIZE])
{
    struct fault f = {0};
    AUTO(bytes) csr = fixture_csr();
    AUTO(issue_result) result = {0};
    struct issue_request request = fixture_request(place->profile, "", bytes_span(&csr));
    fixture_token(fixture, place->node, &request);
    assert_ok(issue(fixture->ca, &request, &result, &f), &f);
    memcpy(ret_serial, result.record.serial, SERIAL_SIZE);
}

struct renewing {
    struct fixture *fixture;
    struct place place;
    uint8_t replaces[SERIAL_SIZE];
    struct span csr;

    enum err err;
    struct fault fault;
    bool again;
    uint8_t serial[SERIAL_SIZE];
    pthread_t thread;
};

static void *renew(void *context)
{
    struct renewing *renewing = context;
    AUTO(issue_result) result = {0};
    struct issue_request request = fixture_request(renewing->place.profile, "", renewing->csr);
    request.caller = node_caller(renewing->place.node);
    request.replaces = renewing->replaces;
    renewing->fault = (struct fault){0};
    renewing->err = issue(renewing->fixture->ca, &request, &result, &renewing->fault);
    renewing->again = result.stored_before;
    memcpy(renewing->serial, result.record.serial, SERIAL_SIZE);
    return NULL;
}

static struct renewing renewal_of(struct fixture *fixture, const uint8_t replaces[SERIAL_SIZE], struct span csr)
{
    struct renewing renewing = {.fixture = fixture, .place = member, .csr = csr};
    memcpy(renewing.replaces, replaces, SERIAL_SIZE);
    return renewing;
}

static void assert_refused(struct renewing *renewing, const char *pointer, const char *why)
{
    renew(renewing);
    assert_int_equal(renewing->err, ERR_DENIED);
    assert_int_equal(renewing->fault.code, CODE_POLICY_DENIED);
    for (size_t i = 0; i < renewing->fault.reasons_count; i++)
        if (strcmp(renewing->fault.reasons[i].pointer, pointer) == 0 && strstr(renewing->fault.reasons[i].text, why))
            return;
    char line[4096];
    fault_line(&renewing->fault, line, sizeof line);
    fail_msg("\"%s\" is not among: %s", why, line);
}

static struct lineage_record lineage_now(struct fixture *fixture)
{
    struct fault f = {0};
    struct lineage_record lineage = {0};
    uint64_t revision = 0;
    assert_ok(lineage_get(fixture->ca, &member, &lineage, &revision, &f), &f);
    return lineage;
}

/* As a store was before there were lineages. */
static void lineages_erase(struct fixture *fixture)
{
    struct fault f = {0};
    AUTO(bytes) key = {0};
    key_lineage(&member, &key);
    struct write write = {.key = bytes_span(&key), .erase = true};
    assert_ok(store_commit(fixture->ca->store, NULL, 0, &write, 1, &f), &f);
}

/* The record, changed as nothing but revocation and time change it. */
static void record_change(struct fixture *fixture, const uint8_t serial[SERIAL_SIZE], int64_t revoked_at,
                          int64_t not_after)
{
    struct fault f = {0};
    AUTO(certificate_record) record = {0};
    AUTO(bytes) key = {0};
    AUTO(bytes) row = {0};
    assert_ok(certificate_get(fixture->ca, serial, &record, &f), &f);
    record.revoked_at = revoked_at;
    record.not_after = not_after ? not_after : record.not_after;
    key_certificate(serial, &key);
    certificate_record_pack(&record, &row);
    struct write write = {.key = bytes_span(&key), .value = bytes_span(&row)};
    assert_ok(store_commit(fixture->ca->store, NULL, 0, &write, 1, &f), &f);
}

static void report(struct fixture *fixture, const uint8_t serial[SERIAL_SIZE], enum deployed_state state)
{
    struct fault f = {0};
    struct caller caller = node_caller(member.node);
    struct deployed_record *report = calloc(1, sizeof *report);
    assert_non_null(report);
    strcpy(report->agent_version, "1");
    strcpy(report->certificates[0].profile, member.profile);
    memcpy(report->certificates[0].serial, serial, SERIAL_SIZE);
    report->certificates[0].state = state;
    report->certificates_count = 1;
    assert_ok(deployed_report(fixture->ca, &caller, report, &f), &f);
    free(report);
}

/* ---- one after the other ---- */

static void successor_is_given_again_until_it_is_installed(void **state)
{
    struct fixture *fixture = *state;
    uint8_t serial[SERIAL_SIZE];
    AUTO(bytes) csr = fixture_csr();
    AUTO(bytes) other = fixture_csr();
    begin(fixture, &member, serial);
    struct renewing first = renewal_of(fixture, serial, bytes_span(&csr)), second = first;
    struct renewing otherwise = renewal_of(fixture, serial, bytes_span(&other));
    renew(&first);
    assert_ok(first.err, &first.fault);
    assert_false(first.again);
    renew(&second);
    assert_ok(second.err, &second.fault);
    assert_true(second.again);
    assert_memory_equal(second.serial, first.serial, SERIAL_SIZE);
    assert_refused(&otherwise, "/replaces", "superseded by");
    report(fixture, first.serial, DEPLOYED_FAILED);
    renew(&second);
    assert_ok(second.err, &second.fault);
    report(fixture, first.serial, DEPLOYED_WAITING_RESTART);
    assert_refused(&second, "/replaces", "which is installed");
    struct lineage_record lineage = lineage_now(fixture);
    assert_memory_equal(lineage.current, first.serial, SERIAL_SIZE);
    assert_memory_equal(lineage.previous, serial, SERIAL_SIZE);
    assert_true(lineage.installed_at > 0);
    struct renewing next = renewal_of(fixture, first.serial, bytes_span(&csr));
    assert_refused(&next, "/csr/publicKey", "make a new key");
    next.csr = bytes_span(&other);
    renew(&next);
    assert_ok(next.err, &next.fault);
}

static void what_operators_have_issued_is_beside_the_lineage(void **state)
{
    struct fixture *fixture = *state;
    uint8_t serial[SERIAL_SIZE];
    AUTO(issue_result) result = {0};
    AUTO(bytes) csr = fixture_csr();
    begin(fixture, &member, serial);
    fixture_issue(fixture, member.profile, member.node, &result);
    assert_memory_equal(lineage_now(fixture).current, serial, SERIAL_SIZE);
    struct renewing renewing = renewal_of(fixture, result.record.serial, bytes_span(&csr));
    assert_refused(&renewing, "/replaces", "superseded by");
    lineages_erase(fixture);
    assert_memory_equal(lineage_now(fixture).current, result.record.serial, SERIAL_SIZE);
    renew(&renewing);
    assert_ok(renewing.err, &renewing.fault);
}

static void what_is_no_longer_valid_is_not_renewed(void **state)
{
    struct fixture *fixture = *state;
    uint8_t serial[SERIAL_SIZE];
    AUTO(bytes) csr = fixture_csr();
    begin(fixture, &member, serial);
    struct renewing renewing = renewal_of(fixture, serial, bytes_span(&csr));
    record_change(fixture, serial, 0, ca_now(fixture->ca) - 1);
    assert_refused(&renewing, "/replaces", "this certificate is expired; have a new token made: `ensign token create");
    record_change(fixture, serial, ca_now(fixture->ca), 0);
    assert_refused(&renewing, "/replaces", "this certificate is revoked");
    record_change(fixture, serial, 0, ca_now(fixture->ca) + 60);
    renew(&renewing);
    assert_ok(renewing.err, &renewing.fault);
}

static void blocked_place_waits_for_a_token(void **state)
{
    struct fixture *fixture = *state;
    struct fault f = {0};
    uint8_t serial[SERIAL_SIZE];
    uint64_t revision = 0;
    struct lineage_record lineage = {0};
    AUTO(change) change = {0};
    AUTO(change) late = {0};
    AUTO(bytes) csr = fixture_csr();
    begin(fixture, &member, serial);
    struct renewing renewing = renewal_of(fixture, serial, bytes_span(&csr));
    renew(&renewing);
    assert_ok(renewing.err, &renewing.fault);
    assert_ok(lineage_get(fixture->ca, &member, &lineage, &revision, &f), &f);
    lineage_block(&lineage, revision, 1000, 1, &change);
    event_begin(&change.event, "test", "test");
    assert_ok(ledger_commit(fixture->ca->ledger, &change, &f), &f);
    lineage_block(&lineage, revision, 2000, 1, &late);
    event_begin(&late.event, "test", "test");
    assert_int_equal(ledger_commit(fixture->ca->ledger, &late, &f), ERR_CONFLICT);
    lineage = lineage_now(fixture);
    assert_int_equal(lineage.blocked_at, 1000);
    assert_refused(&renewing, "/replaces", "since a certificate of it was revoked"); /* not even the answer of before */
    memcpy(renewing.replaces, lineage.current, SERIAL_SIZE);
    assert_refused(&renewing, "/replaces", "since a certificate of it was revoked");
    begin(fixture, &member, renewing.replaces);
    AUTO(bytes) fresh = fixture_csr();
    renewing.csr = bytes_span(&fresh);
    renew(&renewing);
    assert_ok(renewing.err, &renewing.fault);
}

/* ---- at once ---- */

enum { ROUNDS = 100, RACERS = 6, KEYS = 3 };

/* Of all that renew one certificate at once, those with one key get one successor, and the others none. */
static void race_once(struct fixture *fixture, uint8_t current[SERIAL_SIZE], const struct bytes csrs[KEYS])
{
    struct renewing *racers = calloc(RACERS, sizeof *racers);
    const struct renewing *winner = NULL;
    size_t issued = 0, again = 0;
    assert_non_null(racers);
    for (size_t i = 0; i < RACERS; i++)
        racers[i] = renewal_of(fixture, current, bytes_span(&csrs[i % KEYS]));
    for (size_t i = 0; i < RACERS; i++)
        assert_int_equal(pthread_create(&racers[i].thread, NULL, renew, &racers[i]), 0);
    for (size_t i = 0; i < RACERS; i++) {
        pthread_join(racers[i].thread, NULL);
        issued += racers[i].err == OK && !racers[i].again;
        again += racers[i].err == OK && racers[i].again;
        winner = racers[i].err == OK ? &racers[i] : winner;
        if (racers[i].err != OK)
            assert_int_equal(racers[i].fault.code, CODE_POLICY_DENIED);
    }
    assert_int_equal(issued, 1);
    assert_int_equal(again, RACERS / KEYS - 1);
    for (size_t i = 0; i < RACERS; i++)
        if (racers[i].err == OK)
            assert_memory_equal(racers[i].serial, winner->serial, SERIAL_SIZE);
    assert_memory_equal(lineage_now(fixture).current, winner->serial, SERIAL_SIZE);
    memcpy(current, winner->serial, SERIAL_SIZE);
    free(racers);
}

static void races(struct fixture *fixture, size_t rounds, bool erase)
{
    uint8_t current[SERIAL_SIZE];
    begin(fixture, &member, current);
    for (size_t round = 0; round < rounds; round++) {
        struct bytes csrs[KEYS];
        for (size_t i = 0; i < KEYS; i++)
            csrs[i] = fixture_csr();
        if (erase)
            lineages_erase(fixture);
        race_once(fixture, current, csrs);
        for (size_t i = 0; i < KEYS; i++)
            bytes_free(&csrs[i]);
    }
}

static void raced_renewal_has_one_successor(void **state)
{
    races(*state, ROUNDS, false);
}

static void so_has_one_of_a_store_without_lineages(void **state)
{
    races(*state, ROUNDS / 5, true);
}

/* ---- reading ---- */

static bool visit_count(void *context, const struct lineage_record *record)
{
    assert_string_equal(record->cluster, "lab");
    ++*(size_t *)context;
    return true;
}

static void lineages_are_listed(void **state)
{
    struct fixture *fixture = *state;
    const struct place others[] = {{"lab", "etcdone", "node-identity"}, {"lab", "etcdtwo", "etcd-member"}};
    uint8_t serial[SERIAL_SIZE];
    struct fault f = {0};
    size_t all = 0, one = 0, none = 0;
    begin(fixture, &member, serial);
    for (size_t i = 0; i < ARRAY_SIZE(others); i++)
        begin(fixture, &others[i], serial);
    assert_ok(lineage_each(fixture->ca, "lab", NULL, visit_count, &all, &f), &f);
    assert_ok(lineage_each(fixture->ca, "lab", "etcdone", visit_count, &one, &f), &f);
    assert_ok(lineage_each(fixture->ca, "la", NULL, visit_count, &none, &f), &f);
    assert_ok(lineage_each(fixture->ca, "lab", "etcd", visit_count, &none, &f), &f);
    assert_int_equal(all, 3);
    assert_int_equal(one, 2);
    assert_int_equal(none, 0);
}

static void rows_are_read_as_they_were_written(void **state)
{
    (void)state;
    struct fault f = {0};
    AUTO(bytes) row = {0};
    struct lineage_record record = {.cluster = "lab",
                                    .node = "n",
                                    .profile = "p",
                                    .current = {1},
                                    .previous = {2},
                                    .installed_at = 3,
                                    .blocked_at = 4,
                                    .blocked_reason = 5},
                          again;
    lineage_record_pack(&record, &row);
    assert_ok(lineage_record_unpack(bytes_span(&row), &again, &f), &f);
    assert_memory_equal(&again, &record, sizeof record);
    for (size_t size = 0; size < row.size; size++) {
        assert_int_equal(lineage_record_unpack(span(row.data, size), &again, &f), ERR_IO);
        fault_clear(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lineages_are_listed),
        cmocka_unit_test(rows_are_read_as_they_were_written),
        cmocka_unit_test(successor_is_given_again_until_it_is_installed),
        cmocka_unit_test(what_operators_have_issued_is_beside_the_lineage),
        cmocka_unit_test(what_is_no_longer_valid_is_not_renewed),
        cmocka_unit_test(blocked_place_waits_for_a_token),
        cmocka_unit_test(raced_renewal_has_one_successor),
        cmocka_unit_test(so_has_one_of_a_store_without_lineages),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
