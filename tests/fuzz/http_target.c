/* Request targets: what is read, escaped again, is read as the same segments and the same query; and the route that it
 * is sent to. The input is a method, a blank and the target. */
#include "server/http_target.h"

#include <ctype.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

static const struct route test_routes[] = {
    {"GET", "/livez", 0, 0, NULL},
    {"GET", "/v1/clusters/{cluster}", 0, 0, NULL},
    {"POST", "/v1/clusters/{cluster}/certificates", 0, 0, NULL},
    {"DELETE", "/v1/tokens/{id}", 0, 0, NULL},
    {"GET", "/v1/clusters/{cluster}/authorities/{authority}/bundle", 0, 0, NULL},
    {0},
};

static void escape(struct bytes *out, const char *text)
{
    for (; *text; text++)
        bytes_appendf(out, isalnum((unsigned char)*text) || strchr("-._~/", *text) ? "%c" : "%%%02X",
                      (unsigned char)*text);
}

static void target_write(const struct target *target, struct bytes *out)
{
    for (size_t i = 0; i < target->segments_count; i++) {
        bytes_append_text(out, "/");
        escape(out, target->segments[i]);
    }
    for (size_t i = 0; i < target->query_count; i++) {
        bytes_append_text(out, i ? "&" : "?");
        escape(out, target->query[i].name);
        bytes_append_text(out, "=");
        escape(out, target->query[i].value);
    }
}

static void again_hold(const struct target *target)
{
    static struct target again;
    AUTO(bytes) text = {0};
    target_write(target, &text);
    if (text.size >= TARGET_SIZE_MAX)
        return;
    target_take(&again, bytes_text(&text));
    fuzz_must(target_parse(&again, fuzz_fault()), fuzz_fault());
    HOLDS(again.segments_count == target->segments_count && again.query_count == target->query_count);
    for (size_t i = 0; i < target->segments_count; i++)
        HOLDS(strcmp(again.segments[i], target->segments[i]) == 0);
    for (size_t i = 0; i < target->query_count; i++) {
        HOLDS(strcmp(again.query[i].name, target->query[i].name) == 0);
        HOLDS(strcmp(target_query(&again, again.query[i].name), target->query[i].value) == 0);
    }
}

static void segments_hold(const struct target *target)
{
    HOLDS(target->segments_count >= 1 && target->segments_count <= SEGMENTS_MAX && target->query_count <= QUERY_MAX);
    for (size_t i = 0; i < target->segments_count; i++) {
        const char *segment = target->segments[i];
        HOLDS(segment >= target->decoded && segment < target->decoded + sizeof target->decoded);
        HOLDS(strcmp(segment, ".") != 0 && strcmp(segment, "..") != 0 && !strchr(segment, '/'));
        HOLDS(*segment || i + 1 == target->segments_count);
        for (const char *c = segment; *c; c++)
            HOLDS(*c >= ' ' && *c <= '~');
    }
}

static void route_hold(const char *method, const struct target *target)
{
    const struct route *route = NULL;
    const char *parameters[HTTP_PARAMETERS_MAX] = {0};
    char allow[ALLOW_TEXT_SIZE] = "";
    struct fault *f = fuzz_fault();
    if (!fuzz_kept(route_find(test_routes, method, target, &route, parameters, allow, f), f, NULL, 0)) {
        HOLDS(!route && (f->code == CODE_METHOD_NOT_ALLOWED) == (*allow != '\0'));
        return;
    }
    size_t count = 0;
    for (const char *c = route->pattern; *c; c++)
        count += *c == '{';
    for (size_t i = 0; i < HTTP_PARAMETERS_MAX; i++)
        HOLDS(i < count ? parameters[i] && *parameters[i] : !parameters[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct target target;
    AUTO(bytes) text = {0};
    fuzz_must(bytes_copy(span(data, size), &text, fuzz_fault()), fuzz_fault());
    char *path = text.size ? strchr((char *)text.data, ' ') : NULL;
    if (!path)
        return 0;
    *path++ = '\0';
    struct fault *f = fuzz_fault();
    target_take(&target, path);
    enum err err = target_parse(&target, f);
    HOLDS(memchr(target.path, 0, sizeof target.path) && !strchr(target.path, '?'));
    if (!fuzz_kept(err, f, NULL, 0))
        return 0;
    segments_hold(&target);
    again_hold(&target);
    route_hold(bytes_text(&text), &target);
    return 0;
}

void fuzz_seeds(void)
{
    fuzz_seed_text("GET /v1/clusters/lab/authorities/etcd-ca/bundle");
    fuzz_seed_text("POST /v1/clusters/a%20b/certificates?x=1&y=%26+z&flag");
    fuzz_seed_text("HEAD /livez/");
    fuzz_seed_text("PUT /v1/tokens/0123");
    fuzz_seed_text("GET /a/../b/%2e%2e/%00//?a=1&a=2");
    fuzz_seed_text("GET /1/2/3/4/5/6/7/8/9/0/1/2/3/4/5/6/7?1&2&3&4&5&6&7&8&9&10&11&12&13&14&15&16&17");
    fuzz_seed_text("OPTIONS *");
}
