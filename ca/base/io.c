#include "ca/base/io.h"

#include <errno.h>
#include <unistd.h>

bool fd_write(int fd, struct span content)
{
    while (content.size > 0) {
        ssize_t put = write(fd, content.data, content.size);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return false;
        content = span(content.data + put, content.size - (size_t)put);
    }
    return true;
}
