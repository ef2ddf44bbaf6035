/* suite.h: what the suites of policies share. */
#ifndef ENSIGN_TESTS_UNIT_POLICIES_SUITE_H
#define ENSIGN_TESTS_UNIT_POLICIES_SUITE_H

#include <stdio.h>
#include <stdlib.h>

#include "policies/decide.h"
#include "tests/unit/base/suite.h"

/* Whether one of the reasons stands there and says that. */
static inline void assert_reason(const struct fault *f, const char *pointer, const char *words)
{
    for (size_t i = 0; i < f->reasons_count; i++)
        if (strcmp(f->reasons[i].pointer, pointer) == 0 && strstr(f->reasons[i].text, words))
            return;
    fail_msg("expected \"%s: %s\" in: %s", pointer, words, line_of(f));
}

/* The text with its one occurrence of `from` replaced; "" appends at the end. */
static inline void text_edit(const char *text, const char *from, const char *to, char *ret_text, size_t size)
{
    const char *at = from[0] ? strstr(text, from) : text + strlen(text);
    if (!at)
        fail_msg("no \"%s\" to replace", from);
    snprintf(ret_text, size, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
}

#endif
