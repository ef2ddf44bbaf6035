/* cmd_rotate.c: `ensign rotate` and `ensign rotate status`: a rotation is the service's; this program only watches. */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "client/commands.h"
#include "client/pages.h"
#include "client/session.h"
#include "client/text.h"

enum { PLACES_PER_SECOND = 1000 }; /* of those looked at, beside one look a second */

static const struct column rotation_columns[] = {
    {"ID", "id", false},         {"CREATED", "created_at", false},      {"BY", "created_by", false},
    {"PLACES", "places", false}, {"NODE", "selector.node", true},       {"PROFILE", "selector.profile", true},
    {"REASON", "reason", true},  {"CHANGED", "selector.changed", true},
};
static const struct column place_columns[] = {
    {"NODE", "node", false},    {"PROFILE", "profile", false},       {"STATE", "state", false},
    {"SERIAL", "serial", true}, {"NEW SERIAL", "new_serial", false}, {"DETAIL", "detail", false},
};

/* ---- which cluster ---- */

/* The one that is named, or the only one that there is. Owned. */
static enum err cluster_choose(struct session *session, const char *named, struct bytes *ret_name, struct fault *f)
{
    CLEANUP(document_auto) struct document *answer = NULL;
    if (named)
        return bytes_copy(span_text(named), ret_name, f);
    TRY(api_json(session->api, "GET", "/v1/clusters", NULL, &answer, f));
    const json_t *items = json_object_get(document_json(answer), "items");
    const char *name = json_string_value(json_object_get(json_array_get(items, 0), "name"));
    if (json_array_size(items) != 1 || !name)
        return fault_set(f, CODE_USAGE, "which cluster? there are %zu; see \"ensign cluster list\"",
                         json_array_size(items));
    return bytes_copy(span_text(name), ret_name, f);
}

static enum err rotation_path(const char *cluster, const char *id, struct bytes *path, struct fault *f)
{
    cluster_path(path, cluster, "/rotations");
    if (id) {
        bytes_append_text(path, "/");
        percent_append(path, id);
    }
    return bytes_check(path, f);
}

/* ---- progress ---- */

struct counts {
    size_t all, done, failed;
};

static const char *text_of(const json_t *place, const char *member)
{
    const char *text = json_string_value(json_object_get(place, member));
    return text ? text : "";
}

static struct counts places_count(const json_t *places)
{
    struct counts counts = {.all = json_array_size(places)};
    for (size_t i = 0; i < counts.all; i++) {
        const char *state = text_of(json_array_get(places, i), "state");
        counts.done += strcmp(state, "installed") == 0 || strcmp(state, "served") == 0;
        counts.failed += strcmp(state, "failed") == 0;
    }
    return counts;
}

/* A line for each place that is another than before: they keep their order. before: NULL at first */
static void changes_print(const json_t *before, const json_t *places)
{
    for (size_t i = 0; i < json_array_size(places); i++) {
        const json_t *place = json_array_get(places, i), *old = json_array_get(before, i);
        const char *state = text_of(place, "state"), *detail = text_of(place, "detail");
        if (old ? json_equal(old, place) : strcmp(state, "marked") == 0)
            continue;
        const char *node = text_of(place, "node");
        message("%s %s: %s%s%s%s%s", node[0] ? node : "(shared)", text_of(place, "profile"), state,
                text_of(place, "new_serial")[0] ? " " : "", text_of(place, "new_serial"), detail[0] ? ": " : "",
                detail);
    }
}

/* Where somebody looks on: how far it is, in one line that the next one overwrites. */
static void counts_print(const struct counts *counts)
{
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r%zu of %zu done, %zu failed\033[K", counts->done, counts->all, counts->failed);
}

static void counts_erase(void)
{
    if (isatty(STDERR_FILENO))
        fputs("\r\033[K", stderr);
}

static int64_t now_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

struct watch {
    struct session *session;
    const char *cluster, *id, *path;
    int64_t deadline; /* 0: none */
    json_t *list;     /* as it was seen last */
};

static void watch_cleanup(struct watch *watch)
{
    json_decref(watch->list);
}

static enum err watch_look(struct watch *watch, struct fault *f)
{
    CLEANUP(json_cleanup) json_t *list = NULL;
    TRY(pages_fetch(watch->session->api, watch->path, 0, &list, f));
    counts_erase();
    changes_print(json_object_get(watch->list, "items"), json_object_get(list, "items"));
    json_decref(watch->list);
    watch->list = TAKE(list);
    return OK;
}

/* Until all is done or has failed. */
static enum err watch_wait(struct watch *watch, struct fault *f)
{
    for (;;) {
        TRY(watch_look(watch, f));
        struct counts counts = places_count(json_object_get(watch->list, "items"));
        if (counts.done + counts.failed == counts.all)
            return OK;
        if (watch->deadline && now_seconds() >= watch->deadline)
            return OK;
        counts_print(&counts);
        const struct timespec pause = {.tv_sec = 1 + (time_t)(counts.all / PLACES_PER_SECOND)};
        nanosleep(&pause, NULL);
    }
}

static enum err watch_print(const struct watch *watch, struct fault *f)
{
    const struct output output = {watch->session->format, place_columns, ARRAY_SIZE(place_columns)};
    if (json_object_set_new(watch->list, "id", json_string(watch->id)) != 0)
        return fault_no_memory(f);
    return output_list(&output, watch->list, f);
}

/* What the exit code says. */
static enum err watch_result(const struct watch *watch, struct fault *f)
{
    struct counts counts = places_count(json_object_get(watch->list, "items"));
    size_t pending = counts.all - counts.done - counts.failed;
    if (pending > 0)
        return fault_set(f, CODE_PENDING,
                         "%zu of %zu are not done yet, %zu have failed; to go on waiting: ensign rotate status %s "
                         "--cluster %s --wait",
                         pending, counts.all, counts.failed, watch->id, watch->cluster);
    if (counts.failed > 0)
        return fault_set(f, CODE_INVALID, "%zu of %zu have failed", counts.failed, counts.all);
    return OK;
}

static enum err rotation_watch(struct session *session, const struct arguments *arguments, const char *cluster,
                               const char *id, struct fault *f)
{
    int64_t timeout = option_seconds(arguments, OPTION_TIMEOUT, 0);
    AUTO(bytes) path = {0};
    TRY(rotation_path(cluster, id, &path, f));
    AUTO(watch) watch = {session, cluster, id, bytes_text(&path), timeout ? now_seconds() + timeout : 0, NULL};
    TRY(watch_wait(&watch, f));
    TRY(watch_print(&watch, f));
    TRY(output_finish(f));
    return watch_result(&watch, f);
}

/* ---- rotate ---- */

static void member_put(json_t *body, const char *name, const char *value)
{
    if (value)
        json_object_set_new(body, name, json_string(value));
}

static enum err rotation_make(struct session *session, const struct arguments *arguments, const char *cluster,
                              struct document **ret_rotation, struct fault *f)
{
    AUTO(bytes) path = {0};
    CLEANUP(json_cleanup) json_t *body = json_pack("{s:b}", "changed", arguments->values[OPTION_CHANGED] != NULL);
    TRY(rotation_path(cluster, NULL, &path, f));
    if (!body)
        return fault_no_memory(f);
    member_put(body, "node", arguments->values[OPTION_NODE]);
    member_put(body, "profile", arguments->values[OPTION_PROFILE]);
    member_put(body, "serial", arguments->values[OPTION_SERIAL]);
    member_put(body, "expiring_within", arguments->values[OPTION_EXPIRING_WITHIN]);
    return api_json(session->api, "POST", bytes_text(&path), body, ret_rotation, f);
}

enum err rotate_create(const struct arguments *arguments, struct fault *f)
{
    AUTO(session) session = {0};
    AUTO(bytes) cluster = {0};
    CLEANUP(document_auto) struct document *rotation = NULL;
    TRY(session_open(arguments, &session, f));
    TRY(cluster_choose(&session, arguments->operands_count ? arguments->operands[0] : NULL, &cluster, f));
    TRY(rotation_make(&session, arguments, bytes_text(&cluster), &rotation, f));
    const char *id = json_string_value(json_object_get(document_json(rotation), "id"));
    if (!id)
        message("nothing to rotate");
    if (id && arguments->values[OPTION_WAIT]) {
        message("rotation %s of %lld certificates", id,
                (long long)json_integer_value(json_object_get(document_json(rotation), "places")));
        return rotation_watch(&session, arguments, bytes_text(&cluster), id, f);
    }
    const struct output output = {session.format, rotation_columns, ARRAY_SIZE(rotation_columns)};
    return output_object(&output, document_json(rotation), f);
}

/* ---- rotate status ---- */

static enum err rotations_list(struct session *session, const char *cluster, struct fault *f)
{
    AUTO(bytes) path = {0};
    CLEANUP(json_cleanup) json_t *list = NULL;
    TRY(rotation_path(cluster, NULL, &path, f));
    TRY(pages_fetch(session->api, bytes_text(&path), 0, &list, f));
    const struct output output = {session->format, rotation_columns, ARRAY_SIZE(rotation_columns)};
    return output_list(&output, list, f);
}

static enum err rotation_show(struct session *session, const char *cluster, const char *id, struct fault *f)
{
    AUTO(bytes) path = {0};
    TRY(rotation_path(cluster, id, &path, f));
    AUTO(watch) watch = {.session = session, .cluster = cluster, .id = id};
    TRY(pages_fetch(session->api, bytes_text(&path), 0, &watch.list, f));
    return watch_print(&watch, f);
}

enum err rotate_status(const struct arguments *arguments, struct fault *f)
{
    const char *id = arguments->operands_count ? arguments->operands[0] : NULL;
    AUTO(session) session = {0};
    AUTO(bytes) cluster = {0};
    TRY(session_open(arguments, &session, f));
    TRY(cluster_choose(&session, arguments->values[OPTION_CLUSTER], &cluster, f));
    if (!id)
        return rotations_list(&session, bytes_text(&cluster), f);
    if (arguments->values[OPTION_WAIT])
        return rotation_watch(&session, arguments, bytes_text(&cluster), id, f);
    return rotation_show(&session, bytes_text(&cluster), id, f);
}
