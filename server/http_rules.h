/* http_rules.h: what a request must be before a handler sees it: RFC 9110 and 9112, and stricter where readers of HTTP
 * are known to disagree (request smuggling). */
#ifndef ENSIGN_SERVER_HTTP_RULES_H
#define ENSIGN_SERVER_HTTP_RULES_H

#include "server/http.h"

enum single_header { /* of which a second one would let two readers see two different requests */
                     SINGLE_HOST,
                     SINGLE_CONTENT_LENGTH,
                     SINGLE_TRANSFER_ENCODING,
                     SINGLE_CONTENT_TYPE,
                     SINGLE_AUTHORIZATION,
                     SINGLE_IDEMPOTENCY_KEY,
                     SINGLE_COUNT
};

/* How a request is framed. {0}, then framing_header() for each header, then framing_check(). */
struct framing {
    bool malformed;
    unsigned count[SINGLE_COUNT];
    const char *value[SINGLE_COUNT]; /* borrowed */
    uint64_t length;
    bool chunked;
};
void framing_header(struct framing *framing, struct span name, struct span value); /* both with a NUL behind */

/* ERR_INPUT (CODE_MALFORMED): after this nothing that follows on the connection can be trusted. */
MUST_USE enum err framing_check(struct framing *framing, const char *version, struct fault *f);

/* Whether the route takes this body: CODE_TOO_LARGE, CODE_UNSUPPORTED_TYPE. */
MUST_USE enum err body_check(const struct framing *framing, const struct route *route, struct fault *f);
MUST_USE enum err body_too_large(const struct route *route, struct fault *f);

/* Whether the caller that authentication found may use the route: CODE_UNAUTHENTICATED, CODE_FORBIDDEN. */
MUST_USE enum err may_check(const struct http_request *request, struct fault *f);

/* The caller's own id when it is sane, else a new one. given may be NULL. */
void request_id(const char *given, char ret_id[REQUEST_ID_TEXT_SIZE]);

#endif
