/* The database held against itself: what somebody changed who can make checksums. */
#include "ca/verify.h"

#include "ca/ca.h"
#include "ca/store_lmdb.h"
#include "tests/unit/base/suite.h"
#include "tests/unit/ca/fixture.h"

/* The role stands in the record alone, not in the certificate: what the log says of it is held against that. */
static void role_is_what_the_log_says(void **state)
{
    struct fixture *fixture = *state;
    struct fault f = {0};
    AUTO(bytes) pem = fixture_csr();
    AUTO(bytes) key = {0};
    AUTO(issue_result) result = {0};
    struct store *store = NULL;
    struct issue_request person = fixture_request("identity", "", bytes_span(&pem));
    person.caller.kind = REQUESTER_ADMIN;
    person.cluster = CLUSTER_SERVICE;
    person.identity = "mallory";
    person.role = REQUESTER_AUDITOR;
    assert_ok(issue(fixture->ca, &person, &result, &f), &f);
    key_certificate(result.record.serial, &key);
    ca_close(fixture->ca);
    assert_ok(store_lmdb_open(fixture->database, false, &store, &f), &f);
    static const enum requester roles[] = {REQUESTER_AUDITOR, REQUESTER_ADMIN, 0, REQUESTER_AUDITOR};
    for (size_t i = 0; i < ARRAY_SIZE(roles); i++) {
        AUTO(bytes) row = {0};
        struct verified verified;
        result.record.role = roles[i];
        certificate_record_pack(&result.record, &row);
        const struct write write = {bytes_span(&key), bytes_span(&row), false};
        assert_ok(store_commit(store, NULL, 0, &write, 1, &f), &f);
        fault_clear(&f);
        bool good = roles[i] == REQUESTER_AUDITOR;
        assert_int_equal(database_verify(store, &verified, &f), good ? OK : ERR_IO);
        if (!good)
            assert_string_equal(f.reasons[0].text, "has another role than the log gives it");
        fault_clear(&f);
    }
    store_close(store);
    assert_ok(ca_open(fixture->database, fixture->signer, &fixture->basis, &fixture->ca, &f), &f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(role_is_what_the_log_says)};
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
