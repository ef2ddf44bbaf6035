/* What people write: as JSON it is read the same; a place is known for every node. */
#include <string.h>

#include "tests/fuzz/document.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct document *document;
    struct fault *f = fuzz_fault();
    fuzz_fresh(&document, sizeof document);
    if (!fuzz_kept(document_parse(span(data, size), "file.yaml", &document, f), f, &document, sizeof document))
        return 0;
    char place[PLACE_TEXT_SIZE];
    struct node root = document_root(document, f);
    node_place(&root, place);
    HOLDS(strncmp(place, "file.yaml:", 10) == 0);
    document_walk(document);
    document_again(document);
    document_free(document);
    return 0;
}

void fuzz_seeds(void)
{
    fuzz_seed_text(
        "apiVersion: ensign/v1\nkind: Cluster # comment\nnodes:\n  - {name: a, addresses: [10.0.0.1, '::1']}\n"
        "  - name: \"b\\n\\u00e9\"\n    text: |\n      two\n      lines\n    fold: >-\n      a\n      b\n");
    fuzz_seed_text("[~, null, true, False, 0x1F, 0o17, -12, +3, 1.5, .inf, 1e3, no, '1.20', 1.20]");
    fuzz_seed_text("a: &x 1\nb: *x\n");
    fuzz_seed_text("? a\n: b\n? [c]\n: d\n");
    fuzz_seed_text("--- !!str a\n...\n---\nb\n");
    fuzz_seed_text("%YAML 1.1\n---\n{a: 1, a: 2}\n");
}
