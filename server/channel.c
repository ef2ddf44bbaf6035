#include "server/channel.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

union control {
    struct cmsghdr header;
    char space[CMSG_SPACE(sizeof(int))];
};

enum err channel_new(int ret_ends[2], struct fault *f)
{
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret_ends) != 0)
        return fault_errno(f, "cannot make a socket pair");
    return OK;
}

static const char stuck = 'S';

void channel_send_stuck(int channel)
{
    (void)send(channel, &stuck, sizeof stuck,
               MSG_NOSIGNAL | MSG_DONTWAIT); /* a supervisor that is gone needs nothing */
}

bool channel_receive_stuck(int channel)
{
    char byte = 0;
    return recv(channel, &byte, sizeof byte, MSG_DONTWAIT) == 1 && byte == stuck;
}

bool channel_send_fd(int channel, int fd)
{
    char byte = 'F';
    union control control = {0};
    struct iovec data = {&byte, 1};
    struct msghdr message = {
        .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control.space};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(header), &fd, sizeof fd);
    return sendmsg(channel, &message, MSG_NOSIGNAL) == 1;
}

bool channel_receive_fd(int channel, int *ret_fd)
{
    char byte;
    union control control = {0};
    struct iovec data = {&byte, 1};
    struct msghdr message = {
        .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control.space};
    ssize_t got;
    do
        got = recvmsg(channel, &message, MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    struct cmsghdr *header = got == 1 ? CMSG_FIRSTHDR(&message) : NULL;
    if (!header || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
        return false;
    memcpy(ret_fd, CMSG_DATA(header), sizeof *ret_fd);
    return true;
}
