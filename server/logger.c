#include "server/logger.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ca/base/json_text.h"

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
    member_begin(line, member);
    if (!quoted_append(line, text, JSON_ENSURE_ASCII))
        bytes_append_text(line, "\"(not UTF-8)\"");
}

void log_number(struct bytes *line, const char *member, int64_t number)
{
    member_integer(line, member, number);
}

void log_milliseconds(struct bytes *line, const char *member, double seconds)
{
    member_begin(line, member);
    bytes_appendf(line, "%.3f", seconds * 1000);
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
