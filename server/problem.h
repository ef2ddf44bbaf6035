/* problem.h: a fault as application/problem+json (RFC 9457):
 *   {"type":"about:blank","title":"Forbidden","status":403,"code":"policy_denied","detail":"…","request_id":"…",
 *    "errors":[{"pointer":"/csr/subjectAltName","detail":"…"}]}
 * A fault of class ERR_BUG, ERR_NOMEM, ERR_CRYPTO or ERR_IO without a code of its own says only that the request id
 * finds the cause in the service's log; the fault's text goes to the log, not to the caller. */
#ifndef ENSIGN_SERVER_PROBLEM_H
#define ENSIGN_SERVER_PROBLEM_H

#include "server/http.h"

struct http_response problem(const struct http_request *request, const struct fault *fault);

#endif
