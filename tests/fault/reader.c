/* reader.c: reader DIR: begins to read the database in DIR and stops in the middle of it (SIGSTOP), as a backup that
 * hangs: nothing that is erased from now on can be used again. */
#include <lmdb.h>
#include <signal.h>
#include <stdio.h>

int main(int count, char **arguments)
{
    MDB_env *env;
    MDB_txn *txn;
    if (count != 2 || mdb_env_create(&env) != 0 || mdb_env_set_maxdbs(env, 1) != 0 ||
        mdb_env_open(env, arguments[1], MDB_RDONLY, 0) != 0 || mdb_txn_begin(env, NULL, MDB_RDONLY, &txn) != 0)
        return 1;
    puts("reading");
    fflush(stdout);
    raise(SIGSTOP);
    return 0;
}
