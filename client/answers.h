/* answers.h: the last answers of the service that have an ETag, in memory: what is asked for again is sent again only
 * when it is another one (If-None-Match, RFC 9110 §13.1.2). They are of one service and one caller. {0} is empty. */
#ifndef ENSIGN_CLIENT_ANSWERS_H
#define ENSIGN_CLIENT_ANSWERS_H

#include "ca/base/span.h"

/* A node asks for its cluster, the bundles of its CAs and the service's, and a CRL. */
enum { ANSWERS_MAX = 8, ETAG_TEXT_MAX = 127, MEDIA_TYPE_TEXT_MAX = 63 };

struct answer_kept {
    struct bytes path, body;
    char etag[ETAG_TEXT_MAX + 1];
    char content_type[MEDIA_TYPE_TEXT_MAX + 1];
};

struct answers {
    struct answer_kept items[ANSWERS_MAX];
    size_t count;
};
void answers_cleanup(struct answers *answers);

/* NULL: none is kept. answers may be NULL. Borrowed until the next answers_keep(). */
const struct answer_kept *answers_find(const struct answers *answers, const char *path);

/* In the place of the one before. Without an ETag, without room or without memory nothing is kept of this path; answers
 * may be NULL. */
void answers_keep(struct answers *answers, const char *path, const char *etag, const char *content_type,
                  struct span body);

#endif
