#include "client/commands.h"
#include "client/session.h"
#include "client/text.h"

static const struct column columns[] = {
    {"STATE", "state", false},   {"TIME", "time", false}, {"EARLIEST", "earliest", false},
    {"LATEST", "latest", false}, {"MARK", "mark", true},
};

enum err clock_show(const struct arguments *arguments, struct fault *f)
{
    AUTO(session) session = {0};
    TRY(session_open(arguments, &session, f));
    const struct output output = {session.format, columns, ARRAY_SIZE(columns)};
    return session_show(&session, "/v1/clock", &output, f);
}

enum err clock_acknowledge(const struct arguments *arguments, struct fault *f)
{
    AUTO(session) session = {0};
    TRY(session_open(arguments, &session, f));
    CLEANUP(json_cleanup) json_t *body = json_pack("{s:s}", "time", arguments->operands[0]);
    if (!body)
        return fault_set(f, CODE_USAGE, "the time is not UTF-8");
    CLEANUP(document_auto) struct document *answer = NULL;
    TRY(api_json(session.api, "POST", "/v1/clock/acknowledgement", body, &answer, f));
    const struct output output = {session.format, columns, ARRAY_SIZE(columns)};
    return output_object(&output, document_json(answer), f);
}
