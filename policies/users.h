/* users.h: the people of a cluster, as Kubernetes takes them from a client certificate: the name from CN, the groups,
 * to which RBAC gives rights, from O. The cluster file lists the groups that may be given:
 *
 *     users: {groups: [manager, developers]}
 *
 * Neither a group nor a user is one of Kubernetes' own, which have rights without any binding of the cluster's admins:
 * groups that begin with "system:" or "kubeadm:", and names of its components.  Threads: pure. */
#ifndef ENSIGN_POLICIES_USERS_H
#define ENSIGN_POLICIES_USERS_H

#include "policies/cluster.h"

/* Whom a certificate is asked for. Borrows. */
struct user {
    const char *name; /* NULL: for no user */
    const char *const *groups;
    size_t groups_count;
};

/* Fills cluster->user_groups, reporting what is wrong as reasons. A group has 1 to 64 printable ASCII characters, no
 * comma (which joins groups where people write them) and no blank at either end. */
void users_read(const struct node *root, struct cluster *cluster);

/* Letters, digits and . - _ @: of a user, and of a person or program at this service. */
bool person_name_valid(const char *name);

/* What is against this user getting the profile's certificate, as reasons at "/cluster", "/user" and "/groups".
 *   cluster  NULL: none */
void user_check(const struct profile *profile, const struct cluster *cluster, const struct user *user, struct fault *f);

#endif
