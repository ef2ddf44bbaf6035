#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ca/base/encode.h"
#include "client/agent/schedule.h"
#include "client/agent/served.h"
#include "client/agent/state.h"
#include "client/files.h"
#include "client/issued.h"

const char *const tracked_state_words[] = {"installed", "served", "waiting-restart", "failed", "not-served", NULL};

enum { BUNDLE_FILES_HOT_MINOR = 36 }; /* from then on clients read the CA again that a kubeconfig names */
enum { SERVED_MILLISECONDS = 5000, SERVED_POLL_MILLISECONDS = 200, SAID_SECONDS = 3600 };

/* ---- the set ---- */

static void certificate_note(struct tracked *tracked, const struct profile *profile, struct certificate *certificate)
{
    const struct certificate_content *content = &certificate->body.content;
    int64_t life = content->not_after - content->not_before;
    int64_t backdate = profile->backdate_seconds < life ? profile->backdate_seconds : 0;
    char serial[SERIAL_TEXT_SIZE];
    hex_text(SPAN_OF(certificate->body.serial), serial, sizeof serial);
    if (strcmp(serial, tracked->serial) != 0) {
        tracked->state = TRACKED_INSTALLED;
        tracked->served_serial[0] = '\0';
    }
    strcpy(tracked->serial, serial);
    tracked->issued_at = content->not_before + backdate;
    tracked->not_after = content->not_after;
    bytes_free(&tracked->der);
    tracked->der = certificate->der;
    certificate->der = (struct bytes){0};
}

static enum err set_look(const struct turn *turn, const struct profile *profile, struct tracked *tracked,
                         struct fault *f)
{
    CLEANUP(fd_cleanup) int folder = -1;
    AUTO(bytes) pem = {0};
    AUTO(certificate) certificate = {0};
    enum err err = folder_open_at(turn->sets, profile->name, false, &folder, f);
    if (err == ERR_ABSENT) {
        tracked->serial[0] = '\0';
        fault_clear(f);
        return fault_set(f, CODE_EXPIRING,
                         "this node has no %s yet: `ensign token create --cluster %s --node %s` on the operator's "
                         "machine, then `ensign enroll` here",
                         profile->name, turn->agent->cluster, turn->agent->node);
    }
    TRY(err);
    TRY(file_read_at(folder, "tls.crt", &pem, f));
    TRY(certificate_parse_pem(bytes_span(&pem), &certificate, f));
    certificate_note(tracked, profile, &certificate);
    return OK;
}

/* ---- putting it to use ---- */

static bool item_own(const struct turn *turn, const struct catalogue_item *item)
{
    return strcmp(item->node->name, turn->agent->node) == 0;
}

/* Only what this certificate is for, and the bundles beside it. */
static enum err profile_install(const struct turn *turn, const struct catalogue_item *item, bool check_only,
                                struct fault *f)
{
    struct enrolment chosen = *turn->enrolment;
    chosen.items[0] = (struct enrolment_item){.profile = item->profile, .algorithm = item->algorithm};
    chosen.items_count = 1;
    struct install_node node = *turn->node; /* borrows */
    node.enrolment = &chosen;
    node.whole = false;
    if (turn->root < 0 || issued_by_service(item->profile))
        return OK;
    return check_only ? install_node_check(&node, f) : install_node_write(&node, f);
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
    TRY(profile_install(turn, item, false, f));
    if (turn->root >= 0)
        TRY(hooks_run(turn, tracked->name, hooks, hooks_of(&turn->node->cluster, item, hooks), f));
    return done_write(turn, tracked->name, text, f);
}

/* ---- renewing it ---- */

static int64_t seconds_since_boot(void)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return now.tv_sec;
}

/* Where the clock of this node is ahead, what was issued just now is old already, and would be renewed again and again:
 * half of its life has to pass first, by a clock that nobody sets. */
static int64_t resting(const struct tracked *tracked)
{
    if (tracked->renewed_at == 0)
        return 0;
    return tracked->renewed_at + (tracked->not_after - tracked->issued_at) / 2 - seconds_since_boot();
}

static enum err certificate_renew(const struct turn *turn, const struct catalogue_item *item, struct tracked *tracked,
                                  const char *reason, struct fault *f)
{
    const struct enrolment_item renewed = {item->profile, item->algorithm, tracked->serial,
                                           install_node_bundle(turn->node, item->authority)};
    TRY(profile_install(turn, item, true, f));
    if (reason)
        message("%s: the service asks for another one: %s", tracked->name, reason);
    TRY(enrolment_renew(turn->enrolment, &renewed, f));
    tracked->renewed_at = seconds_since_boot();
    turn->agent->renewals++;
    return set_look(turn, item->profile, tracked, f);
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
    const struct schedule_facts facts = {.now = turn->now,
                                         .issued_at = tracked->issued_at,
                                         .not_after = tracked->not_after,
                                         .seed = schedule_seed(turn->agent->node, tracked->name, tracked->serial),
                                         .marked = mark.renew != NULL,
                                         .blocked = mark.blocked,
                                         .failures = tracked->failures,
                                         .failed_at = tracked->failed_at,
                                         .resting = resting(tracked)};
    const struct schedule schedule = schedule_decide(&facts);
    tracked->due_at = schedule.at;
    switch (schedule.verdict) {
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

/* ---- whether it is shown ---- */

static bool endpoint_shows(const struct tracked *tracked, const char *endpoint, struct tracked *seen)
{
    AUTO(bytes) der = {0};
    uint8_t serial[SERIAL_SIZE];
    struct fault why = {0};
    seen->served_serial[0] = '\0';
    if (served_certificate(endpoint, &der, &why) != OK) {
        snprintf(seen->detail, sizeof seen->detail, "%.250s", why.text);
        seen->state = TRACKED_INSTALLED;
        return false;
    }
    if (certificate_serial(bytes_span(&der), serial, &why) == OK)
        hex_text(SPAN_OF(serial), seen->served_serial, sizeof seen->served_serial);
    bool same = span_equal(bytes_span(&der), bytes_span(&tracked->der));
    seen->state = same ? TRACKED_SERVED : TRACKED_NOT_SERVED;
    seen->detail[0] = '\0';
    if (!same)
        snprintf(seen->detail, sizeof seen->detail, "%.200s shows another certificate", endpoint);
    return same;
}

static bool all_show(const struct turn *turn, struct tracked *tracked)
{
    const struct check_setting *setting = settings_check(&turn->agent->settings, tracked->name);
    unsigned ports[2] = {0};
    if (setting)
        return setting->none || endpoint_shows(tracked, setting->endpoint, tracked);
    if (!served_ports(tracked->name, ports))
        return true;
    for (size_t i = 0; i < ARRAY_SIZE(ports) && ports[i]; i++) {
        char endpoint[ENDPOINT_TEXT_MAX + 1];
        endpoint_own(turn, ports[i], endpoint);
        if (!endpoint_shows(tracked, endpoint, tracked))
            return false;
    }
    return true;
}

/* Somebody who answers, but with another certificate, may look again soon: with `once` there is no later turn. */
static void served_look(const struct turn *turn, struct tracked *tracked)
{
    if (turn->root < 0 || tracked->state == TRACKED_SERVED)
        return;
    int64_t left = turn->agent->options->once ? SERVED_MILLISECONDS : 0;
    while (!all_show(turn, tracked) && tracked->state == TRACKED_NOT_SERVED && left > 0 && !agent_stopped()) {
        agent_sleep(SERVED_POLL_MILLISECONDS);
        left -= SERVED_POLL_MILLISECONDS;
    }
    if (tracked->state == TRACKED_SERVED)
        message("%s: %s is served", tracked->name, tracked->serial);
}

/* ---- one turn ---- */

/* Trouble is logged when it is new, and once an hour. */
static void trouble_note(const struct turn *turn, struct tracked *tracked, const struct fault *why)
{
    char line[DETAIL_SIZE];
    fault_line(why, line, sizeof line);
    bool pending = why->code == CODE_PENDING;
    bool again =
        tracked->code == why->code && strcmp(tracked->detail, line) == 0 && turn->now < tracked->said_at + SAID_SECONDS;
    if (!again) {
        message("%s: %s", tracked->name, line);
        tracked->said_at = turn->now;
    }
    strcpy(tracked->detail, line);
    tracked->code = why->code;
    tracked->state = pending ? TRACKED_WAITING : TRACKED_FAILED;
    if (pending || why->code == CODE_EXPIRING)
        return;
    tracked->failures++;
    tracked->failed_at = turn->now;
    turn->agent->failures++;
}

static void success_note(struct tracked *tracked)
{
    if (tracked->state == TRACKED_FAILED || tracked->state == TRACKED_WAITING)
        tracked->state = TRACKED_INSTALLED;
    tracked->detail[0] = '\0';
    tracked->failures = 0;
    tracked->code = CODE_NONE;
}

int64_t tracked_retry_at(const struct agent *agent, const struct tracked *tracked)
{
    int64_t left = tracked->bundle ? INT32_MAX : tracked->not_after - tracked->failed_at;
    uint64_t seed = schedule_seed(agent->node, tracked->name, tracked->serial);
    return tracked->failed_at + schedule_backoff(tracked->failures, left, seed);
}

/* Not where the clock was set back meanwhile. */
static bool backed_off(const struct turn *turn, const struct tracked *tracked)
{
    return turn->now >= tracked->failed_at && turn->now < tracked_retry_at(turn->agent, tracked);
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
    else if (strcmp(bytes_text(&done), text) != 0)
        return certificate_finish(turn, item, tracked, f);
    char before[SERIAL_TEXT_SIZE];
    strcpy(before, tracked->serial);
    TRY(renewal_do(turn, item, tracked, f));
    return strcmp(before, tracked->serial) == 0 ? OK : certificate_finish(turn, item, tracked, f);
}

void certificate_turn(const struct turn *turn, const struct catalogue_item *item, struct tracked *tracked)
{
    struct fault why = {0};
    if (tracked->failures > 0 && backed_off(turn, tracked))
        return;
    if (certificate_step(turn, item, tracked, &why) != OK) {
        trouble_note(turn, tracked, &why);
        return;
    }
    success_note(tracked);
    served_look(turn, tracked);
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

static void digest_text(struct span bundle, char ret_text[2 * SHA256_SIZE + 1])
{
    uint8_t digest[SHA256_SIZE];
    crypto_hash_sha256(digest, bundle.data, bundle.size);
    hex_text(SPAN_OF(digest), ret_text, 2 * SHA256_SIZE + 1);
}

/* Before the first turn the programs of this node were started with what is installed. */
static enum err bundle_first(const struct turn *turn, const struct catalogue_item *item, struct bytes *done,
                             struct fault *f)
{
    CLEANUP(fd_cleanup) int folder = -1;
    AUTO(bytes) installed = {0};
    const char *name = NULL;
    char digest[2 * SHA256_SIZE + 1];
    enum err err = folder_open_parent(turn->root, item->path, false, &folder, &name, f);
    if (err == OK)
        err = file_read_at(folder, name, &installed, f);
    if (err != OK && err != ERR_ABSENT)
        return err;
    fault_clear(f);
    digest_text(bytes_span(&installed), digest);
    bytes_append_text(done, digest);
    TRY(bytes_check(done, f));
    return done_write(turn, item->name, digest, f);
}

static enum err bundle_step(const struct turn *turn, const struct catalogue_item *item, struct fault *f)
{
    char now[2 * SHA256_SIZE + 1];
    AUTO(bytes) done = {0};
    struct hook hooks[4 * HOOKS_MAX];
    const struct span bundle = install_node_bundle(turn->node, item->name);
    if (bundle.size == 0 || turn->root < 0)
        return OK;
    digest_text(bundle, now);
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
    if (tracked->failures > 0 && backed_off(turn, tracked))
        return;
    if (bundle_step(turn, item, &why) == OK)
        success_note(tracked);
    else
        trouble_note(turn, tracked, &why);
}
