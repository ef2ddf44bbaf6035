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
};

/* server/auth.c */
http_authenticate auth_authenticate;

/* server/routes.c: the table, ended by a row without a method */
extern const struct route routes[];

#endif
