#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ca/base/encode.h"
#include "client/agent/schedule.h"
#include "client/agent/state.h"
#include "client/files.h"
#include "client/issued.h"

enum { BUNDLE_FILES_HOT_MINOR = 36 }; /* from then on clients read the CA again that a kubeconfig names */

/* ---- putting it to use ---- */

static bool item_own(const struct turn *turn, const struct catalogue_item *item)
{
    return strcmp(item->node->name, turn->agent->node) == 0;
}

enum putting { PUT_CHECK, PUT_LOOK, PUT_WRITE };

/* Only what this certificate is for, and the bundles beside it.
 *   ret_whole  of PUT_LOOK: whether it is there already; where nothing is installed, it is */
static enum err profile_put(const struct turn *turn, const struct catalogue_item *item, enum putting putting,
                            bool *ret_whole, struct fault *f)
{
    *ret_whole = true;
    struct enrolment chosen = *turn->enrolment;
    chosen.items[0] = (struct enrolment_item){.profile = item->profile, .algorithm = item->algorithm};
    chosen.items_count = 1;
    struct install_node node = *turn->node; /* borrows */
    node.enrolment = &chosen;
    node.whole = false;
    if (turn->root < 0 || issued_by_service(item->profile))
        return OK;
    if (putting == PUT_LOOK)
        return install_node_whole(&node, ret_whole, f);
    return putting == PUT_CHECK ? install_node_check(&node, f) : install_node_write(&node, f);
}

static enum err profile_install(const struct turn *turn, const struct catalogue_item *item, enum putting putting,
                                struct fault *f)
{
    bool ignored;
    return profile_put(turn, item, putting, &ignored, f);
}

/* What is in use when all was done: the certificate, and in a kubeconfig the server, which the cluster file may change
 * under the same certificate. */
enum { IN_USE_SIZE = SERIAL_TEXT_SIZE + SERVER_URL_SIZE };
static void in_use(const struct catalogue_item *item, const struct tracked *tracked, char ret_text[IN_USE_SIZE])
{
    snprintf(ret_text, IN_USE_SIZE, "%s%s%s", tracked->serial, item->server[0] ? " " : "", item->server);
}

/* From the set to all who use it; again from the beginning when it was interrupted. */
static enum err certificate_finish(const struct turn *turn, const struct catalogue_item *item,
                                   const struct tracked *tracked, struct fault *f)
{
    struct hook hooks[HOOKS_MAX];
    char text[IN_USE_SIZE];
    in_use(item, tracked, text);
    TRY(enrolment_tidy(turn->enrolment, tracked->name, f)); /* a key of before may be left */
    TRY(profile_install(turn, item, PUT_WRITE, f));
    if (turn->root >= 0)
        TRY(hooks_run(turn, tracked->name, hooks, hooks_of(&turn->node->cluster, item, hooks), f));
    return done_write(turn, tracked->name, text, f);
}

/* ---- renewing it ---- */

static enum err certificate_renew(const struct turn *turn, const struct catalogue_item *item, struct tracked *tracked,
                                  const char *reason, struct fault *f)
{
    const struct enrolment_item renewed = {item->profile, item->algorithm, tracked->serial,
                                           install_node_bundle(turn->node, item->authority)};
    TRY(profile_install(turn, item, PUT_CHECK, f));
    if (reason)
        message("%s: the service asks for another one: %s", tracked->name, reason);
    TRY(enrolment_renew(turn->enrolment, &renewed, f));
    tracked_renewed(turn, tracked);
    return tracked_look(turn, item->profile, tracked, f);
}

static enum err token_needed(const struct turn *turn, const char *why, struct fault *f)
{
    return fault_set(f, CODE_EXPIRING,
                     "%s: a new join token is needed: `ensign token create --cluster %s --node %s` on the operator's "
                     "machine, then `ensign enroll` with it here",
                     why, turn->agent->cluster, turn->agent->node);
}

static enum err renewal_do(const struct turn *turn, const struct catalogue_item *item, struct tracked *tracked,
                           struct fault *f)
{
    const struct order mark = order_of(turn->orders, tracked->name, tracked->serial);
    switch (tracked_schedule(turn, tracked, &mark).verdict) {
    case SCHEDULE_EXPIRED:
        return token_needed(turn, "it has expired", f);
    case SCHEDULE_BLOCKED:
        return token_needed(turn, "it was revoked, and nothing of it is renewed", f);
    case SCHEDULE_DUE:
        return certificate_renew(turn, item, tracked, mark.renew, f);
    default:
        return OK;
    }
}

/* ---- one turn ---- */

static enum err set_look(const struct turn *turn, const struct profile *profile, struct tracked *tracked,
                         struct fault *f)
{
    enum err err = tracked_look(turn, profile, tracked, f);
    if (err != ERR_ABSENT)
        return err;
    fault_clear(f);
    return fault_set(f, CODE_EXPIRING,
                     "this node has no %s yet: `ensign token create --cluster %s --node %s` on the operator's "
                     "machine, then `ensign enroll` here",
                     profile->name, turn->agent->cluster, turn->agent->node);
}

static enum err certificate_step(const struct turn *turn, const struct catalogue_item *item, struct tracked *tracked,
                                 struct fault *f)
{
    AUTO(bytes) done = {0};
    char text[IN_USE_SIZE];
    TRY(set_look(turn, item->profile, tracked, f));
    TRY(done_read(turn, tracked->name, &done, f));
    in_use(item, tracked, text);
    if (done.size == 0) /* it was enrolled: what reads it was not started yet, or was by who enrolled it */
        TRY(done_write(turn, tracked->name, text, f));
    bool whole; /* somebody may have removed it, or edited it, which is for them to settle */
    TRY(profile_put(turn, item, PUT_LOOK, &whole, f));
    if (!whole || (done.size > 0 && strcmp(bytes_text(&done), text) != 0)) {
        TRY(server_change_check(turn, item, tracked, bytes_text(&done), f));
        return certificate_finish(turn, item, tracked, f);
    }
    char before[SERIAL_TEXT_SIZE];
    strcpy(before, tracked->serial);
    TRY(renewal_do(turn, item, tracked, f));
    return strcmp(before, tracked->serial) == 0 ? OK : certificate_finish(turn, item, tracked, f);
}

void certificate_turn(const struct turn *turn, const struct catalogue_item *item, struct tracked *tracked)
{
    struct fault why = {0};
    if (tracked_backed_off(turn->agent, tracked, turn->now))
        return;
    if (certificate_step(turn, item, tracked, &why) != OK) {
        tracked_trouble(turn, tracked, &why);
        return;
    }
    tracked_success(tracked);
    tracked_served(turn, tracked);
}

/* ---- CA bundles ---- */

static bool hook_listed(const struct hook *hooks, size_t count, const struct hook *hook)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(hooks[i].subject, hook->subject) == 0)
            return true;
    return false;
}

/* A bundle is in files of its own and in the kubeconfigs; who reads several of them is restarted once. */
static size_t bundle_hooks(const struct turn *turn, const char *authority, struct hook *hooks, size_t max)
{
    const struct catalogue *catalogue = &turn->node->catalogue;
    size_t count = 0;
    for (size_t i = 0; i < catalogue->count; i++) {
        struct catalogue_item item = catalogue->items[i];
        struct hook found[HOOKS_MAX];
        bool reads = item.kind == CATALOGUE_BUNDLE || item.kind == CATALOGUE_KUBECONFIG;
        if (!reads || !item_own(turn, &item) || strcmp(item.authority, authority) != 0)
            continue;
        if (turn->node->cluster.kubernetes_minor < BUNDLE_FILES_HOT_MINOR)
            item.certificate_path = NULL;
        size_t found_count = hooks_of(&turn->node->cluster, &item, found);
        for (size_t j = 0; j < found_count && count < max; j++)
            if (!hook_listed(hooks, count, &found[j]))
                hooks[count++] = found[j];
    }
    return count;
}

/* Into all that this CA's bundle is in: its files, and the kubeconfigs of the sets that there are. */
static enum err bundle_install(const struct turn *turn, const char *authority, struct fault *f)
{
    const struct catalogue *catalogue = &turn->node->catalogue;
    struct enrolment chosen = *turn->enrolment;
    struct install_node node = *turn->node; /* borrows */
    chosen.items_count = 0;
    for (size_t i = 0; i < catalogue->count && chosen.items_count < PROFILES_MAX; i++) {
        const struct catalogue_item *item = &catalogue->items[i];
        if (item->profile && !item->shared && item_own(turn, item) && strcmp(item->authority, authority) == 0 &&
            faccessat(turn->sets, item->profile->name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
            chosen.items[chosen.items_count++] = (struct enrolment_item){.profile = item->profile};
    }
    node.enrolment = &chosen;
    node.whole = false;
    return install_node_write(&node, f);
}

/* Before the first turn the programs of this node were started with what is installed. */
static enum err bundle_first(const struct turn *turn, const struct catalogue_item *item, struct bytes *done,
                             struct fault *f)
{
    CLEANUP(fd_cleanup) int folder = -1;
    AUTO(bytes) installed = {0};
    const char *name = NULL;
    char digest[SHA256_TEXT_SIZE];
    enum err err = folder_open_parent(turn->root, item->path, false, &folder, &name, f);
    if (err == OK)
        err = file_read_at(folder, name, &installed, f);
    if (err != OK && err != ERR_ABSENT)
        return err;
    fault_clear(f);
    sha256_text(bytes_span(&installed), digest);
    bytes_append_text(done, digest);
    TRY(bytes_check(done, f));
    return done_write(turn, item->name, digest, f);
}

static enum err bundle_step(const struct turn *turn, const struct catalogue_item *item, struct fault *f)
{
    char now[SHA256_TEXT_SIZE];
    AUTO(bytes) done = {0};
    struct hook hooks[4 * HOOKS_MAX];
    const struct span bundle = install_node_bundle(turn->node, item->name);
    if (bundle.size == 0 || turn->root < 0)
        return OK;
    sha256_text(bundle, now);
    TRY(done_read(turn, item->name, &done, f));
    if (done.size == 0)
        TRY(bundle_first(turn, item, &done, f));
    if (strcmp(bytes_text(&done), now) == 0)
        return OK;
    message("%s: its certificates are others now", item->name);
    TRY(bundle_install(turn, item->name, f));
    TRY(hooks_run(turn, item->name, hooks, bundle_hooks(turn, item->name, hooks, ARRAY_SIZE(hooks)), f));
    return done_write(turn, item->name, now, f);
}

void bundle_turn(const struct turn *turn, const struct catalogue_item *item, struct tracked *tracked)
{
    struct fault why = {0};
    if (tracked_backed_off(turn->agent, tracked, turn->now))
        return;
    if (bundle_step(turn, item, &why) == OK)
        tracked_success(tracked);
    else
        tracked_trouble(turn, tracked, &why);
}
