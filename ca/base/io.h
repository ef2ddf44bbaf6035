/* io.h: writing all of it. Threads: as write(2). */
#ifndef ENSIGN_BASE_IO_H
#define ENSIGN_BASE_IO_H

#include "ca/base/span.h"

/* Goes on after an interruption and a short write. false: see errno. */
bool fd_write(int fd, struct span content);

#endif
