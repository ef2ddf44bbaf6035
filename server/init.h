/* init.h: `ensignd init`: a new state folder, with the service's CA, TLS certificate and first admin. */
#ifndef ENSIGN_SERVER_INIT_H
#define ENSIGN_SERVER_INIT_H

#include "server/config.h"

enum { INIT_NAMES_MAX = 32 };

struct init {
    const char *state;
    const char *names[INIT_NAMES_MAX]; /* DNS names and addresses of the service; the first one is in its URL */
    size_t names_count;
    const char *listen; /* ADDRESS:PORT */
    struct seal_config seal;
};

/* The folder must be absent or empty. On failure everything that was made is removed again. */
MUST_USE enum err init_run(const struct init *init, struct fault *f);

#endif
