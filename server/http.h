/* http.h: HTTP as the handlers see it. http.c is the only file that knows libmicrohttpd and GnuTLS sessions.
 *
 * A request is routed on its headers; its body is collected under the route's limit; then the handler is called once,
 * on a thread of its own (thread per connection), and may block. Refused before any handler runs: unknown routes (404),
 * methods (405 with Allow), bodies over the limit (413), another Content-Type than application/json where a body is
 * read (415), a second Content-Length, Host or Transfer-Encoding, or
 * Transfer-Encoding with Content-Length (400), paths with %00, "..", "//" or broken escapes (400).
 *
 * A watchdog ends connections whose headers took longer than 10 s, or whose body or answer took longer than 30 s, in
 * total, and those that were idle for 75 s. Nothing behind a chunked body is read as another request.
 * At most http_config.connections_max connections in all and connections_per_address_max from one address.
 */
#ifndef ENSIGN_SERVER_HTTP_H
#define ENSIGN_SERVER_HTTP_H

#include <jansson.h>

#include "ca/base/span.h"
#include "policies/decide.h"

struct app;
struct http_request;

enum { HTTP_PARAMETERS_MAX = 4, REQUEST_ID_TEXT_SIZE = 37 };

struct http_response {
    int status;
    const char *content_type; /* static; NULL with an empty body */
    struct bytes body;        /* owned; freed after sending */
    char location[256];       /* header Location, when not empty */
    char etag[80];            /* header ETag, when not empty; If-None-Match is answered by 304 in http.c */
    int retry_after_seconds;  /* header Retry-After, when > 0 */
    int max_age_seconds;      /* Cache-Control: max-age; 0: no-store */
    struct fault *fault;      /* owned; why it is an error, for the log; NULL otherwise */
};

typedef struct http_response http_handler(struct app *app, const struct http_request *request);

#define HTTP_REMOTE_UNIX "unix"

/* Who may call a route: bits of enum requester, and these. */
enum {
    MAY_ANYBODY = 1 << 15,
    MAY_METRICS = 1 << 14,  /* whom the configuration lets read the metrics, whoever it is; auth grants it */
    MAY_REPLACED = 1 << 13, /* of those who may, also by an identity whose successor is installed already */
};

struct route {
    const char *method;  /* "GET" answers HEAD too */
    const char *pattern; /* "/v1/clusters/{cluster}/certificates" */
    size_t body_max;     /* 0: no body is read, and one that comes is refused */
    unsigned may;        /* enum requester bits */
    http_handler *handler;
};

struct http_request {
    const struct route *route;
    const char *method, *path;
    const char *parameters[HTTP_PARAMETERS_MAX]; /* values of {…}, decoded, in order of the pattern */
    struct span body;
    char id[REQUEST_ID_TEXT_SIZE];  /* X-Request-Id, echoed when sane (1..36 of [A-Za-z0-9._-]), else made */
    char remote[64];                /* address of the client; HTTP_REMOTE_UNIX on the socket */
    bool unix_root;                 /* on the Unix socket, and SO_PEERCRED says uid 0 */
    struct span client_certificate; /* DER of the leaf that TLS proved possession of; empty when none */
    struct caller caller;           /* filled in by auth before the handler; kind 0: nobody */
    unsigned granted;               /* MAY_ bits that auth adds to those of the caller's kind */
    uint8_t token_id[16];           /* when caller.kind is REQUESTER_TOKEN */
    void *connection;               /* http.c's own */
};

/* NULL when absent; borrowed for the call. */
const char *http_query(const struct http_request *request, const char *name);
const char *http_header(const struct http_request *request, const char *name);
/* A reason for each query parameter that is not in the NULL-terminated list. */
MUST_USE enum err http_query_allow(const struct http_request *request, const char *const *names, struct fault *f);

/* Takes the JSON value (NULL: internal error). */
struct http_response http_json(int status, json_t *take_json);
/* The same of JSON as text, which is moved into the response. */
struct http_response http_json_text(int status, struct bytes *take_text);

/* Frees what a response owns; for those that are not sent. */
void http_response_cleanup(struct http_response *response);

/* ---- the server ---- */

struct http_config {
    int listen_fd; /* bound, listening, not blocking; -1: none. The caller's: it stays open */
    int unix_fd;   /* the same of AF_UNIX */
    unsigned connections_max, connections_per_address_max;
    int headers_milliseconds, body_milliseconds, idle_milliseconds; /* in total; 0: 10 s, 30 s, 75 s */
};

struct http_server;

/* routes ends with a row whose method is NULL. Certificate and key (PEM; chain: leaf first, then the CA) can be changed
 * while running with http_server_tls(). authenticate fills request->caller before the body is read; for a route that
 * anybody may use it is not called. A route's `may`
 * that the caller does not meet is answered 401 or 403 by http.c. */
typedef enum err http_authenticate(struct app *app, struct http_request *request, struct fault *f);
/* Called once for each answer, before it is sent, for the log and the counters. fault may be NULL. */
typedef void http_observe(struct app *app, const struct http_request *request, int status, double seconds,
                          const struct fault *fault);

MUST_USE enum err http_server_start(const struct http_config *config, const struct route *routes, struct app *app,
                                    http_authenticate *authenticate, http_observe *observe, struct span chain_pem,
                                    struct span key_pem, struct http_server **ret_server, struct fault *f);
MUST_USE enum err http_server_tls(struct http_server *server, struct span chain_pem, struct span key_pem,
                                  struct fault *f);
/* Takes no new connections, lets requests in progress end for at most this long, closes. */
void http_server_drain(struct http_server *server, int seconds);
size_t http_server_connections(struct http_server *server); /* that are open */
void http_server_free(struct http_server *server);

#endif
