/* The server's reading of the signer: the harness is the signer at the other end of a real channel, and answers each
 * request with its id and the input. Nothing that a signer says may do more than fail the call. */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hsm/signer.h"
#include "hsm/signer_message.h"
#include "tests/fuzz/fuzz.h"

enum { MAKE_AUTHORITY, MAKE_LOG, SIGN, SIGN_CHECKPOINT, CHOICES };

static struct {
    struct signer *signer;
    int fd;
    struct span answer; /* of the call in progress */
} fake;

/* The id is that of the request: any other is thrown away, and the call would wait for its deadline. */
static void *fake_run(void *argument)
{
    static uint8_t request[MESSAGE_SIZE_MAX];
    (void)argument;
    while (TEMP_FAILURE_RETRY(recv(fake.fd, request, sizeof request, 0)) > 0) {
        AUTO(bytes) message = {0};
        bytes_append(&message, request, sizeof(uint64_t));
        bytes_append_span(&message, fake.answer);
        HOLDS(TEMP_FAILURE_RETRY(send(fake.fd, message.data, message.size, MSG_NOSIGNAL)) == (ssize_t)message.size);
    }
    return NULL;
}

static void fake_start(void)
{
    int ends[2];
    pthread_t thread;
    if (fake.signer)
        return;
    HOLDS(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
    fake.fd = ends[0];
    fuzz_must(signer_new(&fake.signer, fuzz_fault()), fuzz_fault());
    HOLDS(pthread_create(&thread, NULL, fake_run, NULL) == 0);
    signer_attach(fake.signer, ends[1]);
}

static void authority_ask(void)
{
    static const uint8_t serial[SERIAL_SIZE] = {1};
    struct certificate_content content = {.authority = true};
    struct grant grant = {.kind = GRANT_AUTHORITY};
    struct bytes blob, certificate = {0};
    struct fault *f = fuzz_fault();
    fuzz_fresh(&blob, sizeof blob);
    if (!fuzz_kept_told(
            signer_make_authority(fake.signer, KEY_ECDSA_P256, &content, &grant, serial, &blob, &certificate, f), f,
            &blob, sizeof blob))
        return;
    HOLDS(blob.size + certificate.size + 10 == fake.answer.size);
    bytes_free(&blob);
    bytes_free(&certificate);
}

static void log_ask(void)
{
    struct bytes blob;
    uint8_t public_key[LOG_PUBLIC_KEY_SIZE];
    struct fault *f = fuzz_fault();
    fuzz_fresh(&blob, sizeof blob);
    if (fuzz_kept_told(signer_make_log(fake.signer, "example/log", &blob, public_key, f), f, &blob, sizeof blob))
        bytes_free(&blob);
}

/* Two drafts, in one message or two. */
static void sign_ask(void)
{
    static struct fault faults[2];
    struct signing signings[2] = {{.blob = SPAN_OF("blob"), .draft = SPAN_OF("one"), .fault = &faults[0]},
                                  {.blob = SPAN_OF("blob"), .draft = SPAN_OF("two"), .fault = &faults[1]}};
    struct fault *f = fuzz_fault();
    fault_clear(&faults[0]);
    fault_clear(&faults[1]);
    bool signed_all = fuzz_kept_told(signer_sign(fake.signer, signings, 2, f), f, NULL, 0);
    for (size_t i = 0; i < 2; i++) {
        if (signed_all)
            fuzz_kept_told(signings[i].err, &faults[i], NULL, 0);
        HOLDS(signings[i].err == OK || signings[i].certificate.size == 0);
        bytes_free(&signings[i].certificate);
    }
}

static void checkpoint_ask(void)
{
    uint8_t signature[LOG_SIGNATURE_SIZE];
    struct fault *f = fuzz_fault();
    fuzz_fresh(signature, sizeof signature);
    fuzz_kept_told(signer_sign_checkpoint(fake.signer, SPAN_OF("blob"), SPAN_OF("text"), signature, f), f, signature,
                   sizeof signature);
}

static void (*const asks[CHOICES])(void) = {authority_ask, log_ask, sign_ask, checkpoint_ask};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fake.answer = span(data, size);
    uint8_t choice = fuzz_choice(&fake.answer, CHOICES);
    if (fake.answer.size > MESSAGE_SIZE_MAX - sizeof(uint64_t))
        return 0;
    fake_start();
    asks[choice]();
    return 0;
}

static void fault_pack(struct bytes *out)
{
    struct fault fault = {0};
    fault_reason(&fault, "/issuer", "another one");
    if (fault_set(&fault, CODE_POLICY_DENIED, "no") != OK)
        result_pack_fault(out, &fault, SIGN_OVERHEAD);
}

void fuzz_seeds(void)
{
    AUTO(bytes) spans = {0}, results = {0}, refused = {0};
    result_pack(&spans);
    pack_span(&spans, SPAN_OF("blob"));
    fuzz_seed_choice(MAKE_LOG, bytes_span(&spans));
    pack_span(&spans, SPAN_OF("certificate"));
    fuzz_seed_choice(MAKE_AUTHORITY, bytes_span(&spans));
    result_pack(&results);
    result_pack(&results);
    pack_span(&results, SPAN_OF("certificate"));
    fuzz_seed_choice(SIGN, bytes_span(&results));
    fault_pack(&results);
    fuzz_seed_choice(SIGN, bytes_span(&results));
    fault_pack(&refused);
    for (uint8_t i = 0; i < CHOICES; i++)
        fuzz_seed_choice(i, bytes_span(&refused));
    fuzz_seed_choice(SIGN_CHECKPOINT, SPAN_OF("\0"
                                              "0123456789012345678901234567890123456789012345678901234567890123"));
}
