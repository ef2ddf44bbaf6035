/* user.h: a user of a cluster on this machine: key made here, certificate fetched, both in one kubeconfig.
 *
 *     FILE                          the kubeconfig, 0600, whole or not there
 *     FILE.USER@CLUSTER.pending     the key and the request, 0600, from before the request is sent until FILE is
 *                                   written: after an interruption or a lost answer, the next run within a day sends
 * the same request and gets the certificate that was issued for it */
#ifndef ENSIGN_CLIENT_USER_H
#define ENSIGN_CLIENT_USER_H

#include "client/session.h"

struct user_wish {
    const char *cluster, *profile, *name;
    const char *const *groups;
    size_t groups_count;      /* ORGANIZATIONS_MAX at most */
    int64_t lifetime_seconds; /* 0: the profile's default */
    const char *path;
};

/* Leaves a kubeconfig alone that is this user's, in these groups, and has more than a third of its life before it;
 * replaces one of this user that is not so. ERR_CONFLICT when the file is anything else. */
MUST_USE enum err user_kubeconfig(struct session *session, const struct user_wish *wish, struct fault *f);

#endif
