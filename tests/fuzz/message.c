/* What the server and the signer say to each other, as either side reads it: read and written again it is the same, and
 * an answer to a request that was accepted fits into a message. */
#include "hsm/signer_message.h"

#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/x509.h"

enum { SIGN, AUTHORITY, RESULT, ADD, IMPORT, CHOICES };

static void sign_hold(struct span body)
{
    static struct sign_request request;
    AUTO(bytes) again = {0};
    struct unpack in = unpack_begin(body);
    struct fault *f = fuzz_fault();
    fuzz_fresh(&request, sizeof request);
    if (!fuzz_kept(sign_request_unpack(&in, &request, f), f, &request, sizeof request))
        return;
    sign_request_pack(&request, &again);
    HOLDS(span_equal(bytes_span(&again), body) && request.size_max <= MESSAGE_SIZE_MAX);
    for (size_t i = 0; i < request.drafts_count; i++)
        HOLDS(request.drafts[i].blob < request.blobs_count);
}

static void authority_hold(struct span body)
{
    struct authority_request request, request_again;
    AUTO(bytes) again = {0}, third = {0};
    struct unpack in = unpack_begin(body);
    struct fault *f = fuzz_fault();
    fuzz_fresh(&request, sizeof request);
    if (!fuzz_kept(authority_request_unpack(&in, &request, f), f, &request, sizeof request))
        return;
    authority_request_pack(&request, &again);
    in = unpack_begin(bytes_span(&again));
    fuzz_must(authority_request_unpack(&in, &request_again, f), f);
    authority_request_pack(&request_again, &third);
    HOLDS(span_equal(bytes_span(&again), bytes_span(&third)));
    HOLDS(request.algorithm > KEY_NONE && request.algorithm < KEY_ALGORITHM_COUNT);
    HOLDS(names_same(&request.content.names, &request_again.content.names));
    certificate_content_cleanup(&request.content);
    certificate_content_cleanup(&request_again.content);
}

static void import_hold(struct span body)
{
    struct import_request request;
    AUTO(bytes) again = {0};
    struct unpack in = unpack_begin(body);
    struct fault *f = fuzz_fault();
    fuzz_fresh(&request, sizeof request);
    if (!fuzz_kept(import_request_unpack(&in, &request, f), f, &request, sizeof request))
        return;
    import_request_pack(&request, &again);
    HOLDS(span_equal(bytes_span(&again), body));
}

static bool faults_same(const struct fault *a, const struct fault *b)
{
    if (a->code != b->code || strcmp(a->text, b->text) != 0 || a->reasons_count != b->reasons_count)
        return false;
    for (size_t i = 0; i < a->reasons_count; i++)
        if (strcmp(a->reasons[i].pointer, b->reasons[i].pointer) != 0 ||
            strcmp(a->reasons[i].text, b->reasons[i].text) != 0)
            return false;
    return (uint32_t)a->reasons_omitted == (uint32_t)b->reasons_omitted;
}

/* A fault that is packed into little room loses reasons, but counts them. */
static void fault_hold(const struct fault *fault)
{
    static const size_t rooms[] = {MESSAGE_SIZE_MAX, SIGN_OVERHEAD - 64, 3000};
    static struct fault again;
    for (size_t i = 0; i < ARRAY_SIZE(rooms); i++) {
        AUTO(bytes) packed = {0};
        result_pack_fault(&packed, fault, rooms[i]);
        HOLDS(packed.size <= rooms[i]);
        struct unpack in = unpack_begin(bytes_span(&packed));
        fault_clear(&again);
        HOLDS(result_unpack(&in, &again) == code_err(fault->code) && in.rest.size == 0 && !in.failed);
        HOLDS(i > 0 || faults_same(fault, &again));
        HOLDS((uint32_t)(again.reasons_count + again.reasons_omitted) ==
              (uint32_t)(fault->reasons_count + fault->reasons_omitted));
    }
}

static void result_hold(struct span body)
{
    struct unpack in = unpack_begin(body);
    struct fault *f = fuzz_fault();
    if (!fuzz_kept_told(result_unpack(&in, f), f, NULL, 0))
        fault_hold(f);
}

/* Any blobs and drafts that were accepted come out at the other side. The input: for each its blob (u8), the draft's
 * size (u16). */
static void add_hold(struct span input)
{
    static struct sign_request request;
    static const uint8_t zeros[UINT16_MAX];
    AUTO(bytes) packed = {0};
    struct unpack in = unpack_begin(input);
    request.blobs_count = request.drafts_count = request.size_max = 0;
    while (in.rest.size >= 3) {
        uint8_t blob = unpack_u8(&in);
        size_t drafts = request.drafts_count, size = unpack_u16(&in);
        bool added = sign_request_add(&request, span(zeros, 16U * blob), span(zeros, size));
        HOLDS(request.drafts_count == drafts + added);
    }
    sign_request_pack(&request, &packed);
    HOLDS(packed.size + SIGN_HEADER <= MESSAGE_SIZE_MAX);
    in = unpack_begin(bytes_span(&packed));
    size_t size_max = request.size_max, drafts = request.drafts_count;
    fuzz_must(sign_request_unpack(&in, &request, fuzz_fault()), fuzz_fault());
    HOLDS(request.drafts_count == drafts && request.size_max == size_max);
}

static void (*const holds[CHOICES])(struct span) = {sign_hold, authority_hold, result_hold, add_hold, import_hold};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = span(data, size);
    uint8_t choice = fuzz_choice(&input, CHOICES);
    holds[choice](input);
    return 0;
}

static void authority_seed(void)
{
    struct authority_request request = {.algorithm = KEY_ECDSA_P256,
                                        .content = {.subject = {"etcd-ca", {"o"}, 1}, .authority = true}};
    AUTO(bytes) body = {0};
    fuzz_must(alternative_names_add_dns(&request.content.names, "etcd-ca", fuzz_fault()), fuzz_fault());
    authority_request_pack(&request, &body);
    fuzz_seed_choice(AUTHORITY, bytes_span(&body));
    certificate_content_cleanup(&request.content);
}

static void import_seed(void)
{
    const struct import_request request = {SPAN_OF("certificate"), SPAN_OF("box"), EXTENDED_CLIENT_AUTH, 86400, 7};
    AUTO(bytes) body = {0};
    import_request_pack(&request, &body);
    fuzz_seed_choice(IMPORT, bytes_span(&body));
}

static void result_seed(size_t reasons)
{
    struct fault fault = {0};
    AUTO(bytes) body = {0};
    for (size_t i = 0; i < reasons; i++)
        fault_reason(&fault, "/csr/subject", "not as RFC 5280 §%zu says", i);
    if (fault_set(&fault, CODE_POLICY_DENIED, "no") != OK)
        result_pack_fault(&body, &fault, MESSAGE_SIZE_MAX);
    fuzz_seed_choice(RESULT, bytes_span(&body));
}

void fuzz_seeds(void)
{
    static struct sign_request request;
    AUTO(bytes) body = {0};
    HOLDS(sign_request_add(&request, SPAN_OF("blob"), SPAN_OF("draft")));
    HOLDS(sign_request_add(&request, SPAN_OF("other"), SPAN_OF("draft two")));
    sign_request_pack(&request, &body);
    fuzz_seed_choice(SIGN, bytes_span(&body));
    authority_seed();
    import_seed();
    result_seed(0);
    result_seed(40);
    fuzz_seed_choice(RESULT, SPAN_OF("\0"));
    fuzz_seed_choice(ADD, SPAN_OF("\1\1\0\1\2\0\3\xff\xff"));
}
