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
/* At most max bytes. ERR_ABSENT when there is no such file. */
MUST_USE enum err file_read(const char *path, size_t max, struct bytes *ret_content, struct fault *f);

#endif
