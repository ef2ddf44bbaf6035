#include "client/agent/agent.h"
#include "client/commands.h"

static const char standard_settings[] = "/etc/ensign/agent.yaml"; /* below the root */

enum err agent(const struct arguments *arguments, struct fault *f)
{
    const char *root = NULL, *settings = arguments->values[OPTION_CONFIG];
    AUTO(bytes) sets = {0};
    AUTO(bytes) standard = {0};
    TRY(sets_place(arguments, &sets, &root, f));
    bytes_appendf(&standard, "%s%s", arguments->values[OPTION_ROOT] ? arguments->values[OPTION_ROOT] : "",
                  standard_settings);
    TRY(bytes_check(&standard, f));
    const struct agent_options options = {.sets = bytes_text(&sets),
                                          .root = root,
                                          .settings_path = settings ? settings : bytes_text(&standard),
                                          .settings_required = settings != NULL,
                                          .metrics_path = arguments->values[OPTION_METRICS_FILE],
                                          .once = arguments->values[OPTION_ONCE] != NULL};
    return agent_run(&options, f);
}
