/* json.h: what certificates hold as JSON lists, for the catalogue and the API. Each returns a new value; NULL when
 * memory runs out.  Threads: pure. */
#ifndef ENSIGN_POLICIES_JSON_H
#define ENSIGN_POLICIES_JSON_H

#include <jansson.h>

#include "ca/x509/name.h"

/* Appends; a list that cannot grow becomes NULL, so that no list is ever cut unseen. */
void json_list_add(json_t **list, json_t *take_item);

/* Sets; an object that cannot grow, or a value of NULL, makes it NULL. */
void json_member_add(json_t **object, const char *name, json_t *take_value);

json_t *json_words(const char *const *words, unsigned bits); /* the words of the bits that are set, in bit order */
json_t *json_dns(const struct alternative_names *names);
json_t *json_addresses(const struct alternative_names *names);

#endif
