#include <string.h>

#include "client/commands.h"
#include "client/output.h"

enum err version_run(const struct arguments *arguments, struct fault *f)
{
    (void)arguments;
    return output_text(span_text("ensign " ENSIGN_VERSION "\n"), f);
}

enum err help_run(const struct arguments *arguments, struct fault *f)
{
    char name[64] = "";
    for (size_t i = 0; i < arguments->operands_count; i++) {
        size_t used = strlen(name);
        snprintf(name + used, sizeof name - used, "%s%s", i ? " " : "", arguments->operands[i]);
    }
    if (!name[0])
        fputs("ensign: certificates for Kubernetes clusters\n\n", stdout);
    if (!command_help(commands, name, stdout))
        return fault_set(f, CODE_USAGE, "there is no command \"%s\"; see \"ensign help\"", name);
    if (!name[0])
        fputs("\n\"ensign help COMMAND\" explains one of them.\n"
              "Exit codes: 0 done, 1 error, 2 usage, 3 denied, 4 unreachable, 5 expiring, 6 conflict, 7 pending.\n",
              stdout);
    return OK;
}
