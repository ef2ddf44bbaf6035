#include "fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* ---- certificates ---- */

static void extension_add(X509 *certificate, int nid, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    assert_non_null(extension);
    assert_true(X509_add_ext(certificate, extension, -1));
    X509_EXTENSION_free(extension);
}

void pair_make(const struct pair *issuer, const char *name, struct pair *ret_pair)
{
    ret_pair->key = EVP_EC_gen("P-256");
    X509 *certificate = ret_pair->certificate = X509_new();
    assert_non_null(ret_pair->key);
    X509_set_version(certificate, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), rand());
    X509_gmtime_adj(X509_getm_notBefore(certificate), -60);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_UTF8, (const uint8_t *)name, -1, -1,
                               0);
    const struct pair *signer = issuer ? issuer : ret_pair;
    X509_set_issuer_name(certificate, X509_get_subject_name(signer->certificate));
    X509_set_pubkey(certificate, ret_pair->key);
    extension_add(certificate, NID_basic_constraints, issuer ? "critical,CA:FALSE" : "critical,CA:TRUE");
    if (issuer)
        extension_add(certificate, NID_subject_alt_name, "IP:127.0.0.1");
    assert_true(X509_sign(certificate, signer->key, EVP_sha256()) > 0);
}

void pair_free(struct pair *pair)
{
    EVP_PKEY_free(pair->key);
    X509_free(pair->certificate);
}

static void bio_take(BIO *bio, struct bytes *ret_bytes)
{
    char *data = NULL;
    long size = BIO_get_mem_data(bio, &data);
    bytes_append(ret_bytes, data, (size_t)size);
    BIO_free(bio);
}

void pair_chain_pem(const struct pair *leaf, const struct pair *issuer, struct bytes *ret_pem)
{
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(bio, leaf->certificate);
    PEM_write_bio_X509(bio, issuer->certificate);
    bio_take(bio, ret_pem);
}

void pair_key_pem(const struct pair *pair, struct bytes *ret_pem)
{
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PKCS8PrivateKey(bio, pair->key, NULL, NULL, 0, NULL, NULL);
    bio_take(bio, ret_pem);
}

void pair_der(const struct pair *pair, struct bytes *ret_der)
{
    BIO *bio = BIO_new(BIO_s_mem());
    i2d_X509_bio(bio, pair->certificate);
    bio_take(bio, ret_der);
}

/* ---- the application under the server ---- */

void app_wait(struct app *app, const unsigned *counter, unsigned at_least)
{
    struct timespec until;
    int status = 0;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 20;
    pthread_mutex_lock(&app->mutex);
    while (*counter < at_least && status == 0)
        status = pthread_cond_timedwait(&app->changed, &app->mutex, &until);
    pthread_mutex_unlock(&app->mutex);
    assert_int_equal(status, 0);
}

void app_release(struct app *app)
{
    pthread_mutex_lock(&app->mutex);
    app->released = true;
    pthread_cond_broadcast(&app->changed);
    pthread_mutex_unlock(&app->mutex);
}

static void app_count(struct app *app, unsigned *counter)
{
    pthread_mutex_lock(&app->mutex);
    ++*counter;
    pthread_cond_broadcast(&app->changed);
    pthread_mutex_unlock(&app->mutex);
}

/* What the handler saw of its request. */
static struct http_response echo(struct app *app, const struct http_request *request)
{
    char certificate[64] = "";
    if (request->client_certificate.size)
        snprintf(certificate, sizeof certificate, "%zu", request->client_certificate.size);
    app_count(app, &app->handled);
    const char *parameter = request->parameters[0] ? request->parameters[0] : "";
    const char *query = http_query(request, "q");
    return http_json(200, json_pack("{ss ss ss ss sb ss ss si}", "method", request->method, "path", request->path,
                                    "parameter", parameter, "query", query ? query : "(none)", "root",
                                    request->unix_root, "remote", request->remote, "certificate_bytes", certificate,
                                    "body_bytes", (int)request->body.size));
}

static struct http_response cached(struct app *app, const struct http_request *request)
{
    struct http_response response = echo(app, request);
    response.max_age_seconds = 300;
    snprintf(response.etag, sizeof response.etag, "\"v1\"");
    return response;
}

static struct http_response created(struct app *app, const struct http_request *request)
{
    struct http_response response = echo(app, request);
    response.status = 201;
    snprintf(response.location, sizeof response.location, "/things/1");
    return response;
}

static struct http_response removed(struct app *app, const struct http_request *request)
{
    (void)request;
    app_count(app, &app->handled);
    return (struct http_response){.status = 204};
}

static struct http_response hold(struct app *app, const struct http_request *request)
{
    app_count(app, &app->held);
    pthread_mutex_lock(&app->mutex);
    while (!app->released)
        pthread_cond_wait(&app->changed, &app->mutex);
    pthread_mutex_unlock(&app->mutex);
    return echo(app, request);
}

const struct route test_routes[] = {
    {"GET", "/echo", 0, MAY_ANYBODY, echo},          {"GET", "/things/{name}", 0, MAY_ANYBODY, echo},
    {"POST", "/things", 1000, MAY_ANYBODY, created}, {"DELETE", "/things/{name}", 0, MAY_ANYBODY, removed},
    {"GET", "/cached", 0, MAY_ANYBODY, cached},      {"GET", "/hold", 0, MAY_ANYBODY, hold},
    {"POST", "/admin", 1000, REQUESTER_ADMIN, echo}, {NULL, NULL, 0, 0, NULL},
};

static enum err authenticate(struct app *app, struct http_request *request, struct fault *f)
{
    (void)app;
    const char *who = http_header(request, "Authorization");
    if (!who)
        return OK;
    if (strcmp(who, "admin") != 0 && strcmp(who, "node") != 0)
        return fault_set(f, CODE_UNAUTHENTICATED, "not a token");
    request->caller.kind = strcmp(who, "admin") == 0 ? REQUESTER_ADMIN : REQUESTER_NODE;
    snprintf(request->caller.name, sizeof request->caller.name, "%s", who);
    return OK;
}

static void observe(struct app *app, const struct http_request *request, int status, double seconds,
                    const struct fault *fault)
{
    (void)request;
    assert_true(seconds >= 0);
    pthread_mutex_lock(&app->mutex);
    app->status = status;
    app->code = fault ? fault->code : CODE_NONE;
    pthread_mutex_unlock(&app->mutex);
    app_count(app, &app->observed);
}

/* ---- the server ---- */

static int tcp_listen(struct fixture *fixture)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_return_code(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_return_code(listen(fd, 64), 0);
    assert_return_code(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    fixture->port = ntohs(address.sin_port);
    return fd;
}

static int unix_listen(struct fixture *fixture)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(fixture->folder, sizeof fixture->folder, P_tmpdir "/ensign-XXXXXX");
    assert_non_null(mkdtemp(fixture->folder));
    snprintf(fixture->unix_path, sizeof fixture->unix_path, "%s/socket", fixture->folder);
    memcpy(address.sun_path, fixture->unix_path, sizeof fixture->unix_path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_return_code(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_return_code(listen(fd, 64), 0);
    return fd;
}

void fixture_start(struct fixture *fixture, const struct http_config *config)
{
    struct fault fault = {0};
    AUTO(bytes) chain = {0}, key = {0};
    *fixture = (struct fixture){0};
    pthread_mutex_init(&fixture->app.mutex, NULL);
    pthread_cond_init(&fixture->app.changed, NULL);
    pair_make(NULL, "authority", &fixture->authority);
    pair_make(&fixture->authority, "service", &fixture->service);
    pair_make(&fixture->authority, "client", &fixture->client);
    pair_chain_pem(&fixture->service, &fixture->authority, &chain);
    pair_key_pem(&fixture->service, &key);
    struct http_config settings =
        config ? *config : (struct http_config){.connections_max = 100, .connections_per_address_max = 100};
    settings.listen_fd = fixture->listen_fd = tcp_listen(fixture);
    settings.unix_fd = fixture->unix_fd = unix_listen(fixture);
    enum err err = http_server_start(&settings, test_routes, &fixture->app, authenticate, observe, bytes_span(&chain),
                                     bytes_span(&key), &fixture->server, &fault);
    assert_string_equal(fault.text, "");
    assert_int_equal(err, OK);
}

void fixture_stop(struct fixture *fixture)
{
    app_release(&fixture->app);
    http_server_free(fixture->server);
    close(fixture->listen_fd);
    close(fixture->unix_fd);
    unlink(fixture->unix_path);
    rmdir(fixture->folder);
    pair_free(&fixture->authority);
    pair_free(&fixture->service);
    pair_free(&fixture->client);
    pthread_cond_destroy(&fixture->app.changed);
    pthread_mutex_destroy(&fixture->app.mutex);
}

/* ---- the client ---- */

static int client_fd(const void *address, socklen_t size, int family)
{
    struct timeval patience = {.tv_sec = 10};
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    assert_return_code(connect(fd, address, size), 0);
    return fd;
}

int client_tcp(const struct fixture *fixture)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)fixture->port)};
    return client_fd(&address, sizeof address, AF_INET);
}

static int client_unix(const struct fixture *fixture)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, fixture->unix_path, sizeof fixture->unix_path);
    return client_fd(&address, sizeof address, AF_UNIX);
}

bool client_open(struct client *client, const struct fixture *fixture, unsigned flags)
{
    *client = (struct client){0};
    if (flags & CLIENT_PLAIN) {
        client->fd = client_unix(fixture);
        return true;
    }
    client->fd = client_tcp(fixture);
    client->context = SSL_CTX_new(TLS_client_method());
    X509_STORE_add_cert(SSL_CTX_get_cert_store(client->context), fixture->authority.certificate);
    SSL_CTX_set_verify(client->context, SSL_VERIFY_PEER, NULL);
    if (flags & CLIENT_TLS12)
        SSL_CTX_set_max_proto_version(client->context, TLS1_2_VERSION);
    if (flags & CLIENT_CERTIFICATE) {
        SSL_CTX_use_certificate(client->context, fixture->client.certificate);
        SSL_CTX_use_PrivateKey(client->context, fixture->client.key);
    }
    client->ssl = SSL_new(client->context);
    SSL_set_fd(client->ssl, client->fd);
    bool done = SSL_connect(client->ssl) == 1;
    ERR_clear_error();
    return done;
}

void client_close(struct client *client)
{
    SSL_free(client->ssl);
    SSL_CTX_free(client->context);
    close(client->fd);
    *client = (struct client){.fd = -1};
}

bool client_send(struct client *client, const char *data, size_t size)
{
    while (size) {
        ssize_t sent =
            client->ssl ? SSL_write(client->ssl, data, (int)size) : send(client->fd, data, size, MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        data += sent;
        size -= (size_t)sent;
    }
    return true;
}

void client_send_text(struct client *client, const char *text)
{
    assert_true(client_send(client, text, strlen(text)));
}

static bool client_read(struct client *client, void *data, size_t size)
{
    for (size_t had = 0; had < size;) {
        uint8_t *to = (uint8_t *)data + had;
        ssize_t got = client->ssl ? SSL_read(client->ssl, to, (int)(size - had)) : recv(client->fd, to, size - had, 0);
        if (got <= 0) {
            ERR_clear_error();
            return false;
        }
        had += (size_t)got;
    }
    return true;
}

bool client_ended(struct client *client)
{
    char byte;
    do
        errno = 0;
    while (client_read(client, &byte, 1));
    return errno != EAGAIN && errno != EWOULDBLOCK;
}

const char *reply_header(const struct reply *reply, const char *name)
{
    static char value[512];
    char wanted[64];
    snprintf(wanted, sizeof wanted, "\r\n%s: ", name);
    const char *found = strcasestr(reply->head, wanted);
    if (!found)
        return NULL;
    found += strlen(wanted);
    snprintf(value, sizeof value, "%.*s", (int)strcspn(found, "\r"), found);
    return value;
}

bool client_reply(struct client *client, bool has_body, struct reply *ret_reply)
{
    *ret_reply = (struct reply){0};
    size_t size = 0;
    while (size < 4 || memcmp(ret_reply->head + size - 4, "\r\n\r\n", 4) != 0) {
        if (size == sizeof ret_reply->head - 1 || !client_read(client, ret_reply->head + size, 1))
            return false;
        size++;
    }
    assert_int_equal(sscanf(ret_reply->head, "HTTP/1.%*d %d ", &ret_reply->status), 1);
    const char *length = reply_header(ret_reply, "Content-Length");
    for (long left = has_body && length ? atol(length) : 0; left > 0; left--) {
        char byte;
        if (!client_read(client, &byte, 1))
            return false;
        bytes_append(&ret_reply->body, &byte, 1);
    }
    return true;
}

void reply_cleanup(struct reply *reply)
{
    bytes_free(&reply->body);
}

void client_ask(struct client *client, const char *request, struct reply *ret_reply)
{
    client_send_text(client, request);
    assert_true(client_reply(client, strncmp(request, "HEAD", 4) != 0, ret_reply));
}
