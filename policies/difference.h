/* difference.h: what of a certificate that exists is not as it would be issued today.  Threads: pure. */
#ifndef ENSIGN_POLICIES_DIFFERENCE_H
#define ENSIGN_POLICIES_DIFFERENCE_H

#include "ca/x509/certificate.h"
#include "policies/catalogue.h"

/* In the order in which they are looked for. */
enum difference {
    DIFFERENCE_NONE,
    DIFFERENCE_NAMES,   /* subject, subjectAltName, usages: inventory or profile give others */
    DIFFERENCE_ISSUER,  /* another key of a CA than the one that issues now */
    DIFFERENCE_PROFILE, /* a kind of key that the profile does not take, or a longer life than it gives */
};
extern const char *const difference_words[]; /* of enum difference: NULL for none, "names", "issuer", "profile" */

enum { DIFFERENCE_TEXT_SIZE = 256 };

/* item        of the catalogue, with a profile: what its node gets today
 * issuer_key  the key identifier of the CA that issues it today
 * ret_detail  which one, for people; empty when there is none */
enum difference difference_find(const struct certificate *certificate, const struct catalogue_item *item,
                                const uint8_t issuer_key[KEY_IDENTIFIER_SIZE], char ret_detail[DIFFERENCE_TEXT_SIZE]);

#endif
