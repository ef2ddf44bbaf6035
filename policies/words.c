#include "policies/words.h"

#include <string.h>

const char *const key_words[] = {"ecdsa-p256", "ecdsa-p384", "rsa-2048", "rsa-3072", "rsa-4096", NULL};

unsigned words_read(const struct node *list, enum node_presence presence, const char *const *words)
{
    unsigned bits = 0;
    size_t count = node_count(list, presence, 32);
    for (size_t i = 0; i < count; i++) {
        struct node item = node_at(list, i);
        size_t word;
        if (!node_word(&item, NODE_REQUIRED, words, &word))
            continue;
        if (bits & 1u << word)
            node_error(&item, "\"%s\" stands here twice", words[word]);
        bits |= 1u << word;
    }
    return bits;
}

void document_kind(const struct node *root, const char *kind)
{
    struct node version = node_get(root, "apiVersion");
    struct node found = node_get(root, "kind");
    const char *const versions[] = {"ensign/v1", NULL};
    const char *const kinds[] = {kind, NULL};
    size_t index;
    node_word(&version, NODE_REQUIRED, versions, &index);
    node_word(&found, NODE_REQUIRED, kinds, &index);
}
