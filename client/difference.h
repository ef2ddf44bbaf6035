/* difference.h: a certificate that was issued, held against what one that is issued now would hold: after an update of
 * the cluster file it may have names that are gone, and lack others. Usages and times are the profile's, and are not
 * compared.  Threads: pure. */
#ifndef ENSIGN_CLIENT_DIFFERENCE_H
#define ENSIGN_CLIENT_DIFFERENCE_H

#include <jansson.h>
#include <stdbool.h>

/* expected  the member "certificate" of the catalogue
 * issued    an item of the list of certificates; of both NULL is like anything */
bool content_differs(const json_t *expected, const json_t *issued);

/* A new list of texts: "lacks 192.0.2.7", "has 192.0.2.6", "subject is CN=a"; NULL when memory runs out. */
json_t *content_differences(const json_t *expected, const json_t *issued);

#endif
