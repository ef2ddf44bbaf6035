#include "hsm/lint.h"

#include "ca/x509/crl.h"

enum err lint_draft(const struct grant *grant, struct span draft, struct fault *f)
{
    AUTO(draft) parsed = {0};
    TRY(draft_parse(draft, &parsed, f));
    return grant_check(grant, &parsed, f);
}

enum err lint_crl(const struct grant *grant, struct span draft, struct fault *f)
{
    AUTO(crl) parsed = {0};
    TRY(crl_parse(draft, &parsed, f));
    return grant_check_crl(grant, &parsed, f);
}
