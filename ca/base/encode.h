/* encode.h: text forms of bytes and of time.  Threads: pure.
 *
 * hex is lower case (both cases are read); base64 is RFC 4648 §4 with padding, base64url §5 without; PEM is RFC 7468
 * (strict labels, 64 columns); times are UTC seconds since 1970 and RFC 3339 ("2026-11-21T04:00:00Z");
 * durations are a number and one of s, m, h, d ("8760h", "90s").
 */
#ifndef ENSIGN_CA_BASE_ENCODE_H
#define ENSIGN_CA_BASE_ENCODE_H

#include "ca/base/span.h"

void hex_append(struct bytes *out, struct span data);
void hex_text(struct span data, char *ret_text, size_t size); /* size ≥ 2 × data.size + 1 */
MUST_USE enum err hex_decode(const char *text, uint8_t *ret_data, size_t size,
                             struct fault *f); /* exactly size bytes */

enum { SHA256_TEXT_SIZE = 2 * 32 + 1 };
void sha256_text(struct span data, char ret_text[SHA256_TEXT_SIZE]); /* the digest, in hex */

void base64_append(struct bytes *out, struct span data);
void base64url_append(struct bytes *out, struct span data);
MUST_USE enum err base64_decode(struct span text, struct bytes *ret_data, struct fault *f);
MUST_USE enum err base64url_decode(struct span text, struct bytes *ret_data, struct fault *f);

void pem_append(struct bytes *out, const char *label, struct span der);

enum { PEM_LABEL_SIZE = 64 }; /* with its NUL */

/* The next PEM block of text. *text is moved behind it. Text before the block is allowed (RFC 7468 §2); a block that
 * is broken or has headers is ERR_INPUT; no further block is ERR_ABSENT.
 *   ret_label  at least PEM_LABEL_SIZE bytes;  ret_der  owned */
MUST_USE enum err pem_next(struct span *text, char *ret_label, struct bytes *ret_der, struct fault *f);

/* The only block of text, which must have that label. */
MUST_USE enum err pem_decode(struct span text, const char *label, struct bytes *ret_der, struct fault *f);

enum { TIME_TEXT_SIZE = 32 };
/* A number that no calendar reaches (a year beyond 2^31) is shown as seconds: "9223372036854775807s". */
void time_text(int64_t seconds, char ret_text[TIME_TEXT_SIZE]);
MUST_USE enum err time_parse(const char *text, int64_t *ret_seconds, struct fault *f); /* as time_text() writes it */

enum { DURATION_TEXT_SIZE = 32 };
void duration_text(int64_t seconds, char ret_text[DURATION_TEXT_SIZE]); /* the largest unit that divides it */
MUST_USE enum err duration_parse(const char *text, int64_t *ret_seconds, struct fault *f); /* > 0, at most 100 years */

#endif
