#include <sys/file.h>

#include "client/commands.h"
#include "client/enrolment.h"
#include "client/files.h"
#include "client/session.h"

static const char standard_folder[] = "/etc/ensign/node";

/* Two at the same time would each replace what the other has half done. */
static enum err folder_lock(int folder, struct fault *f)
{
    if (flock(folder, LOCK_EX | LOCK_NB) == 0)
        return OK;
    return fault_set(f, CODE_CONFLICT, "another \"ensign enroll\" works in this folder: wait until it is done");
}

enum err enroll(const struct arguments *arguments, struct fault *f)
{
    AUTO(session) session = {0};
    TRY(session_open(arguments, &session, f));
    if (session.context.token.size == 0)
        return fault_set(f, CODE_USAGE, "a join token is needed: --token-file FILE, or - for standard input");
    if (server_is_socket(session.context.server))
        return fault_set(f, CODE_USAGE, "a node enrols over https, which is also what its context will name");
    CLEANUP(fd_cleanup) int folder = -1;
    TRY(folder_open(arguments->values[OPTION_OUT] ? arguments->values[OPTION_OUT] : standard_folder, &folder, f));
    TRY(folder_lock(folder, f));
    AUTO(profiles) profiles = {0};
    TRY(profiles_shipped(&profiles, f));
    AUTO(enrolment) enrolment = {.session = &session, .folder = folder, .profiles = &profiles};
    TRY(enrolment_fetch(&enrolment, f));
    TRY(enrolment_check_owner(&enrolment, f));
    TRY(enrolment_choose(&enrolment, arguments->profiles, arguments->profiles_count, f));
    for (size_t i = 0; i < enrolment.items_count; i++)
        TRY(enrolment_complete(&enrolment, &enrolment.items[i], f));
    return enrolment_context(&enrolment, f);
}
