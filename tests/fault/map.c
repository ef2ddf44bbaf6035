/* map.c: linked into a build of ensignd with --wrap=store_lmdb_open: its map begins with $ENSIGN_MAP_BYTES. With FIXED,
 * a control: the map does not grow and dead readers are not cleared. */
#include <lmdb.h>
#include <stdlib.h>

#include "ca/store_lmdb.h"

MUST_USE enum err __wrap_store_lmdb_open(const char *path, bool create, struct store **ret_store, struct fault *f);

enum err __wrap_store_lmdb_open(const char *path, bool create, struct store **ret_store, struct fault *f)
{
    const char *bytes = getenv("ENSIGN_MAP_BYTES");
    struct store_lmdb_options options = {.create = create, .map_bytes = bytes ? strtoul(bytes, NULL, 10) : 0};
    return store_lmdb_open_with(path, &options, ret_store, f);
}

#ifdef FIXED
int __real_mdb_env_set_mapsize(MDB_env *env, size_t size);
int __wrap_mdb_env_set_mapsize(MDB_env *env, size_t size);
int __wrap_mdb_reader_check(MDB_env *env, int *dead);

int __wrap_mdb_env_set_mapsize(MDB_env *env, size_t size)
{
    static bool set;
    if (set)
        return MDB_MAP_FULL;
    set = true;
    return __real_mdb_env_set_mapsize(env, size);
}

int __wrap_mdb_reader_check(MDB_env *env, int *dead)
{
    (void)env, (void)dead;
    return 0;
}
#endif
