/* rows.h: rows of one kind, one after another.  Threads: any. */
#ifndef ENSIGN_CA_ROWS_H
#define ENSIGN_CA_ROWS_H

#include "ca/store.h"

/* The row is borrowed for the call, which must not call the store. *more is true; false ends the reading. */
typedef enum err row_read(void *context, struct span row, bool *more, struct fault *f);

/* Calls read for each row whose key is in [from, to), in order, until it fails, which is the answer, or wants no more.
 * ERR_NOMEM when a key could not be built. */
MUST_USE enum err rows_each(struct store *store, const struct bytes *from, const struct bytes *to, row_read *read,
                            void *context, struct fault *f);

#endif
