/* document.c: YAML and JSON texts to one tree. node.c reads the tree. */
#include "ca/base/document.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <yaml.h>

#include "ca/base/document_place.h"

const char *document_name(const struct document *document)
{
    return document->name;
}

json_t *document_json(const struct document *document)
{
    return document->root;
}

void document_free(struct document *document)
{
    if (!document)
        return;
    for (size_t i = 0; i < document->places_count; i++)
        free(document->places[i].pointer);
    free(document->places);
    json_decref(document->root);
    free(document->name);
    free(document);
}

void document_auto(struct document **document)
{
    document_free(*document);
}

static int place_compare(const void *a, const void *b)
{
    return strcmp(((const struct place *)a)->pointer, ((const struct place *)b)->pointer);
}

static int place_match(const void *pointer, const void *place)
{
    return strcmp(pointer, ((const struct place *)place)->pointer);
}

const struct place *document_place(const struct document *document, const char *pointer)
{
    if (document->places_count == 0)
        return NULL;
    return bsearch(pointer, document->places, document->places_count, sizeof *document->places, place_match);
}

/* Strings may hold tab, line feed and carriage return, and no other control character (C0, DEL, C1 in UTF-8). */
static bool text_has_control(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)text[i];
        bool space = c == '\t' || c == '\n' || c == '\r';
        if ((c < 0x20 && !space) || c == 0x7f || (c == 0xc2 && i + 1 < size && (unsigned char)text[i + 1] < 0xa0))
            return true;
    }
    return false;
}

void pointer_append(struct bytes *pointer, const char *key)
{
    bytes_append_text(pointer, "/");
    for (; *key; key++)
        if (*key == '~' || *key == '/')
            bytes_append_text(pointer, *key == '~' ? "~0" : "~1");
        else
            bytes_append(pointer, key, 1);
}

static enum err document_new(const char *name, struct document **ret_document, struct fault *f)
{
    CLEANUP(document_auto) struct document *document = calloc(1, sizeof *document);
    if (!document || !(document->name = strdup(name)))
        return fault_no_memory(f);
    *ret_document = TAKE(document);
    return OK;
}

/* ---- YAML ---- */

struct parse {
    struct document *document;
    yaml_parser_t parser;
    struct bytes pointer; /* of the node being read */
    size_t depth;
    struct fault *f;
};

static void parse_cleanup(struct parse *parse)
{
    yaml_parser_delete(&parse->parser);
    bytes_free(&parse->pointer);
}

static void event_auto(yaml_event_t *event)
{
    yaml_event_delete(event);
}

static void mark_text(const struct parse *parse, const yaml_mark_t *mark, char *ret_text, size_t size)
{
    snprintf(ret_text, size, "%s:%zu:%zu", parse->document->name, mark->line + 1, mark->column + 1);
}

static enum err event_next(struct parse *parse, yaml_event_t *ret_event)
{
    if (yaml_parser_parse(&parse->parser, ret_event))
        return OK;
    char where[160];
    mark_text(parse, &parse->parser.problem_mark, where, sizeof where);
    const char *problem = parse->parser.problem ? parse->parser.problem : "not YAML";
    memset(ret_event, 0, sizeof *ret_event);
    return fault_set(parse->f, CODE_MALFORMED, "%s: %s", where, problem);
}

static enum err event_refuse(struct parse *parse, const yaml_event_t *event, const char *why)
{
    char where[160];
    mark_text(parse, &event->start_mark, where, sizeof where);
    return fault_set(parse->f, CODE_MALFORMED, "%s: %s", where, why);
}

static enum err place_add(struct parse *parse, const yaml_mark_t *key, const yaml_mark_t *value)
{
    struct document *document = parse->document;
    if (document->places_count == document->places_capacity) {
        size_t capacity = document->places_capacity * 2 + 64;
        struct place *places = realloc(document->places, capacity * sizeof *places);
        if (!places)
            return fault_no_memory(parse->f);
        document->places = places;
        document->places_capacity = capacity;
    }
    char *pointer = strdup(bytes_text(&parse->pointer));
    if (!pointer || parse->pointer.failed) {
        free(pointer);
        return fault_no_memory(parse->f);
    }
    document->places[document->places_count++] =
        (struct place){pointer, key->line + 1, key->column + 1, value->line + 1, value->column + 1};
    return OK;
}

static bool word_in(const char *text, const char *const *words)
{
    for (; *words; words++)
        if (strcmp(text, *words) == 0)
            return true;
    return false;
}

static bool is_integer(const char *text)
{
    text += *text == '+' || *text == '-';
    return *text && text[strspn(text, "0123456789")] == '\0';
}

static bool is_float(const char *text)
{
    char *end = NULL;
    if (!*text || text[strspn(text, "0123456789.eE+-")] != '\0' || !strpbrk(text, "0123456789"))
        return false;
    strtod(text, &end);
    return *end == '\0';
}

/* A plain scalar by the core schema, YAML 1.2.2 section 10.3.2. NULL: a number that does not fit. */
static json_t *scalar_plain(const char *text)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
    static const char *const trues[] = {"true", "True", "TRUE", NULL};
    static const char *const falses[] = {"false", "False", "FALSE", NULL};
    static const char *const not_finite[] = {".inf",  ".Inf",  ".INF", "+.inf", "+.Inf", "+.INF", "-.inf",
                                             "-.Inf", "-.INF", ".nan", ".NaN",  ".NAN",  NULL};
    if (word_in(text, not_finite))
        return NULL;
    if (word_in(text, nulls))
        return json_null();
    if (word_in(text, trues) || word_in(text, falses))
        return json_boolean(word_in(text, trues));
    bool hexadecimal = strncmp(text, "0x", 2) == 0 && text[2] && !text[2 + strspn(text + 2, "0123456789abcdefABCDEF")];
    bool octal = strncmp(text, "0o", 2) == 0 && text[2] && !text[2 + strspn(text + 2, "01234567")];
    if (is_integer(text) || hexadecimal || octal) {
        errno = 0;
        long long value = strtoll(octal ? text + 2 : text, NULL, hexadecimal ? 16 : octal ? 8 : 10);
        return errno ? NULL : json_integer(value);
    }
    return is_float(text) ? json_real(strtod(text, NULL)) : json_string(text);
}

static enum err scalar_text(struct parse *parse, const yaml_event_t *event, const char **ret_text)
{
    const char *text = (const char *)event->data.scalar.value;
    if (text_has_control(text, event->data.scalar.length))
        return event_refuse(parse, event, "a control character in a string");
    *ret_text = text;
    return OK;
}

static enum err scalar_read(struct parse *parse, const yaml_event_t *event, json_t **ret_value)
{
    const char *text = NULL;
    TRY(scalar_text(parse, event, &text));
    bool plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    json_t *value = plain ? scalar_plain(text) : json_string(text);
    if (!value)
        return event_refuse(parse, event, "a number out of range, or out of memory");
    *ret_value = value;
    return OK;
}

static bool event_is_decorated(const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return event->data.scalar.anchor || event->data.scalar.tag;
    case YAML_SEQUENCE_START_EVENT:
        return event->data.sequence_start.anchor || event->data.sequence_start.tag;
    case YAML_MAPPING_START_EVENT:
        return event->data.mapping_start.anchor || event->data.mapping_start.tag;
    default:
        return event->type == YAML_ALIAS_EVENT;
    }
}

static enum err node_read(struct parse *parse, const yaml_event_t *event, const yaml_mark_t *key, json_t **ret_value);

static void pointer_cut(struct bytes *pointer, size_t size)
{
    if (pointer->data)
        pointer->data[size] = 0;
    pointer->size = size;
}

AUTO_POINTER(json_t, json_decref)

static enum err sequence_read(struct parse *parse, json_t *array)
{
    size_t pointer_size = parse->pointer.size;
    for (size_t i = 0;; i++) {
        CLEANUP(event_auto) yaml_event_t event = {0};
        TRY(event_next(parse, &event));
        if (event.type == YAML_SEQUENCE_END_EVENT)
            return OK;
        bytes_appendf(&parse->pointer, "/%zu", i);
        json_t *item = NULL;
        TRY(node_read(parse, &event, &event.start_mark, &item));
        if (json_array_append_new(array, item) != 0)
            return fault_no_memory(parse->f);
        pointer_cut(&parse->pointer, pointer_size);
    }
}

/* One key of a mapping and its value. A key that was there before is a reason, and reading goes on. */
static enum err member_read(struct parse *parse, const yaml_event_t *key_event, json_t *object)
{
    if (key_event->type != YAML_SCALAR_EVENT || event_is_decorated(key_event))
        return event_refuse(parse, key_event, "a key must be a plain or quoted string");
    const char *key = NULL;
    TRY(scalar_text(parse, key_event, &key));
    char where[160];
    mark_text(parse, &key_event->start_mark, where, sizeof where);
    if (json_object_get(object, key))
        fault_reason(parse->f, where, "the key \"%s\" stands here a second time", key);
    pointer_append(&parse->pointer, key);
    CLEANUP(event_auto) yaml_event_t event = {0};
    TRY(event_next(parse, &event));
    json_t *value = NULL;
    TRY(node_read(parse, &event, &key_event->start_mark, &value));
    return json_object_set_new(object, key, value) == 0 ? OK : fault_no_memory(parse->f);
}

static enum err mapping_read(struct parse *parse, json_t *object)
{
    size_t pointer_size = parse->pointer.size;
    for (;;) {
        CLEANUP(event_auto) yaml_event_t event = {0};
        TRY(event_next(parse, &event));
        if (event.type == YAML_MAPPING_END_EVENT)
            return OK;
        TRY(member_read(parse, &event, object));
        pointer_cut(&parse->pointer, pointer_size);
    }
}

static enum err node_read(struct parse *parse, const yaml_event_t *event, const yaml_mark_t *key, json_t **ret_value)
{
    if (event_is_decorated(event))
        return event_refuse(parse, event, "anchors, aliases and tags are not used in these documents");
    TRY(place_add(parse, key, &event->start_mark));
    if (event->type == YAML_SCALAR_EVENT)
        return scalar_read(parse, event, ret_value);
    if (++parse->depth > DOCUMENT_DEPTH_MAX)
        return event_refuse(parse, event, "nested too deeply (at most 16 levels)");
    bool mapping = event->type == YAML_MAPPING_START_EVENT;
    CLEANUP(json_t_auto) json_t *value = mapping ? json_object() : json_array();
    if (!value)
        return fault_no_memory(parse->f);
    TRY(mapping ? mapping_read(parse, value) : sequence_read(parse, value));
    parse->depth--;
    *ret_value = TAKE(value);
    return OK;
}

/* The next event must be of this type. */
static enum err event_expect(struct parse *parse, yaml_event_type_t type, const char *why)
{
    CLEANUP(event_auto) yaml_event_t event = {0};
    TRY(event_next(parse, &event));
    return event.type == type ? OK : event_refuse(parse, &event, why);
}

static enum err stream_read(struct parse *parse)
{
    TRY(event_expect(parse, YAML_STREAM_START_EVENT, "not a YAML stream"));
    TRY(event_expect(parse, YAML_DOCUMENT_START_EVENT, "the document is empty"));
    CLEANUP(event_auto) yaml_event_t event = {0};
    TRY(event_next(parse, &event));
    TRY(node_read(parse, &event, &event.start_mark, &parse->document->root));
    TRY(event_expect(parse, YAML_DOCUMENT_END_EVENT, "the document should end here"));
    return event_expect(parse, YAML_STREAM_END_EVENT, "a second document: only one is allowed");
}

enum err document_parse(struct span text, const char *name, struct document **ret_document, struct fault *f)
{
    if (text.size > DOCUMENT_SIZE_MAX)
        return fault_set(f, CODE_TOO_LARGE, "%s is larger than 1 MiB", name);
    CLEANUP(document_auto) struct document *document = NULL;
    TRY(document_new(name, &document, f));
    AUTO(parse) parse = {.document = document, .f = f};
    if (!yaml_parser_initialize(&parse.parser))
        return fault_no_memory(f);
    yaml_parser_set_encoding(&parse.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parse.parser, text.size ? text.data : (const uint8_t *)"", text.size);
    TRY(stream_read(&parse));
    TRY(fault_if_reasons(f, CODE_MALFORMED, "%s is not a valid document", name));
    qsort(document->places, document->places_count, sizeof *document->places, place_compare);
    *ret_document = TAKE(document);
    return OK;
}

static enum err file_read(int fd, const char *path, struct bytes *ret_text, struct fault *f)
{
    AUTO(bytes) text = {0};
    char buffer[16384];
    ssize_t got;
    while ((got = read(fd, buffer, sizeof buffer)) > 0 && text.size <= DOCUMENT_SIZE_MAX)
        bytes_append(&text, buffer, (size_t)got);
    if (got < 0)
        return fault_errno(f, "cannot read %s", path);
    TRY(bytes_check(&text, f));
    *ret_text = text;
    text = (struct bytes){0};
    return OK;
}

enum err document_load(const char *path, struct document **ret_document, struct fault *f)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fault_errno(f, "cannot open %s", path);
    AUTO(bytes) text = {0};
    enum err err = file_read(fd, path, &text, f);
    close(fd);
    TRY(err);
    const char *slash = strrchr(path, '/');
    return document_parse(bytes_span(&text), slash ? slash + 1 : path, ret_document, f);
}

/* ---- JSON ---- */

static enum err json_check(json_t *value, size_t levels, struct fault *f);

static enum err json_text_check(const char *text, size_t size, struct fault *f)
{
    if (text_has_control(text, size))
        return fault_set(f, CODE_MALFORMED, "a control character in a JSON string");
    return OK;
}

static enum err json_children_check(json_t *value, size_t levels, struct fault *f)
{
    size_t i;
    const char *key;
    json_t *item;
    if (levels == 0)
        return fault_set(f, CODE_MALFORMED, "JSON nested too deeply (at most %d levels)", DOCUMENT_DEPTH_MAX);
    json_array_foreach(value, i, item)
    {
        TRY(json_check(item, levels - 1, f));
    }
    json_object_foreach(value, key, item)
    {
        TRY(json_text_check(key, strlen(key), f));
        TRY(json_check(item, levels - 1, f));
    }
    return OK;
}

/* What jansson's reader lets through: depth and control characters. */
static enum err json_check(json_t *value, size_t levels, struct fault *f)
{
    if (json_is_string(value))
        return json_text_check(json_string_value(value), json_string_length(value), f);
    return json_is_array(value) || json_is_object(value) ? json_children_check(value, levels, f) : OK;
}

static _Thread_local bool json_out_of_memory;

static void *json_allocate(size_t size)
{
    void *memory = malloc(size);
    json_out_of_memory |= !memory;
    return memory;
}

/* Before there are threads: jansson keeps it in a global. */
__attribute__((constructor)) static void json_watch_memory(void)
{
    json_set_alloc_funcs(json_allocate, free);
}

json_t *json_load_whole(struct span text, size_t flags, json_error_t *ret_error)
{
    json_out_of_memory = false;
    json_t *json = json_loadb(text.size ? (const char *)text.data : "", text.size, flags, ret_error);
    if (!json_out_of_memory)
        return json;
    json_decref(json);
    ret_error->text[0] = '\0';
    return NULL;
}

enum err document_parse_json(struct span text, struct document **ret_document, struct fault *f)
{
    if (text.size > DOCUMENT_JSON_SIZE_MAX)
        return fault_set(f, CODE_TOO_LARGE, "a JSON text of more than 16 MiB");
    CLEANUP(document_auto) struct document *document = NULL;
    TRY(document_new("", &document, f));
    json_error_t error;
    document->root = json_load_whole(text, JSON_REJECT_DUPLICATES, &error);
    if (!document->root && !error.text[0])
        return fault_no_memory(f);
    if (!document->root) {
        /* jansson goes on with " near '…'", which quotes what was sent: perhaps a secret */
        char *quote = strstr(error.text, " near ");
        if (quote)
            *quote = '\0';
        return fault_set(f, CODE_MALFORMED, "not a JSON object (RFC 8259): %s at line %d, column %d", error.text,
                         error.line, error.column);
    }
    TRY(json_check(document->root, DOCUMENT_DEPTH_MAX, f));
    *ret_document = TAKE(document);
    return OK;
}

enum err document_of_node(const struct node *node, struct document **ret_document, struct fault *f)
{
    TRY(document_new("", ret_document, f));
    (*ret_document)->root = json_incref(node->value);
    return OK;
}
