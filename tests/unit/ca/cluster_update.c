/* Inventories that are replaced: whoever has one keeps it, nothing is committed by it any more, and threads may do all
 * of this at the same time. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "ca/cluster_update.h"
#include "tests/unit/ca/fixture.h"

enum { UPDATES = 40, READERS = 3, ISSUERS = 3, WAIT_MILLISECONDS = 30000 };

static const struct caller admin = {.kind = REQUESTER_ADMIN, .name = "test"};

/* etcdone gets the address 10.0.1.<last>. */
static enum err address_set(struct ca *ca, const struct cluster *before, int last, struct cluster_update *ret_update,
                            struct fault *f)
{
    CLEANUP(document_auto) struct document *document = NULL;
    TRY(document_parse_json(bytes_span(&before->document), &document, f));
    json_t *node = json_array_get(json_object_get(document_json(document), "nodes"), 0);
    assert_int_equal(json_object_set_new(node, "addresses", json_pack("[o]", json_sprintf("10.0.1.%d", last))), 0);
    return cluster_update(ca, &admin, before, document, false, ret_update, f);
}

static int last_byte(const struct cluster *cluster)
{
    const struct address *address = &cluster_node(cluster, "etcdone")->names.addresses[0];
    return address->data[2] == 1 ? address->data[3] : 0;
}

static int present(struct ca *ca)
{
    struct fault f = {0};
    CLEANUP(cluster_release) const struct cluster *cluster = NULL;
    assert_int_equal(cluster_find(ca, "lab", &cluster, &f), OK);
    return last_byte(cluster);
}

static void who_found_an_inventory_keeps_it_and_cannot_use_it(void **state)
{
    struct fixture *fixture = *state;
    struct fault f = {0};
    CLEANUP(cluster_release) const struct cluster *before = NULL;
    assert_int_equal(cluster_find(fixture->ca, "lab", &before, &f), OK);
    int old = last_byte(before);
    AUTO(cluster_update) update = {0}, late = {0};
    assert_int_equal(address_set(fixture->ca, before, 7, &update, &f), OK);
    assert_true(update.updated);
    assert_int_equal(last_byte(before), old);
    assert_int_equal(present(fixture->ca), 7);
    assert_int_equal(address_set(fixture->ca, before, 8, &late, &f), ERR_CONFLICT);
    assert_int_equal(present(fixture->ca), 7);
    const struct {
        const struct cluster *cluster;
        enum err err;
    } cases[] = {{before, ERR_CONFLICT}, {update.after, OK}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        AUTO(change) change = {0};
        fault_clear(&f);
        event_begin(&change.event, "test", "test");
        cluster_expect(cases[i].cluster, &change);
        assert_int_equal(ledger_commit(fixture->ca->ledger, &change, &f), cases[i].err);
    }
}

static void inventory_is_the_same_after_a_restart(void **state)
{
    struct fixture *fixture = *state;
    AUTO(issue_result) result = {0};
    int before = present(fixture->ca);
    fixture_reopen(fixture);
    assert_int_equal(present(fixture->ca), before);
    fixture_issue(fixture, "etcd-member", "etcdone", &result);
    assert_int_equal(last_byte(result.cluster), before);
}

/* ---- threads ---- */

struct race {
    struct fixture *fixture;
    _Atomic bool stop;
    _Atomic int durable; /* of the last update that was answered */
    _Atomic unsigned issued, wrong;
};

static void *reader_main(void *context)
{
    struct race *race = context;
    while (!race->stop) {
        int durable = race->durable;
        race->wrong += present(race->fixture->ca) < durable;
    }
    return NULL;
}

static void *issuer_main(void *context)
{
    struct race *race = context;
    while (!race->stop) {
        struct fault f = {0};
        AUTO(bytes) csr = fixture_csr();
        AUTO(issue_result) result = {0};
        struct issue_request request = fixture_request("etcd-member", "etcdone", bytes_span(&csr));
        int durable = race->durable;
        bool ok = issue(race->fixture->ca, &request, &result, &f) == OK;
        race->issued += ok;
        race->wrong += !ok || last_byte(result.cluster) < durable ||
                       result.decision.content.names.addresses[0].data[3] != last_byte(result.cluster);
    }
    return NULL;
}

static void threads_read_and_issue_while_it_is_updated(void **state)
{
    struct race race = {.fixture = *state};
    struct fault f = {0};
    pthread_t threads[READERS + ISSUERS];
    for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, i < READERS ? reader_main : issuer_main, &race), 0);
    for (int i = 1; i <= UPDATES; i++) {
        CLEANUP(cluster_release) const struct cluster *before = NULL;
        AUTO(cluster_update) update = {0};
        assert_int_equal(cluster_find(race.fixture->ca, "lab", &before, &f), OK);
        assert_int_equal(address_set(race.fixture->ca, before, 100 + i, &update, &f), OK);
        race.durable = 100 + i;
    }
    for (int i = 0; i < WAIT_MILLISECONDS && race.issued == 0; i++) /* the updates may be over before the first is */
        usleep(1000);
    race.stop = true;
    for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(race.wrong, 0);
    assert_true(race.issued > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_found_an_inventory_keeps_it_and_cannot_use_it),
        cmocka_unit_test(inventory_is_the_same_after_a_restart),
        cmocka_unit_test(threads_read_and_issue_while_it_is_updated),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
