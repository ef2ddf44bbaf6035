#include "policies/users.h"

#include <stdio.h>
#include <string.h>

#include "policies/words.h"

enum { GROUPS_TEXT_SIZE = 160 };

/* The common names that components have, and the patterns behind them: kubeadm binds
 * kube-apiserver-kubelet-client by its name (cmd/kubeadm/app/phases/bootstraptoken/node of
 * github.com/kubernetes/kubernetes). */
static const char *const user_prefixes[] = {"system:", "kube-", "kubernetes-", "front-proxy-client", NULL};
/* Groups that clusters bind to rights by themselves: RBAC's defaults, and kubeadm's. */
static const char *const group_prefixes[] = {"system:", "kubeadm:", NULL};

static bool has_prefix(const char *name, const char *const *prefixes)
{
    while (*prefixes && strncmp(name, *prefixes, strlen(*prefixes)) != 0)
        prefixes++;
    return *prefixes != NULL;
}

/* ---- the cluster file ---- */

static bool group_valid(const char *name)
{
    size_t size = strlen(name);
    for (size_t i = 0; i < size; i++)
        if (name[i] < ' ' || name[i] > '~' || name[i] == ',')
            return false;
    return size > 0 && name[0] != ' ' && name[size - 1] != ' ';
}

static bool group_listed(const struct cluster *cluster, const char *name)
{
    for (size_t i = 0; i < cluster->user_groups_count; i++)
        if (strcmp(cluster->user_groups[i], name) == 0)
            return true;
    return false;
}

static void group_read(const struct node *item, struct cluster *cluster)
{
    char name[ATTRIBUTE_MAX + 1];
    if (!node_text(item, NODE_REQUIRED, name, sizeof name))
        return;
    if (!group_valid(name))
        node_error(item, "a group is printable ASCII without commas, and without a blank at its ends");
    else if (has_prefix(name, group_prefixes))
        node_error(item, "\"%s\" is one of Kubernetes' own groups, which no user gets", name);
    else if (group_listed(cluster, name))
        node_error(item, "\"%s\" stands here twice", name);
    else
        strcpy(cluster->user_groups[cluster->user_groups_count++], name);
}

void users_read(const struct node *root, struct cluster *cluster)
{
    static const char *const keys[] = {"groups", NULL};
    struct node users = node_get(root, "users");
    struct node groups = node_get(&users, "groups");
    node_allow(&users, keys);
    size_t count = node_count(&groups, NODE_OPTIONAL, USER_GROUPS_MAX);
    for (size_t i = 0; i < count; i++) {
        struct node item = node_at(&groups, i);
        group_read(&item, cluster);
    }
}

/* ---- the decision ---- */

/* "manager, developers", cut with "..." where there is no room for more. */
static void groups_text(const struct cluster *cluster, char ret_text[GROUPS_TEXT_SIZE])
{
    size_t used = 0;
    ret_text[0] = '\0';
    for (size_t i = 0; i < cluster->user_groups_count; i++) {
        const char *name = cluster->user_groups[i];
        bool fits = used + strlen(name) + sizeof ", , ..." <= GROUPS_TEXT_SIZE;
        used += (size_t)snprintf(ret_text + used, GROUPS_TEXT_SIZE - used, "%s%s", i ? ", " : "", fits ? name : "...");
        if (!fits)
            return;
    }
}

static bool stands_before(const struct user *user, size_t index)
{
    for (size_t i = 0; i < index; i++)
        if (strcmp(user->groups[i], user->groups[index]) == 0)
            return true;
    return false;
}

static void group_check(const struct cluster *cluster, const struct user *user, size_t index, struct fault *f)
{
    const char *name = user->groups[index];
    char pointer[32], listed[GROUPS_TEXT_SIZE];
    snprintf(pointer, sizeof pointer, "/groups/%zu", index);
    groups_text(cluster, listed);
    if (has_prefix(name, group_prefixes))
        fault_reason(f, pointer, "\"%.64s\" is one of Kubernetes' own groups, which no user gets", name);
    else if (!listed[0])
        fault_reason(f, pointer,
                     "the file of cluster \"%s\" lists no groups for users; \"%.64s\" would go there, as "
                     "users: {groups: [...]}",
                     cluster->name, name);
    else if (!group_listed(cluster, name))
        fault_reason(f, pointer,
                     "\"%.64s\" is none of the groups that users.groups in the file of cluster \"%s\" "
                     "lists: %s",
                     name, cluster->name, listed);
    else if (stands_before(user, index))
        fault_reason(f, pointer, "\"%s\" stands here twice", name);
}

static void groups_check(const struct profile *profile, const struct cluster *cluster, const struct user *user,
                         struct fault *f)
{
    if (user->groups_count == 0)
        return;
    if (profile->organizations_from != ORGANIZATIONS_USER) {
        fault_reason(f, "/groups", "profile \"%s\" does not take groups", profile->name);
        return;
    }
    if (user->groups_count > ORGANIZATIONS_MAX)
        fault_reason(f, "/groups", "a certificate has at most %d groups", ORGANIZATIONS_MAX);
    for (size_t i = 0; cluster && i < user->groups_count; i++)
        group_check(cluster, user, i, f);
}

bool person_name_valid(const char *name)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_@";
    return name[0] && name[strspn(name, letters)] == '\0';
}

/* Where the groups are not the user's choice they are all that matters: the admin of a cluster may have any name. */
static void name_check(const struct profile *profile, const char *name, struct fault *f)
{
    if (profile->organizations_from == ORGANIZATIONS_USER && has_prefix(name, user_prefixes))
        fault_reason(f, "/user", "\"%.64s\" is a name of Kubernetes' own components, which no user gets", name);
    else if (!person_name_valid(name))
        fault_reason(f, "/user", "a user's name has letters, digits and . - _ @");
}

void user_check(const struct profile *profile, const struct cluster *cluster, const struct user *user, struct fault *f)
{
    groups_check(profile, cluster, user, f);
    if (profile->common_name_from != COMMON_NAME_USER) {
        if (user->name)
            fault_reason(f, "/user", "profile \"%s\" is not for users", profile->name);
        return;
    }
    if (!cluster)
        fault_reason(f, "/cluster", "profile \"%s\" is for users of a cluster", profile->name);
    name_check(profile, user->name ? user->name : "", f);
}
