#include "server/note.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "ca/base/io.h"

static const char request[] = "GET /v1/audit/checkpoint HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
enum { SECONDS_MAX = 10 };

static void fd_auto(const int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static enum err service_connect(int fd, const char *path, struct fault *f)
{
    const struct timeval patience = {.tv_sec = SECONDS_MAX};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path)
        return fault_set(f, CODE_IO, "the path of the Unix socket %s is too long", path);
    strcpy(address.sun_path, path);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) != 0 ||
        connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
        return fault_errno(f, "no service at %s", path);
    return OK;
}

/* Up to the end of the connection. */
static enum err answer_receive(int fd, struct bytes *answer, struct fault *f)
{
    char piece[NOTE_MAX];
    ssize_t got;
    while ((got = read(fd, piece, sizeof piece)) > 0) {
        bytes_append(answer, piece, (size_t)got);
        if (answer->size > NOTE_MAX)
            return fault_set(f, CODE_IO, "the service's answer is too long to be a checkpoint");
    }
    if (got < 0)
        return fault_errno(f, "no answer of the service");
    return bytes_check(answer, f);
}

enum err note_ask(const char *socket_path, struct bytes *ret_note, struct fault *f)
{
    AUTO(bytes) answer = {0};
    CLEANUP(fd_auto) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    TRY(service_connect(fd, socket_path, f));
    if (!fd_write(fd, span(request, sizeof request - 1)))
        return fault_errno(f, "cannot ask the service");
    TRY(answer_receive(fd, &answer, f));
    const char *text = bytes_text(&answer), *body = strstr(text, "\r\n\r\n");
    if (strncmp(text, "HTTP/1.1 200 ", 13) != 0 || !body)
        return fault_set(f, CODE_IO, "the service has no checkpoint now: %.*s", (int)strcspn(text, "\r\n"), text);
    return bytes_copy(span_text(body + 4), ret_note, f);
}
