/* backend.h: the stores that the contract suite runs over, each in a temporary folder of its own. */
#ifndef ENSIGN_TESTS_UNIT_STORE_BACKEND_H
#define ENSIGN_TESTS_UNIT_STORE_BACKEND_H

#include "ca/store.h"

struct backend {
    const char *name;
    enum err (*open)(const char *path, bool create, struct store **ret_store, struct fault *f);
};

extern const struct backend backends[];
extern const size_t backends_count;

struct place {
    const struct backend *backend;
    char path[64];
    struct store *store;
};

/* An empty store in a new folder; place_remove() closes it, when it is open, and removes the folder. */
void place_make(const struct backend *backend, struct place *ret_place);
void place_close(struct place *place);
void place_reopen(struct place *place);
void place_remove(struct place *place);

/* One write, which must succeed. */
void put(struct store *store, const char *key, const char *value);

/* What the store says to one write. */
enum code try_put(struct store *store, const char *key, struct span value);

/* The value of key is that text; NULL: there is none. */
void assert_value(struct store *store, const char *key, const char *value);

#endif
