/* pack.h: the one binary form of stored rows, sealed grants and messages between the processes.
 *
 * Big-endian integers and length-prefixed bytes, in a fixed order that the reader and the writer share; no tags.
 * Whatever is stored begins with a version byte of its own.
 *
 * Writing appends to struct bytes (whose failure is checked once, at the end, with bytes_check()).
 * Reading consumes a struct unpack; a read past the end marks it failed and yields zero and empty spans, so that a
 * reader checks once, at its end, with unpack_finish().  Threads: pure.
 */
#ifndef ENSIGN_CA_BASE_PACK_H
#define ENSIGN_CA_BASE_PACK_H

#include "ca/base/span.h"

void pack_u8(struct bytes *out, uint8_t value);
void pack_u16(struct bytes *out, uint16_t value);
void pack_u32(struct bytes *out, uint32_t value);
void pack_u64(struct bytes *out, uint64_t value);
void pack_i64(struct bytes *out, int64_t value);
void pack_fixed(struct bytes *out, struct span value); /* no length: both sides know it */
void pack_span(struct bytes *out, struct span value);  /* u32 length, bytes */
void pack_text(struct bytes *out, const char *text);   /* as pack_span, without the NUL */

struct unpack {
    struct span rest;
    bool failed;
};

static inline struct unpack unpack_begin(struct span data)
{
    return (struct unpack){data, false};
}

uint8_t unpack_u8(struct unpack *in);
uint16_t unpack_u16(struct unpack *in);
uint32_t unpack_u32(struct unpack *in);
uint64_t unpack_u64(struct unpack *in);
int64_t unpack_i64(struct unpack *in);
void unpack_fixed(struct unpack *in, void *ret_value, size_t size);
struct span unpack_span(struct unpack *in);                       /* borrows from the input */
void unpack_text(struct unpack *in, char *ret_text, size_t size); /* too long or with a NUL inside: failed */

/* ERR_IO (CODE_DAMAGED) when a read failed or bytes are left over; `what` names the thing that was read. */
MUST_USE enum err unpack_finish(const struct unpack *in, const char *what, struct fault *f);

#endif
