#include "tests/fuzz/document.h"

#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

enum { DEPTH = 8, ITEMS = 40 };

static void scalars_read(const struct node *node)
{
    static const char *const words[] = {"one", "two", NULL};
    char text[32], place[PLACE_TEXT_SIZE];
    const char *string = NULL;
    int64_t integer = 5;
    bool boolean;
    size_t index = 0;
    HOLDS(!node_text(node, NODE_OPTIONAL, text, sizeof text) || (*text && memchr(text, 0, sizeof text)));
    HOLDS(!node_string(node, NODE_REQUIRED, &string) || strlen(string) == json_string_length(node->value));
    HOLDS(!node_integer(node, NODE_OPTIONAL, -7, 7, &integer) || (integer >= -7 && integer <= 7));
    HOLDS(!node_duration(node, NODE_OPTIONAL, &integer) || integer > 0);
    HOLDS(!node_word(node, NODE_OPTIONAL, words, &index) || index < 2);
    (void)node_bool(node, NODE_OPTIONAL, &boolean);
    node_place(node, place);
    HOLDS(memchr(place, 0, sizeof place));
    fault_clear(node->f);
}

static void node_walk(const struct node *node, size_t depth)
{
    static const char *const keys[] = {"name", "nodes", NULL};
    scalars_read(node);
    if (depth == 0)
        return;
    size_t count = node_count(node, NODE_OPTIONAL, ITEMS);
    for (size_t i = 0; i <= count; i++) { /* one behind the end, too */
        struct node item = node_at(node, i);
        node_walk(&item, i < count ? depth - 1 : 0);
    }
    node_allow(node, keys);
    fault_clear(node->f);
    const char *key;
    json_t *value;
    size_t members = 0;
    json_object_foreach(node->value, key, value)
    {
        struct node member = node_get(node, key);
        HOLDS(member.value == value);
        if (members++ < ITEMS)
            node_walk(&member, depth - 1);
    }
}

void document_walk(const struct document *document)
{
    struct node root = document_root(document, fuzz_fault());
    struct node absent = node_get(&root, "no such key");
    node_walk(&root, DEPTH);
    scalars_read(&absent);
}

void document_again(const struct document *document)
{
    CLEANUP(document_auto) struct document *again = NULL;
    struct fault *f = fuzz_fault();
    char *text = json_dumps(document_json(document), JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(17));
    HOLDS(text);
    if (*text == '{' || *text == '[') { /* a JSON text that programs send is an object or a list */
        fuzz_must(document_parse_json(span_text(text), &again, f), f);
        HOLDS(json_equal(document_json(document), document_json(again)));
    }
    free(text);
}
