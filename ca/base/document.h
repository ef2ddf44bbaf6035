/* document.h: what people write (YAML 1.2 core, of which JSON is a part) and what programs send (JSON).
 *
 * A document is one jansson tree. document_parse() also knows where each node stands, so that an error names
 * file:line:column; document_parse_json() does not, and an error names the JSON pointer (RFC 6901).
 *
 * Refused: duplicate keys, anchors, aliases, tags, several documents, control characters, NUL in strings, nesting
 * deeper than 16, more than 1 MiB (JSON, in which lists come in pages: 16 MiB), and (JSON) anything behind the value.
 * YAML scalars follow the core schema of YAML 1.2 (§10.3.2): "no", "on" and "1.20" in quotes are strings; plain 1.20 is
 * a number and so not a string.
 *
 * Reading collects: every wrong place is added to the fault as a reason, and the reader asks once, at its end
 * (fault_if_reasons). A struct node is a place in the tree; absent places are nodes too (value NULL).
 * Optional reads leave the caller's default alone when the place is absent.
 *
 *     struct node root = document_root(document, f);
 *     static const char *const keys[] = {"name", "nodes", NULL};
 *     node_allow(&root, keys);
 *     struct node name = node_get(&root, "name");
 *     node_text(&name, NODE_REQUIRED, cluster->name, sizeof cluster->name);
 *     return fault_if_reasons(f, CODE_INVALID, "%s is not a valid cluster file", document_name(document));
 */
#ifndef ENSIGN_CA_BASE_DOCUMENT_H
#define ENSIGN_CA_BASE_DOCUMENT_H

#include <jansson.h>

#include "ca/base/span.h"

enum { DOCUMENT_DEPTH_MAX = 16, DOCUMENT_SIZE_MAX = 1 << 20, DOCUMENT_JSON_SIZE_MAX = 16 << 20 };

struct document;
struct node;

/* name  how errors call it ("cluster.yaml"); copied */
MUST_USE enum err document_parse(struct span text, const char *name, struct document **ret_document, struct fault *f);
MUST_USE enum err document_load(const char *path, struct document **ret_document, struct fault *f);
MUST_USE enum err document_parse_json(struct span text, struct document **ret_document, struct fault *f);
/* What stands at this place, which is present, as a document of its own; they share the tree. */
MUST_USE enum err document_of_node(const struct node *node, struct document **ret_document, struct fault *f);
json_t *document_json(const struct document *document); /* borrowed */
const char *document_name(const struct document *document);
void document_free(struct document *document);
void document_auto(struct document **document); /* for CLEANUP() */

struct node {
    const struct document *document;
    struct fault *f;
    json_t *value;             /* borrowed; NULL when absent */
    const struct node *parent; /* NULL at the root; must outlive this node */
    const char *key;           /* in an object, else NULL */
    size_t index;              /* in an array */
};

enum node_presence { NODE_OPTIONAL, NODE_REQUIRED };

struct node document_root(const struct document *document, struct fault *f);
struct node node_get(const struct node *object, const char *key); /* absent when object is absent or no object */
struct node node_at(const struct node *array, size_t index);
bool node_present(const struct node *node);

/* The word of the NULL-terminated list that is closest in spelling; NULL when none is close. */
const char *word_closest(const char *word, const char *const *words);

/* Where the node stands: "file:line:column" of a YAML document, the pointer (RFC 6901) of a JSON text. An absent node
 * of a YAML document stands where its parent does. Cleaned (text_clean). */
enum { PLACE_TEXT_SIZE = 160 };
void node_place(const struct node *node, char ret_text[PLACE_TEXT_SIZE]);

/* Adds a reason at the place of node. */
void node_error(const struct node *node, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Not an object, or a key that is not in the NULL-terminated list: an error each, with the closest known key. */
void node_allow(const struct node *object, const char *const *keys);

/* Each returns true when a value was read. Wrong type, wrong size, or required and absent: a reason, and false. */
bool node_text(const struct node *node, enum node_presence presence, char *ret_text, size_t size);
bool node_string(const struct node *node, enum node_presence presence, const char **ret_text); /* borrowed */
bool node_integer(const struct node *node, enum node_presence presence, int64_t min, int64_t max, int64_t *ret_value);
bool node_bool(const struct node *node, enum node_presence presence, bool *ret_value);
bool node_duration(const struct node *node, enum node_presence presence, int64_t *ret_seconds);

/* The index of the value in the NULL-terminated list of words. */
bool node_word(const struct node *node, enum node_presence presence, const char *const *words, size_t *ret_index);

/* The number of items; 0 when absent. Not an array, or more than max: a reason, and 0. */
size_t node_count(const struct node *array, enum node_presence presence, size_t max);

/* json_loadb() over a whole text. It loses bytes of strings without a word when memory runs out; this does not: NULL,
 * and ret_error (not NULL) has no text. */
json_t *json_load_whole(struct span text, size_t flags, json_error_t *ret_error);

#endif
