#include "client/agent/served.h"

#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/files.h"

enum { PATIENCE_SECONDS = 3 };

AUTO_POINTER(SSL_CTX, SSL_CTX_free)
AUTO_POINTER(SSL, SSL_free)

static void addresses_cleanup(struct addrinfo **addresses)
{
    if (*addresses)
        freeaddrinfo(*addresses);
}

static enum err endpoint_split(const char *endpoint, char ret_host[NI_MAXHOST], const char **ret_port, struct fault *f)
{
    const char *colon = strrchr(endpoint, ':');
    if (!colon || (size_t)(colon - endpoint) >= NI_MAXHOST)
        return fault_set(f, CODE_INVALID, "\"%s\" is not HOST:PORT", endpoint);
    bool bracketed = endpoint[0] == '[' && colon > endpoint && colon[-1] == ']';
    const char *host = endpoint + bracketed;
    snprintf(ret_host, NI_MAXHOST, "%.*s", (int)(colon - bracketed - host), host);
    *ret_port = colon + 1;
    return OK;
}

static int socket_connect(const struct addrinfo *address)
{
    const struct timeval patience = {.tv_sec = PATIENCE_SECONDS};
    CLEANUP(fd_cleanup) int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience); /* of connect(), too: socket(7) */
    if (connect(fd, address->ai_addr, address->ai_addrlen) != 0)
        return -1;
    int connected = fd;
    fd = -1;
    return connected;
}

static enum err endpoint_connect(const char *endpoint, int *ret_fd, struct fault *f)
{
    char host[NI_MAXHOST];
    const char *port = NULL;
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    CLEANUP(addresses_cleanup) struct addrinfo *addresses = NULL;
    TRY(endpoint_split(endpoint, host, &port, f));
    int error = getaddrinfo(host, port, &hints, &addresses);
    if (error != 0)
        return fault_set(f, CODE_UNREACHABLE, "%s: %s", endpoint, gai_strerror(error));
    for (const struct addrinfo *next = addresses; next; next = next->ai_next)
        if ((*ret_fd = socket_connect(next)) >= 0)
            return OK;
    return fault_set(f, CODE_UNREACHABLE, "nothing answers at %s", endpoint);
}

/* Takes the certificate; that it is not judged here lets the handshake go on. */
static int certificate_take(X509_STORE_CTX *chain, void *context)
{
    struct bytes *der = context;
    X509 *leaf = X509_STORE_CTX_get0_cert(chain);
    unsigned char *encoded = NULL;
    int size = leaf ? i2d_X509(leaf, &encoded) : 0;
    if (size > 0)
        bytes_append(der, encoded, (size_t)size);
    OPENSSL_free(encoded);
    return 1;
}

enum err served_certificate(const char *endpoint, struct bytes *ret_der, struct fault *f)
{
    CLEANUP(fd_cleanup) int fd = -1;
    AUTO(bytes) der = {0};
    TRY(endpoint_connect(endpoint, &fd, f));
    CLEANUP(SSL_CTX_auto) SSL_CTX *tls = SSL_CTX_new(TLS_client_method());
    CLEANUP(SSL_auto) SSL *connection = tls ? SSL_new(tls) : NULL;
    if (!connection || SSL_set_fd(connection, fd) != 1)
        return fault_openssl(f, "TLS");
    SSL_CTX_set_cert_verify_callback(tls, certificate_take, &der);
    SSL_set_verify(connection, SSL_VERIFY_PEER, NULL);
    (void)!SSL_connect(connection);
    ERR_clear_error();
    if (der.size == 0)
        return fault_set(f, CODE_UNREACHABLE, "%s shows no certificate", endpoint);
    return bytes_give(&der, ret_der, f);
}
