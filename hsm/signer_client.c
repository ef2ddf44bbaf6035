/* The server's side of the signer: calls, the channel that carries them, and the thread that takes the answers. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "hsm/signer.h"
#include "hsm/signer_message.h"

enum { ANSWER_SECONDS = 30 };

/* One request on its way; in the list of its channel until it is answered or given up. */
struct call {
    uint64_t id;
    struct channel *channel;
    struct call *next;
    pthread_cond_t ended_signal;
    bool ended;
    struct bytes answer; /* without the id; empty when the channel broke */
};

struct channel {
    struct signer *signer;
    int fd;
    bool up;
    size_t users; /* calls, the receiving thread and the signer; the last one closes it */
    struct call *waiting;
    pthread_t receiver;
};

struct signer {
    pthread_mutex_t lock; /* over all that calls and channels hold */
    atomic_uint_fast64_t last_id;
    size_t threads;          /* of the signer */
    struct channel *channel; /* NULL before the first */
    bool stuck;              /* for signer_take_stuck() */
    struct histogram sign_durations;
};

/* ---- channels ---- */

/* Under the lock. */
static void channel_release(struct channel *channel)
{
    if (--channel->users > 0)
        return;
    close(channel->fd);
    free(channel);
}

/* Takes the call out of the list of its channel; false when it is not in it. Under the lock. */
static bool call_unlink(struct call *call)
{
    for (struct call **link = &call->channel->waiting; *link; link = &(*link)->next)
        if (*link == call) {
            *link = call->next;
            return true;
        }
    return false;
}

/* Under the lock. */
static void call_end(struct call *call)
{
    call_unlink(call);
    call->ended = true;
    pthread_cond_signal(&call->ended_signal);
}

static struct call *call_find(struct channel *channel, uint64_t id)
{
    struct call *call = channel->waiting;
    while (call && call->id != id)
        call = call->next;
    return call;
}

/* An answer that nobody waits for any more is dropped. */
static void answer_deliver(struct channel *channel, struct span message)
{
    struct unpack in = unpack_begin(message);
    uint64_t id = unpack_u64(&in);
    pthread_mutex_lock(&channel->signer->lock);
    struct call *call = call_find(channel, id);
    if (call) {
        bytes_append_span(&call->answer, in.rest);
        call_end(call);
    }
    pthread_mutex_unlock(&channel->signer->lock);
}

static void *receiver_run(void *argument)
{
    struct channel *channel = argument;
    struct signer *signer = channel->signer;
    uint8_t *message = malloc(MESSAGE_SIZE_MAX);
    ssize_t size = 0;
    do {
        size = message ? recv(channel->fd, message, MESSAGE_SIZE_MAX, 0) : 0;
        if (size > 0)
            answer_deliver(channel, span(message, (size_t)size));
    } while (size > 0 || (size < 0 && errno == EINTR));
    free(message);

    pthread_mutex_lock(&signer->lock);
    channel->up = false;
    shutdown(channel->fd, SHUT_RDWR); /* a signer that nobody hears ends, and another one is started */
    while (channel->waiting)
        call_end(channel->waiting);
    channel_release(channel);
    pthread_mutex_unlock(&signer->lock);
    return NULL;
}

/* NULL when there is no memory for it. */
static struct channel *channel_new(struct signer *signer, int take_fd)
{
    const struct timeval patience = {.tv_sec = ANSWER_SECONDS};
    channel_prepare(take_fd);
    setsockopt(take_fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    struct channel *channel = malloc(sizeof *channel);
    if (channel) {
        *channel = (struct channel){.signer = signer, .fd = take_fd, .up = true, .users = 2};
        if (pthread_create(&channel->receiver, NULL, receiver_run, channel) == 0)
            return channel;
        free(channel);
    }
    close(take_fd);
    return NULL;
}

/* Puts another channel, or none, in the place of the current one, and ends that. */
static void channel_replace(struct signer *signer, struct channel *next)
{
    pthread_mutex_lock(&signer->lock);
    struct channel *old = signer->channel;
    signer->channel = next;
    pthread_mutex_unlock(&signer->lock);
    if (!old)
        return;
    shutdown(old->fd, SHUT_RDWR);
    pthread_join(old->receiver, NULL);
    pthread_mutex_lock(&signer->lock);
    channel_release(old);
    pthread_mutex_unlock(&signer->lock);
}

enum err signer_new(struct signer **ret_signer, struct fault *f)
{
    struct signer *signer = calloc(1, sizeof *signer);
    if (!signer)
        return fault_no_memory(f);
    pthread_mutex_init(&signer->lock, NULL);
    signer->threads = signer_thread_count();
    *ret_signer = signer;
    return OK;
}

void signer_attach(struct signer *signer, int take_fd)
{
    channel_replace(signer, channel_new(signer, take_fd));
}

bool signer_up(struct signer *signer)
{
    pthread_mutex_lock(&signer->lock);
    bool up = signer->channel && signer->channel->up;
    pthread_mutex_unlock(&signer->lock);
    return up;
}

bool signer_take_stuck(struct signer *signer)
{
    pthread_mutex_lock(&signer->lock);
    bool stuck = signer->stuck;
    signer->stuck = false;
    pthread_mutex_unlock(&signer->lock);
    return stuck;
}

void signer_free(struct signer *signer)
{
    if (!signer)
        return;
    channel_replace(signer, NULL);
    pthread_mutex_destroy(&signer->lock);
    free(signer);
}

/* ---- calls ---- */

static enum err fault_down(struct fault *f)
{
    return fault_set(f, CODE_SIGNER_DOWN, "the signer is not running: it is being started again, so try again soon");
}

static struct timespec deadline_make(void)
{
    struct timespec deadline;
    clock_gettime(CLOCK_MONOTONIC, &deadline);
    deadline.tv_sec += ANSWER_SECONDS;
    return deadline;
}

static void call_begin(struct signer *signer, enum verb verb, struct call *call, struct bytes *request)
{
    *call = (struct call){.id = atomic_fetch_add(&signer->last_id, 1) + 1, .ended_signal = PTHREAD_COND_INITIALIZER};
    request_begin(request, call->id, verb);
}

static void call_cleanup(struct call *call)
{
    bytes_free(&call->answer);
    pthread_cond_destroy(&call->ended_signal);
}

/* Puts the call into the list of the current channel; false when there is none. */
static bool call_link(struct signer *signer, struct call *call)
{
    pthread_mutex_lock(&signer->lock);
    struct channel *channel = signer->channel;
    bool up = channel && channel->up;
    if (up) {
        channel->users++;
        call->channel = channel;
        call->next = channel->waiting;
        channel->waiting = call;
    }
    pthread_mutex_unlock(&signer->lock);
    return up;
}

/* The channel is the call's no longer, and the call nobody's but its owner's. */
static void call_leave(struct signer *signer, struct call *call)
{
    pthread_mutex_lock(&signer->lock);
    call_unlink(call);
    channel_release(call->channel);
    pthread_mutex_unlock(&signer->lock);
}

/* A signer that is late once would make every caller after this one wait as long. The receiver ends those that wait
 * already. */
static void channel_give_up(struct signer *signer, struct channel *channel)
{
    pthread_mutex_lock(&signer->lock);
    signer->stuck |= channel->up;
    channel->up = false;
    shutdown(channel->fd, SHUT_RDWR);
    pthread_mutex_unlock(&signer->lock);
}

static enum err call_send(struct signer *signer, struct call *call, const struct bytes *request, struct fault *f)
{
    TRY(bytes_check(request, f));
    if (request->size > MESSAGE_SIZE_MAX)
        return fault_set(f, CODE_TOO_LARGE, "a request to the signer is larger than %d bytes", MESSAGE_SIZE_MAX);
    if (!call_link(signer, call))
        return fault_down(f);
    ssize_t sent;
    do
        sent = send(call->channel->fd, request->data, request->size, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    if (sent >= 0)
        return OK;
    if (errno == EAGAIN)
        channel_give_up(signer, call->channel);
    call_leave(signer, call);
    return fault_down(f);
}

/* For a call that was sent; ret_body borrows from it. */
static enum err call_wait(struct signer *signer, struct call *call, const struct timespec *deadline,
                          struct unpack *ret_body, struct fault *f)
{
    int waited = 0;
    pthread_mutex_lock(&signer->lock);
    while (!call->ended && waited == 0)
        waited = pthread_cond_clockwait(&call->ended_signal, &signer->lock, CLOCK_MONOTONIC, deadline);
    pthread_mutex_unlock(&signer->lock);
    if (waited != 0)
        channel_give_up(signer, call->channel);
    call_leave(signer, call);
    if (!call->ended)
        return fault_set(f, CODE_SIGNER_DOWN, "the signer did not answer within %d seconds", ANSWER_SECONDS);
    if (call->answer.failed)
        return fault_no_memory(f);
    if (call->answer.size == 0)
        return fault_down(f);
    *ret_body = unpack_begin(bytes_span(&call->answer));
    return OK;
}

/* One request, its answer, and whether that is a fault. */
static enum err call_exchange(struct signer *signer, struct call *call, const struct bytes *request,
                              struct unpack *ret_body, struct fault *f)
{
    struct timespec deadline = deadline_make();
    struct unpack body;
    TRY(call_send(signer, call, request, f));
    TRY(call_wait(signer, call, &deadline, &body, f));
    TRY(result_unpack(&body, f));
    *ret_body = body;
    return OK;
}

/* ---- the verbs with one request ---- */

enum err signer_make_authority(struct signer *signer, enum key_algorithm algorithm,
                               const struct certificate_content *content, const struct grant *grant,
                               const uint8_t serial[SERIAL_SIZE], struct bytes *ret_blob, struct bytes *ret_certificate,
                               struct fault *f)
{
    struct authority_request request = {.algorithm = algorithm,
                                        .content = *content, /* borrowed */
                                        .extended_key_usage = grant->extended_key_usage,
                                        .lifetime_max_seconds = grant->lifetime_max_seconds};
    memcpy(request.serial, serial, SERIAL_SIZE);
    AUTO(call) call;
    AUTO(bytes) message = {0}, blob = {0};
    struct unpack body;
    call_begin(signer, VERB_MAKE_AUTHORITY, &call, &message);
    authority_request_pack(&request, &message);
    TRY(call_exchange(signer, &call, &message, &body, f));
    struct span blob_answer = unpack_span(&body), certificate_answer = unpack_span(&body);
    TRY(unpack_finish(&body, "an answer of the signer", f));
    TRY(bytes_copy(blob_answer, &blob, f));
    TRY(bytes_copy(certificate_answer, ret_certificate, f));
    *ret_blob = blob;
    blob = (struct bytes){0};
    return OK;
}

enum err signer_make_log(struct signer *signer, const char *origin, struct bytes *ret_blob,
                         uint8_t ret_public_key[LOG_PUBLIC_KEY_SIZE], struct fault *f)
{
    AUTO(call) call;
    AUTO(bytes) message = {0};
    struct unpack body;
    uint8_t public_key[LOG_PUBLIC_KEY_SIZE];
    call_begin(signer, VERB_MAKE_LOG, &call, &message);
    pack_text(&message, origin);
    TRY(call_exchange(signer, &call, &message, &body, f));
    struct span blob = unpack_span(&body);
    unpack_fixed(&body, public_key, sizeof public_key);
    TRY(unpack_finish(&body, "an answer of the signer", f));
    TRY(bytes_copy(blob, ret_blob, f));
    memcpy(ret_public_key, public_key, sizeof public_key);
    return OK;
}

enum err signer_sign_checkpoint(struct signer *signer, struct span blob, struct span text,
                                uint8_t ret_signature[LOG_SIGNATURE_SIZE], struct fault *f)
{
    AUTO(call) call;
    AUTO(bytes) message = {0};
    struct unpack body;
    uint8_t signature[LOG_SIGNATURE_SIZE];
    call_begin(signer, VERB_SIGN_CHECKPOINT, &call, &message);
    pack_span(&message, blob);
    pack_span(&message, text);
    TRY(call_exchange(signer, &call, &message, &body, f));
    unpack_fixed(&body, signature, sizeof signature);
    TRY(unpack_finish(&body, "an answer of the signer", f));
    memcpy(ret_signature, signature, sizeof signature);
    return OK;
}

enum err signer_import_key(struct signer *signer, uint8_t ret_public_key[IMPORT_PUBLIC_KEY_SIZE], struct fault *f)
{
    AUTO(call) call;
    AUTO(bytes) message = {0};
    struct unpack body;
    uint8_t public_key[IMPORT_PUBLIC_KEY_SIZE];
    call_begin(signer, VERB_IMPORT_KEY, &call, &message);
    TRY(call_exchange(signer, &call, &message, &body, f));
    unpack_fixed(&body, public_key, sizeof public_key);
    TRY(unpack_finish(&body, "an answer of the signer", f));
    memcpy(ret_public_key, public_key, sizeof public_key);
    return OK;
}

/* A call whose answer is one span. */
static enum err call_span(struct signer *signer, struct call *call, const struct bytes *message,
                          struct bytes *ret_answer, struct fault *f)
{
    struct unpack body;
    TRY(call_exchange(signer, call, message, &body, f));
    struct span answer = unpack_span(&body);
    TRY(unpack_finish(&body, "an answer of the signer", f));
    return bytes_copy(answer, ret_answer, f);
}

enum err signer_import_authority(struct signer *signer, const struct import_request *request, struct bytes *ret_blob,
                                 struct fault *f)
{
    AUTO(call) call;
    AUTO(bytes) message = {0};
    call_begin(signer, VERB_IMPORT_AUTHORITY, &call, &message);
    import_request_pack(request, &message);
    return call_span(signer, &call, &message, ret_blob, f);
}

enum err signer_reissue_authority(struct signer *signer, struct span blob, const uint8_t serial[SERIAL_SIZE],
                                  int64_t not_before, struct bytes *ret_certificate, struct fault *f)
{
    AUTO(call) call;
    AUTO(bytes) message = {0};
    call_begin(signer, VERB_REISSUE_AUTHORITY, &call, &message);
    pack_span(&message, blob);
    pack_fixed(&message, span(serial, SERIAL_SIZE));
    pack_i64(&message, not_before);
    return call_span(signer, &call, &message, ret_certificate, f);
}

enum err signer_sign_crl(struct signer *signer, struct span blob, struct span draft, struct bytes *ret_crl,
                         struct fault *f)
{
    AUTO(call) call;
    AUTO(bytes) message = {0};
    call_begin(signer, VERB_SIGN_CRL, &call, &message);
    pack_span(&message, blob);
    pack_span(&message, draft);
    return call_span(signer, &call, &message, ret_crl, f);
}

/* ---- signing a batch ---- */

/* A run of signings in one message. */
struct part {
    struct call call;
    struct signing *signings;
    size_t count;
};

/* Fills a request with the next signings, at most `limit`; returns how many fit. */
static size_t part_fill(struct signing *signings, size_t limit, struct sign_request *request)
{
    size_t count = 0;
    request->blobs_count = request->drafts_count = request->size_max = 0;
    while (count < limit && sign_request_add(request, signings[count].blob, signings[count].draft))
        count++;
    return count;
}

static enum err part_send(struct signer *signer, const struct sign_request *request, struct part *part, struct fault *f)
{
    AUTO(bytes) message = {0};
    call_begin(signer, VERB_SIGN_CERTIFICATES, &part->call, &message);
    sign_request_pack(request, &message);
    enum err err = call_send(signer, &part->call, &message, f);
    if (err != OK)
        call_cleanup(&part->call);
    return err;
}

/* Half of what each of the signer's threads would get of what is left: the parts become small towards the end, so that
 * the threads end together. */
static size_t part_share(const struct signer *signer, size_t left)
{
    return (left + 2 * signer->threads - 1) / (2 * signer->threads);
}

/* Cuts the batch and sends the parts. On failure those that were sent still have to be waited for. */
static enum err parts_send(struct signer *signer, struct signing *signings, size_t count, struct part *parts,
                           size_t *parts_count, struct fault *f)
{
    struct sign_request request;
    for (size_t done = 0; done < count;) {
        struct part *part = &parts[*parts_count];
        part->signings = &signings[done];
        part->count = part_fill(part->signings, part_share(signer, count - done), &request);
        if (part->count == 0) {
            struct signing *misfit = &signings[done++];
            misfit->err = fault_set(misfit->fault, CODE_TOO_LARGE, "a draft of %zu bytes is too large to be signed",
                                    misfit->draft.size);
            continue;
        }
        TRY(part_send(signer, &request, part, f));
        ++*parts_count;
        done += part->count;
    }
    return OK;
}

/* The answer as a whole may be a fault, which is then that of each signing. */
static enum err part_read(struct part *part, struct unpack *body, struct fault *f)
{
    struct fault fault;
    fault_clear(&fault);
    enum err whole = result_unpack(body, &fault);
    for (size_t i = 0; i < part->count; i++) {
        struct signing *signing = &part->signings[i];
        if (whole != OK)
            *signing->fault = fault;
        signing->err = whole == OK ? result_unpack(body, signing->fault) : whole;
        if (signing->err == OK)
            signing->err = bytes_copy(unpack_span(body), &signing->certificate, signing->fault);
    }
    return unpack_finish(body, "an answer of the signer", f);
}

static enum err parts_wait(struct signer *signer, struct part *parts, size_t count, const struct timespec *deadline,
                           struct fault *f)
{
    enum err result = OK;
    for (size_t i = 0; i < count; i++) {
        struct unpack body;
        enum err err = call_wait(signer, &parts[i].call, deadline, &body, f);
        if (err == OK)
            err = part_read(&parts[i], &body, f);
        if (err != OK)
            result = err;
        call_cleanup(&parts[i].call);
    }
    return result;
}

enum err signer_sign(struct signer *signer, struct signing *signings, size_t count, struct fault *f)
{
    struct part *parts = calloc(count, sizeof *parts);
    if (!parts && count > 0)
        return fault_no_memory(f);
    for (size_t i = 0; i < count; i++)
        signings[i].certificate = (struct bytes){0};
    size_t parts_count = 0;
    struct timespec deadline = deadline_make();
    int64_t began = histogram_clock_microseconds();
    enum err sent = parts_send(signer, signings, count, parts, &parts_count, f);
    enum err answered = parts_wait(signer, parts, parts_count, &deadline, f);
    enum err err = sent != OK ? sent : answered;
    for (size_t i = 0; err != OK && i < count; i++) {
        bytes_free(&signings[i].certificate);
        signings[i].err = err;
    }
    free(parts);
    if (err == OK && count > 0)
        histogram_observe(&signer->sign_durations, histogram_clock_microseconds() - began);
    return err;
}

const struct histogram *signer_sign_durations(const struct signer *signer)
{
    return &signer->sign_durations;
}
