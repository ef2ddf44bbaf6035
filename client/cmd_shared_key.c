#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/commands.h"
#include "client/files.h"
#include "client/session.h"
#include "client/shared_keys.h"
#include "client/text.h"

static const char standard_key[] = "sa";

/* ---- on a control plane ---- */

/* name NULL: all keys, completed; else this one, renewed */
static enum err here_run(const struct arguments *arguments, const char *name, struct fault *f)
{
    const char *root = NULL;
    AUTO(bytes) path = {0};
    CLEANUP(fd_cleanup) int folder = -1;
    TRY(sets_place(arguments, &path, &root, f));
    TRY(folder_open(bytes_text(&path), &folder, f));
    TRY(folder_lock(folder, f));
    const struct shared_keys keys = {.path = bytes_text(&path),
                                     .folder = folder,
                                     .root = root,
                                     .force = arguments->values[OPTION_FORCE] != NULL,
                                     .wait_seconds =
                                         option_seconds(arguments, OPTION_TIMEOUT, SHARED_KEYS_WAIT_SECONDS)};
    return name ? shared_keys_renew(&keys, name, f) : shared_keys_complete(&keys, NULL, 0, f);
}

enum err shared_key_sync(const struct arguments *arguments, struct fault *f)
{
    return here_run(arguments, NULL, f);
}

enum err shared_key_renew(const struct arguments *arguments, struct fault *f)
{
    return here_run(arguments, arguments->operands[0], f);
}

/* ---- anywhere ---- */

static enum err key_path(const struct arguments *arguments, const char *name, const char *tail, struct bytes *out,
                         struct fault *f)
{
    cluster_path(out, arguments->values[OPTION_CLUSTER], "/shared-keys/");
    percent_append(out, name);
    bytes_append_text(out, tail);
    return bytes_check(out, f);
}

enum err shared_key_show(const struct arguments *arguments, struct fault *f)
{
    static const struct column columns[] = {
        {"NAME", "name", false},
        {"GENERATION", "generation", false},
        {"CUSTODIAN", "custodian", false},
        {"HELD", "held", false},
        {"NODES", "nodes.node", false},
        {"RECOVERY", "recovery_sealed", false},
        {"SERIAL", "certificate.serial", true},
    };
    AUTO(session) session = {0};
    AUTO(bytes) path = {0};
    TRY(session_open(arguments, &session, f));
    TRY(key_path(arguments, arguments->values[OPTION_NAME] ? arguments->values[OPTION_NAME] : standard_key, "", &path,
                 f));
    const struct output output = {session.format, columns, ARRAY_SIZE(columns)};
    return session_show(&session, bytes_text(&path), &output, f);
}

/* ---- reset ---- */

static const char *reset_meaning(const char *name)
{
    return strcmp(name, standard_key) == 0 ? "every token of a service account that was signed with it is refused once "
                                             "the API servers have the new "
                                             "one: restart all that use such tokens"
                                           : "its certificate stays valid until it expires";
}

static enum err reset_confirm(const struct arguments *arguments, const char *name, struct fault *f)
{
    char line[128];
    message("%s of cluster %s is made anew by the next control plane that runs `ensign enroll` or `ensign shared-key "
            "sync`; %s",
            name, arguments->values[OPTION_CLUSTER], reset_meaning(name));
    if (arguments->values[OPTION_YES])
        return OK;
    message("type the name of the key to go on:");
    if (!fgets(line, sizeof line, stdin))
        line[0] = '\0';
    line[strcspn(line, "\n")] = '\0';
    return strcmp(line, name) == 0 ? OK
                                   : fault_set(f, CODE_USAGE, "nothing was changed: give the key's name, or --yes");
}

static enum err generation_get(struct session *session, const struct bytes *path, int64_t *ret_generation,
                               struct fault *f)
{
    CLEANUP(document_auto) struct document *answer = NULL;
    TRY(api_json(session->api, "GET", bytes_text(path), NULL, &answer, f));
    struct node root = document_root(answer, f), generation = node_get(&root, "generation");
    node_integer(&generation, NODE_REQUIRED, 0, INT32_MAX, ret_generation);
    return answer_finish("a shared key", f);
}

enum err shared_key_reset(const struct arguments *arguments, struct fault *f)
{
    const char *name = arguments->operands[0];
    AUTO(session) session = {0};
    AUTO(bytes) path = {0};
    AUTO(bytes) reset_path = {0};
    CLEANUP(document_auto) struct document *answer = NULL;
    int64_t generation = 0;
    TRY(session_open(arguments, &session, f));
    TRY(key_path(arguments, name, "", &path, f));
    TRY(key_path(arguments, name, "/reset", &reset_path, f));
    TRY(generation_get(&session, &path, &generation, f));
    if (generation == 0)
        return fault_set(f, CODE_CONFLICT, "no control plane has made this key yet");
    TRY(reset_confirm(arguments, name, f));
    CLEANUP(json_cleanup) json_t *body = json_pack("{sI}", "generation", (json_int_t)generation);
    if (!body)
        return fault_no_memory(f);
    TRY(api_json(session.api, "POST", bytes_text(&reset_path), body, &answer, f));
    message("%s: generation %" PRId64 " is not used any more", name, generation);
    return OK;
}
