#include <errno.h>
#include <stdlib.h>

#include "client/commands.h"
#include "client/session.h"
#include "client/text.h"

static const struct column columns[] = {
    {"STATE", "state", false}, {"TIME", "time", false},   {"ENTRIES", "entries", false},
    {"ROOT", "root", false},   {"SHOWN", "shown", false},
};

enum err restore_show(const struct arguments *arguments, struct fault *f)
{
    AUTO(session) session = {0};
    TRY(session_open(arguments, &session, f));
    const struct output output = {session.format, columns, ARRAY_SIZE(columns)};
    return session_show(&session, "/v1/restore", &output, f);
}

/* Says what is about to be acknowledged. */
static enum err copy_tell(struct session *session, struct fault *f)
{
    CLEANUP(document_auto) struct document *answer = NULL;
    TRY(api_json(session->api, "GET", "/v1/restore", NULL, &answer, f));
    const char *time = json_string_value(json_object_get(document_json(answer), "time"));
    if (time)
        message("the copy has %" JSON_INTEGER_FORMAT " entries of the log, as of %.40s",
                json_integer_value(json_object_get(document_json(answer), "entries")), time);
    else
        message("nothing waits for an acknowledgement");
    return OK;
}

static enum err entries_read(const char *text, json_int_t *ret_entries, struct fault *f)
{
    char *end = NULL;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end || errno)
        return fault_set(f, CODE_USAGE, "ENTRIES is a number, as `ensign restore show` shows it");
    *ret_entries = value;
    return OK;
}

enum err restore_acknowledge(const struct arguments *arguments, struct fault *f)
{
    json_int_t entries = 0;
    AUTO(session) session = {0};
    TRY(entries_read(arguments->operands[0], &entries, f));
    TRY(session_open(arguments, &session, f));
    TRY(copy_tell(&session, f));
    CLEANUP(json_cleanup) json_t *body = json_pack("{s:I}", "entries", entries);
    if (!body)
        return fault_no_memory(f);
    CLEANUP(document_auto) struct document *answer = NULL;
    TRY(api_json(session.api, "POST", "/v1/restore/acknowledgement", body, &answer, f));
    const struct output output = {session.format, columns, ARRAY_SIZE(columns)};
    return output_object(&output, document_json(answer), f);
}
