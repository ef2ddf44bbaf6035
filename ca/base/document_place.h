/* document_place.h: what document.c and node.c share. */
#ifndef ENSIGN_CA_BASE_DOCUMENT_PLACE_H
#define ENSIGN_CA_BASE_DOCUMENT_PLACE_H

#include "ca/base/document.h"

struct place {
    char *pointer; /* RFC 6901 */
    size_t key_line, key_column, line, column;
};

struct document {
    char *name;
    json_t *root;
    struct place *places; /* by pointer; none for a JSON text */
    size_t places_count, places_capacity;
};

const struct place *document_place(const struct document *document, const char *pointer); /* NULL */

/* "/" and the key, escaped (RFC 6901 section 3) */
void pointer_append(struct bytes *pointer, const char *key);

#endif
