/* nosync.c: linked into a control build of ensignd with --wrap=store_lmdb_open: its commits are not durable, so that
 * the test of a power cut must notice. */
#include "ca/store_lmdb.h"

MUST_USE enum err __wrap_store_lmdb_open(const char *path, bool create, struct store **ret_store, struct fault *f);

enum err __wrap_store_lmdb_open(const char *path, bool create, struct store **ret_store, struct fault *f)
{
    struct store_lmdb_options options = {.create = create, .unsafe_no_sync = true};
    return store_lmdb_open_with(path, &options, ret_store, f);
}
