/* pages.h: lists that the service gives out in pages. */
#ifndef ENSIGN_CLIENT_PAGES_H
#define ENSIGN_CLIENT_PAGES_H

#include "client/api.h"

enum { PAGE_SIZE = 500 };

/* All items, or the first limit_max ones (0: all), of a list whose path may have a query but no limit and cursor:
 * {"items":[…],"next_cursor":null or, when the limit cut the list, the cursor behind it} */
MUST_USE enum err pages_fetch(struct api *api, const char *path, size_t limit_max, json_t **ret_list, struct fault *f);

#endif
