/* shared_install.c: a shared key where Kubernetes looks for it, by the same rules as everything else. */
#include <string.h>

#include "ca/base/encode.h"
#include "client/files.h"
#include "client/install.h"
#include "client/shared_work.h"

static enum err files_plan(const struct work *work, const struct catalogue *catalogue, const struct install_pems *pems,
                           struct install *install, struct fault *f)
{
    for (size_t i = 0; i < catalogue->count; i++)
        if (catalogue->items[i].shared && strcmp(catalogue->items[i].name, work->name) == 0)
            TRY(install_add(install, &work->inventory, &catalogue->items[i], pems, f));
    return OK;
}

/* write  else it is only looked whether it can be */
static enum err install_run(struct work *work, struct span key, struct span public, bool write, struct fault *f)
{
    CLEANUP(fd_cleanup) int root = -1;
    AUTO(catalogue) catalogue = {0};
    AUTO(bytes) bundle = {0};
    const struct profile *profile = work->certified ? profiles_find(&work->profiles, work->name) : NULL;
    const struct node_entry *node = cluster_node(&work->inventory, work->node);
    if (!work->keys->root)
        return OK;
    if (!node)
        return fault_set(f, CODE_UNTRUSTED, "the cluster file that the service has is not of this node");
    TRY(folder_open(work->keys->root, &root, f));
    TRY(catalogue_make_part(&work->inventory, &work->profiles, (size_t)(node - work->inventory.nodes), 1, &catalogue,
                            f));
    if (profile)
        TRY(session_bundle(&work->session, work->cluster, profile->issuer, &bundle, f));
    const struct install_pems pems = {.key = key, .certificate = public, .bundle = bytes_span(&bundle)};
    AUTO(install) install = {.root = root, .sets = work->keys->folder};
    TRY(files_plan(work, &catalogue, &pems, &install, f));
    TRY(install_check(&install, work->keys->force, f));
    return write ? install_write(&install, f) : OK;
}

/* What lies beside the private key: the public one, or the certificate, as far as that is known. */
static enum err public_pem(const struct work *work, struct span spki, struct bytes *ret_pem, struct fault *f)
{
    CLEANUP(fd_cleanup) int set = -1;
    if (!work->certified) {
        pem_append(ret_pem, "PUBLIC KEY", spki);
        return bytes_check(ret_pem, f);
    }
    TRY(folder_open_at(work->keys->folder, work->name, false, &set, f));
    return file_read_at(set, "tls.crt", ret_pem, f);
}

/* A running API server has signed with what lies there, if ensign did not put it there: no key is claimed that could
 * not be put in its place. */
enum err shared_install_check(struct work *work, const struct proposal *proposal, struct fault *f)
{
    AUTO(bytes) public = {0};
    if (!work->certified)
        TRY(public_pem(work, bytes_span(&proposal->spki), &public, f));
    return install_run(work, bytes_span(&proposal->pem), bytes_span(&public), false, f);
}

enum err shared_install(struct work *work, struct fault *f)
{
    AUTO(bytes) public = {0};
    TRY(public_pem(work, bytes_span(&work->spki), &public, f));
    return install_run(work, bytes_span(&work->private_pem), bytes_span(&public), true, f);
}
