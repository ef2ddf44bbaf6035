/* store_lmdb_file.h: the files under the store over LMDB: one process at a time, room ahead of use, a map that grows.
 * For store_lmdb.c alone.
 *
 * Disk space is allocated ahead of use, so that a full disk is known before a commit: LMDB itself would know it only in
 * the middle of one, and it stops for good when it cannot write its meta page. */
#ifndef ENSIGN_CA_STORE_LMDB_FILE_H
#define ENSIGN_CA_STORE_LMDB_FILE_H

#include <lmdb.h>
#include <pthread.h>
#include <stdatomic.h>

#include "ca/store_lmdb.h"

struct store {
    char *path;
    int folder_lock;
    MDB_env *env; /* NULL until it is open */
    MDB_dbi main, rows;
    bool read_only;           /* opened so, because the disk took no writes */
    pthread_mutex_t growing;  /* one thread at a time extends the file */
    pthread_rwlock_t mapping; /* held for reading during each transaction, for writing while the map is replaced */
    atomic_bool suspect;      /* the last commit failed: the disk is tried before the next */
    atomic_bool stopped;      /* this process has to open it again */
};

/* OK when error, a number of LMDB's or errno's, is 0. */
MUST_USE enum err lmdb_check(const struct store *store, int error, const char *what, struct fault *f);

/* Takes the folder `path` for this process, and opens the environment in it: store->env. An existing one on a disk that
 * takes no writes is opened for reading. */
MUST_USE enum err store_files_open(struct store *store, const struct store_lmdb_options *options, struct fault *f);
void store_files_close(struct store *store);

/* Room for any usual commit and for one of `more` bytes is in the file when it returns OK. Not during a transaction. */
MUST_USE enum err store_room_ensure(struct store *store, uint64_t more, struct fault *f);

#endif
