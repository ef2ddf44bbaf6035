#include "server/folder.h"

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/file.h"

static enum err empty_check(const char *path, struct fault *f)
{
    size_t entries = 0;
    DIR *folder = opendir(path);
    if (!folder)
        return fault_errno(f, "cannot open %s", path);
    for (const struct dirent *entry; (entry = readdir(folder));)
        entries += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(folder);
    if (entries > 0)
        return fault_set(f, CODE_CONFLICT,
                         "%s is not empty, and nothing is overwritten: give another folder with --state, or start the "
                         "service that is there with ensignd --config %s/ensignd.yaml",
                         path, path);
    return OK;
}

enum err folder_make(const char *path, char ret_folder[PATH_MAX], bool *ret_made, struct fault *f)
{
    bool made = mkdir(path, 0700) == 0;
    if (!made && errno != EEXIST)
        return fault_errno(f, "cannot make the folder %s", path);
    if (!realpath(path, ret_folder))
        return fault_errno(f, "cannot find %s", path);
    TRY(empty_check(path, f));
    *ret_made = made;
    return chmod(path, 0700) == 0 ? OK : fault_errno(f, "cannot change the mode of %s", path);
}

/* The lock exists from the beginning, so that a start that fails changes nothing. */
enum err folder_complete(const char *folder, struct fault *f)
{
    char path[PATH_SIZE];
    TRY(path_join(folder, "run", path, f));
    if (mkdir(path, 0700) != 0)
        return fault_errno(f, "cannot make %s", path);
    TRY(path_join(folder, "lock", path, f));
    return file_replace(path, (struct span){0}, 0600, f);
}

static int entry_remove(const char *path, const struct stat *status, int type, struct FTW *place)
{
    (void)status, (void)type;
    return place->level == 0 ? 0 : remove(path);
}

void folder_undo(const char *folder, bool made)
{
    nftw(folder, entry_remove, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
    if (made)
        rmdir(folder);
}
