/* HTTP as it comes from the network: the input is sent as it is to a real server. Whatever it was, the answers are
 * whole, in HTTP, and no internal error. */
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/service.h"

enum { INPUT_MAX = 8192 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(bytes) answer = {0};
    if (size > INPUT_MAX)
        return 0;
    service_exchange(span(data, size), &answer);
    struct span rest = bytes_span(&answer);
    bool first_has_body = size < 4 || memcmp(data, "HEAD", 4) != 0;
    service_answer_check(&rest, first_has_body);
    return 0;
}

void fuzz_seeds(void)
{
    fuzz_seed_text("GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n");
    fuzz_seed_text("HEAD /readyz?verbose HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    fuzz_seed_text(
        "GET /v1/clusters/lab/authorities/etcd-ca/bundle HTTP/1.1\r\nHost: a\r\nIf-None-Match: \"x\", *\r\n\r\n");
    fuzz_seed_text("GET /v1/certificates?cluster=lab&state=valid&limit=1 HTTP/1.1\r\nHost: a\r\n\r\n"
                   "GET /v1/whoami HTTP/1.0\r\n\r\n");
    fuzz_seed_text("POST /v1/clusters/lab/tokens HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
                   "Content-Length: 2\r\n\r\n{}");
    fuzz_seed_text("POST /v1/identities HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
                   "Transfer-Encoding: chunked\r\nX-Request-Id: abc\r\n\r\n2\r\n{}\r\n0\r\n\r\n");
    fuzz_seed_text("POST /v1/clusters HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 9999999\r\n\r\n");
    fuzz_seed_text("DELETE /v1/tokens/00 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ensign1.x\r\n\r\n");
    fuzz_seed_text("GET /%2e%2e/x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
    fuzz_seed_text("GET http://a/ HTTP/3\r\n\n");
}
