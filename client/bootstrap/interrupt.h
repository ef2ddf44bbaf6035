/* interrupt.h: SIGINT, SIGTERM and SIGHUP end what runs, then what was begun is tidied up, and then they end this
 * program as they would have: AUTO(interrupt), declared before what is to be tidied up. One at a time. */
#ifndef ENSIGN_CLIENT_BOOTSTRAP_INTERRUPT_H
#define ENSIGN_CLIENT_BOOTSTRAP_INTERRUPT_H

#include <signal.h>

#include "ca/base/fault.h"

enum { INTERRUPT_SIGNALS = 3 };

struct interrupt {
    int stop; /* readable for good once one of them has come: see process.h */
    struct sigaction before[INTERRUPT_SIGNALS];
};

MUST_USE enum err interrupt_open(struct interrupt *ret_interrupt, struct fault *f);
void interrupt_cleanup(struct interrupt *interrupt);

#endif
