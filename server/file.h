/* file.h: files of the service's own: whole, and either old or new. */
#ifndef ENSIGN_SERVER_FILE_H
#define ENSIGN_SERVER_FILE_H

#include <sys/types.h>

#include "ca/base/span.h"

enum { PATH_SIZE = 4096 + 64 };

/* ret_path  PATH_SIZE bytes */
MUST_USE enum err path_join(const char *folder, const char *name, char *ret_path, struct fault *f);

/* Writes a temporary file beside path and renames it over it, durably. It has this mode from its first byte. */
MUST_USE enum err file_replace(const char *path, struct span content, mode_t mode, struct fault *f);
/* The same piece by piece: what is written to the descriptor has its name when file_finish() returns OK; until then,
 * and when the process dies, what was there stays. Both close it. */
MUST_USE enum err file_begin(const char *path, mode_t mode, int *ret_fd, struct fault *f);
MUST_USE enum err file_finish(const char *path, int take_fd, struct fault *f);
void file_abandon(const char *path, int take_fd);

/* Makes what was made, renamed and removed in a folder durable. */
MUST_USE enum err folder_sync(const char *folder, struct fault *f);

/* At most max bytes. ERR_ABSENT when there is no such file. */
MUST_USE enum err file_read(const char *path, size_t max, struct bytes *ret_content, struct fault *f);

#endif
