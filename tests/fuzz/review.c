/* The webhook's body, which an API server sends: any JSON is read or refused with reasons; what is read is a list of
 * texts. */
#include "server/api.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(document_auto) struct document *document = NULL;
    json_t *credentials, *item;
    size_t index;
    struct fault *f = fuzz_fault();
    if (document_parse_json(span(data, size), &document, f) != OK)
        return 0;
    fuzz_fresh(&credentials, sizeof credentials);
    f = fuzz_fault();
    if (!fuzz_kept(review_read(document, &credentials, f), f, &credentials, sizeof credentials))
        return 0;
    HOLDS(!credentials || json_is_array(credentials));
    HOLDS(json_array_size(credentials) <= REVIEW_CREDENTIALS_MAX);
    json_array_foreach(credentials, index, item) HOLDS(json_is_string(item));
    return 0;
}

#define REVIEW "\"apiVersion\":\"authorization.k8s.io/v1\",\"kind\":\"SubjectAccessReview\""
#define KEY "\"authentication.kubernetes.io/credential-id\""

void fuzz_seeds(void)
{
    fuzz_seed_text("{" REVIEW ",\"spec\":{\"user\":\"jane\",\"extra\":{" KEY ":[\"X509SHA256=00\"]}}}");
    fuzz_seed_text("{" REVIEW ",\"spec\":{\"extra\":null},\"status\":{\"allowed\":false}}");
    fuzz_seed_text("{" REVIEW ",\"spec\":{\"extra\":{" KEY ":{}}}}");
    fuzz_seed_text("{" REVIEW "}");
    fuzz_seed_text("[]");
}
