#include <stdio.h>
#include <string.h>
#include <yaml.h>

#include "client/output.h"

/* Texts are always in quotes (or, with several lines, a literal block), so that none is read back as a number or a
 * truth value by any version of YAML. */

static int scalar(yaml_emitter_t *emitter, const char *text, yaml_scalar_style_t style)
{
    yaml_event_t event;
    bool plain = style == YAML_PLAIN_SCALAR_STYLE;
    return yaml_scalar_event_initialize(&event, NULL, NULL, (const yaml_char_t *)text, (int)strlen(text), plain, !plain,
                                        style) &&
           yaml_emitter_emit(emitter, &event);
}

static int text_emit(yaml_emitter_t *emitter, const char *text)
{
    return scalar(emitter, text, strchr(text, '\n') ? YAML_LITERAL_SCALAR_STYLE : YAML_DOUBLE_QUOTED_SCALAR_STYLE);
}

static int value_emit(yaml_emitter_t *emitter, const json_t *value);

static int object_emit(yaml_emitter_t *emitter, const json_t *object)
{
    yaml_event_t event;
    int done = yaml_mapping_start_event_initialize(&event, NULL, NULL, 1, YAML_ANY_MAPPING_STYLE) &&
               yaml_emitter_emit(emitter, &event);
    const char *key;
    json_t *member;
    json_object_foreach((json_t *)(uintptr_t)object, key, member) done =
        done && scalar(emitter, key, YAML_PLAIN_SCALAR_STYLE) && value_emit(emitter, member);
    return done && yaml_mapping_end_event_initialize(&event) && yaml_emitter_emit(emitter, &event);
}

static int array_emit(yaml_emitter_t *emitter, const json_t *array)
{
    yaml_event_t event;
    int done = yaml_sequence_start_event_initialize(&event, NULL, NULL, 1, YAML_ANY_SEQUENCE_STYLE) &&
               yaml_emitter_emit(emitter, &event);
    for (size_t i = 0; done && i < json_array_size(array); i++)
        done = value_emit(emitter, json_array_get(array, i));
    return done && yaml_sequence_end_event_initialize(&event) && yaml_emitter_emit(emitter, &event);
}

static int value_emit(yaml_emitter_t *emitter, const json_t *value)
{
    char number[32];
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return object_emit(emitter, value);
    case JSON_ARRAY:
        return array_emit(emitter, value);
    case JSON_STRING:
        return text_emit(emitter, json_string_value(value));
    case JSON_INTEGER:
        snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        return scalar(emitter, number, YAML_PLAIN_SCALAR_STYLE);
    case JSON_REAL:
        snprintf(number, sizeof number, "%.17g", json_real_value(value));
        return scalar(emitter, number, YAML_PLAIN_SCALAR_STYLE);
    case JSON_TRUE:
        return scalar(emitter, "true", YAML_PLAIN_SCALAR_STYLE);
    case JSON_FALSE:
        return scalar(emitter, "false", YAML_PLAIN_SCALAR_STYLE);
    default:
        return scalar(emitter, "null", YAML_PLAIN_SCALAR_STYLE);
    }
}

enum err output_yaml(const json_t *value, struct fault *f)
{
    yaml_emitter_t emitter;
    if (!yaml_emitter_initialize(&emitter))
        return fault_no_memory(f);
    yaml_emitter_set_output_file(&emitter, stdout);
    yaml_emitter_set_unicode(&emitter, 1);
    yaml_emitter_set_width(&emitter, -1);
    yaml_event_t event;
    int done = yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING) && yaml_emitter_emit(&emitter, &event) &&
               yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 1) &&
               yaml_emitter_emit(&emitter, &event) && value_emit(&emitter, value) &&
               yaml_document_end_event_initialize(&event, 1) && yaml_emitter_emit(&emitter, &event) &&
               yaml_stream_end_event_initialize(&event) && yaml_emitter_emit(&emitter, &event);
    yaml_emitter_delete(&emitter);
    return done ? OK : output_failed(f);
}
