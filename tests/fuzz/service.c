#include "tests/fuzz/service.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "ca/base/document.h"
#include "server/app.h"
#include "server/listen.h"
#include "server/logger.h"
#include "server/tls.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/ca/fixture.h"

static struct {
    struct fixture *fixture;
    struct config config;
    struct app app;
    struct http_server *http;
    pid_t owner; /* of the folder: a forked signer leaves it alone */
    char path[108];
} service;

static enum err everybody(struct app *app, struct http_request *request, struct fault *f)
{
    (void)app, (void)f;
    request->caller = (struct caller){.kind = REQUESTER_ADMIN, .name = "fuzz"};
    return OK;
}

static void nothing(struct app *app, const struct http_request *request, int status, double seconds,
                    const struct fault *fault)
{
    (void)app, (void)request, (void)status, (void)seconds, (void)fault;
}

static void service_stop(void)
{
    if (getpid() != service.owner)
        return;
    void *fixture = service.fixture;
    http_server_free(service.http);
    fixture_teardown(&fixture);
}

static void service_start(void)
{
    struct fault *f = fuzz_fault();
    struct http_config http = {.listen_fd = -1, .connections_max = 100, .connections_per_address_max = 100};
    AUTO(tls) tls = {0};
    void *fixture = NULL;
    service.owner = getpid();
    HOLDS(fixture_setup(&fixture) == 0);
    service.fixture = fixture;
    service.app = (struct app){
        .config = &service.config, .ca = service.fixture->ca, .signer = service.fixture->signer, .control_fd = -1};
    snprintf(service.path, sizeof service.path, "%s/socket", service.fixture->folder);
    fuzz_must(tls_renew(service.fixture->ca, service.fixture->folder, &tls, f), f);
    fuzz_must(listen_unix(service.path, &http.unix_fd, f), f);
    fuzz_must(http_server_start(&http, routes, &service.app, everybody, nothing, bytes_span(&tls.chain_pem),
                                bytes_span(&tls.key_pem), &service.http, f),
              f);
    atexit(service_stop);
}

int service_connect(void)
{
    if (!service.http)
        service_start();
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const struct timeval deadline = {.tv_sec = 10};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", service.path);
    HOLDS(TEMP_FAILURE_RETRY(connect(fd, (const struct sockaddr *)&address, sizeof address)) == 0);
    HOLDS(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof deadline) == 0);
    HOLDS(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &deadline, sizeof deadline) == 0);
    return fd;
}

/* The other side may hang up before it has read all. */
static void all_send(int fd, struct span data)
{
    while (data.size > 0) {
        ssize_t sent = TEMP_FAILURE_RETRY(send(fd, data.data, data.size, MSG_NOSIGNAL));
        if (sent <= 0)
            return;
        data = span(data.data + sent, data.size - (size_t)sent);
    }
}

void service_exchange(struct span request, struct bytes *ret_answer)
{
    char buffer[65536];
    ssize_t got;
    int fd = service_connect();
    all_send(fd, request);
    shutdown(fd, SHUT_WR);
    while ((got = TEMP_FAILURE_RETRY(recv(fd, buffer, sizeof buffer, 0))) > 0) /* libFuzzer has an alarm */
        bytes_append(ret_answer, buffer, (size_t)got);
    close(fd);
}

/* The value of a header of the head, which ends with an empty line; NULL when absent. */
static const char *head_find(const char *head, const char *name)
{
    const char *at = strcasestr(head, name);
    return at ? at + strlen(name) : NULL;
}

static void body_check_json(const char *head, struct span body)
{
    CLEANUP(document_auto) struct document *document = NULL;
    const char *type = head_find(head, "\r\nContent-Type: ");
    if (body.size && type &&
        (strncmp(type, "application/json", 16) == 0 || strncmp(type, "application/problem", 19) == 0))
        fuzz_must(document_parse_json(body, &document, fuzz_fault()), fuzz_fault());
}

int service_answer_check(struct span *answers, bool has_body)
{
    AUTO(bytes) head = {0};
    const uint8_t *end = answers->size ? memmem(answers->data, answers->size, "\r\n\r\n", 4) : NULL;
    if (!end)
        return 0;
    bytes_append(&head, answers->data, (size_t)(end - answers->data) + 2);
    struct span rest = span(end + 4, answers->size - (size_t)(end + 4 - answers->data));
    HOLDS(strncmp(bytes_text(&head), "HTTP/1.", 7) == 0);
    int status = atoi(bytes_text(&head) + 9);
    HOLDS(status >= 100 && status < 600 && status != 500);
    const char *length = head_find(bytes_text(&head), "\r\nContent-Length: ");
    size_t size = length && has_body && status != 304 && status >= 200 ? strtoul(length, NULL, 10) : 0;
    if (size > rest.size)
        return 0;
    body_check_json(bytes_text(&head), span(rest.data, size));
    *answers = span(rest.data + size, rest.size - size);
    return status;
}
