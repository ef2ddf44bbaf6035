/* The signer's process: the message loop and the verbs. */
#include "hsm/signer.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ca/x509/foreign.h"
#include "hsm/key_cache.h"
#include "hsm/log_guard.h"
#include "hsm/sandbox.h"
#include "hsm/signer_message.h"

struct service {
    int fd;
    struct seal seal;
    struct key_cache *keys;
    struct log_guard logs;
    struct import_key import;
    pthread_barrier_t started; /* all threads have what they need before system calls are restricted */
};

/* ---- the verbs: each reads the body of a request and appends the body of the answer ---- */

static enum err authority_make(struct service *service, struct unpack *in, struct bytes *answer, struct fault *f)
{
    struct authority_request request;
    AUTO(bytes) blob = {0}, certificate = {0};
    TRY(authority_request_unpack(in, &request, f));
    CLEANUP(certificate_content_cleanup) struct certificate_content content = request.content;
    struct grant grant = {.extended_key_usage = request.extended_key_usage,
                          .lifetime_max_seconds = request.lifetime_max_seconds};
    TRY(key_make_authority(&service->seal, request.algorithm, &content, &grant, request.serial, &blob, &certificate,
                           f));
    pack_span(answer, bytes_span(&blob));
    pack_span(answer, bytes_span(&certificate));
    return OK;
}

static enum err log_make(struct service *service, struct unpack *in, struct bytes *answer, struct fault *f)
{
    char origin[LOG_ORIGIN_MAX + 1];
    uint8_t public_key[LOG_PUBLIC_KEY_SIZE];
    AUTO(bytes) blob = {0};
    unpack_text(in, origin, sizeof origin);
    TRY(unpack_finish(in, "a request to the signer", f));
    TRY(key_make_log(&service->seal, origin, &blob, public_key, f));
    pack_span(answer, bytes_span(&blob));
    pack_fixed(answer, SPAN_OF(public_key));
    return OK;
}

static enum err certificate_sign(struct service *service, struct span blob, struct span draft,
                                 struct bytes *ret_certificate, struct fault *f)
{
    struct cached_key *key;
    TRY(key_cache_get(service->keys, blob, &key, f));
    enum err err = key_sign_certificate(cached_key(key), draft, ret_certificate, f);
    key_cache_release(service->keys, key);
    return err;
}

static enum err certificates_sign(struct service *service, struct unpack *in, struct bytes *answer, struct fault *f)
{
    struct sign_request request;
    TRY(sign_request_unpack(in, &request, f));
    for (size_t i = 0; i < request.drafts_count; i++) {
        struct span draft = request.drafts[i].draft;
        AUTO(bytes) certificate = {0};
        struct fault fault;
        fault_clear(&fault);
        if (certificate_sign(service, request.blobs[request.drafts[i].blob], draft, &certificate, &fault) != OK) {
            result_pack_fault(answer, &fault, draft.size + SIGN_OVERHEAD);
            continue;
        }
        result_pack(answer);
        pack_span(answer, bytes_span(&certificate));
    }
    return OK;
}

static enum err crl_sign(struct service *service, struct unpack *in, struct bytes *answer, struct fault *f)
{
    struct span blob = unpack_span(in), draft = unpack_span(in);
    struct cached_key *key;
    AUTO(bytes) crl = {0};
    TRY(unpack_finish(in, "a request to the signer", f));
    TRY(key_cache_get(service->keys, blob, &key, f));
    enum err err = key_sign_crl(cached_key(key), draft, &crl, f);
    key_cache_release(service->keys, key);
    TRY(err);
    pack_span(answer, bytes_span(&crl));
    return OK;
}

static enum err checkpoint_sign(struct service *service, struct unpack *in, struct bytes *answer, struct fault *f)
{
    struct span blob = unpack_span(in), text = unpack_span(in);
    uint8_t signature[LOG_SIGNATURE_SIZE];
    struct cached_key *key;
    TRY(unpack_finish(in, "a request to the signer", f));
    TRY(key_cache_get(service->keys, blob, &key, f));
    enum err err = log_guard_sign(&service->logs, cached_key(key), text, signature, f);
    key_cache_release(service->keys, key);
    TRY(err);
    pack_fixed(answer, SPAN_OF(signature));
    return OK;
}

static enum err import_key_tell(struct service *service, struct unpack *in, struct bytes *answer, struct fault *f)
{
    TRY(unpack_finish(in, "a request to the signer", f));
    pack_fixed(answer, SPAN_OF(service->import.public_key));
    return OK;
}

static enum err authority_import(struct service *service, struct unpack *in, struct bytes *answer, struct fault *f)
{
    struct import_request request;
    AUTO(certificate) certificate = {0};
    AUTO(secret) pkcs8 = {0};
    AUTO(bytes) blob = {0};
    TRY(import_request_unpack(in, &request, f));
    struct grant grant = {.extended_key_usage = request.extended_key_usage,
                          .lifetime_max_seconds = request.lifetime_max_seconds};
    TRY(certificate_parse_authority(request.certificate, &certificate, f));
    TRY(foreign_authority_check(&certificate, request.extended_key_usage, request.now, f));
    TRY(import_key_open(&service->import, request.box, &pkcs8, f));
    TRY(key_import_authority(&service->seal, &pkcs8, &certificate, &grant, &blob, f));
    pack_span(answer, bytes_span(&blob));
    return OK;
}

static enum err authority_reissue(struct service *service, struct unpack *in, struct bytes *answer, struct fault *f)
{
    struct span blob = unpack_span(in);
    uint8_t serial[SERIAL_SIZE];
    struct cached_key *key;
    AUTO(bytes) certificate = {0};
    unpack_fixed(in, serial, sizeof serial);
    int64_t not_before = unpack_i64(in);
    TRY(unpack_finish(in, "a request to the signer", f));
    TRY(key_cache_get(service->keys, blob, &key, f));
    enum err err = key_reissue_authority(cached_key(key), serial, not_before, &certificate, f);
    key_cache_release(service->keys, key);
    TRY(err);
    pack_span(answer, bytes_span(&certificate));
    return OK;
}

static enum err (*const verbs[VERB_COUNT])(struct service *, struct unpack *, struct bytes *, struct fault *) = {
    [VERB_MAKE_AUTHORITY] = authority_make,       [VERB_MAKE_LOG] = log_make,
    [VERB_SIGN_CERTIFICATES] = certificates_sign, [VERB_SIGN_CHECKPOINT] = checkpoint_sign,
    [VERB_IMPORT_KEY] = import_key_tell,          [VERB_IMPORT_AUTHORITY] = authority_import,
    [VERB_REISSUE_AUTHORITY] = authority_reissue, [VERB_SIGN_CRL] = crl_sign,
};

/* ---- the loop ---- */

static enum err request_run(struct service *service, struct unpack *in, struct bytes *answer, struct fault *f)
{
    uint8_t verb = unpack_u8(in);
    if (verb >= VERB_COUNT || !verbs[verb])
        return fault_set(f, CODE_MALFORMED, "the signer has no verb %u", verb);
    TRY(verbs[verb](service, in, answer, f));
    TRY(bytes_check(answer, f));
    if (answer->size > MESSAGE_SIZE_MAX)
        return fault_set(f, CODE_TOO_LARGE, "an answer of the signer would be larger than a message");
    return OK;
}

/* A request of which there is no more than an id, or not even that, is answered all the same. */
static void request_answer(struct service *service, struct span request, struct bytes *ret_answer)
{
    struct unpack in = unpack_begin(request);
    struct fault fault;
    fault_clear(&fault);
    uint64_t id = unpack_u64(&in);
    answer_begin(ret_answer, id);
    if (request_run(service, &in, ret_answer, &fault) == OK)
        return;
    bytes_free(ret_answer);
    answer_fault(ret_answer, id, &fault);
}

/* The process ends with its channel: what the other threads still do has nobody left to want it. An empty message is
 * what the end of the channel looks like. Without memory the process ends, too: another one is started. */
static _Noreturn void *worker_run(void *argument)
{
    struct service *service = argument;
    uint8_t *request = malloc(MESSAGE_SIZE_MAX);
    if (!request)
        _exit(1);
    pthread_barrier_wait(&service->started);
    for (;;) {
        AUTO(bytes) answer = {0};
        ssize_t size = recv(service->fd, request, MESSAGE_SIZE_MAX, 0);
        if (size < 0 && errno == EINTR)
            continue;
        if (size <= 0)
            _exit(size < 0 && errno != ECONNRESET); /* reset: the server died with answers unread */
        request_answer(service, span(request, (size_t)size), &answer);
        if (answer.failed)
            _exit(1);
        send(service->fd, answer.data, answer.size, MSG_NOSIGNAL); /* if nobody listens, the next recv() says so */
    }
}

/* All threads but the first, which is the caller's. */
static enum err service_start(struct service *service, struct fault *f)
{
    size_t threads = signer_thread_count();
    TRY(key_cache_new(&service->seal, &service->keys, f));
    pthread_mutex_init(&service->logs.lock, NULL);
    pthread_barrier_init(&service->started, NULL, (unsigned)threads);
    for (size_t i = 1; i < threads; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, worker_run, service) != 0)
            return fault_set(f, CODE_NO_MEMORY, "the signer cannot start its threads");
    }
    return OK;
}

enum err signer_run(int fd, int ready_fd, const struct seal_config *config, const char *state, struct fault *f)
{
    static struct service service; /* of the threads, too, so it lives until the process ends */
    int keep[] = {STDERR_FILENO, fd, ready_fd};
    service.fd = fd;
    channel_prepare(fd);
    signal(SIGINT, SIG_IGN); /* it ends with its channel: a server that drains still signs */
    signal(SIGTERM, SIG_IGN);
    TRY(sandbox_descriptors(keep, ARRAY_SIZE(keep), f));
    TRY(sandbox_privileges(f));
    TRY(sandbox_libraries(f));
    TRY(seal_open(config, state, &service.seal, f));
    TRY(import_key_new(&service.import, f));
    TRY(sandbox_memory(f));
    TRY(sandbox_files(NULL, f));
    TRY(service_start(&service, f));
    TRY(sandbox_calls(SANDBOX_SIGNER, f));
    if (write(ready_fd, "R", 1) != 1)
        return fault_errno(f, "the signer cannot say that it is ready");
    close(ready_fd);
    worker_run(&service);
}
