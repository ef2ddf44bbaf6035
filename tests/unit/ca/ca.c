/* The core over a real store and a real signer: issue, tokens, ledger, log, search. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>
#include <pthread.h>
#include <sodium.h>

#include "ca/base/encode.h"
#include "tests/unit/ca/fixture.h"

static void assert_ok(enum err err, const struct fault *f)
{
    char line[4096];
    fault_line(f, line, sizeof line);
    if (err != OK)
        fail_msg("%s", line);
}

static void issued_certificate_is_stored_and_logged(void **state)
{
    struct fixture *fixture = *state;
    struct fault f = {0};
    AUTO(issue_result) result = {0};
    AUTO(certificate_record) record = {0};
    AUTO(certificate) certificate = {0};
    fixture_issue(fixture, "etcd-member", "etcdone", &result);
    assert_ok(certificate_get(fixture->ca, result.record.serial, &record, &f), &f);
    assert_true(span_equal(bytes_span(&record.certificate), bytes_span(&result.record.certificate)));
    assert_ok(certificate_parse(bytes_span(&record.certificate), &certificate, &f), &f);
    assert_ok(certificate_check_issuer(&certificate, &result.authority->certificate, ca_now(fixture->ca), &f), &f);
    assert_string_equal(certificate.body.content.subject.common_name, "etcdone");
    struct address address = {0};
    assert_ok(address_parse("10.0.0.1", &address, &f), &f);
    assert_true(alternative_names_has_address(&certificate.body.content.names, &address));
    assert_string_equal(record.requested_by, "operator test");
}

struct leaves {
    struct merkle_frontier frontier;
    size_t issued, denied;
    char last[4096];
};

static bool leaf_count(void *context, uint64_t sequence, struct span leaf)
{
    struct leaves *leaves = context;
    struct merkle_hash hash;
    assert_int_equal(sequence, leaves->frontier.size);
    merkle_leaf_hash(leaf, &hash);
    merkle_append(&leaves->frontier, &hash);
    json_t *json = json_loadb((const char *)leaf.data, leaf.size, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(json);
    const char *event = json_string_value(json_object_get(json, "event"));
    leaves->issued += strcmp(event, "certificate.issued") == 0;
    leaves->denied += strcmp(event, "denied") == 0;
    snprintf(leaves->last, sizeof leaves->last, "%.*s", (int)leaf.size, (const char *)leaf.data);
    assert_int_equal(json_integer_value(json_object_get(json, "sequence")), (json_int_t)sequence);
    json_decref(json);
    return true;
}

static struct leaves leaves_read(struct fixture *fixture)
{
    struct fault f = {0};
    struct leaves leaves = {0};
    struct merkle_frontier frontier;
    ledger_frontier(fixture->ca->ledger, &frontier);
    assert_ok(audit_each(fixture->ca, 0, frontier.size, leaf_count, &leaves, &f), &f);
    assert_int_equal(leaves.frontier.size, frontier.size);
    return leaves;
}

static void checkpoint_covers_every_leaf(void **state)
{
    struct fixture *fixture = *state;
    struct fault f = {0};
    AUTO(bytes) note = {0};
    struct checkpoint checkpoint = {0};
    struct merkle_hash root;
    char verifier[LOG_VERIFIER_TEXT_MAX + 1];
    assert_ok(audit_checkpoint(fixture->ca, &note, &f), &f);
    log_verifier_text(fixture->ca->service.origin, fixture->ca->service.log_public_key, verifier);
    assert_ok(checkpoint_verify(bytes_span(&note), verifier, &checkpoint, &f), &f);
    struct leaves leaves = leaves_read(fixture);
    merkle_root(&leaves.frontier, &root);
    assert_int_equal(checkpoint.size, leaves.frontier.size);
    assert_memory_equal(&root, &checkpoint.root, sizeof root);
}

static void *issue_many(void *context)
{
    for (int i = 0; i < 20; i++) {
        AUTO(issue_result) result = {0};
        fixture_issue(context, "etcd-member", "etcdone", &result);
    }
    return NULL;
}

struct reader {
    pthread_t thread;
    struct fixture *fixture;
    size_t failed;
};

static void *checkpoint_many(void *context)
{
    struct reader *reader = context;
    for (int i = 0; i < 100; i++) {
        struct fault f = {0};
        AUTO(bytes) note = {0};
        reader->failed += audit_checkpoint(reader->fixture->ca, &note, &f) != OK;
    }
    return NULL;
}

/* The signer refuses a smaller tree after a larger one, so readers must not overtake each other. */
static void checkpoints_are_given_while_the_log_grows(void **state)
{
    enum { READERS = 8 };
    struct fixture *fixture = *state;
    struct reader readers[READERS] = {0};
    pthread_t writer;
    assert_int_equal(pthread_create(&writer, NULL, issue_many, fixture), 0);
    for (size_t i = 0; i < READERS; i++) {
        readers[i].fixture = fixture;
        assert_int_equal(pthread_create(&readers[i].thread, NULL, checkpoint_many, &readers[i]), 0);
    }
    pthread_join(writer, NULL);
    for (size_t i = 0; i < READERS; i++) {
        pthread_join(readers[i].thread, NULL);
        assert_int_equal(readers[i].failed, 0);
    }
}

static void denial_is_audited_and_nothing_is_issued(void **state)
{
    struct fixture *fixture = *state;
    struct fault f = {0};
    struct leaves before = leaves_read(fixture);
    AUTO(bytes) csr = fixture_csr();
    AUTO(issue_result) result = {0};
    struct issue_request request = fixture_request("apiserver-etcd-client", "etcdone", bytes_span(&csr));
    fixture_token(fixture, "etcdone", &request);
    assert_int_equal(issue(fixture->ca, &request, &result, &f), ERR_DENIED);
    assert_int_equal(f.code, CODE_POLICY_DENIED);
    assert_true(f.reasons_count > 0);
    struct leaves after = leaves_read(fixture);
    assert_int_equal(after.issued, before.issued);
    assert_int_equal(after.denied, before.denied + 1);
    assert_non_null(strstr(after.last, "apiserver-etcd-client"));
}

static const struct issue_counters *counters_of(const struct fixture *fixture, const char *profile)
{
    const struct profiles *profiles = &fixture->ca->profiles;
    return &fixture->ca->counters[profiles_find(profiles, profile) - profiles->items];
}

static enum err issue_denied(struct fixture *fixture, bool dry_run, struct fault *f)
{
    AUTO(issue_result) result = {0};
    AUTO(bytes) csr = fixture_csr();
    struct issue_request request = fixture_request("etcd-member", "masterone", bytes_span(&csr));
    request.dry_run = dry_run;
    return issue(fixture->ca, &request, &result, f);
}

static void what_becomes_of_requests_is_counted(void **state)
{
    struct fixture *fixture = *state;
    struct fault f = {0};
    AUTO(issue_result) result = {0};
    const struct issue_counters *members = counters_of(fixture, "etcd-member");
    const struct issue_counters *identities = counters_of(fixture, "node-identity");
    uint64_t issued = members->issued, denied = members->denied, others = identities->issued;
    fixture_issue(fixture, "etcd-member", "etcdone", &result);
    assert_int_equal(issue_denied(fixture, true, &f), ERR_DENIED);
    fault_clear(&f);
    assert_int_equal(issue_denied(fixture, false, &f), ERR_DENIED);
    uint64_t now[] = {members->issued, members->denied, identities->issued}; /* cmocka's macros take no atomics */
    assert_int_equal(now[0], issued + 1);
    assert_int_equal(now[1], denied + 1);
    assert_int_equal(now[2], others);
}

static enum err admit_none(void *context, const struct caller *caller, struct fault *f)
{
    ++*(int *)context;
    assert_string_equal(caller->name, "test");
    return fault_set(f, CODE_RATE_LIMITED, "no more of them");
}

static void denial_that_is_not_admitted_leaves_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct fault f = {0};
    int asked = 0;
    struct leaves before = leaves_read(fixture);
    fixture->ca->denial_admit = admit_none;
    fixture->ca->denial_context = &asked;
    enum err denied = issue_denied(fixture, false, &f);
    enum code code = f.code;
    fault_clear(&f);
    enum err dry = issue_denied(fixture, true, &f);
    fixture->ca->denial_admit = NULL;
    assert_int_equal(denied, ERR_LIMIT);
    assert_int_equal(code, CODE_RATE_LIMITED);
    assert_int_equal(dry, ERR_DENIED);
    assert_int_equal(asked, 1);
    assert_int_equal(leaves_read(fixture).frontier.size, before.frontier.size);
}

static void dry_run_changes_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct fault f = {0};
    struct leaves before = leaves_read(fixture);
    AUTO(bytes) csr = fixture_csr();
    AUTO(issue_result) result = {0};
    struct issue_request request = fixture_request("etcd-member", "etcdtwo", bytes_span(&csr));
    request.dry_run = true;
    assert_ok(issue(fixture->ca, &request, &result, &f), &f);
    assert_string_equal(result.decision.content.subject.common_name, "etcdtwo");
    assert_int_equal(result.record.certificate.size, 0);
    request.profile = "apiserver-etcd-client";
    AUTO(issue_result) refused = {0};
    assert_int_equal(issue(fixture->ca, &request, &refused, &f), ERR_DENIED);
    assert_int_equal(leaves_read(fixture).frontier.size, before.frontier.size);
}

static void token_gives_each_profile_once_and_the_same_key_the_same_answer(void **state)
{
    struct fixture *fixture = *state;
    struct fault f = {0};
    AUTO(bytes) csr = fixture_csr();
    AUTO(bytes) other_csr = fixture_csr();
    AUTO(issue_result) first = {0};
    AUTO(issue_result) again = {0};
    AUTO(issue_result) other = {0};
    AUTO(issue_result) identity = {0};
    struct issue_request request = fixture_request("etcd-member", "", bytes_span(&csr));
    fixture_token(fixture, "etcdtwo", &request);
    assert_ok(issue(fixture->ca, &request, &first, &f), &f);
    assert_false(first.stored_before);
    assert_ok(issue(fixture->ca, &request, &again, &f), &f);
    assert_true(again.stored_before);
    assert_true(span_equal(bytes_span(&again.record.certificate), bytes_span(&first.record.certificate)));
    request.csr_pem = bytes_span(&other_csr);
    assert_int_equal(issue(fixture->ca, &request, &other, &f), ERR_CONFLICT);
    assert_int_equal(f.code, CODE_KEY_CONFLICT);
    fault_clear(&f);
    request.profile = "node-identity";
    assert_ok(issue(fixture->ca, &request, &identity, &f), &f);
    assert_int_equal(identity.record.role, REQUESTER_NODE);
    struct caller caller = {0};
    assert_ok(certificate_authenticate(fixture->ca, bytes_span(&identity.record.certificate), false, &caller, &f), &f);
    assert_int_equal(caller.kind, REQUESTER_NODE);
    assert_string_equal(caller.node, "etcdtwo");
    assert_int_equal(certificate_authenticate(fixture->ca, bytes_span(&first.record.certificate), false, &caller, &f),
                     ERR_AUTH);
}

/* ---- whose key ---- */

/* The request for a node of "lab" is refused because of its key alone. */
static void key_is_anothers(struct fixture *fixture, const char *profile, const char *node, struct span csr)
{
    struct fault f = {0};
    AUTO(issue_result) result = {0};
    struct issue_request request = fixture_request(profile, node, csr);
    assert_int_equal(issue(fixture->ca, &request, &result, &f), ERR_DENIED);
    assert_int_equal(f.code, CODE_POLICY_DENIED);
    assert_int_equal(f.reasons_count, 1);
    assert_string_equal(f.reasons[0].pointer, "/csr/publicKey");
}

static void key_is_given(struct fixture *fixture, const char *profile, const char *node, struct span csr, bool dry_run)
{
    struct fault f = {0};
    AUTO(issue_result) result = {0};
    struct issue_request request = fixture_request(profile, node, csr);
    request.dry_run = dry_run;
    assert_ok(issue(fixture->ca, &request, &result, &f), &f);
}

static uint64_t index_rebuild_all(struct fixture *fixture)
{
    struct fault f = {0};
    struct store *store = NULL;
    uint64_t certificates = 0;
    ca_close(fixture->ca);
    fixture->ca = NULL;
    assert_ok(ca_store_open(fixture->database, &store, &f), &f);
    assert_ok(index_rebuild(store, &certificates, &f), &f);
    store_close(store);
    assert_ok(ca_open(fixture->database, fixture->signer, &fixture->basis, &fixture->ca, &f), &f);
    return certificates;
}

static void key_has_one_owner_before_and_after_indexing(void **state)
{
    struct fixture *fixture = *state;
    struct fault f = {0};
    AUTO(bytes) pem = fixture_csr();
    struct span csr = bytes_span(&pem);
    AUTO(issue_result) identity = {0};
    key_is_given(fixture, "etcd-member", "etcdtwo", csr, true); /* leaves no claim behind */
    key_is_given(fixture, "etcd-member", "etcdone", csr, false);
    for (int round = 0; round < 3; round++) {
        key_is_anothers(fixture, "etcd-member", "etcdtwo", csr);
        struct issue_request person = fixture_request("identity", "", csr);
        person.caller.kind = REQUESTER_ADMIN;
        person.cluster = CLUSTER_SERVICE;
        person.identity = "mallory";
        person.role = REQUESTER_AUDITOR;
        assert_int_equal(issue(fixture->ca, &person, &identity, &f), ERR_DENIED);
        fault_clear(&f);
        key_is_given(fixture, "etcd-peer", "etcdone", csr, false);
        if (round == 0)
            fixture_reopen(fixture);
        else
            index_rebuild_all(fixture);
    }
}

/* Of many who ask with one key, half of them for another node, only those of one node get anything. */
struct key_racer {
    struct fixture *fixture;
    const char *node;
    struct span csr;
    pthread_t thread;
    bool given;
};

static void *key_race(void *context)
{
    struct key_racer *racer = context;
    struct fault f = {0};
    AUTO(issue_result) result = {0};
    struct issue_request request = fixture_request("etcd-member", racer->node, racer->csr);
    racer->given = issue(racer->fixture->ca, &request, &result, &f) == OK;
    return NULL;
}

static void raced_key_has_one_owner(void **state)
{
    enum { RACERS = 40 };
    struct key_racer racers[RACERS];
    AUTO(bytes) csr = fixture_csr();
    for (size_t i = 0; i < RACERS; i++) {
        racers[i] = (struct key_racer){*state, i % 2 ? "etcdone" : "etcdtwo", bytes_span(&csr), 0, false};
        assert_int_equal(pthread_create(&racers[i].thread, NULL, key_race, &racers[i]), 0);
    }
    size_t given[2] = {0};
    for (size_t i = 0; i < RACERS; i++) {
        pthread_join(racers[i].thread, NULL);
        given[i % 2] += racers[i].given;
    }
    assert_true(given[0] + given[1] > 0);
    assert_true(given[0] == 0 || given[1] == 0);
}

struct racer {
    struct fixture *fixture;
    struct issue_request request;
    struct bytes csr;
    enum err err;
    enum code code;
    pthread_t thread;
};

static void *race(void *context)
{
    struct racer *racer = context;
    struct fault f = {0};
    AUTO(issue_result) result = {0};
    racer->err = issue(racer->fixture->ca, &racer->request, &result, &f);
    racer->code = f.code;
    return NULL;
}

static void raced_token_gives_exactly_one_certificate(void **state)
{
    struct fixture *fixture = *state;
    enum { RACERS = 40 };
    struct racer *racers = calloc(RACERS, sizeof *racers);
    struct issue_request request = fixture_request("etcd-member", "", span(NULL, 0));
    fixture_token(fixture, "etcdone", &request);
    for (size_t i = 0; i < RACERS; i++) {
        racers[i] = (struct racer){.fixture = fixture, .request = request, .csr = fixture_csr()};
        racers[i].request.csr_pem = bytes_span(&racers[i].csr);
    }
    for (size_t i = 0; i < RACERS; i++)
        assert_int_equal(pthread_create(&racers[i].thread, NULL, race, &racers[i]), 0);
    size_t won = 0, refused = 0;
    for (size_t i = 0; i < RACERS; i++) {
        pthread_join(racers[i].thread, NULL);
        won += racers[i].err == OK;
        refused += racers[i].err == ERR_CONFLICT && racers[i].code == CODE_KEY_CONFLICT;
        bytes_free(&racers[i].csr);
    }
    free(racers);
    assert_int_equal(won, 1);
    assert_int_equal(refused, RACERS - 1);
}

static void unknown_revoked_and_wrong_tokens_are_refused(void **state)
{
    struct fixture *fixture = *state;
    struct fault f = {0};
    struct caller caller = {0}, operator_caller = {.kind = REQUESTER_OPERATOR, .name = "test"};
    uint8_t secret[TOKEN_SECRET_SIZE] = {1};
    struct token_request token = {.id = {7}, .cluster = "lab", .node = "etcdone", .lifetime_seconds = 600};
    struct token_record record = {0};
    assert_int_equal(token_authenticate(fixture->ca, token.id, secret, &caller, &f), ERR_AUTH);
    crypto_hash_sha256(token.secret_sha256, secret, sizeof secret);
    assert_ok(token_create(fixture->ca, &operator_caller, &token, &record, &f), &f);
    assert_ok(token_authenticate(fixture->ca, token.id, secret, &caller, &f), &f);
    secret[31] ^= 1;
    assert_int_equal(token_authenticate(fixture->ca, token.id, secret, &caller, &f), ERR_AUTH);
    secret[31] ^= 1;
    assert_ok(token_revoke(fixture->ca, &operator_caller, token.id, &f), &f);
    assert_ok(token_revoke(fixture->ca, &operator_caller, token.id, &f), &f);
    assert_int_equal(token_authenticate(fixture->ca, token.id, secret, &caller, &f), ERR_AUTH);
    assert_int_equal(token_create(fixture->ca, &operator_caller, &token, &record, &f), ERR_CONFLICT);
    token.id[0] = 8;
    token.node = "nowhere";
    token.lifetime_seconds = 8 * 86400;
    fault_clear(&f);
    assert_int_equal(token_create(fixture->ca, &operator_caller, &token, &record, &f), ERR_INPUT);
    assert_int_equal(f.reasons_count, 2);
    assert_string_equal(token_state(&record, record.expires_at - 1), "active");
    assert_string_equal(token_state(&record, record.expires_at), "expired");
}

static void issuance_waits_for_a_signer(void **state)
{
    struct fixture *fixture = *state;
    struct fault f = {0};
    AUTO(bytes) csr = fixture_csr();
    AUTO(issue_result) result = {0};
    AUTO(issue_result) later = {0};
    struct issue_request request = fixture_request("etcd-member", "etcdone", bytes_span(&csr));
    fixture_signer_kill(fixture);
    struct leaves before = leaves_read(fixture);
    assert_int_equal(issue(fixture->ca, &request, &result, &f), ERR_IO);
    assert_int_equal(f.code, CODE_SIGNER_DOWN);
    assert_int_equal(leaves_read(fixture).frontier.size, before.frontier.size);
    fixture_signer_start(fixture);
    fault_clear(&f);
    assert_ok(issue(fixture->ca, &request, &later, &f), &f);
}

static void same_cluster_again_changes_nothing_and_another_one_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct fault f = {0};
    struct caller admin = {.kind = REQUESTER_ADMIN, .name = "test"};
    CLEANUP(cluster_release) const struct cluster *cluster = NULL, *same = NULL;
    bool created = true;
    struct document *document = NULL;
    assert_ok(cluster_find(fixture->ca, "lab", &cluster, &f), &f);
    assert_ok(document_parse_json(bytes_span(&cluster->document), &document, &f), &f);
    assert_ok(cluster_create(fixture->ca, &admin, document, NULL, &created, &same, &f), &f);
    assert_false(created);
    assert_ptr_equal(same, cluster);
    json_object_set_new(document_json(document), "kubernetesVersion", json_string("1.30"));
    assert_int_equal(cluster_create(fixture->ca, &admin, document, NULL, &created, &same, &f), ERR_CONFLICT);
    document_free(document);
}

/* ---- search ---- */

/* All pages of a query; asserts that they are in strict order and none repeats. */
static size_t query_all(struct fixture *fixture, struct certificate_query query, size_t limit)
{
    struct fault f = {0};
    struct certificate_record records[PAGE_MAX];
    struct bytes cursor = {0};
    size_t total = 0;
    query.limit = limit;
    query.now = ca_now(fixture->ca);
    do {
        size_t count = 0;
        struct bytes next = {0};
        query.cursor = bytes_span(&cursor);
        assert_ok(index_query(fixture->ca->index, &query, records, &count, &next, &f), &f);
        for (size_t i = 0; i < count; i++)
            certificate_record_cleanup(&records[i]);
        total += count;
        bytes_free(&cursor);
        cursor = next;
    } while (cursor.size);
    return total;
}

static void search_is_exact_before_and_after_indexing(void **state)
{
    struct fixture *fixture = *state;
    struct certificate_query one = {.cluster = "lab", .node = "etcdthree"};
    struct certificate_query profile = {.profile = "etcd-healthcheck-client"};
    struct certificate_query lab = {.cluster = "lab"};
    struct certificate_query expired = {.state = "expired"};
    struct certificate_query valid = {.state = "valid"};
    struct certificate_query soon = {.not_after_before = ca_now(fixture->ca) + 3600};
    size_t lab_before = query_all(fixture, lab, 7), valid_before = query_all(fixture, valid, 7);
    assert_int_equal(query_all(fixture, one, 3), 0);
    for (size_t i = 1; i <= 10; i++) {
        AUTO(issue_result) member = {0};
        AUTO(issue_result) client = {0};
        fixture_issue(fixture, "etcd-member", "etcdthree", &member);
        fixture_issue(fixture, "etcd-healthcheck-client", "etcdthree", &client);
        assert_int_equal(query_all(fixture, one, 3), 2 * i);
        assert_int_equal(query_all(fixture, profile, 4), i);
    }
    for (int reopened = 0; reopened < 2; reopened++) {
        assert_int_equal(query_all(fixture, one, 1), 20);
        assert_int_equal(query_all(fixture, lab, PAGE_MAX), lab_before + 20);
        assert_int_equal(query_all(fixture, valid, 6), valid_before + 20);
        assert_int_equal(query_all(fixture, (struct certificate_query){0}, 9), valid_before + 20);
        assert_int_equal(query_all(fixture, expired, 9), 0);
        assert_int_equal(query_all(fixture, soon, 9), 0);
        fixture_reopen(fixture);
    }
}

static void rebuilt_indexes_find_the_same(void **state)
{
    struct fixture *fixture = *state;
    struct certificate_query lab = {.cluster = "lab"};
    size_t before = query_all(fixture, lab, 50);
    assert_true(before > 20);
    assert_true(index_rebuild_all(fixture) >= before);
    assert_int_equal(query_all(fixture, lab, 50), before);
}

static void damaged_log_is_noticed_at_start(void **state)
{
    struct fixture *fixture = *state;
    struct fault f = {0};
    struct merkle_frontier frontier;
    ledger_frontier(fixture->ca->ledger, &frontier);
    ca_close(fixture->ca);
    fixture->ca = NULL;
    struct store *store = NULL;
    AUTO(bytes) key = {0};
    AUTO(bytes) leaf = {0};
    AUTO(bytes) other = {0};
    key_leaf(frontier.size - 1, &key);
    assert_ok(ca_store_open(fixture->database, &store, &f), &f);
    assert_ok(store_get(store, bytes_span(&key), &leaf, NULL, &f), &f);
    assert_ok(bytes_copy(bytes_span(&leaf), &other, &f), &f);
    other.data[20] ^= 1;
    struct write write = {bytes_span(&key), bytes_span(&other), false};
    assert_ok(store_commit(store, NULL, 0, &write, 1, &f), &f);
    store_close(store);
    assert_int_equal(ca_open(fixture->database, fixture->signer, &fixture->basis, &fixture->ca, &f), ERR_IO);
    assert_int_equal(f.code, CODE_DAMAGED);
    fault_clear(&f);
    assert_ok(ca_store_open(fixture->database, &store, &f), &f);
    write.value = bytes_span(&leaf);
    assert_ok(store_commit(store, NULL, 0, &write, 1, &f), &f);
    store_close(store);
    assert_ok(ca_open(fixture->database, fixture->signer, &fixture->basis, &fixture->ca, &f), &f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(issued_certificate_is_stored_and_logged),
        cmocka_unit_test(checkpoint_covers_every_leaf),
        cmocka_unit_test(checkpoints_are_given_while_the_log_grows),
        cmocka_unit_test(denial_is_audited_and_nothing_is_issued),
        cmocka_unit_test(what_becomes_of_requests_is_counted),
        cmocka_unit_test(denial_that_is_not_admitted_leaves_nothing),
        cmocka_unit_test(dry_run_changes_nothing),
        cmocka_unit_test(token_gives_each_profile_once_and_the_same_key_the_same_answer),
        cmocka_unit_test(raced_token_gives_exactly_one_certificate),
        cmocka_unit_test(key_has_one_owner_before_and_after_indexing),
        cmocka_unit_test(raced_key_has_one_owner),
        cmocka_unit_test(unknown_revoked_and_wrong_tokens_are_refused),
        cmocka_unit_test(issuance_waits_for_a_signer),
        cmocka_unit_test(same_cluster_again_changes_nothing_and_another_one_is_refused),
        cmocka_unit_test(search_is_exact_before_and_after_indexing),
        cmocka_unit_test(rebuilt_indexes_find_the_same),
        cmocka_unit_test(damaged_log_is_noticed_at_start),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
