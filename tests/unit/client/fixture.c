#include "tests/unit/client/fixture.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <ftw.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

char *folder_make(void)
{
    char *folder = strdup(P_tmpdir "/ensign-client-XXXXXX");
    assert_non_null(folder);
    assert_non_null(mkdtemp(folder));
    return folder;
}

static int entry_drop(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    (void)status, (void)kind, (void)walk;
    return remove(path);
}

void folder_drop(char *folder)
{
    assert_int_equal(nftw(folder, entry_drop, 16, FTW_DEPTH | FTW_PHYS), 0);
    free(folder);
}

const char *path_inside(const char *folder, const char *name)
{
    static char paths[4][512];
    static size_t next;
    char *path = paths[next++ % ARRAY_SIZE(paths)];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

void file_write(const char *folder, const char *name, unsigned mode, const char *text)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fputs(text, file) >= 0 ? 0 : -1, 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, mode), 0);
}

/* ---- certificates ---- */

static void extension_add(X509 *certificate, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    assert_non_null(extension);
    assert_int_equal(X509_add_ext(certificate, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

static void extensions_add(X509 *certificate, const struct making *making)
{
    char names[128];
    extension_add(certificate, NID_basic_constraints, making->authority ? "critical,CA:TRUE" : "critical,CA:FALSE");
    if (making->authority) {
        extension_add(certificate, NID_key_usage, "critical,keyCertSign,digitalSignature");
        return;
    }
    snprintf(names, sizeof names, "DNS:%s", making->name);
    extension_add(certificate, NID_subject_alt_name, names);
    extension_add(certificate, NID_ext_key_usage, making->client_only ? "clientAuth" : "serverAuth");
}

struct made_certificate certificate_make(const struct making *making)
{
    struct made_certificate made = {X509_new(), EVP_EC_gen("P-256")};
    assert_non_null(made.certificate);
    assert_non_null(made.key);
    static int serial;
    X509_set_version(made.certificate, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(made.certificate), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(made.certificate), -7200);
    X509_gmtime_adj(X509_getm_notAfter(made.certificate), making->not_after_seconds);
    X509_NAME *name = X509_get_subject_name(made.certificate);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)making->name, -1, -1, 0);
    X509_set_issuer_name(made.certificate, making->issuer ? X509_get_subject_name(making->issuer->certificate) : name);
    X509_set_pubkey(made.certificate, made.key);
    extensions_add(made.certificate, making);
    assert_true(X509_sign(made.certificate, making->issuer ? making->issuer->key : made.key, EVP_sha256()) > 0);
    return made;
}

void made_certificate_cleanup(struct made_certificate *made)
{
    X509_free(made->certificate);
    EVP_PKEY_free(made->key);
}

void certificate_pin(const struct made_certificate *made, uint8_t ret_pin[SHA256_SIZE])
{
    unsigned char *spki = NULL;
    int size = i2d_PUBKEY(made->key, &spki);
    assert_true(size > 0);
    SHA256(spki, (size_t)size, ret_pin);
    OPENSSL_free(spki);
}

/* ---- the server ---- */

struct tls_server {
    int listen_fd, stop[2];
    unsigned port;
    SSL_CTX *tls;
    tls_respond *respond;
    void *context;
    pthread_t thread;
    struct bytes received;
};

static bool request_whole(const char *text)
{
    const char *end = strstr(text, "\r\n\r\n"), *length = strcasestr(text, "\r\nContent-Length:");
    size_t body = length && length < end ? strtoul(length + 17, NULL, 10) : 0;
    return end && strlen(end + 4) >= body;
}

/* One request; the end of the connection is the end of the answer. */
static void connection_serve(struct tls_server *server, SSL *ssl)
{
    size_t start = server->received.size;
    do {
        char block[4096];
        int got = SSL_read(ssl, block, sizeof block);
        if (got <= 0)
            return;
        bytes_append(&server->received, block, (size_t)got);
    } while (!request_whole(bytes_text(&server->received) + start));
    AUTO(bytes) response = {0};
    server->respond(server->context, bytes_text(&server->received) + start, &response);
    if (SSL_write(ssl, response.data, (int)response.size) > 0)
        SSL_shutdown(ssl);
}

static void *server_run(void *argument)
{
    struct tls_server *server = argument;
    struct pollfd fds[] = {{.fd = server->listen_fd, .events = POLLIN}, {.fd = server->stop[0], .events = POLLIN}};
    while (poll(fds, 2, -1) > 0 && !fds[1].revents) {
        int fd = accept(server->listen_fd, NULL, NULL);
        SSL *ssl = SSL_new(server->tls);
        SSL_set_fd(ssl, fd);
        if (SSL_accept(ssl) == 1)
            connection_serve(server, ssl);
        SSL_free(ssl);
        close(fd);
    }
    return NULL;
}

static void server_listen(struct tls_server *server)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    server->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(server->listen_fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(server->listen_fd, 8), 0);
    assert_int_equal(getsockname(server->listen_fd, (struct sockaddr *)&address, &size), 0);
    server->port = ntohs(address.sin_port);
}

struct tls_server *tls_server_start(const struct made_certificate *leaf, const struct made_certificate *const *chain,
                                    tls_respond *respond, void *context)
{
    struct tls_server *server = calloc(1, sizeof *server);
    assert_non_null(server);
    server_listen(server);
    assert_int_equal(pipe2(server->stop, O_CLOEXEC), 0);
    server->respond = respond;
    server->context = context;
    server->tls = SSL_CTX_new(TLS_server_method());
    assert_int_equal(SSL_CTX_use_certificate(server->tls, leaf->certificate), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(server->tls, leaf->key), 1);
    for (; *chain; chain++)
        assert_int_equal(SSL_CTX_add1_chain_cert(server->tls, (*chain)->certificate), 1);
    assert_int_equal(pthread_create(&server->thread, NULL, server_run, server), 0);
    return server;
}

unsigned tls_server_port(const struct tls_server *server)
{
    return server->port;
}

char *tls_server_stop(struct tls_server *server)
{
    assert_int_equal(write(server->stop[1], "x", 1), 1);
    pthread_join(server->thread, NULL);
    char *received = strdup(bytes_text(&server->received));
    SSL_CTX_free(server->tls);
    bytes_free(&server->received);
    close(server->stop[0]);
    close(server->stop[1]);
    close(server->listen_fd);
    free(server);
    return received;
}
