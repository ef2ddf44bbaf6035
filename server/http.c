#include "server/http.h"

#include <arpa/inet.h>
#include <gnutls/gnutls.h>
#include <microhttpd.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "server/clock.h"
#include "server/http_rules.h"
#include "server/http_target.h"
#include "server/http_tls.h"
#include "server/http_watch.h"
#include "server/logger.h"
#include "server/problem.h"

enum {
    HEADERS_MILLISECONDS = 10000,
    BODY_MILLISECONDS = 30000,
    IDLE_MILLISECONDS = 75000,
    DRAIN_MAX = 1 << 20,  /* of a refused body, so that its sender reads the answer; beyond that we hang up */
    STACK_SIZE = 1 << 20, /* address space; only what is used becomes memory */
    DAEMON_FLAGS = MHD_USE_POLL_INTERNAL_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_ITC | MHD_USE_ERROR_LOG,
};

struct http_server {
    struct app *app;
    const struct route *routes;
    http_authenticate *authenticate;
    http_observe *observe;
    struct http_config config;
    struct MHD_Daemon *tcp, *local;
    struct watch *watch;
    pthread_mutex_t tls_mutex;
    struct tls_identity *tls; /* under the mutex */
    struct bytes trust_pem;   /* makes libmicrohttpd ask for client certificates */
};

enum phase { PHASE_HEADERS, PHASE_BODY, PHASE_ANSWERED };

/* A connection and its request in progress: there is one at a time. */
struct connection {
    struct http_server *server;
    struct MHD_Connection *mhd;
    struct watch_entry watch;
    struct tls_identity *tls; /* what its handshake was made with */
    char remote[64];
    bool unix_root;
    bool used; /* has had a request */

    enum phase phase;
    int64_t started_microseconds;
    struct target target;
    struct http_request request;
    char allow[ALLOW_TEXT_SIZE];
    struct bytes body;
    size_t drained_bytes;
    bool refused, close; /* the answer was decided before the body; it ends the connection */
    struct http_response refusal;
};

/* ---- what handlers see ---- */

const char *http_query(const struct http_request *request, const char *name)
{
    const struct connection *connection = request->connection;
    return target_query(&connection->target, name);
}

const char *http_header(const struct http_request *request, const char *name)
{
    const struct connection *connection = request->connection;
    return MHD_lookup_connection_value(connection->mhd, MHD_HEADER_KIND, name);
}

static bool word_listed(const char *word, const char *const *words)
{
    for (; *words; words++)
        if (strcmp(word, *words) == 0)
            return true;
    return false;
}

enum err http_query_allow(const struct http_request *request, const char *const *names, struct fault *f)
{
    const struct target *target = &((const struct connection *)request->connection)->target;
    for (size_t i = 0; i < target->query_count; i++)
        if (!word_listed(target->query[i].name, names))
            fault_reason(f, target->query[i].name, "no such query parameter here");
    return fault_if_reasons(f, CODE_INVALID, "the query is not valid");
}

/* ---- who asks ---- */

/* The certificate whose key the client proved to have. Empty on the Unix socket and without one. */
static struct span client_certificate(struct connection *connection)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection->mhd, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    if (!info || !info->tls_session)
        return (struct span){0};
    unsigned count = 0;
    const gnutls_datum_t *chain = gnutls_certificate_get_peers(info->tls_session, &count);
    return chain && count ? span(chain[0].data, chain[0].size) : (struct span){0};
}

/* Routes for anybody ask nobody, so that a health check does not depend on the store. */
static enum err caller_check(struct connection *connection, struct fault *f)
{
    struct http_request *request = &connection->request;
    if (request->route->may != MAY_ANYBODY)
        TRY(connection->server->authenticate(connection->server->app, request, f));
    return may_check(request, f);
}

/* ---- answers ---- */

static bool header_add(struct MHD_Response *answer, const char *name, const char *value)
{
    return !value || !*value || MHD_add_response_header(answer, name, value) == MHD_YES;
}

static bool header_add_number(struct MHD_Response *answer, const char *name, const char *format, int number)
{
    struct bytes text = {0};
    bytes_appendf(&text, format, number);
    bool added = !text.failed && header_add(answer, name, bytes_text(&text));
    bytes_free(&text);
    return added;
}

/* False when memory runs out: without its headers an answer would say something else. */
static bool headers_add(const struct connection *connection, const struct http_response *response,
                        struct MHD_Response *answer)
{
    bool added = header_add(answer, MHD_HTTP_HEADER_CONTENT_TYPE, response->content_type);
    added &= header_add(answer, "X-Content-Type-Options", "nosniff");
    added &= header_add(answer, "X-Request-Id", connection->request.id);
    if (response->status < 300) /* not when memory ran out for the answer itself */
        added &= header_add(answer, MHD_HTTP_HEADER_LOCATION, response->location);
    added &= header_add(answer, MHD_HTTP_HEADER_ETAG, response->etag);
    if (response->max_age_seconds > 0)
        added &= header_add_number(answer, MHD_HTTP_HEADER_CACHE_CONTROL, "max-age=%d", response->max_age_seconds);
    else
        added &= header_add(answer, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    if (response->retry_after_seconds > 0)
        added &= header_add_number(answer, MHD_HTTP_HEADER_RETRY_AFTER, "%d", response->retry_after_seconds);
    if (response->status == MHD_HTTP_METHOD_NOT_ALLOWED)
        added &= header_add(answer, MHD_HTTP_HEADER_ALLOW, connection->allow);
    if (response->status == MHD_HTTP_UNAUTHORIZED)
        added &= header_add(answer, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer");
    if (connection->close || watch_draining(connection->server->watch))
        added &= header_add(answer, MHD_HTTP_HEADER_CONNECTION, "close");
    return added;
}

/* A caller that has this very content gets only told so: RFC 9110 §15.4.5. */
static void not_modified(const struct http_request *request, struct http_response *response)
{
    const char *known = http_header(request, MHD_HTTP_HEADER_IF_NONE_MATCH);
    if (!known || !*response->etag || response->status != MHD_HTTP_OK || !etag_listed(known, response->etag))
        return;
    bytes_free(&response->body);
    response->status = MHD_HTTP_NOT_MODIFIED;
    response->content_type = NULL;
}

static enum MHD_Result answer_send(struct connection *connection, struct http_response *response)
{
    struct http_server *server = connection->server;
    not_modified(&connection->request, response);
    double seconds = (double)(clock_microseconds() - connection->started_microseconds) / 1e6;
    server->observe(server->app, &connection->request, response->status, seconds, response->fault);
    connection->phase = PHASE_ANSWERED;
    watch_deadline(&connection->watch, server->config.body_milliseconds);
    struct MHD_Response *answer =
        MHD_create_response_from_buffer(response->body.size, response->body.data, MHD_RESPMEM_MUST_FREE);
    enum MHD_Result result = MHD_NO;
    if (answer) {
        response->body = (struct bytes){0};
        if (headers_add(connection, response, answer))
            result = MHD_queue_response(connection->mhd, (unsigned)response->status, answer);
        MHD_destroy_response(answer);
    }
    http_response_cleanup(response);
    return result;
}

/* ---- one request ---- */

static enum MHD_Result on_header(void *context, enum MHD_ValueKind kind, const char *name, size_t name_size,
                                 const char *value, size_t value_size)
{
    (void)kind;
    framing_header(context, span(name, name_size), span(value, value_size));
    return MHD_YES;
}

/* Everything that can be refused before the body is read. ret_length of the body that follows; *ret_broken when
 * nothing that follows can be trusted. */
static enum err request_check(struct connection *connection, const char *version, uint64_t *ret_length,
                              bool *ret_broken, struct fault *f)
{
    struct http_request *request = &connection->request;
    struct framing framing = {0};
    MHD_get_connection_values_n(connection->mhd, MHD_HEADER_KIND, on_header, &framing);
    *ret_broken = true;
    TRY(framing_check(&framing, version, f));
    TRY(target_parse(&connection->target, f));
    *ret_broken = false;
    *ret_length = framing.length;
    connection->close = framing.chunked;
    TRY(route_find(connection->server->routes, request->method, &connection->target, &request->route,
                   request->parameters, connection->allow, f));
    TRY(body_check(&framing, request->route, f));
    return caller_check(connection, f);
}

/* A body that is not too long is read and thrown away, and the connection lives on. libmicrohttpd takes an early
 * answer only here, at the headers. */
static enum MHD_Result request_refuse(struct connection *connection, const struct fault *fault, uint64_t length,
                                      bool broken)
{
    connection->refusal = problem(&connection->request, fault);
    connection->refused = true;
    if (!broken && length <= DRAIN_MAX && !http_header(&connection->request, MHD_HTTP_HEADER_EXPECT))
        return MHD_YES;
    connection->close = true;
    return answer_send(connection, &connection->refusal);
}

static enum MHD_Result request_begin(struct connection *connection, const char *method, const char *version)
{
    struct http_request *request = &connection->request;
    uint64_t length = 0;
    bool broken = false;
    struct fault fault = {0};
    *request = (struct http_request){.method = method,
                                     .path = connection->target.path,
                                     .unix_root = connection->unix_root,
                                     .connection = connection};
    memcpy(request->remote, connection->remote, sizeof request->remote);
    request->client_certificate = client_certificate(connection);
    request_id(http_header(request, "X-Request-Id"), request->id);
    connection->phase = PHASE_BODY;
    watch_deadline(&connection->watch, connection->server->config.body_milliseconds);
    if (request_check(connection, version, &length, &broken, &fault) != OK)
        return request_refuse(connection, &fault, length, broken);
    return MHD_YES;
}

static enum MHD_Result body_collect(struct connection *connection, const char *data, size_t size)
{
    const struct http_request *request = &connection->request;
    if (!connection->refused && connection->body.size + size <= request->route->body_max) {
        bytes_append(&connection->body, data, size);
        return MHD_YES;
    }
    if (!connection->refused) {
        struct fault fault = {0};
        if (body_too_large(request->route, &fault) != OK)
            connection->refusal = problem(request, &fault);
        connection->refused = true;
        bytes_free(&connection->body);
    }
    connection->drained_bytes += size;
    return connection->drained_bytes > DRAIN_MAX ? MHD_NO : MHD_YES;
}

static enum MHD_Result request_end(struct connection *connection)
{
    struct http_request *request = &connection->request;
    if (connection->refused)
        return answer_send(connection, &connection->refusal);
    watch_deadline(&connection->watch, 0);
    struct http_response response;
    struct fault fault = {0};
    request->body = bytes_span(&connection->body);
    if (bytes_check(&connection->body, &fault) != OK)
        response = problem(request, &fault);
    else
        response = request->route->handler(connection->server->app, request);
    return answer_send(connection, &response);
}

/* ---- libmicrohttpd's callbacks ---- */

static enum MHD_Result on_request(void *context, struct MHD_Connection *mhd, const char *url, const char *method,
                                  const char *version, const char *data, size_t *size, void **request_context)
{
    (void)context, (void)url;
    struct connection *connection = *request_context;
    if (!connection)
        return MHD_NO;
    connection->mhd = mhd;
    if (connection->phase == PHASE_HEADERS)
        return request_begin(connection, method, version);
    if (connection->phase == PHASE_BODY && *size == 0)
        return request_end(connection);
    /* What follows an early answer is thrown away. */
    enum MHD_Result result = connection->phase == PHASE_BODY ? body_collect(connection, data, *size) : MHD_YES;
    *size = 0;
    return result;
}

static struct connection *connection_of(struct MHD_Connection *mhd)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info ? info->socket_context : NULL;
}

/* The request line is there: the first sign of a request, and the only place that shows the target undecoded. What is
 * returned becomes the request's context. */
static void *on_target(void *context, const char *text, struct MHD_Connection *mhd)
{
    (void)context;
    struct connection *connection = connection_of(mhd);
    if (!connection)
        return NULL;
    connection->phase = PHASE_HEADERS;
    connection->started_microseconds = clock_microseconds();
    connection->refused = connection->close = false;
    connection->drained_bytes = 0;
    target_take(&connection->target, text);
    /* The time for the first headers began when the connection was accepted. */
    if (connection->used)
        watch_deadline(&connection->watch, connection->server->config.headers_milliseconds);
    connection->used = true;
    connection->watch.busy = true;
    return connection;
}

static void on_completed(void *context, struct MHD_Connection *mhd, void **request_context,
                         enum MHD_RequestTerminationCode why)
{
    (void)context, (void)mhd, (void)why;
    struct connection *connection = *request_context;
    if (!connection)
        return;
    bytes_free(&connection->body);
    if (connection->phase != PHASE_ANSWERED && connection->refused)
        http_response_cleanup(&connection->refusal);
    watch_deadline(&connection->watch, connection->server->config.idle_milliseconds);
    connection->watch.busy = false;
}

static void address_fill(const struct sockaddr *address, char *ret_text, size_t size)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)address;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)address;
    if (address->sa_family == AF_INET)
        inet_ntop(AF_INET, &v4->sin_addr, ret_text, (socklen_t)size);
    else if (address->sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr))
        inet_ntop(AF_INET, &v6->sin6_addr.s6_addr[12], ret_text, (socklen_t)size);
    else if (address->sa_family == AF_INET6)
        inet_ntop(AF_INET6, &v6->sin6_addr, ret_text, (socklen_t)size);
    else
        memcpy(ret_text, HTTP_REMOTE_UNIX, sizeof HTTP_REMOTE_UNIX);
}

static void peer_fill(struct connection *connection, const struct sockaddr *address)
{
    struct ucred peer = {0};
    socklen_t size = sizeof peer;
    int on = 1;
    address_fill(address, connection->remote, sizeof connection->remote);
    if (address->sa_family == AF_UNIX)
        connection->unix_root =
            getsockopt(connection->watch.fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == 0;
    else
        setsockopt(connection->watch.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static void connection_open(struct http_server *server, struct MHD_Connection *mhd, void **socket_context)
{
    struct connection *connection = calloc(1, sizeof *connection);
    const union MHD_ConnectionInfo *fd = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
    const union MHD_ConnectionInfo *address = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    *socket_context = connection;
    if (!connection)
        return;
    connection->server = server;
    connection->watch.fd = fd->connect_fd;
    connection->watch.remote = connection->remote;
    peer_fill(connection, address->client_addr);
    watch_deadline(&connection->watch, server->config.headers_milliseconds);
    watch_add(server->watch, &connection->watch);
}

static void connection_close(struct http_server *server, struct connection *connection)
{
    if (!connection)
        return;
    watch_remove(server->watch, &connection->watch);
    tls_identity_release(connection->tls);
    free(connection);
}

static void on_connection(void *context, struct MHD_Connection *mhd, void **socket_context,
                          enum MHD_ConnectionNotificationCode what)
{
    if (what == MHD_CONNECTION_NOTIFY_STARTED)
        connection_open(context, mhd, socket_context);
    else
        connection_close(context, *socket_context);
}

/* GnuTLS asks for the certificate of a handshake. The connection keeps it alive for as long as it lives. */
static int on_handshake(gnutls_session_t session, const struct gnutls_cert_retr_st *info, gnutls_pcert_st **ret_chain,
                        unsigned *ret_count, gnutls_ocsp_data_st **ret_ocsp, unsigned *ret_ocsp_count,
                        gnutls_privkey_t *ret_key, unsigned *ret_flags)
{
    (void)info;
    struct connection *connection = connection_of(gnutls_session_get_ptr(session));
    if (!connection)
        return -1;
    if (!connection->tls) {
        struct http_server *server = connection->server;
        pthread_mutex_lock(&server->tls_mutex);
        connection->tls = tls_identity_share(server->tls);
        pthread_mutex_unlock(&server->tls_mutex);
    }
    *ret_chain = connection->tls->chain;
    *ret_count = connection->tls->chain_count;
    *ret_key = connection->tls->key;
    *ret_ocsp = NULL;
    *ret_ocsp_count = 0;
    *ret_flags = 0;
    return 0;
}

static void on_log(void *context, const char *format, va_list arguments)
{
    (void)context;
    if (!log_enabled(LOG_LEVEL_DEBUG))
        return;
    char text[512];
    vsnprintf(text, sizeof text, format, arguments);
    text[strcspn(text, "\n")] = '\0';
    log_message(LOG_LEVEL_DEBUG, "libmicrohttpd: %s", text);
}

/* ---- the server ---- */

static struct MHD_Daemon *daemon_start(struct http_server *server, int listen_fd, const struct MHD_OptionItem *more,
                                       unsigned flags)
{
    unsigned per_address = server->config.connections_per_address_max;
    const struct MHD_OptionItem options[] = {
        {MHD_OPTION_EXTERNAL_LOGGER, (intptr_t)on_log, NULL},
        {MHD_OPTION_LISTEN_SOCKET, listen_fd, NULL},
        {MHD_OPTION_CONNECTION_LIMIT, server->config.connections_max, NULL},
        {MHD_OPTION_PER_IP_CONNECTION_LIMIT, per_address, NULL},
        {MHD_OPTION_THREAD_STACK_SIZE, STACK_SIZE, NULL},
        {MHD_OPTION_URI_LOG_CALLBACK, (intptr_t)on_target, server},
        {MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)on_completed, server},
        {MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)on_connection, server},
        {MHD_OPTION_END, 0, NULL},
    };
    return MHD_start_daemon(DAEMON_FLAGS | flags, 0, NULL, NULL, on_request, server, MHD_OPTION_ARRAY, options,
                            MHD_OPTION_ARRAY, more, MHD_OPTION_END);
}

static enum err daemons_start(struct http_server *server, struct fault *f)
{
    const struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)TLS_PRIORITIES},
        {MHD_OPTION_HTTPS_CERT_CALLBACK2, 0, (void *)(intptr_t)on_handshake},
        {MHD_OPTION_HTTPS_MEM_TRUST, 0, server->trust_pem.data},
        {MHD_OPTION_END, 0, NULL},
    };
    const struct MHD_OptionItem plain[] = {{MHD_OPTION_END, 0, NULL}};
    const struct http_config *config = &server->config;
    if (config->listen_fd >= 0 && !(server->tcp = daemon_start(server, config->listen_fd, tls, MHD_USE_TLS)))
        return fault_set(f, CODE_IO, "libmicrohttpd does not start on the TCP socket");
    if (config->unix_fd >= 0 && !(server->local = daemon_start(server, config->unix_fd, plain, 0)))
        return fault_set(f, CODE_IO, "libmicrohttpd does not start on the Unix socket");
    return OK;
}

static void deadline_default(int *milliseconds, int value)
{
    if (*milliseconds == 0)
        *milliseconds = value;
}

static enum err server_fill(struct http_server *server, struct span chain_pem, struct span key_pem, struct fault *f)
{
    deadline_default(&server->config.headers_milliseconds, HEADERS_MILLISECONDS);
    deadline_default(&server->config.body_milliseconds, BODY_MILLISECONDS);
    deadline_default(&server->config.idle_milliseconds, IDLE_MILLISECONDS);
    TRY(tls_identity_load(chain_pem, key_pem, &server->tls, f));
    TRY(bytes_copy(chain_pem, &server->trust_pem, f));
    TRY(watch_new(&server->watch, f));
    return daemons_start(server, f);
}

enum err http_server_start(const struct http_config *config, const struct route *routes, struct app *app,
                           http_authenticate *authenticate, http_observe *observe, struct span chain_pem,
                           struct span key_pem, struct http_server **ret_server, struct fault *f)
{
    struct http_server *server = calloc(1, sizeof *server);
    if (!server)
        return fault_no_memory(f);
    *server = (struct http_server){
        .app = app, .routes = routes, .authenticate = authenticate, .observe = observe, .config = *config};
    pthread_mutex_init(&server->tls_mutex, NULL);
    enum err err = server_fill(server, chain_pem, key_pem, f);
    if (err != OK)
        http_server_free(server);
    else
        *ret_server = server;
    return err;
}

enum err http_server_tls(struct http_server *server, struct span chain_pem, struct span key_pem, struct fault *f)
{
    struct tls_identity *identity = NULL;
    TRY(tls_identity_load(chain_pem, key_pem, &identity, f));
    pthread_mutex_lock(&server->tls_mutex);
    struct tls_identity *previous = server->tls;
    server->tls = identity;
    pthread_mutex_unlock(&server->tls_mutex);
    tls_identity_release(previous);
    return OK;
}

/* libmicrohttpd closes the listening socket only when it was not told to leave it alone. */
static void daemon_quiesce(struct MHD_Daemon *daemon)
{
    if (daemon)
        (void)MHD_quiesce_daemon(daemon);
}

void http_server_drain(struct http_server *server, int seconds)
{
    daemon_quiesce(server->tcp);
    daemon_quiesce(server->local);
    watch_drain(server->watch, seconds);
}

static void daemon_stop(struct MHD_Daemon *daemon)
{
    daemon_quiesce(daemon);
    if (daemon)
        MHD_stop_daemon(daemon);
}

size_t http_server_connections(struct http_server *server)
{
    return watch_count(server->watch);
}

void http_server_free(struct http_server *server)
{
    daemon_stop(server->tcp);
    daemon_stop(server->local);
    if (server->watch)
        watch_free(server->watch);
    tls_identity_release(server->tls);
    bytes_free(&server->trust_pem);
    pthread_mutex_destroy(&server->tls_mutex);
    free(server);
}
