/* files.h: files that must be right after a crash and out of reach of other users.
 *
 * Folders are opened from the root down, one component at a time, without following symbolic links; each must belong to
 * the caller or root and be writable by nobody else (a sticky one, as /tmp, may be above the last). In an opened folder
 * everything is addressed by a single component and no link is followed, so that nothing reaches outside it.
 * What is written is complete and on the disk before it has its name. */
#ifndef ENSIGN_CLIENT_FILES_H
#define ENSIGN_CLIENT_FILES_H

#include <sys/types.h>

#include "ca/base/span.h"

enum { FILE_SIZE_MAX = 1 << 20, FILE_MODE_PUBLIC = 0644, FILE_MODE_PRIVATE = 0600 };

void fd_cleanup(int *fd);             /* for CLEANUP() */
void secret_cleanup(struct bytes *b); /* wipes, then frees */

/* Makes what is missing of path, with mode 0700. */
MUST_USE enum err folder_open(const char *path, int *ret_fd, struct fault *f);
/* A folder inside a folder; `create` makes it when it is absent, otherwise that is ERR_ABSENT. */
MUST_USE enum err folder_open_at(int folder, const char *name, bool create, int *ret_fd, struct fault *f);

/* For as long as it is open here: two who work in it at the same time would each replace what the other has half done.
 * ERR_CONFLICT. */
MUST_USE enum err folder_lock(int folder, struct fault *f);

/* The folder of a path below an opened folder, and its last component, which points into the path. Makes what is
 * missing with mode 0755, or is ERR_ABSENT. */
MUST_USE enum err folder_open_parent(int folder, const char *path, bool create, int *ret_fd, const char **ret_name,
                                     struct fault *f);

/* "-" is standard input. */
MUST_USE enum err file_read(const char *path, struct bytes *ret_content, struct fault *f);
/* Refused when it is readable or writable by others than its owner, who is the caller or root. */
MUST_USE enum err file_read_private(const char *path, struct bytes *ret_content, struct fault *f);
/* The same, open for reading. */
MUST_USE enum err file_open_private(const char *path, int *ret_fd, struct fault *f);
/* ERR_ABSENT when there is none. */
MUST_USE enum err file_read_at(int folder, const char *name, struct bytes *ret_content, struct fault *f);

enum file_presence { FILE_REPLACE, FILE_NEW }; /* FILE_NEW: ERR_CONFLICT when it exists */

MUST_USE enum err file_put_at(int folder, const char *name, mode_t mode, enum file_presence presence,
                              struct span content, struct fault *f);
/* The same in steps, for files that change together: all are staged, complete and on the disk under another name; then
 * each is switched to its name, which is one system call; then the folders are synced, and what was replaced and has
 * the other name now is tidied away. */
MUST_USE enum err file_stage_at(int folder, const char *name, mode_t mode, struct span content, struct fault *f);
/* The first of these steps for what another program writes, to the descriptor: also open for reading. Whoever switches
 * it syncs it before. */
MUST_USE enum err file_stage_open(const char *path, enum file_presence presence, int *ret_folder, const char **ret_name,
                                  int *ret_fd, struct fault *f);
MUST_USE enum err file_switch_at(int folder, const char *name, enum file_presence presence, struct fault *f);
MUST_USE enum err folder_sync(int folder, struct fault *f);
void file_tidy_at(int folder, const char *name);

/* In a folder given by a path, which may have links. The folder of a private file must be one that folder_open() takes.
 * Only a regular file is replaced. */
MUST_USE enum err file_put(const char *path, mode_t mode, enum file_presence presence, struct span content,
                           struct fault *f);
/* What file_put() would refuse, before there is anything to write. */
MUST_USE enum err file_check(const char *path, mode_t mode, enum file_presence presence, struct fault *f);

struct folder_file {
    const char *name;
    mode_t mode;
    struct span content;
};

/* Makes folder/name hold exactly these files: at any moment, and after any crash, it is the old set or the new one.
 * ERR_CONFLICT when it holds something else, which would be lost. */
MUST_USE enum err folder_put_at(int folder, const char *name, const struct folder_file *files, size_t count,
                                struct fault *f);

/* Removes a folder of files; nothing to do when it is absent. */
MUST_USE enum err folder_remove_at(int folder, const char *name, struct fault *f);

/* Removes what an interrupted folder_put_at() left behind. */
MUST_USE enum err folder_tidy_at(int folder, const char *name, struct fault *f);

/* A single component, that is no dot file: what may be used as a name in a folder. */
bool file_name_valid(const char *name);

#endif
