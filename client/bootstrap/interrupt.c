#include "client/bootstrap/interrupt.h"

#include <errno.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

static const int signals[INTERRUPT_SIGNALS] = {SIGINT, SIGTERM, SIGHUP};

/* For the handler. */
static volatile sig_atomic_t seen, event = -1;

static void handle(int number)
{
    int before = errno;
    uint64_t one = 1;
    seen = number;
    ssize_t put = write(event, &one, sizeof one);
    (void)put;
    errno = before;
}

enum err interrupt_open(struct interrupt *ret_interrupt, struct fault *f)
{
    struct sigaction action = {.sa_handler = handle, .sa_flags = SA_RESTART};
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0)
        return fault_errno(f, "cannot watch for signals");
    seen = 0;
    event = fd;
    ret_interrupt->stop = fd;
    for (size_t i = 0; i < INTERRUPT_SIGNALS; i++) {
        sigaction(signals[i], NULL, &ret_interrupt->before[i]);
        if (ret_interrupt->before[i].sa_handler != SIG_IGN) /* as nohup wants it */
            sigaction(signals[i], &action, NULL);
    }
    return OK;
}

void interrupt_cleanup(struct interrupt *interrupt)
{
    if (interrupt->stop <= 0) /* never opened */
        return;
    for (size_t i = 0; i < INTERRUPT_SIGNALS; i++)
        sigaction(signals[i], &interrupt->before[i], NULL);
    event = -1;
    close(interrupt->stop);
    if (seen)
        raise(seen);
}
