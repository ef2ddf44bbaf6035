#include "hsm/signer_message.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

size_t signer_thread_count(void)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    if (cores < 1)
        return 1;
    return cores < SIGNER_THREADS_MAX ? (size_t)cores : SIGNER_THREADS_MAX;
}

void channel_prepare(int fd)
{
    const int size = 16 * MESSAGE_SIZE_MAX;
    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) < 0)
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
}

/* ---- requests, answers, faults ---- */

void request_begin(struct bytes *out, uint64_t id, enum verb verb)
{
    pack_u64(out, id);
    pack_u8(out, (uint8_t)verb);
}

void answer_begin(struct bytes *out, uint64_t id)
{
    pack_u64(out, id);
    result_pack(out);
}

void answer_fault(struct bytes *out, uint64_t id, const struct fault *fault)
{
    pack_u64(out, id);
    result_pack_fault(out, fault, MESSAGE_SIZE_MAX - sizeof id);
}

void result_pack(struct bytes *out)
{
    pack_u16(out, CODE_NONE);
}

static size_t reason_size(const struct fault_reason *reason)
{
    return 2 * sizeof(uint32_t) + strlen(reason->pointer) + strlen(reason->text);
}

void result_pack_fault(struct bytes *out, const struct fault *fault, size_t room)
{
    size_t used = sizeof(uint16_t) + sizeof(uint32_t) + strlen(fault->text) + sizeof(uint32_t) + 1;
    size_t count = 0;
    while (count < fault->reasons_count && used + reason_size(&fault->reasons[count]) <= room)
        used += reason_size(&fault->reasons[count++]);

    pack_u16(out, (uint16_t)fault->code);
    pack_text(out, fault->text);
    pack_u32(out, (uint32_t)(fault->reasons_omitted + fault->reasons_count - count));
    pack_u8(out, (uint8_t)count);
    for (size_t i = 0; i < count; i++) {
        pack_text(out, fault->reasons[i].pointer);
        pack_text(out, fault->reasons[i].text);
    }
}

enum err result_unpack(struct unpack *in, struct fault *f)
{
    enum code code = unpack_u16(in);
    if (code == CODE_NONE)
        return OK;
    char text[sizeof f->text];
    unpack_text(in, text, sizeof text);
    uint32_t omitted = unpack_u32(in);
    for (uint8_t count = unpack_u8(in); count > 0 && !in->failed; count--) {
        char pointer[sizeof f->reasons[0].pointer], reason[sizeof f->reasons[0].text];
        unpack_text(in, pointer, sizeof pointer);
        unpack_text(in, reason, sizeof reason);
        fault_reason(f, pointer, "%s", reason);
    }
    f->reasons_omitted += omitted;
    if (in->failed || code >= CODE_COUNT)
        return fault_set(f, CODE_DAMAGED, "an answer of the signer is cut short or damaged");
    return fault_set(f, code, "%s", text);
}

/* ---- make authority ---- */

static void subject_pack(const struct distinguished_name *subject, struct bytes *out)
{
    pack_text(out, subject->common_name);
    pack_u8(out, (uint8_t)subject->organizations_count);
    for (size_t i = 0; i < subject->organizations_count; i++)
        pack_text(out, subject->organizations[i]);
}

static void subject_unpack(struct unpack *in, struct distinguished_name *subject)
{
    unpack_text(in, subject->common_name, sizeof subject->common_name);
    size_t count = unpack_u8(in);
    if (count > ORGANIZATIONS_MAX) {
        in->failed = true;
        return;
    }
    for (size_t i = 0; i < count; i++)
        unpack_text(in, subject->organizations[i], sizeof subject->organizations[i]);
    subject->organizations_count = count;
}

void authority_request_pack(const struct authority_request *request, struct bytes *out)
{
    const struct certificate_content *content = &request->content;
    pack_u8(out, (uint8_t)request->algorithm);
    subject_pack(&content->subject, out);
    alternative_names_pack(&content->names, out);
    pack_u32(out, content->key_usage);
    pack_u32(out, content->extended_key_usage);
    pack_i64(out, content->not_before);
    pack_i64(out, content->not_after);
    pack_u8(out, content->authority);
    pack_u32(out, request->extended_key_usage);
    pack_i64(out, request->lifetime_max_seconds);
    pack_fixed(out, SPAN_OF(request->serial));
}

static enum err authority_request_read(struct unpack *in, struct authority_request *request, struct fault *f)
{
    struct certificate_content *content = &request->content;
    request->algorithm = unpack_u8(in);
    if (request->algorithm == KEY_NONE || request->algorithm >= KEY_ALGORITHM_COUNT)
        in->failed = true;
    subject_unpack(in, &content->subject);
    TRY(alternative_names_unpack(in, &content->names, f));
    content->key_usage = unpack_u32(in);
    content->extended_key_usage = unpack_u32(in);
    content->not_before = unpack_i64(in);
    content->not_after = unpack_i64(in);
    content->authority = unpack_u8(in) != 0;
    request->extended_key_usage = unpack_u32(in);
    request->lifetime_max_seconds = unpack_i64(in);
    unpack_fixed(in, request->serial, sizeof request->serial);
    return unpack_finish(in, "a request to the signer", f);
}

enum err authority_request_unpack(struct unpack *in, struct authority_request *ret_request, struct fault *f)
{
    struct authority_request request = {0};
    enum err err = authority_request_read(in, &request, f);
    if (err == OK)
        *ret_request = request;
    else
        certificate_content_cleanup(&request.content);
    return err;
}

/* ---- import authority ---- */

void import_request_pack(const struct import_request *request, struct bytes *out)
{
    pack_span(out, request->certificate);
    pack_span(out, request->box);
    pack_u32(out, request->extended_key_usage);
    pack_i64(out, request->lifetime_max_seconds);
    pack_i64(out, request->now);
}

enum err import_request_unpack(struct unpack *in, struct import_request *ret_request, struct fault *f)
{
    struct import_request request = {.certificate = unpack_span(in), .box = unpack_span(in)};
    request.extended_key_usage = unpack_u32(in);
    request.lifetime_max_seconds = unpack_i64(in);
    request.now = unpack_i64(in);
    TRY(unpack_finish(in, "a request to the signer", f));
    *ret_request = request;
    return OK;
}

/* ---- sign certificates ---- */

static size_t blob_find(const struct sign_request *request, struct span blob)
{
    size_t i = 0;
    while (i < request->blobs_count && !span_equal(request->blobs[i], blob))
        i++;
    return i;
}

/* Room in the message for so many bytes more, or false. Guards the sums against overflow, too. */
static bool size_reserve(struct sign_request *request, size_t size)
{
    size_t used = request->size_max ? request->size_max : SIGN_HEADER;
    if (size > MESSAGE_SIZE_MAX - used)
        return false;
    request->size_max = used + size;
    return true;
}

static bool blob_add(struct sign_request *request, struct span blob)
{
    if (request->blobs_count == SIGN_DRAFTS_MAX || blob.size > MESSAGE_SIZE_MAX ||
        !size_reserve(request, blob.size + sizeof(uint32_t)))
        return false;
    request->blobs[request->blobs_count++] = blob;
    return true;
}

static bool draft_add(struct sign_request *request, size_t blob, struct span draft)
{
    if (request->drafts_count == SIGN_DRAFTS_MAX || blob >= request->blobs_count || draft.size > MESSAGE_SIZE_MAX ||
        !size_reserve(request, draft.size + SIGN_OVERHEAD))
        return false;
    request->drafts[request->drafts_count].blob = blob;
    request->drafts[request->drafts_count++].draft = draft;
    return true;
}

bool sign_request_add(struct sign_request *request, struct span blob, struct span draft)
{
    size_t blobs_before = request->blobs_count, size_before = request->size_max, index = blob_find(request, blob);
    if ((index < blobs_before || blob_add(request, blob)) && draft_add(request, index, draft))
        return true;
    request->blobs_count = blobs_before;
    request->size_max = size_before;
    return false;
}

void sign_request_pack(const struct sign_request *request, struct bytes *out)
{
    pack_u16(out, (uint16_t)request->blobs_count);
    for (size_t i = 0; i < request->blobs_count; i++)
        pack_span(out, request->blobs[i]);
    pack_u16(out, (uint16_t)request->drafts_count);
    for (size_t i = 0; i < request->drafts_count; i++) {
        pack_u16(out, (uint16_t)request->drafts[i].blob);
        pack_span(out, request->drafts[i].draft);
    }
}

enum err sign_request_unpack(struct unpack *in, struct sign_request *ret_request, struct fault *f)
{
    struct sign_request request;
    request.blobs_count = request.drafts_count = request.size_max = 0;
    for (uint16_t count = unpack_u16(in); count > 0 && !in->failed; count--)
        if (!blob_add(&request, unpack_span(in)))
            in->failed = true;
    for (uint16_t count = unpack_u16(in); count > 0 && !in->failed; count--) {
        size_t blob = unpack_u16(in);
        if (!draft_add(&request, blob, unpack_span(in)))
            in->failed = true;
    }
    TRY(unpack_finish(in, "a request to the signer", f));
    *ret_request = request;
    return OK;
}
