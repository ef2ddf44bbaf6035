#include "tests/bench/wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "ca/base/encode.h"
#include "ca/x509/request.h"

_Noreturn void stop(const char *what)
{
    fprintf(stderr, "%s: %s\n", program_invocation_short_name, what);
    exit(1);
}

double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

void csr_make(EVP_PKEY **ret_key, struct bytes *ret_pem)
{
    struct fault f = {0};
    CLEANUP(EVP_PKEY_auto) EVP_PKEY *key = NULL;
    AUTO(bytes) der = {0};
    struct distinguished_name subject = {0};
    if (key_generate(KEY_ECDSA_P256, &key, &f) != OK || request_make(key, &subject, NULL, &der, &f) != OK)
        stop(f.text);
    pem_append(ret_pem, "CERTIFICATE REQUEST", bytes_span(&der));
    if (ret_key)
        *ret_key = TAKE(key);
}

X509 *x509_read(const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509 *x509 = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    BIO_free(bio);
    return x509;
}

EVP_PKEY *key_read(const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    BIO_free(bio);
    return key;
}

SSL *wire_open(SSL_CTX *tls, int port, X509 *certificate, EVP_PKEY *key)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    SSL *ssl = SSL_new(tls);
    bool ready = ssl && connect(fd, (struct sockaddr *)&address, sizeof address) == 0 && SSL_set_fd(ssl, fd) == 1 &&
                 (!certificate || SSL_use_certificate(ssl, certificate) == 1) &&
                 (!key || SSL_use_PrivateKey(ssl, key) == 1) && SSL_connect(ssl) == 1;
    if (ready)
        return ssl;
    SSL_free(ssl);
    close(fd);
    return NULL;
}

void wire_close(SSL *ssl)
{
    int fd = SSL_get_fd(ssl);
    SSL_free(ssl);
    close(fd);
}

int wire_answer(SSL *ssl, struct bytes *answer)
{
    char some[16384];
    size_t wanted = 0;
    bytes_clear(answer);
    while (wanted == 0 || answer->size < wanted) {
        int got = SSL_read(ssl, some, sizeof some);
        if (got <= 0)
            return 0;
        bytes_append(answer, some, (size_t)got);
        const char *text = bytes_text(answer), *end = strstr(text, "\r\n\r\n");
        const char *length = strcasestr(text, "\r\nContent-Length: ");
        if (wanted == 0 && end && length)
            wanted = (size_t)(end + 4 - text) + strtoul(length + 18, NULL, 10);
    }
    return atoi(bytes_text(answer) + strlen("HTTP/1.1 "));
}

const char *wire_body(const struct bytes *answer)
{
    const char *end = strstr(bytes_text(answer), "\r\n\r\n");
    return end ? end + 4 : "";
}
