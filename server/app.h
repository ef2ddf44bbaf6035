/* app.h: what every handler can reach. */
#ifndef ENSIGN_SERVER_APP_H
#define ENSIGN_SERVER_APP_H

#include "ca/ca.h"
#include "server/config.h"
#include "server/http.h"

struct app {
    const struct config *config;
    struct ca *ca;
    struct signer *signer;
    struct http_server *http;
    _Atomic uint64_t strangers; /* refused callers whom nobody knows, since the last leaf about them */
    int control_fd;             /* to the supervisor */
};

/* The name of the admin on the Unix socket; no other identity may have it. */
#define CALLER_ROOT "root"

/* server/auth.c */
http_authenticate auth_authenticate;
/* Writes the refusal of a known caller by its role (CODE_FORBIDDEN) to the audit log; other faults are left alone.
 * Called for every answer; why may be NULL. */
void auth_denied(struct app *app, const struct http_request *request, const struct fault *why);

/* server/routes.c: the table, ended by a row without a method */
extern const struct route routes[];

#endif
