#include "client/commands.h"
#include "client/user.h"

enum err user_create(const struct arguments *arguments, struct fault *f)
{
    AUTO(session) session = {0};
    TRY(session_open(arguments, &session, f));
    const struct user_wish wish = {.cluster = arguments->values[OPTION_CLUSTER],
                                   .profile = "user",
                                   .name = arguments->operands[0],
                                   .groups = arguments->groups,
                                   .groups_count = arguments->groups_count,
                                   .lifetime_seconds = option_seconds(arguments, OPTION_LIFETIME, 0),
                                   .path = arguments->values[OPTION_KUBECONFIG]};
    return user_kubeconfig(&session, &wish, f);
}
