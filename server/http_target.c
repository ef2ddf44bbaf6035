#include "server/http_target.h"

#include <stdio.h>
#include <string.h>

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* Decodes [text, end) to *out, which is moved behind the NUL. */
static enum err part_decode(const char *text, const char *end, bool query, char **out, struct fault *f)
{
    char *to = *out;
    while (text < end) {
        char c = *text++;
        if (c == '%') {
            int high = text < end ? hex_digit(text[0]) : -1,
                low = high >= 0 && text + 1 < end ? hex_digit(text[1]) : -1;
            if (low < 0)
                return fault_set(f, CODE_MALFORMED, "the URL has a broken %%-escape (RFC 3986 §2.1)");
            c = (char)(high * 16 + low);
            text += 2;
            if (c < ' ' || c > '~' || (c == '/' && !query))
                return fault_set(f, CODE_MALFORMED,
                                 "the URL escapes a character that no name here has (a control character, a slash or "
                                 "one beyond ASCII)");
        } else if (c == '+' && query) {
            c = ' ';
        }
        *to++ = c;
    }
    *to++ = '\0';
    *out = to;
    return OK;
}

static enum err segment_add(struct target *target, const char *text, const char *end, char **out, struct fault *f)
{
    const char *segment = *out;
    if (target->segments_count == SEGMENTS_MAX)
        return fault_set(f, CODE_NOT_FOUND, "no such resource");
    TRY(part_decode(text, end, false, out, f));
    if (strcmp(segment, ".") == 0 || strcmp(segment, "..") == 0 || (!*segment && *end))
        return fault_set(f, CODE_MALFORMED, "the path has an empty segment, \".\" or \"..\"");
    target->segments[target->segments_count++] = segment;
    return OK;
}

static enum err path_parse(struct target *target, char **out, struct fault *f)
{
    const char *text = target->path;
    while (*text == '/') {
        const char *end = strchrnul(text + 1, '/');
        TRY(segment_add(target, text + 1, end, out, f));
        text = end;
    }
    return OK;
}

static enum err query_add(struct target *target, const char *text, const char *end, char **out, struct fault *f)
{
    if (text == end)
        return OK;
    if (target->query_count == QUERY_MAX)
        return fault_set(f, CODE_MALFORMED, "the query has more than %d parameters", QUERY_MAX);
    const char *equals = memchr(text, '=', (size_t)(end - text));
    const char *name = *out;
    TRY(part_decode(text, equals ? equals : end, true, out, f));
    const char *value = "";
    if (equals) {
        value = *out;
        TRY(part_decode(equals + 1, end, true, out, f));
    }
    if (target_query(target, name))
        return fault_set(f, CODE_MALFORMED, "a query parameter is given twice");
    target->query[target->query_count].name = name;
    target->query[target->query_count++].value = value;
    return OK;
}

static enum err query_parse(struct target *target, const char *text, char **out, struct fault *f)
{
    while (*text) {
        const char *end = strchrnul(text, '&');
        TRY(query_add(target, text, end, out, f));
        text = *end ? end + 1 : end;
    }
    return OK;
}

void target_take(struct target *target, const char *text)
{
    target->segments_count = target->query_count = 0;
    target->too_long = strlen(text) >= sizeof target->path;
    snprintf(target->path, sizeof target->path, "%s", text);
}

/* What is decoded is never longer: the NUL behind each part stands for the separator before it. */
enum err target_parse(struct target *target, struct fault *f)
{
    bool escaped = true;
    for (const char *c = target->path; *c; c++)
        escaped &= *c > ' ' && *c <= '~' && *c != '#';
    char *query = strchrnul(target->path, '?');
    if (*query)
        *query++ = '\0';
    if (target->too_long)
        return fault_set(f, CODE_MALFORMED, "the URL is longer than %d characters", TARGET_SIZE_MAX - 1);
    if (target->path[0] != '/')
        return fault_set(f, CODE_MALFORMED, "the request target is not an absolute path (RFC 9112 §3.2.1)");
    if (!escaped)
        return fault_set(f, CODE_MALFORMED, "the URL has a character that must be escaped (RFC 3986 §2)");
    char *out = target->decoded;
    TRY(path_parse(target, &out, f));
    return query_parse(target, query, &out, f);
}

const char *target_query(const struct target *target, const char *name)
{
    for (size_t i = 0; i < target->query_count; i++)
        if (strcmp(target->query[i].name, name) == 0)
            return target->query[i].value;
    return NULL;
}

/* Whether the pattern fits the target; the values of its {…} go to parameters. */
static bool route_fits(const char *pattern, const struct target *target, const char *parameters[HTTP_PARAMETERS_MAX])
{
    size_t values = 0, i = 0;
    for (; *pattern == '/' && i < target->segments_count; i++) {
        const char *end = strchrnul(++pattern, '/');
        const char *segment = target->segments[i];
        size_t size = (size_t)(end - pattern);
        if (*pattern == '{') {
            if (!*segment || values == HTTP_PARAMETERS_MAX)
                return false;
            parameters[values++] = segment;
        } else if (strlen(segment) != size || memcmp(segment, pattern, size) != 0) {
            return false;
        }
        pattern = end;
    }
    return !*pattern && i == target->segments_count;
}

static void allow_add(char allow[ALLOW_TEXT_SIZE], const char *method)
{
    size_t used = strlen(allow);
    snprintf(allow + used, ALLOW_TEXT_SIZE - used, "%s%s%s", used ? ", " : "", method,
             strcmp(method, "GET") == 0 ? ", HEAD" : "");
}

enum err route_find(const struct route *routes, const char *method, const struct target *target,
                    const struct route **ret_route, const char *ret_parameters[HTTP_PARAMETERS_MAX],
                    char ret_allow[ALLOW_TEXT_SIZE], struct fault *f)
{
    const char *parameters[HTTP_PARAMETERS_MAX] = {0};
    char allow[ALLOW_TEXT_SIZE] = "";
    if (strcmp(method, "HEAD") == 0)
        method = "GET";
    for (const struct route *route = routes; route->method; route++) {
        if (!route_fits(route->pattern, target, parameters))
            continue;
        if (strcmp(route->method, method) == 0) {
            memcpy(ret_parameters, parameters, sizeof parameters);
            *ret_route = route;
            return OK;
        }
        allow_add(allow, route->method);
    }
    if (!*allow)
        return fault_set(f, CODE_NOT_FOUND, "no such resource");
    memcpy(ret_allow, allow, sizeof allow);
    return fault_set(f, CODE_METHOD_NOT_ALLOWED, "this resource takes only %s", allow);
}

bool etag_listed(const char *list, const char *etag)
{
    size_t size = strlen(etag);
    while (*list) {
        list += strspn(list, " \t,");
        if (*list == '*')
            return true;
        if (strncmp(list, "W/", 2) == 0)
            list += 2;
        if (strncmp(list, etag, size) == 0)
            return true;
        list += strcspn(list, ",");
    }
    return false;
}
