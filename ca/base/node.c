/* node.c: reading a document, collecting every wrong place. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ca/base/document_place.h"
#include "ca/base/encode.h"

struct node document_root(const struct document *document, struct fault *f)
{
    return (struct node){.document = document, .f = f, .value = document->root};
}

struct node node_get(const struct node *object, const char *key)
{
    return (struct node){.document = object->document,
                         .f = object->f,
                         .value = json_object_get(object->value, key),
                         .parent = object,
                         .key = key};
}

struct node node_at(const struct node *array, size_t index)
{
    return (struct node){.document = array->document,
                         .f = array->f,
                         .value = json_array_get(array->value, index),
                         .parent = array,
                         .index = index};
}

bool node_present(const struct node *node)
{
    return node->value != NULL;
}

/* ---- errors ---- */

static void node_pointer(const struct node *node, struct bytes *out)
{
    if (!node->parent)
        return;
    node_pointer(node->parent, out);
    if (node->key)
        pointer_append(out, node->key);
    else
        bytes_appendf(out, "/%zu", node->index);
}

/* file:line:column of a YAML document, the pointer of a JSON text. An absent node is looked for at its parent. */
static void node_where(const struct node *node, bool at_key, char *ret_text, size_t size)
{
    const struct node *there = node->value || !node->parent || !node->document->places_count ? node : node->parent;
    AUTO(bytes) pointer = {0};
    node_pointer(there, &pointer);
    const struct place *place = document_place(node->document, bytes_text(&pointer));
    if (place)
        snprintf(ret_text, size, "%s:%zu:%zu", node->document->name, at_key ? place->key_line : place->line,
                 at_key ? place->key_column : place->column);
    else
        snprintf(ret_text, size, "%s", bytes_text(&pointer));
    text_clean(ret_text); /* a name that was cut within a letter is no UTF-8 */
}

void node_place(const struct node *node, char ret_text[PLACE_TEXT_SIZE])
{
    node_where(node, false, ret_text, PLACE_TEXT_SIZE);
}

void node_error(const struct node *node, const char *format, ...)
{
    char where[PLACE_TEXT_SIZE], text[320];
    node_place(node, where);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fault_reason(node->f, where, "%s", text);
}

static size_t smallest(size_t a, size_t b, size_t c)
{
    size_t least = a < b ? a : b;
    return least < c ? least : c;
}

/* Levenshtein's distance of two short words; large for long ones. */
static size_t word_distance(const char *a, const char *b)
{
    enum { WORD_MAX = 40 };
    size_t row[WORD_MAX + 1], a_size = strlen(a), b_size = strlen(b);
    if (a_size > WORD_MAX || b_size > WORD_MAX)
        return WORD_MAX;
    for (size_t j = 0; j <= b_size; j++)
        row[j] = j;
    for (size_t i = 1; i <= a_size; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_size; j++) {
            size_t above = row[j];
            row[j] = smallest(above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
            diagonal = above;
        }
    }
    return row[b_size];
}

const char *word_closest(const char *word, const char *const *words)
{
    const char *closest = NULL;
    size_t least = strlen(word) / 2 + 1;
    for (; *words; words++)
        if (word_distance(word, *words) < least) {
            least = word_distance(word, *words);
            closest = *words;
        }
    return closest;
}

static bool word_known(const char *word, const char *const *words)
{
    while (*words && strcmp(*words, word) != 0)
        words++;
    return *words != NULL;
}

static void node_unknown(const struct node *object, const char *key, const char *const *keys)
{
    char where[PLACE_TEXT_SIZE];
    struct node node = node_get(object, key);
    node_where(&node, true, where, sizeof where);
    const char *closest = word_closest(key, keys);
    if (closest)
        fault_reason(object->f, where, "unknown key \"%s\"; did you mean \"%s\"?", key, closest);
    else
        fault_reason(object->f, where, "unknown key \"%s\"", key);
}

/* Once for an object, however many of its keys are asked for. */
static void object_expected(const struct node *object)
{
    static const char text[] = "expected keys and values (an object)";
    char where[PLACE_TEXT_SIZE];
    node_place(object, where);
    const struct fault *f = object->f;
    for (size_t i = 0; i < f->reasons_count; i++)
        if (strcmp(f->reasons[i].pointer, where) == 0 && strcmp(f->reasons[i].text, text) == 0)
            return;
    fault_reason(object->f, where, "%s", text);
}

void node_allow(const struct node *object, const char *const *keys)
{
    if (!object->value)
        return;
    if (!json_is_object(object->value)) {
        object_expected(object);
        return;
    }
    const char *key;
    json_t *value;
    json_object_foreach(object->value, key, value) if (!word_known(key, keys)) node_unknown(object, key, keys);
}

/* ---- values ---- */

static const char *node_label(const struct node *node)
{
    return node->key ? node->key : "item";
}

/* Whether there is a value to read; an absent one that is required is a reason. */
static bool node_begin(const struct node *node, enum node_presence presence)
{
    if (node->value)
        return true;
    if (presence == NODE_REQUIRED && node->key && node->parent->value && !json_is_object(node->parent->value))
        object_expected(node->parent);
    else if (presence == NODE_REQUIRED)
        node_error(node, "\"%s\" is missing", node_label(node));
    return false;
}

bool node_string(const struct node *node, enum node_presence presence, const char **ret_text)
{
    if (!node_begin(node, presence))
        return false;
    if (!json_is_string(node->value)) {
        node_error(node, "\"%s\" must be a string%s", node_label(node),
                   json_is_number(node->value) ? ": put it in quotes" : "");
        return false;
    }
    *ret_text = json_string_value(node->value);
    return true;
}

bool node_text(const struct node *node, enum node_presence presence, char *ret_text, size_t size)
{
    const char *text = NULL;
    if (!node_string(node, presence, &text))
        return false;
    if (!*text || strlen(text) >= size) {
        node_error(node, "\"%s\" must have 1 to %zu characters", node_label(node), size - 1);
        return false;
    }
    strcpy(ret_text, text);
    return true;
}

bool node_integer(const struct node *node, enum node_presence presence, int64_t min, int64_t max, int64_t *ret_value)
{
    if (!node_begin(node, presence))
        return false;
    json_int_t value = json_integer_value(node->value);
    if (!json_is_integer(node->value) || value < min || value > max) {
        node_error(node, "\"%s\" must be a whole number from %lld to %lld", node_label(node), (long long)min,
                   (long long)max);
        return false;
    }
    *ret_value = value;
    return true;
}

bool node_bool(const struct node *node, enum node_presence presence, bool *ret_value)
{
    if (!node_begin(node, presence))
        return false;
    if (!json_is_boolean(node->value)) {
        node_error(node, "\"%s\" must be true or false", node_label(node));
        return false;
    }
    *ret_value = json_is_true(node->value);
    return true;
}

bool node_duration(const struct node *node, enum node_presence presence, int64_t *ret_seconds)
{
    const char *text = NULL;
    struct fault fault = {0};
    if (!node_string(node, presence, &text))
        return false;
    if (duration_parse(text, ret_seconds, &fault) != OK) {
        node_error(node, "%s", fault.text);
        return false;
    }
    return true;
}

bool node_word(const struct node *node, enum node_presence presence, const char *const *words, size_t *ret_index)
{
    const char *text = NULL;
    if (!node_string(node, presence, &text))
        return false;
    char list[240] = "";
    for (size_t i = 0; words[i]; i++) {
        if (strcmp(words[i], text) == 0) {
            *ret_index = i;
            return true;
        }
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", words[i]);
    }
    if (words[0] && !words[1])
        node_error(node, "\"%s\", where \"%s\" is expected", text, list);
    else
        node_error(node, "\"%s\" is none of: %s", text, list);
    return false;
}

size_t node_count(const struct node *array, enum node_presence presence, size_t max)
{
    if (!node_begin(array, presence))
        return 0;
    if (!json_is_array(array->value)) {
        node_error(array, "\"%s\" must be a list", node_label(array));
        return 0;
    }
    size_t count = json_array_size(array->value);
    if (count > max) {
        node_error(array, "\"%s\" has %zu items, at most %zu", node_label(array), count, max);
        return 0;
    }
    return count;
}
