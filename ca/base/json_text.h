/* json_text.h: JSON written as text, member by member: for what is written with each certificate, where values of
 * libjansson would cost more than all the rest of it. Objects and lists are opened and closed by their caller:
 *
 *     bytes_append_text(out, "{");
 *     member_string(out, "node", node);
 *     member_begin(out, "dns");
 *     bytes_append_text(out, "[");
 *     element_string(out, name);
 *     bytes_append_text(out, "]}");
 *
 * Commas come by themselves. Members without an object around them are a text of their own, too. What goes wrong marks
 * the buffer as failed.  Threads: pure. */
#ifndef ENSIGN_BASE_JSON_TEXT_H
#define ENSIGN_BASE_JSON_TEXT_H

#include "ca/base/span.h"

/* The text with its quotes, escaped as jansson does with these flags. False when it is not UTF-8 or memory ran out;
 * then nothing is appended. */
bool quoted_append(struct bytes *out, const char *text, size_t flags);

/* Names are taken as they are. */
void member_begin(struct bytes *out, const char *name); /* its value follows */
void member_string(struct bytes *out, const char *name, const char *text);
void member_string_or_null(struct bytes *out, const char *name, const char *text); /* null for NULL and "" */
void member_hex(struct bytes *out, const char *name, struct span data);
void member_time(struct bytes *out, const char *name, int64_t seconds);
void member_integer(struct bytes *out, const char *name, int64_t number);

void element_begin(struct bytes *out); /* of a list; its value follows */
void element_string(struct bytes *out, const char *text);

#endif
