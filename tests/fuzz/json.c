/* What programs send: read, written and read again it is the same, and so when it is read as YAML. */
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/document.h"
#include "tests/fuzz/fuzz.h"

/* YAML takes U+2028 and U+2029 for line breaks, and has no key of more than 1024 characters. */
static bool yaml_differs(const char *text)
{
    return strstr(text, "\xe2\x80\xa8") || strstr(text, "\xe2\x80\xa9");
}

static void yaml_agrees(const struct document *document)
{
    CLEANUP(document_auto) struct document *yaml = NULL;
    char *text = json_dumps(document_json(document), JSON_COMPACT | JSON_REAL_PRECISION(17));
    HOLDS(text);
    if (document_parse(span_text(text), "x", &yaml, fuzz_fault()) == OK)
        HOLDS(yaml_differs(text) || json_equal(document_json(document), document_json(yaml)));
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct document *document;
    struct fault *f = fuzz_fault();
    fuzz_fresh(&document, sizeof document);
    if (!fuzz_kept(document_parse_json(span(data, size), &document, f), f, &document, sizeof document))
        return 0;
    document_walk(document);
    document_again(document);
    yaml_agrees(document);
    document_free(document);
    return 0;
}

void fuzz_seeds(void)
{
    fuzz_seed_text(
        "{\"profile\":\"etcd-member\",\"node\":\"etcdone\",\"csr\":\"-----BEGIN\\n\",\"lifetime_seconds\":60,"
        "\"dry_run\":true}");
    fuzz_seed_text(
        "{\"a\":[1,-2,3.5,1e5,null,true,false,\"\\u00e9\\ud83d\\ude00\\\"\\\\\\/\\b\\f\\n\\r\\t\"],\"b/~c\":{}}");
    fuzz_seed_text("[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]");
    fuzz_seed_text("{\"a\":1,\"a\":2}");
    fuzz_seed_text("[9223372036854775807,-9223372036854775808,1e308]");
}
