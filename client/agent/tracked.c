/* tracked.c: what is known of one certificate or bundle of this node: what there is of it, how it went, what is shown.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "ca/base/encode.h"
#include "client/agent/schedule.h"
#include "client/agent/served.h"
#include "client/agent/state.h"
#include "client/files.h"

const char *const tracked_state_words[] = {"installed", "served", "waiting-restart", "failed", "not-served", NULL};

enum { SERVED_MILLISECONDS = 5000, SERVED_POLL_MILLISECONDS = 200, SAID_SECONDS = 3600 };

/* ---- when it is due ---- */

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

void tracked_renewed(const struct turn *turn, struct tracked *tracked)
{
    tracked->renewed_at = seconds_since_boot();
    turn->agent->renewals++;
}

/* What is shared is due at the same time on all nodes that share it. */
static uint64_t seed_of(const struct agent *agent, const struct tracked *tracked)
{
    return tracked->shared ? schedule_seed(agent->cluster, tracked->name, "")
                           : schedule_seed(agent->node, tracked->name, tracked->serial);
}

struct schedule tracked_schedule(const struct turn *turn, struct tracked *tracked, const struct order *mark)
{
    const struct schedule_facts facts = {.now = turn->now,
                                         .issued_at = tracked->issued_at,
                                         .not_after = tracked->not_after,
                                         .seed = seed_of(turn->agent, tracked),
                                         .marked = mark->renew != NULL,
                                         .blocked = mark->blocked,
                                         .failures = tracked->failures,
                                         .failed_at = tracked->failed_at,
                                         .resting = resting(tracked)};
    const struct schedule schedule = schedule_decide(&facts);
    tracked->due_at = schedule.at;
    return schedule;
}

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

enum err tracked_look(const struct turn *turn, const struct profile *profile, struct tracked *tracked, struct fault *f)
{
    CLEANUP(fd_cleanup) int folder = -1;
    AUTO(bytes) pem = {0};
    AUTO(certificate) certificate = {0};
    enum err err = folder_open_at(turn->sets, profile->name, false, &folder, f);
    if (err == ERR_ABSENT)
        tracked->serial[0] = '\0';
    TRY(err);
    TRY(file_read_at(folder, "tls.crt", &pem, f));
    TRY(certificate_parse_pem(bytes_span(&pem), &certificate, f));
    certificate_note(tracked, profile, &certificate);
    tracked_schedule(turn, tracked, &(const struct order){0}); /* of what was renewed just now, too */
    return OK;
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
void tracked_served(const struct turn *turn, struct tracked *tracked)
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

/* ---- how it went ---- */

/* Trouble is logged when it is new, and once an hour. */
void tracked_trouble(const struct turn *turn, struct tracked *tracked, const struct fault *why)
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

void tracked_success(struct tracked *tracked)
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
bool tracked_backed_off(const struct agent *agent, const struct tracked *tracked, int64_t now)
{
    return tracked->failures > 0 && now >= tracked->failed_at && now < tracked_retry_at(agent, tracked);
}
