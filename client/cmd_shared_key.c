#include "client/commands.h"
#include "client/files.h"
#include "client/session.h"
#include "client/shared_keys.h"
#include "client/text.h"

static const char standard_key[] = "sa";

enum err shared_key_sync(const struct arguments *arguments, struct fault *f)
{
    const char *root = NULL;
    AUTO(bytes) path = {0};
    CLEANUP(fd_cleanup) int folder = -1;
    TRY(sets_place(arguments, &path, &root, f));
    TRY(folder_open(bytes_text(&path), &folder, f));
    TRY(folder_lock(folder, f));
    const struct shared_keys keys = {bytes_text(&path), folder, root,
                                     option_seconds(arguments, OPTION_TIMEOUT, SHARED_KEYS_WAIT_SECONDS)};
    return shared_keys_complete(&keys, standard_key, f);
}

enum err shared_key_show(const struct arguments *arguments, struct fault *f)
{
    static const struct column columns[] = {
        {"NAME", "name", false}, {"GENERATION", "generation", false}, {"CUSTODIAN", "custodian", false},
        {"HELD", "held", false}, {"NODES", "nodes.node", false},      {"RECOVERY", "recovery_sealed", false},
    };
    AUTO(session) session = {0};
    AUTO(bytes) path = {0};
    TRY(session_open(arguments, &session, f));
    cluster_path(&path, arguments->values[OPTION_CLUSTER], "/shared-keys/");
    percent_append(&path, arguments->values[OPTION_NAME] ? arguments->values[OPTION_NAME] : standard_key);
    TRY(bytes_check(&path, f));
    const struct output output = {session.format, columns, ARRAY_SIZE(columns)};
    return session_show(&session, bytes_text(&path), &output, f);
}
