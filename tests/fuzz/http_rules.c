/* Headers: what passes is framed in one way only. The input is a version and "Name: value" lines. */
#include "server/http_rules.h"

#include <string.h>
#include <strings.h>

#include "server/http_target.h"
#include "tests/fuzz/fuzz.h"

enum { HEADERS_MAX = 64 };

static size_t header_count(const char *const *names, size_t count, const char *name)
{
    size_t found = 0;
    for (size_t i = 0; i < count; i++)
        found += strcasecmp(names[i], name) == 0;
    return found;
}

static void framing_hold(const struct framing *framing, const char *version, const char *const *names, size_t count)
{
    size_t lengths = header_count(names, count, "Content-Length");
    HOLDS(lengths + header_count(names, count, "Transfer-Encoding") <= 1);
    HOLDS(header_count(names, count, "Host") <= 1 && header_count(names, count, "Authorization") <= 1);
    HOLDS(framing->chunked == (header_count(names, count, "Transfer-Encoding") == 1));
    HOLDS(framing->length == 0 || (lengths == 1 && framing->length < UINT64_C(1000000000000000000)));
    HOLDS(strcmp(version, "HTTP/1.1") != 0 || header_count(names, count, "Host") == 1);
}

static void body_hold(const struct framing *framing)
{
    const struct route route = {.method = "POST", .pattern = "/", .body_max = 4096};
    const struct route without = {.method = "GET", .pattern = "/"};
    struct fault *f = fuzz_fault();
    bool has_body = framing->length || framing->chunked;
    if (fuzz_kept(body_check(framing, &route, f), f, NULL, 0) && has_body)
        HOLDS(framing->length <= route.body_max && framing->count[SINGLE_CONTENT_TYPE] == 1);
    f = fuzz_fault();
    HOLDS(fuzz_kept(body_check(framing, &without, f), f, NULL, 0) == !has_body);
}

static void texts_hold(const char *value)
{
    char id[REQUEST_ID_TEXT_SIZE];
    request_id(value, id);
    size_t size = strnlen(id, sizeof id);
    HOLDS(size >= 1 && size < sizeof id &&
          strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == size);
    (void)etag_listed(value, "\"v1\"");
}

/* Cuts the next line off; NULL at the end. */
static char *line_take(char **text)
{
    char *line = strsep(text, "\n");
    return line && *line ? line : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(bytes) copy = {0};
    const char *names[HEADERS_MAX];
    size_t count = 0;
    struct framing framing = {0};
    fuzz_must(bytes_copy(span(data, size), &copy, fuzz_fault()), fuzz_fault());
    char *text = (char *)copy.data, *version = text ? line_take(&text) : NULL, *line;
    while (version && text && count < HEADERS_MAX && (line = line_take(&text))) {
        char *colon = strchr(line, ':');
        if (!colon)
            continue;
        *colon = '\0';
        char *value = colon + 1 + strspn(colon + 1, " \t");
        names[count++] = line;
        texts_hold(value);
        framing_header(&framing, span_text(line), span_text(value));
    }
    struct fault *f = fuzz_fault();
    if (!version || !fuzz_kept(framing_check(&framing, version, f), f, NULL, 0))
        return 0;
    framing_hold(&framing, version, names, count);
    body_hold(&framing);
    return 0;
}

void fuzz_seeds(void)
{
    fuzz_seed_text("HTTP/1.1\nHost: localhost\nContent-Length: 12\nContent-Type: application/json; charset=utf-8\n");
    fuzz_seed_text("HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\nX-Request-Id: a.b-c_1\nAuthorization: Bearer x\n");
    fuzz_seed_text("HTTP/1.0\nContent-Length: 0\nContent-Length: 1\n");
    fuzz_seed_text("HTTP/1.1\nHost: a\nIf-None-Match: W/\"v0\", \"v1\"\n");
    fuzz_seed_text("HTTP/2\nHost: a\nIf-None-Match: *\n");
}
