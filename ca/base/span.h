/* span.h: borrowed and owned bytes.
 *
 *   struct span   borrows: valid as long as whoever owns the bytes
 *   struct bytes  owns: {0} is empty; freed by bytes_free() or AUTO(bytes)
 *
 * An owned buffer always has one NUL after its `size` bytes, so that text in it can be used as a C string.
 * Memory that runs out is ERR_NOMEM where a fault can be given; the bytes_append family instead marks the buffer as
 * failed (bytes_failed()) so that a writer of many small pieces checks once, at its end.  Threads: pure.
 */
#ifndef ENSIGN_CA_BASE_SPAN_H
#define ENSIGN_CA_BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ca/base/fault.h"

struct span {
    const uint8_t *data;
    size_t size;
};

struct bytes {
    uint8_t *data;
    size_t size;
    size_t capacity;
    bool failed;
};

/* A span over an array or a fixed field. */
#define SPAN_OF(array) ((struct span){(const uint8_t *)(array), sizeof(array)})

static inline struct span span(const void *data, size_t size)
{
    return (struct span){data, size};
}

struct span span_text(const char *text); /* without the NUL */
bool span_equal(struct span a, struct span b);
int span_compare(struct span a, struct span b); /* lexicographic, a prefix first */
bool span_starts(struct span whole, struct span prefix);

static inline struct span bytes_span(const struct bytes *b)
{
    return (struct span){b->data, b->size};
}

const char *bytes_text(const struct bytes *b); /* "" when empty; borrowed */

void bytes_append(struct bytes *b, const void *data, size_t size);
void bytes_append_span(struct bytes *b, struct span data);
void bytes_append_text(struct bytes *b, const char *text);
void bytes_appendf(struct bytes *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ERR_NOMEM when an append to b failed. */
MUST_USE enum err bytes_check(const struct bytes *b, struct fault *f);
/* The same, and moves it; take_b is empty then. */
MUST_USE enum err bytes_give(struct bytes *take_b, struct bytes *ret_b, struct fault *f);

/* A copy; ret_copy is overwritten, not freed. */
MUST_USE enum err bytes_copy(struct span source, struct bytes *ret_copy, struct fault *f);

void bytes_clear(struct bytes *b); /* size 0, keeps the memory */
void bytes_free(struct bytes *b);  /* and makes it {0} */
void bytes_cleanup(struct bytes *b);

#endif
