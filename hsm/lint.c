#include "hsm/lint.h"

enum err lint_draft(const struct grant *grant, struct span draft, struct fault *f)
{
    AUTO(draft) parsed = {0};
    TRY(draft_parse(draft, &parsed, f));
    return grant_check(grant, &parsed, f);
}
