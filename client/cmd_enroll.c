#include "client/commands.h"
#include "client/crl.h"
#include "client/enrolment.h"
#include "client/files.h"
#include "client/install_node.h"
#include "client/session.h"
#include "client/shared_keys.h"

static const char standard_sets[] = "/etc/ensign/node"; /* below the root */

/* Sets that are asked for in a folder of their own, on no other root, are all that is asked for. */
static bool sets_only(const struct arguments *arguments)
{
    return arguments->values[OPTION_OUT] && !arguments->values[OPTION_ROOT];
}

enum err sets_place(const struct arguments *arguments, struct bytes *ret_sets, const char **ret_root, struct fault *f)
{
    const char *out = arguments->values[OPTION_OUT], *root = arguments->values[OPTION_ROOT];
    struct bytes sets = {0};
    bytes_appendf(&sets, "%s%s", out ? out : root ? root : "", out ? "" : standard_sets);
    *ret_root = sets_only(arguments) ? NULL : root ? root : "/";
    return bytes_give(&sets, ret_sets, f);
}

static enum err sets_open(const struct arguments *arguments, int root, int *ret_fd, struct fault *f)
{
    CLEANUP(fd_cleanup) int parent = -1;
    const char *name = NULL;
    if (arguments->values[OPTION_OUT])
        return folder_open(arguments->values[OPTION_OUT], ret_fd, f);
    TRY(folder_open_parent(root, standard_sets, true, &parent, &name, f));
    return folder_open_at(parent, name, true, ret_fd, f);
}

static enum err sets_complete(const struct enrolment *enrolment, struct fault *f)
{
    for (size_t i = 0; i < enrolment->items_count; i++)
        TRY(enrolment_complete(enrolment, &enrolment->items[i], f));
    return enrolment_context(enrolment, f);
}

/* Before etcd starts for the first time: it lets nobody in without the file. */
static enum err node_crl(const struct install_node *node, struct fault *f)
{
    struct crl_facts ignored;
    enum err err = crl_update(node->enrolment->session, node->root, &node->catalogue, node->enrolment->node,
                              install_node_bundle(node, "etcd-ca"), &ignored, f);
    if (err != ERR_CONFLICT)
        return err;
    message("no CRL: %s", f->text);
    fault_clear(f);
    return OK;
}

/* What would be refused in the end is refused before a certificate is asked for. */
static enum err node_complete(const struct enrolment *enrolment, const struct arguments *arguments, int root,
                              struct fault *f)
{
    AUTO(install_node)
    node = {.enrolment = enrolment,
            .root = root,
            .whole = arguments->profiles_count == 0,
            .force = arguments->values[OPTION_FORCE] != NULL};
    TRY(install_node_open(&node, f));
    TRY(install_node_check(&node, f));
    TRY(sets_complete(enrolment, f));
    TRY(install_node_write(&node, f));
    return node_crl(&node, f);
}

/* What the control planes share comes with the identity that the node has by now. */
static enum err enroll_shared_keys(const struct arguments *arguments, const struct enrolment *enrolment,
                                   struct fault *f)
{
    const char *root = NULL;
    AUTO(bytes) sets = {0};
    TRY(sets_place(arguments, &sets, &root, f));
    const struct shared_keys keys = {.path = bytes_text(&sets),
                                     .folder = enrolment->folder,
                                     .root = root,
                                     .force = arguments->values[OPTION_FORCE] != NULL,
                                     .wait_seconds =
                                         option_seconds(arguments, OPTION_TIMEOUT, SHARED_KEYS_WAIT_SECONDS)};
    return enrolment->shared_count > 0 ? shared_keys_complete(&keys, enrolment->shared, enrolment->shared_count, f)
                                       : OK;
}

enum err enroll(const struct arguments *arguments, struct fault *f)
{
    AUTO(session) session = {0};
    TRY(session_open(arguments, &session, f));
    if (session.context.token.size == 0)
        return fault_set(f, CODE_USAGE, "a join token is needed: --token-file FILE, or - for standard input");
    if (server_is_socket(session.context.server))
        return fault_set(f, CODE_USAGE, "a node enrols over https, which is also what its context will name");
    CLEANUP(fd_cleanup) int root = -1;
    CLEANUP(fd_cleanup) int sets = -1;
    if (!sets_only(arguments))
        TRY(folder_open(arguments->values[OPTION_ROOT] ? arguments->values[OPTION_ROOT] : "/", &root, f));
    TRY(sets_open(arguments, root, &sets, f));
    TRY(folder_lock(sets, f));
    AUTO(profiles) profiles = {0};
    TRY(profiles_shipped(&profiles, f));
    AUTO(enrolment)
    enrolment = {.session = &session,
                 .folder = sets,
                 .profiles = &profiles,
                 .lifetime_seconds = option_seconds(arguments, OPTION_LIFETIME, 0)};
    TRY(enrolment_fetch(&enrolment, f));
    TRY(enrolment_check_owner(&enrolment, f));
    TRY(enrolment_choose(&enrolment, arguments->profiles, arguments->profiles_count, f));
    TRY(sets_only(arguments) ? sets_complete(&enrolment, f) : node_complete(&enrolment, arguments, root, f));
    return arguments->profiles_count > 0 ? OK : enroll_shared_keys(arguments, &enrolment, f);
}
