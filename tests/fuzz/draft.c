/* A TBSCertificate that is read is one that draft_build() makes: the same bytes again. */
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/x509.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct draft draft;
    struct fault *f = fuzz_fault();
    fuzz_fresh(&draft, sizeof draft);
    if (!fuzz_kept(draft_parse(span(data, size), &draft, f), f, &draft, sizeof draft))
        return 0;
    char subject[64];
    distinguished_name_text(&draft.content.subject, subject, sizeof subject);
    HOLDS(memchr(subject, 0, sizeof subject));
    draft_rebuild(&draft, span(data, size));
    draft_cleanup(&draft);
    return 0;
}

void fuzz_seeds(void)
{
    drafts_each(fuzz_seed);
}
