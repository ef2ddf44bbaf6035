/* output.h: results on standard output, in the form that -o asks for; messages on standard error. */
#ifndef ENSIGN_CLIENT_OUTPUT_H
#define ENSIGN_CLIENT_OUTPUT_H

#include <jansson.h>

#include "ca/base/span.h"

enum output_format { OUTPUT_TABLE, OUTPUT_WIDE, OUTPUT_JSON, OUTPUT_YAML, OUTPUT_NAME };

extern const char *const output_format_words[]; /* of enum output_format; NULL-terminated */

/* NULL: a table. */
MUST_USE enum err output_format_read(const char *text, enum output_format *ret_format, struct fault *f);

struct column {
    const char *title;
    const char *member; /* of the object; an array is joined with commas, its objects are shown by name or profile;
                           "a.b" is a member of a member */
    bool wide;          /* only with -o wide */
};

/* What is printed and how. The first column is the one of -o name. */
struct output {
    enum output_format format;
    const struct column *columns;
    size_t columns_count;
};

/* `list` is {"items":[…],…}: one line per item, or the list as it is. */
MUST_USE enum err output_list(const struct output *output, const json_t *list, struct fault *f);
/* One object: a line per column, or the object as it is. */
MUST_USE enum err output_object(const struct output *output, const json_t *object, struct fault *f);
/* Data that is text already. */
MUST_USE enum err output_text(struct span text, struct fault *f);

/* ERR_IO when standard output did not take what was printed. */
MUST_USE enum err output_finish(struct fault *f);

/* Printing failed, see errno. */
MUST_USE enum err output_failed(struct fault *f);

/* One line on standard error. */
void message(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The fault, and each of its reasons on a line of its own. */
void message_fault(const struct fault *f);

#endif
