/* words.h: reading lists of words in documents as bits. */
#ifndef ENSIGN_POLICIES_WORDS_H
#define ENSIGN_POLICIES_WORDS_H

#include "ca/base/document.h"

extern const char *const key_words[]; /* of enum key_algorithm, from KEY_ECDSA_P256 on; NULL-terminated */

/* Each item must be one of the NULL-terminated words and stand once; bit i of the result is word i. */
unsigned words_read(const struct node *list, enum node_presence presence, const char *const *words);

/* apiVersion: ensign/v1 and kind. */
void document_kind(const struct node *root, const char *kind);

#endif
