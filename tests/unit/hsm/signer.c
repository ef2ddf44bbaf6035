/* The signer as the server sees it: batches, bad drafts, bad messages, its death and its return. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "hsm/signer_message.h"
#include "tests/unit/hsm/fixture.h"

enum { AT_ONCE_SECONDS = 10 }; /* far below the 30 s that a call waits for an answer */

static struct house house;
static struct signer *signer;
static pid_t process;

static int group_setup(void **state)
{
    (void)state;
    struct fault f = {0};
    house_open(&house);
    assert_ok(signer_new(&signer, &f), &f);
    signer_attach(signer, signer_start(&house, &process));
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    signer_free(signer);
    int status = 0;
    assert_int_equal(waitpid(process, &status, 0), process); /* the end of the channel is its end */
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    house_close(&house);
    return 0;
}

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* ---- batches ---- */

struct batch {
    size_t count;
    struct signing *signings;
    struct bytes *drafts;
    struct fault *faults;
};

static void batch_make(const struct authority *authorities, size_t authorities_count, size_t count,
                       struct batch *ret_batch)
{
    struct batch batch = {count, calloc(count, sizeof(struct signing)), calloc(count, sizeof(struct bytes)),
                          calloc(count, sizeof(struct fault))};
    assert_true(batch.signings && batch.drafts && batch.faults);
    for (size_t i = 0; i < count; i++) {
        char name[32];
        const struct authority *authority = &authorities[i % authorities_count];
        snprintf(name, sizeof name, "node%zu", i);
        leaf_draft(authority, name, &batch.drafts[i]);
        batch.signings[i] = (struct signing){
            .blob = bytes_span(&authority->blob), .draft = bytes_span(&batch.drafts[i]), .fault = &batch.faults[i]};
    }
    *ret_batch = batch;
}

static void batch_cleanup(struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        bytes_free(&batch->signings[i].certificate);
        bytes_free(&batch->drafts[i]);
    }
    free(batch->signings);
    free(batch->drafts);
    free(batch->faults);
}

static void test_batches(void **state)
{
    (void)state;
    static const size_t counts[] = {1, 2, 3, 64, 500};
    struct fault f = {0};
    struct authority authorities[3];
    authority_make(signer, KEY_ECDSA_P256, &authorities[0]);
    authority_make(signer, KEY_ECDSA_P384, &authorities[1]);
    authority_make(signer, KEY_RSA_2048, &authorities[2]);
    for (size_t c = 0; c < ARRAY_SIZE(counts); c++) {
        CLEANUP(batch_cleanup) struct batch batch;
        batch_make(authorities, ARRAY_SIZE(authorities), counts[c], &batch);
        size_t bad = counts[c] / 2;
        batch.drafts[bad].data[batch.drafts[bad].size - 1] ^= 1; /* within the last extension */
        assert_ok(signer_sign(signer, batch.signings, batch.count, &f), &f);
        for (size_t i = 0; i < batch.count; i++) {
            struct signing *signing = &batch.signings[i];
            if (i == bad) {
                assert_int_not_equal(signing->err, OK);
                assert_null(signing->certificate.data);
                assert_int_equal(code_err(signing->fault->code), signing->err);
                continue;
            }
            assert_ok(signing->err, signing->fault);
            assert_true(certificate_good(&authorities[i % ARRAY_SIZE(authorities)], signing->draft,
                                         bytes_span(&signing->certificate)));
        }
    }
    for (size_t i = 0; i < ARRAY_SIZE(authorities); i++)
        authority_cleanup(&authorities[i]);
}

/* ---- CRLs ---- */

static void crl_draft(const struct authority *authority, size_t count, int64_t life, struct bytes *ret_draft)
{
    struct fault f = {0};
    struct crl_entry *entries = calloc(count + 1, sizeof *entries);
    assert_non_null(entries);
    for (size_t i = 0; i < count; i++)
        entries[i] =
            (struct crl_entry){.serial = {1, (uint8_t)(i >> 8), (uint8_t)i}, .revoked_at = 1800000000, .reason = 1};
    struct crl crl = {.signature_algorithm = signature_algorithm(authority->issuer.algorithm),
                      .issuer_name = authority->issuer.name,
                      .number = 1,
                      .this_update = 1800000000,
                      .next_update = 1800000000 + life,
                      .entries = entries,
                      .entries_count = count};
    memcpy(crl.authority_key_identifier, authority->issuer.key_identifier, KEY_IDENTIFIER_SIZE);
    assert_ok(crl_build(&crl, ret_draft, &f), &f);
    free(entries);
}

/* The largest one, too; what is not a CRL of this key's, or no CRL, is not signed. */
static void test_crl(void **state)
{
    (void)state;
    static const size_t counts[] = {0, 1, CRL_ENTRIES_MAX};
    struct fault f = {0};
    struct authority authority, other;
    AUTO(bytes) crl = {0};
    AUTO(bytes) wrong = {0};
    AUTO(bytes) leaf = {0};
    authority_make(signer, KEY_RSA_4096, &authority);
    authority_make(signer, KEY_ECDSA_P256, &other);
    for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
        AUTO(bytes) draft = {0};
        AUTO(bytes) der = {0};
        AUTO(crl) read = {0};
        crl_draft(&authority, counts[i], 86400, &draft);
        assert_ok(signer_sign_crl(signer, bytes_span(&authority.blob), bytes_span(&draft), &der, &f), &f);
        assert_ok(crl_parse_signed(bytes_span(&der), &read, &f), &f);
        assert_int_equal(read.entries_count, counts[i]);
        assert_fault(signer_sign_crl(signer, bytes_span(&other.blob), bytes_span(&draft), &crl, &f), &f,
                     CODE_POLICY_DENIED);
    }
    crl_draft(&authority, 1, CRL_LIFE_MAX_SECONDS + 1, &wrong);
    assert_fault(signer_sign_crl(signer, bytes_span(&authority.blob), bytes_span(&wrong), &crl, &f), &f,
                 CODE_POLICY_DENIED);
    leaf_draft(&authority, "etcdone", &leaf);
    assert_int_equal(signer_sign_crl(signer, bytes_span(&authority.blob), bytes_span(&leaf), &crl, &f), ERR_INPUT);
    assert_null(crl.data);
    authority_cleanup(&authority);
    authority_cleanup(&other);
}

/* The memory of the signer grows and shrinks: whatever the C library does then must be among the permitted calls. */
static void test_load_comes_and_goes(void **state)
{
    (void)state;
    enum { ROUNDS = 40, LARGE = 500 };
    struct fault f = {0};
    CLEANUP(authority_cleanup) struct authority authority;
    authority_make(signer, KEY_ECDSA_P256, &authority);
    CLEANUP(batch_cleanup) struct batch batch;
    batch_make(&authority, 1, LARGE, &batch);
    for (size_t round = 0; round < ROUNDS; round++) {
        size_t count = round % 2 ? 1 : LARGE;
        assert_ok(signer_sign(signer, batch.signings, count, &f), &f);
        for (size_t i = 0; i < count; i++) {
            assert_ok(batch.signings[i].err, batch.signings[i].fault);
            bytes_free(&batch.signings[i].certificate);
        }
    }
}

/* Bad in different ways, each alone. */
static void test_bad_signings_fail_alone(void **state)
{
    (void)state;
    enum { GOOD, DENIED, DAMAGED, LARGE, EMPTY, COUNT };
    static const enum code expected[COUNT] = {CODE_NONE, CODE_POLICY_DENIED, CODE_DAMAGED, CODE_TOO_LARGE,
                                              CODE_MALFORMED};
    static uint8_t large[MESSAGE_SIZE_MAX];
    struct fault f = {0};
    CLEANUP(authority_cleanup) struct authority authority;
    CLEANUP(batch_cleanup) struct batch batch;
    AUTO(bytes) wide = {0};
    struct certificate_content content;
    authority_make(signer, KEY_ECDSA_P256, &authority);
    batch_make(&authority, 1, 2 * COUNT, &batch);
    leaf_content("etcdone", &content);
    content.extended_key_usage |= EXTENDED_CLIENT_AUTH;
    draft_make(&authority, &content, &wide);
    batch.signings[DENIED].draft = bytes_span(&wide);
    batch.signings[DAMAGED].blob = span_text("no blob");
    batch.signings[LARGE].draft = SPAN_OF(large);
    batch.signings[EMPTY].draft = span(NULL, 0);
    assert_ok(signer_sign(signer, batch.signings, batch.count, &f), &f);
    for (size_t i = 0; i < batch.count; i++) {
        enum code code = i < COUNT ? expected[i] : CODE_NONE;
        assert_string_equal(code_name(batch.faults[i].code), code_name(code));
        assert_int_equal(batch.signings[i].certificate.size > 0, code == CODE_NONE);
    }
    assert_true(batch.faults[DENIED].reasons_count > 0);
    assert_ok(signer_sign(signer, NULL, 0, &f), &f);
}

/* ---- concurrency ---- */

enum { CALLERS = 8, CALLS = 50 };

static void *caller_run(void *argument)
{
    const struct authority *authority = argument;
    struct fault f = {0};
    size_t good = 0;
    for (size_t call = 0; call < CALLS; call++) {
        CLEANUP(batch_cleanup) struct batch batch;
        batch_make(authority, 1, 1 + call % 5, &batch);
        if (signer_sign(signer, batch.signings, batch.count, &f) != OK)
            break;
        bool all = true;
        for (size_t i = 0; i < batch.count; i++)
            all =
                all && certificate_good(authority, batch.signings[i].draft, bytes_span(&batch.signings[i].certificate));
        good += all;
    }
    return (void *)good; /* NOLINT: a number */
}

static void test_callers_at_once(void **state)
{
    (void)state;
    CLEANUP(authority_cleanup) struct authority authority;
    AUTO(bytes) draft = {0};
    pthread_t threads[CALLERS];
    authority_make(signer, KEY_ECDSA_P256, &authority);
    leaf_draft(&authority, "first", &draft); /* makes the key of all leaves before there are threads */
    for (size_t i = 0; i < CALLERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, caller_run, &authority), 0);
    for (size_t i = 0; i < CALLERS; i++) {
        void *good = NULL;
        pthread_join(threads[i], &good);
        assert_int_equal((size_t)good, CALLS);
    }
}

/* ---- death and return ---- */

static void test_killed_and_replaced(void **state)
{
    (void)state;
    struct fault f = {0};
    CLEANUP(authority_cleanup) struct authority authority;
    CLEANUP(batch_cleanup) struct batch batch;
    AUTO(bytes) blob = {0};
    uint8_t public_key[LOG_PUBLIC_KEY_SIZE];
    authority_make(signer, KEY_ECDSA_P256, &authority);
    batch_make(&authority, 1, 20, &batch);
    assert_true(signer_up(signer));

    signer_kill(process);
    double start = seconds_now();
    assert_fault(signer_sign(signer, batch.signings, batch.count, &f), &f, CODE_SIGNER_DOWN);
    assert_fault(signer_make_log(signer, "origin", &blob, public_key, &f), &f, CODE_SIGNER_DOWN);
    assert_true(seconds_now() - start < AT_ONCE_SECONDS);
    while (signer_up(signer))
        assert_true(seconds_now() - start < AT_ONCE_SECONDS);
    for (size_t i = 0; i < batch.count; i++) {
        assert_int_equal(batch.signings[i].err, ERR_IO);
        assert_null(batch.signings[i].certificate.data);
    }

    signer_attach(signer, signer_start(&house, &process));
    assert_true(signer_up(signer));
    assert_ok(signer_sign(signer, batch.signings, batch.count, &f), &f);
    for (size_t i = 0; i < batch.count; i++)
        assert_true(certificate_good(&authority, batch.signings[i].draft, bytes_span(&batch.signings[i].certificate)));
}

static void *log_maker_run(void *argument)
{
    (void)argument;
    struct fault f = {0};
    struct bytes blob = {0};
    uint8_t public_key[LOG_PUBLIC_KEY_SIZE];
    enum err err = signer_make_log(signer, "origin", &blob, public_key, &f);
    bytes_free(&blob);
    return (void *)(uintptr_t)(err == OK ? CODE_NONE : f.code); /* NOLINT: a number */
}

/* A call that waits while the signer hangs is ended by its death, and by another channel. */
static void test_waiting_calls_fail(void **state)
{
    (void)state;
    for (int attach_first = 0; attach_first < 2; attach_first++) {
        pthread_t caller;
        void *code = NULL;
        int channel[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel), 0);
        signer_attach(signer, channel[0]); /* of which this test is the other end */
        assert_int_equal(waitpid(process, NULL, 0), process);
        double start = seconds_now();
        uint8_t byte;
        assert_int_equal(pthread_create(&caller, NULL, log_maker_run, NULL), 0);
        assert_int_equal(recv(channel[1], &byte, 1, MSG_PEEK), 1);
        int next = signer_start(&house, &process);
        if (attach_first)
            signer_attach(signer, next);
        else
            close(channel[1]);
        pthread_join(caller, &code);
        assert_int_equal((uintptr_t)code, CODE_SIGNER_DOWN);
        assert_true(seconds_now() - start < AT_ONCE_SECONDS);
        if (attach_first)
            close(channel[1]);
        else
            signer_attach(signer, next);
        assert_null(log_maker_run(NULL)); /* works again */
    }
}

static void test_without_channel(void **state)
{
    (void)state;
    struct fault f = {0};
    struct signer *lonely = NULL;
    struct bytes blob = {0};
    uint8_t public_key[LOG_PUBLIC_KEY_SIZE];
    assert_ok(signer_new(&lonely, &f), &f);
    assert_false(signer_up(lonely));
    assert_fault(signer_make_log(lonely, "origin", &blob, public_key, &f), &f, CODE_SIGNER_DOWN);
    signer_free(lonely);
}

static void test_wrong_seal_key(void **state)
{
    (void)state;
    struct house other;
    struct fault f = {0};
    int channel[2], ready[2];
    char byte;
    house_open(&other);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, channel), 0);
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        enum err err = signer_run(channel[1], ready[1], &other.config, house.state, &f);
        _exit(err == ERR_IO && f.code == CODE_SEALED ? 7 : 1);
    }
    int status = 0;
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WEXITSTATUS(status), 7);
    close(ready[0]);
    close(channel[0]);
    close(channel[1]);
    house_close(&other);
}

/* ---- checkpoints ---- */

static enum err sign_checkpoint(const struct bytes *blob, const uint8_t *public_key, const char *origin, uint64_t size,
                                uint8_t root, struct fault *f)
{
    struct checkpoint checkpoint = {.size = size};
    AUTO(bytes) text = {0};
    uint8_t signature[LOG_SIGNATURE_SIZE];
    snprintf(checkpoint.origin, sizeof checkpoint.origin, "%s", origin);
    memset(checkpoint.root.data, root, sizeof checkpoint.root.data);
    checkpoint_text(&checkpoint, &text);
    TRY(signer_sign_checkpoint(signer, bytes_span(blob), bytes_span(&text), signature, f));
    assert_int_equal(crypto_sign_verify_detached(signature, text.data, text.size, public_key), 0);
    return OK;
}

static void test_log_cannot_fork(void **state)
{
    (void)state;
    static const struct {
        const char *origin;
        uint64_t size;
        uint8_t root;
        bool allowed;
    } cases[] = {
        {"a.example", 5, 1, true},  {"a.example", 5, 1, true},   {"a.example", 5, 2, false}, {"a.example", 4, 1, false},
        {"b.example", 9, 1, false}, {"a.example", 6, 3, true},   {"a.example", 5, 1, false}, {"a.example", 0, 0, false},
        {"a.example", 6, 3, true},  {"a.example", 100, 4, true},
    };
    struct fault f = {0};
    AUTO(bytes) blob = {0}, second = {0};
    uint8_t public_key[LOG_PUBLIC_KEY_SIZE], second_key[LOG_PUBLIC_KEY_SIZE];
    assert_ok(signer_make_log(signer, "a.example", &blob, public_key, &f), &f);
    assert_ok(signer_make_log(signer, "a.example", &second, second_key, &f), &f);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        enum err err = sign_checkpoint(&blob, public_key, cases[i].origin, cases[i].size, cases[i].root, &f);
        assert_int_equal(err, cases[i].allowed ? OK : ERR_DENIED);
        fault_clear(&f);
    }
    assert_ok(sign_checkpoint(&second, second_key, "a.example", 1, 1, &f), &f); /* each key by itself */
    assert_fault(signer_make_log(signer, "two words", &blob, public_key, &f), &f, CODE_INVALID);
}

static void test_keys_do_not_change_roles(void **state)
{
    (void)state;
    struct fault f = {0};
    CLEANUP(authority_cleanup) struct authority authority;
    CLEANUP(batch_cleanup) struct batch batch;
    AUTO(bytes) log = {0};
    uint8_t public_key[LOG_PUBLIC_KEY_SIZE];
    authority_make(signer, KEY_ECDSA_P256, &authority);
    batch_make(&authority, 1, 1, &batch);
    assert_ok(signer_make_log(signer, "a.example", &log, public_key, &f), &f);
    assert_fault(sign_checkpoint(&authority.blob, public_key, "a.example", 1, 1, &f), &f, CODE_POLICY_DENIED);
    batch.signings[0].blob = bytes_span(&log);
    assert_ok(signer_sign(signer, batch.signings, 1, &f), &f);
    assert_int_equal(batch.signings[0].err, ERR_DENIED);
}

/* ---- messages that no server of ours sends ---- */

/* One request of each verb that is answered without a fault. */
static void requests_make(const struct authority *authority, const struct bytes *log, struct bytes requests[VERB_COUNT])
{
    struct authority_request request = {.algorithm = KEY_ECDSA_P256,
                                        .extended_key_usage = EXTENDED_SERVER_AUTH,
                                        .lifetime_max_seconds = 86400,
                                        .serial = {1}};
    struct grant grant;
    authority_content(&request.content, &grant);
    request_begin(&requests[VERB_MAKE_AUTHORITY], 1, VERB_MAKE_AUTHORITY);
    authority_request_pack(&request, &requests[VERB_MAKE_AUTHORITY]);

    request_begin(&requests[VERB_MAKE_LOG], 2, VERB_MAKE_LOG);
    pack_text(&requests[VERB_MAKE_LOG], "a.example");

    static struct sign_request sign;
    AUTO(bytes) draft = {0}, text = {0};
    sign = (struct sign_request){0};
    leaf_draft(authority, "etcdone", &draft);
    assert_true(sign_request_add(&sign, bytes_span(&authority->blob), bytes_span(&draft)));
    request_begin(&requests[VERB_SIGN_CERTIFICATES], 3, VERB_SIGN_CERTIFICATES);
    sign_request_pack(&sign, &requests[VERB_SIGN_CERTIFICATES]);

    struct checkpoint checkpoint = {.origin = "a.example", .size = 1};
    checkpoint_text(&checkpoint, &text);
    request_begin(&requests[VERB_SIGN_CHECKPOINT], 4, VERB_SIGN_CHECKPOINT);
    pack_span(&requests[VERB_SIGN_CHECKPOINT], bytes_span(log));
    pack_span(&requests[VERB_SIGN_CHECKPOINT], bytes_span(&text));

    request_begin(&requests[VERB_IMPORT_KEY], 5, VERB_IMPORT_KEY);

    static const uint8_t serial[SERIAL_SIZE] = {1};
    request_begin(&requests[VERB_REISSUE_AUTHORITY], 7, VERB_REISSUE_AUTHORITY);
    pack_span(&requests[VERB_REISSUE_AUTHORITY], bytes_span(&authority->blob));
    pack_fixed(&requests[VERB_REISSUE_AUTHORITY], SPAN_OF(serial));
    pack_i64(&requests[VERB_REISSUE_AUTHORITY], time(NULL));

    bytes_free(&draft);
    crl_draft(authority, 3, 86400, &draft);
    request_begin(&requests[VERB_SIGN_CRL], 8, VERB_SIGN_CRL);
    pack_span(&requests[VERB_SIGN_CRL], bytes_span(&authority->blob));
    pack_span(&requests[VERB_SIGN_CRL], bytes_span(&draft));
}

/* The box is for this one signer. */
static void import_request_make(int fd, const struct bytes *key_request, struct bytes *out)
{
    struct import_request request = {.extended_key_usage = EXTENDED_SERVER_AUTH, .lifetime_max_seconds = 86400};
    AUTO(bytes) certificate = {0}, pkcs8 = {0}, box = {0};
    uint8_t answer[256], public_key[IMPORT_PUBLIC_KEY_SIZE];
    assert_int_equal(send(fd, key_request->data, key_request->size, MSG_NOSIGNAL), (ssize_t)key_request->size);
    ssize_t size = recv(fd, answer, sizeof answer, 0);
    assert_int_equal(size, 8 + 2 + IMPORT_PUBLIC_KEY_SIZE);
    memcpy(public_key, answer + 10, sizeof public_key);
    foreign_make(KEY_ECDSA_P256, &certificate, &pkcs8);
    box_make(public_key, bytes_span(&pkcs8), &box);
    request.certificate = bytes_span(&certificate);
    request.box = bytes_span(&box);
    request.now = time(NULL);
    request_begin(out, 6, VERB_IMPORT_AUTHORITY);
    import_request_pack(&request, out);
}

/* The code of the answer, which must come and echo the id (0 where the request has not even that). */
static enum code answer_code(int fd, struct span request)
{
    static uint8_t answer[MESSAGE_SIZE_MAX];
    assert_int_equal(send(fd, request.data, request.size, MSG_NOSIGNAL), (ssize_t)request.size);
    ssize_t size = recv(fd, answer, sizeof answer, 0);
    assert_true(size >= 10);
    struct unpack in = unpack_begin(span(answer, (size_t)size)), sent = unpack_begin(request);
    assert_int_equal(unpack_u64(&in), unpack_u64(&sent));
    return unpack_u16(&in);
}

static void truncations_try(int fd, const struct bytes *request)
{
    for (size_t size = 1; size < request->size; size++)
        assert_int_not_equal(answer_code(fd, span(request->data, size)), CODE_NONE);
}

/* Deterministic, so that a failure can be seen again. A mutation of the algorithm is left out: it is tested elsewhere,
 * and RSA keys take long. */
static void mutations_try(int fd, const struct bytes *request, enum verb verb, size_t rounds)
{
    uint32_t random = 2463534242U;
    for (size_t round = 0; round < rounds; round++) {
        AUTO(bytes) mutated = {0};
        bytes_append(&mutated, request->data, request->size);
        for (size_t change = 0; change <= round % 3; change++) {
            random = random * 1664525U + 1013904223U;
            size_t at = 8 + (random >> 8) % (request->size - 8);
            uint8_t byte = (uint8_t)(random >> 3), bit = (uint8_t)(1U << (random & 7));
            if (verb != VERB_MAKE_AUTHORITY || at != 9)
                mutated.data[at] = round % 2 ? byte : mutated.data[at] ^ bit;
        }
        answer_code(fd, bytes_span(&mutated));
    }
}

static void test_bad_messages(void **state)
{
    (void)state;
    struct fault f = {0};
    CLEANUP(authority_cleanup) struct authority authority;
    AUTO(bytes) log = {0};
    struct bytes requests[VERB_COUNT] = {0};
    uint8_t public_key[LOG_PUBLIC_KEY_SIZE];
    authority_make(signer, KEY_ECDSA_P256, &authority);
    assert_ok(signer_make_log(signer, "a.example", &log, public_key, &f), &f);
    requests_make(&authority, &log, requests);

    pid_t victim;
    int status = 0, fd = signer_start(&house, &victim);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){.tv_sec = 20}, sizeof(struct timeval));
    import_request_make(fd, &requests[VERB_IMPORT_KEY], &requests[VERB_IMPORT_AUTHORITY]);
    for (enum verb verb = 1; verb < VERB_COUNT; verb++) {
        assert_int_equal(answer_code(fd, bytes_span(&requests[verb])), CODE_NONE); /* control */
        truncations_try(fd, &requests[verb]);
        mutations_try(fd, &requests[verb], verb, 1500);
        bytes_append(&requests[verb], "", 1);
        assert_int_not_equal(answer_code(fd, bytes_span(&requests[verb])), CODE_NONE);
    }
    static const uint8_t no_verbs[][9] = {{[8] = 0}, {[8] = VERB_COUNT}, {[8] = 255}};
    for (size_t i = 0; i < ARRAY_SIZE(no_verbs); i++)
        assert_string_equal(code_name(answer_code(fd, SPAN_OF(no_verbs[i]))), "malformed");
    static uint8_t largest[MESSAGE_SIZE_MAX + 100];
    memset(largest, 0xff, sizeof largest);
    for (enum verb verb = 1; verb < VERB_COUNT; verb++) {
        largest[8] = (uint8_t)verb;
        assert_int_not_equal(answer_code(fd, SPAN_OF(largest)), CODE_NONE);
    }
    assert_int_equal(waitpid(victim, &status, WNOHANG), 0); /* it lives */
    close(fd);
    assert_int_equal(waitpid(victim, &status, 0), victim);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    for (enum verb verb = 1; verb < VERB_COUNT; verb++)
        bytes_free(&requests[verb]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_batches),
        cmocka_unit_test(test_crl),
        cmocka_unit_test(test_load_comes_and_goes),
        cmocka_unit_test(test_bad_signings_fail_alone),
        cmocka_unit_test(test_callers_at_once),
        cmocka_unit_test(test_killed_and_replaced),
        cmocka_unit_test(test_waiting_calls_fail),
        cmocka_unit_test(test_without_channel),
        cmocka_unit_test(test_wrong_seal_key),
        cmocka_unit_test(test_log_cannot_fork),
        cmocka_unit_test(test_keys_do_not_change_roles),
        cmocka_unit_test(test_bad_messages),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
