/* meta.h: the few rows that stand alone ("m schema", "m log", …). */
#ifndef ENSIGN_CA_META_H
#define ENSIGN_CA_META_H

#include "ca/store.h"

/* ret_row is empty when there is none. */
MUST_USE enum err meta_get(struct store *store, const char *name, struct bytes *ret_row, struct fault *f);

#endif
