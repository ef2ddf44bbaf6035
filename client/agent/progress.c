#include <string.h>

#include "client/agent/state.h"
#include "client/files.h"

static const char done_folder[] = ".done";

enum err done_read(const struct turn *turn, const char *name, struct bytes *ret_what, struct fault *f)
{
    CLEANUP(fd_cleanup) int folder = -1;
    enum err err = folder_open_at(turn->sets, done_folder, false, &folder, f);
    if (err == OK)
        err = file_read_at(folder, name, ret_what, f);
    if (err != ERR_ABSENT)
        return err;
    fault_clear(f);
    return OK;
}

enum err done_write(const struct turn *turn, const char *name, const char *what, struct fault *f)
{
    CLEANUP(fd_cleanup) int folder = -1;
    TRY(folder_open_at(turn->sets, done_folder, true, &folder, f));
    return file_put_at(folder, name, FILE_MODE_PRIVATE, FILE_REPLACE, span_text(what), f);
}
