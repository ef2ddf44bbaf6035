/* folder.h: the making of a state folder, by init and by restore. */
#ifndef ENSIGN_SERVER_FOLDER_H
#define ENSIGN_SERVER_FOLDER_H

#include <limits.h>

#include "ca/base/span.h"

/* path is absent or an empty folder; its mode becomes 0700. CODE_CONFLICT when it is not empty.
 *   ret_folder  its absolute path;  ret_made  it was absent */
MUST_USE enum err folder_make(const char *path, char ret_folder[PATH_MAX], bool *ret_made, struct fault *f);

/* What is left to do when all files are there: makes run/, and `lock`, without which ensignd does not start on it. */
MUST_USE enum err folder_complete(const char *folder, struct fault *f);

/* The folder was empty, so everything in it is ours: removes that, and the folder if it was made. */
void folder_undo(const char *folder, bool made);

#endif
