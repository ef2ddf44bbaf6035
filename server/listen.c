#include "server/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "server/clock.h"

enum { BACKLOG = 1024, BIND_MILLISECONDS = 500 };

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un local;
};

static socklen_t address_fill(const struct config *config, union address *address)
{
    uint16_t port = htons((uint16_t)config->listen_port);
    *address = (union address){0};
    if (inet_pton(AF_INET, config->listen_host, &address->v4.sin_addr) == 1) {
        address->v4.sin_family = AF_INET;
        address->v4.sin_port = port;
        return sizeof address->v4;
    }
    inet_pton(AF_INET6, config->listen_host, &address->v6.sin6_addr);
    address->v6.sin6_family = AF_INET6;
    address->v6.sin6_port = port;
    return sizeof address->v6;
}

static enum err tcp_bind(const struct config *config, int fd, const union address *address, socklen_t size,
                         struct fault *f)
{
    int on = 1, off = 0;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (address->any.sa_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off); /* "[::]" means IPv4 too */
    /* A server that was killed may not have closed its socket yet. */
    int64_t until = clock_milliseconds() + BIND_MILLISECONDS;
    int status;
    do
        status = bind(fd, &address->any, size);
    while (status != 0 && errno == EADDRINUSE && clock_try_again(until));
    if (status == 0 && listen(fd, BACKLOG) == 0)
        return OK;
    if (errno == EADDRINUSE)
        return fault_set(f, CODE_CONFLICT,
                         "port %u of %s is in use by another program: stop that, or set another port as listen",
                         config->listen_port, config->listen_host);
    return fault_errno(f, "cannot listen on port %u of %s", config->listen_port, config->listen_host);
}

enum err listen_tcp(const struct config *config, int *ret_fd, unsigned *ret_port, struct fault *f)
{
    union address address;
    socklen_t size = address_fill(config, &address);
    int fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return fault_errno(f, "cannot make a socket");
    enum err err = tcp_bind(config, fd, &address, size, f);
    if (err != OK) {
        close(fd);
        return err;
    }
    getsockname(fd, &address.any, &size);
    *ret_fd = fd;
    *ret_port = ntohs(address.any.sa_family == AF_INET ? address.v4.sin_port : address.v6.sin6_port);
    return OK;
}

static enum err unix_bind(const char *path, int fd, struct fault *f)
{
    union address address = {.local = {.sun_family = AF_UNIX}};
    struct stat old;
    if (strlen(path) >= sizeof address.local.sun_path)
        return fault_set(f, CODE_INVALID, "the path of the Unix socket %s is too long", path);
    memcpy(address.local.sun_path, path, strlen(path));
    if (lstat(path, &old) == 0 && S_ISSOCK(old.st_mode))
        unlink(path);
    mode_t mask = umask(0177);
    int status = bind(fd, &address.any, sizeof address.local);
    umask(mask);
    if (status != 0 || listen(fd, BACKLOG) != 0)
        return fault_errno(f, "cannot listen on %s", path);
    return OK;
}

enum err listen_unix(const char *path, int *ret_fd, struct fault *f)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return fault_errno(f, "cannot make a socket");
    enum err err = unix_bind(path, fd, f);
    if (err != OK)
        close(fd);
    else
        *ret_fd = fd;
    return err;
}
