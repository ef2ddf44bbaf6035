/* Lists of many certificates of which a filter matches few. The records go into the store without signatures, and the
 * index hears of them as from the ledger. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ca/index.h"
#include "tests/unit/store/backend.h"

enum { RECORDS = 3000, EXAMINED_MAX = 1024 };

struct fixture {
    struct place place;
    struct key_claims *claims;
    struct index *index;
};

static void record_make(size_t number, struct certificate_record *record)
{
    *record = (struct certificate_record){.cluster = "lab", .node = "etcdone", .profile = "etcd-member"};
    record->serial[0] = 1;
    record->serial[1] = (uint8_t)(number >> 8);
    record->serial[2] = (uint8_t)number;
    record->spki_sha256[0] = 1;
    record->issued_at = record->not_before = 1000;
    record->not_after = 2000000;
    record->revoked_at = number == RECORDS - 1 ? 1500 : 0; /* the last one only */
    record->log_sequence = number;
}

static void record_store(struct fixture *fixture, size_t number)
{
    struct fault f = {0};
    struct certificate_record record;
    AUTO(bytes) key = {0};
    AUTO(bytes) row = {0};
    record_make(number, &record);
    key_certificate(record.serial, &key);
    certificate_record_pack(&record, &row);
    struct write write = {bytes_span(&key), bytes_span(&row), false};
    assert_int_equal(store_commit(fixture->place.store, NULL, 0, &write, 1, &f), OK);
    struct change change = {.record = &record, .sequence = number};
    index_observe(fixture->index, &change);
}

static int setup(void **state)
{
    static struct fixture fixture;
    struct fault f = {0};
    place_make(&backends[0], &fixture.place);
    assert_int_equal(key_claims_new(fixture.place.store, &fixture.claims, &f), OK);
    assert_int_equal(index_open(fixture.place.store, fixture.claims, &fixture.index, &f), OK);
    for (size_t i = 0; i < RECORDS; i++)
        record_store(&fixture, i);
    assert_int_equal(index_start(fixture.index, &f), OK);
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    index_close(fixture->index);
    key_claims_free(fixture->claims);
    place_remove(&fixture->place);
    return 0;
}

struct walk {
    size_t pages, items, largest;
};

static struct walk walk(const struct fixture *fixture, struct certificate_query query)
{
    struct walk walk = {0};
    struct bytes cursor = {0};
    query.now = 1600;
    do {
        struct fault f = {0};
        struct certificate_record records[PAGE_MAX];
        struct bytes next = {0};
        size_t count = 0;
        query.cursor = bytes_span(&cursor);
        assert_int_equal(index_query(fixture->index, &query, records, &count, &next, &f), OK);
        for (size_t i = 0; i < count; i++)
            certificate_record_cleanup(&records[i]);
        walk.pages++;
        walk.items += count;
        walk.largest = count > walk.largest ? count : walk.largest;
        bytes_free(&cursor);
        cursor = next;
    } while (cursor.size);
    return walk;
}

/* No page reads more than so many records, whatever the filter: the pages are short then, and none is left out. */
static void a_filter_that_few_match_gives_short_pages(void **state)
{
    static const struct certificate_query queries[] = {
        {.state = "revoked", .limit = 100},
        {.state = "revoked", .limit = 100, .cluster = "lab"},
        {.state = "revoked", .limit = 100, .cluster = "lab", .node = "etcdone"},
        {.state = "revoked", .limit = 100, .profile = "etcd-member"},
        {.state = "revoked", .limit = 100, .not_after_before = 3000000},
    };
    for (size_t i = 0; i < ARRAY_SIZE(queries); i++) {
        struct walk found = walk(*state, queries[i]);
        assert_int_equal(found.items, 1);
        assert_true(found.pages > RECORDS / EXAMINED_MAX);
    }
}

static void a_filter_that_all_match_gives_full_pages(void **state)
{
    static const struct certificate_query queries[] = {{.limit = 500}, {.limit = 500, .cluster = "lab"}};
    for (size_t i = 0; i < ARRAY_SIZE(queries); i++) {
        struct walk found = walk(*state, queries[i]);
        assert_int_equal(found.items, RECORDS);
        assert_int_equal(found.largest, 500);
        assert_in_range(found.pages, RECORDS / 500, RECORDS / 500 + 1);
    }
}

struct visits {
    size_t count, stop; /* after so many */
    uint8_t last[SERIAL_SIZE];
};

static bool visit(void *context, const struct certificate_record *record)
{
    struct visits *visits = context;
    assert_true(memcmp(record->serial, visits->last, SERIAL_SIZE) > 0);
    memcpy(visits->last, record->serial, SERIAL_SIZE);
    return ++visits->count < visits->stop;
}

/* Once and in order, through short pages too, and none behind the last that was wanted. */
static void each_is_visited(void **state)
{
    static const struct {
        struct certificate_query query;
        size_t stop, visited;
    } cases[] = {
        {{.cluster = "lab"}, RECORDS + 1, RECORDS},
        {{.cluster = "lab", .state = "revoked"}, RECORDS, 1},
        {{.cluster = "lab"}, 1, 1},
        {{.cluster = "lab"}, 16, 16}, /* a page */
        {{.cluster = "lab"}, 17, 17},
        {{.cluster = "none"}, 1, 0},
    };
    const struct fixture *fixture = *state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct fault f = {0};
        struct certificate_query query = cases[i].query;
        struct visits visits = {.stop = cases[i].stop};
        query.now = 1600;
        assert_int_equal(index_each(fixture->index, &query, visit, &visits, &f), OK);
        assert_int_equal(visits.count, cases[i].visited);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_is_visited),
        cmocka_unit_test(a_filter_that_few_match_gives_short_pages),
        cmocka_unit_test(a_filter_that_all_match_gives_full_pages),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
