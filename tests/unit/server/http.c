#include "fixture.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/clock.h"
#include "server/logger.h"

static struct fixture shared;

static int shared_start(void **state)
{
    *state = &shared;
    fixture_start(&shared, NULL);
    return 0;
}

static int shared_stop(void **state)
{
    fixture_stop(*state);
    return 0;
}

static void body_has(const struct reply *reply, const char *text)
{
    if (!strstr(bytes_text(&reply->body), text))
        fail_msg("no %s in %s", text, bytes_text(&reply->body));
}

static unsigned handled(struct app *app)
{
    pthread_mutex_lock(&app->mutex);
    unsigned count = app->handled;
    pthread_mutex_unlock(&app->mutex);
    return count;
}

/* ---- answers ---- */

#define HOST "Host: localhost\r\n"
#define JSON HOST "Content-Type: application/json\r\n"

static const struct exchange {
    const char *request;
    int status;
    const char *header, *value; /* one of the reply's; value NULL: must be absent */
    const char *body;           /* part of it */
} exchanges[] = {
    {"GET /echo HTTP/1.1\r\n" HOST "\r\n", 200, "Content-Type", "application/json", "\"method\":\"GET\""},
    {"GET /echo HTTP/1.1\r\n" HOST "\r\n", 200, "Cache-Control", "no-store", "\"remote\":\"127.0.0.1\""},
    {"GET /echo HTTP/1.1\r\n" HOST "\r\n", 200, "X-Content-Type-Options", "nosniff", "\"root\":false"},
    {"GET /echo HTTP/1.1\r\n" HOST "X-Request-Id: a-1._Z\r\n\r\n", 200, "X-Request-Id", "a-1._Z", ""},
    {"GET /things/a%41?q=x+%2Fy%26 HTTP/1.1\r\n" HOST "\r\n", 200, "ETag", NULL,
     "\"parameter\":\"aA\",\"query\":\"x /y&\""},
    {"GET /things/a?secret=1 HTTP/1.1\r\n" HOST "\r\n", 200, "ETag", NULL, "\"path\":\"/things/a\""},
    {"POST /things HTTP/1.1\r\n" JSON "Content-Length: 2\r\n\r\n{}", 201, "Location", "/things/1", "\"body_bytes\":2"},
    {"POST /things HTTP/1.1\r\n" HOST "Content-Type: Application/JSON; charset=utf-8\r\nContent-Length: 2\r\n\r\n{}",
     201, "Location", "/things/1", "\"body_bytes\":2"},
    {"POST /things HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n", 201, "Location", "/things/1", "\"body_bytes\":0"},
    {"DELETE /things/a HTTP/1.1\r\n" HOST "\r\n", 204, "Content-Length", NULL, ""},
    {"GET /cached HTTP/1.1\r\n" HOST "\r\n", 200, "Cache-Control", "max-age=300", "\"method\":\"GET\""},
    {"GET /cached HTTP/1.1\r\n" HOST "If-None-Match: \"v0\"\r\n\r\n", 200, "ETag", "\"v1\"", "\"method\":\"GET\""},
    {"GET /cached HTTP/1.1\r\n" HOST "If-None-Match: \"v0\", W/\"v1\"\r\n\r\n", 304, "ETag", "\"v1\"", ""},
    {"GET /cached HTTP/1.1\r\n" HOST "If-None-Match: *\r\n\r\n", 304, "Content-Type", NULL, ""},
    {"GET /nothing HTTP/1.1\r\n" HOST "\r\n", 404, "Content-Type", "application/problem+json",
     "\"code\":\"not_found\""},
    {"GET /things/a/b HTTP/1.1\r\n" HOST "\r\n", 404, "Content-Type", "application/problem+json", ""},
    {"GET /things/ HTTP/1.1\r\n" HOST "\r\n", 404, "Content-Type", "application/problem+json", ""},
    {"PUT /things/a HTTP/1.1\r\n" HOST "\r\n", 405, "Allow", "GET, HEAD, DELETE", "\"code\":\"method_not_allowed\""},
    {"POST /nothing HTTP/1.1\r\n" JSON "Content-Length: 2\r\n\r\n{}", 404, "Connection", NULL, ""},
    {"POST /admin HTTP/1.1\r\n" JSON "Content-Length: 2\r\n\r\n{}", 401, "WWW-Authenticate", "Bearer",
     "\"code\":\"unauthenticated\""},
    {"POST /admin HTTP/1.1\r\n" JSON "Authorization: x\r\nContent-Length: 2\r\n\r\n{}", 401, "WWW-Authenticate",
     "Bearer", "not a token"},
    {"POST /admin HTTP/1.1\r\n" JSON "Authorization: node\r\nContent-Length: 2\r\n\r\n{}", 403, "WWW-Authenticate",
     NULL, "\"code\":\"forbidden\""},
    {"POST /admin HTTP/1.1\r\n" JSON "Authorization: admin\r\nContent-Length: 2\r\n\r\n{}", 200, "WWW-Authenticate",
     NULL, "\"body_bytes\":2"},
    {"POST /things HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\n{}", 415, "Connection", NULL,
     "\"code\":\"unsupported_media_type\""},
    {"POST /things HTTP/1.1\r\n" HOST "Content-Type: application/jsonx\r\nContent-Length: 2\r\n\r\n{}", 415,
     "Connection", NULL, ""},
    {"GET /echo HTTP/1.1\r\n" JSON "Content-Length: 2\r\n\r\n{}", 413, "Connection", NULL, "\"code\":\"too_large\""},
    {"GET /things/%00 HTTP/1.1\r\n" HOST "\r\n", 400, "Content-Type", "application/problem+json",
     "\"code\":\"malformed\""},
    {"GET /things/%2e%2e HTTP/1.1\r\n" HOST "\r\n", 400, "Content-Type", "application/problem+json", ""},
    {"GET /things/../echo HTTP/1.1\r\n" HOST "\r\n", 400, "Content-Type", "application/problem+json", ""},
    {"GET //echo HTTP/1.1\r\n" HOST "\r\n", 400, "Content-Type", "application/problem+json", ""},
    {"GET /things/%zz HTTP/1.1\r\n" HOST "\r\n", 400, "Content-Type", "application/problem+json", ""},
    {"GET /echo?q=1&q=2 HTTP/1.1\r\n" HOST "\r\n", 400, "Content-Type", "application/problem+json", ""},
    {"GET /echo HTTP/1.1\r\n" HOST "\r\n", 200, "Connection", NULL, "\"method\":\"GET\""},
};

/* All on one connection, but that a malformed request ends it. */
static void test_answers(void **state)
{
    struct client client;
    assert_true(client_open(&client, *state, 0));
    for (size_t i = 0; i < ARRAY_SIZE(exchanges); i++) {
        const struct exchange *exchange = &exchanges[i];
        AUTO(reply) reply = {0};
        client_ask(&client, exchange->request, &reply);
        const char *value = reply_header(&reply, exchange->header);
        if (reply.status != exchange->status || !value != !exchange->value ||
            (value && strcmp(value, exchange->value) != 0))
            fail_msg("row %zu: %s", i, reply.head);
        body_has(&reply, exchange->body);
        assert_non_null(reply_header(&reply, "X-Request-Id"));
        if (reply.status == 400) {
            assert_true(client_ended(&client));
            client_close(&client);
            assert_true(client_open(&client, *state, 0));
        }
    }
    client_close(&client);
}

static void test_head_has_no_body(void **state)
{
    struct client client;
    AUTO(reply) head = {0}, get = {0};
    assert_true(client_open(&client, *state, 0));
    client_ask(&client, "HEAD /cached HTTP/1.1\r\n" HOST "\r\n", &head);
    client_ask(&client, "GET /cached HTTP/1.1\r\n" HOST "\r\n", &get);
    assert_int_equal(head.status, 200);
    assert_int_equal(get.status, 200);
    assert_non_null(reply_header(&head, "Content-Length"));
    client_close(&client);
}

static void test_observer_sees_faults(void **state)
{
    struct fixture *fixture = *state;
    struct client client;
    AUTO(reply) reply = {0};
    assert_true(client_open(&client, fixture, 0));
    client_ask(&client, "POST /admin HTTP/1.1\r\n" JSON "Authorization: node\r\nContent-Length: 2\r\n\r\n{}", &reply);
    pthread_mutex_lock(&fixture->app.mutex);
    assert_int_equal(fixture->app.status, 403);
    assert_int_equal(fixture->app.code, CODE_FORBIDDEN);
    pthread_mutex_unlock(&fixture->app.mutex);
    client_close(&client);
}

/* ---- attacks ---- */

/* Each hides a second request in its body or its headers. It is refused, the connection ends, and no handler runs. */
#define HIDDEN "GET /echo HTTP/1.1\r\n" HOST "\r\n"
static const struct attack {
    const char *name, *request;
} attacks[] = {
    {"two equal lengths", "POST /things HTTP/1.1\r\n" JSON "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}" HIDDEN},
    {"two lengths", "POST /things HTTP/1.1\r\n" JSON "Content-Length: 0\r\nContent-Length: 2\r\n\r\n{}" HIDDEN},
    {"list of lengths", "POST /things HTTP/1.1\r\n" JSON "Content-Length: 2, 2\r\n\r\n{}" HIDDEN},
    {"signed length", "POST /things HTTP/1.1\r\n" JSON "Content-Length: +2\r\n\r\n{}" HIDDEN},
    {"negative length", "POST /things HTTP/1.1\r\n" JSON "Content-Length: -2\r\n\r\n{}" HIDDEN},
    {"hexadecimal length", "POST /things HTTP/1.1\r\n" JSON "Content-Length: 0x2\r\n\r\n{}" HIDDEN},
    {"length that overflows", "POST /things HTTP/1.1\r\n" JSON "Content-Length: 18446744073709551618\r\n\r\n{}" HIDDEN},
    {"length and chunked",
     "POST /things HTTP/1.1\r\n" JSON "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" HIDDEN},
    {"chunked and length",
     "POST /things HTTP/1.1\r\n" JSON "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" HIDDEN},
    {"two encodings", "POST /things HTTP/1.1\r\n" JSON
                      "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" HIDDEN},
    {"unknown encoding", "POST /things HTTP/1.1\r\n" JSON "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" HIDDEN},
    {"chunked in HTTP/1.0", "POST /things HTTP/1.0\r\n" JSON "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" HIDDEN},
    {"space before the colon", "POST /things HTTP/1.1\r\n" JSON "Content-Length : 2\r\n\r\n{}" HIDDEN},
    {"two lengths of a method without a body",
     "DELETE /things/a HTTP/1.1\r\n" HOST "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}" HIDDEN},
    {"too large a body of such a method",
     "DELETE /things/a HTTP/1.1\r\n" HOST "Content-Length: 9999999\r\n\r\n{}" HIDDEN},
    {"two hosts", "GET /echo HTTP/1.1\r\n" HOST "Host: other\r\n\r\n" HIDDEN},
    {"no host", "GET /echo HTTP/1.1\r\nAccept: */*\r\n\r\n" HIDDEN},
    {"two tokens", "GET /echo HTTP/1.1\r\n" HOST "Authorization: a\r\nAuthorization: b\r\n\r\n" HIDDEN},
    {"unknown version", "GET /echo HTTP/1.7\r\n" HOST "\r\n" HIDDEN},
    {"space in the target", "GET /echo /echo HTTP/1.1\r\n" HOST "\r\n" HIDDEN},
};

static void test_smuggling_is_refused(void **state)
{
    struct fixture *fixture = *state;
    for (size_t i = 0; i < ARRAY_SIZE(attacks); i++) {
        struct client client;
        AUTO(reply) reply = {0};
        unsigned before = handled(&fixture->app);
        assert_true(client_open(&client, fixture, 0));
        client_send_text(&client, attacks[i].request);
        if (!client_reply(&client, false, &reply) || (reply.status != 400 && reply.status != 413))
            fail_msg("%s: %s", attacks[i].name, reply.head);
        if (!client_ended(&client))
            fail_msg("%s: the connection lives on", attacks[i].name);
        if (handled(&fixture->app) != before)
            fail_msg("%s: a handler ran", attacks[i].name);
        client_close(&client);
    }
}

/* The control: two honest requests sent at once are both answered. */
static void test_pipeline(void **state)
{
    struct client client;
    AUTO(reply) first = {0}, second = {0};
    assert_true(client_open(&client, *state, 0));
    client_ask(&client, "POST /things HTTP/1.1\r\n" JSON "Content-Length: 2\r\n\r\n{}" HIDDEN, &first);
    assert_int_equal(first.status, 201);
    assert_true(client_reply(&client, true, &second));
    assert_int_equal(second.status, 200);
    client_close(&client);
}

/* A chunked body is taken, but nothing behind it is read as a request. */
static void test_chunked(void **state)
{
    struct fixture *fixture = *state;
    struct client client;
    AUTO(reply) reply = {0};
    assert_true(client_open(&client, *state, 0));
    client_ask(&client,
               "POST /things HTTP/1.1\r\n" JSON
               "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n" HIDDEN,
               &reply);
    assert_int_equal(reply.status, 201);
    body_has(&reply, "\"body_bytes\":2");
    unsigned before = handled(&fixture->app);
    assert_true(client_ended(&client));
    assert_int_equal(handled(&fixture->app), before);
    client_close(&client);
}

static void test_large_bodies(void **state)
{
    static const struct {
        const char *headers;
        size_t size;
        int status;
        bool ends;
    } rows[] = {
        {"Content-Length: 1000\r\n", 1000, 201, false},
        {"Content-Length: 1001\r\n", 1001, 413, false},
        {"Content-Length: 100000\r\n", 100000, 413, false},
        {"Content-Length: 99999999\r\n", 0, 413, true},
        {"Content-Length: 1001\r\nExpect: 100-continue\r\n", 0, 413, true},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct client client;
        AUTO(reply) reply = {0};
        AUTO(bytes) request = {0};
        bytes_appendf(&request, "POST /things HTTP/1.1\r\n" JSON "%s\r\n%*s", rows[i].headers, (int)rows[i].size, "");
        assert_true(client_open(&client, *state, 0));
        client_ask(&client, bytes_text(&request), &reply);
        assert_int_equal(reply.status, rows[i].status);
        if (rows[i].ends)
            assert_true(client_ended(&client));
        else {
            AUTO(reply) again = {0};
            client_ask(&client, HIDDEN, &again);
            assert_int_equal(again.status, 200);
        }
        client_close(&client);
    }
}

/* A chunked body without end is cut off, long before it fills the memory. */
static void test_endless_chunks(void **state)
{
    struct client client;
    char chunk[0x1000 + 16];
    int head = snprintf(chunk, sizeof chunk, "1000\r\n");
    memset(chunk + head, ' ', 0x1000);
    memcpy(chunk + head + 0x1000, "\r\n", 2);
    assert_true(client_open(&client, *state, 0));
    client_send_text(&client, "POST /things HTTP/1.1\r\n" JSON "Transfer-Encoding: chunked\r\n\r\n");
    size_t sent = 0;
    while (sent < 100u << 20 && client_send(&client, chunk, (size_t)head + 0x1000 + 2))
        sent += 0x1000;
    assert_true(sent >= 1u << 20 && sent < 20u << 20);
    client_close(&client);
}

/* ---- TLS ---- */

static void test_client_certificate(void **state)
{
    struct fixture *fixture = *state;
    static const unsigned versions[] = {0, CLIENT_TLS12};
    AUTO(bytes) der = {0};
    char wanted[64];
    pair_der(&fixture->client, &der);
    snprintf(wanted, sizeof wanted, "\"certificate_bytes\":\"%zu\"", der.size);
    for (size_t i = 0; i < ARRAY_SIZE(versions); i++) {
        struct client client;
        AUTO(reply) with = {0}, without = {0};
        assert_true(client_open(&client, fixture, versions[i] | CLIENT_CERTIFICATE));
        client_ask(&client, HIDDEN, &with);
        body_has(&with, wanted);
        client_close(&client);
        assert_true(client_open(&client, fixture, versions[i]));
        client_ask(&client, HIDDEN, &without);
        body_has(&without, "\"certificate_bytes\":\"\"");
        client_close(&client);
    }
}

static bool handshake(const struct fixture *fixture, int version, const char *ciphers)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_security_level(context, 0);
    SSL_CTX_set_min_proto_version(context, version);
    SSL_CTX_set_max_proto_version(context, version);
    assert_true(SSL_CTX_set_cipher_list(context, ciphers));
    SSL *ssl = SSL_new(context);
    int fd = client_tcp(fixture);
    SSL_set_fd(ssl, fd);
    bool done = SSL_connect(ssl) == 1;
    SSL_free(ssl);
    SSL_CTX_free(context);
    close(fd);
    return done;
}

static void test_tls_versions(void **state)
{
    static const struct {
        int version;
        const char *ciphers;
        bool taken;
    } rows[] = {
        {TLS1_3_VERSION, "DEFAULT", true},
        {TLS1_2_VERSION, "DEFAULT", true},
        {TLS1_2_VERSION, "ECDHE-ECDSA-AES128-GCM-SHA256", true},
        {TLS1_2_VERSION, "ECDHE-ECDSA-AES128-SHA", false},
        {TLS1_2_VERSION, "ECDHE-ECDSA-AES256-SHA384", false},
        {TLS1_2_VERSION, "AES128-GCM-SHA256:DHE-RSA-AES128-GCM-SHA256", false},
        {TLS1_1_VERSION, "DEFAULT:@SECLEVEL=0", false},
        {TLS1_VERSION, "DEFAULT:@SECLEVEL=0", false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (handshake(*state, rows[i].version, rows[i].ciphers) != rows[i].taken)
            fail_msg("version %x with %s", rows[i].version, rows[i].ciphers);
}

/* A client that negotiates again is cut off, and got no session to resume. */
static void test_no_renegotiation(void **state)
{
    struct client client;
    AUTO(reply) reply = {0};
    assert_true(client_open(&client, *state, CLIENT_TLS12));
    client_ask(&client, HIDDEN, &reply);
    assert_int_equal(SSL_SESSION_has_ticket(SSL_get_session(client.ssl)), 0);
    SSL_renegotiate(client.ssl);
    bool renegotiated = SSL_do_handshake(client.ssl) == 1 && !SSL_renegotiate_pending(client.ssl) &&
                        client_send(&client, HIDDEN, strlen(HIDDEN)) && client_reply(&client, true, &reply);
    assert_false(renegotiated);
    client_close(&client);
}

static void serial_check(struct client *client, const struct pair *pair, bool same)
{
    X509 *peer = SSL_get1_peer_certificate(client->ssl);
    assert_non_null(peer);
    assert_int_equal(X509_cmp(peer, pair->certificate) == 0, same);
    assert_int_equal(sk_X509_num(SSL_get_peer_cert_chain(client->ssl)), 2); /* the CA comes along */
    X509_free(peer);
}

static void test_certificate_is_replaced(void **state)
{
    struct fixture *fixture = *state;
    struct fault fault = {0};
    struct client before, after;
    struct pair next;
    AUTO(bytes) chain = {0}, key = {0}, other_key = {0};
    AUTO(reply) old = {0}, new = {0};
    pair_make(&fixture->authority, "service", &next);
    pair_chain_pem(&next, &fixture->authority, &chain);
    pair_key_pem(&next, &key);
    pair_key_pem(&fixture->service, &other_key);
    assert_true(client_open(&before, fixture, 0));
    /* A key that is not the certificate's is refused and changes nothing. */
    assert_int_equal(http_server_tls(fixture->server, bytes_span(&chain), bytes_span(&other_key), &fault), ERR_INPUT);
    assert_int_equal(http_server_tls(fixture->server, bytes_span(&chain), bytes_span(&key), &fault), OK);
    assert_true(client_open(&after, fixture, 0));
    serial_check(&before, &fixture->service, true);
    serial_check(&after, &next, true);
    client_ask(&before, HIDDEN, &old);
    client_ask(&after, HIDDEN, &new);
    assert_int_equal(old.status, 200);
    assert_int_equal(new.status, 200);
    client_close(&before);
    client_close(&after);
    pair_free(&next);
}

static void test_unix_socket(void **state)
{
    struct client client;
    AUTO(reply) reply = {0};
    assert_true(client_open(&client, *state, CLIENT_PLAIN));
    client_ask(&client, HIDDEN, &reply);
    assert_int_equal(reply.status, 200);
    body_has(&reply, "\"remote\":\"unix\"");
    body_has(&reply, geteuid() == 0 ? "\"root\":true" : "\"root\":false");
    client_close(&client);
}

/* ---- time and numbers ---- */

enum { SHORT_MILLISECONDS = 300, LATE_MILLISECONDS = 5000 };

/* Sends one byte each few milliseconds until the server hangs up; how long it let us. */
static int64_t drip(struct client *client, const char *first, const char *bytes)
{
    static const struct timespec pause = {0, 10 * 1000 * 1000};
    client_send_text(client, first);
    int64_t begin = clock_milliseconds();
    for (size_t i = 0; clock_milliseconds() - begin < 2 * LATE_MILLISECONDS; i = bytes[i + 1] ? i + 1 : 0) {
        char byte;
        if (!client_send(client, bytes + i, 1) || recv(client->fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) == 0)
            break;
        nanosleep(&pause, NULL);
    }
    return clock_milliseconds() - begin;
}

static void test_slow_clients(void **state)
{
    (void)state;
    static const struct {
        const char *first, *bytes;
        int headers, body, idle;
    } rows[] = {
        {"GET /echo HTTP/1.1\r\n", "X: y\r\n", SHORT_MILLISECONDS, 0, 0},
        {"GET /", "echo", SHORT_MILLISECONDS, 0, 0},
        {HIDDEN "GET /echo HTTP/1.1\r\n", "X: y\r\n", SHORT_MILLISECONDS, 0, 0},
        {"POST /things HTTP/1.1\r\n" JSON "Content-Length: 1000\r\n\r\n", " ", 0, SHORT_MILLISECONDS, 0},
        {"POST /nothing HTTP/1.1\r\n" JSON "Content-Length: 1000\r\n\r\n", " ", 0, SHORT_MILLISECONDS, 0},
        {HIDDEN, "\r\n", 0, 0, SHORT_MILLISECONDS},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        static struct fixture fixture;
        struct client client;
        struct http_config config = {.connections_max = 10,
                                     .connections_per_address_max = 10,
                                     .headers_milliseconds = rows[i].headers,
                                     .body_milliseconds = rows[i].body,
                                     .idle_milliseconds = rows[i].idle};
        fixture_start(&fixture, &config);
        assert_true(client_open(&client, &fixture, 0));
        int64_t lived = drip(&client, rows[i].first, rows[i].bytes);
        if (lived < SHORT_MILLISECONDS / 2 || lived > LATE_MILLISECONDS)
            fail_msg("row %zu: lived %lld ms", i, (long long)lived);
        client_close(&client);
        fixture_stop(&fixture);
    }
}

/* A client that never says anything, not even a TLS greeting. */
static void test_silent_client(void **state)
{
    (void)state;
    static struct fixture fixture;
    struct http_config config = {
        .connections_max = 10, .connections_per_address_max = 10, .headers_milliseconds = SHORT_MILLISECONDS};
    char byte;
    fixture_start(&fixture, &config);
    int fd = client_tcp(&fixture);
    assert_int_equal(recv(fd, &byte, 1, 0), 0);
    close(fd);
    fixture_stop(&fixture);
}

/* A handler may take longer than any deadline. */
static void test_handler_may_block(void **state)
{
    (void)state;
    static struct fixture fixture;
    struct client client;
    AUTO(reply) reply = {0};
    struct http_config config = {.connections_max = 10,
                                 .connections_per_address_max = 10,
                                 .headers_milliseconds = SHORT_MILLISECONDS,
                                 .body_milliseconds = SHORT_MILLISECONDS,
                                 .idle_milliseconds = SHORT_MILLISECONDS};
    fixture_start(&fixture, &config);
    assert_true(client_open(&client, &fixture, 0));
    client_send_text(&client, "GET /hold HTTP/1.1\r\n" HOST "\r\n");
    app_wait(&fixture.app, &fixture.app.held, 1);
    int silent = client_tcp(&fixture); /* ended by a deadline that began later */
    char byte;
    assert_int_equal(recv(silent, &byte, 1, 0), 0);
    close(silent);
    app_release(&fixture.app);
    assert_true(client_reply(&client, true, &reply));
    assert_int_equal(reply.status, 200);
    client_close(&client);
    fixture_stop(&fixture);
}

static void test_connections_per_address(void **state)
{
    (void)state;
    static struct fixture fixture;
    struct client clients[4];
    struct http_config config = {.connections_max = 10, .connections_per_address_max = 3};
    AUTO(reply) reply = {0};
    fixture_start(&fixture, &config);
    for (size_t i = 0; i < ARRAY_SIZE(clients); i++)
        assert_int_equal(client_open(&clients[i], &fixture, 0), i < 3);
    client_ask(&clients[0], HIDDEN, &reply);
    assert_int_equal(reply.status, 200);
    for (size_t i = 0; i < ARRAY_SIZE(clients); i++)
        client_close(&clients[i]);
    fixture_stop(&fixture);
}

static void *drain_run(void *context)
{
    http_server_drain(context, 20);
    return NULL;
}

/* While it drains, a request in progress is answered, idle connections end, and new ones are not accepted. */
static void test_drain(void **state)
{
    (void)state;
    static struct fixture fixture;
    struct client busy, idle;
    AUTO(reply) first = {0}, last = {0};
    pthread_t drain;
    fixture_start(&fixture, NULL);
    assert_true(client_open(&busy, &fixture, 0));
    assert_true(client_open(&idle, &fixture, 0));
    client_ask(&idle, HIDDEN, &first);
    client_send_text(&busy, "GET /hold HTTP/1.1\r\n" HOST "\r\n");
    app_wait(&fixture.app, &fixture.app.held, 1);
    assert_int_equal(pthread_create(&drain, NULL, drain_run, fixture.server), 0);
    assert_true(client_ended(&idle));
    app_release(&fixture.app);
    assert_true(client_reply(&busy, true, &last));
    assert_int_equal(last.status, 200);
    assert_string_equal(reply_header(&last, "Connection"), "close");
    pthread_join(drain, NULL);
    client_close(&busy);
    client_close(&idle);
    fixture_stop(&fixture);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    log_open(LOG_LEVEL_ERROR, "test");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_head_has_no_body),
        cmocka_unit_test(test_observer_sees_faults),
        cmocka_unit_test(test_smuggling_is_refused),
        cmocka_unit_test(test_pipeline),
        cmocka_unit_test(test_chunked),
        cmocka_unit_test(test_large_bodies),
        cmocka_unit_test(test_endless_chunks),
        cmocka_unit_test(test_client_certificate),
        cmocka_unit_test(test_tls_versions),
        cmocka_unit_test(test_no_renegotiation),
        cmocka_unit_test(test_unix_socket),
        cmocka_unit_test(test_slow_clients),
        cmocka_unit_test(test_silent_client),
        cmocka_unit_test(test_handler_may_block),
        cmocka_unit_test(test_connections_per_address),
        cmocka_unit_test(test_drain),
        cmocka_unit_test(test_certificate_is_replaced),
    };
    return cmocka_run_group_tests_name("http", tests, shared_start, shared_stop);
}
