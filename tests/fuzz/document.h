/* document.h: what the harnesses of documents share. */
#ifndef ENSIGN_TESTS_FUZZ_DOCUMENT_H
#define ENSIGN_TESTS_FUZZ_DOCUMENT_H

#include "ca/base/document.h"

/* Reads every node of the document as every type, as far as 8 levels: each says where it stands and what is wrong. */
void document_walk(const struct document *document);

/* The document, written as JSON, is read as the same JSON. */
void document_again(const struct document *document);

#endif
