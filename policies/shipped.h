/* shipped.h: the documents of policies/profiles/, which embed.py makes part of the program. */
#ifndef ENSIGN_POLICIES_SHIPPED_H
#define ENSIGN_POLICIES_SHIPPED_H

struct shipped_document {
    const char *name; /* of the file; NULL ends the table */
    const char *text;
};

extern const struct shipped_document shipped_profiles[];

#endif
