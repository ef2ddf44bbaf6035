/* load: has certificates issued as fast as the service answers, over N TLS connections; prints what came of it as JSON.
 *
 *     load --port P --path PATH --body JSON --csr MEMBER --expect STATUS --connections N --seconds S
 *          [--context FILE] [--reconnect]
 *
 * Each request is the object JSON with a PKCS#10 request of another key as MEMBER; they are made beforehand. FILE has
 * the identity of the client. With --reconnect each request has a connection of its own. The limits of the machine
 * (P-256 verify and sign, RSA-2048 sign, fdatasync) are measured by `load --limits FOLDER`. */
#include <fcntl.h>
#include <getopt.h>
#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ca/x509/public_key.h"
#include "tests/bench/wire.h"

enum { CONNECTIONS_MAX = 1024, SAMPLES_MAX = 200000 };
enum { REQUESTS_PER_SECOND = 12000, PREPARERS = 4 }; /* more than are answered, so that none is sent twice */

struct options {
    int port, connections, seconds, expect;
    const char *context, *path, *body, *csr, *limits;
    bool reconnect;
};

struct worker {
    pthread_t thread;
    float *milliseconds;
    size_t count, failed;
};

static struct options options = {.connections = 1, .seconds = 3};
static SSL_CTX *tls;
static struct bytes *requests; /* whole HTTP requests */
static size_t requests_count;
static atomic_size_t next_request;
static atomic_bool stopping;

/* ---- requests ---- */

static void request_prepare(struct bytes *out)
{
    AUTO(bytes) pem = {0};
    csr_make(NULL, &pem);
    json_t *body = json_loads(options.body, 0, NULL);
    if (json_object_set_new(body, options.csr, json_string(bytes_text(&pem))) != 0)
        stop("--body is no JSON object");
    char *text = json_dumps(body, JSON_COMPACT);
    bytes_appendf(out,
                  "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                  "Content-Length: %zu\r\n%s\r\n%s",
                  options.path, strlen(text), options.reconnect ? "Connection: close\r\n" : "", text);
    free(text);
    json_decref(body);
}

static void *requests_prepare(void *context)
{
    for (size_t i = *(size_t *)context; i < requests_count; i += PREPARERS)
        request_prepare(&requests[i]);
    return NULL;
}

static void requests_make(void)
{
    pthread_t threads[PREPARERS];
    size_t firsts[PREPARERS];
    requests_count = (size_t)options.seconds * REQUESTS_PER_SECOND;
    if (!(requests = calloc(requests_count, sizeof *requests)))
        stop("no memory");
    for (size_t i = 0; i < PREPARERS; i++) {
        firsts[i] = i;
        if (pthread_create(&threads[i], NULL, requests_prepare, &firsts[i]) != 0)
            stop("cannot start a thread");
    }
    for (size_t i = 0; i < PREPARERS; i++)
        pthread_join(threads[i], NULL);
}

static void identity_use(void)
{
    json_t *context = json_load_file(options.context, 0, NULL);
    const char *certificate = json_string_value(json_object_get(context, "certificate"));
    const char *key = json_string_value(json_object_get(context, "key"));
    if (!certificate || !key)
        stop("the context file has no certificate and key");
    X509 *x509 = x509_read(certificate);
    EVP_PKEY *pkey = key_read(key);
    if (SSL_CTX_use_certificate(tls, x509) != 1 || SSL_CTX_use_PrivateKey(tls, pkey) != 1)
        stop("the identity cannot be used");
    X509_free(x509);
    EVP_PKEY_free(pkey);
    json_decref(context);
}

/* ---- a connection ---- */

static SSL *connection_open(void)
{
    SSL *ssl = wire_open(tls, options.port, NULL, NULL);
    if (!ssl)
        stop("no connection");
    return ssl;
}

static bool exchange(SSL *ssl, struct bytes *answer)
{
    size_t next = atomic_fetch_add(&next_request, 1);
    if (next >= requests_count)
        stop("the service answers faster than requests were prepared");
    const struct bytes *request = &requests[next];
    return SSL_write(ssl, request->data, (int)request->size) > 0 && wire_answer(ssl, answer) == options.expect;
}

static void *worker_run(void *context)
{
    struct worker *worker = context;
    AUTO(bytes) answer = {0};
    SSL *ssl = options.reconnect ? NULL : connection_open();
    while (!atomic_load(&stopping) && worker->count < SAMPLES_MAX) {
        double begin = seconds_now();
        if (options.reconnect)
            ssl = connection_open();
        if (!exchange(ssl, &answer))
            worker->failed++;
        if (options.reconnect)
            wire_close(ssl);
        worker->milliseconds[worker->count++] = (float)((seconds_now() - begin) * 1000);
    }
    if (!options.reconnect)
        wire_close(ssl);
    return NULL;
}

/* ---- limits ---- */

static double rate_of(void (*once)(void *), void *context)
{
    double begin = seconds_now();
    size_t count = 0;
    do {
        for (int i = 0; i < 20; i++)
            once(context);
        count += 20;
    } while (seconds_now() - begin < 1);
    return (double)count / (seconds_now() - begin);
}

struct pair {
    EVP_PKEY *key;
    unsigned char signature[256];
    size_t size;
};

static void pair_sign(void *context)
{
    struct pair *pair = context;
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    pair->size = sizeof pair->signature;
    if (EVP_DigestSignInit(digest, NULL, EVP_sha256(), NULL, pair->key) != 1 ||
        EVP_DigestSign(digest, pair->signature, &pair->size, (const unsigned char *)"ensign", 6) != 1)
        stop("cannot sign");
    EVP_MD_CTX_free(digest);
}

static void pair_verify(void *context)
{
    struct pair *pair = context;
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    if (EVP_DigestVerifyInit(digest, NULL, EVP_sha256(), NULL, pair->key) != 1 ||
        EVP_DigestVerify(digest, pair->signature, pair->size, (const unsigned char *)"ensign", 6) != 1)
        stop("cannot verify");
    EVP_MD_CTX_free(digest);
}

static void sync_write(void *context)
{
    int fd = *(int *)context;
    char page[4096] = {0};
    if (pwrite(fd, page, sizeof page, 0) != sizeof page || fdatasync(fd) != 0)
        stop("cannot write");
}

static void limits_print(void)
{
    char path[4096];
    struct fault f = {0};
    struct pair p256 = {0}, rsa = {0};
    snprintf(path, sizeof path, "%s/limits", options.limits);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || key_generate(KEY_ECDSA_P256, &p256.key, &f) != OK || key_generate(KEY_RSA_2048, &rsa.key, &f) != OK)
        stop("cannot measure here");
    double sign = rate_of(pair_sign, &p256), verify = rate_of(pair_verify, &p256), rsa_sign = rate_of(pair_sign, &rsa);
    printf("{\"sign\": %.0f, \"verify\": %.0f, \"rsa_sign\": %.0f, \"fdatasync\": %.0f}\n", sign, verify, rsa_sign,
           rate_of(sync_write, &fd));
    EVP_PKEY_free(p256.key);
    EVP_PKEY_free(rsa.key);
    close(fd);
    unlink(path);
}

/* ---- main ---- */

static int float_compare(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static void result_print(const struct worker *workers, double seconds)
{
    size_t count = 0, failed = 0;
    float *all = calloc((size_t)options.connections, SAMPLES_MAX * sizeof *all);
    for (int i = 0; all && i < options.connections; i++) {
        memcpy(all + count, workers[i].milliseconds, workers[i].count * sizeof *all);
        count += workers[i].count;
        failed += workers[i].failed;
    }
    if (!all || count == 0)
        stop("nothing was answered");
    qsort(all, count, sizeof *all, float_compare);
    printf("{\"count\": %zu, \"failed\": %zu, \"seconds\": %.3f, \"p50\": %.2f, \"p99\": %.2f}\n", count, failed,
           seconds, (double)all[count / 2], (double)all[count * 99 / 100]);
    free(all);
}

static void load_run(void)
{
    static struct worker workers[CONNECTIONS_MAX];
    if (!(tls = SSL_CTX_new(TLS_client_method())))
        stop("no TLS");
    if (options.context)
        identity_use();
    requests_make();
    double begin = seconds_now();
    for (int i = 0; i < options.connections; i++) {
        workers[i].milliseconds = calloc(SAMPLES_MAX, sizeof(float));
        if (!workers[i].milliseconds || pthread_create(&workers[i].thread, NULL, worker_run, &workers[i]) != 0)
            stop("cannot start a thread");
    }
    sleep((unsigned)options.seconds);
    atomic_store(&stopping, true);
    for (int i = 0; i < options.connections; i++)
        pthread_join(workers[i].thread, NULL);
    result_print(workers, seconds_now() - begin);
}

int main(int argc, char **argv)
{
    static const struct option known[] = {
        {"port", required_argument, NULL, 'p'},
        {"context", required_argument, NULL, 'x'},
        {"path", required_argument, NULL, 'a'},
        {"body", required_argument, NULL, 'b'},
        {"csr", required_argument, NULL, 'c'},
        {"expect", required_argument, NULL, 'e'},
        {"connections", required_argument, NULL, 'k'},
        {"seconds", required_argument, NULL, 's'},
        {"reconnect", no_argument, NULL, 'r'},
        {"limits", required_argument, NULL, 'l'},
        {0},
    };
    const struct {
        int letter;
        int *number;
        const char **text;
    } values[] = {
        {'p', &options.port, NULL},        {'x', NULL, &options.context}, {'a', NULL, &options.path},
        {'b', NULL, &options.body},        {'c', NULL, &options.csr},     {'e', &options.expect, NULL},
        {'k', &options.connections, NULL}, {'s', &options.seconds, NULL}, {'l', NULL, &options.limits},
    };
    for (int letter; (letter = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        options.reconnect |= letter == 'r';
        if (letter == '?')
            return 2;
        for (size_t i = 0; i < ARRAY_SIZE(values); i++)
            if (values[i].letter == letter && values[i].number)
                *values[i].number = atoi(optarg);
            else if (values[i].letter == letter)
                *values[i].text = optarg;
    }
    if (options.limits) {
        limits_print();
        return 0;
    }
    if (options.connections < 1 || options.connections > CONNECTIONS_MAX || !options.path || !options.body ||
        !options.csr)
        return 2;
    load_run();
    return 0;
}
