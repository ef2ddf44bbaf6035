/* http_target.h: the request target (RFC 9112 §3.2.1), read strictly, and the route that it belongs to. Pure. */
#ifndef ENSIGN_SERVER_HTTP_TARGET_H
#define ENSIGN_SERVER_HTTP_TARGET_H

#include "server/http.h"

enum { TARGET_SIZE_MAX = 2048, SEGMENTS_MAX = 16, QUERY_MAX = 16, ALLOW_TEXT_SIZE = 64 };

struct target {
    char path[TARGET_SIZE_MAX]; /* as it came; once parsed without the query, which may hold what no log should */
    bool too_long;
    char decoded[TARGET_SIZE_MAX]; /* the segments, names and values below */
    const char *segments[SEGMENTS_MAX];
    size_t segments_count;
    struct {
        const char *name, *value;
    } query[QUERY_MAX];
    size_t query_count;
};

/* Keeps the text until it is parsed. */
void target_take(struct target *target, const char *text);
/* ERR_INPUT (CODE_MALFORMED): not an absolute path; broken escapes; control characters, non-ASCII or "/" behind an
 * escape; segments "", "." and ".." (an empty last one is no route); a query parameter twice; too long. */
MUST_USE enum err target_parse(struct target *target, struct fault *f);
const char *target_query(const struct target *target, const char *name); /* NULL when absent */

/* The route, and the values of its {…} (borrowed from target).
 * CODE_NOT_FOUND; CODE_METHOD_NOT_ALLOWED with the methods of the header Allow in ret_allow. */
MUST_USE enum err route_find(const struct route *routes, const char *method, const struct target *target,
                             const struct route **ret_route, const char *ret_parameters[HTTP_PARAMETERS_MAX],
                             char ret_allow[ALLOW_TEXT_SIZE], struct fault *f);

/* If-None-Match (RFC 9110 §13.1.2): "*" or a list that has this tag; weak ones match too. */
bool etag_listed(const char *list, const char *etag);

#endif
