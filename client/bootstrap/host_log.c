#include "client/bootstrap/host_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "ca/base/encode.h"
#include "ca/base/io.h"
#include "client/files.h"

enum { LOGGED_OUTPUT_MAX = 32 * 1024 };

enum err host_log_folder(const char *cluster, struct bytes *ret_path, int *ret_folder, struct fault *f)
{
    AUTO(bytes) path = {0};
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    bool given = state && state[0] == '/';
    if (!given && !home)
        return fault_set(f, CODE_USAGE, "HOME is not set, so no logs can be kept: set XDG_STATE_HOME");
    bytes_appendf(&path, "%s%s/ensign/%s", given ? state : home, given ? "" : "/.local/state", cluster);
    TRY(bytes_check(&path, f));
    TRY(folder_open(bytes_text(&path), ret_folder, f));
    return bytes_give(&path, ret_path, f);
}

enum err host_log_open(int folder, const char *host, int *ret_log, struct fault *f)
{
    AUTO(bytes) name = {0};
    bytes_appendf(&name, "%s.log", host);
    TRY(bytes_check(&name, f));
    int log =
        openat(folder, bytes_text(&name), O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, FILE_MODE_PRIVATE);
    if (log < 0)
        return fault_errno(f, "cannot write the log \"%s\"", bytes_text(&name));
    if (fchmod(log, FILE_MODE_PRIVATE) != 0) {
        close(log);
        return fault_errno(f, "cannot set the mode of the log \"%s\"", bytes_text(&name));
    }
    *ret_log = log;
    return OK;
}

static void log_write(int log, const struct bytes *text)
{
    if (log >= 0 && !text->failed && !fd_write(log, bytes_span(text)))
        return;
}

void host_log_text(int log, const char *format, ...)
{
    AUTO(bytes) line = {0};
    char now[TIME_TEXT_SIZE], text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    time_text(time(NULL), now);
    bytes_appendf(&line, "%s %s\n", now, text);
    log_write(log, &line);
}

static void stream_append(struct bytes *out, const char *name, const struct bytes *stream)
{
    size_t size = stream->size < LOGGED_OUTPUT_MAX ? stream->size : LOGGED_OUTPUT_MAX;
    if (size == 0)
        return;
    bytes_appendf(out, "  %s (%zu bytes):\n", name, stream->size);
    bytes_append(out, stream->data, size);
    bytes_append_text(out, stream->data[size - 1] == '\n' ? "" : "\n");
}

void host_log_command(int log, const char *title, int64_t milliseconds, const struct process_result *result)
{
    static const char *const ends[] = {"exited", "took too long", "printed too much", "was interrupted"};
    AUTO(bytes) text = {0};
    if (log < 0)
        return;
    host_log_text(log, "%s: %s, code %d, after %lld ms", title, ends[result->end], result->status,
                  (long long)milliseconds);
    stream_append(&text, "error output", &result->error);
    stream_append(&text, "output", &result->output);
    log_write(log, &text);
}
