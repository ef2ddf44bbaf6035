/* suite.h: what the suites of ca/base and policies share. */
#ifndef ENSIGN_TESTS_UNIT_BASE_SUITE_H
#define ENSIGN_TESTS_UNIT_BASE_SUITE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "ca/base/span.h"

/* The fault as one line, for messages and for looking for words. */
static inline const char *line_of(const struct fault *f)
{
    static char line[16384];
    fault_line(f, line, sizeof line);
    return line;
}

static inline void assert_ok(enum err err, const struct fault *f)
{
    if (err != OK)
        fail_msg("%s", line_of(f));
}

static inline void assert_says(const struct fault *f, const char *words)
{
    if (!strstr(line_of(f), words))
        fail_msg("expected \"%s\" in: %s", words, line_of(f));
}

#endif
