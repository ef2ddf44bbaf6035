/* signer_message.h: what the server and the signer say to each other (ca/base/pack.h).
 *
 *   request   id u64 ‖ verb u8 ‖ body
 *   answer    id u64 ‖ code u16 ‖ body (code 0) or fault (the rest of it)
 *
 * The signer trusts nothing in a request: what does not parse whole and within these limits is answered with a fault.
 * Threads: pure. */
#ifndef ENSIGN_HSM_SIGNER_MESSAGE_H
#define ENSIGN_HSM_SIGNER_MESSAGE_H

#include "ca/base/pack.h"
#include "ca/x509/draft.h"

enum {
    MESSAGE_SIZE_MAX = 192 * 1024,

    /* What an answer may need beyond the draft that it answers: an RSA-4096 signature and its wrapping, or a fault. */
    SIGN_OVERHEAD = 1024,
    SIGN_HEADER = 64,
    SIGN_DRAFTS_MAX = (MESSAGE_SIZE_MAX - SIGN_HEADER) / SIGN_OVERHEAD,
    SIGNER_THREADS_MAX = 16,
};

enum verb {
    VERB_MAKE_AUTHORITY = 1,
    VERB_MAKE_LOG,
    VERB_SIGN_CERTIFICATES,
    VERB_SIGN_CHECKPOINT,
    VERB_IMPORT_KEY,
    VERB_IMPORT_AUTHORITY,
    VERB_REISSUE_AUTHORITY,
    VERB_SIGN_CRL,
    VERB_COUNT
};

/* One per online core, at most SIGNER_THREADS_MAX; both sides count so. */
size_t signer_thread_count(void);

/* Makes room for several large messages in the socket. As much as the system allows. */
void channel_prepare(int fd);

void request_begin(struct bytes *out, uint64_t id, enum verb verb);
void answer_begin(struct bytes *out, uint64_t id);
/* A whole answer that says that the request failed. */
void answer_fault(struct bytes *out, uint64_t id, const struct fault *fault);

/* A code and its fault in at most `room` bytes (at least SIGN_OVERHEAD - 64): reasons that do not fit are counted as
 * omitted. Code 0, without a fault, means that what follows is a result. */
void result_pack(struct bytes *out);
void result_pack_fault(struct bytes *out, const struct fault *fault, size_t room);
/* OK, or the error of the fault that was read into f. A damaged one is left to unpack_finish(). */
MUST_USE enum err result_unpack(struct unpack *in, struct fault *f);

/* ---- make authority ---- */

struct authority_request {
    enum key_algorithm algorithm;
    struct certificate_content content; /* owned by the reader of a request, borrowed by its writer */
    unsigned extended_key_usage;
    int64_t lifetime_max_seconds;
    uint8_t serial[SERIAL_SIZE];
};
void authority_request_pack(const struct authority_request *request, struct bytes *out);
MUST_USE enum err authority_request_unpack(struct unpack *in, struct authority_request *ret_request, struct fault *f);

/* ---- import authority: the answer is the blob ---- */

struct import_request {
    struct span certificate, box; /* DER; PKCS#8 sealed to the signer (crypto_box_seal). Borrowed */
    unsigned extended_key_usage;
    int64_t lifetime_max_seconds;
    int64_t now; /* UTC seconds */
};
void import_request_pack(const struct import_request *request, struct bytes *out);
MUST_USE enum err import_request_unpack(struct unpack *in, struct import_request *ret_request, struct fault *f);

/* ---- sign certificates: the answer has one result per draft, each followed by the certificate as a span ---- */

struct sign_request {
    struct span blobs[SIGN_DRAFTS_MAX]; /* each once */
    size_t blobs_count;
    struct {
        size_t blob; /* index */
        struct span draft;
    } drafts[SIGN_DRAFTS_MAX];
    size_t drafts_count;
    size_t size_max; /* of the request or its answer, whichever can become larger */
};

/* False, and nothing changed, when it does not fit into the message. Borrows. */
bool sign_request_add(struct sign_request *request, struct span blob, struct span draft);
void sign_request_pack(const struct sign_request *request, struct bytes *out);
MUST_USE enum err sign_request_unpack(struct unpack *in, struct sign_request *ret_request, struct fault *f);

#endif
