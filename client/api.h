/* api.h: requests to the service. The connection is checked against the context's pin before anything is sent; a token
 * or a certificate says who asks. A service that is not ready (connection refused, 429, 503) is asked again, later each
 * time, until the timeout is over.
 *
 * An error that the service answers (RFC 9457) becomes a fault with its code, detail, reasons and request id.
 *   CODE_UNREACHABLE  no connection, or none in time
 *   CODE_UNTRUSTED    another service answers, or the answer is not what the API promises */
#ifndef ENSIGN_CLIENT_API_H
#define ENSIGN_CLIENT_API_H

#include <signal.h>

#include "client/answers.h"
#include "client/context.h"

struct api;

/* The context is borrowed and must outlive the api. */
MUST_USE enum err api_open(const struct context *context, int64_t timeout_seconds, struct api **ret_api,
                           struct fault *f);
void api_auto(struct api **api); /* for CLEANUP() */

/* A request that waits is given up within a second (CODE_UNREACHABLE) once *stop is not 0. */
void api_stop_at(struct api *api, const volatile sig_atomic_t *stop);

/* From now on what is got is kept there, and not sent again while it is the same. Borrowed; must outlive the api. */
void api_remember(struct api *api, struct answers *answers);

/* path begins with "/v1"; its parts are escaped already (percent_append). body NULL: none. */
MUST_USE enum err api_json(struct api *api, const char *method, const char *path, const json_t *body,
                           struct document **ret_answer, struct fault *f);
/* POST of a body that asks for one thing and no other (it has a request with its signature, say): sent again within a
 * day, by another run, too, it gets the answer that it got, and nothing is made twice. */
MUST_USE enum err api_json_once(struct api *api, const char *path, const json_t *body, struct document **ret_answer,
                                struct fault *f);
/* GET of what others change, too: *ret_tag is the ETag that says what it was like (RFC 9110 section 8.8.3). */
MUST_USE enum err api_json_tagged(struct api *api, const char *path, struct document **ret_answer,
                                  struct bytes *ret_tag, struct fault *f);
/* PUT in the place of what this tag says, and of nothing newer: ERR_CONFLICT (If-Match, section 13.1.1). */
MUST_USE enum err api_json_match(struct api *api, const char *path, const char *tag, const json_t *body,
                                 struct document **ret_answer, struct fault *f);
MUST_USE enum err api_text(struct api *api, const char *path, struct bytes *ret_answer, struct fault *f);
MUST_USE enum err api_delete(struct api *api, const char *path, struct fault *f);

/* Whether the service refuses the very key that a request is for, so that it may get a certificate for another one. */
bool api_key_refused(const struct fault *f);

/* A member that is bytes in base64url. Wrong, or absent: a reason. */
void answer_bytes(const struct node *object, const char *key, struct bytes *ret_data);
/* What the reader of an answer returns at its end: CODE_UNTRUSTED when places in it were wrong. */
MUST_USE enum err answer_finish(const char *what, struct fault *f);

#endif
