/* yaml_text.h: JSON values as YAML 1.2, for people; members in the order in which they were added.  Threads: pure. */
#ifndef ENSIGN_CLIENT_YAML_TEXT_H
#define ENSIGN_CLIENT_YAML_TEXT_H

#include <jansson.h>

#include "ca/base/span.h"

enum yaml_style {
    YAML_QUOTED, /* every text is in quotes, or a literal block where it has several lines */
    YAML_PLAIN,  /* words that no version of YAML takes for a number or a truth value have none: for files to read */
};

/* Appends one document. ERR_NOMEM; out may have a part of it then. */
MUST_USE enum err yaml_append(struct bytes *out, const json_t *value, enum yaml_style style, struct fault *f);

#endif
