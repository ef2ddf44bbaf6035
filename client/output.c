#include "client/output.h"

#include <errno.h>
#include <libsmartcols.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/text.h"
#include "client/yaml_text.h"

const char *const output_format_words[] = {"table", "wide", "json", "yaml", "name", NULL};

enum err output_format_read(const char *text, enum output_format *ret_format, struct fault *f)
{
    enum output_format format = OUTPUT_TABLE;
    while (text && format <= OUTPUT_NAME && strcmp(output_format_words[format], text) != 0)
        format++;
    if (format > OUTPUT_NAME)
        return fault_set(f, CODE_USAGE, "-o %.32s: table, wide, json, yaml or name", text);
    *ret_format = format;
    return OK;
}

/* ---- cells ---- */

static void cell_scalar(const json_t *value, struct bytes *out)
{
    if (json_is_string(value))
        bytes_append_text(out, json_string_value(value));
    else if (json_is_integer(value))
        bytes_appendf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else if (json_is_boolean(value))
        bytes_append_text(out, json_is_true(value) ? "yes" : "no");
}

static void cell_write(const json_t *object, const char *member, struct bytes *out)
{
    const char *dot = strchr(member, '.');
    if (dot) {
        char outer[32];
        snprintf(outer, sizeof outer, "%.*s", (int)(dot - member), member);
        const json_t *inner = json_object_get(object, outer);
        if (!json_is_array(inner))
            cell_write(inner, dot + 1, out);
        for (size_t i = 0; i < json_array_size(inner); i++) {
            bytes_append_text(out, i ? "," : "");
            cell_write(json_array_get(inner, i), dot + 1, out);
        }
        return;
    }
    const json_t *value = json_object_get(object, member);
    if (!json_is_array(value))
        cell_scalar(value, out);
    for (size_t i = 0; i < json_array_size(value); i++) {
        bytes_append_text(out, i ? "," : "");
        const json_t *item = json_array_get(value, i);
        const json_t *name = json_object_get(item, "name");
        cell_scalar(!json_is_object(item) ? item : name ? name : json_object_get(item, "profile"), out);
    }
}

/* ---- tables ---- */

static bool shown(const struct output *output, size_t column)
{
    return output->format == OUTPUT_WIDE || !output->columns[column].wide;
}

static void table_cleanup(struct libscols_table **table)
{
    scols_unref_table(*table);
}

static enum err cell_put(struct libscols_line *line, size_t number, const json_t *object, const char *member,
                         struct fault *f)
{
    AUTO(bytes) text = {0};
    cell_write(object, member, &text);
    TRY(bytes_check(&text, f));
    return scols_line_set_data(line, number, text.size ? bytes_text(&text) : "-") == 0 ? OK : fault_no_memory(f);
}

static enum err table_print(struct libscols_table *table, struct fault *f)
{
    char *text = NULL;
    if (scols_print_table_to_string(table, &text) != 0)
        return fault_no_memory(f);
    for (char *line = text; *line;) { /* without the blanks that fill up the last column */
        size_t size = strcspn(line, "\n"), used = size;
        while (used > 0 && line[used - 1] == ' ')
            used--;
        printf("%.*s\n", (int)used, line);
        line += size + (line[size] == '\n');
    }
    free(text);
    return OK;
}

static enum err list_table(const struct output *output, const json_t *items, struct fault *f)
{
    CLEANUP(table_cleanup) struct libscols_table *table = scols_new_table();
    if (!table)
        return fault_no_memory(f);
    for (size_t i = 0; i < output->columns_count; i++)
        if (shown(output, i) && !scols_table_new_column(table, output->columns[i].title, 0, 0))
            return fault_no_memory(f);
    for (size_t row = 0; row < json_array_size(items); row++) {
        struct libscols_line *line = scols_table_new_line(table, NULL);
        if (!line)
            return fault_no_memory(f);
        size_t number = 0;
        for (size_t i = 0; i < output->columns_count; i++)
            if (shown(output, i))
                TRY(cell_put(line, number++, json_array_get(items, row), output->columns[i].member, f));
    }
    return table_print(table, f);
}

static enum err object_table(const struct output *output, const json_t *object, struct fault *f)
{
    CLEANUP(table_cleanup) struct libscols_table *table = scols_new_table();
    if (!table || !scols_table_new_column(table, "FIELD", 0, 0) || !scols_table_new_column(table, "VALUE", 0, 0))
        return fault_no_memory(f);
    scols_table_enable_noheadings(table, 1);
    for (size_t i = 0; i < output->columns_count; i++) {
        if (!shown(output, i))
            continue;
        struct libscols_line *line = scols_table_new_line(table, NULL);
        if (!line || scols_line_set_data(line, 0, output->columns[i].title) != 0)
            return fault_no_memory(f);
        TRY(cell_put(line, 1, object, output->columns[i].member, f));
    }
    return table_print(table, f);
}

/* ---- the forms ---- */

static enum err name_print(const struct output *output, const json_t *object, struct fault *f)
{
    AUTO(bytes) text = {0};
    cell_write(object, output->columns[0].member, &text);
    TRY(bytes_check(&text, f));
    puts(bytes_text(&text));
    return OK;
}

/* A reader that has seen enough, as head(1), ends this program quietly, as it ends others. SIGPIPE is ignored up to
 * here because of the connection. */
enum err output_failed(struct fault *f)
{
    if (errno == EPIPE) {
        signal(SIGPIPE, SIG_DFL);
        raise(SIGPIPE);
    }
    return fault_set(f, CODE_IO, "cannot write to standard output: %s", strerror(errno));
}

static enum err json_print(const json_t *value, struct fault *f)
{
    if (json_dumpf(value, stdout, JSON_INDENT(2)) != 0)
        return output_failed(f);
    putchar('\n');
    return OK;
}

static enum err yaml_print(const json_t *value, struct fault *f)
{
    AUTO(bytes) text = {0};
    TRY(yaml_append(&text, value, YAML_QUOTED, f));
    return output_text(bytes_span(&text), f);
}

enum err output_list(const struct output *output, const json_t *list, struct fault *f)
{
    const json_t *items = json_object_get(list, "items");
    switch (output->format) {
    case OUTPUT_JSON:
        return json_print(list, f);
    case OUTPUT_YAML:
        return yaml_print(list, f);
    case OUTPUT_NAME:
        for (size_t i = 0; i < json_array_size(items); i++)
            TRY(name_print(output, json_array_get(items, i), f));
        return OK;
    default:
        if (json_array_size(items) == 0)
            message("nothing to list");
        return list_table(output, items, f);
    }
}

enum err output_object(const struct output *output, const json_t *object, struct fault *f)
{
    switch (output->format) {
    case OUTPUT_JSON:
        return json_print(object, f);
    case OUTPUT_YAML:
        return yaml_print(object, f);
    case OUTPUT_NAME:
        return name_print(output, object, f);
    default:
        return object_table(output, object, f);
    }
}

enum err output_text(struct span text, struct fault *f)
{
    if (fwrite(text.data, 1, text.size, stdout) != text.size)
        return output_failed(f);
    return OK;
}

enum err output_finish(struct fault *f)
{
    return fflush(stdout) == 0 && !ferror(stdout) ? OK : output_failed(f);
}

/* ---- messages ---- */

void message(const char *format, ...)
{
    char text[1200];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    printable(text);
    fprintf(stderr, "%s\n", text);
}

void message_fault(const struct fault *f)
{
    message("ensign: %s: %s", code_name(f->code), f->text);
    for (size_t i = 0; i < f->reasons_count; i++)
        message("  %s%s%s", f->reasons[i].pointer, f->reasons[i].pointer[0] ? ": " : "", f->reasons[i].text);
    if (f->reasons_omitted > 0)
        message("  and %zu more", f->reasons_omitted);
}
