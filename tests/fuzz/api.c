/* The API: the input is a route and a body, or a route and the rest of its target, sent to a real server as an admin.
 * Each is answered, wholly, and never by an internal error. */
#include <string.h>
#include <unistd.h>

#include "ca/base/encode.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/service.h"
#include "tests/unit/x509/fixture.h"

static const struct {
    const char *method, *target;
    bool body;
} requests[] = {
    {"POST", "/v1/clusters", true},
    {"POST", "/v1/clusters/lab/tokens", true},
    {"POST", "/v1/clusters/lab/certificates", true},
    {"POST", "/v1/identities", true},
    {"GET", "/v1/certificates?", false},
    {"GET", "/v1/audit/entries?", false},
    {"GET", "/v1/certificates/", false},
    {"GET", "/v1/clusters/", false},
    {"DELETE", "/v1/tokens/", false},
};
enum { CLUSTERS, TOKENS, CERTIFICATES, IDENTITIES, LIST, ENTRIES, CERTIFICATE, CLUSTER, TOKEN };

/* What a target cannot hold is escaped; the rest of the input is as it came. */
static void target_append(struct bytes *out, struct span text)
{
    for (size_t i = 0; i < text.size; i++)
        bytes_appendf(out, text.data[i] > ' ' && text.data[i] <= '~' ? "%c" : "%%%02x", text.data[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = span(data, size);
    uint8_t choice = fuzz_choice(&input, ARRAY_SIZE(requests));
    AUTO(bytes) request = {0}, answer = {0};
    bytes_appendf(&request, "%s %s", requests[choice].method, requests[choice].target);
    if (!requests[choice].body)
        target_append(&request, input);
    bytes_append_text(&request, " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n");
    if (requests[choice].body)
        bytes_appendf(&request, "Content-Type: application/json\r\nContent-Length: %zu\r\n", input.size);
    bytes_append_text(&request, "\r\n");
    if (requests[choice].body)
        bytes_append_span(&request, input);
    service_exchange(bytes_span(&request), &answer);
    struct span rest = bytes_span(&answer);
    int status = service_answer_check(&rest, true);
    HOLDS(answer.size > 0);
    HOLDS(status != 0);
    HOLDS(rest.size == 0);
    return 0;
}

/* A body with a real request in it. */
static void request_seed(uint8_t choice, const char *format)
{
    AUTO(bytes) der = {0}, pem = {0}, body = {0}, escaped = {0};
    const struct distinguished_name nobody = {0};
    fuzz_must(request_make(test_key(KEY_ECDSA_P256), &nobody, NULL, &der, fuzz_fault()), fuzz_fault());
    pem_append(&pem, "CERTIFICATE REQUEST", bytes_span(&der));
    for (const char *c = bytes_text(&pem); *c; c++)
        if (*c == '\n')
            bytes_append_text(&escaped, "\\n");
        else
            bytes_append(&escaped, c, 1);
    bytes_append_text(&body, format);
    bytes_append_span(&body, bytes_span(&escaped));
    bytes_append_text(&body, "\"}");
    fuzz_seed_choice(choice, bytes_span(&body));
}

void fuzz_seeds(void)
{
    request_seed(CERTIFICATES,
                 "{\"profile\":\"etcd-member\",\"node\":\"etcdone\",\"dry_run\":true,\"lifetime_seconds\":900,"
                 "\"csr\":\"");
    request_seed(CERTIFICATES, "{\"profile\":\"etcd-member\",\"node\":\"etcdtwo\",\"csr\":\"");
    request_seed(IDENTITIES, "{\"name\":\"alice\",\"role\":\"operator\",\"csr\":\"");
    fuzz_seed_choice(TOKENS, span_text("{\"id\":\"000102030405060708090a0b0c0d0e0f\",\"secret_sha256\":\""
                                       "000102030405060708090a0b0c0d0e0f000102030405060708090a0b0c0d0e0f\","
                                       "\"node\":\"etcdone\",\"ttl_seconds\":600}"));
    fuzz_seed_choice(
        CLUSTERS,
        span_text("{\"cluster\":{\"apiVersion\":\"ensign/v1\",\"kind\":\"Cluster\",\"name\":\"a\","
                  "\"kubernetesVersion\":\"1.31\",\"etcd\":{\"topology\":\"external\"},\"nodes\":[{\"name\":\"a\","
                  "\"roles\":[\"etcd\"]},{\"name\":\"b\",\"hostnames\":[\"a\"],\"roles\":[\"control-plane\"]}]}}"));
    fuzz_seed_choice(LIST,
                     span_text("cluster=lab&node=etcdone&profile=etcd-member&state=valid&expiring_within=9h&limit=2"));
    fuzz_seed_choice(LIST, span_text("cursor=AAAA&limit=0"));
    fuzz_seed_choice(ENTRIES, span_text("from=0&limit=10"));
    fuzz_seed_choice(CERTIFICATE, span_text("0cf550be29b1c157b379fe6b2bde77ef2032465e"));
    fuzz_seed_choice(CLUSTER, span_text("lab/authorities"));
    fuzz_seed_choice(CLUSTER, span_text("lab/tokens"));
    fuzz_seed_choice(CLUSTER, span_text("lab?nodes=false"));
    fuzz_seed_choice(TOKEN, span_text("000102030405060708090a0b0c0d0e0f"));
}
