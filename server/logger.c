#include "server/logger.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *const level_names[] = {"debug", "info", "warning", "error"};

static enum log_level level_min = LOG_LEVEL_INFO;
static const char *process_name = "ensignd";

void log_open(enum log_level level, const char *process)
{
    level_min = level;
    process_name = process;
}

bool log_enabled(enum log_level level)
{
    return level >= level_min;
}

/* Whether JSON takes the text as it is. */
static bool text_is_plain(const char *text)
{
    for (; *text; text++)
        if (*text < ' ' || *text > '~' || *text == '"' || *text == '\\')
            return false;
    return true;
}

/* Nearly all texts are plain; the others pay for jansson. */
static void quoted_append(struct bytes *line, const char *text)
{
    if (text_is_plain(text)) {
        bytes_append_text(line, "\"");
        bytes_append_text(line, text);
        bytes_append_text(line, "\"");
        return;
    }
    json_t *string = json_string(text);
    char *dump = string ? json_dumps(string, JSON_ENCODE_ANY | JSON_ENSURE_ASCII) : NULL;
    bytes_append_text(line, dump ? dump : "\"(not UTF-8)\"");
    free(dump);
    json_decref(string);
}

static void time_append(struct bytes *line)
{
    struct timespec now;
    struct tm utc;
    char text[32];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
    bytes_appendf(line, "{\"time\":\"%s.%03ldZ\"", text, now.tv_nsec / 1000000);
}

void log_begin(struct bytes *line, enum log_level level, const char *message)
{
    time_append(line);
    log_text(line, "level", level_names[level]);
    log_text(line, "process", process_name);
    log_text(line, "message", message);
}

void log_text(struct bytes *line, const char *member, const char *text)
{
    if (!*text)
        return;
    bytes_appendf(line, ",\"%s\":", member);
    quoted_append(line, text);
}

void log_number(struct bytes *line, const char *member, int64_t number)
{
    bytes_appendf(line, ",\"%s\":%lld", member, (long long)number);
}

void log_milliseconds(struct bytes *line, const char *member, double seconds)
{
    bytes_appendf(line, ",\"%s\":%.3f", member, seconds * 1000);
}

void log_reason(struct bytes *line, const struct fault *fault)
{
    char detail[2048];
    fault_line(fault, detail, sizeof detail);
    log_text(line, "code", code_name(fault->code));
    log_text(line, "detail", detail);
}

void log_end(struct bytes *line)
{
    bytes_append_text(line, "}\n");
    if (!line->failed) {
        ssize_t written = write(STDERR_FILENO, line->data, line->size);
        (void)written; /* a log that cannot be written has nobody to complain to */
    }
    bytes_free(line);
}

void log_message(enum log_level level, const char *format, ...)
{
    if (!log_enabled(level))
        return;
    char message[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    struct bytes line = {0};
    log_begin(&line, level, message);
    log_end(&line);
}

void log_fault(enum log_level level, const char *message, const struct fault *fault)
{
    if (!log_enabled(level))
        return;
    struct bytes line = {0};
    log_begin(&line, level, message);
    log_reason(&line, fault);
    log_end(&line);
}
