#include "client/shared_proposal.h"

#include <limits.h>
#include <stdio.h>

#include "client/files.h"

enum err shared_proposal(const char *root, const char *name, struct bytes *ret_pem, struct fault *f)
{
    CLEANUP(fd_cleanup) int top = -1;
    CLEANUP(fd_cleanup) int folder = -1;
    char path[PATH_MAX];
    const char *file = NULL;
    if (!root)
        return fault_set(f, CODE_NOT_FOUND, "nothing is installed");
    snprintf(path, sizeof path, "/etc/kubernetes/pki/%s.key", name);
    TRY(folder_open(root, &top, f));
    TRY(folder_open_parent(top, path, false, &folder, &file, f));
    return file_read_at(folder, file, ret_pem, f);
}
