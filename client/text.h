/* text.h: small text helpers.  Threads: pure. */
#ifndef ENSIGN_CLIENT_TEXT_H
#define ENSIGN_CLIENT_TEXT_H

#include <jansson.h>

#include "ca/base/span.h"

/* Appends text with everything but RFC 3986 §2.3's unreserved characters as %XX: one segment or value of a URL, or a
 * file name. */
void percent_append(struct bytes *out, const char *text);

/* "/v1/certificates" and "?name=value" or "&name=value"; nothing when value is NULL. */
void query_append(struct bytes *path, const char *name, const char *value);

/* What others wrote, on one line for a terminal: control characters become '?'. */
void printable(char *text);
/* Adds a list of these texts to the object, nothing when there are none. False when one of them is not UTF-8 or memory
 * ran out, or when object is NULL. */
bool json_add_texts(json_t *object, const char *key, const char *const *texts, size_t count);
void json_cleanup(json_t **json); /* for CLEANUP() */

#endif
