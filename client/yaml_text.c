#include "client/yaml_text.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <yaml.h>

struct writer {
    yaml_emitter_t emitter;
    enum yaml_style style;
};

static int scalar(struct writer *writer, const char *text, yaml_scalar_style_t style)
{
    yaml_event_t event;
    bool plain = style == YAML_PLAIN_SCALAR_STYLE;
    return yaml_scalar_event_initialize(&event, NULL, NULL, (const yaml_char_t *)text, (int)strlen(text), plain, !plain,
                                        style) &&
           yaml_emitter_emit(&writer->emitter, &event);
}

/* Begins with a letter or a slash, so that it is no number, and has no letter that could mean something. */
static bool is_word(const char *text)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ/";
    static const char others[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ/0123456789-_.";
    static const char *const meaning[] = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"};
    if (!text[0] || !strchr(letters, text[0]) || text[strspn(text, others)])
        return false;
    for (size_t i = 0; i < ARRAY_SIZE(meaning); i++)
        if (strcasecmp(text, meaning[i]) == 0)
            return false;
    return true;
}

static int text_emit(struct writer *writer, const char *text)
{
    if (writer->style == YAML_PLAIN && is_word(text))
        return scalar(writer, text, YAML_PLAIN_SCALAR_STYLE);
    return scalar(writer, text, strchr(text, '\n') ? YAML_LITERAL_SCALAR_STYLE : YAML_DOUBLE_QUOTED_SCALAR_STYLE);
}

static int key_emit(struct writer *writer, const char *key)
{
    return writer->style == YAML_PLAIN ? text_emit(writer, key) : scalar(writer, key, YAML_PLAIN_SCALAR_STYLE);
}

static int value_emit(struct writer *writer, const json_t *value);

static int object_emit(struct writer *writer, const json_t *object)
{
    yaml_event_t event;
    int done = yaml_mapping_start_event_initialize(&event, NULL, NULL, 1, YAML_ANY_MAPPING_STYLE) &&
               yaml_emitter_emit(&writer->emitter, &event);
    const char *key;
    json_t *member;
    json_object_foreach((json_t *)(uintptr_t)object, key, member) done =
        done && key_emit(writer, key) && value_emit(writer, member);
    return done && yaml_mapping_end_event_initialize(&event) && yaml_emitter_emit(&writer->emitter, &event);
}

static int array_emit(struct writer *writer, const json_t *array)
{
    yaml_event_t event;
    int done = yaml_sequence_start_event_initialize(&event, NULL, NULL, 1, YAML_ANY_SEQUENCE_STYLE) &&
               yaml_emitter_emit(&writer->emitter, &event);
    for (size_t i = 0; done && i < json_array_size(array); i++)
        done = value_emit(writer, json_array_get(array, i));
    return done && yaml_sequence_end_event_initialize(&event) && yaml_emitter_emit(&writer->emitter, &event);
}

static int value_emit(struct writer *writer, const json_t *value)
{
    char number[32];
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return object_emit(writer, value);
    case JSON_ARRAY:
        return array_emit(writer, value);
    case JSON_STRING:
        return text_emit(writer, json_string_value(value));
    case JSON_INTEGER:
        snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        return scalar(writer, number, YAML_PLAIN_SCALAR_STYLE);
    case JSON_REAL:
        snprintf(number, sizeof number, "%.17g", json_real_value(value));
        return scalar(writer, number, YAML_PLAIN_SCALAR_STYLE);
    case JSON_TRUE:
        return scalar(writer, "true", YAML_PLAIN_SCALAR_STYLE);
    case JSON_FALSE:
        return scalar(writer, "false", YAML_PLAIN_SCALAR_STYLE);
    default:
        return scalar(writer, "null", YAML_PLAIN_SCALAR_STYLE);
    }
}

static int write_handler(void *out, unsigned char *data, size_t size)
{
    bytes_append(out, data, size);
    return 1;
}

enum err yaml_append(struct bytes *out, const json_t *value, enum yaml_style style, struct fault *f)
{
    struct writer writer = {.style = style};
    yaml_emitter_t *emitter = &writer.emitter;
    if (!yaml_emitter_initialize(emitter))
        return fault_no_memory(f);
    yaml_emitter_set_output(emitter, write_handler, out);
    yaml_emitter_set_unicode(emitter, 1);
    yaml_emitter_set_width(emitter, -1);
    yaml_event_t event;
    int done = yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING) && yaml_emitter_emit(emitter, &event) &&
               yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 1) &&
               yaml_emitter_emit(emitter, &event) && value_emit(&writer, value) &&
               yaml_document_end_event_initialize(&event, 1) && yaml_emitter_emit(emitter, &event) &&
               yaml_stream_end_event_initialize(&event) && yaml_emitter_emit(emitter, &event);
    yaml_emitter_delete(emitter);
    return done ? bytes_check(out, f) : fault_no_memory(f);
}
