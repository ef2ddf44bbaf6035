/* fixture.h: a running HTTP server on a port of the kernel's choice, and a client that sends exactly what it is told.
 */
#ifndef ENSIGN_TESTS_UNIT_SERVER_FIXTURE_H
#define ENSIGN_TESTS_UNIT_SERVER_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <openssl/ssl.h>
#include <pthread.h>

#include "server/http.h"

/* A key and its certificate, signed by the test's CA. */
struct pair {
    EVP_PKEY *key;
    X509 *certificate;
};
void pair_make(const struct pair *issuer, const char *name, struct pair *ret_pair); /* issuer NULL: a CA */
void pair_free(struct pair *pair);
void pair_chain_pem(const struct pair *leaf, const struct pair *issuer, struct bytes *ret_pem);
void pair_key_pem(const struct pair *pair, struct bytes *ret_pem);
void pair_der(const struct pair *pair, struct bytes *ret_der);

struct app {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    unsigned handled, observed, held; /* requests seen by handlers, answers seen by the observer, /hold in progress */
    bool released;                    /* /hold may answer */
    int status;                       /* last observed */
    enum code code;
};

struct fixture {
    struct app app;
    struct pair authority, service, client;
    int listen_fd, unix_fd;
    char address[64], unix_path[64], folder[32];
    unsigned port;
    struct http_server *server;
};
extern const struct route test_routes[];

/* config may be NULL: the defaults. */
void fixture_start(struct fixture *fixture, const struct http_config *config);
void fixture_stop(struct fixture *fixture);
void app_wait(struct app *app, const unsigned *counter, unsigned at_least);
void app_release(struct app *app);

struct client {
    int fd;
    SSL_CTX *context;
    SSL *ssl; /* NULL on the Unix socket */
};
enum { CLIENT_PLAIN = 1, CLIENT_CERTIFICATE = 2, CLIENT_TLS12 = 4 };
int client_tcp(const struct fixture *fixture);                                          /* a bare connection */
bool client_open(struct client *client, const struct fixture *fixture, unsigned flags); /* false: no handshake */
void client_close(struct client *client);
bool client_send(struct client *client, const char *data, size_t size);
void client_send_text(struct client *client, const char *text);

struct reply {
    int status;
    char head[4096];
    struct bytes body;
};
/* False when the connection ended (or 10 s passed) before a whole reply came. */
bool client_reply(struct client *client, bool has_body, struct reply *ret_reply);
/* Reads on until the server hangs up; false when it has not within 10 s. */
bool client_ended(struct client *client);
/* The value of a header, or NULL; borrowed from a static buffer. */
const char *reply_header(const struct reply *reply, const char *name);
void reply_cleanup(struct reply *reply);
/* Sends and reads the reply; fails the test when there is none. */
void client_ask(struct client *client, const char *request, struct reply *ret_reply);

#endif
