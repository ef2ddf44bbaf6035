#include "server/http_rules.h"

#include <ctype.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "ca/base/encode.h"

static const char *const single_headers[SINGLE_COUNT] = {
    [SINGLE_HOST] = "Host",
    [SINGLE_CONTENT_LENGTH] = "Content-Length",
    [SINGLE_TRANSFER_ENCODING] = "Transfer-Encoding",
    [SINGLE_CONTENT_TYPE] = "Content-Type",
    [SINGLE_AUTHORIZATION] = "Authorization",
    [SINGLE_IDEMPOTENCY_KEY] = "Idempotency-Key",
};

/* token, RFC 9110 §5.6.2 */
static bool name_valid(struct span name)
{
    for (size_t i = 0; i < name.size; i++)
        if (!isalnum(name.data[i]) && (!name.data[i] || !strchr("!#$%&'*+-.^_`|~", name.data[i])))
            return false;
    return name.size > 0;
}

static bool value_valid(struct span value)
{
    for (size_t i = 0; i < value.size; i++)
        if ((value.data[i] < ' ' && value.data[i] != '\t') || value.data[i] == 0x7f)
            return false;
    return true;
}

void framing_header(struct framing *framing, struct span name, struct span value)
{
    if (!name_valid(name) || !value_valid(value)) {
        framing->malformed = true;
        return;
    }
    for (size_t i = 0; i < SINGLE_COUNT; i++)
        if (strcasecmp((const char *)name.data, single_headers[i]) == 0) {
            framing->count[i]++;
            framing->value[i] = (const char *)value.data;
        }
}

/* 1 to 18 digits: neither a sign, nor a list, nor anything that overflows. */
static bool length_parse(const char *text, uint64_t *ret_length)
{
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 18 || text[digits])
        return false;
    *ret_length = strtoull(text, NULL, 10);
    return true;
}

enum err framing_check(struct framing *framing, const char *version, struct fault *f)
{
    const char *length = framing->value[SINGLE_CONTENT_LENGTH], *encoding = framing->value[SINGLE_TRANSFER_ENCODING];
    bool newest = strcmp(version, "HTTP/1.1") == 0;
    if (framing->malformed)
        return fault_set(f, CODE_MALFORMED, "a header is malformed (RFC 9110 §5.5)");
    for (size_t i = 0; i < SINGLE_COUNT; i++)
        if (framing->count[i] > 1)
            return fault_set(f, CODE_MALFORMED, "the header %s is given more than once", single_headers[i]);
    if (!newest && strcmp(version, "HTTP/1.0") != 0)
        return fault_set(f, CODE_MALFORMED, "only HTTP/1.1 and HTTP/1.0 are spoken here");
    if (newest && !framing->value[SINGLE_HOST])
        return fault_set(f, CODE_MALFORMED, "the header Host is missing (RFC 9112 §3.2)");
    if (encoding && (length || !newest || strcasecmp(encoding, "chunked") != 0))
        return fault_set(f, CODE_MALFORMED,
                         "Transfer-Encoding may only be chunked, in HTTP/1.1, and without a Content-Length "
                         "(RFC 9112 §6.3)");
    if (length && !length_parse(length, &framing->length))
        return fault_set(f, CODE_MALFORMED, "Content-Length is not a number (RFC 9110 §8.6)");
    framing->chunked = encoding != NULL;
    return OK;
}

static bool type_is_json(const char *type)
{
    static const char json[] = "application/json";
    size_t size = sizeof json - 1;
    return type && strncasecmp(type, json, size) == 0 && (!type[size] || strchr("; \t", type[size]));
}

enum err body_too_large(const struct route *route, struct fault *f)
{
    return fault_set(f, CODE_TOO_LARGE, "the body is larger than %zu bytes", route->body_max);
}

enum err body_check(const struct framing *framing, const struct route *route, struct fault *f)
{
    if (framing->length == 0 && !framing->chunked)
        return OK;
    if (route->body_max == 0)
        return fault_set(f, CODE_TOO_LARGE, "this resource takes no body");
    if (framing->length > route->body_max)
        return body_too_large(route, f);
    if (!type_is_json(framing->value[SINGLE_CONTENT_TYPE]))
        return fault_set(f, CODE_UNSUPPORTED_TYPE, "the Content-Type of a body must be application/json");
    return OK;
}

enum err may_check(const struct http_request *request, struct fault *f)
{
    const struct route *route = request->route;
    const struct caller *caller = &request->caller;
    if (route->may & (MAY_ANYBODY | (unsigned)caller->kind | request->granted))
        return OK;
    if (!caller->kind)
        return fault_set(f, CODE_UNAUTHENTICATED, "this needs a join token or a client certificate of this service");
    return fault_set(f, CODE_FORBIDDEN, "%s may not use %s %s", caller->name, route->method, route->pattern);
}

void request_id(const char *given, char ret_id[REQUEST_ID_TEXT_SIZE])
{
    static const char sane[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    size_t size = given ? strlen(given) : 0;
    if (size > 0 && size < REQUEST_ID_TEXT_SIZE && strspn(given, sane) == size) {
        memcpy(ret_id, given, size + 1);
        return;
    }
    uint8_t random[16] = {0};
    RAND_bytes(random, sizeof random);
    hex_text(SPAN_OF(random), ret_id, REQUEST_ID_TEXT_SIZE);
}
